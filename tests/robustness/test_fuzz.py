"""Every reader on malformed bytes: valid features, or ``SiftcliError`` in one line, and nothing else."""

import contextlib
import io
import json
import os
import sqlite3
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import h5py
import hostile
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bounds import assert_one_clear_line, assert_valid, bounded, timed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import siftcli
from siftcli import SiftParams, load, save
from siftcli.errors import InputError, SiftcliError
from siftcli.features import Features
from siftcli.formats import FORMATS
from siftcli.formats._collections import open_reader
from siftcli.formats._journaled import _HEAD, _MAGIC, finish_interrupted
from siftcli.image import read_image

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's and NumPy's

N_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
"""Of each test; they are others in every run."""
fuzz = settings(max_examples=N_EXAMPLES, suppress_health_check=list(HealthCheck))

SINGLE = {name: entry for name, entry in FORMATS.items() if entry.can_read and not entry.is_collection}
TEXTS = ("csv", "json", "jsonl", "lowe", "vlfeat", "oxford", "colmap-text")


@pytest.fixture(autouse=True, scope="module")
def limits():
    """A claim just below the limit on pixels must fit the bound on memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIFTCLI_MAX_PIXELS", "1000000")
        yield


def example(n=3):
    rng = np.random.default_rng(n)
    return Features(
        xy=rng.random((n, 2)) * 100,
        scale=rng.random(n) + 1,
        orientation=rng.random(n) * 6,
        response=rng.random(n),
        sign=np.ones(n),
        octave=np.arange(n) - 1,
        descriptors=rng.integers(0, 256, (n, 128)),
        image_size=(100, 80),
        image_name="a.png",
        params=SiftParams(),
        removed={"edge": 7},
    )


def suffix_of(name: str) -> str:
    entry = FORMATS[name]
    return (entry.suffixes or (entry.file_suffix,))[0]


def files_of(name: str) -> list[tuple[str, bytes]]:
    """A good file of a format, with the second that belongs to it, if one does."""
    with tempfile.TemporaryDirectory() as folder:
        kind = "rootsift" if FORMATS[name].rootsift else "sift"
        save(replace(example(), descriptor_kind=kind), Path(folder, f"x{suffix_of(name)}"), name)
        return sorted((path.name, path.read_bytes()) for path in Path(folder).iterdir())


GOOD = {name: files_of(name) for name in SINGLE} | {"pair": files_of("vlfeat")}


def check_load(path: Path, name: str | None = None) -> None:
    """Valid features, or one clear line."""
    try:
        with timed():
            found = load(path, name)
    except InputError as error:
        assert_one_clear_line(str(error), str(path))
    else:
        assert_valid(found)


# --- bytes -----------------------------------------------------------------------------------------------


@st.composite
def damaged(draw, data: bytes) -> bytes:
    """A file with bytes changed, cut off, put in, repeated or taken from another place."""
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(changed) - 1, 0)))
        kind = draw(st.sampled_from(["set", "cut", "insert", "repeat", "move", "number"]))
        if kind == "set" and changed:
            changed[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del changed[at : at + draw(st.integers(1, 40))]
        elif kind == "insert":
            changed[at:at] = draw(st.binary(max_size=12))
        elif kind == "repeat":
            changed[at:at] = changed[at : at + draw(st.integers(1, 200))]
        elif kind == "move":
            to = draw(st.integers(0, max(len(changed) - 1, 0)))
            changed[to : to + 8] = changed[at : at + 8]
        else:
            changed[at : at + 8] = struct.pack(
                "<Q", draw(st.sampled_from([0, 1, 2**31, 2**32, 2**63 - 1, 2**64 - 1]))
            )
    return bytes(changed) if draw(st.booleans()) else bytes(changed[: draw(st.integers(0, len(changed)))])


@pytest.mark.parametrize("name", SINGLE)
@fuzz
@given(data=st.data())
def test_feature_files_with_damaged_bytes(tmp_path, name, data):
    folder = tmp_path
    hit = data.draw(st.integers(0, len(GOOD[name]) - 1))
    for i, (file, good) in enumerate(GOOD[name]):
        (folder / file).write_bytes(data.draw(damaged(good)) if i == hit else good)
    with bounded():
        check_load(folder / f"x{suffix_of(name)}", name)


@pytest.mark.parametrize("name", SINGLE)
@fuzz
@given(content=st.binary(max_size=300))
def test_feature_files_of_any_bytes(tmp_path, name, content):
    folder = tmp_path
    for file, _ in GOOD[name]:
        (folder / file).write_bytes(content)
    check_load(folder / f"x{suffix_of(name)}", name)


TOKENS = [
    b"nan",
    b"-inf",
    b"1e999",
    b"-1",
    b"0",
    b"9" * 400,
    b"0x10",
    b"1_0",
    b"\xb2",
    b"",
    b"null",
    b"[]",
    b'"',
    b"{",
]
TOKENS += [
    b"128",
    b"1e18",
    b"-0.0",
    b"1e-320",
    b"\x00",
    b"\xff",
    b"\n\n",
    b"\r",
    b"9007199254740993",
    b"[" * 3000,
]


@pytest.mark.parametrize("name", TEXTS)
@fuzz
@given(data=st.data())
def test_texts_with_other_words(tmp_path, name, data):
    path = tmp_path / f"x{suffix_of(name)}"
    ((_, good),) = GOOD[name]
    separator = b"," if name in ("csv", "json", "jsonl") else b" "
    words = good.split(separator)
    for _ in range(data.draw(st.integers(1, 4))):
        words[data.draw(st.integers(0, min(len(words) - 1, 60)))] = data.draw(st.sampled_from(TOKENS))
    path.write_bytes(separator.join(words))
    check_load(path, name)


# --- structure -------------------------------------------------------------------------------------------

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
trees = st.recursive(
    scalars, lambda t: st.lists(t, max_size=4) | st.dictionaries(st.text(max_size=4), t, max_size=3)
)


@pytest.mark.parametrize("name", ["json", "jsonl"])
@fuzz
@given(data=st.data())
def test_json_of_another_structure(tmp_path, name, data):
    path = tmp_path / f"x.{name}"
    ((_, good),) = GOOD[name]
    documents = [json.loads(part) for part in ([good] if name == "json" else good.splitlines())]
    document = data.draw(st.sampled_from(documents))
    for node in (document, document.get("params"), *document.get("keypoints", [])[:1]):
        if isinstance(node, dict) and data.draw(st.booleans()):
            node[data.draw(st.sampled_from(sorted(node)))] = data.draw(trees)
    path.write_text("\n".join(json.dumps(one) for one in documents))
    check_load(path)


dtypes = hnp.scalar_dtypes() | hnp.unicode_string_dtypes(max_len=4) | hnp.array_dtypes(max_size=2)
shapes = hnp.array_shapes(min_dims=0, max_dims=3, max_side=4) | st.sampled_from([(3,), (3, 2), (0,)])
arrays = hnp.arrays(dtypes, shapes)
numbers = hnp.arrays(hnp.floating_dtypes(sizes=(32, 64)) | hnp.integer_dtypes(), shapes)


@pytest.mark.parametrize("name", ["npz", "hpatches", "lightglue"])
@fuzz
@given(data=st.data())
def test_archives_of_other_arrays(tmp_path, name, data):
    path = tmp_path / f"x{suffix_of(name)}"
    ((_, good),) = GOOD[name]
    with np.load(io.BytesIO(good)) as archive:
        members = dict(archive)
    for key in data.draw(st.lists(st.sampled_from(sorted(members)), min_size=1, max_size=3)):
        members[key] = data.draw(arrays)
    with path.open("wb") as file:
        np.savez(file, **members)
    check_load(path, name)


def test_an_array_header_cannot_claim_what_is_not_there(tmp_path):
    # Shapes whose product is right, but which are none; types with hidden parts.
    ((_, good),) = GOOD["npz"]
    for old, new in (
        (b"(3, 2)", b"(-3,-2"),
        (b"(3, 2)", b"(6,)  "),
        (b"'<f4'", b"'|O8'"),
        (b"(3, 2)", b"(6,1L)"),
    ):
        path = tmp_path / "x.npz"
        path.write_bytes(good.replace(old, new, 1))
        with pytest.raises(InputError):
            load(path)


# --- collections -----------------------------------------------------------------------------------------


def collection(folder: Path, name: str) -> Path:
    path = folder / f"x{suffix_of(name)}"
    save(example(), path, name)
    return path


def check_collection(path: Path) -> None:
    """Names and features, or one clear line."""
    try:
        with timed(), open_reader(path) as reader:
            for name in reader.names():
                assert_valid(reader.read(name).features)
    except SiftcliError as error:
        assert_one_clear_line(str(error), str(path))


@pytest.fixture(scope="module")
def collections(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return {name: collection(folder, name) for name in ("hloc", "colmap-db", "parquet")}


def file_in(path: Path) -> Path:
    return next(path.iterdir()) if path.is_dir() else path


@pytest.mark.parametrize("name", ["hloc", "colmap-db", "parquet"])
@fuzz
@given(data=st.data())
def test_collections_with_damaged_bytes(tmp_path, collections, name, data):
    good = file_in(collections[name])
    path = tmp_path / collections[name].name
    if name == "parquet":
        path.mkdir(exist_ok=True)
    (path / good.name if name == "parquet" else path).write_bytes(data.draw(damaged(good.read_bytes())))
    check_collection(path)


values = st.one_of(scalars.filter(lambda v: not isinstance(v, int) or abs(v) < 2**63), st.binary(max_size=40))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
TABLES = {
    "images": ("name", "camera_id"),
    "cameras": ("width", "height", "model"),
    "keypoints": ("rows", "cols", "data"),
    "descriptors": ("rows", "cols", "data"),
    "siftcli": ("value",),
}


@fuzz
@given(data=st.data())
def test_databases_with_other_values(tmp_path, collections, data):
    path = tmp_path / "x.db"
    path.write_bytes(collections["colmap-db"].read_bytes())
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for _ in range(data.draw(st.integers(1, 3))):
            table = data.draw(st.sampled_from(sorted(TABLES)))
            column = data.draw(st.sampled_from(TABLES[table]))
            value = data.draw(values if column != "name" else texts | st.binary(max_size=6))
            connection.execute(f"UPDATE OR IGNORE {table} SET {column} = ?", (_storable(value),))
        connection.commit()
    check_collection(path)


def _storable(value: object) -> object:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE descriptors",
        "ALTER TABLE keypoints RENAME COLUMN data TO other",
        "CREATE TRIGGER t AFTER INSERT ON images BEGIN DELETE FROM images; END",
        "ALTER TABLE images RENAME TO i; CREATE VIEW images AS SELECT * FROM i",
        "DROP TABLE keypoints; CREATE TABLE keypoints (image_id INTEGER PRIMARY KEY, rows, cols, "
        "data AS (zeroblob(900000000)) STORED); INSERT INTO keypoints VALUES (1, 30000, 7500)",
        "DROP TABLE keypoints; CREATE TABLE keypoints (image_id INTEGER PRIMARY KEY, rows, cols, "
        "data AS (zeroblob(900000000)) VIRTUAL); INSERT INTO keypoints VALUES (1, 37500000, 6)",
    ],
    ids=lambda change: change[:30],
)
def test_databases_of_another_schema(tmp_path, collections, change):
    path = tmp_path / "x.db"
    path.write_bytes(collections["colmap-db"].read_bytes())
    connection = sqlite3.connect(path)
    if "STORED" in change:
        change = change.replace("zeroblob(900000000)", "zeroblob(9)")
    connection.executescript(change)
    connection.close()
    with bounded(), pytest.raises(SiftcliError) as caught, open_reader(path) as reader:
        reader.read(reader.names()[0])
    assert_one_clear_line(str(caught.value), str(path))


@fuzz
@given(data=st.data())
def test_hdf5_of_other_datasets(tmp_path, collections, data):
    path = tmp_path / "x.h5"
    path.write_bytes(collections["hloc"].read_bytes())
    with h5py.File(path, "r+") as file:
        group = file["a.png"]
        for name in data.draw(st.lists(st.sampled_from(sorted(group)), min_size=1, max_size=2, unique=True)):
            del group[name]
            kind = data.draw(st.sampled_from(["array", "gone", "group", "loop", "elsewhere", "huge"]))
            if kind == "array":
                group[name] = data.draw(numbers)
            elif kind == "group":
                group.create_group(name)
            elif kind == "loop":
                group[name] = h5py.SoftLink(f"/a.png/{name}")
            elif kind == "elsewhere":
                group[name] = h5py.ExternalLink("/etc/passwd", "/")
            elif kind == "huge":
                group.create_dataset(name, (10**9, 2), "f4", chunks=(1000, 2))
    check_collection(path)


odd_columns = st.sampled_from(
    [[value] * 3 for value in (None, [1], [1.0] * 128, float("nan"), "x", b"x", True)]
)


@fuzz
@given(data=st.data())
def test_parquet_of_other_columns(tmp_path, collections, data):
    path = tmp_path / "x.parquet"
    path.mkdir(exist_ok=True)
    table = pq.read_table(file_in(collections["parquet"]))
    name = data.draw(st.sampled_from(table.column_names))
    column = data.draw(st.lists(st.integers(-300, 300), min_size=3, max_size=3) | odd_columns)
    table = table.set_column(table.column_names.index(name), name, pa.array(column))
    if data.draw(st.booleans()):
        head = data.draw(st.binary(max_size=20) | trees.map(lambda t: json.dumps(t).encode()))
        table = table.replace_schema_metadata({b"siftcli": head})
    pq.write_table(table, path / "part-0.parquet")
    check_collection(path)


@fuzz
@given(
    rest=st.binary(max_size=200),
    size=st.sampled_from([0, 1, 5000, 2**40, 2**63, 2**64 - 1]),
    n=st.sampled_from([0, 1, 2, 2**64 - 1]),
)
def test_journals_of_any_bytes(tmp_path, collections, rest, size, n):
    path = tmp_path / "x.h5"
    path.write_bytes(collections["hloc"].read_bytes())
    journal = path.with_name(".x.h5.journal")
    journal.write_bytes(_HEAD.pack(_MAGIC, path.stat().st_ino, size, n) + rest)
    try:
        finish_interrupted(path)
    except OSError as error:
        assert ".x.h5.journal is damaged" in str(error)
        assert path.read_bytes() == collections["hloc"].read_bytes()
    check_collection(path)


# --- images ----------------------------------------------------------------------------------------------


@fuzz
@given(data=st.data())
def test_images_with_damaged_bytes(tmp_path, data):
    path = tmp_path / "x.png"
    name = data.draw(st.sampled_from(sorted(hostile.seeds())))
    path.write_bytes(data.draw(damaged(hostile.seeds()[name])))
    check_image(path)


MAGICS = [
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"RIFF\0\0\0\0WEBP",
    b"P1 ",
    b"P2 ",
    b"P4 ",
    b"P5 ",
    b"P6 ",
    b"BM",
]


@fuzz
@given(magic=st.sampled_from(MAGICS), rest=st.binary(max_size=200))
def test_images_of_any_bytes(tmp_path, magic, rest):
    path = tmp_path / "x.png"
    path.write_bytes(magic + rest)
    check_image(path)


tags = st.tuples(
    st.sampled_from(
        [256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 322, 323, 324, 325, 338, 339]
    ),
    st.sampled_from([3, 4]),
    st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 64, 200, 4096, 30_000, 65_535]),
)


@fuzz
@given(extra=st.lists(tags, max_size=8), bits=st.sampled_from([1, 8, 16, 32]), order=st.sampled_from("<>"))
def test_tiff_directories_of_any_tags(tmp_path, extra, bits, order):
    path = tmp_path / "x.tif"
    common = [
        (256, 3, 8),
        (257, 3, 8),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 200),
        (278, 3, 8),
        (279, 4, 256),
    ]
    by_tag = {tag[0]: tag for tag in [*common, *extra]}
    path.write_bytes(hostile.tiff_file([by_tag[tag] for tag in sorted(by_tag)], order))
    check_image(path)


def check_image(path: Path) -> None:
    """A finite grey image, or one clear line."""
    try:
        with timed(), bounded():
            grey = read_image(path).grey
    except SiftcliError as error:
        assert_one_clear_line(str(error), str(path))
    else:
        assert grey.ndim == 2
        assert grey.dtype == np.float32
        assert np.isfinite(grey).all()


def test_masks_are_read_by_the_same_loader(tmp_path):
    siftcli.detect(hostile.GREY)
    for case in hostile.lying_headers():
        (tmp_path / case.name).write_bytes(case.data)
        with pytest.raises(SiftcliError) as caught:
            siftcli.detect(hostile.GREY, mask=tmp_path / case.name)
        assert_one_clear_line(str(caught.value), case.name)

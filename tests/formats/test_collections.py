"""Collections: many images in one file or folder, hloc's layout, names as data, damaged files."""

import sqlite3
from dataclasses import replace

import h5py
import numpy as np
import pytest
from conftest import SAMPLES
from hypothesis import given, settings
from hypothesis import strategies as st
from test_foreign_formats import assert_carried, one
from test_formats import assert_same, example

import siftcli
from siftcli.errors import InputError, OutputError, SiftcliError
from siftcli.features import Matches
from siftcli.formats import load, save
from siftcli.formats._collections import WriteOptions, open_reader, open_writer
from siftcli.formats._matches import PairMatches
from siftcli.formats.hloc_matches import HlocMatchWriter
from siftcli.matching.verification import verify
from siftcli.workflows.pair_selection import select_pairs

KINDS = {"hloc": "x.h5", "colmap-db": "x.db", "parquet": "x.parquet"}
NOT_UTF_8 = "\udcff\udcfe.png"
"""As Python gives a file name of the bytes ff fe."""
NAMES = (
    "a.jpg",
    "sub/b c.jpg",
    'it\'s "quoted"; DROP TABLE images;--.png',
    "line\nbreak.png",
    "\u00e9\u4e2d\U0001f600.png",
    "../../outside.png",
    "?mode=memory#x%41.png",
    "-o.png",
    NOT_UTF_8,
)
"""A name is data."""


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def images(names):
    return dict.fromkeys(names)


def write_all(path, features, **options):
    with open_writer(path, None, WriteOptions(images=images(features), **options)) as writer:
        for name, f in features.items():
            writer.write(name, f)


def test_names_are_data(tmp_path, kind):
    folder = tmp_path / "sub"
    folder.mkdir()
    names = [name for name in NAMES if kind != "hloc" or name != NOT_UTF_8]
    features = {name: one(xy=[[i, 1.5]], image_name=name) for i, name in enumerate(names)}
    write_all(folder / KINDS[kind], features)
    assert [path.name for path in tmp_path.iterdir()] == ["sub"]
    assert [path.name for path in folder.iterdir()] == [KINDS[kind]]
    with open_reader(folder / KINDS[kind]) as reader:
        assert reader.names() == sorted(names)
        for i, name in enumerate(names):
            read = reader.read(name).features
            assert read.xy.tolist() == [[i, 1.5]]
            assert read.image_name == name


@given(
    text=st.text(
        st.characters(exclude_characters="\0/", exclude_categories=["Cs"]), min_size=1, max_size=12
    ).filter(lambda t: t != ".")
)
@settings(max_examples=25, deadline=None)
def test_any_name(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("names")
    for kind, file in KINDS.items():
        write_all(folder / file, {f"d/{text}": one(image_name=text)})
        with open_reader(folder / file) as reader:
            assert reader.names() == [f"d/{text}"], kind
            assert len(reader.read(f"d/{text}").features) == 1


def test_features_of_each_image_come_back(tmp_path, kind):
    features = {f"{n}.png": replace(example(n), image_name=f"{n}.png") for n in (0, 1, 5)}
    write_all(tmp_path / KINDS[kind], features)
    with open_reader(tmp_path / KINDS[kind]) as reader:
        for name, f in features.items():
            read = reader.read(name).features
            if kind == "parquet":
                assert_same(read, f)
            else:
                assert_carried(kind, f, read)


def test_load_names_the_images_of_a_collection(tmp_path, kind):
    path = tmp_path / KINDS[kind]
    write_all(path, {"a.png": one(), "b.png": one(xy=[[3, 4]])})
    with pytest.raises(InputError, match=r"holds 2 images; name one of them: a\.png, b\.png"):
        load(path)
    assert load(path, image="b.png").xy.tolist() == [[3, 4]]
    with pytest.raises(InputError, match=r"'c\.png'; it has a\.png, b\.png"):
        load(path, image="c.png")


def test_existing_collections(tmp_path, kind):
    path = tmp_path / KINDS[kind]
    write_all(path, {"a.png": one()})
    with pytest.raises(OutputError, match="--overwrite to replace it or --append"):
        write_all(path, {"b.png": one()})
    write_all(path, {"b.png": one()}, append=True)
    with pytest.raises(OutputError, match=r"a\.png has features already"):
        write_all(path, {"a.png": one()}, append=True)
    write_all(path, {"a.png": one(xy=[[7, 7]])}, append=True, overwrite=True)
    assert load(path, image="a.png").xy.tolist() == [[7, 7]]
    assert load(path, image="b.png").xy.tolist() == [[10.25, 20.5]]
    write_all(path, {"c.png": one()}, overwrite=True)
    with open_reader(path) as reader:
        assert reader.names() == ["c.png"]


def test_has(tmp_path, kind):
    with open_writer(tmp_path / KINDS[kind], None, WriteOptions(images=images(["a.png", "b.png"]))) as writer:
        assert not writer.has("a.png")
        writer.write("a.png", one())
        assert writer.has("a.png")
        assert not writer.has("b.png")


def test_a_failed_write_leaves_the_rest(tmp_path, kind, monkeypatch):
    """What is written of an image is there whole or not at all."""
    path = tmp_path / KINDS[kind]
    broken = one()
    object.__setattr__(broken, "descriptors", "not an array")
    with open_writer(path, None, WriteOptions(images=images(["a.png", "b.png"]))) as writer:
        writer.write("a.png", one())
        with pytest.raises((SiftcliError, TypeError, AttributeError)):
            writer.write("b.png", broken)
        assert not writer.has("b.png")
    with open_reader(path) as reader:
        assert reader.names() == ["a.png"]


def test_a_folder_of_feature_files_is_read_as_a_collection(tmp_path):
    (tmp_path / "sub").mkdir()
    save(one(), tmp_path / "a.png.npz")
    save(one(xy=[[1, 2]]), tmp_path / "sub/b.jpg.csv")
    with open_reader(tmp_path) as reader:
        assert reader.names() == ["a.png", "sub/b.jpg"]
        assert reader.read("sub/b.jpg").features.xy.tolist() == [[1, 2]]
    save(one(), tmp_path / "a.png.csv")
    with pytest.raises(InputError, match=r"a\.png has several"):
        open_reader(tmp_path)
    with open_reader(tmp_path, "npz") as reader:
        assert reader.names() == ["a.png"]


# --- hloc: its documented layout, read as hloc reads it ----------------------------------------------------


def hloc_keypoints(path, name):
    with h5py.File(path, "r", libver="latest") as file:
        return file[name]["keypoints"].__array__()


def hloc_matcher_tensors(path, name):
    with h5py.File(path, "r") as file:
        return {key: np.asarray(value.__array__(), np.float32) for key, value in file[name].items()}


def hloc_pair_key(name0, name1):
    return "/".join((name0.replace("/", "-"), name1.replace("/", "-")))


def hloc_find_pair(file, name0, name1):
    for key, is_reversed in ((hloc_pair_key(name0, name1), False), (hloc_pair_key(name1, name0), True)):
        if key in file:
            return key, is_reversed
    raise ValueError((name0, name1))


def hloc_matches(path, name0, name1):
    with h5py.File(path, "r", libver="latest") as file:
        key, is_reversed = hloc_find_pair(file, name0, name1)
        matches = file[key]["matches0"].__array__()
        scores = file[key]["matching_scores0"].__array__()
    rows = np.where(matches != -1)[0]
    pairs = np.stack([rows, matches[rows]], -1)
    return pairs[:, ::-1] if is_reversed else pairs, scores[rows]


def hloc_nearest_neighbours(descriptors0, descriptors1):
    """Mutual nearest neighbours as hloc finds them: (D, N) unit vectors, distance 2 (1 - d0·d1)."""
    similarity = descriptors0.T @ descriptors1
    forward, back = similarity.argmax(1), similarity.argmax(0)
    rows = np.flatnonzero(back[forward] == np.arange(len(forward)))
    assert (2 * (1 - similarity[rows, forward[rows]]) > -1e-5).all(), "not unit vectors"
    return np.stack([rows, forward[rows]], -1)


@pytest.fixture(scope="module")
def two():
    """Features of an image and of the same image shifted by (16, 8)."""
    image = np.array(siftcli.image.read_image(next(p for p in SAMPLES if p.name == "camera.png")).grey)
    return siftcli.detect(image[:-8, :-16], max_features=300), siftcli.detect(
        image[8:, 16:], max_features=300
    )


def test_hloc_reads_features(tmp_path, two):
    path = tmp_path / "features.h5"
    write_all(path, dict(zip(("db/a.jpg", "query/b.jpg"), two, strict=True)))
    for name, f in zip(("db/a.jpg", "query/b.jpg"), two, strict=True):
        np.testing.assert_array_equal(hloc_keypoints(path, name), f.xy)  # hloc adds the half pixel itself
        tensors = hloc_matcher_tensors(path, name)
        assert tensors["descriptors"].shape == (128, len(f))
        np.testing.assert_allclose(np.linalg.norm(tensors["descriptors"], axis=0), 1, atol=1e-6)
        assert tensors["scores"].shape == (len(f),)
        assert tensors["image_size"].tolist() == list(f.image_size)
        np.testing.assert_allclose(tensors["oris"], np.rad2deg(f.orientation), rtol=1e-6)
        with h5py.File(path, "r") as file:
            assert {file[name][key].dtype for key in ("keypoints", "descriptors")} == {np.dtype("f4")}
    descriptors = [hloc_matcher_tensors(path, name)["descriptors"] for name in ("db/a.jpg", "query/b.jpg")]
    pairs = hloc_nearest_neighbours(*descriptors)
    shift = two[0].xy[pairs[:, 0]] - two[1].xy[pairs[:, 1]]
    assert np.mean(np.abs(shift - (16, 8)).max(1) < 1) > 0.7


def test_hloc_reads_matches(tmp_path, two):
    path = tmp_path / "matches.h5"
    matches = siftcli.match(*two)
    model = verify(*two, matches, "similarity")
    names = ("db/a.jpg", "query/b.jpg")

    def pair(verification, min_inliers=15):
        return PairMatches(names=names, n_features=tuple(map(len, two)), matches=matches,
                           verification=verification, min_inliers=min_inliers)  # fmt: skip

    with HlocMatchWriter(path, options="none", overwrite=False) as writer:
        assert not writer.has(*names)
        writer.write(pair(None))
        assert writer.has(*names)
    found, scores = hloc_matches(path, *names)
    np.testing.assert_array_equal(found, matches.pairs)
    np.testing.assert_array_equal(hloc_matches(path, *names[::-1])[0], matches.pairs[:, ::-1])
    cosine = 2 * scores - 1
    d0, d1 = (f.descriptors[matches.pairs[:, i]].astype(float) for i, f in enumerate(two))
    np.testing.assert_allclose(cosine, np.sum(d0 * d1, 1) / 512**2, atol=0.01)  # lengths are 512 within 1 %
    with HlocMatchWriter(path, options="model", overwrite=True) as writer:
        writer.write(pair(model))
    np.testing.assert_array_equal(hloc_matches(path, *names)[0], matches.pairs[model.inliers])
    with HlocMatchWriter(path, options="model", overwrite=True) as writer:
        writer.write(pair(model, min_inliers=1000))
    assert len(hloc_matches(path, *names)[0]) == 0
    with h5py.File(path) as file:
        assert file["db-a.jpg/query-b.jpg/matches0"].dtype == np.int32


def test_more_than_32767_features_fit(tmp_path):
    n = 40_000
    matches = Matches(
        pairs=np.array([[n - 1, n - 2]], np.int32), distance=np.ones(1, "f4"), ratio=np.ones(1, "f4")
    )
    with HlocMatchWriter(tmp_path / "m.h5", options="", overwrite=False) as writer:
        found = {"matches": matches, "verification": None, "min_inliers": 15}
        writer.write(PairMatches(names=("a", "b"), n_features=(n, n), **found))
    assert hloc_matches(tmp_path / "m.h5", "a", "b")[0].tolist() == [[n - 1, n - 2]]


def test_matches_of_other_options_are_refused(tmp_path):
    HlocMatchWriter(tmp_path / "m.h5", options="one", overwrite=False).close()
    HlocMatchWriter(tmp_path / "m.h5", options="one", overwrite=False).close()
    with pytest.raises(OutputError, match="other options"):
        HlocMatchWriter(tmp_path / "m.h5", options="two", overwrite=False)
    HlocMatchWriter(tmp_path / "m.h5", options="two", overwrite=True).close()


def test_hlocs_own_features_are_read(tmp_path):
    """float16 and no mark of completion, as hloc writes them."""
    d = np.abs(np.random.default_rng(0).standard_normal((128, 3)))
    with h5py.File(tmp_path / "f.h5", "w") as file:
        group = file.create_group("sub/a.jpg")
        group["keypoints"] = np.array([[1, 2], [3, 4], [5.5, 6]], np.float16)
        group["descriptors"] = (d / np.linalg.norm(d, axis=0)).astype(np.float16)
        group["scores"] = np.ones(3, np.float16)
        group["image_size"] = np.array([640, 480])
    f = load(tmp_path / "f.h5")
    assert f.xy.tolist() == [[1, 2], [3, 4], [5.5, 6]]
    assert (f.image_name, f.image_size) == ("sub/a.jpg", (640, 480))


def test_an_unfinished_group_is_not_there(tmp_path):
    write_all(tmp_path / "x.h5", {"a.png": one(), "b.png": one()})
    with h5py.File(tmp_path / "x.h5", "a") as file:
        file["a.png"].attrs["complete"] = False
    with open_reader(tmp_path / "x.h5") as reader:
        assert reader.names() == ["b.png"]
    with open_writer(tmp_path / "x.h5", None, WriteOptions(images=images(["a.png"]), append=True)) as writer:
        assert not writer.has("a.png")
        writer.write("a.png", one())
        assert writer.has("a.png")


# --- pairs ------------------------------------------------------------------------------------------------


def listed(names, pairs):
    """The pairs by name."""
    return list(select_pairs(names, pairs).without(np.empty(0, np.int64)))


def test_pairs(tmp_path):
    names = ["c", "a", "b", "d e"]
    assert listed(names, "exhaustive") == [
        ("a", "b"), ("a", "c"), ("a", "d e"), ("b", "c"), ("b", "d e"), ("c", "d e"),
    ]  # fmt: skip
    assert listed(names, "sequential:1") == [("a", "b"), ("b", "c"), ("c", "d e")]
    assert len(select_pairs(names, "sequential:9")) == 6
    (tmp_path / "p.txt").write_text("a c\n\nd e b\r\nb d e\n")
    assert listed(names, str(tmp_path / "p.txt")) == [("a", "c"), ("b", "d e")]
    assert listed([], "exhaustive") == []


@pytest.mark.parametrize(
    "text", ["sequential", "sequential:", "sequential:0", "sequential:1.5", "sequential:-1"]
)
def test_wrong_overlap(text):
    with pytest.raises(siftcli.SiftcliError, match="whole K"):
        select_pairs(["a", "b"], text)


@pytest.mark.parametrize("line", ["a", "a z", "a a", "a b c", "\0"])
def test_wrong_pairs(tmp_path, line):
    (tmp_path / "p").write_text(f"a b\n{line}\n")
    with pytest.raises(InputError, match="line 2"):
        select_pairs(["a", "b"], str(tmp_path / "p"))
    with pytest.raises(InputError, match="or a file of pairs"):
        select_pairs(["a", "b"], str(tmp_path / "missing"))


# --- what is refused ------------------------------------------------------------------------------------


def assert_refused(path, image=None):
    with pytest.raises(InputError) as caught:
        load(path, image=image)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("kind", ["hloc", "colmap-db"])
def test_damaged_files(tmp_path, kind):
    path = tmp_path / KINDS[kind]
    save(example(50), path)
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for content in (b"", b"hello", good[:10], good[:600], good[: len(good) // 2], b"\0" * 5000):
        path.write_bytes(content)
        assert_refused(path)
    for _ in range(60):
        content = bytearray(good)
        for at in rng.integers(0, len(good), 20):
            content[at] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            load(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_damaged_parquet(tmp_path):
    path = tmp_path / "x.parquet"
    save(example(50), path)
    (part,) = path.iterdir()
    good = part.read_bytes()
    for content in (b"", b"hello", good[:100], good[: len(good) // 2], good[:-20] + b"\xff" * 20):
        part.write_bytes(content)
        assert_refused(path)
    part.unlink()
    assert_refused(path)
    (tmp_path / "y.parquet").write_bytes(good)
    assert_refused(tmp_path / "y.parquet")


def test_parquet_of_another_table(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    (tmp_path / "x.parquet").mkdir()
    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet/a.parquet")
    assert_refused(tmp_path / "x.parquet")


def test_parquet_is_one_table(tmp_path):
    import pyarrow.parquet as pq

    write_all(tmp_path / "x.parquet", {"a.png": example(3), "b.png": example(2), "c.png": example(0)})
    table = pq.read_table(tmp_path / "x.parquet")
    assert table.num_rows == 5
    assert sorted(table["image"].to_pylist()) == ["a.png"] * 3 + ["b.png"] * 2
    assert len(table["descriptor"][0].as_py()) == 128


@pytest.mark.parametrize("other", ["thesis.tex", "other.parquet", "part-2024.parquet/thesis.tex"])
def test_an_overwritten_parquet_folder_must_hold_nothing_else(tmp_path, other):
    write_all(tmp_path / "x.parquet", {"a.png": one()})
    path = tmp_path / "x.parquet" / other
    path.parent.mkdir(exist_ok=True)
    path.touch()
    with pytest.raises(OutputError, match=other.partition("/")[0]):
        write_all(tmp_path / "x.parquet", {"a.png": one()}, overwrite=True)
    assert path.exists()
    assert len(list((tmp_path / "x.parquet").iterdir())) == 2


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("keypoints", np.ones((3, 1))),
        ("keypoints", np.full((3, 2), np.nan)),
        ("keypoints", np.array([b"a", b"b", b"c"])),
        ("descriptors", np.ones((64, 3))),
        ("descriptors", np.full((128, 3), 255.0)),
        ("scales", -np.ones(3)),
        ("scores", np.ones(2)),
        ("image_size", np.array([-1, 5])),
    ],
)
def test_hloc_of_other_arrays(tmp_path, name, data):
    write_all(tmp_path / "x.h5", {"a.png": example(3)})
    with h5py.File(tmp_path / "x.h5", "a") as file:
        del file["a.png"][name]
        file["a.png"][name] = data
    assert_refused(tmp_path / "x.h5", "a.png")


def test_hdf5_claims_and_links(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("a.png")
        group.create_dataset("keypoints", shape=(2**28, 2), dtype="f4", chunks=(1024, 2))
        group.create_dataset("descriptors", shape=(128, 2**28), dtype="f4", chunks=(128, 1024))
    assert path.stat().st_size < 20_000
    assert_refused(path)
    with h5py.File(path, "w") as file:
        file["loop"] = h5py.SoftLink("/")
        file["away"] = h5py.ExternalLink("/etc/passwd", "/")
        group = file.create_group("a.png")
        group.create_dataset("keypoints", (2, 2), "f4", external=[("/etc/passwd", 0, 16)])
        group["descriptors"] = np.eye(128, 2, dtype="f4")
    assert_refused(path, "a.png")


def test_hdf5_of_another_kind(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data"] = np.ones(5)
    assert_refused(tmp_path / "x.h5")
    assert_refused(tmp_path / "x.h5", "data")


def test_sqlite_of_another_kind(tmp_path):
    path = tmp_path / "x.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE photos (id INTEGER)")
    connection.commit()
    assert_refused(path)
    for table in ("cameras", "descriptors", "matches", "two_view_geometries"):
        connection.execute(f"CREATE TABLE {table} (image_id, rows, cols, data)")
    connection.execute("CREATE TABLE images (image_id, name, camera_id)")
    endless = "WITH RECURSIVE c(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM c)"
    columns = "SELECT id AS image_id, 1 AS rows, 2 AS cols, '' AS data FROM c"
    connection.execute(f"CREATE VIEW keypoints AS {endless} {columns}")
    connection.close()
    assert_refused(path)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE keypoints SET rows = 1073741824",
        "UPDATE keypoints SET rows = -3",
        "UPDATE keypoints SET cols = 5",
        "UPDATE keypoints SET rows = 'many'",
        "UPDATE keypoints SET data = 'text'",
        "UPDATE keypoints SET data = NULL",
        "UPDATE keypoints SET data = zeroblob(72), cols = 6",
        "UPDATE descriptors SET rows = 2, data = zeroblob(256)",
        "UPDATE descriptors SET cols = 64, data = zeroblob(192)",
        "DELETE FROM images",
        "DROP TABLE keypoints",
    ],
)
def test_databases_with_other_content(tmp_path, change):
    path = tmp_path / "x.db"
    write_all(path, {"a.png": example(3)})
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(change)
    connection.close()
    assert_refused(path, "a.png")


def test_missing_collections(tmp_path):
    for name in KINDS.values():
        with pytest.raises(InputError, match="no such file"):
            load(tmp_path / name)


@pytest.mark.parametrize("name", ["/", NOT_UTF_8])
def test_a_name_that_no_group_can_have(tmp_path, name):
    with (
        open_writer(tmp_path / "x.h5", None, WriteOptions(images=images([name]))) as writer,
        pytest.raises(OutputError, match="rename"),
    ):
        writer.write(name, one())


def test_damaged_texts_in_hdf5_do_not_hang(tmp_path):
    """The library loops for ever on some damaged texts of variable length: none is written or read."""
    write_all(tmp_path / "x.h5", {"a.png": one()})
    with h5py.File(tmp_path / "x.h5", "a") as file:
        texts = [file.attrs.get_id(name) for name in ("siftcli", "convention")]
        texts.append(file["a.png"].attrs.get_id("descriptor_kind"))
        assert all(text.dtype.kind == "S" for text in texts)
        file["a.png"].attrs["descriptor_kind"] = "sift"  # of variable length
    assert_refused(tmp_path / "x.h5")

"""Saving and loading changes nothing; damaged files are refused in one line."""

import csv
import json
import zipfile

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from siftcli import SiftParams, load, save
from siftcli.errors import InputError, OutputError
from siftcli.features import Features, array_fields
from siftcli.formats import encode, inspect

NATIVE = ("npz", "csv", "json", "jsonl")
"""Formats of siftcli itself, which carry everything."""
TURN = np.float32(2 * np.pi)


def floats(low, high, **options):
    return st.floats(low, high, width=32, **options)


@st.composite
def features(draw):
    n = draw(st.integers(0, 4))
    kinds = {
        "xy": (np.float32, (n, 2), floats(None, None, allow_nan=False, allow_infinity=False)),
        "scale": (np.float32, n, floats(0, None, exclude_min=True, allow_infinity=False)),
        "orientation": (np.float32, n, floats(0, float(TURN), exclude_max=True)),
        "response": (np.float32, n, floats(0, 1)),
        "sign": (np.int8, n, st.sampled_from([-1, 1])),
        "octave": (np.int16, n, st.integers(-1, 20)),
        "descriptors": (np.uint8, (n, 128), st.integers(0, 255)),
    }
    columns = {name: draw(hnp.arrays(dtype, shape, elements=e)) for name, (dtype, shape, e) in kinds.items()}
    name = st.text(st.characters(exclude_characters="\0"), max_size=8)
    return Features(
        **columns,
        image_size=draw(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6))),
        image_name=draw(name),
        descriptor_kind=draw(st.sampled_from(["sift", "rootsift"])),
        exif_orientation=draw(st.integers(1, 8)),
        params=draw(
            st.sampled_from([None, SiftParams(), SiftParams(max_features=3, sigma=1.7, upright=True)])
        ),
        removed=draw(st.dictionaries(st.sampled_from(["edge", "low_contrast"]), st.integers(0, 10**6))),
    )


def example(n=3, **options):
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
        image_name='a\u0301 b,"c".png',
        params=SiftParams(),
        removed={"edge": 7},
        **options,
    )


def assert_same(a, b):
    for f in array_fields():
        left, right = getattr(a, f.name), getattr(b, f.name)
        assert left.dtype == right.dtype
        # the bits, as -0.0 is not 0.0
        assert left.tobytes() == right.tobytes(), f.name
    for name in ("image_size", "descriptor_kind", "image_name", "exif_orientation", "params"):
        assert getattr(a, name) == getattr(b, name), name
    assert list(a.removed.items()) == list(b.removed.items())


@pytest.mark.parametrize("name", NATIVE)
@given(f=features())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_saving_and_loading_changes_nothing(tmp_path, name, f):
    path = tmp_path / f"x.{name}"
    save(f, path, overwrite=True)
    assert_same(load(path), f)


@pytest.mark.parametrize("name", NATIVE)
def test_zero_features(tmp_path, name):
    save(example(0), tmp_path / "x", name)
    assert_same(load(tmp_path / "x", name), example(0))


@pytest.mark.parametrize("name", NATIVE)
def test_undecodable_file_name(tmp_path, name):
    f = Features(
        **{k.name: getattr(example(), k.name) for k in array_fields()},
        image_size=(9, 9),
        image_name="\udcff.png",
    )
    save(f, tmp_path / "x", name)
    assert load(tmp_path / "x", name).image_name == "\udcff.png"


@pytest.mark.parametrize("name", NATIVE)
def test_same_features_same_bytes(name):
    assert encode(example(), name) == encode(example(), name)


@pytest.mark.parametrize("name", NATIVE)
def test_a_file_says_its_format_version_and_convention(tmp_path, name):
    save(example(), tmp_path / f"x.{name}")
    content = inspect(tmp_path / f"x.{name}")
    assert content.format == name
    assert content.version
    assert "centre of the top-left pixel" in content.convention


def test_npz_is_read_by_numpy_alone(tmp_path):
    f = example()
    save(f, tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["xy"], f.xy)
        assert arrays["image_size"].tolist() == [100, 80]
        assert json.loads(str(arrays["params"]))["sigma"] == SiftParams().sigma
        assert "clockwise" in str(arrays["convention"])
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_compressed_npz_is_read(tmp_path):
    save(example(), tmp_path / "x.npz")
    with np.load(tmp_path / "x.npz") as arrays:
        np.savez_compressed(tmp_path / "y.npz", **arrays)
    assert_same(load(tmp_path / "y.npz"), example())


def test_csv_is_read_by_the_csv_module(tmp_path):
    f = example()
    save(f, tmp_path / "x.csv")
    comment, *lines = (tmp_path / "x.csv").read_text().splitlines()
    rows = list(csv.DictReader(lines))
    assert comment.startswith("# siftcli {")
    assert list(rows[0])[:8] == ["x", "y", "scale", "orientation", "response", "sign", "octave", "d0"]
    assert [np.float32(row["x"]) for row in rows] == f.xy[:, 0].tolist()
    assert int(rows[1]["d127"]) == f.descriptors[1, 127]


def test_json_is_read_by_the_json_module(tmp_path):
    f = example()
    save(f, tmp_path / "x.json")
    content = json.loads((tmp_path / "x.json").read_text())
    assert content["schema"] == 1
    assert content["image_size"] == [100, 80]
    assert np.float32(content["keypoints"][2]["y"]) == f.xy[2, 1]
    assert content["keypoints"][2]["descriptor"] == f.descriptors[2].tolist()


# --- what is refused -----------------------------------------------------------------------------------


def test_unknown_suffix_or_format(tmp_path):
    for path, name in (("x.txt", None), ("x", None), ("x.npz", "xls")):
        with pytest.raises(OutputError, match="npz"):
            save(example(), tmp_path / path, name)
    (tmp_path / "x.txt").touch()
    with pytest.raises(InputError, match="suffix"):
        load(tmp_path / "x.txt")


def test_missing_file_and_folder(tmp_path):
    for path in ("none.npz", ".", "nul\0.npz"):
        with pytest.raises(InputError):
            load(f"{tmp_path}/{path}")


def assert_refused(path):
    with pytest.raises(InputError) as caught:
        load(path)
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)


@pytest.mark.parametrize("name", NATIVE)
def test_empty_truncated_and_other_content(tmp_path, name):
    path = tmp_path / f"x.{name}"
    data = encode(example(), name)
    for content in (b"", b"\0" * 50, b"hello\n", data[:40], data[: len(data) // 2], data[:-6]):
        path.write_bytes(content)
        assert_refused(path)


@pytest.mark.parametrize("name", NATIVE)
@given(data=st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_bytes_are_refused_or_read_but_never_crash(tmp_path, name, data):
    content = bytearray(encode(example(1), name))
    for _ in range(3):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / f"x.{name}"
    path.write_bytes(content)
    try:
        assert len(load(path)) == 1
    except InputError as error:
        assert "\n" not in str(error)


def replaced(path, **arrays):
    with np.load(path) as old:
        np.savez(path, **{**old, **arrays})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("xy", np.zeros((3, 3)), "shape"),
        ("xy", np.full((3, 2), np.nan), "finite"),
        ("scale", np.zeros(3), "positive"),
        ("scale", np.ones(2), "shape"),
        ("scale", np.array(["a", "b", "c"]), "numbers"),
        ("orientation", np.full(3, 7.0), "orientation"),
        ("sign", np.zeros(3), "sign"),
        ("octave", np.full(3, 0.5), "whole"),
        ("descriptors", np.full((3, 128), 256), "255"),
        ("image_size", np.array([0, 5]), "image_size"),
        ("image_size", np.array(5), "image_size"),
        ("image_name", np.array(5), "image_name"),
        ("descriptor_kind", np.array("surf"), "surf"),
        ("convention", np.array("mine"), "convention"),
        ("params", np.array("{"), "JSON"),
        ("params", np.array('{"sigma": -1}'), "sigma"),
        ("params", np.array('{"colour": 1}'), "colour"),
        ("removed", np.array("[]"), "removed"),
        ("exif_orientation", np.array(9), "exif_orientation"),
        ("xy", np.array([object()]), "npz"),
    ],
)
def test_npz_of_other_arrays(tmp_path, name, value, said):
    save(example(), tmp_path / "x.npz")
    replaced(tmp_path / "x.npz", **{name: value})
    assert_refused(tmp_path / "x.npz")
    with pytest.raises(InputError, match=said):
        load(tmp_path / "x.npz")


def test_npz_that_lacks_an_array(tmp_path):
    np.savez(tmp_path / "x.npz", xy=np.zeros((3, 2)))
    with pytest.raises(InputError, match="convention"):
        load(tmp_path / "x.npz")


def test_headers_that_claim_more_than_is_there(tmp_path):
    path = tmp_path / "x.npz"
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999, 2), }\n"
    npy = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("xy.npy", npy)
    assert_refused(path)


def test_a_zip_bomb_is_not_inflated(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xy.npy", bytes(1 << 27))
    with pytest.raises(InputError, match="claims"):
        load(path)


def test_json_of_other_content(tmp_path):
    path = tmp_path / "x.json"
    good = json.loads(encode(example(), "json"))
    bad = [
        [],
        {**good, "schema": 99},
        {**good, "keypoints": 5},
        {**good, "keypoints": [5]},
        {**good, "keypoints": [{"x": 1}]},
        {**good, "keypoints": [{**good["keypoints"][0], "x": "far"}]},
        {**good, "keypoints": [{**good["keypoints"][0], "x": 10**400}]},
        {**good, "keypoints": [{**good["keypoints"][0], "descriptor": [1, 2]}]},
        {key: value for key, value in good.items() if key != "image_size"},
    ]
    for content in bad:
        path.write_text(json.dumps(content))
        assert_refused(path)
    path.write_text("[" * 100_000)
    assert_refused(path)


def test_csv_of_other_content(tmp_path):
    path = tmp_path / "x.csv"
    comment, header, first, *rest = encode(example(), "csv").decode().splitlines()
    bad = [
        [header, first],
        [comment],
        [comment, "x,y", "1,2"],
        [comment, header, "1,2,3"],
        [comment, header, first, first + ",1"],
        [comment, header, first.replace(",", ";")],
        [comment, header, "nan" + first[first.index(",") :]],
        [comment, header, first, ""],
        ["# siftcli {}", header, first, *rest],
        ["# siftcli [", header, first],
    ]
    for lines in bad:
        path.write_text("\n".join(lines) + "\n")
        assert_refused(path)

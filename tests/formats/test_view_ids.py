"""``siftcli convert --view-ids``: feature files under the names by which AliceVision finds them."""

import json

import numpy as np
import pytest
from test_foreign_formats import one

from siftcli.__main__ import run
from siftcli.formats import load
from siftcli.formats._collections import WriteOptions, open_reader, open_writer

NAMES = ["a.png", "cam0/1.png", "cam1/1.png"]
IDS = {"a.png": 11, "cam0/1.png": 3215006193, "cam1/1.png": 7}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Features of three images, told apart by where their keypoint is, and the views of the images."""
    monkeypatch.chdir(tmp_path)
    names = dict.fromkeys(NAMES)
    with open_writer("f.h5", None, WriteOptions(images=names)) as writer:
        for name in NAMES:
            writer.write(name, features(name))
    write_sfm(tmp_path, {name: f"/data/trip/{name}" for name in NAMES})
    return tmp_path


def features(name):
    return one(xy=[[10.0 + NAMES.index(name), 20.5]], image_name=name, descriptor_kind="rootsift")


def write_sfm(folder, paths, **changes):
    """As AliceVision writes it: numbers are text."""
    views = [{"viewId": str(IDS[name]), "poseId": "1", "path": path} for name, path in paths.items()]
    content = {"version": ["1", "2", "6"], "views": views, "intrinsics": [], **changes}
    (folder / "cameras.sfm").write_text(json.dumps(content))


def convert(*args):
    return run(["convert", *args, "--view-ids", "cameras.sfm"])


def files_in(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


EXPECTED = sorted(f"{view}.sift.{part}" for view in IDS.values() for part in ("feat", "desc"))


def test_files_are_named_by_view_ids(here, capfd):
    assert convert("f.h5", "out", "--to", "openmvg") == 0
    assert "3 images, 0 failed -> out" in capfd.readouterr().err
    assert files_in(here / "out") == EXPECTED
    for name, view in IDS.items():
        lines = (here / f"out/{view}.sift.feat").read_text().split("\n")
        x, y, scale, orientation = map(float, lines[0].split())
        assert (x, y, scale, orientation) == (10 + NAMES.index(name), 20.5, 2, 0.5)
        assert lines[1:] == [""]
        data = (here / f"out/{view}.sift.desc").read_bytes()
        assert data[:8] == (1).to_bytes(8, "little")
        # VLFeat's order: bin k of each of the 16 cells is Lowe's bin (8 - k) mod 8
        ours = load("f.h5", image=name).descriptors[0]
        assert list(data[8:16]) == [ours[0], *ours[7:0:-1]]
        assert sorted(data[8:]) == sorted(ours)


@pytest.mark.parametrize(
    "paths",
    [
        {name: f"C:\\Users\\me\\trip\\{name}".replace("/", "\\") for name in NAMES},
        {name: f"C:/Users/me/trip/{name}" for name in NAMES},
        {name: f"./images/{name}" for name in NAMES},
        {name: name for name in NAMES},
    ],
    ids=["backslashes", "Windows", "relative", "bare"],
)
def test_paths_of_other_systems(here, paths):
    write_sfm(here, paths)
    assert convert("f.h5", "out", "--to", "openmvg", "-q") == 0
    assert files_in(here / "out") == EXPECTED


def test_ids_may_be_numbers(here):
    views = [{"viewId": IDS[name], "path": f"/data/{name}"} for name in NAMES]
    (here / "cameras.sfm").write_text(json.dumps({"views": views}))
    assert convert("f.h5", "out", "--to", "openmvg", "-q") == 0
    assert files_in(here / "out") == EXPECTED


def test_from_a_folder_of_files_and_from_one_file(here):
    assert run(["convert", "f.h5", "npz", "-q"]) == 0
    assert convert("npz", "out", "--to", "openmvg", "-q") == 0
    assert files_in(here / "out") == EXPECTED
    assert run(["convert", "npz", "feats", "--to", "openmvg", "-q"]) == 0  # names lose their suffix
    assert convert("feats", "again", "--from", "openmvg", "--to", "openmvg", "-q") == 0
    assert files_in(here / "again") == EXPECTED
    assert convert("npz/cam1/1.png.npz", "single", "--to", "openmvg", "-q") == 0
    assert files_in(here / "single") == ["7.sift.desc", "7.sift.feat"]


def test_back_from_view_ids(here):
    assert convert("f.h5", "out", "--to", "openmvg", "-q") == 0
    assert convert("out", "g.h5", "--from", "openmvg", "-q") == 0
    with open_reader("g.h5") as reader:
        assert reader.names() == NAMES
    for name in NAMES:
        found, expected = load("g.h5", image=name), load("f.h5", image=name)
        assert found.image_name == name
        np.testing.assert_array_equal(found.xy, expected.xy)
        np.testing.assert_array_equal(found.descriptors, expected.descriptors)
    assert convert("out", "npz", "--from", "openmvg", "-q") == 0
    assert files_in(here / "npz") == [f"{name}.npz" for name in NAMES]


def test_back_with_names_relative_to_the_folder_of_images(here):
    write_sfm(here, {name: str(here / "photos/trip" / name) for name in NAMES})
    assert convert("f.h5", "out", "--to", "openmvg", "-q") == 0
    for folder, prefix in (("photos", "trip/"), ("photos/trip", ""), ("elsewhere", "")):
        options = ["--images", folder, "--overwrite", "-q"]
        assert convert("out", "g.h5", "--from", "openmvg", *options) == 0
        with open_reader("g.h5") as reader:
            assert reader.names() == [prefix + name for name in NAMES]


# --- what does not fit -----------------------------------------------------------------------------------


def test_an_image_without_a_view_fails_alone(here, capfd):
    write_sfm(here, {name: f"/data/{name}" for name in NAMES[1:]})
    assert convert("f.h5", "out", "--to", "openmvg") == 1
    assert "a.png: cameras.sfm has no view of this image" in capfd.readouterr().err
    assert files_in(here / "out") == [name for name in EXPECTED if not name.startswith("11.")]


def test_another_image_of_the_same_name_does_not_fit(here, capfd):
    write_sfm(
        here, {"cam0/1.png": "/data/cam0/1.png", "cam1/1.png": "/data/cam2/1.png", "a.png": "/data/ba.png"}
    )
    assert convert("f.h5", "out", "--to", "openmvg") == 1
    assert capfd.readouterr().err.count("no view of this image") == 2
    assert {name.split(".")[0] for name in files_in(here / "out")} == {str(IDS["cam0/1.png"])}


def test_several_views_that_may_be_meant(here, capfd):
    write_sfm(here, {"a.png": str(here / "x/a.png"), "cam1/1.png": str(here / "y/a.png")})
    (here / "y").mkdir()
    (here / "y/a.png").touch()
    with open_writer("one.h5", None, WriteOptions()) as writer:
        writer.write("a.png", features("a.png"))
    assert convert("one.h5", "out", "--to", "openmvg") == 1
    assert "2 views that may be of this image (11, 7); give the folder of images" in capfd.readouterr().err
    assert convert("one.h5", "out", "--to", "openmvg", "--images", "y", "-q") == 0
    assert files_in(here / "out") == ["7.sift.desc", "7.sift.feat"]


def test_two_images_of_one_view_are_refused_before_any_work(here, capfd):
    with open_writer("two.h5", None, WriteOptions()) as writer:
        for name in ("a.png", "trip/a.png"):
            writer.write(name, one(image_name=name))
    assert convert("two.h5", "out", "--to", "openmvg") == 1
    assert "a.png and trip/a.png would both be 11.sift.feat" in capfd.readouterr().err
    assert not (here / "out").exists()


def test_views_without_features_are_told(here, capfd):
    with open_writer("one.h5", None, WriteOptions()) as writer:
        writer.write("a.png", one(image_name="a.png"))
    assert convert("one.h5", "out", "--to", "openmvg") == 0
    assert "cameras.sfm has 3 views; AliceVision needs the features of each" in capfd.readouterr().err


def test_files_of_no_view_and_of_two_describers(here, capfd):
    assert convert("f.h5", "out", "--to", "openmvg", "-q") == 0
    for part in ("feat", "desc"):
        (here / f"out/7.dspsift.{part}").write_bytes((here / f"out/7.sift.{part}").read_bytes())
    assert convert("out", "g.h5", "--from", "openmvg") == 1
    assert "several feature files" in capfd.readouterr().err
    for part in ("feat", "desc"):
        (here / f"out/7.dspsift.{part}").rename(here / f"out/8.sift.{part}")
    assert convert("out", "g.h5", "--from", "openmvg") == 1
    assert "no view '8'" in capfd.readouterr().err
    assert not (here / "g.h5").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"{}",
        b'{"views": []}',
        b'{"views": {}}',
        b'{"views": [1]}',
        b'{"views": [{"viewId": "1"}]}',
        b'{"views": [{"path": "/a.png"}]}',
        b'{"views": [{"viewId": "1", "path": 3}]}',
        b'{"views": [{"viewId": "1", "path": ""}]}',
        b'{"views": [{"viewId": "1", "path": "a\\u0000"}]}',
        b'{"views": [{"viewId": "-1", "path": "/a.png"}]}',
        b'{"views": [{"viewId": "../1", "path": "/a.png"}]}',
        b'{"views": [{"viewId": true, "path": "/a.png"}]}',
        b'{"views": [{"viewId": 1.5, "path": "/a.png"}]}',
        b'{"views": [{"viewId": 4294967295, "path": "/a.png"}]}',
        b'{"views": [{"viewId": "1", "path": "/a.png"}, {"viewId": 1, "path": "/b.png"}]}',
        b'{"views": [{"viewId": "1", "path": "/"}]}',
        b"[" * 100_000,
    ],
)
def test_damaged_sfm_files(here, capfd, content):
    (here / "cameras.sfm").write_bytes(content)
    assert convert("f.h5", "out", "--to", "openmvg") == 1
    said = capfd.readouterr().err
    assert "cameras.sfm" in said
    assert "Traceback" not in said
    assert files_in(here / "out") == []


def test_an_sfm_file_larger_than_the_limit(here, capfd, monkeypatch):
    monkeypatch.setenv("SIFTCLI_MAX_FILE_BYTES", "100")
    assert convert("f.h5", "out", "--to", "openmvg") == 1
    assert "at most 100 bytes" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("args", "status", "said"),
    [
        (["f.h5", "g.db"], 2, "--to openmvg"),
        (["f.h5", "out"], 2, "--to openmvg"),
        (["one.npz", "a.feat"], 2, "a folder to write"),
        (["one.npz", "a.npz", "--from", "openmvg"], 2, "a folder to read"),
    ],
)
def test_view_ids_of_what_has_none(here, capfd, args, status, said):
    assert run(["convert", "f.h5", "npz", "-q"]) == 0
    (here / "npz/a.png.npz").rename("one.npz")
    assert convert(*args) == status
    assert said in capfd.readouterr().err


def test_a_missing_sfm_file(here, capfd):
    (here / "cameras.sfm").unlink()
    assert convert("f.h5", "out", "--to", "openmvg") == 1
    assert "cameras.sfm: expected an .sfm file" in capfd.readouterr().err

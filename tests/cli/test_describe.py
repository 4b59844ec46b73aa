"""``siftcli describe``: keypoints of one's own."""

import json

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

import siftcli
from siftcli import load
from siftcli.__main__ import run

CAMERA = str(next(path for path in SAMPLES if path.name == "camera.png"))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def detected():
    return siftcli.detect(CAMERA, max_features=60)


def write_table(features, path, *, separator=" ", degrees=False, head=""):
    angle = features.orientation.astype(float)
    angle = np.rad2deg(angle) if degrees else angle
    rows = np.column_stack([features.xy, features.scale, angle])
    lines = [separator.join(f"{value:.9g}" for value in row) for row in rows]
    path.write_text("\n".join([*([head] if head else []), *lines]) + "\n")


def assert_same(found, expected, tolerance=0):
    """The same rows; a table has no octave, which is derived from σ and may be the other of two."""
    np.testing.assert_allclose(found.xy, expected.xy, atol=1e-4)
    same = found.octave == expected.octave
    assert same.mean() > 0.8
    difference = np.abs(found.descriptors[same].astype(int) - expected.descriptors[same])
    assert difference.max() <= tolerance


def test_its_own_keypoints_get_the_same_descriptors(here, detected):
    siftcli.save(detected, here / "k.npz")
    assert run(["describe", CAMERA, "--keypoints", "k.npz", "-o", "out.npz", "-q"]) == 0
    found = load("out.npz")
    np.testing.assert_array_equal(found.descriptors, detected.descriptors)
    np.testing.assert_array_equal(found.xy, detected.xy)
    assert found.image_name == "camera.png"


def test_its_own_csv_is_no_table(here, detected):
    siftcli.save(detected, here / "k.csv")
    assert run(["describe", CAMERA, "--keypoints", "k.csv", "-o", "out.npz", "-q"]) == 0
    np.testing.assert_array_equal(load("out.npz").descriptors, detected.descriptors)


@pytest.mark.parametrize(
    ("name", "options", "head", "extra"),
    [
        ("k.txt", {}, "", []),
        ("k.txt", {"degrees": True}, "# x y scale angle in degrees", ["--angle-unit", "degrees"]),
        ("k.csv", {"separator": ","}, "x,y,scale,angle", []),
        ("k.dat", {"separator": ", "}, "X, Y, Scale, Angle", ["--keypoints-format", "table"]),
    ],
)
def test_tables(here, detected, name, options, head, extra):
    write_table(detected, here / name, head=head, **options)
    assert run(["describe", CAMERA, "--keypoints", name, "-o", "out.npz", "-q", *extra]) == 0
    # nine digits keep a float32; degrees are rounded once more: a difference of 1 of 255 at most
    assert_same(load("out.npz"), detected, tolerance=1)


def test_columns_are_found_by_name(here):
    (here / "k.csv").write_text("id,angle,scale,y,x,who\na1,0.5,4,30,20,me\n")
    assert run(["describe", CAMERA, "--keypoints", "k.csv", "-o", "out.npz", "-q"]) == 0
    found = load("out.npz")
    assert (found.xy.tolist(), found.scale.tolist(), found.orientation.tolist()) == ([[20, 30]], [4], [0.5])
    assert found.descriptors.any()


@pytest.mark.parametrize("target", ["x.db", "x.h5"])
def test_collections(here, detected, target):
    assert run(["detect", CAMERA, "-o", target, "--max-features", "60", "-q"]) == 0
    assert run(["describe", CAMERA, "--keypoints", target, "-o", "out.npz", "-q"]) == 0
    assert_same(load("out.npz"), load(target), tolerance=2)


def test_one_image_of_several(here, capsys):
    (here / "in").mkdir()
    Image.open(CAMERA).crop((0, 0, 200, 200)).save("in/a.png")
    Image.open(CAMERA).crop((200, 100, 400, 300)).save("in/b.png")
    assert run(["detect", "in", "-o", "x.h5", "--max-features", "40", "-q"]) == 0
    assert run(["describe", "in/b.png", "--keypoints", "x.h5", "-o", "b.npz", "-q"]) == 0
    np.testing.assert_allclose(load("b.npz").xy, load("x.h5", image="b.png").xy)
    Image.open("in/b.png").save("c.png")
    assert run(["describe", "c.png", "--keypoints", "x.h5"]) == 1
    assert "one of its 2 images, got 'c.png'" in capsys.readouterr().err
    assert (
        run(["describe", "c.png", "--keypoints", "x.h5", "--image-name", "b.png", "-o", "c.npz", "-q"]) == 0
    )
    np.testing.assert_array_equal(load("b.npz").descriptors, load("c.npz").descriptors)


def test_frames_of_a_turned_image(here, capsys):
    """A table is in the frame that the option says; COLMAP's keypoints are always in the stored one."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(CAMERA).crop((0, 0, 300, 200)).save("t.png", exif=exif)
    siftcli.save(siftcli.detect("t.png", max_features=30), "turned.npz")
    siftcli.save(siftcli.detect("t.png", max_features=30, exif_orientation="ignore"), "stored.npz")
    for name, choice in (("turned", "apply"), ("stored", "ignore")):
        write_table(load(f"{name}.npz"), here / "k.txt")
        out = ["-o", f"{name}-out.npz", "-q"]
        assert run(["describe", "t.png", "--keypoints", "k.txt", "--exif-orientation", choice, *out]) == 0
        assert_same(load(f"{name}-out.npz"), load(f"{name}.npz"), tolerance=1)
        assert load(f"{name}-out.npz").exif_orientation == load(f"{name}.npz").exif_orientation
    assert run(["detect", "t.png", "-o", "x.db", "--max-features", "30", "-q"]) == 0
    assert run(["describe", "t.png", "--keypoints", "x.db", "-o", "db.npz", "-q"]) == 0
    # found in the turned image, described in the stored one; some in the octave beside theirs
    lengths = siftcli.formats._conventions.unit_length
    cosines = (lengths(load("db.npz").descriptors) * lengths(load("x.db").descriptors)).sum(axis=1)
    assert np.median(cosines) > 0.999
    assert cosines.min() > 0.9
    assert run(["describe", "t.png", "--keypoints", "x.db", "--exif-orientation", "apply"]) == 2
    assert "--exif-orientation has no effect on keypoints that tell their frame" in capsys.readouterr().err


def test_options_of_the_descriptor(here, detected):
    siftcli.save(detected, here / "k.npz")
    assert run(["describe", CAMERA, "--keypoints", "k.npz", "-o", "plain.npz", "--no-rootsift", "-q"]) == 0
    expected = siftcli.describe(CAMERA, detected, rootsift=False)
    np.testing.assert_array_equal(load("plain.npz").descriptors, expected.descriptors)
    assert load("plain.npz").descriptor_kind == "sift"
    classic = siftcli.SiftParams.preset("classic")
    assert run(["describe", CAMERA, "--keypoints", "k.npz", "--preset", "classic", "-o", "c.npz", "-q"]) == 0
    assert load("c.npz").params == classic
    assert run(["describe", CAMERA, "--keypoints", "k.npz", "--preset", "classic", "-o", "c.db", "-q"]) == 0
    assert (
        load("c.db").descriptor_kind == "rootsift"
    )  # as COLMAP expects, unless --no-rootsift says otherwise


def test_outputs_are_those_of_detect(here, detected, capsysbinary):
    siftcli.save(detected, here / "k.npz")
    arguments = ["describe", CAMERA, "--keypoints", "k.npz"]
    assert run([*arguments, "--json"]) == 0
    found = json.loads(capsysbinary.readouterr().out)
    assert (found["n_keypoints"], found["output"], found["removed"]) == (60, None, {})
    assert run([*arguments, "-o", "-", "--format", "lowe", "-q"]) == 0
    assert capsysbinary.readouterr().out.startswith(b"60 128\n")
    assert run([*arguments, "-o", "folder/", "-q"]) == 0
    assert len(load("folder/camera.png.npz")) == 60
    assert run([*arguments, "--draw", "k.png", "-q"]) == 0
    assert Image.open("k.png").size[0] >= 512
    assert run([*arguments, "-o", "x.h5", "-q"]) == 0
    assert run([*arguments, "-o", "x.h5", "-q"]) == 2
    assert b"x.h5 exists; pass --overwrite" in capsysbinary.readouterr().err
    assert run([*arguments, "-o", "x.h5", "-q", "--overwrite"]) == 0


def test_no_keypoints_is_a_result(here):
    (here / "k.txt").write_text("# none\n\n")
    assert run(["describe", CAMERA, "--keypoints", "k.txt", "-o", "out.npz", "-q"]) == 0
    assert len(load("out.npz")) == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"10 20 3 90\n",
            "expected angles in radians, at most 2 pi, got 90 for keypoint 1; pass --angle-unit",
        ),
        (b"10 20 3\n", "expected 4 columns (x y scale angle), got 3 for keypoint 1"),
        (b"1 2 3 0\n1 2 x 0\n", "expected numbers only ('x')"),
        (b"x,y,size,angle\n1,2,3,0\n", "expected a column 'scale' in the first line"),
        (b"x,x,scale,angle,y\n1,2,3,0,1\n", "expected a column 'x' in the first line"),
        (b"1 2 0 0\n", "expected scale positive"),
        (b"1 nan 1 0\n", "expected x and y finite"),
        (b"1 2 1 inf\n", "k.txt: expected"),
        (b"\xff\xfe1 2\n", "expected text with x y scale angle on each line"),
        (b"1000 2 3 0\n1 1 1 1\n", "got (1000, 2) for keypoint 1; remove the 1 that lie outside"),
        (b"511.6 2 3 0\n", "expected keypoints in its 512 x 512 pixels"),
    ],
)
def test_tables_that_are_none(here, capsys, content, said):
    (here / "k.txt").write_bytes(content)
    assert run(["describe", CAMERA, "--keypoints", "k.txt", "-o", "out.npz"]) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
    assert not (here / "out.npz").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([CAMERA, "--keypoints", "none.txt"], 1, "none.txt: no such file"),
        ([CAMERA, "--keypoints", CAMERA], 1, "for text with x y scale angle it is table"),
        ([".", "--keypoints", "k.npz"], 2, "expected one image, got the folder ."),
        ([CAMERA, "--keypoints", "k.npz", "--angle-unit", "degrees"], 2, "--angle-unit is for tables"),
        ([CAMERA, "--keypoints", "k.npz", "--page", "2"], 1, "page"),
        (
            ["other.png", "--keypoints", "k.npz"],
            1,
            "expected 512 x 512 pixels as the features state, got 20 x 20",
        ),
        ([CAMERA], 2, "Missing option '--keypoints'"),
    ],
)
def test_wrong_usage(here, detected, capsys, arguments, status, said):
    siftcli.save(detected, here / "k.npz")
    Image.new("L", (20, 20)).save("other.png")
    assert run(["describe", *arguments]) == status
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1

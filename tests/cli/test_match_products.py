"""``siftcli match``: the verdict, and what follows from the map: --warp, --find, --save-transforms."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import siftcli
from siftcli.__main__ import run
from siftcli.formats.transforms import load_transforms

SAMPLES = Path(__file__).parents[2] / "sample_images"
DEG, FACTOR, CORNER = 25, 0.75, (400, 180)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An object, and a scene that shows it turned and smaller, in colour and with an EXIF orientation."""
    folder = tmp_path_factory.mktemp("made")
    thing = Image.open(SAMPLES / "astronaut.png").convert("RGB").crop((100, 0, 400, 300))
    thing.save(folder / "thing.png")
    scene = Image.open(SAMPLES / "chelsea.png").convert("RGB").resize((900, 600))
    turned = thing.rotate(DEG, expand=True, resample=Image.Resampling.BICUBIC)
    side = round(turned.size[0] * FACTOR)
    mask = Image.new("L", thing.size, 255).rotate(DEG, expand=True).resize((side, side))
    scene.paste(turned.resize((side, side)), CORNER, mask)
    scene.save(folder / "scene.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    scene.transpose(Image.Transpose.ROTATE_90).save(folder / "turned.tif", exif=exif)
    Image.new("L", (60, 50), 128).save(folder / "flat.png")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for path in made.iterdir():
        (tmp_path / path.name).symlink_to(path)
    capsys.readouterr()
    return tmp_path


def corners_of_the_thing():
    """Where the corner pixels of the object lie in the scene, by how it was made."""
    angle = np.deg2rad(DEG)
    side = 300 * (np.cos(angle) + np.sin(angle))
    centred = np.array([[-149.5, -149.5], [149.5, -149.5], [149.5, 149.5], [-149.5, 149.5]]) * FACTOR
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    return centred @ turn.T + CORNER + side * FACTOR / 2 - 0.5


def result(capsys, *arguments):
    capsys.readouterr()
    assert run(["match", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_verdict_comes_first(here, capsys):
    assert run(["match", "thing.png", "scene.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "A: thing.png, B: scene.png"
    assert lines[1].startswith("verified: ")
    assert any(line.startswith("homography, A -> B:") for line in lines)
    assert run(["match", "thing.png", "flat.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("not verified")
    assert not any("A -> B" in line for line in lines)
    assert run(["match", "thing.png", "scene.png", "--model", "none"]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith("not checked")
    assert run(["match", "thing.png", "scene.png", "--model", "fundamental"]) == 0
    assert "fundamental matrix, x_B^T F x_A = 0:" in capsys.readouterr().out


def test_json_has_the_verdict_the_direction_and_the_corners(here, capsys):
    found = result(capsys, "thing.png", "scene.png")
    assert (found["is_verified"], found["model_direction"]) == (True, "A -> B")
    assert found["model_matrix"][2][2] == 1
    np.testing.assert_allclose(found["corners"], corners_of_the_thing(), atol=1)
    x, y, w = np.array(found["model_matrix"]) @ (299, 0, 1)
    np.testing.assert_allclose(found["corners"][1], (x / w, y / w))
    nothing = result(capsys, "thing.png", "flat.png")
    assert (nothing["is_verified"], nothing["model_direction"], nothing["corners"]) == (False, "", None)
    assert result(capsys, "thing.png", "scene.png", "--model", "none")["is_verified"] is None


@pytest.mark.parametrize("scene", ["scene.png", "turned.tif"])
def test_b_is_written_on_the_canvas_of_a_in_colour(here, capsys, scene):
    assert run(["match", "thing.png", scene, "--warp", "back.png"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "-> back.png\n"
    original, back = (
        np.asarray(Image.open(name).convert("RGB"), float) for name in ("thing.png", "back.png")
    )
    assert back.shape == original.shape
    # It was made smaller and turned, so fine detail is gone; shifted by 2 px the difference is 12 and more.
    assert np.median(np.abs(back - original)) < 4


def test_a_is_written_on_the_canvas_of_b(here):
    assert run(["match", "thing.png", "scene.png", "--warp", "there.png", "--onto", "b", "-q"]) == 0
    there, scene = (np.asarray(Image.open(name).convert("RGB"), float) for name in ("there.png", "scene.png"))
    assert there.shape == scene.shape
    inside = there.any(axis=2)
    assert np.median(np.abs(there - scene)[inside]) < 4
    assert inside.mean() == pytest.approx((300 * FACTOR) ** 2 / scene[:, :, 0].size, rel=0.02)


def test_a_picture_that_was_turned_is_warped_as_it_was_given(here):
    """With --rotate the map leads to B as matched; the canvas and the pixels are those of B as given."""
    grey = np.asarray(Image.open(SAMPLES / "camera.png")).astype(np.uint16) * 257
    tifffile.imwrite("deep.tif", grey)
    arguments = ["match", "deep.tif", "--rotate", "30", "--scale", "0.8", "-q"]
    for onto in "AB":
        assert run([*arguments, "--warp", f"{onto}.tif", "--onto", onto]) == 0
        again = tifffile.imread(f"{onto}.tif")
        assert (again.dtype, again.shape) == (np.uint16, (512, 512))
        assert np.median(np.abs(again[9:-9, 9:-9].astype(float) - grey[9:-9, 9:-9])) < 257


def test_the_outline_of_a_is_drawn_in_b_and_its_corners_printed(here, capsys):
    assert run(["match", "thing.png", "scene.png", "--find", "found.png"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("corners of A in B")]
    told = [float(value) for value in line.partition(": ")[2].replace("(", "").replace(")", "").split(",")]
    np.testing.assert_allclose(np.reshape(told, (4, 2)), corners_of_the_thing(), atol=1)
    picture = np.asarray(Image.open("found.png"))
    assert picture.shape[1] == 900
    for (x0, y0), (x1, y1) in zip(
        corners_of_the_thing(), np.roll(corners_of_the_thing(), -1, axis=0), strict=True
    ):
        red, green, blue = picture[round((y0 + y1) / 2), round((x0 + x1) / 2)].tolist()
        assert (red > 180, 100 < green < 200, blue < 60) == (True, True, True)


def test_the_map_is_saved_as_align_saves_transforms(here, capsys):
    matrix = result(capsys, "thing.png", "scene.png", "--save-transforms", "t.csv")["model_matrix"]
    found = load_transforms("t.csv")
    np.testing.assert_allclose(found.frames[0].matrix, matrix, rtol=1e-12)
    assert found.frames[0].size == (300, 300)
    (row,) = Path("t.csv").read_text().splitlines()[1:]
    assert [float(value) for value in row.split(",")[3:]] == np.ravel(matrix).tolist()


def test_what_needs_a_map_says_why_it_was_not_written(here, capsys):
    asked = ["--warp", "w.png", "--find", "f.png", "--save-transforms", "t.json"]
    assert run(["match", "thing.png", "flat.png", *asked]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "siftcli: w.png was not written: no verified map from A to B",
        "siftcli: f.png was not written: A has no outline in B",
        "siftcli: t.json was not written: no verified map from A to B",
    ]
    assert not any(Path(name).exists() for name in ("w.png", "f.png", "t.json"))
    Path("w.png").write_text("mine")
    assert run(["match", "thing.png", "scene.png", *asked]) == 2
    assert "w.png exists; pass --overwrite" in capsys.readouterr().err


def test_a_format_that_cannot_hold_the_samples(here, capsys):
    tifffile.imwrite("deep.tif", np.asarray(Image.open(SAMPLES / "camera.png")).astype(np.uint16) * 257)
    assert run(["match", "deep.tif", "--rotate", "30", "--warp", "w.jpg"]) == 1
    said = capsys.readouterr().err
    assert said == "siftcli: w.jpg: JPEG cannot hold 1 channels of uint16; name a .tif file\n"


@pytest.mark.parametrize("scene", ["scene.png", "turned.tif"])
def test_pictures_of_feature_files(here, capsys, scene):
    """They are where they were at detection, or in a folder; what is drawn is the same as from images."""
    asked = ["--draw", "d.png", "--warp", "w.png", "--find", "f.png", "--overwrite", "-q"]
    assert run(["match", "thing.png", scene, *asked]) == 0
    pictures = {name: Path(name).read_bytes() for name in ("w.png", "f.png")}
    assert run(["detect", "thing.png", scene, "-o", "F/", "-q"]) == 0
    files = ["F/thing.png.npz", f"F/{scene}.npz"]
    assert run(["match", *files, *asked]) == 0
    assert {name: Path(name).read_bytes() for name in pictures} == pictures
    for name in ("thing.png", scene):
        siftcli.save(siftcli.detect(name), f"{name}.npz")  # without a record of where the picture is
    files = ["thing.png.npz", f"{scene}.npz"]
    assert run(["match", *files, "--find", "g.png"]) == 1
    assert "thing.png.npz: thing.png: no image is recorded; name the folder of images with --images" in (
        capsys.readouterr().err
    )
    assert run(["match", *files, *asked, "--images", "."]) == 0
    assert {name: Path(name).read_bytes() for name in pictures} == pictures
    assert run(["match", *files, "--images", "."]) == 2
    assert "--images has no effect" in capsys.readouterr().err


def test_a_picture_of_another_size_is_refused(here, capsys):
    siftcli.save(siftcli.detect("thing.png"), "thing.npz")
    Path("other").mkdir()
    Image.new("L", (20, 20)).save("other/thing.png")
    assert run(["match", "thing.npz", "scene.png", "--find", "f.png", "--images", "other"]) == 1
    assert "expected 300 x 300 pixels as the features state, got 20 x 20" in capsys.readouterr().err

"""``siftcli info`` of collections and of files of matches, and the totals of a repeated ``match --pairs``."""

import json
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from photographs import SYDNEY, write_photograph
from PIL import Image

from siftcli.__main__ import run

LIMIT = ["--max-features", "100", "-q"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Three photographs that overlap, two with EXIF tags, and one of nothing."""
    folder = tmp_path_factory.mktemp("made")
    write_photograph(folder / "in/a.png", focal_35mm=28, gps=SYDNEY, orientation=1)
    write_photograph(folder / "in/b.png", corner=(40, 0), focal_35mm=28)
    write_photograph(folder / "in/c.png", corner=(80, 0))
    Image.new("L", (150, 100), 128).save(folder / "in/flat.png")
    Image.new("L", (300, 200), 255).save(folder / "mask.png")
    return folder


@pytest.fixture
def here(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(made / "in", "in")
    shutil.copy(made / "mask.png", "mask.png")
    capsys.readouterr()
    return tmp_path


def described(capsys, *arguments):
    capsys.readouterr()
    assert run(["info", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("output", ["x.db", "f.h5", "F", "p.parquet"])
def test_a_collection_is_counted(here, capsys, output):
    assert run(["detect", "in", "-o", output, *LIMIT]) == 0
    found = described(capsys, output)
    assert (found["kind"], found["n_images"], found["n_without_features"]) == ("collection", 4, 1)
    assert found["features_per_image"][1:] == [0, 100]
    assert 200 < found["n_features"] <= 300
    assert found["image_sizes"] == [
        {"width": 300, "height": 200, "n_images": 3},
        {"width": 150, "height": 100, "n_images": 1},
    ]
    assert (found["n_recorded"], found["n_masks"], found["n_settings"]) == (4, 0, 1)
    assert found["pairs"] is None
    assert found["weakest"][0] == {
        "image": "flat.png",
        "n_features": 0,
        "n_partners": None,
        "n_inliers": None,
    }
    assert (found["cameras"] is not None) == (output == "x.db")
    assert run(["info", output]) == 0
    text = capsys.readouterr().out
    assert "without a feature" in text
    assert "flat.png" in text


def test_cameras_priors_and_pairs_of_a_database(here, capsys):
    assert run(["detect", "in", "-o", "x.db", *LIMIT]) == 0
    assert run(["match", "x.db", "--pairs", "exhaustive", "-q"]) == 0
    found = described(capsys, "x.db")
    assert found["cameras"] == {
        "n_cameras": 4,
        "n_images": 4,
        "models": [{"model": "SIMPLE_RADIAL", "n_cameras": 4}],
        "focal_lengths": [
            {"source": "EXIF", "n_cameras": 2, "n_images": 2},
            {"source": "guess", "n_cameras": 2, "n_images": 2},
        ],
    }
    assert found["priors"] == {"n_wgs84": 1, "n_cartesian": 0, "n_gravity": 1}
    pairs = found["pairs"]
    assert (pairs["n_tried"], pairs["n_verified"], pairs["n_components"], pairs["n_alone"]) == (6, 3, 1, 1)
    assert pairs["components"] == [{"n_images": 3, "n_pairs": 3, "first": ["a.png", "b.png", "c.png"]}]
    assert [(weak["image"], weak["n_partners"]) for weak in found["weakest"][:1]] == [("flat.png", 0)]
    assert all(weak["n_partners"] == 2 and weak["n_inliers"] > 30 for weak in found["weakest"][1:])
    assert run(["info", "x.db"]) == 0
    text = capsys.readouterr().out
    assert "from EXIF: 2 cameras, 2 images" in text
    assert "guessed, 1.2 x the longer side" in text
    assert "latitude and longitude of 1 image, gravity of 1 image" in text
    assert "3 pairs: a.png, b.png, c.png" in text


def test_focal_lengths_of_another_program(here, capsys):
    """COLMAP's own guess is a guess; what another program has set is not siftcli's EXIF."""
    assert run(["detect", "in", "-o", "x.db", *LIMIT]) == 0
    with sqlite3.connect("x.db") as database:
        focal = np.array([500, 150, 100, 0], "<f8").tobytes()
        database.execute("UPDATE cameras SET params = ? WHERE camera_id = 1", (focal,))
        database.execute("UPDATE cameras SET params = ? WHERE camera_id = 3", (focal,))
    database.close()
    assert described(capsys, "x.db")["cameras"]["focal_lengths"] == [
        {"source": "EXIF", "n_cameras": 1, "n_images": 1},
        {"source": "another program, known", "n_cameras": 1, "n_images": 1},
        {"source": "another program, not known", "n_cameras": 1, "n_images": 1},
        {"source": "guess", "n_cameras": 1, "n_images": 1},
    ]


def test_a_database_of_another_program_without_features(here, capsys):
    pycolmap = pytest.importorskip("pycolmap")
    with pycolmap.Database.open("theirs.db") as theirs:
        camera = pycolmap.Camera.create_from_model_name(0, "PINHOLE", 360.0, 300, 200)
        number = theirs.write_camera(camera)
        theirs.write_image(pycolmap.Image(name="a.png", camera_id=number))
    found = described(capsys, "theirs.db")
    assert (found["n_images"], found["cameras"]["n_images"]) == (0, 1)
    assert found["cameras"]["focal_lengths"] == [{"source": "guess", "n_cameras": 1, "n_images": 1}]
    assert run(["info", "theirs.db"]) == 0
    assert "not detected yet" in capsys.readouterr().out


def test_masks_and_settings_that_differ(here, capsys):
    assert run(["detect", "in/a.png", "-o", "F/", "--mask", "mask.png", *LIMIT]) == 0
    assert run(["detect", "in/b.png", "-o", "F/", "--max-features", "50", "-q"]) == 0
    found = described(capsys, "F")
    assert (found["n_masks"], found["n_settings"]) == (1, 2)
    assert "50" in found["settings_differ"]
    assert "100" in found["settings_differ"]


def test_a_damaged_file_is_named_and_the_others_are_counted(here, capsys):
    assert run(["detect", "in", "-o", "F", *LIMIT]) == 0
    Path("F/b.png.npz").write_bytes(b"no zip")
    found = described(capsys, "F")
    assert (found["n_images"], found["n_unreadable"]) == (4, 1)
    assert found["unreadable"][0]["image"] == "b.png"
    assert run(["info", "F"]) == 0
    assert "cannot be read: b.png: F/b.png.npz: expected a siftcli npz file" in capsys.readouterr().out


def test_hlocs_files_of_features_and_of_matches(here, capsys):
    assert run(["detect", "in", "-o", "f.h5", *LIMIT]) == 0
    assert run(["match", "f.h5", "--pairs", "exhaustive", "-o", "m.h5", "-q"]) == 0
    found = described(capsys, "m.h5")
    assert (found["kind"], found["pairs"]["n_tried"], found["pairs"]["n_verified"]) == ("pairs", 6, 3)
    assert found["weakest"][0]["image"] == "flat.png"
    assert found["weakest"][1]["n_features"] == 100
    Path("f.h5").unlink()
    assert described(capsys, "m.h5")["weakest"][1]["n_features"] is None
    assert run(["info", "m.h5"]) == 0
    assert "connected components" in capsys.readouterr().out


def test_pairs_without_a_model_are_said_so(here, capsys):
    assert run(["detect", "in", "-o", "f.h5", *LIMIT]) == 0
    pairs = ["match", "f.h5", "--pairs", "exhaustive", "--model", "none", "-o", "m.h5"]
    assert run([*pairs, "-q"]) == 0
    assert described(capsys, "m.h5")["pairs"]["n_verified"] is None
    assert run(["info", "m.h5"]) == 0
    assert "none: no model was fitted" in capsys.readouterr().out
    assert run(pairs) == 0
    assert "in all 6 pairs, none verified with a model -> m.h5" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["m.npz", "m.json", "m.csv"])
def test_matches_of_two_images(here, capsys, name):
    assert run(["match", "in/a.png", "in/b.png", "-o", name, "--json"]) == 0
    assert run(["match", "in/a.png", "in/b.png", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    found = described(capsys, name)
    assert (found["kind"], found["format"]) == ("matches", name.partition(".")[2])
    assert (found["n_matches"], found["n_inliers"]) == (told["n_matches"], told["n_inliers"])
    assert found.get("model_matrix", told["model_matrix"]) == told["model_matrix"]
    assert run(["info", name]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["inliers", str(told["n_inliers"])] in rows
    assert run(["info", name, "--image", "a"]) == 2
    assert "--image has no effect" in capsys.readouterr().err


def test_damaged_matches_are_refused(here, capsys):
    assert run(["match", "in/a.png", "in/b.png", "-o", "m.json", "-q"]) == 0
    found = json.loads(Path("m.json").read_text())
    found["matches"].pop()
    Path("m.json").write_text(json.dumps(found))
    assert run(["info", "m.json"]) == 1
    assert "m.json: damaged file of matches (expected" in capsys.readouterr().err


def test_a_repeated_match_tells_the_totals(here, capsys):
    assert run(["detect", "in", "-o", "x.db", *LIMIT]) == 0
    assert run(["match", "x.db", "--pairs", "sequential:1"]) == 0
    assert "3 pairs, 2 verified, 0 failed -> x.db" in capsys.readouterr().err
    assert run(["match", "x.db", "--pairs", "exhaustive"]) == 0
    said = (
        "3 pairs matched now, 1 verified, 0 failed, 3 kept as they were; in all 6 pairs, 3 verified -> x.db"
    )
    assert said in capsys.readouterr().err
    assert run(["match", "x.db", "--pairs", "exhaustive"]) == 0
    said = "nothing to match, 0 failed, 6 kept as they were; in all 6 pairs, 3 verified -> x.db"
    assert said in capsys.readouterr().err

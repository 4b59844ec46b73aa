"""What was replaced leaves nothing stale: everything that belongs to an image changes with it, at once."""

import shutil
import sqlite3
from pathlib import Path

import h5py
import numpy as np
import pytest
from batches import content, make_images
from killing import forked, run_and_kill, seconds
from PIL import Image
from test_provenance import features, go, here, output, picture, rows

from siftcli.__main__ import run
from siftcli.formats._collections import WriteOptions, open_writer
from siftcli.formats.colmap_db import ColmapWriter

pycolmap = pytest.importorskip("pycolmap")

pytestmark = pytest.mark.slow

__all__ = ["here", "output"]
"""Fixtures."""

FOCAL_OVER_DIAGONAL_35MM = 43.27


def focal(value):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = value
    return exif


# --- COLMAP databases ----------------------------------------------


def cameras(database):
    """Of each image its camera's number, size and parameters, and whether its focal length is known."""
    query = (
        "SELECT name, camera_id, width, height, params, prior_focal_length FROM images "
        "JOIN cameras USING (camera_id) ORDER BY name"
    )
    return {
        name: (camera, (width, height), np.frombuffer(params).tolist(), bool(known))
        for name, camera, width, height, params, known in rows(database, query)
    }


def test_an_image_exported_at_another_size(here, capsys):
    for i in (1, 2, 3):
        picture(f"in/{i}.jpg", box=(100, 20 * i, 260, 20 * i + 120), exif=focal(28))
    assert go("in", "-o", "x.db") == 0
    assert run(["match", "--pairs", "exhaustive", "x.db", "-q", "--min-inliers", "100000"]) == 0
    before = cameras("x.db")
    n = 28 / FOCAL_OVER_DIAGONAL_35MM * 200  # the diagonal of 160 x 120
    assert before["1.jpg"] == (1, (160, 120), [pytest.approx(n), 80, 60, 0], True)
    picture("in/1.jpg", box=(100, 20, 220, 180), exif=focal(50))
    capsys.readouterr()
    assert go("in", "-o", "x.db") == 0
    assert "2 kept as they were" in capsys.readouterr().err
    n = 50 / FOCAL_OVER_DIAGONAL_35MM * 200
    assert cameras("x.db") == {**before, "1.jpg": (1, (120, 160), [pytest.approx(n), 60, 80, 0], True)}
    # pairs that were tried in vain are void, too
    of_2_and_3 = [(2147483647 * 2 + 3,)]
    assert rows("x.db", "SELECT pair_id FROM matches") == of_2_and_3
    assert rows("x.db", "SELECT pair_id FROM two_view_geometries") == of_2_and_3
    assert go("in", "-o", "fresh.db") == 0
    for table in ("cameras", "images", "keypoints", "descriptors", "siftcli_images"):
        assert rows("x.db", f"SELECT * FROM {table}") == rows("fresh.db", f"SELECT * FROM {table}"), table
    assert run(["match", "--pairs", "exhaustive", "x.db", "--min-inliers", "100000"]) == 0
    assert "1 kept as they were" in capsys.readouterr().err


def test_the_focal_length_of_an_image_of_the_same_size(here):
    picture("in/1.jpg", exif=focal(28))
    assert go("in", "-o", "x.db") == 0
    picture("in/1.jpg")
    assert go("in", "-o", "x.db") == 0
    assert cameras("x.db") == {"1.jpg": (1, (160, 120), [192, 80, 60, 0], False)}


def test_a_replaced_image_changes_as_a_whole_or_not_at_all(here, monkeypatch):
    assert go("cam0", "-o", "x.db") == 0
    assert run(["match", "--pairs", "exhaustive", "x.db", "-q"]) == 0
    before = content(Path("x.db"))
    picture("cam0/1.png", box=(0, 0, 90, 100))

    def fail(*_args):
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(ColmapWriter, "_write_features", fail)
        assert go("cam0", "-o", "x.db") == 1
    assert content(Path("x.db")) == before
    assert go("cam0", "-o", "x.db") == 0
    assert cameras("x.db")["1.png"][1] == (90, 100)


@pytest.mark.parametrize("sharing", ["single", "per-folder"])
def test_a_shared_camera_does_not_change_for_one_image(here, capsys, sharing):
    options = ["cam0", "-o", "x.db", "--camera", sharing]
    assert go(*options) == 0
    before = content(Path("x.db"))
    picture("cam0/1.png", box=(0, 0, 90, 100))
    capsys.readouterr()
    assert go(*options) == 1
    err = capsys.readouterr().err
    assert "1.png: expected 160 x 120 pixels as the other images of its camera have, got 90 x 100" in err
    assert "--camera per-image, or --overwrite to redo all" in err
    assert content(Path("x.db")) == before
    picture("cam0/2.png", box=(0, 0, 90, 100))
    assert go(*options, "--overwrite") == 0
    assert [size for _, size, _, _ in cameras("x.db").values()] == [(90, 100)] * 2


@pytest.mark.parametrize("sharing", ["single", "per-folder"])
def test_a_shared_camera_that_one_image_has_alone_changes_with_it(here, sharing):
    options = ["-o", "x.db", "--camera", sharing]
    assert go("cam0/1.png", *options) == 0
    picture("cam0/1.png", box=(0, 0, 90, 100))
    assert go("cam0/1.png", *options) == 0
    assert cameras("x.db") == {"1.png": (1, (90, 100), [120, 45, 50, 0], False)}


@pytest.fixture
def colmaps(here):
    """A database that COLMAP has made of the first folder, with the parameters of one camera set by hand."""
    options = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1)
    mode = pycolmap.CameraMode.PER_IMAGE
    pycolmap.extract_features("x.db", "cam0", camera_mode=mode, extraction_options=options)
    calibrated = np.array([222.0, 81, 61, 0.01]).tobytes()
    connection = sqlite3.connect("x.db")
    connection.execute("UPDATE cameras SET params = ?, prior_focal_length = 1", (calibrated,))
    connection.commit()
    connection.close()
    return Path("x.db")


def test_a_calibrated_camera_stays_as_long_as_the_size_does(colmaps):
    assert go("cam0", "-o", "x.db", "--append", "--overwrite") == 0
    picture("cam0/1.png", "brick.png")
    assert go("cam0", "-o", "x.db", "--append") == 0
    assert [camera[1:] for camera in cameras(colmaps).values()] == [
        ((160, 120), [222, 81, 61, 0.01], True)
    ] * 2


def test_rigs_and_frames_of_a_replaced_image(colmaps):
    picture("cam0/1.png", box=(0, 0, 90, 100))
    assert go("cam0", "-o", "x.db", "--append", "--overwrite") == 0
    with pycolmap.Database.open(colmaps) as database:
        images = {image.name: image for image in database.read_all_images()}
        camera = database.read_camera(images["1.png"].camera_id)
        assert (camera.width, camera.height, camera.has_prior_focal_length) == (90, 100, False)
        assert camera.params.tolist() == [120, 45, 50, 0]
        assert database.read_camera(images["2.png"].camera_id).params.tolist() == [222, 81, 61, 0.01]
        frames = database.read_all_frames()
        sensors = sorted(data.sensor_id.id for frame in frames for data in frame.image_ids)
        assert sensors == sorted(image.camera_id for image in images.values())
        assert {frame.rig_id for frame in frames} == {rig.rig_id for rig in database.read_all_rigs()}
        assert database.num_cameras() == database.num_rigs() == len(frames) == 2


# --- other collections ---------------------------------------------------------------------------------


def test_all_that_belongs_to_an_image_is_replaced(here, output):
    assert go("cam0", "-o", output) == 0
    picture("cam0/1.png", "brick.png", (0, 0, 90, 100))
    assert go("cam0", "-o", output) == 0
    assert go("cam0", "-o", f"fresh{Path(output).suffix}") == 0
    assert features(output, "1.png").image_size == (90, 100)
    assert content(Path(output)) == content(Path(f"fresh{Path(output).suffix}"))


def test_killed_while_images_are_replaced(tmp_path, output):
    """In the end all is as after a run that nothing disturbed."""
    images = make_images(tmp_path / "in", 30, side=64)
    ends = [tmp_path / name / output for name in ("whole", "killed")]
    for path in ends:
        path.parent.mkdir()
        assert go(str(images), "-o", str(path), "-q") == 0
        if output == "out.db":
            assert run(["match", "--pairs", "sequential:1", str(path), "-q"]) == 0
    for path in images.rglob("*.jpg"):
        with Image.open(path) as picture:
            picture.crop((0, 0, 60, 58)).save(path)
    whole, killed = ends
    within_s = seconds(forked, images, whole) / 3
    assert run_and_kill(forked, images, killed, n_kills=3, within_s=within_s, seed=1) >= 1
    assert content(whole) == content(killed)
    if output == "out.db":
        assert {size for _, size, _, _ in cameras(killed).values()} == {(60, 58)}
        assert rows(killed, "SELECT * FROM matches") == []


def test_nothing_of_others_stays_in_a_group_that_is_replaced(here):
    assert go("cam0", "-o", "x.h5") == 0
    with h5py.File("x.h5", "a") as file:
        file["1.png"]["depth"] = np.ones(3)
        file["1.png"]["elsewhere"] = h5py.SoftLink("/nowhere")
        file["1.png/of another program"] = np.ones(1)
        file.create_group("1.png/inner")
    shutil.copy("cam1/1.png", "cam0/1.png")
    assert go("cam0", "-o", "x.h5") == 0
    with h5py.File("x.h5") as file:
        assert set(file["1.png"]) == {
            "inner", "keypoints", "descriptors", "scores", "scales", "oris", "image_size"
        }  # fmt: skip


def test_a_writer_replaces_without_a_size(here):
    """What a file without the size of its image says of its features is no reason to lose the camera."""
    assert go("cam0", "-o", "x.db") == 0
    before = cameras("x.db")
    assert go("cam0/1.png", "-o", "1.png.key", "--format", "lowe") == 0
    assert run(["convert", "1.png.key", "x.db", "--append", "--overwrite", "-q"]) == 0
    assert cameras("x.db") == before
    with open_writer("x.db", None, WriteOptions(append=True)) as writer:
        assert writer.has("1.png")
        assert writer.provenance("1.png") is None

"""Pose priors of COLMAP databases: as COLMAP's own, read by pycolmap, used by its spatial matcher."""

import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from photographs import SYDNEY, SYDNEY_POSITION, angle, ratio, write_photograph
from PIL import Image
from test_colmap import N_VIEWS, cameras, render_view, scene
from test_foreign_formats import one

from siftcli.__main__ import run
from siftcli.formats import load, save
from siftcli.formats._collections import WriteOptions, open_writer

pycolmap = pytest.importorskip("pycolmap")

NAN = np.full(3, np.nan)
FEW = ["--max-features", "50", "-q"]
ON_CPU = {"use_gpu": False, "num_threads": 1}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows_of(path):
    """By the name of the image: what its prior has, as stored."""
    query = """SELECT name, corr_data_id = images.image_id, corr_sensor_id = images.camera_id,
        corr_sensor_type, position, position_covariance, gravity, coordinate_system
        FROM pose_priors JOIN images ON corr_data_id = images.image_id"""
    connection = sqlite3.connect(path)
    rows = {name: tuple(row) for name, *row in connection.execute(query)}
    connection.close()
    return rows


def priors_of(path):
    with pycolmap.Database.open(path) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        return {names[prior.corr_data_id.id]: prior for prior in database.read_all_pose_priors()}


def kinds(folder):
    """A photograph of each kind of orientation and of position."""
    for tag in [None, *range(1, 9)]:
        write_photograph(folder / f"{tag}.jpg", orientation=tag)
    write_photograph(folder / "gps.jpg", gps=SYDNEY)
    write_photograph(folder / "both.jpg", gps={**SYDNEY, "below": b"\1"}, orientation=8)
    write_photograph(folder / "partial.jpg", gps={name: SYDNEY[name] for name in ("north", "latitude")})
    return folder


def test_rows_are_byte_for_byte_those_of_colmap(here):
    kinds(here / "in")
    extraction = pycolmap.FeatureExtractionOptions(**ON_CPU)
    pycolmap.extract_features(here / "theirs.db", here / "in", extraction_options=extraction)
    assert run(["detect", "in", "-o", "ours.db", *FEW]) == 0
    ours = rows_of("ours.db")
    assert sorted(ours) == ["1.jpg", "3.jpg", "6.jpg", "8.jpg", "both.jpg", "gps.jpg"]
    assert ours == rows_of("theirs.db")


def test_pycolmap_reads_priors(here):
    kinds(here / "in")
    assert run(["detect", "in", "-o", "x.db", *FEW]) == 0
    found = priors_of(here / "x.db")
    gravity = {
        "1": (0, 1, 0),
        "3": (0, -1, 0),
        "6": (1, 0, 0),
        "8": (-1, 0, 0),
        "both": (-1, 0, 0),
        "gps": NAN,
    }
    assert sorted(found) == sorted(f"{name}.jpg" for name in gravity)
    for name, expected in gravity.items():
        prior = found[f"{name}.jpg"]
        np.testing.assert_array_equal(prior.gravity, expected)
        assert np.isnan(prior.position_covariance).all()
        assert prior.has_position() == (name in ("both", "gps"))
        system = "WGS84" if prior.has_position() else "UNDEFINED"
        assert prior.coordinate_system == getattr(pycolmap.PosePriorCoordinateSystem, system)
    assert found["gps.jpg"].position == pytest.approx(SYDNEY_POSITION)
    assert found["both.jpg"].position == pytest.approx((*SYDNEY_POSITION[:2], -123.5))


def test_gravity_is_of_the_stored_picture_whatever_features_were_made_of(here):
    write_photograph(here / "a.jpg", orientation=6)
    assert run(["detect", "a.jpg", "-o", "x.db", "--exif-orientation", "ignore", *FEW]) == 0
    np.testing.assert_array_equal(priors_of(here / "x.db")["a.jpg"].gravity, (1, 0, 0))


def test_images_without_exif_make_no_table(here):
    """So that every version of COLMAP opens the file."""
    write_photograph(here / "a.jpg")
    write_photograph(here / "b.jpg", orientation=1, gps=SYDNEY)
    assert run(["detect", "a.jpg", "-o", "x.db", *FEW]) == 0
    assert run(["detect", "b.jpg", "-o", "y.db", "--no-pose-priors", *FEW]) == 0
    for name in ("x.db", "y.db"):
        connection = sqlite3.connect(name)
        tables = {table for (table,) in connection.execute("SELECT name FROM sqlite_master")}
        connection.close()
        assert "pose_priors" not in tables
        assert priors_of(here / name) == {}


def test_convert_with_the_folder_of_images(here):
    kinds(here / "in")
    assert run(["detect", "in", "-o", "x.h5", *FEW]) == 0
    assert run(["detect", "in", "-o", "x.db", *FEW]) == 0
    assert run(["convert", "x.h5", "y.db", "--images", "in", "-q"]) == 0
    assert rows_of("y.db") == rows_of("x.db")
    assert run(["convert", "x.h5", "z.db", "--images", "in", "-q", "--no-pose-priors"]) == 0
    assert run(["convert", "x.h5", "w.db", "-q"]) == 0
    assert priors_of(here / "z.db") == priors_of(here / "w.db") == {}


def test_a_replaced_image_gets_the_prior_of_the_new_one(here):
    write_photograph(here / "in/a.jpg", orientation=6, gps=SYDNEY)
    write_photograph(here / "in/b.jpg", orientation=3)
    write_photograph(here / "in/c.jpg", orientation=3)
    assert run(["detect", "in", "-o", "x.db", *FEW]) == 0
    write_photograph(here / "in/a.jpg", orientation=8, corner=(50, 50))
    write_photograph(here / "in/b.jpg", corner=(50, 50))
    assert run(["detect", "in", "-o", "x.db", *FEW]) == 0
    found = priors_of(here / "x.db")
    assert sorted(found) == ["a.jpg", "c.jpg"]
    np.testing.assert_array_equal(found["a.jpg"].gravity, (-1, 0, 0))
    assert not found["a.jpg"].has_position()


def test_rows_do_not_depend_on_the_number_of_jobs(here):
    kinds(here / "in")
    for jobs in ("1", "2"):
        command = [sys.executable, "-m", "siftcli", "detect", "in", "-o", f"{jobs}.db", "--jobs", jobs, *FEW]
        subprocess.run(command, check=True)
    assert table_of("1.db") == table_of("2.db")
    assert len(table_of("1.db")) == 6


def table_of(path):
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT * FROM pose_priors ORDER BY 1").fetchall()
    connection.close()
    return rows


# --- databases that COLMAP has made ------------------------------------------------------------------


def colmap_database(folder, names=("a.jpg",)):
    images = folder / "images"
    for name in names:
        write_photograph(images / name, orientation=6, gps=SYDNEY)
    extraction = pycolmap.FeatureExtractionOptions(**ON_CPU)
    pycolmap.extract_features(folder / "x.db", images, extraction_options=extraction)
    return images


def test_appending_to_colmaps_own_database(here):
    images = colmap_database(here, ["b.jpg", "c.jpg"])
    with pycolmap.Database.open(here / "x.db") as database:  # ids of priors are not those of images
        database.clear_pose_priors()
        prior = pycolmap.PosePrior(
            corr_data_id=database.read_image(2).data_id, position=np.array([1.0, 2, 3])
        )
        database.write_pose_prior(prior)
        database.write_pose_prior(pycolmap.PosePrior(corr_data_id=database.read_image(1).data_id))
    write_photograph(images / "d.jpg", orientation=3)
    write_photograph(images / "e.jpg", orientation=8)
    assert run(["detect", "images", "-o", "x.db", "--append", *FEW]) == 0
    found = priors_of(here / "x.db")
    assert sorted(found) == ["b.jpg", "c.jpg", "d.jpg", "e.jpg"]
    np.testing.assert_array_equal(found["c.jpg"].position, (1, 2, 3))
    np.testing.assert_array_equal(found["d.jpg"].gravity, (0, -1, 0))
    np.testing.assert_array_equal(found["e.jpg"].gravity, (-1, 0, 0))


def test_replacing_keeps_a_prior_that_was_measured_otherwise(here):
    images = colmap_database(here, ["a.jpg", "b.jpg"])
    with pycolmap.Database.open(here / "x.db") as database:
        measured = next(p for p in database.read_all_pose_priors() if p.corr_data_id.id == 1)
        measured.position, measured.position_covariance = np.array([1.0, 2, 3]), np.eye(3) / 100
        database.update_pose_prior(measured)
    for name in ("a.jpg", "b.jpg"):
        write_photograph(images / name, orientation=3)
    assert run(["detect", "images", "-o", "x.db", "--append", "--overwrite", *FEW]) == 0
    found = priors_of(here / "x.db")
    np.testing.assert_array_equal(found["a.jpg"].position, (1, 2, 3))
    np.testing.assert_array_equal(found["b.jpg"].gravity, (0, -1, 0))
    assert not found["b.jpg"].has_position()


def test_features_for_images_that_colmap_has_imported_leave_their_priors(here):
    images = colmap_database(here)
    with pycolmap.Database.open(here / "x.db") as database:
        (prior,) = database.read_all_pose_priors()
        prior.position = np.array([1.0, 2, 3])
        database.update_pose_prior(prior)
    connection = sqlite3.connect("x.db")
    connection.execute("DELETE FROM keypoints")
    connection.execute("DELETE FROM descriptors")
    connection.commit()
    connection.close()
    assert run(["detect", str(images), "-o", "x.db", "--append", *FEW]) == 0
    assert len(load("x.db")) > 0
    np.testing.assert_array_equal(priors_of(here / "x.db")["a.jpg"].position, (1, 2, 3))


OLD_TABLE = """CREATE TABLE pose_priors (image_id INTEGER PRIMARY KEY NOT NULL, position BLOB,
    coordinate_system INTEGER NOT NULL, position_covariance BLOB,
    FOREIGN KEY(image_id) REFERENCES images(image_id) ON DELETE CASCADE)"""


def test_the_table_of_colmap_3_gets_positions(here):
    write_photograph(here / "in/a.jpg", orientation=6, gps=SYDNEY)
    write_photograph(here / "in/b.jpg", orientation=6)
    with open_writer("x.db", None, WriteOptions()):
        pass
    connection = sqlite3.connect("x.db")
    connection.execute(OLD_TABLE)
    connection.close()
    for overwrite in ([], ["--overwrite"]):
        assert run(["detect", "in", "-o", "x.db", "--append", *overwrite, *FEW]) == 0
        connection = sqlite3.connect("x.db")
        ((image_id, position, system, covariance),) = connection.execute("SELECT * FROM pose_priors")
        connection.close()
        assert (image_id, system) == (1, 0)
        assert np.frombuffer(position) == pytest.approx(SYDNEY_POSITION)
        assert np.isnan(np.frombuffer(covariance)).all()
    prior = priors_of(here / "x.db")["a.jpg"]  # and COLMAP 4 migrates it
    assert prior.position == pytest.approx(SYDNEY_POSITION)


def test_a_file_of_features_alone_has_no_prior(here):
    save(one(), "x.db")
    assert priors_of(here / "x.db") == {}


# --- COLMAP's use of them ------------------------------------------------------------------------


def test_spatial_matching_pairs_neighbours(here):
    """Four places in a row, 100 m apart: each photograph's nearest is matched, the farthest is not."""
    for i in range(4):
        gps = {**SYDNEY, "longitude": (ratio(151), ratio(12), ratio(10_000 + 3_890 * i, 1000))}
        write_photograph(here / f"in/{i}.jpg", size=(256, 256), corner=(20 * i, 100), gps=gps, orientation=1)
    assert run(["detect", "in", "-o", "x.db", "-q"]) == 0
    pycolmap.match_spatial(
        here / "x.db",
        matching_options=pycolmap.FeatureMatchingOptions(**ON_CPU),
        pairing_options=pycolmap.SpatialPairingOptions(max_num_neighbors=3, max_distance=150, num_threads=1),
    )
    with pycolmap.Database.open(here / "x.db") as database:
        found = zip(*database.read_all_matches(), strict=True)
        pairs = {tuple(pycolmap.pair_id_to_image_pair(pair)): len(matches) for pair, matches in found}
    assert sorted(pairs) == [(1, 2), (2, 3), (3, 4)]
    assert min(pairs.values()) > 50


def test_the_mapper_runs_on_a_file_with_priors(here):
    planes = scene()
    for i, (rotation, centre) in enumerate(cameras()):
        gps = {**SYDNEY, "longitude": angle(151, 12, i)}
        picture = Image.fromarray(render_view(planes, rotation, centre))
        write_photograph(here / f"in/{i}.jpg", picture=picture, orientation=1, gps=gps)
    assert run(["detect", "in", "-o", "x.db", "--camera", "single", "-q"]) == 0
    assert run(["match", "--pairs", "exhaustive", "x.db", "-q"]) == 0
    assert len(priors_of(here / "x.db")) == N_VIEWS
    pycolmap.set_random_seed(0)
    options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=0)
    models = pycolmap.incremental_mapping(here / "x.db", here / "in", here, options=options)
    assert max(model.num_reg_images() for model in models.values()) == N_VIEWS

"""COLMAP databases, read by pycolmap; and a reconstruction of a scene whose answer is known."""

import math
import signal
import sqlite3
import subprocess
import sys

import cv2
import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from test_foreign_formats import one

import siftcli
from siftcli.__main__ import run
from siftcli.errors import InputError, OutputError, ParameterError
from siftcli.features import Features
from siftcli.formats import load
from siftcli.formats._collections import WriteOptions, open_reader, open_writer
from siftcli.formats._colmap_camera import group_of, guessed
from siftcli.formats._matches import PairMatches
from siftcli.formats.colmap_matches import ColmapMatchWriter
from siftcli.image import read_image
from siftcli.matching.cameras import Camera
from siftcli.matching.verification import verify

pycolmap = pytest.importorskip("pycolmap")

CAMERA = next(p for p in SAMPLES if p.name == "camera.png")


@pytest.fixture(scope="module")
def two():
    """Features of an image and of the same image shifted by (16, 8)."""
    image = np.array(read_image(CAMERA).grey)
    return (
        siftcli.detect(image[:-8, :-16], max_features=300, rootsift=True),
        siftcli.detect(image[8:, 16:], max_features=300, rootsift=True),
    )


def write_all(path, features, **options):
    with open_writer(path, None, WriteOptions(images=dict.fromkeys(features), **options)) as writer:
        for name, f in features.items():
            writer.write(name, f)


def pair(two, names, verification, min_inliers=15):
    matches = siftcli.match(*two)
    return PairMatches(
        names=names,
        n_features=tuple(map(len, two)),
        matches=matches,
        verification=None if verification is None else verify(*two, matches, verification),
        min_inliers=min_inliers,
    )


# --- features ----------------------------------------------------------------------------------------------


def test_pycolmap_reads_features(tmp_path, two):
    write_all(tmp_path / "x.db", dict(zip(("b.jpg", "sub/a.jpg"), two, strict=True)))
    with pycolmap.Database.open(tmp_path / "x.db") as database:
        assert {i.image_id: i.name for i in database.read_all_images()} == {1: "b.jpg", 2: "sub/a.jpg"}
        for image_id, f in enumerate(two, 1):
            keypoints = database.read_keypoints(image_id)
            np.testing.assert_array_equal(keypoints[:, :2], f.xy + np.float32(0.5))  # once
            scale, theta = f.scale.astype(float), f.orientation.astype(float)
            affine = (
                np.stack([np.cos(theta), -np.sin(theta), np.sin(theta), np.cos(theta)], 1) * scale[:, None]
            )
            np.testing.assert_allclose(keypoints[:, 2:], affine, atol=1e-5)
            np.testing.assert_array_equal(descriptors_of(database, image_id), f.descriptors)


def descriptors_of(database, image_id):
    found = database.read_descriptors(image_id)
    return np.asarray(getattr(found, "data", found))


def test_our_keypoints_are_those_that_colmap_finds(tmp_path):
    """Half a pixel, turned angles or exchanged axes would leave hardly any agreement."""
    Image.open(CAMERA).save(tmp_path / "a.png")
    options = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1)
    pycolmap.extract_features(tmp_path / "theirs.db", tmp_path, extraction_options=options)
    theirs = load(tmp_path / "theirs.db")
    ours = siftcli.detect(tmp_path / "a.png", siftcli.SiftParams.classic(rootsift=True))
    distance = np.linalg.norm(ours.xy[:, None] - theirs.xy[None], axis=2)
    scale = np.abs(np.log(ours.scale[:, None] / theirs.scale[None]))
    turn = np.abs((ours.orientation[:, None] - theirs.orientation[None] + np.pi) % (2 * np.pi) - np.pi)
    cost = distance + scale + turn
    nearest = cost.argmin(1)
    same = cost[np.arange(len(ours)), nearest] < 0.3
    assert np.mean(same) > 0.5
    shift = np.median(ours.xy[same] - theirs.xy[nearest[same]], axis=0)
    np.testing.assert_allclose(shift, 0, atol=0.05)
    d, e = ours.descriptors[same].astype(float), theirs.descriptors[nearest[same]].astype(float)
    cosine = np.sum(d * e, 1) / np.linalg.norm(d, axis=1) / np.linalg.norm(e, axis=1)
    assert np.median(cosine) > 0.97


def test_ids_do_not_depend_on_the_order_of_writing(tmp_path):
    names = ["c.png", "a.png", "b/d.png"]
    for file, order in (("x.db", names), ("y.db", names[::-1])):
        write_all(tmp_path / file, {name: one() for name in order}, camera="per-folder")
    content = []
    for file in ("x.db", "y.db"):
        connection = sqlite3.connect(tmp_path / file)
        query = "SELECT image_id, name, camera_id FROM images ORDER BY image_id"
        content.append(connection.execute(query).fetchall())
        connection.close()
    assert content[0] == content[1] == [(1, "a.png", 1), (2, "b/d.png", 2), (3, "c.png", 1)]


KILLED = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size = 2")  # so that it writes before it commits
connection.execute("BEGIN IMMEDIATE")
connection.execute("DELETE FROM keypoints")
connection.execute("CREATE TABLE filling AS SELECT zeroblob(1000000)")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_writer_left_half_done_is_undone(tmp_path, two):
    names = "a.jpg", "b.jpg"
    write_all(tmp_path / "x.db", dict(zip(names, two, strict=True)))
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "x.db")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "x.db-journal").stat().st_size > 0
    found = load(tmp_path / "x.db", image="b.jpg")
    np.testing.assert_array_equal(found.descriptors, two[1].descriptors)
    assert not (tmp_path / "x.db-journal").exists()


def test_an_image_that_was_not_planned(tmp_path):
    with (
        open_writer(tmp_path / "x.db", None, WriteOptions(images={"a.png": None})) as writer,
        pytest.raises(OutputError, match="planned"),
    ):
        writer.write("b.png", one())


def test_an_image_without_a_size(tmp_path):
    with pytest.raises(InputError, match="size of the image"):
        write_all(tmp_path / "x.db", {"a.png": one(image_size=(0, 0))})


# --- cameras -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("sharing", "n"), [("single", 1), ("per-folder", 2), ("per-image", 3)])
def test_cameras(tmp_path, sharing, n):
    write_all(tmp_path / "x.db", {name: one() for name in ("a.png", "b.png", "s/c.png")}, camera=sharing)
    with pycolmap.Database.open(tmp_path / "x.db") as database:
        cameras = database.read_all_cameras()
        assert len(cameras) == n
        for camera in cameras:
            assert (camera.width, camera.height) == (100, 80)
            assert camera.model == pycolmap.CameraModelId.SIMPLE_RADIAL
            assert camera.params.tolist() == [120, 50, 40, 0]
            assert not camera.has_prior_focal_length


@pytest.mark.parametrize("model", siftcli.formats.CAMERA_MODELS)
def test_camera_models(tmp_path, model):
    write_all(tmp_path / "x.db", {"a.png": one()}, camera_model=model)
    with pycolmap.Database.open(tmp_path / "x.db") as database:
        (camera,) = database.read_all_cameras()
        assert camera.model_name == model
        assert camera.verify_params()
        assert camera.focal_length_x == 120
        assert (camera.principal_point_x, camera.principal_point_y) == (50, 40)


def test_one_camera_has_one_size(tmp_path):
    features = {"a.png": one(), "b.png": one(image_size=(80, 100))}
    with pytest.raises(InputError, match=r"expected 100 x 80 .* use --camera per-image"):
        write_all(tmp_path / "x.db", features, camera="single")
    with pytest.raises(ParameterError, match="camera_model"):
        write_all(tmp_path / "y.db", features, camera_model="TELESCOPE")


def with_exif(path, size, focal_35mm=None, orientation=1):
    exif = Image.Exif()
    exif[0x0112] = orientation
    if focal_35mm is not None:
        exif.get_ifd(0x8769)[0xA405] = focal_35mm
    image = Image.fromarray(np.array(Image.open(CAMERA).convert("L"))[: size[1], : size[0]])
    image.save(path, exif=exif)


def test_focal_length_of_the_exif(tmp_path):
    for name, value in (("a.jpg", 28), ("b.jpg", None), ("c.jpg", 0)):
        with_exif(tmp_path / name, (300, 200), value)
    camera = guessed((300, 200), str(tmp_path / "a.jpg"), "PINHOLE")
    focal = 28 / 43.27 * math.hypot(300, 200)
    assert np.frombuffer(camera.params).tolist() == [focal, focal, 150, 100]
    assert camera.prior_focal_length
    for name in ("b.jpg", "c.jpg", "missing.jpg"):
        camera = guessed((300, 200), str(tmp_path / name), "SIMPLE_PINHOLE")
        assert np.frombuffer(camera.params).tolist() == [360, 150, 100]
        assert not camera.prior_focal_length


def test_groups():
    assert [group_of("a/b/c.png", sharing) for sharing in ("single", "per-folder", "per-image")] == [
        "", "a/b", "a/b/c.png",
    ]  # fmt: skip


def test_a_turned_photograph_is_written_as_it_is_stored(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    with_exif(tmp_path / "a.jpg", (300, 200), 28, orientation=6)
    assert run(["detect", "a.jpg", "-o", "x.db"]) == 0
    said = capfd.readouterr().err
    assert "stored frame" in said
    assert "carries no response" in said
    f = load("x.db")
    assert f.image_size == (300, 200)
    assert f.descriptor_kind == "rootsift"
    assert f.xy[:, 0].max() > 200  # the picture as it is shown is 200 wide


# --- databases that COLMAP has made ------------------------------------------------------------------------


def colmap_database(folder):
    """A database of COLMAP's with the features of one image, and its folder of images."""
    images = folder / "images"
    images.mkdir()
    with_exif(images / "a.png", (300, 200))
    options = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1)
    pycolmap.extract_features(folder / "x.db", images, extraction_options=options)
    return folder / "x.db"


def test_appending_to_colmaps_own_database(tmp_path):
    path = colmap_database(tmp_path)
    before = load(path)
    write_all(path, {"b.png": one(), "c.png": one()}, append=True, camera="single")
    with pycolmap.Database.open(path) as database:
        images = {i.name: i for i in database.read_all_images()}
        assert sorted(images) == ["a.png", "b.png", "c.png"]
        assert images["b.png"].camera_id == images["c.png"].camera_id != images["a.png"].camera_id
        frames = database.read_all_frames()
        assert len(frames) == 3
        assert {frame.rig_id for frame in frames} == {rig.rig_id for rig in database.read_all_rigs()}
        assert len(descriptors_of(database, images["b.png"].image_id)) == 1
    np.testing.assert_array_equal(load(path, image="a.png").xy, before.xy)
    with pytest.raises(OutputError, match=r"a\.png has features already"):
        write_all(path, {"a.png": one()}, append=True)
    write_all(path, {"a.png": one()}, append=True, overwrite=True)
    assert len(load(path, image="a.png")) == 1
    with pycolmap.Database.open(path) as database:
        assert database.num_images() == 3


def test_replaced_features_lose_their_matches(tmp_path, two):
    names = ("a.png", "b.png")
    write_all(tmp_path / "x.db", {**dict(zip(names, two, strict=True)), "c.png": two[0]})
    with ColmapMatchWriter(tmp_path / "x.db", options="", overwrite=False) as writer:
        for i, j in (("a.png", "b.png"), ("c.png", "b.png")):
            writer.write(pair(two, (i, j), "fundamental"))
    write_all(tmp_path / "x.db", {"a.png": one()}, append=True, overwrite=True)
    with pycolmap.Database.open(tmp_path / "x.db") as database:
        assert database.num_matched_image_pairs() == database.num_verified_image_pairs() == 1
        assert database.exists_matches(2, 3)


# --- matches -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", [("a.png", "b.png"), ("b.png", "a.png")])
@pytest.mark.parametrize("kind", ["fundamental", "homography"])
def test_pycolmap_reads_matches_and_geometry(tmp_path, two, names, kind):
    path = tmp_path / "x.db"
    write_all(path, dict(zip(names, two, strict=True)))
    found = pair(two, names, kind)
    with ColmapMatchWriter(path, options="", overwrite=False) as writer:
        assert not writer.has(*names)
        writer.write(found)
        assert writer.has(*names)
        assert writer.has(*names[::-1])
    inliers = found.matches.pairs[found.verification.inliers]
    swap = slice(None, None, -1 if names[0] > names[1] else 1)
    with pycolmap.Database.open(path) as database:
        assert sorted(map(tuple, database.read_matches(1, 2))) == sorted(
            map(tuple, found.matches.pairs[:, swap])
        )
        geometry = database.read_two_view_geometry(1, 2)
        np.testing.assert_array_equal(geometry.inlier_matches, inliers[:, swap])
        points = [database.read_keypoints(i)[:, :2].astype(float) for i in (1, 2)]
    first, second = (np.column_stack([p[geometry.inlier_matches[:, i]], np.ones(len(inliers))])
                     for i, p in enumerate(points))  # fmt: skip
    if kind == "fundamental":
        assert geometry.config == pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED
        lines = first @ geometry.F.T
        distance = np.abs(np.sum(lines * second, 1)) / np.hypot(lines[:, 0], lines[:, 1])
        assert np.median(distance) < 0.5
    else:
        mapped = first @ geometry.H.T
        shift = mapped[:, :2] / mapped[:, 2:] - second[:, :2]
        assert np.median(np.linalg.norm(shift, axis=1)) < 0.2


# --- known cameras -----------------------------------------------------------------------------------------


def in_depth(names, deg=8.0, direction=(1.0, 0.2, 0.1)):
    """Verified matches of two cameras that see 80 points in depth; the camera of an image by its name."""
    rng = np.random.default_rng(4)
    points = np.column_stack([rng.uniform(-2, 2, (80, 2)), rng.uniform(4, 9, 80)])
    angle = math.radians(deg)
    rotation = np.array(
        [[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]]
    )
    cameras = {"a": Camera(fx=500.0, fy=500.0, cx=319.5, cy=239.5), "b": Camera.centred(450.0, (640, 480))}
    features = []
    for name, at in zip(names, (points, points @ rotation.T + direction), strict=True):
        projected = at @ cameras[name].matrix.T
        xy = (projected[:, :2] / projected[:, 2:]).astype(np.float32)
        features.append(Features(
            xy=xy, scale=np.ones(80), orientation=np.zeros(80), response=np.ones(80), sign=np.ones(80),
            octave=np.zeros(80), descriptors=np.eye(80, 128) * 255, image_size=(640, 480),
        ))  # fmt: skip
    matches = siftcli.match(*features)
    found = verify(*features, matches, "essential", cameras=tuple(cameras[name] for name in names))
    pair = PairMatches(names=names, n_features=(80, 80), matches=matches, verification=found, min_inliers=15)
    return dict(zip(names, features, strict=True)), pair, (rotation, np.array(direction))


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_calibrated_geometries_are_as_colmap_writes_them(tmp_path, names):
    features, found, (rotation, direction) = in_depth(names)
    path = tmp_path / "x.db"
    write_all(path, features)
    with ColmapMatchWriter(path, options="", overwrite=False) as writer:
        writer.write(found)
    with pycolmap.Database.open(path) as database:
        geometry = database.read_two_view_geometry(1, 2)
        points = [database.read_keypoints(i)[:, :2].astype(float) for i in (1, 2)]
    assert geometry.config == pycolmap.TwoViewGeometryConfiguration.CALIBRATED
    if names[0] == "b":  # COLMAP's first image has the lower id
        rotation, direction = rotation.T, -rotation.T @ direction
    pose = geometry.cam2_from_cam1
    np.testing.assert_allclose(pose.rotation.matrix(), rotation, atol=1e-4)
    np.testing.assert_allclose(pose.translation, direction / np.linalg.norm(direction), atol=1e-3)
    x, y, z = pose.translation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    np.testing.assert_allclose(geometry.E, cross @ pose.rotation.matrix(), atol=1e-9)
    first, second = (
        np.column_stack([p[geometry.inlier_matches[:, i]], np.ones(80)]) for i, p in enumerate(points)
    )
    lines = first @ geometry.F.T
    assert np.max(np.abs(np.sum(lines * second, 1)) / np.hypot(lines[:, 0], lines[:, 1])) < 0.01


def test_a_pair_that_only_rotates_is_panoramic(tmp_path):
    features, found, (rotation, _) = in_depth(("a", "b"), direction=(0.0, 0.0, 0.0))
    write_all(tmp_path / "x.db", features)
    with ColmapMatchWriter(tmp_path / "x.db", options="", overwrite=False) as writer:
        writer.write(found)
    with pycolmap.Database.open(tmp_path / "x.db") as database:
        geometry = database.read_two_view_geometry(1, 2)
        points = [database.read_keypoints(i)[:, :2].astype(float) for i in (1, 2)]
    assert geometry.config == pycolmap.TwoViewGeometryConfiguration.PANORAMIC
    np.testing.assert_allclose(geometry.cam2_from_cam1.rotation.matrix(), rotation, atol=1e-3)
    mapped = np.column_stack([points[0], np.ones(80)]) @ geometry.H.T
    assert np.max(np.abs(mapped[:, :2] / mapped[:, 2:] - points[1])) < 1


@pytest.mark.parametrize(
    ("model", "params", "prior", "expected"),
    [
        (0, [500, 320, 240], 1, (500, 500, 319.5, 239.5)),
        (1, [500, 510, 320, 240], 1, (500, 510, 319.5, 239.5)),
        (2, [500, 320, 240, 0], 1, (500, 500, 319.5, 239.5)),
        (4, [500, 510, 320, 240, 0, 0, 0, 0], 1, (500, 510, 319.5, 239.5)),
        (2, [500, 320, 240, 0.1], 1, None),  # distorted
        (2, [500, 320, 240, 0], 0, None),  # a guess
        (5, [500, 510, 320, 240, 0, 0, 0, 0], 1, None),  # a fisheye lens
        (7, [500, 510, 320, 240, 0], 1, None),  # a model that siftcli does not know
        (1, [500, 320, 240], 1, None),  # damaged
        (0, [-500, 320, 240], 1, None),
        (0, [math.nan, 320, 240], 1, None),
        (None, None, None, None),
    ],
)
def test_known_cameras_of_a_database(tmp_path, two, model, params, prior, expected):
    write_all(tmp_path / "x.db", {"a": two[0]})
    blob = None if params is None else np.array(params, "<f8").tobytes()
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("UPDATE cameras SET params = ?", (blob,))
        if model is not None:
            connection.execute("UPDATE cameras SET model = ?, prior_focal_length = ?", (model, prior))
    with open_reader(tmp_path / "x.db") as reader:
        camera = reader.camera("a")
        assert reader.camera("other") is None
    assert (camera and (camera.fx, camera.fy, camera.cx, camera.cy)) == expected


@pytest.mark.parametrize("is_known", [True, False])
def test_pairs_are_calibrated_where_the_database_has_known_cameras(tmp_path, is_known):
    features, _, _ = in_depth(("a", "b"))
    path = tmp_path / "x.db"
    write_all(path, features, camera_model="PINHOLE")
    with sqlite3.connect(path) as connection:
        for image_id, focal in ((1, 500.0), (2, 450.0)):
            connection.execute(
                "UPDATE cameras SET prior_focal_length = ?, params = ? WHERE camera_id = "
                "(SELECT camera_id FROM images WHERE image_id = ?)",
                (int(is_known), np.array([focal, focal, 320, 240], "<f8").tobytes(), image_id),
            )
    assert run(["match", str(path), "--pairs", "exhaustive", "-q"]) == 0
    with pycolmap.Database.open(path) as database:
        geometry = database.read_two_view_geometry(1, 2)
    kinds = pycolmap.TwoViewGeometryConfiguration
    assert geometry.config == (kinds.CALIBRATED if is_known else kinds.UNCALIBRATED)
    assert len(geometry.inlier_matches) == 80
    assert (
        run(["match", str(path), "--pairs", "exhaustive", "-q", "--overwrite", "--model", "fundamental"]) == 0
    )
    with pycolmap.Database.open(path) as database:
        assert database.read_two_view_geometry(1, 2).config == kinds.UNCALIBRATED


def test_pairs_that_contradict_the_known_cameras_are_uncalibrated(tmp_path):
    features, _, _ = in_depth(("a", "b"))
    path = tmp_path / "x.db"
    write_all(path, features, camera_model="PINHOLE")
    with sqlite3.connect(path) as connection:  # cameras that look past each other
        for camera_id, params in ((1, [20, 20, -3000, 240]), (2, [500, 20, 3000, 240])):
            wrong = np.array(params, "<f8").tobytes()
            query = "UPDATE cameras SET prior_focal_length = 1, params = ? WHERE camera_id = ?"
            connection.execute(query, (wrong, camera_id))
    assert run(["match", str(path), "--pairs", "exhaustive", "-q"]) == 0
    with pycolmap.Database.open(path) as database:
        geometry = database.read_two_view_geometry(1, 2)
    assert geometry.config == pycolmap.TwoViewGeometryConfiguration.UNCALIBRATED
    assert len(geometry.inlier_matches) == 80


def test_pairs_without_enough_inliers_are_recorded(tmp_path, two):
    write_all(tmp_path / "x.db", dict(zip(("a", "b"), two, strict=True)))
    with ColmapMatchWriter(tmp_path / "x.db", options="", overwrite=False) as writer:
        writer.write(pair(two, ("a", "b"), "fundamental", min_inliers=10_000))
    with pycolmap.Database.open(tmp_path / "x.db") as database:
        assert database.exists_matches(1, 2)
        assert database.exists_two_view_geometry(1, 2)
        assert len(database.read_two_view_geometry(1, 2).inlier_matches) == 0


def test_matches_of_other_features_are_refused(tmp_path, two):
    write_all(tmp_path / "x.db", {"a": two[0], "b": one()})
    with ColmapMatchWriter(tmp_path / "x.db", options="", overwrite=False) as writer:
        with pytest.raises(InputError, match="expected the"):
            writer.write(pair(two, ("a", "b"), None))
        with pytest.raises(InputError, match="no image 'z'"):
            writer.write(pair(two, ("a", "z"), None))


def test_matches_of_other_options_are_refused(tmp_path, two):
    write_all(tmp_path / "x.db", dict(zip(("a", "b"), two, strict=True)))
    with ColmapMatchWriter(tmp_path / "x.db", options="one", overwrite=False) as writer:
        writer.write(pair(two, ("a", "b"), None))
    ColmapMatchWriter(tmp_path / "x.db", options="one", overwrite=False).close()
    with pytest.raises(OutputError, match="other options"):
        ColmapMatchWriter(tmp_path / "x.db", options="two", overwrite=False)
    with ColmapMatchWriter(tmp_path / "x.db", options="two", overwrite=True) as writer:
        assert not writer.has("a", "b")


# --- a scene with a known answer ----

SIZE = (480, 360)
FOCAL = 420.0
N_VIEWS = 6


def plane(name, corner, right, down):
    """A sample image on a rectangle in space, and the map (3, 3) from its pixels to space."""
    image = cv2.imread(str(next(p for p in SAMPLES if p.name == name)), cv2.IMREAD_GRAYSCALE)
    height, width = image.shape
    to_space = np.column_stack([np.array(right) / width, np.array(down) / height, corner]).astype(float)
    to_space[:, 2] += (to_space[:, 0] + to_space[:, 1]) / 2
    return image, to_space


def scene():
    """A floor-like back plane and two planes before it, not parallel: a scene in depth."""
    return [
        plane("brick.png", (-5, -4, 8), (10, 0, 1), (0, 8, 0)),
        plane("camera.png", (-3, -1.6, 6.2), (2.6, 0, -1.2), (0, 2.6, 0)),
        plane("astronaut.png", (0.4, -1.2, 5.2), (2.6, 0, 1.0), (0, 2.4, 0.4)),
    ]


def cameras():
    """Rotations and centres on an arc, looking at the scene."""
    for t in np.linspace(-1, 1, N_VIEWS):
        centre = np.array([1.6 * t, 0.3 * math.cos(3 * t), 0.5 * t * t])
        forward = np.array([0, 0, 6.5]) - centre
        forward /= np.linalg.norm(forward)
        right = np.cross([0, 1, 0], forward)
        right /= np.linalg.norm(right)
        yield np.stack([right, np.cross(forward, right), forward]), centre


def render_view(planes, rotation, centre):
    """Photograph the planes, far ones first; 4 samples a pixel each way against aliasing."""
    fine = 4
    k = np.array(
        [[FOCAL * fine, 0, SIZE[0] * fine / 2 - 0.5], [0, FOCAL * fine, SIZE[1] * fine / 2 - 0.5], [0, 0, 1]]
    )
    shape = (SIZE[0] * fine, SIZE[1] * fine)
    view = np.full(shape[::-1], 128, np.uint8)
    for image, to_space in planes:
        from_centre = to_space.copy()
        from_centre[:, 2] -= centre
        matrix = k @ rotation @ from_centre
        warped = cv2.warpPerspective(image, matrix, shape, flags=cv2.INTER_CUBIC)
        covered = cv2.warpPerspective(np.full_like(image, 255), matrix, shape, flags=cv2.INTER_NEAREST)
        view = np.where(covered > 0, warped, view)
    return cv2.resize(view, SIZE, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scene") / "images"
    folder.mkdir()
    planes = scene()
    for i, (rotation, centre) in enumerate(cameras()):
        cv2.imwrite(str(folder / f"view {i}.png"), render_view(planes, rotation, centre))
    return folder


def test_reconstruction_of_a_known_scene(rendered, tmp_path):
    database = tmp_path / "x.db"
    assert run(["detect", str(rendered), "-o", str(database), "--camera", "single", "-q"]) == 0
    assert run(["match", "--pairs", "exhaustive", str(database), "-q"]) == 0
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM two_view_geometries").fetchone() == (
        N_VIEWS * (N_VIEWS - 1) // 2,
    )
    connection.close()
    pycolmap.set_random_seed(0)
    options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=0)
    models = pycolmap.incremental_mapping(database, rendered, tmp_path, options=options)
    model = max(models.values(), key=lambda found: found.num_reg_images())
    assert model.num_reg_images() == N_VIEWS
    assert model.num_points3D() > 300
    assert model.compute_mean_reprojection_error() < 0.5
    (camera,) = model.cameras.values()
    assert camera.focal_length == pytest.approx(FOCAL, rel=0.02)
    found = {image.name: image.projection_center() for image in model.images.values()}
    truth = np.array([centre for _, centre in cameras()])
    centres = np.array([found[f"view {i}.png"] for i in range(N_VIEWS)])
    # the scale of a reconstruction is free: compare after the best similarity, over the arc of 3.2 units
    assert similarity_error(centres, truth) < 0.01 * 3.2


def similarity_error(a, b):
    """Largest distance after the best similarity of a to b (Umeyama, PAMI 1991)."""
    p, q = a - a.mean(0), b - b.mean(0)
    u, s, vt = np.linalg.svd(q.T @ p)
    d = np.diag([1, 1, np.sign(np.linalg.det(u @ vt))])
    fitted = (s @ np.diag(d) / np.sum(p**2)) * p @ (u @ d @ vt).T
    return np.linalg.norm(fitted - q, axis=1).max()


def test_images_added_to_colmaps_own_database_are_mapped(rendered, tmp_path):
    """Without their rows in ``frames`` and ``frame_data`` COLMAP's mapper would fail."""
    database, half = tmp_path / "x.db", ["view 0.png", "view 2.png", "view 4.png"]
    extraction = pycolmap.FeatureExtractionOptions(use_gpu=False, num_threads=1)
    single = pycolmap.CameraMode.SINGLE
    pycolmap.extract_features(database, rendered, half, single, extraction_options=extraction)
    assert run(["detect", str(rendered), "-o", str(database), "--append", "--camera", "single", "-q"]) == 0
    assert run(["match", "--pairs", "exhaustive", str(database), "-q"]) == 0
    pycolmap.set_random_seed(0)
    options = pycolmap.IncrementalPipelineOptions(num_threads=1, random_seed=0)
    models = pycolmap.incremental_mapping(database, rendered, tmp_path, options=options)
    assert max(model.num_reg_images() for model in models.values()) == N_VIEWS


def test_commits_in_a_write_ahead_log_end_in_the_file(tmp_path):
    """COLMAP leaves its databases in that mode; the file alone must hold everything."""
    write_all(tmp_path / "x.db", {"a.png": one()})
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    write_all(tmp_path / "x.db", {"b.png": one()}, append=True)
    (tmp_path / "y.db").write_bytes((tmp_path / "x.db").read_bytes())
    assert len(load(tmp_path / "y.db", image="b.png")) == 1

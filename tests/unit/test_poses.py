"""The benchmark of poses: its geometry on cameras whose answer is known, its readers, its degradations."""

import itertools
import json
import math
import re
import subprocess
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from pose_scenes import PICTURE, quaternion, rotation_about_y, write_scene

from siftcli import detectors
from siftcli.detection import detect
from siftcli.errors import InputError, OutputError, ParameterError
from siftcli.evaluation.intervals import over_pairs
from siftcli.evaluation.poses.cameras import (
    Camera,
    RelativePose,
    auc_share,
    fundamental_of,
    pose_error_deg,
)
from siftcli.evaluation.poses.degradations import DEGRADATIONS, degrade, disc_kernel, motion_kernel
from siftcli.evaluation.poses.detection import read_view
from siftcli.evaluation.poses.measure import as_rootsift, covered, measure, moved_back
from siftcli.evaluation.poses.options import DEGRADATION_NAMES, parse_budgets
from siftcli.evaluation.poses.readers import CSV_COLUMNS
from siftcli.evaluation.poses.runner import evaluate_poses
from siftcli.evaluation.poses.scenes import Limits, View, read_scenes
from siftcli.evaluation.poses.settings import PoseSettings
from siftcli.evaluation.poses.summary import to_tables
from siftcli.evaluation.poses.tables import text_tables
from siftcli.features import Features
from siftcli.params import SiftParams
from siftcli.sift.selection import SPREAD_POWER
from siftcli.views.planar import map_points

CAMERA = Camera(640, 480, 500.0, 510.0, 322.0, 238.0)


def view(name, rotation, translation, folder=None, camera=CAMERA):
    path = (folder or SAMPLES[0].parent) / name
    return View(path, name, camera, rotation, np.array(translation, float), np.empty(0, np.int64))


FIRST = view("a.png", np.eye(3), (0, 0, 0))
SECOND = view("b.png", rotation_about_y(10), (-1.0, 0.1, 0.2))


def seen(points, by):
    """Pixels (N, 2), in the coordinates of features, at which a view sees points (N, 3) of the world."""
    projected = (points @ by.rotation.T + by.translation) @ by.camera.matrix.T
    return projected[:, :2] / projected[:, 2:] - 0.5


def features_at(xy, descriptors):
    n = len(xy)
    return Features(
        xy=xy.astype(np.float32), scale=np.ones(n, np.float32), orientation=np.zeros(n, np.float32),
        response=np.ones(n, np.float32), sign=np.ones(n, np.int8), octave=np.zeros(n, np.int16),
        descriptors=descriptors, descriptor_kind="rootsift", image_size=(640, 480), params=SiftParams(),
    )  # fmt: skip


RNG = np.random.default_rng(3)
POINTS = np.column_stack((RNG.uniform(-1.5, 2.5, 300), RNG.uniform(-1.5, 1.5, 300), RNG.uniform(4, 9, 300)))
DESCRIPTORS = RNG.integers(0, 256, (300, 128)).astype(np.uint8)


@pytest.fixture
def two_views_of_points():
    return [features_at(seen(POINTS, by), DESCRIPTORS) for by in (FIRST, SECOND)]


def test_exact_matches_give_the_true_pose(two_views_of_points):
    f, g = two_views_of_points
    (row,) = measure(f, g, (CAMERA, CAMERA), FIRST.pose_of(SECOND), seeds=range(2))
    assert row.n_putative == row.n_true == 300
    assert row.true_median_px < 1e-4  # single precision of the places
    assert row.pose_error_deg < 0.01
    assert row.auc_1deg > 0.99
    assert row.maa_10deg == 1


def test_a_pose_is_found_without_the_intrinsics_too(two_views_of_points):
    f, g = two_views_of_points
    wide = Camera(640, 480, 900.0, 700.0, 200.0, 300.0)
    other = view("b.png", SECOND.rotation, SECOND.translation, camera=wide)
    g = features_at(seen(POINTS, other), g.descriptors)
    rows = measure(f, g, (CAMERA, wide), FIRST.pose_of(other), [0], ("essential", "fundamental"))
    assert [row.geometry for row in rows] == ["essential", "fundamental"]
    assert max(row.pose_error_deg for row in rows) < 0.01
    # The fundamental matrix was estimated without them: seven matches are enough for one only.
    few = [x.select(slice(7)) for x in (f, g)]
    rows = measure(*few, (CAMERA, wide), FIRST.pose_of(other), [0], ("essential", "fundamental"))
    assert rows[0].pose_error_deg < 1
    assert rows[1].pose_error_deg == 180


def test_the_share_of_true_matches_and_the_pose_do_not_hang_on_wrong_ones(two_views_of_points):
    f, g = two_views_of_points
    moved = np.array(g.xy)
    moved[:90] += np.random.default_rng(0).uniform(30, 60, (90, 2))
    (row,) = measure(f, features_at(moved, g.descriptors), (CAMERA, CAMERA), FIRST.pose_of(SECOND), seeds=[0])
    assert 210 <= row.n_true < 230  # some wrong ones lie on their line by chance
    assert row.pose_error_deg < 0.05


def test_without_enough_matches_the_pose_is_wrong_not_an_error(two_views_of_points):
    f, g = (x.select(slice(4)) for x in two_views_of_points)
    (row,) = measure(f, g, (CAMERA, CAMERA), FIRST.pose_of(SECOND), seeds=[0])
    assert (row.pose_error_deg, row.auc_10deg) == (180.0, 0.0)
    none = f.select(slice(0))
    (empty,) = measure(none, none, (CAMERA, CAMERA), FIRST.pose_of(SECOND), seeds=[0])
    assert (empty.n_true, empty.coverage) == (0, 0.0)
    assert math.isnan(empty.true_median_px)


def test_the_error_is_the_larger_of_two_angles_whatever_the_length_of_the_translation():
    truth = FIRST.pose_of(SECOND)
    longer = RelativePose(truth.rotation, 7 * truth.translation)
    assert pose_error_deg(longer, truth) == pytest.approx(0, abs=1e-5)
    turned = RelativePose(rotation_about_y(3) @ truth.rotation, truth.translation)
    assert pose_error_deg(turned, truth) == pytest.approx(3)
    assert pose_error_deg(RelativePose(truth.rotation, -truth.translation), truth) == pytest.approx(180)
    assert pose_error_deg(RelativePose(truth.rotation, np.zeros(3)), truth) == 180


def test_the_mean_of_shares_is_the_area_under_the_recall_curve():
    errors, limit = np.array([0.1, 0.4, 0.9, 2.5, 180.0]), 1.0
    steps = np.linspace(0, limit, 100_001)
    recall = np.mean(errors[:, None] <= steps, axis=0)
    assert np.mean([auc_share(e, limit) for e in errors]) == pytest.approx(recall.mean(), abs=1e-4)


def test_true_places_lie_on_their_epipolar_lines(two_views_of_points):
    f, g = two_views_of_points
    matrix = fundamental_of(FIRST.pose_of(SECOND), CAMERA, CAMERA)
    first, second = (np.column_stack((x.xy + 0.5, np.ones(len(x)))) for x in (f, g))
    lines = first @ matrix.T
    distance = np.abs(np.sum(lines * second, axis=1)) / np.hypot(lines[:, 0], lines[:, 1])
    assert distance.max() < 1e-3


def test_coverage_counts_cells():
    camera = Camera(100, 50, 1, 1, 0, 0)
    assert covered(np.array([[0, 0], [9.9, 4.9], [10, 4.9], [99.9, 49.9]]), camera) == 0.03


def test_descriptors_of_others_become_rootsift():
    raw = np.zeros((1, 128), np.uint8)
    raw[0, :4] = 100
    found = as_rootsift(Features(**{**vars(features_at(np.zeros((1, 2)), raw)), "descriptor_kind": "sift"}))
    assert found.descriptor_kind == "rootsift"
    np.testing.assert_array_equal(found.descriptors[0, :5], [255, 255, 255, 255, 0])  # 512·½, saturated


@pytest.mark.parametrize("kind", DEGRADATION_NAMES)
def test_a_degraded_picture_is_the_same_every_time_and_shows_the_same_places(kind):
    changed, again = (degrade(PICTURE, kind, "a.png", seed=5) for _ in range(2))
    np.testing.assert_array_equal(changed.picture, again.picture)
    assert changed.picture.shape == PICTURE.shape
    # The middle of the changed picture shows what is there in the original.
    y, x = np.mgrid[60:100, 90:130]
    places = map_points(changed.to_original, np.column_stack((x.ravel(), y.ravel())))
    source = PICTURE[tuple(np.rint(places[:, ::-1]).astype(int).clip(0, (159, 219)).T)].astype(float)
    there = changed.picture[y.ravel(), x.ravel()].astype(float)
    assert np.corrcoef(source, there)[0, 1] > 0.8


def test_degradations_have_the_names_that_can_be_asked_for():
    assert tuple(DEGRADATIONS) == DEGRADATION_NAMES


def test_another_seed_or_picture_is_changed_otherwise():
    pictures = [
        degrade(PICTURE, "noise", name, seed).picture for name, seed in (("a", 0), ("a", 1), ("b", 0))
    ]
    assert all(np.any(a != b) for a, b in pairwise(pictures))


def test_kernels_blur_and_do_not_move():
    for kernel in (motion_kernel(9, 0.3), motion_kernel(5, math.pi / 2), disc_kernel(3)):
        y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
        assert kernel.sum() == pytest.approx(1)
        assert [np.sum(kernel * x), np.sum(kernel * y)] == pytest.approx([0, 0], abs=1e-9)
    across = motion_kernel(9, 0).sum(axis=0)
    spread = np.sum(across * (np.arange(len(across)) - len(across) // 2) ** 2)
    assert spread == pytest.approx(9**2 / 12, rel=0.05)  # variance of a uniform distribution


def test_features_come_back_to_the_original_and_those_outside_are_left_out():
    f = features_at(np.array([[0, 0], [639, 479], [320, 240]]), np.zeros((3, 128), np.uint8))
    half = np.array([[-1, 0, 639], [0, -1, 479], [0, 0, 1.0]])
    np.testing.assert_allclose(moved_back(f, half).xy, [[639, 479], [0, 0], [319, 239]])
    assert len(moved_back(f, np.array([[1, 0, 400], [0, 1, 0], [0, 0, 1.0]]))) == 1


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "plane")


def test_a_text_model_is_read(scene):
    (found,) = read_scenes(scene)
    assert found.name == "plane"
    assert [v.name for v in found.views] == ["view-1.png", "view-2.png"]
    np.testing.assert_allclose(found.views[1].rotation, rotation_about_y(8), atol=1e-12)
    np.testing.assert_allclose(found.views[1].translation, [-0.12, 0.02, 0])
    assert found.views[0].camera == Camera(160, 160, 200, 200, 80, 80)
    assert found.views[0].angle_to(found.views[1]) == pytest.approx(8)
    assert found.pairs(Limits(0, 9)) == [(0, 1)]
    for limits in (Limits(0, 7), Limits(9, 70)):
        with pytest.raises(InputError, match="view-angles"):
            found.pairs(limits)
    assert [s.name for s in read_scenes(scene.parent)] == ["plane"]


def write_points(scene, *seen_by):
    """Let the views of a text model show points."""
    path = scene / "sparse" / "images.txt"
    lines = path.read_text().splitlines()
    for number, ids in enumerate(seen_by):
        lines[2 + 2 * number] = " ".join(f"1.5 2.5 {i}" for i in ids)
    path.write_text("\n".join(lines) + "\n")


def test_the_overlap_is_that_of_the_points_of_the_model(scene):
    limits = Limits(0, 70, 0.5, 1)
    with pytest.raises(InputError, match="model with points"):
        read_scenes(scene)[0].pairs(limits)
    write_points(scene, [7, 3, -1, 5, 9, 9], [9, 3, -1, 11, -1])
    (found,) = read_scenes(scene)
    assert found.views[0].overlap_with(found.views[1]) == pytest.approx(2 / 3)  # of 3, 9, 11
    assert found.pairs(limits) == [(0, 1)]
    with pytest.raises(InputError, match="overlap"):
        found.pairs(Limits(0, 70, 0.7, 1))
    write_points(scene, [7, 3], [])
    assert read_scenes(scene)[0].pairs(Limits(0, 70)) == [(0, 1)]


def test_a_binary_model_is_the_same_as_its_text(scene):
    pycolmap = pytest.importorskip("pycolmap")
    (expected,) = read_scenes(scene)
    (scene / "sparse" / "points3D.txt").write_text("")
    lines = (scene / "sparse" / "images.txt").read_text().replace("1.0 2.0 -1", "")
    (scene / "sparse" / "images.txt").write_text(lines)
    model = pycolmap.Reconstruction(str(scene / "sparse"))
    for path in (scene / "sparse").iterdir():
        path.unlink()
    (scene / "sparse" / "0").mkdir()
    model.write_binary(str(scene / "sparse" / "0"))
    (found,) = read_scenes(scene)
    for a, b in zip(found.views, expected.views, strict=True):
        assert (a.name, a.camera, a.path) == (b.name, b.camera, b.path)
        np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-12)
        np.testing.assert_allclose(a.translation, b.translation, atol=1e-12)


def test_a_csv_file_is_the_same_as_the_model(scene):
    (expected,) = read_scenes(scene)
    rows = [",".join(CSV_COLUMNS)]
    for v in expected.views:
        c = v.camera
        numbers = [c.width, c.height, c.fx, c.fy, c.cx, c.cy, *quaternion(v.rotation), *v.translation]
        rows.append(",".join([f"images/{v.name}", *map(str, numbers)]))
    (scene / "cameras.csv").write_text("\n".join(rows) + "\n")
    (found,) = read_scenes(scene / "cameras.csv")
    for a, b in zip(found.views, expected.views, strict=True):
        assert (a.path, a.camera) == (b.path, b.camera)
        np.testing.assert_allclose(a.rotation, b.rotation, atol=1e-9)


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_is_no_scene_is_refused(scene, tmp_path):
    model = scene / "sparse"
    good = {path: path.read_text() for path in model.iterdir()}
    for name, old, new, message in [
        ("cameras.txt", "SIMPLE_PINHOLE", "OPENCV", "undistort"),
        ("cameras.txt", "200 80", "80", "not COLMAP's cameras.txt"),
        ("cameras.txt", "200 80", "-200 80", "not COLMAP's cameras.txt"),
        ("images.txt", "view-2", "view-1", "listed twice"),
        ("images.txt", "1.0 2.0 -1", "1.0 2.0 x", "not COLMAP's images.txt"),
        ("cameras.txt", "1 SIMPLE", "7 SIMPLE", "not COLMAP's images.txt"),
        ("images.txt", "1 1.0 ", "1 one ", "not COLMAP's images.txt"),
        ("images.txt", "view-2", "view-3", "missing"),
    ]:
        change(model / name, old, new)
        with pytest.raises(InputError, match=message):
            read_scenes(scene)
        (model / name).write_text(good[model / name])
    with pytest.raises(InputError, match="no scene"):
        read_scenes(tmp_path / "nowhere")
    (tmp_path / "a.csv").write_text("image,fx\na.png,1\n")
    with pytest.raises(InputError, match="expected the columns"):
        read_scenes(tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text(",".join(CSV_COLUMNS) + "\n" + ",".join("x" * len(CSV_COLUMNS)) + "\n")
    with pytest.raises(InputError, match="row 1"):
        read_scenes(tmp_path / "b.csv")


def test_budgets():
    assert parse_budgets("500, default") == ("500", "default")
    for wrong in ("", "0", "-3", "500,500", "all", "1.5"):
        with pytest.raises(ParameterError, match="budgets"):
            parse_budgets(wrong)


def test_settings_that_cannot_be_meant_are_refused():
    for options in (
        {"detectors": []},
        {"detectors": ["siftcli", "siftcli"]},
        {"detectors": ["nobody"]},
        {"detectors": ["siftcli"], "degradations": ["rain"]},
        {"detectors": ["siftcli"], "min_angle_deg": 50, "max_angle_deg": 40},
        {"detectors": ["siftcli"], "max_overlap": 1.5},
        {"detectors": ["siftcli"], "geometries": ["essential", "essential"]},
        {"detectors": ["siftcli"], "n_seeds": 0},
    ):
        with pytest.raises(ParameterError):
            PoseSettings(**options)


def test_results_do_not_depend_on_processes_and_resume_where_they_stopped(scene, tmp_path):
    settings = PoseSettings(
        detectors=["siftcli", "opencv"], budgets=("100",), degradations=("clean", "noise"),
        geometries=("essential", "fundamental"), n_seeds=2,
    )  # fmt: skip
    scenes = read_scenes(scene)
    results = [evaluate_poses(scenes, settings, tmp_path / str(n), jobs=n) for n in (1, 2)]
    for row in (*results[0]["rows"], *results[1]["rows"]):
        assert row.pop("time_s") > 0
    assert results[0]["rows"] == results[1]["rows"]
    assert not results[0]["failures"]
    measured = {(row["detector"], row["degradation"], row["geometry"]) for row in results[0]["rows"]}
    assert len(measured) == len(results[0]["rows"]) == 2 * 2 * 2
    assert {(row["image_a"], row["image_b"]) for row in results[0]["rows"]} == {("view-1.png", "view-2.png")}
    finished = tmp_path / "1" / "finished.jsonl"
    lines = finished.read_text().splitlines(keepends=True)
    finished.write_text("".join(lines[:3]) + '{"key": ["pla')
    done = []
    again = evaluate_poses(scenes, settings, tmp_path / "1", progress=lambda n, _: done.append(n))
    assert done == [3, 4]
    assert [r["auc_1deg"] for r in again["rows"]] == [r["auc_1deg"] for r in results[0]["rows"]]
    other = PoseSettings(detectors=["siftcli"], budgets=("100",), degradations=("clean", "noise"))
    with pytest.raises(OutputError, match="other settings"):
        evaluate_poses(scenes, other, tmp_path / "1")


def test_the_command_writes_tables(scene, tmp_path):
    command = [sys.executable, "-m", "siftcli", "evaluate", "--dataset", "poses", str(scene)]
    out = tmp_path / "out"
    args = [
        "-o",
        str(out),
        "--detectors",
        "siftcli,opencv-precise",
        "--budgets",
        "100,default",
        "--jobs",
        "1",
    ]
    done = subprocess.run([*command, *args], capture_output=True, text=True, check=True)
    assert "plane, 100 features (1 pair)" in done.stdout
    assert "AUC 1°" in done.stdout
    results = json.loads((out / "results.json").read_text())
    siftcli = [row for row in results["rows"] if row["detector"] == "siftcli" and row["budget"] == "100"]
    assert siftcli[0]["n_true"] > 30
    assert siftcli[0]["true_median_px"] < 0.5
    assert {d["metric"] for d in results["differences"]} >= {"auc_1deg", "coverage"}
    assert (out / "summary.csv").read_text().startswith("scene,degradation,geometry,budget,detector,n_pairs")
    Image.fromarray(PICTURE).save(scene / "images" / "view-1.png")
    done = subprocess.run(
        [*command, "-o", str(tmp_path / "o"), *args[2:]], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "as its camera says" in done.stderr


def rows_of(name, values, ends=None, **where):
    common = {"scene": "s", "degradation": "clean", "geometry": "essential", "budget": "9", **where}
    return [
        {**common, "detector": name, "image_a": a, "image_b": b, "auc_1deg": v, "n_true": 3}
        for (a, b), v in zip(ends or [("a", f"{i:03}") for i in range(len(values))], values, strict=True)
    ]


def test_differences_are_paired_over_pairs_and_have_the_interval_over_images():
    rng = np.random.default_rng(2)
    a = rng.uniform(size=45)
    b = a - 0.1 + 0.01 * rng.standard_normal(45)
    ends = list(itertools.combinations("abcdefghij", 2))
    rows = rows_of("x", a, ends) + list(reversed(rows_of("y", b, ends)))  # in another order
    tables = to_tables(rows, ["x", "y"])
    found = {d["metric"]: d for d in tables["differences"]}["auc_1deg"]
    expected = over_pairs(a - b, ends)
    assert [found["low"], found["high"]] == pytest.approx([expected.low, expected.high])
    assert (found["method"], found["n_images"], found["n_pairs"]) == ("jackknife", 10, 45)
    assert found["mean"] == pytest.approx(np.mean(a - b))
    assert found["mark"] == "better"
    assert 0.09 < found["low"] < found["high"] < 0.11  # unpaired it would reach from -0.04 to 0.24
    entry = next(e for e in tables["summary"] if e["detector"] == "x")
    assert entry["means"]["auc_1deg"] == pytest.approx(a.mean())
    own = over_pairs(a, ends)
    assert entry["intervals"]["auc_1deg"] == pytest.approx([own.low, own.high])
    assert (entry["n_pairs"], entry["n_images"]) == (45, 10)


def test_few_images_and_an_image_in_every_pair_have_no_interval():
    few = rows_of("x", np.arange(10.0), itertools.combinations("abcde", 2))
    star = rows_of("x", np.arange(10.0))
    for rows in (few, star):
        (entry,) = to_tables(rows, ["x"])["summary"]
        assert entry["intervals"]["auc_1deg"] is None
        assert entry["means"]["auc_1deg"] == 4.5


def test_values_that_are_missing_are_left_out_of_means_and_differences():
    rows = rows_of("x", [0.5, None, 0.7]) + rows_of("y", [0.1, 0.2, None])
    tables = to_tables(rows, ["x", "y"])
    means = {e["detector"]: e["means"] for e in tables["summary"]}
    assert means["x"]["auc_1deg"] == pytest.approx(0.6)
    assert math.isnan(means["x"]["coverage"])
    (difference,) = [d for d in tables["differences"] if d["metric"] == "auc_1deg"]
    assert (difference["n_pairs"], difference["mean"]) == (1, pytest.approx(0.4))


def test_tables_have_a_title_for_each_kind_and_the_best_in_bold():
    rows = rows_of("x", [0.5]) + rows_of("y", [0.25], degradation="motion", geometry="fundamental")
    rows += rows_of("z", [0.75], budget="default")
    text = text_tables({**to_tables(rows, ["x"]), "reconstructions": []})
    assert re.findall("^s.*", text, re.M) == [
        "s, 9 features (1 pair)",
        "s, motion blur, fundamental matrix, 9 features (1 pair)",
        "s, at defaults (1 pair)",
    ]
    assert "| x | **0.500** | –" in text


def test_opencvs_features_are_spread_by_the_same_rule():
    grey = np.asarray(PICTURE, np.float32) / 255
    detector = detectors.create("opencv-spread", threads=1)
    found = detector.detect(grey)
    low = cv2.SIFT_create(enable_precise_upscale=True, contrastThreshold=0.01)
    keypoints = low.detect(PICTURE)
    assert len(found) == len(keypoints) > len(detectors.create("opencv-precise").detect(grey))
    raw = {(k.pt, k.size): k.response for k in keypoints}
    for row in (0, 1, 20, len(found) - 1):  # against a slow twin of the rule
        xy, size = found.xy[row], 2 * found.scale[row]
        own = min(raw, key=lambda k: abs(k[0][0] - xy[0]) + abs(k[0][1] - xy[1]) + abs(k[1] - size))
        radii = [math.dist(own[0], k[0]) for k in raw if raw[k] * 0.9 > raw[own]]
        farthest = 0.25 * math.hypot(*found.image_size)
        expected = raw[own] * (min([*radii, farthest]) / farthest) ** SPREAD_POWER
        assert found.response[row] == pytest.approx(expected, rel=1e-4)
    assert np.all(np.diff(found.response) <= 0)
    strongest = detector.limited(30, grey).detect(grey)
    np.testing.assert_array_equal(strongest.xy, found.xy[:30])
    spread, usual = (covered(f.xy, Camera(220, 160, 1, 1, 0, 0)) for f in (
        strongest, detectors.create("opencv-precise").limited(30, grey).detect(grey)
    ))  # fmt: skip
    assert spread > usual


def test_siftcli_is_limited_by_its_own_option():
    grey = np.asarray(PICTURE, np.float32) / 255
    limited = detectors.create("siftcli", threads=1).limited(40, grey)
    assert limited.parameters["max_features"] == 40
    expected = detect(grey, SiftParams(max_features=40))
    np.testing.assert_array_equal(limited.detect(grey).xy, expected.xy)
    assert detectors.create("siftcli").parameters["max_features"] is None


def test_views_are_reduced_and_read_as_they_are_stored(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down; cameras of a model are those of the stored pixels
    Image.fromarray(PICTURE).save(tmp_path / "a.jpg", exif=exif, quality=100)
    camera = Camera(220, 160, 200.0, 210.0, 110.0, 80.0)
    found = read_view(view("a.jpg", np.eye(3), (0, 0, 0), tmp_path, camera), max_side_px=110)
    assert found.camera == Camera(110, 80, 100.0, 105.0, 55.0, 40.0)
    blocks = PICTURE.reshape(80, 2, 110, 2).mean(axis=(1, 3))
    assert np.abs(found.picture - blocks).max() < 4  # JPEG's loss

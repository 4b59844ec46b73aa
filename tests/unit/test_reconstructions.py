"""Reconstructions in the benchmark of poses: the fit to known cameras, COLMAP's mapper on exact matches."""

import json
import subprocess
import sys

import numpy as np
import pytest
from pose_scenes import write_scene
from scipy.spatial.transform import Rotation
from test_poses import CAMERA, features_at, seen, view

from siftcli.errors import MissingDependencyError
from siftcli.evaluation.poses import settings as settings_module
from siftcli.evaluation.poses.alignment import FoundCamera, compare, diameter, fitted
from siftcli.evaluation.poses.detection import Detection
from siftcli.evaluation.poses.reconstruct import Reconstructor, plan_reconstructions
from siftcli.evaluation.poses.scenes import Scene
from siftcli.evaluation.poses.settings import PoseSettings
from siftcli.evaluation.poses.summary import summarise_reconstructions
from siftcli.evaluation.poses.tables import text_tables

RNG = np.random.default_rng(8)
POINTS = RNG.uniform((-1.5, -1.2, 4), (1.5, 1.2, 8), (250, 3))
DESCRIPTORS = RNG.integers(0, 256, (250, 128)).astype(np.uint8)


def views_around(n):
    """Cameras on an arc that look at the points; names with a space, as photographs have."""
    found = []
    for number, degrees in enumerate(np.linspace(-12, 12, n)):
        rotation = Rotation.from_euler("yx", (degrees, 3 * number % 5), degrees=True).as_matrix()
        centre = np.array([0, 0, 6]) - rotation.T @ (0.02 * number, 0, 6 + 0.1 * number)
        found.append(view(f"view {number}.png", rotation, -rotation @ centre))
    return found


VIEWS = views_around(5)


def reconstructed(by, *, similarity, scale, shift):
    """Cameras as they are in other coordinates of the world."""
    return {v.name: FoundCamera(v.rotation @ similarity.T, scale * similarity @ v.centre + shift) for v in by}


def test_the_same_cameras_in_other_coordinates_have_no_error():
    other = {"similarity": Rotation.from_euler("xyz", (1, 2, 3)).as_matrix(), "scale": 7.0}
    found = compare(VIEWS, reconstructed(VIEWS, shift=np.array([5, -3, 1]), **other))
    assert found.position_max < 1e-12
    assert found.rotation_max_deg < 1e-5  # arccos near 1


def test_errors_are_shares_of_the_scene_and_degrees():
    found = reconstructed(VIEWS, similarity=np.eye(3), scale=1.0, shift=np.zeros(3))
    moved = FoundCamera(found[VIEWS[2].name].rotation, VIEWS[2].centre + np.array([0, 0, 0.3]))
    compared = compare(VIEWS, {**found, VIEWS[2].name: moved})
    size = diameter(np.array([v.centre for v in VIEWS]))
    # The fit takes up a part of the error of one camera, never more than all.
    assert 0.05 / size < compared.position_max < 0.3 / size
    assert compared.position_median < compared.position_max
    turned = Rotation.from_euler("z", 2, degrees=True).as_matrix() @ found[VIEWS[2].name].rotation
    compared = compare(VIEWS, {**found, VIEWS[2].name: FoundCamera(turned, VIEWS[2].centre)})
    assert compared.rotation_max_deg == pytest.approx(2 * 4 / 5, rel=0.01)  # the mean takes a fifth
    assert compared.rotation_median_deg == pytest.approx(2 / 5, rel=0.01)


def test_the_fit_does_not_mirror_and_takes_a_line():
    points = RNG.normal(size=(6, 3))
    assert np.abs(fitted(points, points * (1, 1, -1)) - points * (1, 1, -1)).max() > 0.1
    line = np.outer(np.arange(4.0), (1, 2, 3))
    np.testing.assert_allclose(fitted(line, 3 * line[:, ::-1] + 1), 3 * line[:, ::-1] + 1, atol=1e-9)
    np.testing.assert_allclose(fitted(np.ones((3, 3)), np.eye(3)), np.full((3, 3), 1 / 3))


def test_too_few_cameras_have_no_error_to_tell():
    found = reconstructed(VIEWS[:2], similarity=np.eye(3), scale=1.0, shift=np.zeros(3))
    assert np.isnan(compare(VIEWS, found).position_median)


class ExactDetector:
    """Sees the points where they are; in views of other names nothing."""

    def __init__(self, blind=()):
        self.blind = blind

    def detect(self, view, scene, name, budget, kind):
        n = 0 if view.name in self.blind else len(POINTS)
        return Detection(features_at(seen(POINTS[:n], view), DESCRIPTORS[:n]), CAMERA, 0.0)


def run(detector, n_seeds=2):
    settings = PoseSettings(detectors=["siftcli"], budgets=["250"], reconstruct=True, n_seeds=n_seeds)
    (task,) = plan_reconstructions(Scene("points", tuple(VIEWS)), settings)
    return Reconstructor(settings, detector).run(task)


def test_exact_features_give_the_known_cameras():
    pytest.importorskip("pycolmap")
    rows = run(ExactDetector())
    assert [row["seed"] for row in rows] == [0, 1]
    for row in rows:
        assert row["n_registered"] == row["n_views"] == 5
        assert row["n_points"] > 200
        assert row["track_length"] > 4
        assert row["reprojection_px"] < 0.01
        assert row["position_max"] < 1e-4
        assert row["rotation_max_deg"] < 0.01
    assert rows == run(ExactDetector())


def test_a_view_without_features_is_not_registered_and_none_is_no_model():
    pytest.importorskip("pycolmap")
    (row,) = run(ExactDetector(blind={"view 4.png"}), n_seeds=1)
    assert (row["n_registered"], row["n_views"]) == (4, 5)
    (row,) = run(ExactDetector(blind={v.name for v in VIEWS}), n_seeds=1)
    assert (row["n_registered"], row["n_points"]) == (0, 0)
    assert np.isnan(row["position_median"])
    summary = summarise_reconstructions([row])
    assert "| siftcli | **0** | – |" in text_tables({"summary": [], "reconstructions": summary})


def test_a_failure_is_a_row():
    class Failing:
        def detect(self, *_):
            raise ValueError("no\nluck")

    (row,) = run(Failing())
    assert (row["error"], row["detector"], row["scene"]) == ("no luck", "siftcli", "points")


def test_medians_over_seeds():
    rows = [
        {"scene": "a", "budget": "9", "detector": "x", "n_views": 3, "n_points": n, "reprojection_px": e}
        for n, e in ((10, 0.5), (30, 0.1), (20, None))
    ]
    (found,) = summarise_reconstructions(rows)
    assert (found["n_seeds"], found["medians"]["n_points"], found["ranges"]["n_points"]) == (3, 20, [10, 30])
    assert np.isnan(found["medians"]["reprojection_px"])  # one seed failed: nothing to hide behind the others


def test_without_pycolmap_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(settings_module, "find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"siftcli\[colmap\]"):
        PoseSettings(detectors=["siftcli"], reconstruct=True)


def test_workers_end_and_scenes_fail_without_a_word(tmp_path):
    """pycolmap would print a stack trace when the pool ends its processes, and that there is no model."""
    pytest.importorskip("pycolmap")
    scene = write_scene(tmp_path / "plane")
    options = ["--dataset", "poses", "--budgets", "20,30", "--detectors", "siftcli", "--jobs", "2"]
    command = [sys.executable, "-m", "siftcli", "evaluate", str(scene), *options, "--reconstruct", "-q"]
    done = subprocess.run([*command, "-o", str(tmp_path / "out")], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert {row["n_registered"] for row in results["reconstruction_rows"]} == {0}

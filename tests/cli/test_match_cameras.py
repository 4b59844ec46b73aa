"""``siftcli match --model essential``: photographs of a scene whose cameras are known."""

import json
import math
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import siftcli
from siftcli.__main__ import run

SCRIPT = Path(__file__).parents[2] / "docs" / "scripts" / "make_photos.py"
AZIMUTHS_DEG = (20, 32)
KEYS = {"focal_px", "pose_rotation", "pose_angle_deg", "pose_axis", "pose_direction", "pose_note"}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two photographs with the focal length in EXIF, and the true rotation and direction of translation."""
    folder = tmp_path_factory.mktemp("photos")
    made = runpy.run_path(str(SCRIPT))
    rng, poses = np.random.default_rng(0), []
    f, w, h = made["FOCAL_PX"], made["WIDTH"], made["HEIGHT"]
    intrinsics = np.array([[f, 0, (w - 1) / 2], [0, f, (h - 1) / 2], [0, 0, 1]])
    for name, azimuth in zip(("a.jpg", "b.jpg"), AZIMUTHS_DEG, strict=True):
        projection = made["camera"](math.radians(azimuth), math.radians(35))
        (folder / name).write_bytes(made["jpeg"](made["photograph"](projection, rng)))
        poses.append(np.linalg.inv(intrinsics) @ projection)
    (r_a, t_a), (r_b, t_b) = ((pose[:, :3], pose[:, 3]) for pose in poses)
    rotation = r_b @ r_a.T
    translation = t_b - rotation @ t_a
    return folder, rotation, translation / np.linalg.norm(translation)


def matched(capfd, folder, *args):
    paths = [str(folder / name) for name in ("a.jpg", "b.jpg")]
    assert run(["match", *paths, "--max-features", "1000", "--json", *args]) == 0
    return json.loads(capfd.readouterr().out)


def error_deg(first, second):
    return math.degrees(math.acos(np.clip(np.dot(first, second), -1, 1)))


@pytest.mark.parametrize("focal", [[], ["--focal", "900"], ["--focal", "900,900"]])
def test_the_pose_of_the_second_camera_is_told(photos, capfd, focal):
    folder, rotation, direction = photos
    found = matched(capfd, folder, "--model", "essential", *focal)
    # EXIF states whole mm at 35 mm film: 39, which is 901.3 px
    np.testing.assert_allclose(found["focal_px"], 900, atol=0 if focal else 12)
    angle = error_deg([1, 0, 0], [(np.trace(np.array(found["pose_rotation"]).T @ rotation) - 1) / 2, 0, 0])
    assert angle < 0.3
    assert error_deg(found["pose_direction"], direction) < 1.5
    true_angle = math.degrees(math.acos((np.trace(rotation) - 1) / 2))
    assert found["pose_angle_deg"] == pytest.approx(true_angle, abs=0.3)
    assert np.linalg.norm(found["pose_axis"]) == pytest.approx(1)
    assert found["pose_note"] == ""
    assert found["rotation_recovered_deg"] is None


def test_the_pose_is_printed(photos, capfd):
    folder, *_ = photos
    paths = [str(folder / name) for name in ("a.jpg", "b.jpg")]
    assert run(["match", *paths, "--max-features", "1000", "--model", "essential"]) == 0
    out = capfd.readouterr().out
    for words in ("focal lengths", "rotation from A to B", "direction of translation"):
        assert words in out


def test_other_models_have_the_keys_without_values(photos, capfd):
    found = matched(capfd, photos[0], "--model", "fundamental")
    assert [found[key] for key in sorted(KEYS)] == [None, None, None, None, "", None]


def test_a_camera_that_only_rotates_is_told_so(photos, capfd):
    args = ["match", str(photos[0] / "a.jpg"), "--rotate", "90", "--model", "essential", "--json"]
    assert run([*args, "--max-features", "500", "--scale", "0.5"]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["pose_direction"] is None
    assert "rotation alone" in found["pose_note"]
    assert found["pose_angle_deg"] == pytest.approx(90, abs=0.2)
    assert found["focal_px"][1] == pytest.approx(found["focal_px"][0] / 2)


def test_unknown_focal_lengths_are_refused(photos, tmp_path, capfd):
    folder, *_ = photos
    plain = str(tmp_path / "plain.png")
    Image.open(folder / "b.jpg").save(plain)
    saved = str(tmp_path / "f.npz")
    siftcli.save(siftcli.detect(plain, max_features=200), saved)
    for other in (plain, saved):
        assert run(["match", str(folder / "a.jpg"), other, "--model", "essential"]) == 2
        err = capfd.readouterr().err
        assert Path(other).name in err
        assert "--focal" in err
    args = ["match", str(folder / "a.jpg"), saved, "--model", "essential", "--focal", "900", "--json"]
    assert run([*args, "--max-features", "200"]) == 0
    assert json.loads(capfd.readouterr().out)["focal_px"] == [900, 900]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--model", "essential", "--focal", "0"], "--focal must be one or two lengths above 0"),
        (["--model", "essential", "--focal", "900,-1"], "--focal must be"),
        (["--model", "essential", "--focal", "nan"], "--focal must be"),
        (["--model", "essential", "--focal", "1,2,3"], "--focal must be"),
        (["--model", "essential", "--focal", "long"], "expected PX or PX,PX"),
        (["--focal", "900"], "--focal has no effect without --model essential"),
    ],
)
def test_wrong_use_is_told(photos, capfd, args, message):
    paths = [str(photos[0] / name) for name in ("a.jpg", "b.jpg")]
    assert run(["match", *paths, *args]) == 2
    assert message in capfd.readouterr().err

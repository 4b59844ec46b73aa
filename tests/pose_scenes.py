"""A scene with known cameras: two photographs of a plane, and their COLMAP model."""

import math
from pathlib import Path

import numpy as np
from conftest import SAMPLES
from PIL import Image

from siftcli.evaluation.poses.cameras import Camera
from siftcli.views.rendering import Interpolated, quantised, render

CAMERAMAN = Image.open(next(p for p in SAMPLES if p.name == "camera.png")).convert("L")
PICTURE = np.asarray(CAMERAMAN)[60:220, 90:310]


def rotation_about_y(degrees):
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def quaternion(rotation):
    w = math.sqrt(max(0.0, 1 + np.trace(rotation))) / 2
    return [w, *((rotation[[2, 0, 1], [1, 2, 0]] - rotation[[1, 2, 0], [2, 0, 1]]) / (4 * w))]


def write_scene(folder: Path) -> Path:
    """Write the photographs and their cameras, as a COLMAP text model."""
    (folder / "images").mkdir(parents=True)
    (folder / "sparse").mkdir()
    side = 160
    camera = Camera(side, side, 200.0, 200.0, side / 2, side / 2)
    source = Interpolated(PICTURE[:, :160].astype(np.float32) / 255)
    poses = [(np.eye(3), (0.0, 0.0, 0.0)), (rotation_about_y(8), (-0.12, 0.02, 0.0))]
    lines = []
    for number, (rotation, translation) in enumerate(poses, start=1):
        # The plane at depth 1 holds the source's pixels as the first camera sees them.
        plane = np.array(rotation, float)
        plane[:, 2] += translation
        centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1.0]])
        to_view = np.linalg.inv(centre) @ camera.matrix @ plane @ np.linalg.inv(camera.matrix) @ centre
        levels = render(source, np.linalg.inv(to_view), (side, side), 1.0, average=False)
        Image.fromarray(quantised(levels)).save(folder / "images" / f"view-{number}.png")
        pose = " ".join(map(repr, map(float, [*quaternion(rotation), *translation])))
        lines.append(f"{number} {pose} 1 view-{number}.png\n1.0 2.0 -1\n")
    (folder / "sparse" / "images.txt").write_text("# comment\n" + "".join(lines))
    (folder / "sparse" / "cameras.txt").write_text(
        f"# comment\n1 SIMPLE_PINHOLE {side} {side} 200 {side / 2} {side / 2}\n"
    )
    return folder

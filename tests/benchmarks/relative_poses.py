"""Measure `siftcli.verify` on photographs with known cameras, and on planes of known homography.

    python tests/benchmarks/relative_poses.py FOLDER... [--max-features N] [--max-image-size PX] ...

A folder is a scene: ``images/`` and ``sparse/``, a COLMAP text model. Pairs whose viewing directions differ
by at most 60 degrees are matched once. Printed are, for each scene and model: the area under the curve of
the pose error (the larger of the errors of the rotation and of the direction of translation) up to 1, 5 and
10 degrees, pairs that were not verified counting as 180; the median number of inliers; and the median time
of a verification in ms.

Planes are the first images of the scene seen at 50 and 62 degrees of tilt, with noise of 4 grey values:
fractions of the homographies whose largest error at a corner is within 1/3, 1 and 3 px.
"""

from __future__ import annotations

import argparse
import math
import time
from itertools import combinations
from pathlib import Path

import numpy as np
from chance import SUFFIXES, Camera, cameras_of, pose_error, relative

import siftcli
from siftcli._cv2 import import_cv2
from siftcli.image import read_image
from siftcli.matching.cameras import Camera as Pinhole
from siftcli.matching.nearest import match
from siftcli.matching.verification import matched_points, verify
from siftcli.views.planar import map_points

LIMITS_DEG = (1, 5, 10)
CORNER_LIMITS_PX = (1 / 3, 1, 3)
MAX_ANGLE_DEG = 60
TILTS_DEG = (50, 62)
N_PLANES = 8
NOISE = 4 / 255


def auc(errors: list[float], limit: float) -> float:
    """Area under the curve of the fraction of pairs within an error, up to a limit, over the limit."""
    near = np.sort([error for error in errors if error < limit])
    recall = np.arange(1, len(near) + 1) / len(errors)
    x, y = np.r_[0, near, limit], np.r_[0, recall, recall[-1] if len(near) else 0]
    return float(np.trapezoid(y, x) / limit)


class Scene:
    """The images of a scene, reduced, with their cameras and features."""

    def __init__(self, folder: Path, arguments: argparse.Namespace) -> None:
        known = cameras_of(folder / "sparse")
        self.greys, self.cameras = [], []
        for path in sorted((folder / "images").iterdir()):
            if path.suffix.lower() not in SUFFIXES or path.name not in known:
                continue
            picture = read_image(path)
            grey = np.ascontiguousarray(picture.reduced(arguments.max_image_size).grey)
            self.greys.append(grey)
            self.cameras.append(resized(known[path.name], grey.shape[1] / picture.grey.shape[1]))
        preset = siftcli.SiftParams.preset(arguments.preset, max_features=arguments.max_features)
        self.params = preset.override(selection=arguments.selection)
        self.features = [siftcli.detect(grey, self.params) for grey in self.greys]

    def pairs(self):
        for i, j in combinations(range(len(self.greys)), 2):
            cosine = self.cameras[i].rotation[2] @ self.cameras[j].rotation[2]
            if math.degrees(math.acos(np.clip(cosine, -1, 1))) <= MAX_ANGLE_DEG:
                yield i, j


def resized(camera: Camera, factor: float) -> Camera:
    """The camera of the image resized by a factor; the corners of the image, not pixel centres, scale."""
    half = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    matrix = np.linalg.inv(half) @ np.diag([factor, factor, 1]) @ half @ camera.calibration
    return Camera(matrix, camera.rotation, camera.translation)


def pinhole(camera: Camera) -> Pinhole:
    k = camera.calibration
    return Pinhole(fx=k[0, 0], fy=k[1, 1], cx=k[0, 2], cy=k[1, 2])


def error_of_pose(pose, a: Camera, b: Camera) -> float:
    rotation, direction = relative(a, b)
    cosine = pose.direction @ direction / np.linalg.norm(direction)
    angle = (np.trace(pose.rotation.T @ rotation) - 1) / 2
    return math.degrees(max(math.acos(np.clip(angle, -1, 1)), math.acos(np.clip(cosine, -1, 1))))


def measure_poses(scene: Scene, arguments: argparse.Namespace) -> None:
    for model in arguments.models:
        errors, inliers, seconds = [], [], []
        for i, j in scene.pairs():
            f, g, a, b = scene.features[i], scene.features[j], scene.cameras[i], scene.cameras[j]
            known = {"cameras": (pinhole(a), pinhole(b))} if model == "essential" else {}
            matches = match(f, g, ratio=arguments.ratio)
            start = time.perf_counter()
            found = verify(f, g, matches, model, **known)
            seconds.append(time.perf_counter() - start)
            if arguments.guided and found.model is not None:
                matches = match(f, g, ratio=arguments.ratio, guide=found.guide())
                found = verify(f, g, matches, model, **known)
            inliers.append(found.n_inliers)
            errors.append(180.0 if found.model is None else error_of(found, f, g, matches, a, b))
        values = " ".join(f"{auc(errors, limit):.3f}" for limit in LIMITS_DEG)
        print(f"  {model:12} {len(errors):4} pairs  AUC@1/5/10° {values}"
              f"  inliers {np.median(inliers):.0f}  {1000 * np.median(seconds):.1f} ms")  # fmt: skip


def error_of(found, f, g, matches, a: Camera, b: Camera) -> float:
    if found.kind == "essential":
        return error_of_pose(found.pose, a, b)
    first, second = (xy[found.inliers] for xy in matched_points(f, g, matches))
    return pose_error(found.model, a, b, first, second)


def tilted(grey: np.ndarray, tilt_deg: float, rng) -> tuple[np.ndarray, np.ndarray]:
    """The image as a plane seen at a tilt, after a random turn about its centre, with noise."""
    cv2 = import_cv2()
    height, width = grey.shape
    turn, tilt = rng.uniform(0, 2 * math.pi), math.radians(tilt_deg)
    c, s = math.cos(turn), math.sin(turn)
    to_centre = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    lean = np.array([[math.cos(tilt), 0, 0], [0, 1, 0], [math.sin(tilt) / (1.5 * width), 0, 1]])
    model = np.linalg.inv(to_centre) @ lean @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ to_centre
    blurred = cv2.GaussianBlur(grey, (0, 0), 0.7)
    view = cv2.warpPerspective(
        blurred, model, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REFLECT_101
    )
    return np.clip(view + rng.normal(0, NOISE, view.shape), 0, 1).astype(np.float32), model


def corner_error(found: np.ndarray, truth: np.ndarray, shape: tuple[int, int]) -> float:
    height, width = shape
    corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]], float)
    return float(np.max(np.linalg.norm(map_points(found, corners) - map_points(truth, corners), axis=1)))


def measure_planes(scene: Scene, arguments: argparse.Namespace) -> None:
    errors, seconds = [], []
    for n, (grey, f) in enumerate(zip(scene.greys[:N_PLANES], scene.features[:N_PLANES], strict=True)):
        rng = np.random.default_rng(n)
        for tilt_deg in TILTS_DEG:
            view, model = tilted(grey, tilt_deg, rng)
            g = siftcli.detect(view, scene.params)
            matches = match(f, g, ratio=arguments.ratio)
            start = time.perf_counter()
            found = verify(f, g, matches, "homography")
            seconds.append(time.perf_counter() - start)
            errors.append(math.inf if found.model is None else corner_error(found.model, model, grey.shape))
    values = " ".join(f"{np.mean(np.array(errors) <= limit):.3f}" for limit in CORNER_LIMITS_PX)
    print(f"  homography   {len(errors):4} planes within 1/3, 1, 3 px {values}"
          f"  {1000 * np.median(seconds):.1f} ms")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--models", nargs="+", default=["fundamental", "essential"])
    parser.add_argument("--max-features", type=int, default=2000)
    parser.add_argument("--max-image-size", type=int, default=1024)
    parser.add_argument("--ratio", type=float, default=0.8)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--selection", default="strongest")
    parser.add_argument("--guided", action="store_true", help="match again along the model, verify again")
    arguments = parser.parse_args()
    for folder in arguments.folders:
        print(folder.resolve().name, flush=True)
        scene = Scene(folder, arguments)
        measure_poses(scene, arguments)
        measure_planes(scene, arguments)


if __name__ == "__main__":
    main()

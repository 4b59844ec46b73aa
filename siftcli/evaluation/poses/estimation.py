"""The relative pose from matches, by PoseLib; the same for every detector.

LO-RANSAC with non-linear refinement (Larsson, *PoseLib*). The estimator belongs to the protocol: it does not
follow the options or the thresholds of ``siftcli match``. The same matches and seed give the same pose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._cv2 import import_cv2
from ..._poselib import import_poselib
from .cameras import Camera, Matrix, RelativePose

MAX_ERROR_PX = 1.0
"""Largest epipolar error of an inlier."""
CONFIDENCE = 0.9999
MAX_ITERATIONS = 10_000
MIN_MATCHES = {"essential": 5, "fundamental": 8}
"""Fewest matches that determine the matrix (the fundamental one without a search among three)."""

Points = NDArray[np.float64]
"""(M, 2) in the coordinates of the cameras."""
Cameras = tuple[Camera, Camera]


def estimate_pose(
    first: Points, second: Points, cameras: Cameras, seed: int, geometry: str = "essential"
) -> RelativePose | None:
    """The pose of the second camera seen from the first; None if the matches give none.

    Parameters
    ----------
    first, second
        (M, 2) matched points in the coordinates of the cameras.
    cameras
        Those of the two images. A fundamental matrix is estimated without them; they only turn it into a
        pose.
    seed
        Of the random search.
    geometry
        ``"essential"`` or ``"fundamental"``.
    """
    if len(first) < MIN_MATCHES[geometry]:
        return None
    options = {
        "max_epipolar_error": MAX_ERROR_PX,
        "success_prob": CONFIDENCE,
        "max_iterations": MAX_ITERATIONS,
        "seed": seed,
    }
    return _ESTIMATORS[geometry](first, second, cameras, options)


def _by_essential(
    first: Points, second: Points, cameras: Cameras, options: Mapping[str, Any]
) -> RelativePose | None:
    poselib = import_poselib()

    pose, found = poselib.estimate_relative_pose(
        first, second, *map(_poselib_camera, cameras), dict(options), {}
    )
    if found["num_inliers"] < MIN_MATCHES["essential"]:
        return None
    return _checked(np.array(pose.R, np.float64), np.array(pose.t, np.float64))


def _by_fundamental(
    first: Points, second: Points, cameras: Cameras, options: Mapping[str, Any]
) -> RelativePose | None:
    poselib = import_poselib()

    matrix, found = poselib.estimate_fundamental(first, second, dict(options), {})
    inliers = np.array(found["inliers"], bool)
    if found["num_inliers"] < MIN_MATCHES["fundamental"] or not np.isfinite(matrix).all():
        return None
    return _decomposed(np.array(matrix, np.float64), first[inliers], second[inliers], cameras)


def _decomposed(matrix: Matrix, first: Points, second: Points, cameras: Cameras) -> RelativePose | None:
    """The pose, of the four that E = K₂ᵀ F K₁ allows, with the most inliers in front of both cameras."""
    a, b = cameras
    rays = [_normalised(points, camera) for points, camera in ((first, a), (second, b))]
    essential = b.matrix.T @ matrix @ a.matrix
    _, rotation, translation, _ = import_cv2().recoverPose(essential, *rays, np.eye(3))
    return _checked(rotation, translation.ravel())


def _normalised(points: Points, camera: Camera) -> Points:
    """(M, 2) on the plane at depth 1."""
    return np.asarray((points - (camera.cx, camera.cy)) / (camera.fx, camera.fy))


def _checked(rotation: Matrix, translation: NDArray[np.float64]) -> RelativePose | None:
    if not np.isfinite([*rotation.flat, *translation]).all():
        return None
    return RelativePose(rotation, translation)


def _poselib_camera(camera: Camera) -> dict[str, Any]:
    params = [camera.fx, camera.fy, camera.cx, camera.cy]
    return {"model": "PINHOLE", "width": camera.width, "height": camera.height, "params": params}


_ESTIMATORS: Mapping[str, Callable[..., RelativePose | None]] = {
    "essential": _by_essential,
    "fundamental": _by_fundamental,
}

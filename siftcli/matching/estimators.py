"""Robust estimates of homographies, fundamental matrices and relative poses by PoseLib.

LO-RANSAC with non-linear refinement (Larsson, *PoseLib*). The same matches and the same seed give the same
model. A model is fitted more strictly than its inliers are told: matches of good features are exact to a
tenth or two of a pixel, and what is farther away is as often wrong as right.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .cameras import Camera, RelativePose

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]

HOMOGRAPHY_ERROR_PX = 2.0
"""Largest error that counts while a homography is searched for; a plane is seldom quite one."""
EPIPOLAR_ERROR_PX = 0.5
"""The same for epipolar geometry, where most wrong matches are near their line by chance."""
CONFIDENCE = 0.9999
MAX_ITERATIONS = 10_000
SEED = 0


def homography(first: Points, second: Points, max_error: float, seed: int = SEED) -> Matrix | None:
    """The point map (3, 3) from places (M, 2) to places (M, 2), at least 4; None without one."""
    import poselib

    options = {"max_reproj_error": min(max_error, HOMOGRAPHY_ERROR_PX), **_search(seed)}
    matrix, found = poselib.estimate_homography(first, second, options, {})
    return _matrix(matrix, found, 4)


def fundamental(first: Points, second: Points, max_error: float, seed: int = SEED) -> Matrix | None:
    """F (3, 3) with x₂ᵀ F x₁ = 0 of places (M, 2), at least 8; None without one."""
    import poselib

    options = {"max_epipolar_error": min(max_error, EPIPOLAR_ERROR_PX), **_search(seed)}
    matrix, found = poselib.estimate_fundamental(first, second, options, {})
    return _matrix(matrix, found, 8)


def relative_pose(
    first: Points, second: Points, cameras: tuple[Camera, Camera], max_error: float, seed: int = SEED
) -> RelativePose | None:
    """The pose of the second camera seen from the first; None without one.

    Parameters
    ----------
    first, second
        (M, 2) places, at least 5, in the coordinates of the cameras.
    cameras
        Those of the two images.
    max_error
        Largest epipolar error of an inlier in pixels.
    seed
        Of the random search.
    """
    import poselib

    options = {"max_epipolar_error": max_error, **_search(seed)}
    pose, found = poselib.estimate_relative_pose(first, second, *map(_poselib_camera, cameras), options, {})
    rotation, translation = np.array(pose.R, np.float64), np.array(pose.t, np.float64)
    if found["num_inliers"] < 5 or not np.isfinite([*rotation.flat, *translation]).all():
        return None
    return RelativePose(rotation, translation)


def _search(seed: int) -> dict[str, Any]:
    return {"success_prob": CONFIDENCE, "max_iterations": MAX_ITERATIONS, "seed": seed}


def _matrix(matrix: Any, found: Mapping[str, Any], n_needed: int) -> Matrix | None:
    if found["num_inliers"] < n_needed or not np.isfinite(matrix).all():
        return None
    return np.array(matrix, np.float64)


def _poselib_camera(camera: Camera) -> dict[str, Any]:
    params = [camera.fx, camera.fy, camera.cx, camera.cy]
    return {"model": "PINHOLE", "width": camera.width, "height": camera.height, "params": params}

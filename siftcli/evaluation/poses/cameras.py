"""Pinhole cameras and the pose of one seen from another.

Pixel coordinates of cameras are COLMAP's: the centre of the top-left pixel is (0.5, 0.5). Those of features
are half a pixel less.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIXEL_CENTRE = 0.5
"""Coordinates of the top-left pixel's centre for a camera; for features they are 0."""
WRONG_DEG = 180.0
"""Error of a pose that could not be estimated."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; lengths in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def resized(self, width: int, height: int) -> Camera:
        """The camera of the same photograph at another size."""
        x, y = width / self.width, height / self.height
        return Camera(width, height, self.fx * x, self.fy * y, self.cx * x, self.cy * y)

    @property
    def matrix(self) -> Matrix:
        """(3, 3) from directions to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


@dataclass(frozen=True, eq=False)
class RelativePose:
    """From the first camera to the second: x₂ = rotation · x₁ + translation, whose length is free."""

    rotation: Matrix
    """(3, 3)."""
    translation: NDArray[np.float64]
    """(3,)."""


def fundamental_of(pose: RelativePose, first: Camera, second: Camera) -> Matrix:
    """(3, 3) F with x₂ᵀ F x₁ = 0 in the cameras' coordinates (Hartley and Zisserman, section 9.2)."""
    x, y, z = pose.translation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(
        np.linalg.inv(second.matrix).T @ cross @ pose.rotation @ np.linalg.inv(first.matrix), np.float64
    )


def rotation_angle_deg(rotation: Matrix) -> float:
    """The angle of a rotation matrix (3, 3), in degrees from 0 to 180."""
    return math.degrees(math.acos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))


def pose_error_deg(estimated: RelativePose, truth: RelativePose) -> float:
    """The larger of the rotation's angle and the angle between the directions of translation, in degrees.

    If the camera did not move, its direction is not defined and only the rotation counts.
    """
    angle = rotation_angle_deg(estimated.rotation.T @ truth.rotation)
    lengths = np.linalg.norm(estimated.translation) * np.linalg.norm(truth.translation)
    if lengths == 0:
        return WRONG_DEG if np.linalg.norm(truth.translation) > 0 else angle
    cosine = estimated.translation @ truth.translation / lengths
    return max(angle, math.degrees(math.acos(np.clip(cosine, -1, 1))))


def auc_share(error_deg: float, limit_deg: float) -> float:
    """What one pair adds to the area under the recall curve up to a limit, divided by the limit.

    The curve is the share of pairs with at most an error e. Its area up to t, over t, is the mean over pairs
    of max(0, 1 − e/t).
    """
    return max(0.0, 1 - error_deg / limit_deg)

"""Pinhole cameras and the pose of one seen from another.

Pixel coordinates of cameras are COLMAP's: the centre of the top-left pixel is (0.5, 0.5). Those of features
are half a pixel less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PIXEL_CENTRE = 0.5
"""Coordinates of the top-left pixel's centre for a camera; for features they are 0."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera; lengths in pixels."""

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    @classmethod
    def with_focal_length(cls, focal: float, width: int, height: int) -> Camera:
        """A camera of this focal length whose axis meets the middle of the image."""
        return cls(width, height, focal, focal, width / 2, height / 2)

    def resized(self, width: int, height: int) -> Camera:
        """The camera of the same photograph at another size."""
        x, y = width / self.width, height / self.height
        return Camera(width, height, self.fx * x, self.fy * y, self.cx * x, self.cy * y)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """(3, 3) from directions to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1.0]])


@dataclass(frozen=True, eq=False)
class RelativePose:
    """From the first camera to the second: x₂ = rotation · x₁ + translation, of which the length is free."""

    rotation: NDArray[np.float64]
    """(3, 3)."""
    translation: NDArray[np.float64]
    """(3,)."""


def fundamental_of(pose: RelativePose, first: Camera, second: Camera) -> NDArray[np.float64]:
    """(3, 3) F with x₂ᵀ F x₁ = 0 in the cameras' coordinates (Hartley and Zisserman, section 9.2)."""
    x, y, z = pose.translation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(
        np.linalg.inv(second.matrix).T @ cross @ pose.rotation @ np.linalg.inv(first.matrix), np.float64
    )

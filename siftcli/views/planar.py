"""Planar maps, as 3 × 3 matrices on pixel-centre coordinates, and convex regions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating]
"""(3, 3) homography; maps a point (x, y, 1) of the first image to the second, up to scale."""
Points = NDArray[Any]
"""(N, 2): x right, y down; (0, 0) is the centre of the top-left pixel."""


def map_points(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    """Map points (N, 2) by a homography; returns (N, 2) float64."""
    mapped = np.column_stack([points, np.ones(len(points))]).astype(np.float64) @ matrix.T
    return np.asarray(mapped[:, :2] / mapped[:, 2:])


def jacobians(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    """The Jacobians (N, 2, 2) of a homography at points (N, 2)."""
    denominator = np.column_stack([points, np.ones(len(points))]).astype(np.float64) @ matrix[2]
    mapped = map_points(matrix, points)
    linear = matrix[None, :2, :2] - mapped[:, :, None] * matrix[None, 2:, :2]
    return np.asarray(linear / denominator[:, None, None])


def local_scale(matrix: Matrix, points: Points) -> NDArray[np.float64]:
    """(N,) local scale factor at points (N, 2): the square root of the change in area."""
    return np.asarray(np.sqrt(np.abs(np.linalg.det(jacobians(matrix, points)))))


def map_angles(matrix: Matrix, points: Points, angles: NDArray[Any]) -> NDArray[np.float64]:
    """Map directions (N,) at points (N, 2), in radians from +x towards +y; the result is in (-π, π]."""
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float64)
    mapped = np.einsum("nij,nj->ni", jacobians(matrix, points), directions)
    return np.asarray(np.arctan2(mapped[:, 1], mapped[:, 0]))


def similarity(
    scale: float, deg: float, centre_from: tuple[float, float], centre_to: tuple[float, float]
) -> Matrix:
    """Rotate by ``deg`` counter-clockwise on the screen and scale, mapping one centre to the other."""
    cos, sin = np.cos(np.deg2rad(deg)), np.sin(np.deg2rad(deg))
    linear = scale * np.array([[cos, sin], [-sin, cos]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = np.array(centre_to) - linear @ np.array(centre_from)
    return matrix


def centre_of(shape: tuple[int, int]) -> tuple[float, float]:
    """The centre (x, y) of an image of shape (height, width)."""
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2


@dataclass(frozen=True, eq=False)
class Region:
    """A convex polygon in an image."""

    corners: NDArray[np.float64]
    """(K, 2) in order, clockwise or counter-clockwise."""

    @classmethod
    def whole(cls, shape: tuple[int, int]) -> Self:
        """An image of shape (height, width), up to the outer edges of its pixels."""
        right, bottom = shape[1] - 0.5, shape[0] - 0.5
        return cls(np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]]))

    def mapped(self, matrix: Matrix) -> Region:
        """The region under a homography that maps it to finite points."""
        return Region(map_points(matrix, self.corners))

    def depth(self, points: Points) -> NDArray[np.float64]:
        """(N,) distance in pixels of points (N, 2) to the nearest side; negative outside."""
        start, side = self.corners, np.roll(self.corners, -1, axis=0) - self.corners
        x, y = self.corners.T
        winding = np.sign(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
        offset = np.asarray(points, dtype=np.float64)[:, None, :] - start
        cross = side[:, 0] * offset[..., 1] - side[:, 1] * offset[..., 0]
        return np.asarray((winding * cross / np.hypot(side[:, 0], side[:, 1])).min(axis=1))

    def mask(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(H, W) bool: the pixels whose centre lies in the region."""
        y, x = np.mgrid[: shape[0], : shape[1]]
        return np.asarray(self.depth(np.column_stack([x.ravel(), y.ravel()])).reshape(shape) >= 0)

"""Errors of matches under a model, in pixels.

Points are arrays (..., 2) that broadcast against each other: with (N, 1, 2) and (1, M, 2) the result has
the errors of all N × M pairs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]
Floats = NDArray[np.float64]


def transfer_errors(first: Points, second: Points, model: Matrix) -> Floats:
    """(...) transfer errors |H x₁ - x₂|; infinite if H x₁ is at infinity."""
    (x, y), (u, v) = _coordinates(first), _coordinates(second)
    p, q, w = (row[0] * x + row[1] * y + row[2] for row in model)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _defined(np.hypot(p / w - u, q / w - v))


def sampson_errors(first: Points, second: Points, model: Matrix) -> Floats:
    """(...) Sampson distances (Hartley and Zisserman, eq. 11.9)."""
    (x, y), (u, v) = _coordinates(first), _coordinates(second)
    a, b, c = (row[0] * x + row[1] * y + row[2] for row in model)  # the line of x₁ in the second image
    d, e = (column[0] * u + column[1] * v + column[2] for column in model.T[:2])
    algebraic = a * u + b * v + c
    gradient = np.sqrt((a * a + b * b) + (d * d + e * e))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _defined(np.abs(algebraic) / gradient)


def _coordinates(points: Points) -> tuple[Floats, Floats]:
    """X and y, each contiguous: several times as fast to compute with."""
    return np.ascontiguousarray(points[..., 0]), np.ascontiguousarray(points[..., 1])


def _defined(errors: Floats) -> Floats:
    return np.where(np.isnan(errors), np.inf, errors)


ERRORS = {
    "similarity": transfer_errors,
    "homography": transfer_errors,
    "fundamental": sampson_errors,
    "essential": sampson_errors,
}
"""Name of the model -> its error function, in pixels of the second image."""

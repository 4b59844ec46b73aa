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
    mapped = first @ model[:, :2].T + model[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        mapped = mapped[..., :2] / mapped[..., 2:]
        errors = np.hypot(mapped[..., 0] - second[..., 0], mapped[..., 1] - second[..., 1])
    return np.where(np.isnan(errors), np.inf, errors)


def sampson_errors(first: Points, second: Points, model: Matrix) -> Floats:
    """(...) Sampson distances (Hartley and Zisserman, eq. 11.9)."""
    lines_second = first @ model[:, :2].T + model[:, 2]
    lines_first = second @ model[:2] + model[2]
    algebraic = (
        lines_second[..., 0] * second[..., 0] + lines_second[..., 1] * second[..., 1] + lines_second[..., 2]
    )
    gradient = np.sqrt(_squared_normals(lines_second) + _squared_normals(lines_first))
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.abs(algebraic) / gradient
    return np.where(np.isnan(errors), np.inf, errors)


def _squared_normals(lines: Floats) -> Floats:
    return np.asarray(lines[..., 0] ** 2 + lines[..., 1] ** 2)


ERRORS = {
    "similarity": transfer_errors,
    "homography": transfer_errors,
    "fundamental": sampson_errors,
    "essential": sampson_errors,
}
"""Name of the model -> its error function, in pixels of the second image."""

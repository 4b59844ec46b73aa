"""How far matches are from a model, in pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]


def transfer_errors(first: Points, second: Points, model: Matrix) -> NDArray[np.float64]:
    """(M,) |H x₁ - x₂| in pixels of places (M, 2) under a point map (3, 3); infinite where H x₁ is."""
    mapped = first @ model[:, :2].T + model[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = mapped[:, :2] / mapped[:, 2:] - second
    return np.asarray(np.nan_to_num(np.hypot(difference[:, 0], difference[:, 1]), nan=np.inf))


def sampson_errors(first: Points, second: Points, model: Matrix) -> NDArray[np.float64]:
    """(M,) Sampson's distance in pixels from F with x₂ᵀ F x₁ = 0 (Hartley and Zisserman, eq. 11.9)."""
    lines_second = first @ model[:, :2].T + model[:, 2]
    lines_first = second @ model[:2] + model[2]
    algebraic = np.sum(lines_second[:, :2] * second, axis=1) + lines_second[:, 2]
    gradient = np.sqrt(np.sum(lines_second[:, :2] ** 2, axis=1) + np.sum(lines_first[:, :2] ** 2, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(np.abs(algebraic) / gradient, nan=np.inf))

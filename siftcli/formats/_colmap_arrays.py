"""Arrays of a COLMAP database: blobs with their sizes, and keypoints as rows of six numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features
from .colmap_text import HALF_PIXEL


def array_of(path: Path, table: str, row: tuple[Any, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the array (rows, cols) stored in a row ``rows, cols, data``.

    Raises
    ------
    InputError
        If the data do not have that size.
    """
    n, cols, data = row
    data = b"" if data is None else data
    whole = isinstance(n, int) and isinstance(cols, int) and n >= 0 and cols >= 0
    if not whole or not isinstance(data, bytes) or n * cols * dtype.itemsize != len(data):
        size = len(data) if isinstance(data, bytes | str) else data
        raise InputError(f"{path}: {table} of {n} x {cols} do not fit their {size} bytes; write them again")
    return np.frombuffer(data, dtype).reshape(n, cols)


def keypoint_rows(features: Features) -> NDArray[np.float32]:
    """(N, 6) as COLMAP writes them."""
    scale, theta = features.scale.astype(np.float64), features.orientation.astype(np.float64)
    cos, sin = scale * np.cos(theta), scale * np.sin(theta)
    xy = features.xy.astype(np.float64) + HALF_PIXEL
    return np.column_stack([xy, cos, -sin, sin, cos]).astype("<f4")


def frames(keypoints: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Columns of keypoints with 2 (positions), 4 (and σ, θ) or 6 columns (and a matrix)."""
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused later
        values = keypoints.astype(np.float64)
    found = {"xy": values[:, :2] - HALF_PIXEL}
    if values.shape[1] == 4:
        return {**found, "scale": values[:, 2], "orientation": values[:, 3]}
    if values.shape[1] == 6:
        a11, a12, a21, a22 = values[:, 2:].T
        scale = (np.hypot(a11, a21) + np.hypot(a12, a22)) / 2
        return {**found, "scale": scale, "orientation": np.arctan2(a21, a11)}
    if values.shape[1] != 2:
        raise InputError(f"expected keypoints of 2, 4 or 6 columns, got {values.shape[1]}")
    return found

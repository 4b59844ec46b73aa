"""Reducing an image by averaging areas, and the positions of reduced pixels in the original."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
"""Rounding error of a sum of pixel weights."""
_SAMPLES_AT_ONCE = 1 << 18
"""Means that are summed up while they stay in a cache."""


def _reduced_side(n: int, reduction: float) -> int:
    """Number of whole reduced pixels in n, tolerant to rounding in the division."""
    return max(1, int(n / reduction + 1e-6))


def reduced_origin(n: int, m: int, reduction: float) -> float:
    """Position at which the m reduced pixels start among n pixels.

    They are centred, and equally large in x and y, so that reduction commutes with rotations by 90°.
    Less than half a reduced pixel is lost on either side.
    """
    return (n - m * reduction) / 2


def reduced(grey: NDArray[np.float32], reduction: float) -> NDArray[np.float32]:
    """Average over squares of ``reduction`` pixels a side."""
    n_rows, n_columns = (_reduced_side(n, reduction) for n in grey.shape)
    of_rows = _area_means(grey, n_rows, reduction)
    means = _area_means(np.ascontiguousarray(of_rows.T), n_columns, reduction).T
    return np.ascontiguousarray(means, dtype=np.float32)


def _area_means(array: NDArray[Any], m: int, reduction: float) -> NDArray[np.float64]:
    """Means (m, W) of m equal intervals along the first axis of (n, W), fractions of a pixel included."""
    n = len(array)
    edges = np.clip(reduced_origin(n, m, reduction) + np.arange(m + 1) * reduction, 0, n)
    means = np.zeros((m, array.shape[1]))
    n_at_once = max(1, _SAMPLES_AT_ONCE // array.shape[1])
    for start in range(0, m, n_at_once):
        here = slice(start, start + n_at_once)
        low, high = edges[:-1][here], edges[1:][here]
        first = low.astype(np.intp)
        for row in (first + k for k in range(math.ceil(reduction) + 1)):
            share = np.maximum(np.minimum(high, row + 1) - np.maximum(low, row), 0)
            means[here] += share[:, np.newaxis] * array[np.minimum(row, n - 1)]
        means[here] /= (high - low)[:, np.newaxis]
    return means


def nearest(n: int, m: int, reduction: float) -> NDArray[np.intp]:
    """Find the input pixel that holds the centre of each of the m reduced pixels."""
    centres = reduced_origin(n, m, reduction) + (np.arange(m) + 0.5) * reduction
    return np.clip(centres.astype(np.intp), 0, n - 1)


def touched(flags: NDArray[np.bool_], reduction: float) -> NDArray[np.bool_]:
    """Flag reduced pixels to which any flagged pixel contributes."""
    return reduced(flags.astype(np.float32), reduction) > _ROUNDING

"""Reducing an image by averaging areas, and the positions of reduced pixels in the original."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9
"""Rounding error of a sum of pixel weights."""


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
    shape = [_reduced_side(n, reduction) for n in grey.shape]
    means = _area_means(_area_means(grey, shape[0], reduction).T, shape[1], reduction).T
    return np.ascontiguousarray(means, dtype=np.float32)


def _area_means(array: NDArray[Any], m: int, reduction: float) -> NDArray[np.float64]:
    """Means of m equal intervals along the first axis, fractions of a pixel included."""
    n = array.shape[0]
    sums = np.zeros((n + 1, *array.shape[1:]))
    np.cumsum(array, axis=0, dtype=np.float64, out=sums[1:])
    edges = np.clip(reduced_origin(n, m, reduction) + np.arange(m + 1) * reduction, 0, n)
    whole = np.minimum(edges.astype(np.intp), n - 1)
    fraction = (edges - whole)[:, np.newaxis]
    at_edges = sums[whole] * (1 - fraction) + sums[whole + 1] * fraction
    return np.asarray(np.diff(at_edges, axis=0) / np.diff(edges)[:, np.newaxis])


def nearest(n: int, m: int, reduction: float) -> NDArray[np.intp]:
    """Find the input pixel that holds the centre of each of the m reduced pixels."""
    centres = reduced_origin(n, m, reduction) + (np.arange(m) + 0.5) * reduction
    return np.clip(centres.astype(np.intp), 0, n - 1)


def touched(flags: NDArray[np.bool_], reduction: float) -> NDArray[np.bool_]:
    """Flag reduced pixels to which any flagged pixel contributes."""
    return reduced(flags.astype(np.float32), reduction) > _ROUNDING

"""Candidates that refined to the same place are one keypoint: their mean."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel

NONE_CARRIED: NDArray[np.float64] = np.empty((0, 5))
"""What the first strip of an octave takes over."""

_WIDEST = 4.0
"""Samples along an axis that candidates of one keypoint may be apart."""


def merge_same_places(
    refined: NDArray[np.float64], distance: float, last_y: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Replace candidates that refined to the same place by their mean; rows x, y, level, value, roundness.

    Equal samples around a symmetric structure are all candidates (``extrema.py``). Taking
    one of them would favour a side; their mean does not. Fits may also end apart where a ridge is flat; but
    what goes on, each near the next, for more than ``_WIDEST`` is no place. Groups that reach beyond
    ``last_y`` may not be complete, and are returned apart as they are.
    """
    refined = refined[np.lexsort(refined.T[[2, 0, 1]])]
    first = np.arange(len(refined))
    _label_same_places(refined, distance, first)
    is_open = refined[:, 1] > last_y
    if is_open.any():
        is_open = np.isin(first, first[is_open])
        refined, first, carried = refined[~is_open], first[~is_open], refined[is_open]
    else:
        carried = NONE_CARRIED
    means = np.empty_like(refined)
    return means[: _average(refined, first, means)], carried


@kernel("void(float64[:, ::1], float64, int64[::1])")
def _label_same_places(refined, distance, first):
    """Give every row the index of the first row that is connected to it; rows are sorted by y."""
    for i in range(len(refined)):
        j = i + 1
        while j < len(refined) and refined[j, 1] - refined[i, 1] <= distance:
            same = (
                abs(refined[j, 0] - refined[i, 0]) <= distance
                and abs(refined[j, 2] - refined[i, 2]) <= distance
                and refined[j, 3] * refined[i, 3] > 0
            )
            if same:
                low, high = min(first[i], first[j]), max(first[i], first[j])
                for k in range(low, j + 1):
                    if first[k] == high:
                        first[k] = low
            j += 1


@kernel("int64(float64[:, ::1], int64[::1], float64[:, ::1])")
def _average(refined, first, means):
    """Fill in the mean of the rows of each label that are near enough, by label; returns their number."""
    n_groups, n_places, newest = 0, 0, -1
    group, n_same = np.empty(len(first), np.int64), np.zeros(len(first), np.int64)
    lowest, highest = np.empty((len(first), 2)), np.empty((len(first), 2))
    for i in range(len(refined)):
        # A label is the index of the first of its rows: a new one is larger than those before.
        if first[i] > newest:
            newest = first[i]
            group[n_groups], means[n_groups] = newest, 0
            lowest[n_groups], highest[n_groups] = math.inf, -math.inf
            n_groups += 1
        g = n_groups - 1
        while group[g] != first[i]:
            g -= 1
        for column in range(refined.shape[1]):
            means[g, column] += refined[i, column]
        n_same[g] += 1
        for axis in range(2):
            lowest[g, axis] = min(lowest[g, axis], refined[i, axis])
            highest[g, axis] = max(highest[g, axis], refined[i, axis])
    for g in range(n_groups):
        if max(highest[g, 0] - lowest[g, 0], highest[g, 1] - lowest[g, 1]) <= _WIDEST:
            for column in range(refined.shape[1]):
                means[n_places, column] = means[g, column] / n_same[g]
            n_places += 1
    return n_places

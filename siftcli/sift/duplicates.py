"""Candidates that refine to the same position are one keypoint: their mean."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel
from .selection import tied_places

NONE_CARRIED: NDArray[np.float64] = np.empty((0, 6))
"""Refined candidates that the first strip of an octave takes over."""

MOST_SPREAD = 4.0
"""Samples along an axis over which the candidates of one keypoint may spread."""


def merge_duplicates(
    refined: NDArray[np.float64], distance: float, last_y: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Replace candidates that refine to the same position by their mean.

    Equal samples around a symmetric structure are all candidates (``extrema.py``). Choosing one of them would
    favour a side; their mean does not. Candidates are grouped when each is near to another of the group. A
    group that spreads over more than four samples, as along a flat ridge, is no keypoint and is dropped.

    Parameters
    ----------
    refined
        (N, 6) x, y, level, value and roundness, in samples, and the number of the octave.
    distance
        How far apart two may be in x, y and level to be grouped; they must also be of one octave, and have
        values of one sign.
    last_y
        A group that reaches beyond it may not be complete yet; for rows of one octave.

    Returns
    -------
    means
        (M, 6), by octave, in the order of the first candidate of each group.
    carried
        (K, 6) candidates of the groups that may not be complete, as they are.
    """
    order, first = grouped(refined, distance)
    refined = refined[order]
    is_open = refined[:, 1] > last_y
    if is_open.any():
        is_open = np.isin(first, first[is_open])
        refined, first, carried = refined[~is_open], first[~is_open], refined[is_open]
    else:
        carried = NONE_CARRIED
    means = np.zeros_like(refined)
    return means[: _average(refined, first, means)], carried


def grouped(refined: NDArray[np.float64], distance: float) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """The order of the rows by octave and y, and for each row in that order the first of its group."""
    order = np.lexsort(refined.T[[1, 5]])  # fast, as candidates come row by row
    tied = tied_places(refined[order, 1])
    if len(tied):
        among = order[tied]
        order[tied] = among[np.lexsort(refined[among].T[[2, 0, 1, 5]])]
    first = np.arange(len(refined))
    _label_groups(refined[order], distance, first)
    return order, first


@kernel("void(float64[:, ::1], float64, int64[::1])")
def _label_groups(refined, distance, first):
    """Give every row the index of the first row of its group.

    Parameters
    ----------
    refined
        (N, 6) float64 x, y, level, value, roundness and octave, by octave and y.
    distance
        As for :func:`merge_duplicates`.
    first
        (N,) int64: 0, 1, 2 and so on, replaced by the labels.
    """
    for i in range(len(refined)):
        j, octave = i + 1, refined[i, 5]
        while j < len(refined) and refined[j, 5] == octave and refined[j, 1] - refined[i, 1] <= distance:
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
    """Average the rows of each label that spread little enough.

    Parameters
    ----------
    refined, first
        As for :func:`_label_groups`, with labels.
    means
        (N, 6) float64, all zero, filled from the top, by label.

    Returns
    -------
    How many rows are filled.
    """
    n_groups, n_means, newest = 0, 0, -1
    group, n_same = np.empty(len(first), np.int64), np.zeros(len(first), np.int64)
    lowest, highest = np.empty((len(first), 2)), np.empty((len(first), 2))
    for i in range(len(refined)):
        # A label is the index of the first of its rows: a new one is larger than those before.
        if first[i] > newest:
            newest = first[i]
            group[n_groups] = newest
            for axis in range(2):
                lowest[n_groups, axis], highest[n_groups, axis] = math.inf, -math.inf
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
        if max(highest[g, 0] - lowest[g, 0], highest[g, 1] - lowest[g, 1]) <= MOST_SPREAD:
            for column in range(refined.shape[1]):
                means[n_means, column] = means[g, column] / n_same[g]
            n_means += 1
    return n_means

"""Octave to integer extrema of the difference of Gaussians (Lowe, section 3.1).

A sample is a candidate when none of its 26 neighbours exceeds it (or none falls
below it). The test is not strict: a structure that is symmetric about a point
between samples has equal samples around it, and a strict test would lose it on
an even grid and find it on an odd one. Refinement brings the equals together
again (``keypoints.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..params import KeypointParams
from ._jit import kernel, subroutine
from ._threads import Threads
from .scalespace import Octave


def find_extrema(octave: Octave, params: KeypointParams, threads: Threads) -> NDArray[np.int32]:
    """The candidates of an octave.

    Parameters
    ----------
    octave
        The Gaussian levels; level i + 1 minus level i is DoG i.
    params
        Contrast threshold and the share of it that a candidate must reach.
    threads
        Where the rows are shared out.

    Returns
    -------
    (N, 3) int32
        DoG index (1 to S), row and column.
    """
    levels = octave.levels
    n_scales, height = len(levels) - 3, levels.shape[1]
    threshold = np.float32(params.contrast_threshold * params.candidate_fraction / n_scales)
    blocks = threads.over_rows(
        height - 2, levels.size, lambda start, stop: _extrema_in_rows(levels, threshold, start + 1, stop + 1)
    )
    return np.concatenate(blocks)


@subroutine
def _largest(a, b, c):
    """The largest of three; comparisons, unlike ``max``, need no rule for NaN and become one instruction."""
    ab = a if a > b else b
    return ab if ab > c else c


@subroutine
def _smallest(a, b, c):
    ab = a if a < b else b
    return ab if ab < c else c


@subroutine
def _dog_row(levels, y, dogs, highs, lows):
    """Fill the DoG values of a row, and their extremes over three neighbouring scales."""
    width = levels.shape[2]
    for i in range(len(dogs)):
        lower, upper, dog = levels[i, y], levels[i + 1, y], dogs[i]
        for x in range(width):
            dog[x] = upper[x] - lower[x]
    for i in range(len(highs)):
        a, b, c, high, low = dogs[i], dogs[i + 1], dogs[i + 2], highs[i], lows[i]
        for x in range(width):
            high[x] = _largest(a[x], b[x], c[x])
            low[x] = _smallest(a[x], b[x], c[x])


@subroutine
def _flag_row(dog, highs, lows, i, threshold, high, low, flags):
    """Set flags[x] where dog[x] is as large (or small) as all of its 3 × 3 × 3 block."""
    n = len(dog)
    a, b, c = highs[0, i], highs[1, i], highs[2, i]
    for x in range(n):
        high[x] = _largest(a[x], b[x], c[x])
    a, b, c = lows[0, i], lows[1, i], lows[2, i]
    for x in range(n):
        low[x] = _smallest(a[x], b[x], c[x])
    centre, flag = dog[1 : n - 1], flags[1 : n - 1]
    h0, h1, h2 = high[: n - 2], high[1 : n - 1], high[2:n]
    l0, l1, l2 = low[: n - 2], low[1 : n - 1], low[2:n]
    for x in range(n - 2):
        d = centre[x]
        top = (d >= threshold) & (d >= _largest(h0[x], h1[x], h2[x]))
        bottom = (d <= -threshold) & (d <= _smallest(l0[x], l1[x], l2[x]))
        # A flat region equals its neighbours; without a value it is no structure.
        flag[x] = (top | bottom) & (d != 0)


@subroutine
def _list_row(flags, scale, y, found, n_found):
    """Append the flagged samples of a row to a list that has room for them; returns its new length."""
    for x in range(1, len(flags) - 1):
        if flags[x]:
            found[n_found, 0], found[n_found, 1], found[n_found, 2] = scale, y, x
            n_found += 1
    return n_found


@kernel("int32[:, ::1](float32[:, :, ::1], float32, int64, int64)")
def _extrema_in_rows(levels, threshold, start, stop):
    """Candidates of rows start to stop; three rows of DoG values are kept, in turn."""
    n_scales, width = levels.shape[0] - 3, levels.shape[2]
    dogs = np.empty((3, n_scales + 2, width), np.float32)
    highs, lows = np.empty((3, n_scales, width), np.float32), np.empty((3, n_scales, width), np.float32)
    high, low, flags = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width, np.uint8)
    found, n_found = np.empty((4 * width, 3), np.int32), 0
    for y in range(start - 1, stop + 1):
        _dog_row(levels, y, dogs[y % 3], highs[y % 3], lows[y % 3])
        if y > start:
            for i in range(n_scales):
                _flag_row(dogs[(y - 1) % 3, i + 1], highs, lows, i, threshold, high, low, flags)
                # Room for a whole row is made beforehand: a list that may grow would slow the search down.
                if n_found + width > len(found):
                    found = np.concatenate((found, np.empty_like(found)))
                n_found = _list_row(flags, i + 1, y - 1, found, n_found)
    return found[:n_found].copy()

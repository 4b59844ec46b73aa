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
        DoG index (1 to S), row and column, in the order of rows, then DoG index, then columns.
    """
    levels = octave.levels
    n_scales, height = len(levels) - 3, levels.shape[1]
    threshold = np.float32(params.contrast_threshold * params.candidate_fraction / n_scales)
    blocks = threads.over_rows(
        height - 2, levels.size, lambda start, stop: _extrema_in_rows(levels, threshold, start + 1, stop + 1)
    )
    return np.concatenate(blocks)


@subroutine
def _dog_row(levels, y, dogs, highs, lows):  # type: ignore[no-untyped-def]
    """Fill the DoG values of row y, and their largest and smallest over three neighbouring scales."""
    width = levels.shape[2]
    for i in range(len(dogs)):
        lower, upper, dog = levels[i, y], levels[i + 1, y], dogs[i]
        for x in range(width):
            dog[x] = upper[x] - lower[x]
    for i in range(len(highs)):
        a, b, c, high, low = dogs[i], dogs[i + 1], dogs[i + 2], highs[i], lows[i]
        for x in range(width):
            high[x] = max(max(a[x], b[x]), c[x])
            low[x] = min(min(a[x], b[x]), c[x])


@subroutine
def _flag_row(dog, highs, lows, threshold, high, low, flags):  # type: ignore[no-untyped-def]
    """Set flags[x] where dog[x] is as large (or small) as all of its 3 × 3 × 3 block."""
    n = len(dog)
    a, b, c = highs[0], highs[1], highs[2]
    for x in range(n):
        high[x] = max(max(a[x], b[x]), c[x])
    a, b, c = lows[0], lows[1], lows[2]
    for x in range(n):
        low[x] = min(min(a[x], b[x]), c[x])
    centre, flag = dog[1 : n - 1], flags[1 : n - 1]
    h0, h1, h2 = high[: n - 2], high[1 : n - 1], high[2:n]
    l0, l1, l2 = low[: n - 2], low[1 : n - 1], low[2:n]
    for x in range(n - 2):
        d = centre[x]
        top = (d >= threshold) & (d >= max(max(h0[x], h1[x]), h2[x]))
        bottom = (d <= -threshold) & (d <= min(min(l0[x], l1[x]), l2[x]))
        flag[x] = top | bottom


@kernel("int32[:, ::1](float32[:, :, ::1], float32, int64, int64)")
def _extrema_in_rows(levels, threshold, start, stop):  # type: ignore[no-untyped-def]
    """Candidates of rows start to stop; three rows of DoG values are kept, in turn."""
    n_scales, width = levels.shape[0] - 3, levels.shape[2]
    dogs = np.empty((3, n_scales + 2, width), np.float32)
    highs = np.empty((n_scales, 3, width), np.float32)
    lows = np.empty((n_scales, 3, width), np.float32)
    high, low = np.empty(width, np.float32), np.empty(width, np.float32)
    # Flags are looked at eight at a time, hence the length.
    flags = np.zeros((width + 7) // 8 * 8, np.uint8)
    words = flags.view(np.uint64)
    found = np.empty((256, 3), np.int32)
    n_found = 0
    for y in range(start - 1, stop + 1):
        turn = y % 3
        _dog_row(levels, y, dogs[turn], highs[:, turn], lows[:, turn])
        if y < start + 1:
            continue
        for i in range(n_scales):
            _flag_row(dogs[(y - 1) % 3, i + 1], highs[i], lows[i], threshold, high, low, flags)
            for word in range(len(words)):
                if words[word] == 0:
                    continue
                for x in range(8 * word, 8 * word + 8):
                    # A flat region equals its neighbours; without a value it is no structure.
                    if flags[x] and dogs[(y - 1) % 3, i + 1, x] != 0:
                        if n_found == len(found):
                            found = np.concatenate((found, np.empty_like(found)))
                        found[n_found, 0], found[n_found, 1], found[n_found, 2] = i + 1, y - 1, x
                        n_found += 1
    return found[:n_found].copy()

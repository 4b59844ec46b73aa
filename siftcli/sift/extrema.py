"""Strip to integer extrema of the difference of Gaussians (Lowe, section 3.1).

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
from .scalespace import Strip

_WORD = 8
"""Flags, of a byte each, that are read together."""


def find_extrema(strip: Strip, params: KeypointParams, threads: Threads) -> NDArray[np.int32]:
    """The candidates in the rows of a strip.

    Parameters
    ----------
    strip
        The Gaussian levels; level i + 1 minus level i is DoG i.
    params
        Contrast threshold and the share of it that a candidate must reach.
    threads
        Where the rows are shared out.

    Returns
    -------
    (N, 3) int32
        DoG index (1 to S), row of the octave and column, by row, DoG index and column.
    """
    levels, (height, width) = strip.levels, strip.shape
    threshold = np.float32(params.contrast_threshold * params.candidate_fraction / strip.n_scales)
    first, last = max(1, strip.rows[0]), min(height - 1, strip.rows[1])
    blocks = threads.over_rows(
        last - first,
        (last - first) * width * len(levels),
        lambda start, stop: _extrema_in_rows(
            levels, strip.first_row, width, threshold, first + start, first + stop
        ),
    )
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


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
def _dog_row(levels, row, width, dogs):
    """Fill the DoG values of a row."""
    for i in range(len(dogs)):
        lower, upper, dog = levels[i, row, :width], levels[i + 1, row, :width], dogs[i]
        for x in range(width):
            dog[x] = upper[x] - lower[x]


@subroutine
def _flag_row(dogs, i, threshold, flags):
    """Flag the samples that reach the threshold and that none of the six nearest neighbours exceeds."""
    n = dogs.shape[2] - 2
    dog, flag = dogs[1, i], flags[1 : n + 1]
    left, centre, right = dog[:n], dog[1 : n + 1], dog[2 : n + 2]
    up, down = dogs[0, i][1 : n + 1], dogs[2, i][1 : n + 1]
    fine, coarse = dogs[1, i - 1][1 : n + 1], dogs[1, i + 1][1 : n + 1]
    for x in range(n):
        d = centre[x]
        high = _largest(_largest(left[x], right[x], up[x]), _largest(down[x], fine[x], coarse[x]), threshold)
        low = _smallest(
            _smallest(left[x], right[x], up[x]), _smallest(down[x], fine[x], coarse[x]), -threshold
        )
        flag[x] = (d >= high) | (d <= low)


@subroutine
def _is_extremum(dogs, i, x):
    """Whether a sample is as large (or as small) as all of its 3 × 3 × 3 block."""
    d = dogs[1, i, x]
    # A flat region equals its neighbours; without a value it is no structure.
    if d == 0:
        return False
    sign = np.float32(1) if d > 0 else np.float32(-1)
    for row in range(3):
        for scale in range(i - 1, i + 2):
            line = dogs[row, scale]
            if _largest(sign * line[x - 1], sign * line[x], sign * line[x + 1]) > sign * d:
                return False
    return True


@kernel("int32[:, ::1](float32[:, :, ::1], int64, int64, float32, int64, int64)")
def _extrema_in_rows(levels, first_row, width, threshold, start, stop):
    """Candidates of the octave's rows start to stop."""
    n_scales = levels.shape[0] - 3
    dogs = np.empty((3, n_scales + 2, width), np.float32)  # of the row above, the row and the row below
    _dog_row(levels, start - 1 - first_row, width, dogs[1])
    _dog_row(levels, start - first_row, width, dogs[2])
    flags = np.zeros(-(-width // _WORD) * _WORD, np.uint8)
    words = flags.view(np.uint64)
    found, n_found = np.empty((256, 3), np.int32), 0
    for y in range(start, stop):
        dogs[0], dogs[1] = dogs[1], dogs[2]
        _dog_row(levels, y + 1 - first_row, width, dogs[2])
        for i in range(1, n_scales + 1):
            _flag_row(dogs, i, threshold, flags)
            for word in range(len(words)):
                if words[word] == 0:
                    continue
                for x in range(word * _WORD, (word + 1) * _WORD):
                    if flags[x] and _is_extremum(dogs, i, x):
                        if n_found == len(found):
                            found = np.concatenate((found, np.empty_like(found)))
                        found[n_found, 0], found[n_found, 1], found[n_found, 2] = i, y, x
                        n_found += 1
    return found[:n_found].copy()

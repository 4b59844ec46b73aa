"""Strip to integer extrema of the difference of Gaussians (Lowe, section 3.1).

A sample is a candidate when none of its neighbours exceeds it (or none falls
below it): Lowe's 26, or the 8 of its level and, nearly, the 2 beside it in scale. Whether a structure that is
oblique in position and scale passes the test against all 26 depends on where the grid falls; the
least-squares fit (``keypoints.py``) tells better what is an extremum. The test is not
strict: a structure that is symmetric about a point between samples has equal samples
around it, and a strict test would lose it on an even grid and find it on an odd one.
Refinement brings the equals together again.

For the least-squares fit a candidate must also be no edge (section 4.1) at the sample already. A third of the
extrema fail there, and next to nothing that would be round where the fits end; here neighbours are at hand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import inlined, kernel, subroutine
from ..kernels.threads import Threads
from ..kernels.vectors import LANES, lanes_not_below, larger, load, lowest_bit, smaller, splat, store
from ..params import KeypointParams
from .refinement import least_contrast, least_roundness
from .scale_space import Strip

_SHARE_BESIDE = 0.97
"""A candidate must reach this share of the samples beside it in scale.

Where a structure is oblique in position and scale, one of them lies nearer to its ridge, and may exceed the
sample that is nearest to its peak.
"""


def find_extrema(strip: Strip, params: KeypointParams, threads: Threads) -> NDArray[np.int32]:
    """The candidates in the rows of a strip.

    Parameters
    ----------
    strip
        The Gaussian levels; level i + 1 minus level i is DoG i.
    params
        Thresholds, the share of what a keypoint needs that a candidate must reach; which neighbours count.
    threads
        Where the rows are shared out.

    Returns
    -------
    (N, 3) int32
        DoG index (1 to S), row of the octave and column, by row, DoG index and column.
    """
    levels, (height, width) = strip.levels, strip.shape
    thresholds = _thresholds(strip, params)
    roundness = least_roundness(params) if params.fit_window > 0 else 0.0
    first, last = max(1, strip.rows[0]), min(height - 1, strip.rows[1])
    blocks = threads.over_rows(
        last - first,
        (last - first) * width * len(levels),
        lambda start, stop: _extrema_in_rows(
            levels,
            strip.first_row,
            width,
            thresholds,
            params.nearest_only,
            roundness,
            first + start,
            first + stop,
        ),
    )
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _thresholds(strip: Strip, params: KeypointParams) -> NDArray[np.float32]:
    """(S,) what a sample of each level must reach: a share of what a keypoint half a level above needs."""
    sigma = strip.sigma_of(np.arange(1.5, strip.n_scales + 1))
    needed = least_contrast(sigma, params.contrast_threshold / strip.n_scales, params)
    return (params.candidate_fraction * needed).astype(np.float32)


@subroutine
def _fill_dogs(levels, row, width, dogs, to):
    """The DoG values of a row, level by level, each ``_pitch`` further on."""
    n_levels, n_rows, pitch = levels.shape
    for x in range(0, width, LANES):
        lower = load(levels, row * pitch + x)
        for i in range(n_levels - 1):
            upper = load(levels, ((i + 1) * n_rows + row) * pitch + x)
            store(dogs, to + i * _pitch(width) + x, upper - lower)
            lower = upper


@inlined
def _pitch(width):
    """Samples from a row of DoG values to the next: a vector more on either side."""
    return (-(-width // LANES) + 2) * LANES


@inlined
def _flags(dogs, above, here, below, step, share, high, low):
    """The lanes that reach a threshold and that none of the ten nearest neighbours exceeds, as bits.

    These are the eight of the level and the two beside it in scale, of which a share counts.
    """
    d = load(dogs, here)
    if (lanes_not_below(d, high) | lanes_not_below(low, d)) == 0:
        return 0
    left, right = load(dogs, here - 1), load(dogs, here + 1)
    up, down = load(dogs, above), load(dogs, below)
    fine, coarse = load(dogs, here - step), load(dogs, here + step)
    most = larger(larger(larger(left, right), larger(up, down)), larger(share * larger(fine, coarse), high))
    least = smaller(
        smaller(smaller(left, right), smaller(up, down)), smaller(share * smaller(fine, coarse), low)
    )
    if (lanes_not_below(d, most) | lanes_not_below(least, d)) == 0:
        return 0
    for row in (above, below):
        left, right = load(dogs, row - 1), load(dogs, row + 1)
        most, least = larger(larger(left, right), most), smaller(smaller(left, right), least)
    return lanes_not_below(d, most) | lanes_not_below(least, d)


@subroutine
def _is_extremum(dogs, above, here, below, step):
    """Whether a sample is as large (or as small) as all of the 3 × 3 beside it, a step before and after."""
    d = dogs[here]
    sign = np.float32(1) if d > 0 else np.float32(-1)
    for row in (above, here, below):
        for scale in (row - step, row + step):
            for at in range(scale - 1, scale + 2):
                if sign * dogs[at] > sign * d:
                    return False
    return True


@subroutine
def _is_round(dogs, above, here, below, least):
    """Whether 4·determinant / trace² of the curvatures in x and y, by central differences, is no less."""
    d = 2 * dogs[here]
    xx, yy = dogs[here - 1] + dogs[here + 1] - d, dogs[above] + dogs[below] - d
    xy = ((dogs[above - 1] + dogs[below + 1]) - (dogs[above + 1] + dogs[below - 1])) / 4
    return 4 * (xx * yy - xy * xy) >= least * (xx + yy) ** 2


@subroutine
def _extrema_in_row(dogs, above, here, below, step, width, threshold, nearest_only, roundness, columns):
    """Fill in the columns of the extrema of a row; returns their number."""
    n, high, low = 0, splat(threshold), splat(-threshold)
    share = splat(np.float32(_SHARE_BESIDE if nearest_only else 1))
    for x in range(0, width, LANES):
        flags = _flags(dogs, above + x, here + x, below + x, step, share, high, low)
        while flags:
            column = x + lowest_bit(flags)
            flags &= flags - 1
            # A flat region equals its neighbours; without a value it is no structure.
            if (
                1 <= column < width - 1
                and dogs[here + column] != 0
                and (nearest_only or _is_extremum(dogs, above + column, here + column, below + column, step))
                and (
                    roundness == 0
                    or _is_round(dogs, above + column, here + column, below + column, roundness)
                )
            ):
                columns[n] = column
                n += 1
    return n


@kernel("int32[:, ::1](float32[:, :, ::1], int64, int64, float32[::1], boolean, float64, int64, int64)")
def _extrema_in_rows(levels, first_row, width, thresholds, nearest_only, roundness, start, stop):
    """Candidates of the octave's rows start to stop."""
    n_scales, step = levels.shape[0] - 3, _pitch(width)
    size = (n_scales + 2) * step
    dogs = np.zeros(3 * size, np.float32)  # of three rows, each in its turn
    for y in (start - 1, start):
        _fill_dogs(levels, y - first_row, width, dogs, y % 3 * size + LANES)
    columns = np.empty(width, np.int32)
    found, n_found = np.empty((256, 3), np.int32), 0
    for y in range(start, stop):
        above, here, below = (y - 1) % 3 * size + LANES, y % 3 * size + LANES, (y + 1) % 3 * size + LANES
        _fill_dogs(levels, y + 1 - first_row, width, dogs, below)
        for i in range(1, n_scales + 1):
            at = i * step
            n = _extrema_in_row(
                dogs,
                above + at,
                here + at,
                below + at,
                step,
                width,
                thresholds[i - 1],
                nearest_only,
                roundness,
                columns,
            )
            while n_found + n > len(found):
                found = np.concatenate((found, np.empty_like(found)))
            for column in columns[:n]:
                found[n_found, 0], found[n_found, 1], found[n_found, 2] = i, y, column
                n_found += 1
    return found[:n_found].copy()

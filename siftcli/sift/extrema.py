"""Strip to integer extrema of the difference of Gaussians (Lowe, section 3.1).

A sample is a candidate when none of its neighbours exceeds it (or none falls below it): Lowe's 26, or the 8
of its level and, nearly, the 2 beside it in scale. Whether a structure that is oblique in position and scale
passes the test against all 26 depends on the position of the grid; refinement by least squares decides
better what is an extremum. The test is not strict: a structure that is symmetric about a point between
samples has equal samples around it, and a strict test would lose it on an even grid and find it on an odd
one. Candidates that refine to the same position are merged later.

For refinement by least squares a candidate must not be an edge (section 4.1) at the sample itself. This
removes a third of the extrema, and hardly any that would be round where the fits end; and it is cheap here,
where the neighbours are in the cache.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.buffers import borrowed
from ..kernels.decorators import inlined, kernel, subroutine
from ..kernels.threads import Threads
from ..kernels.vectors import (
    LANES,
    count_trailing_zeros,
    ge_mask,
    load,
    maximum,
    minimum,
    prefetch,
    splat,
    store,
)
from ..params import KeypointParams
from .octave import Strip
from .response import least_contrast, least_roundness

_SHARE_BESIDE = 0.97
"""A candidate must reach this share of the two samples beside it in scale.

Where a structure is oblique in position and scale, one of the two lies nearer to its ridge, and may exceed
the sample that is nearest to its peak.
"""

_USUAL_SCALES = 3
_PER_MARK = 32
"""Vectors of a row whose marks are the bits of one number."""
_AHEAD = 512
"""Samples of a level's row from those that are read to those that are prefetched.

The levels are larger than the caches, and of so many rows at once the processor's own prefetcher foresees
too little.
"""


def find_extrema(strip: Strip, params: KeypointParams, threads: Threads) -> NDArray[np.int32]:
    """The candidates in the rows of a strip.

    Parameters
    ----------
    strip
        The Gaussian levels; level i + 1 minus level i is DoG i.
    params
        The thresholds, the share of them that a candidate must reach, and which neighbours count.
    threads
        Where the rows are shared out.

    Returns
    -------
    (N, 3) int32
        DoG index (1 to S), row of the octave and column, by row, DoG index and column.
    """
    levels, (height, width) = strip.levels, strip.shape
    thresholds = least_samples(strip, params)
    roundness = least_roundness(params) if params.refinement == "least-squares" else 0.0
    first, last = max(1, strip.rows[0]), min(height - 1, strip.rows[1])

    def work(start: int, stop: int) -> NDArray[np.int32]:
        with borrowed(3 * (len(levels) - 1) * _pitch(width)) as dogs:
            place = levels, strip.first_row, width, thresholds, params.nearest_only, roundness, dogs
            found: NDArray[np.int32] = _extrema_in_rows(*place, first + start, first + stop)
        return found

    blocks = threads.over_rows(last - first, (last - first) * width * len(levels), work)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def least_samples(strip: Strip, params: KeypointParams) -> NDArray[np.float32]:
    """(S,) the |DoG| that a sample of each level must reach: a share of what half a level above is needed."""
    needed = least_contrast(strip.sigma_above(), params.contrast_threshold / strip.n_scales, params)
    return (params.candidate_fraction * needed).astype(np.float32)


def _pitch(width: int) -> int:
    """Samples from a row of DoG values of this ``width`` to the next: a vector more on either side."""
    return (-(-width // LANES) + 2) * LANES


@subroutine
def _fill_dogs(levels, row, width, dogs, to, step):
    """Fill in the DoG values of a row.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels.
    row, width
        Row of the levels; samples of it.
    dogs
        Float32, filled from the flat index ``to`` on, plane by plane, each ``step`` further on.
    to, step
        Where the row begins in the first plane, and samples from a plane to the next.
    """
    n_levels, n_rows, pitch = levels.shape
    for x in range(0, width, LANES):
        lower = load(levels, row * pitch + x)
        for i in range(n_levels - 1):
            upper = load(levels, ((i + 1) * n_rows + row) * pitch + x)
            store(dogs, to + i * step + x, upper - lower)
            lower = upper


@inlined
def _nearest(d, left, right, up, down, fine, coarse, share, high, low):
    """What a lane of ``d`` must reach, or not exceed, beside its six nearest neighbours and a threshold.

    Parameters
    ----------
    d, left, right, up, down, fine, coarse
        Vectors: the samples and their neighbours in the plane and in scale.
    share
        Vector; this share of the two neighbours in scale must be reached.
    high, low
        Vectors: the threshold, and its negative.

    Returns
    -------
    Two vectors: the most and the least of them.
    """
    most = maximum(
        maximum(maximum(left, right), maximum(up, down)), maximum(share * maximum(fine, coarse), high)
    )
    least = minimum(
        minimum(minimum(left, right), minimum(up, down)), minimum(share * minimum(fine, coarse), low)
    )
    return most, least


@inlined
def _mark_row(n_scales, levels, row, width, dogs, above, here, below, step, share, thresholds, marks):
    """Fill in the DoG values of the row below, and mark where a row may have extrema.

    The six nearest neighbours rule out nineteen of twenty vectors, without a branch that would be foreseen
    in half of the cases only.

    Parameters
    ----------
    n_scales
        S; where it is a constant, the loops over scales are unrolled.
    levels
        (S + 3, R, P) float32 Gaussian levels.
    row, width
        Row of the levels below that which is looked at; samples of it.
    dogs
        Float32 DoG values of three rows; the last is filled.
    above, here, below
        Flat indices of the three rows' first columns in plane 0.
    step
        From a DoG plane to the next.
    share
        As for :func:`_nearest`.
    thresholds
        (S,) float32 least |DoG|, by level.
    marks
        (S, M) int64, filled: bit ``k`` of number ``m`` is set if vector ``_PER_MARK``·m + k may have extrema.
    """
    n_rows, pitch = levels.shape[1:]
    for vector in range(-(-width // LANES)):
        x, m, bit = vector * LANES, vector // _PER_MARK, vector % _PER_MARK
        for i in range(n_scales + 3):
            prefetch(levels, (i * n_rows + row) * pitch + x + _AHEAD)
        lower, upper = load(levels, row * pitch + x), load(levels, (n_rows + row) * pitch + x)
        fine, d, down = load(dogs, here + x), load(dogs, here + step + x), upper - lower
        store(dogs, below + x, down)
        lower = upper
        upper = load(levels, (2 * n_rows + row) * pitch + x)
        down = upper - lower
        store(dogs, below + step + x, down)
        for i in range(1, n_scales + 1):
            at = i * step + x
            coarse = load(dogs, here + at + step)
            high = splat(thresholds[i - 1])
            most, least = _nearest(
                d,
                load(dogs, here + at - 1),
                load(dogs, here + at + 1),
                load(dogs, above + at),
                down,
                fine,
                coarse,
                share,
                high,
                splat(-thresholds[i - 1]),
            )
            reaches = np.int64(ge_mask(d, most) | ge_mask(least, d) != 0)
            marks[i - 1, m] = (marks[i - 1, m] if bit else 0) | reaches << bit
            lower = upper
            upper = load(levels, ((i + 2) * n_rows + row) * pitch + x)
            down = upper - lower
            store(dogs, below + at + step, down)
            fine, d = d, coarse


@inlined
def _flags(dogs, above, here, below, step, share, high, low):
    """The lanes, as bits, that reach a threshold and that none of their ten nearest neighbours exceeds.

    Parameters
    ----------
    dogs
        Float32 DoG values of three rows.
    above, here, below
        Flat indices of the first lane, and of the samples above and below it.
    step
        From a DoG plane to the next.
    share, high, low
        As for :func:`_nearest`.
    """
    d = load(dogs, here)
    most, least = _nearest(
        d,
        load(dogs, here - 1),
        load(dogs, here + 1),
        load(dogs, above),
        load(dogs, below),
        load(dogs, here - step),
        load(dogs, here + step),
        share,
        high,
        low,
    )
    for row in (above, below):
        left, right = load(dogs, row - 1), load(dogs, row + 1)
        most, least = maximum(maximum(left, right), most), minimum(minimum(left, right), least)
    return ge_mask(d, most) | ge_mask(least, d)


@subroutine
def _is_extremum(dogs, above, here, below, step):
    """Whether no sample of the 3 × 3 in the planes before and after exceeds the sample ``here``.

    The arguments are those of :func:`_flags`. A negative sample must not be above any of them.
    """
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
    """Whether 4·determinant / trace² of the curvatures in x and y, by central differences, reaches ``least``.

    The other arguments are those of :func:`_flags`.
    """
    d = 2 * dogs[here]
    xx, yy = dogs[here - 1] + dogs[here + 1] - d, dogs[above] + dogs[below] - d
    xy = ((dogs[above - 1] + dogs[below + 1]) - (dogs[above + 1] + dogs[below - 1])) / 4
    return 4 * (xx * yy - xy * xy) >= least * (xx + yy) ** 2


@subroutine
def _extrema_in_row(
    marks, scale, dogs, above, here, below, step, width, share, threshold, nearest_only, roundness, columns
):
    """Fill in the columns of the extrema of a row.

    Parameters
    ----------
    marks, scale
        As for :func:`_mark_row`, and the row of it that counts.
    dogs, above, here, below, step
        As for :func:`_flags`; the indices are those of the first column.
    width
        Samples of the row.
    share
        As for :func:`_nearest`.
    threshold
        Least |DoG|.
    nearest_only
        Whether ten neighbours count, or all 26.
    roundness
        Least roundness; 0 for any.
    columns
        (W,) int32, filled.

    Returns
    -------
    How many columns are filled.
    """
    n, high, low = 0, splat(threshold), splat(-threshold)
    for m in range(marks.shape[1]):
        vectors = marks[scale, m]
        while vectors:
            x = (m * _PER_MARK + count_trailing_zeros(vectors)) * LANES
            vectors &= vectors - 1
            flags = _flags(dogs, above + x, here + x, below + x, step, share, high, low)
            while flags:
                i = x + count_trailing_zeros(flags)
                flags &= flags - 1
                # A flat region equals its neighbours; without a value it is no structure.
                if (
                    1 <= i < width - 1
                    and dogs[here + i] != 0
                    and (nearest_only or _is_extremum(dogs, above + i, here + i, below + i, step))
                    and (roundness == 0 or _is_round(dogs, above + i, here + i, below + i, roundness))
                ):
                    columns[n] = i
                    n += 1
    return n


@kernel(
    "int32[:, ::1](float32[:, :, ::1], int64, int64, float32[::1], boolean, float64, float32[::1], int64,"
    " int64)"
)
def _extrema_in_rows(levels, first_row, width, thresholds, nearest_only, roundness, dogs, start, stop):
    """The candidates of the octave's rows ``start`` to ``stop``.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels, rows of the octave from ``first_row`` on.
    first_row, width
        The first of the octave's rows that is there; samples of a row.
    thresholds
        (S,) float32 least |DoG|, by level.
    nearest_only, roundness
        As for :func:`_extrema_in_row`.
    dogs
        (3·(S + 2)·_pitch(width),) float32, room for a ring of three rows; from a cache line on it is faster.
    start, stop
        None of them the first or the last row of the octave.

    Returns
    -------
    (N, 3) int32: DoG index, row and column, by row, DoG index and column.
    """
    n_scales = levels.shape[0] - 3
    size = len(dogs) // 3
    step = size // (n_scales + 2)
    for y in (start - 1, start):
        _fill_dogs(levels, y - first_row, width, dogs, y % 3 * size + LANES, step)
    columns, marks = (
        np.empty(width, np.int32),
        np.empty((n_scales, -(-width // (LANES * _PER_MARK))), np.int64),
    )
    share = splat(np.float32(_SHARE_BESIDE if nearest_only else 1))
    found, n_found = np.empty((256, 3), np.int32), 0
    for y in range(start, stop):
        above, here, below = (y - 1) % 3 * size + LANES, y % 3 * size + LANES, (y + 1) % 3 * size + LANES
        place = levels, y + 1 - first_row, width, dogs, above, here, below, step, share, thresholds, marks
        if n_scales == _USUAL_SCALES:  # a constant: three quarters of the time
            _mark_row(_USUAL_SCALES, *place)
        else:
            _mark_row(n_scales, *place)
        for i in range(1, n_scales + 1):
            at = i * step
            n = _extrema_in_row(
                marks,
                i - 1,
                dogs,
                above + at,
                here + at,
                below + at,
                step,
                width,
                share,
                thresholds[i - 1],
                nearest_only,
                roundness,
                columns,
            )
            if n_found + n > len(found):
                more = np.empty((2 * (n_found + n), 3), np.int32)
                for j in range(n_found):
                    more[j, 0], more[j, 1], more[j, 2] = found[j, 0], found[j, 1], found[j, 2]
                found = more
            for j in range(n):
                found[n_found, 0], found[n_found, 1], found[n_found, 2] = i, y, columns[j]
                n_found += 1
    return found[:n_found]

"""Refinement by least squares (beyond the papers): Newton's steps until they settle.

Each step is that of a quadratic fitted around the point reached so far (``local_fit.py``), which noise moves
less than differences of two samples. Contrast and curvatures are those of the last fit, which alone goes
through five planes, or all that there are.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import allocator, inlined, kernel, subroutine
from ..kernels.parallel_for import parallel_for
from ..kernels.prefetch import prefetch_square
from . import local_fit
from .candidates import EDGE, KEPT, MAX_MOVES, UNSTABLE, is_inside, judged, moves, note_step
from .local_filters import N_FILTERS, RADIUS, fill_filters
from .local_fit import PARABOLA, fill_nearest_planes, fill_patch, newton_step

_MOST_FITS = 12
"""Fits after which a keypoint that has not settled is dropped; two to four are the rule."""


@allocator
def workspace(n_scales, window):
    """What :func:`settle` needs, with the filters of each level's first fit, which is at the sample itself.

    Parameters
    ----------
    n_scales
        S, the scales of the octave.
    window
        Standard deviation of the fit's weights at level 0, in samples.

    Returns
    -------
    The arrays of ``local_fit.workspace`` for S + 1 fits (the first for any fit), and two of float64 (3,).
    """
    patch, filters, sums, weights = local_fit.workspace(1 + n_scales)
    step, offset = np.empty(3), np.zeros(3)
    for level in range(1, n_scales + 1):
        fill_filters(offset, window * 2 ** (level / n_scales), filters, level * N_FILTERS, sums)
    return patch, filters, sums, weights, step, offset


@subroutine
def prefetch_patch(levels, first_row, height, width, candidates, n):
    """Prefetch the samples of the first fit of candidate ``n``, if there is one.

    ``candidates`` is (N, 3) int32: DoG index, row, column; the others are as for :func:`settle`.
    """
    if n < len(candidates):
        i, y, x = candidates[n, 0], candidates[n, 1], candidates[n, 2]
        for level in range(i - 1, i + 3):
            prefetch_square(levels, level, first_row, height, width, x, y, RADIUS)


@subroutine
def _prefetch_further(n_fits, levels, first_row, height, width, level, y, x):
    """Prefetch, after the first fit, the planes that the last one reads and no other; after others, nothing.

    ``n_fits`` were made before this one; the other arguments are those of :func:`settle`.
    """
    for other in range(levels.shape[0] if n_fits == 0 else 0):
        if not level - 1 <= other <= level + 2:
            prefetch_square(levels, other, first_row, height, width, x, y, RADIUS)


@inlined
def settle(
    levels,
    first_row,
    height,
    width,
    level,
    y,
    x,
    window,
    tolerance,
    least_roundness,
    work,
    place,
    trace,
    candidate,
):
    """Refine one candidate: fit around the nearest sample until the steps are small.

    A step is one sample, or level, long at most. The keypoint must settle at a scale that belongs to this
    octave, not to the one before or after.

    Parameters
    ----------
    levels, first_row, height, width, window, tolerance, least_roundness
        As for :func:`settle_each`.
    level, y, x
        The candidate: DoG index, row of the octave, column.
    work
        From :func:`workspace`.
    place
        (5,) float64, filled: x, y, level, value and roundness.
    trace, candidate
        As for ``candidates.note_step``.

    Returns
    -------
    KEPT, EDGE or UNSTABLE.
    """
    n_scales, moves_left = levels.shape[0] - 3, MAX_MOVES
    patch, filters, sums, weights, step, offset = work
    offset[0], offset[1], offset[2] = 0.0, 0.0, 0.0
    step[0], step[1], step[2] = 0.0, 0.0, 0.0
    has_moved = True
    for n_fits in range(_MOST_FITS):
        if has_moved:
            fill_patch(levels, first_row, height, width, level - 1, 3, y, x, patch)
        at = (level if n_fits == 0 else 0) * N_FILTERS
        if n_fits > 0:
            fill_filters(offset, window * 2 ** ((level + offset[2]) / n_scales), filters, at, sums)
        place[3], place[4] = newton_step(patch, offset[2], PARABOLA, weights, filters, at, sums, step)
        here = x + offset[0], y + offset[1], level + offset[2]
        note_step(trace, candidate, n_fits, here, (place[3], place[4]), step, 3)
        if not place[4] > least_roundness:
            return EDGE if place[4] > 0 else UNSTABLE
        _prefetch_further(n_fits, levels, first_row, height, width, level, y, x)
        length = max(abs(step[0]), abs(step[1]), abs(step[2]))
        if length <= tolerance:
            n_planes = fill_nearest_planes(
                levels, first_row, height, width, level, y, x, offset[2], patch, weights
            )
            place[3], place[4] = newton_step(patch, 0.0, n_planes, weights, filters, at, sums, step)
            note_step(trace, candidate, n_fits + 1, here, (place[3], place[4]), step, n_planes)
            if not place[4] > 0 or max(abs(step[0]), abs(step[1]), abs(step[2])) > 1:
                break
            for axis in range(3):
                offset[axis] += step[axis]
            place[0], place[1], place[2] = x + offset[0], y + offset[1], level + offset[2]
            return KEPT if 0.5 <= place[2] < n_scales + 0.5 else UNSTABLE
        for axis in range(3):
            offset[axis] += step[axis] / max(1.0, length)
        dx, dy, di = moves(offset)
        x, y, level = x + dx, y + dy, level + di
        has_moved = dx != 0 or dy != 0 or di != 0
        moves_left -= int(has_moved)
        if moves_left < 0 or not is_inside(x, y, level, width, height, n_scales):
            break
        offset[0], offset[1], offset[2] = offset[0] - dx, offset[1] - dy, offset[2] - di
    return UNSTABLE


@kernel(
    "void(float32[:, :, ::1], int64, int64, int64, int32[:, ::1], float64, float64, float64, float64,"
    " float64[:, ::1], uint8[::1], float64[:, :, ::1], int64[::1])"
)
def settle_each(
    levels,
    first_row,
    height,
    width,
    candidates,
    contrast,
    least_roundness,
    window,
    tolerance,
    refined,
    fate,
    trace,
    counter,
):
    """Refine candidates, as many as are left.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    candidates
        (N, 3) int32 DoG index, row of the octave and column.
    contrast, least_roundness
        As for ``candidates.judged``.
    window, tolerance
        Standard deviation of the weights at level 0, in samples; longest step, in samples and levels, of
        what has settled.
    refined
        (N, 6) float64; x, y, level, value and roundness are filled.
    fate
        (N,) uint8, filled: what became of each.
    trace
        (N, ``MOST_STEPS``, 9) float64, filled as by ``candidates.note_step``; (1, 0, 9) for none.
    counter
        (1,) int64 of the parallel for loop.
    """
    work, place = workspace(levels.shape[0] - 3, window), np.empty(5)
    for n in parallel_for(counter, len(candidates)):
        i, y, x = np.int64(candidates[n, 0]), np.int64(candidates[n, 1]), np.int64(candidates[n, 2])
        prefetch_patch(levels, first_row, height, width, candidates, n + 1)
        became = settle(
            levels,
            first_row,
            height,
            width,
            i,
            y,
            x,
            window,
            tolerance,
            least_roundness,
            work,
            place,
            trace,
            n,
        )
        fate[n] = judged(became, place, contrast, least_roundness)
        for column in range(len(place)):
            refined[n, column] = place[column]

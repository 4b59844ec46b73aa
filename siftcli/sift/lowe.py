"""Refinement as Lowe describes it: a quadratic in x, y and scale (section 4, equations 2 and 3).

Its coefficients are differences of neighbouring samples. It assumes that the DoG is as wide at the refined
scale as at the level it is fitted to; half a level away it is not, and the position of an ideal blob is off
by up to a tenth of a sample. So the position is fitted once more, in the plane of the refined scale, which
leaves a hundredth.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import allocator, kernel, subroutine
from ..kernels.parallel_for import parallel_for
from .candidates import KEPT, MAX_MOVES, UNSTABLE, is_inside, judged, moves, note_step


@allocator
def workspace():
    """Arrays of float64 for :func:`interpolate`: a block (3, 3, 3), gradient, Hessian, offset and plane."""
    return np.empty((3, 3, 3)), np.empty(3), np.empty((3, 3)), np.empty(3), np.empty((3, 3))


@subroutine
def interpolate(levels, first_row, height, width, level, y, x, work, place, steps, candidate):
    """Refine one candidate.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    level, y, x
        The candidate: DoG index, row of the octave, column.
    work
        From :func:`workspace`.
    place
        (5,) float64, filled: x, y, level, value and roundness.
    steps, candidate
        As for ``candidates.note_step``; the last step is that of the position alone.

    Returns
    -------
    KEPT or UNSTABLE.
    """
    n_scales = levels.shape[0] - 3
    block, gradient, hessian, offset, plane = work
    for n in range(MAX_MOVES + 1):
        value = _derivatives(levels, level, y - first_row, x, block, gradient, hessian)
        if not _extremum(hessian, gradient, offset):
            break
        note_step(steps, candidate, n, (float(x), float(y), float(level)), (value, np.nan), offset, 3)
        dx, dy, di = moves(offset)
        if dx == 0 and dy == 0 and di == 0:
            _fill_plane(levels, level, y - first_row, x, offset[2], plane)
            _refit_position(plane, offset)
            place[0], place[1], place[2] = x + offset[0], y + offset[1], level + offset[2]
            place[3] = (
                value + (gradient[0] * offset[0] + gradient[1] * offset[1] + gradient[2] * offset[2]) / 2
            )
            trace, determinant = (
                hessian[0, 0] + hessian[1, 1],
                hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2,
            )
            place[4] = 4 * determinant / trace**2 if determinant > 0 else 0.0
            note_step(
                steps, candidate, n + 1, (float(x), float(y), float(level)), (place[3], place[4]), offset, 3
            )
            return KEPT
        x, y, level = x + dx, y + dy, level + di
        if not is_inside(x, y, level, width, height, n_scales):
            break
    return UNSTABLE


@subroutine
def _derivatives(levels, i, y, x, block, gradient, hessian):
    """Central differences of the DoG at a sample.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels.
    i, y, x
        DoG index, row of the levels, column.
    block
        (3, 3, 3) float64, filled: DoG values by scale, y and x.
    gradient, hessian
        (3,) and (3, 3) float64 in the order x, y, scale, filled; of the Hessian the upper triangle.

    Returns
    -------
    The DoG value at the sample.
    """
    for ds in range(3):
        for dy in range(3):
            for dx in range(3):
                upper, lower = (
                    levels[i + ds, y + dy - 1, x + dx - 1],
                    levels[i + ds - 1, y + dy - 1, x + dx - 1],
                )
                block[ds, dy, dx] = np.float64(upper) - np.float64(lower)
    centre = block[1, 1, 1]
    gradient[0] = (block[1, 1, 2] - block[1, 1, 0]) / 2
    gradient[1] = (block[1, 2, 1] - block[1, 0, 1]) / 2
    gradient[2] = (block[2, 1, 1] - block[0, 1, 1]) / 2
    hessian[0, 0] = block[1, 1, 2] + block[1, 1, 0] - 2 * centre
    hessian[1, 1] = block[1, 2, 1] + block[1, 0, 1] - 2 * centre
    hessian[2, 2] = block[2, 1, 1] + block[0, 1, 1] - 2 * centre
    hessian[0, 1] = ((block[1, 2, 2] + block[1, 0, 0]) - (block[1, 2, 0] + block[1, 0, 2])) / 4
    hessian[0, 2] = ((block[2, 1, 2] + block[0, 1, 0]) - (block[2, 1, 0] + block[0, 1, 2])) / 4
    hessian[1, 2] = ((block[2, 2, 1] + block[0, 0, 1]) - (block[2, 0, 1] + block[0, 2, 1])) / 4
    return centre


@subroutine
def _extremum(hessian, gradient, offset):
    """Fill ``offset`` (3,) with the quadratic's extremum, −H⁻¹g, by Cramer's rule; False where H is singular.

    ``hessian`` (3, 3), its upper triangle, and ``gradient`` (3,) are in the order x, y, scale.
    """
    a, b, c = hessian[0, 0], hessian[0, 1], hessian[0, 2]
    d, e, f = hessian[1, 1], hessian[1, 2], hessian[2, 2]
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * aa + b * bb + c * cc
    if determinant == 0:
        return False
    g, h, k = gradient[0], gradient[1], gradient[2]
    offset[0] = -(aa * g + bb * h + cc * k) / determinant
    offset[1] = -(bb * g + (a * f - c * c) * h + (b * c - a * e) * k) / determinant
    offset[2] = -(cc * g + (b * c - a * e) * h + (a * d - b * b) * k) / determinant
    return True


@subroutine
def _fill_plane(levels, i, y, x, scale_offset, plane):
    """Fill ``plane`` (3, 3) with DoG values around a sample, by a parabola along scale through three DoGs.

    ``scale_offset`` is in levels from DoG ``i``; the other arguments are those of :func:`_derivatives`.
    """
    for dy in range(3):
        for dx in range(3):
            row, column = y + dy - 1, x + dx - 1
            below = np.float64(levels[i, row, column]) - np.float64(levels[i - 1, row, column])
            here = np.float64(levels[i + 1, row, column]) - np.float64(levels[i, row, column])
            above = np.float64(levels[i + 2, row, column]) - np.float64(levels[i + 1, row, column])
            slope, bend = (above - below) / 2, above + below - 2 * here
            plane[dy, dx] = here + scale_offset * (slope + scale_offset * bend / 2)


@subroutine
def _refit_position(plane, offset):
    """Replace the x and y of ``offset`` (3,) by the extremum of a quadratic through ``plane`` (3, 3)."""
    gx, gy = (plane[1, 2] - plane[1, 0]) / 2, (plane[2, 1] - plane[0, 1]) / 2
    xx, yy = plane[1, 2] + plane[1, 0] - 2 * plane[1, 1], plane[2, 1] + plane[0, 1] - 2 * plane[1, 1]
    xy = ((plane[2, 2] + plane[0, 0]) - (plane[2, 0] + plane[0, 2])) / 4
    determinant = xx * yy - xy * xy
    dx, dy = (xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant
    if determinant > 0 and abs(dx) <= 1 and abs(dy) <= 1:
        offset[0], offset[1] = dx, dy


@kernel(
    "void(float32[:, :, ::1], int64, int64, int64, int32[:, ::1], float64, float64,"
    " float64[:, ::1], uint8[::1], float64[:, :, ::1], int64[::1])"
)
def interpolate_each(
    levels,
    first_row,
    height,
    width,
    candidates,
    contrast,
    least_roundness,
    refined,
    fate,
    trace,
    counter,
):
    """Refine candidates, as many as are left.

    The arguments are those of ``least_squares.settle_each`` of the same names.
    """
    work, place = workspace(), np.empty(5)
    for n in parallel_for(counter, len(candidates)):
        i, y, x = np.int64(candidates[n, 0]), np.int64(candidates[n, 1]), np.int64(candidates[n, 2])
        became = interpolate(levels, first_row, height, width, i, y, x, work, place, trace, n)
        fate[n] = judged(became, place, contrast, least_roundness)
        for column in range(len(place)):
            refined[n, column] = place[column]

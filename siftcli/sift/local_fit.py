"""A quadratic fitted to a neighbourhood by weighted least squares (Cleveland and Devlin 1988: *loess*).

Central differences take a derivative from two samples and let their noise through. Here a
quadratic is fitted to 7 × 7 samples, each weighted by a Gaussian of its distance from the very
point that the fit is evaluated at. These weights are a product of one factor an axis, so with
polynomials that are orthogonal under them, 1, u − m and u² − αu − β along each axis, every
coefficient of the least-squares fit is one weighted sum: no equations are to be solved.

A row of seven samples is a vector, whose other lanes are zero.
"""

from __future__ import annotations

import numpy as np

from ._functions import gaussian
from ._jit import inlined, subroutine
from ._vectors import (
    LANES,
    broadcast,
    fma,
    lane_numbers,
    load,
    smaller,
    splat,
    store,
    where_larger,
    zip_high,
    zip_low,
)

REACH = 3
"""Samples on either side of the nearest one."""
SIDE = 2 * REACH + 1
_PLANE = SIDE * LANES
"""Room for the seven rows of a plane."""


@subroutine
def workspace():
    """A patch, a plane and what a fit works in; zero, because vectors are longer than rows."""
    for_fit = np.zeros(3 * LANES, np.float32), np.zeros(LANES, np.float32)
    return np.zeros(3 * _PLANE, np.float32), np.zeros(_PLANE, np.float32), for_fit


@subroutine
def fill_patch(levels, first_row, height, width, i, y, x, patch):
    """DoG values around a sample and at the scales beside it; the border is repeated outside."""
    n_rows, pitch = levels.shape[1:]
    is_inside = REACH <= x < width - REACH
    for row in range(SIDE):
        at_y = min(max(y + row - REACH, 0), height - 1) - first_row
        for s in range(3):
            lower = ((i + s - 1) * n_rows + at_y) * pitch
            upper, to = lower + n_rows * pitch, s * _PLANE + row * LANES
            if is_inside:
                left = x - REACH
                store(patch, to, _first_seven(load(levels, upper + left) - load(levels, lower + left)))
                continue
            for column in range(SIDE):
                at_x = min(max(x + column - REACH, 0), width - 1)
                patch[to + column] = levels[i + s, at_y, at_x] - levels[i + s - 1, at_y, at_x]


@inlined
def _first_seven(row):
    """A vector whose other lanes, which may hold any value, are 0."""
    return where_larger(splat(np.float32(SIDE)), lane_numbers(), row, splat(np.float32(0)))


@subroutine
def blend(patch, scale_offset, plane):
    """The plane at a scale between those of the patch, each value by a parabola through three."""
    half, offset = splat(np.float32(0.5)), splat(np.float32(scale_offset))
    for at in range(0, _PLANE, LANES):
        below, here, above = load(patch, at), load(patch, _PLANE + at), load(patch, 2 * _PLANE + at)
        slope, bend = half * (above - below), (above - here) + (below - here)
        store(plane, at, fma(offset, fma(offset * half, bend, slope), here))


@inlined
def _fill_sums(p, q, r, s, t, u, sums):
    """The sums of eight lanes of six vectors, at 0, 8, 4, 12, 2 and 10: halves are zipped and added."""
    pq, rs, tu = zip_low(p, q), zip_low(r, s), zip_low(t, u)
    zero = splat(np.float32(0))
    prqs, tu = zip_low(pq, rs) + zip_high(pq, rs), zip_low(tu, zero) + zip_high(tu, zero)
    all_six = zip_low(prqs, tu) + zip_high(prqs, tu)
    store(sums, 0, zip_low(all_six, all_six) + zip_high(all_six, all_six))


@inlined
def _weigh_line(position, spread, sums):
    """The three filters of a line, weight times polynomial over its norm; and m, α and β.

    Positions u are relative to ``position``, an offset from the middle sample.
    """
    zero, scale = splat(np.float32(0)), splat(np.float32(1 / spread))
    u = lane_numbers() - splat(np.float32(REACH + position))
    # Far samples of a narrow window have no weight that matters, but one that can be computed.
    squares = smaller(u * scale * (u * scale), splat(np.float32(100)))
    weights = _first_seven(gaussian(squares))
    linear = weights * u
    quadratic = linear * u
    _fill_sums(weights, linear, quadratic, quadratic * u, quadratic * u * u, zero, sums)
    s0, s1, s2 = np.float64(sums[0]), np.float64(sums[8]), np.float64(sums[4])
    s3, s4 = np.float64(sums[12]), np.float64(sums[2])
    mean = s1 / s0
    linear_norm = s2 - mean * s1
    skew = (s3 - mean * s2) / linear_norm
    bend = s2 / s0 - skew * mean
    norm = s4 - 2 * skew * s3 + (skew**2 - 2 * bend) * s2 + bend * (2 * skew * s1 + bend * s0)
    level = weights * splat(np.float32(1 / s0))
    sloping = (linear - weights * splat(np.float32(mean))) * splat(np.float32(1 / linear_norm))
    bent = quadratic - linear * splat(np.float32(skew)) - weights * splat(np.float32(bend))
    return level, sloping, bent * splat(np.float32(1 / norm)), mean, skew, bend


@inlined
def _weigh_down(position, spread, filters, sums):
    """The filters of a column into memory, one number of which is wanted at a time; m, α and β."""
    level, linear, quadratic, mean, skew, bend = _weigh_line(position, spread, sums)
    store(filters, 0, level)
    store(filters, LANES, linear)
    store(filters, 2 * LANES, quadratic)
    return mean, skew, bend


@subroutine
def position_step(plane, x, y, spread, work, step):
    """Newton's step from (x, y) to the extremum of the quadratic fitted there.

    Returns trace² / determinant of its curvatures (Lowe, section 4.1), which is 4 where they are equal; not
    above 0 where it has no extremum.
    """
    filters, sums = work
    level, linear, quadratic, mx, ax, _ = _weigh_line(x, spread, sums)
    my, ay, _ = _weigh_down(y, spread, filters, sums)
    zero = splat(np.float32(0))
    # The polynomials of y times the values, summed down the columns: of degree 0, 1 and 2.
    a, b, c = zero, zero, zero
    for row in range(SIDE):
        values = load(plane, row * LANES)
        a = fma(broadcast(filters, row), values, a)
        b = fma(broadcast(filters, LANES + row), values, b)
        c = fma(broadcast(filters, 2 * LANES + row), values, c)
    _fill_sums(linear * a, level * b, quadratic * a, level * c, linear * b, zero, sums)
    gx, gy, xy = np.float64(sums[0]), np.float64(sums[8]), np.float64(sums[2])
    xx, yy = 2 * np.float64(sums[4]), 2 * np.float64(sums[12])
    gx, gy = gx - ax * xx / 2 - my * xy, gy - ay * yy / 2 - mx * xy
    determinant = xx * yy - xy * xy
    step[0], step[1] = (xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant
    return (xx + yy) ** 2 / determinant


@subroutine
def fitted_values(patch, x, y, spread, work):
    """The values at (x, y) of the quadratics fitted around it to the three planes of a patch."""
    filters, sums = work
    level, linear, quadratic, mx, _, bx = _weigh_line(x, spread, sums)
    my, _, by = _weigh_down(y, spread, filters, sums)
    # A value is a weighted sum; along x, the weights are these times the polynomials of y.
    along = level - linear * splat(np.float32(mx)) - quadratic * splat(np.float32(bx))
    along_linear = (linear * splat(np.float32(mx)) - level) * splat(np.float32(my))
    along_quadratic = level * splat(np.float32(-by))
    zero = splat(np.float32(0))
    below, here, above = zero, zero, zero
    for row in range(SIDE):
        at = row * LANES
        line = fma(along_linear, broadcast(filters, LANES + row), along * broadcast(filters, row))
        line = fma(along_quadratic, broadcast(filters, 2 * LANES + row), line)
        below = fma(line, load(patch, at), below)
        here = fma(line, load(patch, _PLANE + at), here)
        above = fma(line, load(patch, 2 * _PLANE + at), above)
    _fill_sums(below, here, above, zero, zero, zero, sums)
    return np.float64(sums[0]), np.float64(sums[8]), np.float64(sums[4])

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

from ..kernels.decorators import inlined, subroutine
from ..kernels.vector_math import gaussian
from ..kernels.vectors import (
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
MOST_PLANES = 5
"""DoG planes of the last fit: all that an octave of three scales has."""
_PLANE = SIDE * LANES
"""Room for the seven rows of a plane."""
_ALONG_Y, _MOMENTS = 3 * LANES, 6 * LANES
N_FILTERS = 7 * LANES
"""Room for the filters of a fit: three along x, three along y, and m, α and β of each."""


@subroutine
def workspace(n):
    """A patch, the filters of n fits, room for sums, and weights; zero, for vectors are longer than rows."""
    return (
        np.zeros(MOST_PLANES * _PLANE, np.float32),
        np.zeros(n * N_FILTERS, np.float32),
        np.zeros(LANES, np.float32),
        np.zeros(3 * MOST_PLANES, np.float32),
    )


@subroutine
def fill_patch(levels, first_row, height, width, lowest, n_planes, y, x, patch):
    """DoG values around a sample, in so many planes from the lowest on; the border is repeated outside."""
    n_rows, pitch = levels.shape[1:]
    is_inside = REACH <= x < width - REACH
    for row in range(SIDE):
        at_y = min(max(y + row - REACH, 0), height - 1) - first_row
        for s in range(n_planes):
            lower = ((lowest + s) * n_rows + at_y) * pitch
            upper, to = lower + n_rows * pitch, s * _PLANE + row * LANES
            if is_inside:
                left = x - REACH
                store(patch, to, _first_seven(load(levels, upper + left) - load(levels, lower + left)))
                continue
            for column in range(SIDE):
                at_x = min(max(x + column - REACH, 0), width - 1)
                patch[to + column] = levels[lowest + s + 1, at_y, at_x] - levels[lowest + s, at_y, at_x]


@subroutine
def fill_nearest_planes(levels, first_row, height, width, i, y, x, scale_offset, patch, weights):
    """The same in the planes nearest to plane i, and their weights at an offset; returns their number."""
    n_dogs = levels.shape[0] - 1
    n_planes = min(MOST_PLANES, n_dogs)
    lowest = max(0, min(i - n_planes // 2, n_dogs - n_planes))
    fill_patch(levels, first_row, height, width, lowest, n_planes, y, x, patch)
    fill_scale_weights(n_planes, i + scale_offset - lowest, weights)
    return n_planes


@inlined
def _first_seven(row):
    """A vector whose other lanes, which may hold any value, are 0."""
    return where_larger(splat(np.float32(SIDE)), lane_numbers(), row, splat(np.float32(0)))


@inlined
def _fill_sums(p, q, r, s, t, u, sums):
    """The sums of eight lanes of six vectors, at 0, 8, 4, 12, 2 and 10: halves are zipped and added."""
    pq, rs, tu = zip_low(p, q), zip_low(r, s), zip_low(t, u)
    zero = splat(np.float32(0))
    prqs, tu = zip_low(pq, rs) + zip_high(pq, rs), zip_low(tu, zero) + zip_high(tu, zero)
    all_six = zip_low(prqs, tu) + zip_high(prqs, tu)
    store(sums, 0, zip_low(all_six, all_six) + zip_high(all_six, all_six))


@inlined
def _weigh_line(position, spread, filters, at, to, sums):
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
    bent = quadratic - linear * splat(np.float32(skew)) - weights * splat(np.float32(bend))
    store(filters, at, weights * splat(np.float32(1 / s0)))
    store(
        filters, at + LANES, (linear - weights * splat(np.float32(mean))) * splat(np.float32(1 / linear_norm))
    )
    store(filters, at + 2 * LANES, bent * splat(np.float32(1 / norm)))
    filters[to], filters[to + 1], filters[to + 2] = mean, skew, bend


@subroutine
def fill_filters(offset, spread, filters, at, sums):
    """The filters, from ``at`` on, of a fit at an offset (x, y) from the middle sample, weights of this σ."""
    _weigh_line(offset[0], spread, filters, at, at + _MOMENTS, sums)
    _weigh_line(offset[1], spread, filters, at + _ALONG_Y, at + _MOMENTS + 3, sums)


@subroutine
def newton_step(patch, offset, filters, at, sums, step):
    """Newton's step from an offset (x, y, scale) to the extremum of the quadratics fitted there.

    Along scale a parabola goes through three planes; in x and y quadratics are fitted to its values at
    the scale, its slopes and its curvatures. Returns the extremum's value and its roundness (``_solve``).
    """
    half, o = splat(np.float32(0.5)), splat(np.float32(offset[2]))
    zero, along_y = splat(np.float32(0)), at + _ALONG_Y
    values, slopes, bends = (zero, zero, zero), (zero, zero, zero), (zero, zero, zero)
    for row in range(SIDE):
        start = row * LANES
        below, here, above = load(patch, start), load(patch, _PLANE + start), load(patch, 2 * _PLANE + start)
        bend, slope = (above - here) + (below - here), half * (above - below)
        values = _added(values, filters, along_y + row, fma(o, fma(o * half, bend, slope), here))
        slopes = _added(slopes, filters, along_y + row, fma(o, bend, slope))
        bends = _added(bends, filters, along_y + row, bend)
    return _solve(values, slopes, bends, filters, at, sums, step)


@subroutine
def last_step(patch, n_planes, weights, filters, at, sums, step):
    """The same with a polynomial through more planes than three.

    A parabola of three planes, two thirds of an octave wide, has errors along scale that depend on where
    between the levels the extremum lies, and the place moves with them. A turned image has the same ones, an
    image of another size has not.
    """
    zero, along_y = splat(np.float32(0)), at + _ALONG_Y
    values, slopes, bends = (zero, zero, zero), (zero, zero, zero), (zero, zero, zero)
    for row in range(SIDE):
        value, slope, bend = zero, zero, zero
        for k in range(n_planes):
            samples = load(patch, k * _PLANE + row * LANES)
            value = fma(broadcast(weights, k), samples, value)
            slope = fma(broadcast(weights, MOST_PLANES + k), samples, slope)
            bend = fma(broadcast(weights, 2 * MOST_PLANES + k), samples, bend)
        values = _added(values, filters, along_y + row, value)
        slopes = _added(slopes, filters, along_y + row, slope)
        bends = _added(bends, filters, along_y + row, bend)
    return _solve(values, slopes, bends, filters, at, sums, step)


@subroutine
def fill_scale_weights(n_planes, position, weights):
    """What each plane counts for a polynomial's value, slope and curvature at a position (Lagrange)."""
    for k in range(n_planes):
        value, slope, bend = 1.0, 0.0, 0.0
        for j in range(n_planes):
            if j != k:
                factor, change = (position - j) / (k - j), 1 / (k - j)
                bend = bend * factor + 2 * slope * change
                slope = slope * factor + value * change
                value *= factor
        weights[k], weights[MOST_PLANES + k], weights[2 * MOST_PLANES + k] = value, slope, bend


@subroutine
def _solve(values, slopes, bends, filters, at, sums, step):
    """Newton's step from the sums over y of values, slopes and curvatures along scale.

    Returns the extremum's value and its roundness in x, y and scale: 4·determinant / trace² of the
    curvatures in x and y (Lowe, section 4.1), times the part of the curvature in scale that is left when the
    position follows the scale. That is 1 where the first two are equal and the place does not change with
    the scale; it is 0 where the Hessian is not that of an extremum.
    """
    moments = _moments(filters, at + _MOMENTS)
    lines = load(filters, at), load(filters, at + LANES), load(filters, at + 2 * LANES)
    value, gx, gy, xx, yy, xy = _at_the_centre(lines, values, moments, sums)
    gs, xs, ys, _, _, _ = _at_the_centre(lines, slopes, moments, sums)
    ss, _, _, _, _, _ = _at_the_centre(lines, bends, moments, sums)
    determinant = xx * yy - xy * xy
    # With the position eliminated; it is 0 on a ridge that is flat, oblique in position and scale.
    px, py = (yy * xs - xy * ys) / determinant, (xx * ys - xy * xs) / determinant
    remaining = ss - (xs * px + ys * py)
    if not (determinant > 0 and xx * value < 0 and remaining * value < 0):
        return value, 0.0
    step[2] = (px * gx + py * gy - gs) / remaining
    sx, sy = gx + xs * step[2], gy + ys * step[2]
    step[0], step[1] = (xy * sy - yy * sx) / determinant, (xy * sx - xx * sy) / determinant
    value += (gx * step[0] + gy * step[1] + gs * step[2]) / 2
    return value, 4 * determinant / (xx + yy) ** 2 * remaining / ss


@inlined
def _moments(filters, at):
    """m, α and β along x and along y, in double precision."""
    return (
        np.float64(filters[at]),
        np.float64(filters[at + 1]),
        np.float64(filters[at + 2]),
        np.float64(filters[at + 3]),
        np.float64(filters[at + 4]),
        np.float64(filters[at + 5]),
    )


@inlined
def _added(totals, filters, at, values):
    """The polynomials of y, of degree 0, 1 and 2, times a row's values, added to those of the rows before."""
    return (
        fma(broadcast(filters, at), values, totals[0]),
        fma(broadcast(filters, at + LANES), values, totals[1]),
        fma(broadcast(filters, at + 2 * LANES), values, totals[2]),
    )


@inlined
def _at_the_centre(lines, totals, moments, sums):
    """Value, gradient and second derivatives (xx, yy, xy), at the point it was fitted at, of a quadratic."""
    level, linear, quadratic = lines
    a, b, c = totals
    mx, ax, bx, my, ay, by = moments
    _fill_sums(level * a, linear * a, level * b, quadratic * a, level * c, linear * b, sums)
    gx, gy, xy = np.float64(sums[8]), np.float64(sums[4]), np.float64(sums[10])
    xx, yy = np.float64(sums[12]), np.float64(sums[2])
    value = np.float64(sums[0]) - mx * gx - my * gy + mx * my * xy - bx * xx - by * yy
    return value, gx - ax * xx - my * xy, gy - ay * yy - mx * xy, 2 * xx, 2 * yy, xy

"""A quadratic fitted to a neighbourhood by weighted least squares (Cleveland and Devlin 1988: *loess*).

Central differences take a derivative from two samples and let their noise through. Here a quadratic is fitted
to 7 × 7 samples, each weighted by a Gaussian of its distance from the very point at which the fit is
evaluated. These weights are a product of one factor an axis. With polynomials that are orthogonal under them,
1, u − m and u² − αu − β along each axis, every coefficient of the fit is one weighted sum, and no equations
need to be solved.

Throughout, a row of seven samples is a vector of eight whose last lane is zero, and a *patch* is float32,
(5, 7, 8): up to five DoG planes. *Filters* are those of ``local_filters.py``, from a flat index ``at`` on.
*Sums* is room for a vector of sixteen.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import allocator, inlined
from ..kernels.vectors import (
    HALF,
    LANES,
    broadcast,
    fma,
    lane_numbers,
    load_half,
    low_half,
    splat,
    store,
    where_greater,
    zip_halves,
)
from .local_filters import MOMENTS, N_FILTERS, RADIUS, SIDE, fill_sums

MOST_PLANES = 5
"""DoG planes of the last fit: all that an octave of three scales has."""
_PLANE = SIDE * HALF
"""Room for the seven rows of a plane."""
PARABOLA = 0
"""In place of a number of planes: a parabola through the three of the patch."""


@allocator
def workspace(n):
    """A patch, the filters of ``n`` fits, room for sums, and weights (3, 5) of planes; all float32, all zero.

    Zero, since a vector is longer than a row.
    """
    return (
        np.zeros(MOST_PLANES * _PLANE, np.float32),
        np.zeros(n * N_FILTERS, np.float32),
        np.zeros(LANES, np.float32),
        np.zeros(3 * MOST_PLANES, np.float32),
    )


# --- samples ------------------------------------------------------------------------------------


@inlined
def fill_patch(levels, first_row, height, width, lowest, n_planes, y, x, patch):
    """Fill a patch with DoG values around a sample; outside the octave its edge is repeated.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    lowest, n_planes
        The first DoG plane, and how many.
    y, x
        Row of the octave and column of the middle sample.
    patch
        Filled.
    """
    n_rows, pitch = levels.shape[1:]
    is_inside = RADIUS <= x < width - RADIUS
    for row in range(SIDE):
        at_y = min(max(y + row - RADIUS, 0), height - 1) - first_row
        for s in range(n_planes):
            lower = ((lowest + s) * n_rows + at_y) * pitch
            upper, to = lower + n_rows * pitch, s * _PLANE + row * HALF
            if is_inside:
                left = x - RADIUS
                dogs = load_half(levels, upper + left) - load_half(levels, lower + left)
                store(patch, to, _first_seven(dogs))
                continue
            for column in range(SIDE):
                at_x = min(max(x + column - RADIUS, 0), width - 1)
                patch[to + column] = levels[lowest + s + 1, at_y, at_x] - levels[lowest + s, at_y, at_x]


@inlined
def fill_nearest_planes(levels, first_row, height, width, level, y, x, scale_offset, patch, weights):
    """Fill a patch with the five nearest planes, or all there are, and their weights at a scale.

    Parameters
    ----------
    levels, first_row, height, width, y, x, patch
        As for :func:`fill_patch`.
    level, scale_offset
        DoG index of the middle sample, and the scale as an offset from it, in levels.
    weights
        As for :func:`fill_scale_weights`.

    Returns
    -------
    The number of planes.
    """
    n_dogs = levels.shape[0] - 1
    n_planes = min(MOST_PLANES, n_dogs)
    lowest = max(0, min(level - n_planes // 2, n_dogs - n_planes))
    fill_patch(levels, first_row, height, width, lowest, n_planes, y, x, patch)
    fill_scale_weights(n_planes, level + scale_offset - lowest, weights)
    return n_planes


@inlined
def fill_scale_weights(n_planes, position, weights):
    """Fill in the weights of planes for a polynomial's value, slope and curvature along scale (Lagrange).

    Parameters
    ----------
    n_planes
        The polynomial goes through so many planes.
    position
        Where it is evaluated, in planes from the first.
    weights
        (3, 5) float32, flat, filled: of the value, of the slope and of the curvature.
    """
    for k in range(n_planes):
        value, slope, bend, norm = 1.0, 0.0, 0.0, 1.0
        for j in range(n_planes):
            if j != k:
                bend = bend * (position - j) + 2 * slope
                slope = slope * (position - j) + value
                value *= position - j
                norm *= k - j
        share = 1 / norm
        weights[k] = value * share
        weights[MOST_PLANES + k], weights[2 * MOST_PLANES + k] = slope * share, bend * share


@inlined
def _first_seven(row):
    """The vector ``row``, of eight lanes, with 0 in the last, whatever it held."""
    return where_greater(_in_each(SIDE), low_half(lane_numbers()), row, _in_each(0))


@inlined
def _in_each(value):
    """A vector of eight with a number in all lanes."""
    return low_half(splat(np.float32(value)))


# --- the step -----------------------------------------------------------------------------------


@inlined
def newton_step(patch, scale_offset, n_planes, weights, filters, at, sums, step):
    """Newton's step from the point of the fit to the extremum of the quadratics fitted there.

    Along scale a polynomial goes through the planes; quadratics in x and y are fitted to its values at
    the scale, its slopes and its curvatures. A parabola through three planes, two thirds of an octave
    apart, has errors along scale that depend on where between the levels the extremum lies, and the
    position shifts with them: by the same amount in a rotated image, but not in one of another size. It is
    exact enough for all steps but the last.

    Parameters
    ----------
    patch
        DoG values.
    scale_offset
        Scale of the fit from the middle of three planes, in levels; only for a parabola.
    n_planes
        Planes of the patch that the polynomial goes through; ``PARABOLA`` for a parabola through three.
    weights
        (3, 5) float32 as of :func:`fill_scale_weights`; not used for a parabola.
    filters, at, sums
        The filters of the fit; room for sums.
    step
        (3,) float64 in the order x, y, scale, filled, in samples and levels.

    Returns
    -------
    The extremum's value and its roundness, as of :func:`_solve`.
    """
    o = _in_each(scale_offset)
    zero, along_y = _in_each(0), at + HALF
    values, slopes, bends = (zero, zero, zero), (zero, zero, zero), (zero, zero, zero)
    for row in range(SIDE):
        if n_planes == PARABOLA:
            value, slope, bend = _on_parabola(patch, row * HALF, o)
        else:
            value, slope, bend = _on_polynomial(patch, row * HALF, n_planes, weights)
        values = _added(values, filters, along_y + row, value)
        slopes = _added(slopes, filters, along_y + row, slope)
        bends = _added(bends, filters, along_y + row, bend)
    return _solve(values, slopes, bends, filters, at, sums, step)


@inlined
def _on_parabola(patch, start, o):
    """Value, slope and curvature along scale of a row of a patch, three vectors, by a parabola.

    ``start`` is the flat index of the row in the first plane; ``o`` is a vector of the scale, in levels from
    the second plane.
    """
    half = _in_each(0.5)
    below, here = load_half(patch, start), load_half(patch, _PLANE + start)
    above = load_half(patch, 2 * _PLANE + start)
    bend, slope = (above - here) + (below - here), half * (above - below)
    return fma(o, fma(o * half, bend, slope), here), fma(o, bend, slope), bend


@inlined
def _on_polynomial(patch, start, n_planes, weights):
    """Value, slope and curvature along scale of a row of a patch, three vectors, by weighted planes.

    ``start`` is the flat index of the row in the first plane; ``weights`` as for :func:`fill_scale_weights`.
    """
    zero = _in_each(0)
    value, slope, bend = zero, zero, zero
    for k in range(n_planes):
        samples = load_half(patch, k * _PLANE + start)
        value = fma(_broadcast(weights, k), samples, value)
        slope = fma(_broadcast(weights, MOST_PLANES + k), samples, slope)
        bend = fma(_broadcast(weights, 2 * MOST_PLANES + k), samples, bend)
    return value, slope, bend


@inlined
def _added(totals, filters, at, values):
    """Three vectors ``totals`` and a row's ``values`` times each of the filters along y, from ``at`` on."""
    return (
        fma(_broadcast(filters, at), values, totals[0]),
        fma(_broadcast(filters, at + LANES), values, totals[1]),
        fma(_broadcast(filters, at + 2 * LANES), values, totals[2]),
    )


@inlined
def _broadcast(array, at):
    """The sample ``at`` of an array in all lanes of a vector of eight."""
    return low_half(broadcast(array, at))


@inlined
def _solve(values, slopes, bends, filters, at, sums, step):
    """Newton's step from the sums over y.

    Parameters
    ----------
    values, slopes, bends
        Three vectors each: sums over y of values, slopes and curvatures along scale.
    filters, at, sums, step
        As for :func:`newton_step`.

    Returns
    -------
    value
        Of the extremum.
    roundness
        In x, y and scale: 4·determinant / trace² of the curvatures in x and y (Lowe, section 4.1), times the
        share of the curvature in scale that remains when the position is free to follow the scale. It is 1
        where the first two are equal and the position does not change with the scale; 0 where the Hessian
        is not that of an extremum.
    """
    moments = _moments(filters, at + MOMENTS)
    lines = load_half(filters, at), load_half(filters, at + LANES), load_half(filters, at + 2 * LANES)
    value, gx, gy, xx, yy, xy = _at_the_centre(lines, values, moments, sums)
    gs, xs, ys, _, _, _ = _at_the_centre(lines, slopes, moments, sums)
    ss, _, _, _, _, _ = _at_the_centre(lines, bends, moments, sums)
    determinant = xx * yy - xy * xy
    # The position is eliminated; what remains is 0 on a ridge that is flat and oblique in position and scale.
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
    """The six numbers m, α and β along x and along y, from ``at`` on, in double precision."""
    return (
        np.float64(filters[at]),
        np.float64(filters[at + 1]),
        np.float64(filters[at + 2]),
        np.float64(filters[at + 3]),
        np.float64(filters[at + 4]),
        np.float64(filters[at + 5]),
    )


@inlined
def _at_the_centre(lines, totals, moments, sums):
    """A quadratic at the point of its fit: value, gradient (x, y) and second derivatives (xx, yy, xy).

    Parameters
    ----------
    lines
        The three filters along x, vectors.
    totals
        Three vectors: sums over y, by the degree of the filter along y.
    moments, sums
        As of :func:`_moments`; room for sums.
    """
    level, linear, quadratic = lines
    a, b, c = totals
    mx, ax, bx, my, ay, by = moments
    fill_sums(
        zip_halves(level * a, linear * a),
        zip_halves(level * b, quadratic * a),
        zip_halves(level * c, linear * b),
        sums,
    )
    gx, gy, xy = np.float64(sums[8]), np.float64(sums[4]), np.float64(sums[10])
    xx, yy = np.float64(sums[12]), np.float64(sums[2])
    value = np.float64(sums[0]) - mx * gx - my * gy + mx * my * xy - bx * xx - by * yy
    return value, gx - ax * xx - my * xy, gy - ay * yy - mx * xy, 2 * xx, 2 * yy, xy

"""A quadratic fitted to a neighbourhood by weighted least squares (Cleveland and Devlin 1988: *loess*).

Central differences take a derivative from two samples and let their noise through. Here a
quadratic is fitted to 7 × 7 samples, each weighted by a Gaussian of its distance from the very
point that the fit is evaluated at. These weights are a product of one factor an axis, so with
polynomials that are orthogonal under them, 1, u − m and u² − αu − β along each axis, every
coefficient of the least-squares fit is one weighted sum: no equations are to be solved.
"""

from __future__ import annotations

import math

import numpy as np

from ._jit import subroutine

REACH = 3
"""Samples on either side of the nearest one."""
SIDE = 2 * REACH + 1


@subroutine
def fill_patch(levels, first_row, height, width, i, y, x, patch):
    """DoG values (3, 7, 7) around a sample and at the scales beside it; the border is repeated outside."""
    for row in range(SIDE):
        at_y = min(max(y + row - REACH, 0), height - 1) - first_row
        for column in range(SIDE):
            at_x = min(max(x + column - REACH, 0), width - 1)
            for s in range(3):
                upper, lower = levels[i + s, at_y, at_x], levels[i + s - 1, at_y, at_x]
                patch[s, row, column] = np.float64(upper) - np.float64(lower)


@subroutine
def _fill_weights(position, spread, weights):
    """A Gaussian about ``position`` at the samples of a line: each is its neighbour times a ratio.

    The ratio changes by a constant factor. It is 1 in the middle: only ratios of weights matter to a fit.
    """
    variance = spread**2
    change = math.exp(-1 / variance)
    up, down = math.exp((position - 0.5) / variance), math.exp((-position - 0.5) / variance)
    weights[REACH] = 1.0
    for k in range(1, REACH + 1):
        weights[REACH + k], weights[REACH - k] = weights[REACH + k - 1] * up, weights[REACH - k + 1] * down
        up, down = up * change, down * change


@subroutine
def _weigh_line(position, spread, line):
    """Fill a line's (3, 7) filters, weight times polynomial over its norm; returns m, α and β.

    Positions u are relative to ``position``, an offset from the middle sample.
    """
    weights = line[0]
    _fill_weights(position, spread, weights)
    s0, s1, s2, s3, norm = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(SIDE):
        u = k - REACH - position
        weight = weights[k] * u
        s0, s1, s2, s3 = s0 + weights[k], s1 + weight, s2 + weight * u, s3 + weight * u**2
    mean = s1 / s0
    linear_norm = s2 - mean * s1
    skew = (s3 - mean * s2) / linear_norm
    bend = s2 / s0 - skew * mean
    for k in range(SIDE):
        u = k - REACH - position
        quadratic = u**2 - skew * u - bend
        line[1, k], line[2, k] = weights[k] * (u - mean) / linear_norm, weights[k] * quadratic
        norm += weights[k] * quadratic**2
    for k in range(SIDE):
        line[2, k] /= norm
        line[0, k] /= s0
    return mean, skew, bend


@subroutine
def _coefficients(plane, lines):
    """The weighted sums over a plane (7, 7): constant, x, y, x², y² and xy of the orthogonal polynomials."""
    along, down = lines[0], lines[1]
    constant, x, y, xx, yy, xy = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for row in range(SIDE):
        a, b, c = 0.0, 0.0, 0.0
        for column in range(SIDE):
            value = plane[row, column]
            a, b, c = a + along[0, column] * value, b + along[1, column] * value, c + along[2, column] * value
        constant, x, xx = constant + down[0, row] * a, x + down[0, row] * b, xx + down[0, row] * c
        y, xy, yy = y + down[1, row] * a, xy + down[1, row] * b, yy + down[2, row] * a
    return constant, x, y, xx, yy, xy


@subroutine
def position_step(plane, x, y, spread, lines, step):
    """Newton's step from (x, y) to the extremum of the quadratic fitted there.

    Returns trace² / determinant of its curvatures (Lowe, section 4.1), which is 4 where they are equal; not
    above 0 where it has no extremum.
    """
    (mx, ax, _), (my, ay, _) = _weigh_line(x, spread, lines[0]), _weigh_line(y, spread, lines[1])
    _, gx, gy, xx, yy, xy = _coefficients(plane, lines)
    xx, yy = 2 * xx, 2 * yy
    gx, gy = gx - ax * xx / 2 - my * xy, gy - ay * yy / 2 - mx * xy
    determinant = xx * yy - xy * xy
    step[0], step[1] = (xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant
    return (xx + yy) ** 2 / determinant


@subroutine
def fitted_values(patch, x, y, spread, lines, values):
    """The values (3,) at (x, y) of the quadratics fitted around it to each plane of a patch (3, 7, 7)."""
    (mx, _, bx), (my, _, by) = _weigh_line(x, spread, lines[0]), _weigh_line(y, spread, lines[1])
    for s in range(3):
        constant, gx, gy, xx, yy, xy = _coefficients(patch[s], lines)
        values[s] = constant - mx * gx - my * gy - bx * xx - by * yy + mx * my * xy

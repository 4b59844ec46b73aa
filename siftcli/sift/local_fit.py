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
def _weigh_line(position, spread, line):
    """Fill a line's (3, 7) filters, weight times polynomial over its norm; returns m, α and β.

    Positions u are relative to ``position``, an offset from the middle sample.
    """
    s0, s1, s2, s3, norm = 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(SIDE):
        u = k - REACH - position
        weight = math.exp(-0.5 * (u / spread) ** 2)
        line[0, k] = weight
        s0, s1, s2, s3 = s0 + weight, s1 + weight * u, s2 + weight * u**2, s3 + weight * u**3
    mean = s1 / s0
    linear_norm = s2 - mean * s1
    skew = (s3 - mean * s2) / linear_norm
    bend = s2 / s0 - skew * mean
    for k in range(SIDE):
        u = k - REACH - position
        line[1, k], line[2, k] = line[0, k] * (u - mean) / linear_norm, u**2 - skew * u - bend
        norm += line[0, k] * line[2, k] ** 2
    for k in range(SIDE):
        line[2, k] *= line[0, k] / norm
        line[0, k] /= s0
    return mean, skew, bend


@subroutine
def _filtered(plane, down, along):
    """A weighted sum over the plane (7, 7)."""
    total = 0.0
    for row in range(SIDE):
        part = 0.0
        for column in range(SIDE):
            part += along[column] * plane[row, column]
        total += down[row] * part
    return total


@subroutine
def position_step(plane, x, y, spread, lines, step):
    """Newton's step from (x, y) to the extremum of the quadratic fitted there; False where there is none."""
    (mx, ax, _), (my, ay, _) = _weigh_line(x, spread, lines[0]), _weigh_line(y, spread, lines[1])
    along, down = lines[0], lines[1]
    xx, yy = 2 * _filtered(plane, down[0], along[2]), 2 * _filtered(plane, down[2], along[0])
    xy = _filtered(plane, down[1], along[1])
    gx = _filtered(plane, down[0], along[1]) - ax * xx / 2 - my * xy
    gy = _filtered(plane, down[1], along[0]) - ay * yy / 2 - mx * xy
    determinant = xx * yy - xy * xy
    step[0], step[1] = (xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant
    return determinant > 0


@subroutine
def fitted_values(patch, x, y, spread, lines, values):
    """The values (3,) at (x, y) of the quadratics fitted around it to each plane of a patch (3, 7, 7)."""
    (mx, _, bx), (my, _, by) = _weigh_line(x, spread, lines[0]), _weigh_line(y, spread, lines[1])
    for s in range(3):
        values[s] = _fitted_value(patch[s], mx, bx, my, by, lines)


@subroutine
def _fitted_value(plane, mx, bx, my, by, lines):
    along, down = lines[0], lines[1]
    return (
        _filtered(plane, down[0], along[0])
        - mx * _filtered(plane, down[0], along[1])
        - my * _filtered(plane, down[1], along[0])
        - bx * _filtered(plane, down[0], along[2])
        - by * _filtered(plane, down[2], along[0])
        + mx * my * _filtered(plane, down[1], along[1])
    )

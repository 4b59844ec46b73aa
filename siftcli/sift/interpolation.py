"""Lowe's quadratic in x, y and scale, from differences of neighbouring samples (section 4, equations 2, 3).

It takes the DoG to be as wide at the refined scale as at the level it is fitted to; half a level away it is
not, and the position of an ideal blob is off by up to a tenth of a sample. So the position is fitted once
more, in the plane of the refined scale, which leaves a hundredth.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import subroutine


@subroutine
def derivatives(levels, i, y, x, block, gradient, hessian):
    """Gradient and Hessian (x, y, scale) of the DoG at a sample, by central differences; its value."""
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
def extremum(hessian, gradient, offset):
    """Offset of the quadratic's extremum, −H⁻¹g, by Cramer's rule; False where H is singular."""
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
def plane_at_scale(levels, i, y, x, scale_offset, plane):
    """DoG values (3 × 3) around a sample at a scale between levels, each by a parabola through three."""
    for dy in range(3):
        for dx in range(3):
            row, column = y + dy - 1, x + dx - 1
            below = np.float64(levels[i, row, column]) - np.float64(levels[i - 1, row, column])
            here = np.float64(levels[i + 1, row, column]) - np.float64(levels[i, row, column])
            above = np.float64(levels[i + 2, row, column]) - np.float64(levels[i + 1, row, column])
            slope, bend = (above - below) / 2, above + below - 2 * here
            plane[dy, dx] = here + scale_offset * (slope + scale_offset * bend / 2)


@subroutine
def refit_position(plane, offset):
    """Replace the offsets in x and y by those of a quadratic through the plane at the refined scale."""
    gx, gy = (plane[1, 2] - plane[1, 0]) / 2, (plane[2, 1] - plane[0, 1]) / 2
    xx, yy = plane[1, 2] + plane[1, 0] - 2 * plane[1, 1], plane[2, 1] + plane[0, 1] - 2 * plane[1, 1]
    xy = ((plane[2, 2] + plane[0, 0]) - (plane[2, 0] + plane[0, 2])) / 4
    determinant = xx * yy - xy * xy
    dx, dy = (xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant
    if determinant > 0 and abs(dx) <= 1 and abs(dy) <= 1:
        offset[0], offset[1] = dx, dy

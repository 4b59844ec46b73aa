"""A descriptor's neighbourhood, sampled on a grid that is rotated and scaled with the frame.

The points are half a σ apart (with cells of 3σ). Gradients are differences along the grid, so they are
relative to the orientation from the start, and the cost does not depend on the scale. The level is blurred by
at least 1.8 samples, so bilinear sampling loses little.
"""

from __future__ import annotations

import math

import numpy as np

from ..kernels.decorators import inlined, subroutine
from ..kernels.vector_math import direction
from ..kernels.vectors import (
    LANES,
    absolute,
    copy_two,
    even_lanes,
    fma,
    lane_numbers,
    load,
    maximum,
    minimum,
    odd_lanes,
    splat,
    sqrt,
    store,
    store_index,
    trunc,
    where_greater,
)

N_CELLS, N_DIRECTIONS = 4, 8
SAMPLES_PER_CELL = 6
"""Grid points along a side of a cell."""
GRID = (N_CELLS + 1) * SAMPLES_PER_CELL
"""Grid points along a side: a point is shared by the cells on either side, so half a cell beyond the outer
ones still counts."""
LINE = -(-(GRID + 2) // LANES) * LANES
"""From a line of the grid to the next in memory: a point more on either side, in whole vectors."""


@inlined
def _clamp(value, low, high):
    """A vector with its lanes limited to those of the vectors ``low`` and ``high``."""
    return minimum(maximum(value, low), high)


@subroutine
def sample_patch(
    level, first_row, height, width, x, y, spacing, cosine, sine, patch, inside, pairs, fractions, at
):
    """Sample grey values on the rotated grid and one line around it; outside the image its edge is repeated.

    Parameters
    ----------
    level
        (R, P) float32 Gaussian level, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    x, y, spacing
        Centre of the grid and distance of its points, in samples.
    cosine, sine
        Of the angle that the grid is rotated by.
    patch
        (GRID + 2, LINE) float32, flat, filled.
    inside
        Of the same shape; filled only where some points lie outside, with 1 for those that do not, else 0.
    pairs, fractions, at
        Room for the four samples around each point, (4·patch,) float32; for the position between them,
        (2·patch,) float32; and for where a line's samples lie in the level, (LINE,) int32.

    Returns
    -------
    Whether some points lie outside.
    """
    n_rows, pitch = level.shape
    n, half = GRID + 2, np.float32((GRID + 1) / 2)
    # Positions are relative to a sample nearby, where single precision is exact to 1e-5 samples.
    reach = math.ceil(half * spacing * (abs(cosine) + abs(sine)))
    left, top = int(x) - reach, int(y) - reach
    last_x, last_y = width - 1 - left, min(height, first_row + n_rows) - 1 - top
    low_x, high_x, low_y, high_y = -left, last_x, max(0, first_row) - top, last_y
    is_clipped = low_x > 0 or low_y > 0 or high_x < 2 * reach + 1 or high_y < 2 * reach + 1
    px0, py0 = np.float32(x - left), np.float32(y - top)
    du, dv = np.float32(spacing * cosine), np.float32(spacing * sine)
    first = (top - first_row) * pitch + left
    # Pairs of neighbours are copied one by one: gather instructions take twice as long.
    for row in range(n):
        v = np.float32(row) - half
        row_x, row_y = splat(px0 - v * dv), splat(py0 + v * du)
        for i in range(0, n, LANES):
            u = lane_numbers() + splat(np.float32(i) - half)
            px, py = row_x + u * splat(du), row_y + u * splat(dv)
            cx = _clamp(px, splat(np.float32(low_x)), splat(np.float32(high_x)))
            cy = _clamp(py, splat(np.float32(low_y)), splat(np.float32(high_y)))
            ix = minimum(trunc(cx), splat(np.float32(high_x - 1)))
            iy = minimum(trunc(cy), splat(np.float32(high_y - 1)))
            to = row * LINE + i
            store(fractions, 2 * to, cx - ix)
            store(fractions, 2 * to + LANES, cy - iy)
            store_index(at, i, iy, pitch, ix)
            if is_clipped:
                away = absolute(px - cx) + absolute(py - cy)
                store(
                    inside,
                    to,
                    where_greater(away, splat(np.float32(0)), splat(np.float32(0)), splat(np.float32(1))),
                )
            for j in range(LANES):
                here = first + at[i + j]
                copy_two(level, here, pairs, 4 * to + 2 * j)
                copy_two(level, here + pitch, pairs, 4 * to + 2 * (LANES + j))
    for to in range(0, n * LINE, LANES):
        upper = _interpolated(load(pairs, 4 * to), load(pairs, 4 * to + LANES), load(fractions, 2 * to))
        lower = _interpolated(
            load(pairs, 4 * to + 2 * LANES), load(pairs, 4 * to + 3 * LANES), load(fractions, 2 * to)
        )
        store(patch, to, fma(load(fractions, 2 * to + LANES), lower - upper, upper))
    return is_clipped


@inlined
def _interpolated(pairs, more_pairs, fraction):
    """Linear interpolation: (16,) of two vectors of eight pairs each, by the vector ``fraction``."""
    left, right = even_lanes(pairs, more_pairs), odd_lanes(pairs, more_pairs)
    return fma(fraction, right - left, left)


@subroutine
def differentiate(patch, inside, is_clipped, magnitudes, positions):
    """Compute the gradients on the grid; one counts when the four points it is taken from lie in the image.

    Parameters
    ----------
    patch, inside, is_clipped
        As filled and returned by :func:`sample_patch`.
    magnitudes
        (GRID, LINE) float32, flat, filled.
    positions
        Of the same shape, filled: the direction in [0, 8], in steps of 45° from the grid's first axis.
    """
    for at in range(0, GRID * LINE, LANES):
        above, below, left, right = at + 1, at + 2 * LINE + 1, at + LINE, at + LINE + 2
        gu, gv = load(patch, right) - load(patch, left), load(patch, above) - load(patch, below)
        magnitude = sqrt(fma(gu, gu, gv * gv))
        if is_clipped:
            sides = load(inside, left) * load(inside, right)
            magnitude = magnitude * sides * load(inside, above) * load(inside, below)
        store(magnitudes, at, magnitude)
        store(positions, at, direction(gv, gu) * splat(np.float32(N_DIRECTIONS / (2 * math.pi))))

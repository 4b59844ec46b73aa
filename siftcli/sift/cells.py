"""Gradients on the grid to the 4 × 4 × 8 sums of a descriptor (Lowe, section 6.1), trilinear.

The weights of a cell are a product of one factor an axis, and the same for every frame; so the sums run down
the columns first, then along the rows.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import inlined, subroutine
from ..kernels.vectors import LANES, absolute, broadcast, fma, load, maximum, splat, store, zip_high, zip_low
from .patch import GRID, LINE, N_CELLS, N_DIRECTIONS, SAMPLES_PER_CELL


@cache
def cell_weights() -> NDArray[np.float32]:
    """(6, LINE) float32 weight of each grid line in each cell: linear interpolation times a Gaussian window.

    The window's standard deviation is half the descriptor's width: two cells (Lowe, section 6.1). The first
    and the last row are zero: they stand for the cells beyond the four.
    """
    lines = (np.arange(LINE) + 0.5) / SAMPLES_PER_CELL - (N_CELLS + 1) / 2
    centres = np.arange(-1, N_CELLS + 1) - (N_CELLS - 1) / 2
    linear = np.maximum(0, 1 - np.abs(lines - centres[:, None]))
    linear[[0, -1]], linear[:, GRID:] = 0, 0
    window = np.exp(-0.5 * (lines / (N_CELLS / 2)) ** 2)
    return np.asarray(linear * window, np.float32)


@inlined
def _share(magnitude, position, k):
    """The part of a gradient that belongs to direction k: linear, up to the directions beside it.

    ``magnitude`` and ``position`` are vectors, the latter in [0, 8]; ``k`` is a constant from 0 to 7.
    """
    near = splat(np.float32(1)) - absolute(position - splat(np.float32(k)))
    if k == 0:  # which is also direction 8
        near = maximum(near, position - splat(np.float32(N_DIRECTIONS - 1)))
    return magnitude * maximum(near, splat(np.float32(0)))


@inlined
def _shares(magnitude, position):
    """The parts of a gradient that belong to each of the eight directions, eight vectors."""
    return (
        _share(magnitude, position, 0),
        _share(magnitude, position, 1),
        _share(magnitude, position, 2),
        _share(magnitude, position, 3),
        _share(magnitude, position, 4),
        _share(magnitude, position, 5),
        _share(magnitude, position, 6),
        _share(magnitude, position, 7),
    )


@inlined
def _added(totals, weight, shares):
    """Eight vectors ``totals`` plus the vector ``weight`` times the eight ``shares``."""
    return (
        fma(weight, shares[0], totals[0]),
        fma(weight, shares[1], totals[1]),
        fma(weight, shares[2], totals[2]),
        fma(weight, shares[3], totals[3]),
        fma(weight, shares[4], totals[4]),
        fma(weight, shares[5], totals[5]),
        fma(weight, shares[6], totals[6]),
        fma(weight, shares[7], totals[7]),
    )


@subroutine
def pool_down(magnitudes, positions, weights, columns):
    """Sum the shares of the directions down each row of cells.

    A grid line lies between the centres of two rows of cells and counts for both. The sums stay in registers.

    Parameters
    ----------
    magnitudes, positions
        (GRID, LINE) float32, flat, as of ``patch.differentiate``.
    weights
        (6, LINE) float32, as of :func:`cell_weights`.
    columns
        (4, 8, LINE) float32, flat, filled: by row of cells and direction.
    """
    zero = splat(np.float32(0))
    none = (zero, zero, zero, zero, zero, zero, zero, zero)
    for half in range(0, LINE, LANES):
        upper, lower = none, none
        for band in range(N_CELLS + 1):
            for line in range(band * SAMPLES_PER_CELL, (band + 1) * SAMPLES_PER_CELL):
                at = line * LINE + half
                shares = _shares(load(magnitudes, at), load(positions, at))
                upper = _added(upper, broadcast(weights, band * LINE + line), shares)
                lower = _added(lower, broadcast(weights, (band + 1) * LINE + line), shares)
            if band > 0:
                to = (band - 1) * N_DIRECTIONS * LINE + half
                store(columns, to, upper[0])
                store(columns, to + LINE, upper[1])
                store(columns, to + 2 * LINE, upper[2])
                store(columns, to + 3 * LINE, upper[3])
                store(columns, to + 4 * LINE, upper[4])
                store(columns, to + 5 * LINE, upper[5])
                store(columns, to + 6 * LINE, upper[6])
                store(columns, to + 7 * LINE, upper[7])
            upper, lower = lower, none


@subroutine
def pool_along(columns, weights, sums, vector):
    """Sum the columns along each row of cells, and add the sums to a descriptor, sixteen at a time.

    Parameters
    ----------
    columns, weights
        As for :func:`pool_down`.
    sums
        (16, 16) float32, flat, room for the sums of two cells.
    vector
        (128,) float32: [row of cells][column of cells][direction].
    """
    for row in range(N_CELLS):
        for cell in range(0, N_CELLS, 2):
            for i in range(2 * N_DIRECTIONS):
                at, weight = (
                    (row * N_DIRECTIONS + i % N_DIRECTIONS) * LINE,
                    (cell + i // N_DIRECTIONS + 1) * LINE,
                )
                total = load(columns, at) * load(weights, weight)
                for x in range(LANES, LINE, LANES):
                    total = fma(load(columns, at + x), load(weights, weight + x), total)
                store(sums, i * LANES, total)
            # Vectors are interleaved and added in pairs, until each lane of a single one is a sum.
            n = 2 * N_DIRECTIONS
            while n > 1:
                n //= 2
                for i in range(n):
                    a, b = load(sums, i * LANES), load(sums, (i + n) * LANES)
                    store(sums, i * LANES, zip_low(a, b) + zip_high(a, b))
            to = (row * N_CELLS + cell) * N_DIRECTIONS
            store(vector, to, load(vector, to) + load(sums, 0))

"""The gradients of a disc to a histogram of their directions (Lowe, section 5; IPOL, algorithm 10).

The window is centred on the sub-pixel position, so a rotated image has the rotated histogram. For rotations
by other angles than 90° gradients must be as exact along the diagonals as along the axes. Central differences
are not: of a wave (kx, ky) they give sin kx and sin ky, each too small by another factor, and the direction
is off by up to k² / 24: 0.6° for a structure of σ = 2 samples (k = 1/2). Averaged over three rows with
weights 1 4 1, the first is sin kx (2 + cos ky) / 3 ≈ kx (1 − (kx² + ky²) / 6), and the second likewise: both
are too small by the same factor.
"""

from __future__ import annotations

import math

import numpy as np

from ..kernels.decorators import inlined, subroutine
from ..kernels.vector_math import direction, gaussian
from ..kernels.vectors import (
    LANES,
    accumulate,
    fma,
    lane_numbers,
    load,
    splat,
    sqrt,
    store,
    store_doubles,
    store_integers,
    trunc,
)

HISTOGRAMS = 4
"""Histograms that are filled in turn."""
SAMPLES_AT_ONCE = 1024
"""Samples whose gradients are shared out between bins at once; a row more has room, too."""


@inlined
def _differentiate(level, at, n, neighbours, row_weight, weights, first, gradients, to):
    """Take the gradients of samples of a row.

    Parameters
    ----------
    level
        (R, P) float32 Gaussian level.
    at, n
        Flat index of the first sample, and how many.
    neighbours
        Float32 weight of the two neighbouring rows of a gradient.
    row_weight, weights
        Float32 and (N,) float32: the Gaussian window along y and, of the samples from number ``first`` on,
        along x.
    first
        Number of the first sample.
    gradients
        (3, N) float32, filled from column ``to`` on: along x, along y, and their weight.
    to
        Where the row's gradients begin.
    """
    pitch, size = level.shape[1], gradients.shape[1]
    for i in range(0, n, LANES):
        here = at + i
        above, below = here - pitch, here + pitch
        falling = load(level, below + 1) - load(level, above - 1)
        rising = load(level, above + 1) - load(level, below - 1)
        gx = fma(splat(neighbours), falling + rising, load(level, here + 1) - load(level, here - 1))
        gy = fma(splat(neighbours), falling - rising, load(level, below) - load(level, above))
        store(gradients, to + i, gx)
        store(gradients, size + to + i, gy)
        store(gradients, 2 * size + to + i, splat(row_weight) * load(weights, first + i))


@inlined
def _add_to_bins(gradients, n, bins, shares, histogram):
    """Share each gradient between two bins.

    Neighbouring samples go to four histograms in turn, which are added in the end: they often share a bin,
    and the second would wait for the first.

    Parameters
    ----------
    gradients
        (3, N) float32, of which ``n`` columns count, as of :func:`_differentiate`.
    n
        How many.
    bins
        (N,) int32, filled: the flat index into the histograms of the lower bin of each.
    shares
        (2, N) float64, filled: what that bin gets, and the next.
    histogram
        (4, bins + 2) float64, added to.
    """
    size, n_columns = histogram.shape[1], gradients.shape[1]
    bins_per_radian = splat(np.float32((size - 2) / (2 * math.pi)))
    turns = splat(np.float32(HISTOGRAMS))
    first_bins = (lane_numbers() - turns * trunc(lane_numbers() / turns)) * splat(np.float32(size))
    for i in range(0, n, LANES):
        gx, gy = load(gradients, i), load(gradients, n_columns + i)
        share = load(gradients, 2 * n_columns + i) * sqrt(fma(gx, gx, gy * gy))
        position = direction(gy, gx) * bins_per_radian
        whole = trunc(position)
        next_share = share * (position - whole)
        store_integers(bins, i, first_bins + whole)
        store_doubles(shares, i, share - next_share)
        store_doubles(shares, n_columns + i, next_share)
    for i in range(n):
        accumulate(histogram, bins[i], shares[0, i])
        accumulate(histogram, bins[i] + 1, shares[1, i])


@subroutine
def _fill_window(start, n, inverse, weights):
    """Fill ``weights`` (n or more,) with a Gaussian at ``n`` samples, the first at ``start`` from its centre.

    ``inverse`` is 1 / its standard deviation, a float32 as ``start``, in samples.
    """
    for i in range(0, n, LANES):
        distance = (lane_numbers() + splat(start + np.float32(i))) * splat(inverse)
        store(weights, i, gaussian(distance * distance))


@subroutine
def fill_histogram(
    level,
    first_row,
    height,
    width,
    neighbours,
    x,
    y,
    window,
    radius,
    histogram,
    bins,
    lines,
    gradients,
    shares,
    field,
):
    """Fill the histogram of gradient directions in a disc, weighted by magnitude and a Gaussian.

    Only samples with a neighbour on every side count, so the image's border is left out all round. Those of
    many rows are worked at once, in whole vectors.

    Parameters
    ----------
    level
        (R, P) float32 Gaussian level, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    neighbours
        Float32 weight of the two neighbouring rows of a gradient.
    x, y
        Centre, in samples.
    window, radius
        Standard deviation of the Gaussian, and where it is cut, in samples.
    histogram
        (4, bins + 2) float64; the first row is filled.
    bins, gradients, shares
        (N,) int32, (3, N) float32 and (2, N) float64, room for ``SAMPLES_AT_ONCE`` samples and a row.
    lines
        (2, M) float32, room for the window along x and along y.
    field
        (rows, columns, 2) float32, filled as of :class:`OrientationTrace`; of no rows when not wanted.
    """
    size = histogram.shape[1]
    n_bins, inverse, n = size - 2, np.float32(1 / window), 0
    histogram[:] = 0
    first, last = max(1, math.ceil(x - radius)), min(width - 2, math.floor(x + radius))
    top, bottom = max(1, math.ceil(y - radius)), min(height - 2, math.floor(y + radius))
    weights, row_weights = lines
    _fill_window(np.float32(first - x), last + 1 - first, inverse, weights)
    _fill_window(np.float32(top - y), bottom + 1 - top, inverse, row_weights)
    for row in range(top, bottom + 1):
        reach = math.sqrt(max(0.0, radius**2 - (row - y) ** 2))
        left, right = max(1, math.ceil(x - reach)), min(width - 2, math.floor(x + reach)) + 1
        at, row_weight = (row - first_row) * level.shape[1] + left, row_weights[row - top]
        _differentiate(level, at, right - left, neighbours, row_weight, weights, left - first, gradients, n)
        n += max(0, right - left)
        if n >= SAMPLES_AT_ONCE or row == bottom or len(field) > 0:
            _add_to_bins(gradients, n, bins, shares, histogram)
            if row - top < len(field):
                for i in range(n):
                    share = shares[0, i] + shares[1, i]
                    position = bins[i] % size + (shares[1, i] / share if share > 0 else 0)
                    field[row - top, left - first + i, 0] = share
                    field[row - top, left - first + i, 1] = position
            n = 0
    for i in range(size):
        for other in range(1, HISTOGRAMS):
            histogram[0, i] += histogram[other, i]
    # The two bins after the last are the first two.
    histogram[0, 0] += histogram[0, n_bins]
    histogram[0, 1] += histogram[0, n_bins + 1]

"""The filters of a local fit (``local_fit.py``): its weights times polynomials, divided by their norms.

The filters of a fit are float32, from a flat index ``at`` on: three vectors of sixteen, in each a filter
along x and then one along y, of eight lanes each, the last zero; after them m, α and β along x and along y.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import inlined
from ..kernels.vector_math import gaussian
from ..kernels.vectors import (
    HALF,
    LANES,
    lane_numbers,
    minimum,
    splat,
    store,
    where_greater,
    zip_high,
    zip_low,
)

RADIUS = 3
"""Samples on either side of the nearest one."""
SIDE = 2 * RADIUS + 1
MOMENTS = 3 * LANES
"""Where m, α and β begin."""
N_FILTERS = 4 * LANES
"""Room for the filters of a fit."""


@inlined
def fill_filters(offset, spread, filters, at, sums):
    """Fill in the filters of a fit.

    Those along x are computed in the first eight lanes of a vector, those along y in the others.

    Parameters
    ----------
    offset
        (3,) float64: x, y and scale from the middle sample; where the fit is evaluated.
    spread
        Standard deviation of its Gaussian weights, in samples.
    filters, at, sums
        The filters, filled from ``at`` on; room for sums.
    """
    zero, scale = splat(np.float32(0)), splat(np.float32(1 / spread))
    place = lane_numbers() - _along(0, HALF)
    u = place - _along(RADIUS + offset[0], RADIUS + offset[1])
    # Far samples of a narrow window have no weight that matters, but one that can be computed.
    squares = minimum(u * scale * (u * scale), splat(np.float32(100)))
    weights = where_greater(splat(np.float32(SIDE)), place, gaussian(squares), zero)
    linear = weights * u
    quadratic = linear * u
    cubic = quadratic * u
    quartic = cubic * u
    fill_sums(zip_low(weights, linear), zip_low(quadratic, cubic), zip_low(quartic, zero), sums)
    x = _orthogonal(sums)
    fill_sums(zip_high(weights, linear), zip_high(quadratic, cubic), zip_high(quartic, zero), sums)
    y = _orthogonal(sums)
    bent = quadratic - linear * _along(x[1], y[1]) - weights * _along(x[2], y[2])
    store(filters, at, weights * _along(x[3], y[3]))
    store(filters, at + LANES, (linear - weights * _along(x[0], y[0])) * _along(x[4], y[4]))
    store(filters, at + 2 * LANES, bent * _along(x[5], y[5]))
    for i in range(3):
        filters[at + MOMENTS + i], filters[at + MOMENTS + 3 + i] = x[i], y[i]


@inlined
def _along(x, y):
    """A vector of sixteen with one number in the first eight lanes, another in the others."""
    return where_greater(splat(np.float32(HALF)), lane_numbers(), splat(np.float32(x)), splat(np.float32(y)))


@inlined
def _orthogonal(sums):
    """Of polynomials that are orthogonal under weights: m, α, β, and what divides each by its norm.

    ``sums`` are those of the weights times 1, u, u², u³ and u⁴, as filled by :func:`fill_sums`.
    """
    s0, s1, s2 = np.float64(sums[0]), np.float64(sums[8]), np.float64(sums[4])
    s3, s4 = np.float64(sums[12]), np.float64(sums[2])
    mean = s1 / s0
    linear_norm = s2 - mean * s1
    skew = (s3 - mean * s2) / linear_norm
    bend = s2 / s0 - skew * mean
    norm = s4 - 2 * skew * s3 + (skew**2 - 2 * bend) * s2 + bend * (2 * skew * s1 + bend * s0)
    return mean, skew, bend, 1 / s0, 1 / linear_norm, 1 / norm


@inlined
def fill_sums(pq, rs, tu, sums):
    """The sums of six times eight numbers p, q, r, s, t and u, into ``sums`` at 0, 8, 4, 12, 2 and 10.

    Two and two of them are given interleaved, p₀ q₀ p₁ q₁ …. Halves are interleaved and added, so that three
    more additions do for all six.
    """
    zero = splat(np.float32(0))
    prqs, tu = zip_low(pq, rs) + zip_high(pq, rs), zip_low(tu, zero) + zip_high(tu, zero)
    all_six = zip_low(prqs, tu) + zip_high(prqs, tu)
    store(sums, 0, zip_low(all_six, all_six) + zip_high(all_six, all_six))

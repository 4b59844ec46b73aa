"""Taps of the Gaussians that make the levels of each octave (IPOL, section 2.2).

A filter has taps at integer offsets, for results that lie on source samples, and at half-integer offsets, for
results half-way between two. Taps are symmetric, and every filter is cut at 4σ and normalised over its
own taps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..params import ScaleSpaceParams

CUTOFF = 4.0
"""Filters are cut at this many standard deviations."""
N_CACHED = 256
"""Filters kept for the next image of a batch: there are some forty an image, the same for all."""


@dataclass(frozen=True, eq=False)
class Taps:
    """The weights from the centre outwards: tap i is for the two source samples at distance i or i + ½."""

    at_integers: NDArray[np.float64]
    """The centre is its own mirror sample and is counted twice, so its tap is half its weight."""
    at_halves: NDArray[np.float64]


@lru_cache(N_CACHED)
def gaussian_taps(sigma: float) -> Taps:
    """A Gaussian of standard deviation ``sigma`` (source samples); for 0 the identity on integers."""
    radius = CUTOFF * sigma
    spread = max(sigma, 1e-3)  # the identity is a Gaussian too narrow to reach a neighbour
    at_integers = [math.exp(-0.5 * (i / spread) ** 2) for i in range(int(radius + 0.5) + 1)]
    at_halves = [math.exp(-0.5 * ((i + 0.5) ** 2 - 0.25) / spread**2) for i in range(int(radius) + 1)]
    return _normalised(at_integers, at_halves)


@lru_cache(N_CACHED)
def linear_doubling_taps(sigma: float) -> Taps:
    """A Gaussian on the doubled grid (σ in its samples) after linear interpolation, as one filter.

    With g(i) the Gaussian on the doubled grid, the filter there is k(i) = g(i) + (g(i−1) + g(i+1))/2; its
    even taps meet source samples for even results, its odd ones for odd results.
    """
    radius = int(CUTOFF * sigma + 0.5)
    gaussian = {i: math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)}

    def tap(i: int) -> float:
        return gaussian.get(i, 0.0) + (gaussian.get(i - 1, 0.0) + gaussian.get(i + 1, 0.0)) / 2

    return _normalised([tap(i) for i in range(0, radius + 2, 2)], [tap(i) for i in range(1, radius + 2, 2)])


def first_taps(params: ScaleSpaceParams) -> list[Taps]:
    """From the image to the levels of its first octave, on that octave's grid."""
    step = 0.5 if params.first_octave < 0 else 1.0
    sigmas = [
        math.sqrt((_level_sigma(i, params) * step) ** 2 - params.assumed_variance)
        for i in range(params.levels_per_octave + 3)
    ]
    if step < 1 and params.doubling == "linear":
        return [linear_doubling_taps(sigma / step) for sigma in sigmas]
    return [gaussian_taps(sigma) for sigma in sigmas]


def later_taps(params: ScaleSpaceParams) -> list[Taps]:
    """From level 0 of an octave to all of its levels."""
    sigmas = [_level_sigma(i, params) for i in range(params.levels_per_octave + 3)]
    return [gaussian_taps(math.sqrt(sigma**2 - sigmas[0] ** 2)) for sigma in sigmas]


def halving_taps(params: ScaleSpaceParams) -> Taps:
    """From level S − 1 to blur 2·σ₀, on the halved grid."""
    before, after = _level_sigma(params.levels_per_octave - 1, params), 2 * params.sigma
    return gaussian_taps(math.sqrt(after**2 - before**2))


def _level_sigma(level: int, params: ScaleSpaceParams) -> float:
    """Blur of a level in samples of its octave: σ₀·2^(level/S) (Lowe, section 3)."""
    return float(params.sigma * 2.0 ** (level / params.levels_per_octave))


def _normalised(at_integers: list[float], at_halves: list[float]) -> Taps:
    """Taps that sum to 1 over both sides."""
    at_integers[0] /= 2
    return Taps(*(np.array(half) / (2 * math.fsum(half)) for half in (at_integers, at_halves)))

"""Image to Gaussian octaves (Lowe, section 3; Rey-Otero and Delbracio, section 2.2), centred.

Each octave carries, per axis, a step and an origin in input pixels. Doubling
puts n samples on 2n − 1; halving keeps the even samples of an odd side and the
midpoints of an even one. So the grid of every octave is symmetric about the
image centre, and a turned or mirrored image has the turned or mirrored octaves.

Every level is computed from its source by one separable kernel, evaluated
directly on the grid of the result: a phase of the kernel with taps at integer
offsets for samples that lie on source samples, and one with taps at
half-integer offsets for samples half-way between. Presets differ in taps only.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..params import ScaleSpaceParams
from ._jit import kernel, subroutine
from ._threads import Threads

CUTOFF = 4.0
"""Kernels are cut at this many standard deviations."""

DOUBLE, KEEP, HALVE = 2, 0, -2
"""How the grid of a result relates to that of its source."""


@dataclass(frozen=True)
class Octave:
    """The levels of one octave and where their samples lie."""

    number: int
    """-1 is the doubled image."""
    levels: NDArray[np.float32]
    """(S + 3, H, W) Gaussian levels; level i has blur σ₀·2^(i/S) samples."""
    sigma: float
    """σ₀, the blur of level 0 in samples."""
    step: float
    """Distance of neighbouring samples in input pixels."""
    origin: tuple[float, float]
    """(x, y) of the top-left sample in input pixels."""
    excess_variance: float = 0.0
    """Square pixels that a level was blurred by beyond its nominal σ (a negative assumed variance)."""

    def to_input(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """(N, 2) positions (x, y) in samples to input pixels."""
        xy: NDArray[np.float64] = self.step * samples + np.array(self.origin)
        return xy

    def to_samples(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """(N, 2) positions (x, y) in input pixels to samples."""
        samples: NDArray[np.float64] = (xy - np.array(self.origin)) / self.step
        return samples

    def sigma_of(self, level: NDArray[np.float64]) -> NDArray[np.float64]:
        """Blur of fractional levels in input pixels: σ₀·2^(level/S), in steps (Lowe, section 3).

        An image that is taken to be sharper than it is gives its structures too large a σ; what was
        assumed too much is taken off again, in the measure in which it moves the extremum of an
        ideal blob: √(σ² − excess·2^(−1/S)).
        """
        n_scales = len(self.levels) - 3
        nominal = self.step * self.sigma * np.exp2(level / n_scales)
        return np.asarray(np.sqrt(nominal**2 - self.excess_variance * 2 ** (-1 / n_scales)))

    def nearest_level(self, sigma: NDArray[np.floating]) -> NDArray[np.int64]:
        """The level, 1 to S, whose blur is nearest to σ (input pixels) on the logarithmic scale."""
        n_scales = len(self.levels) - 3
        nominal = np.sqrt(sigma.astype(np.float64) ** 2 + self.excess_variance * 2 ** (-1 / n_scales))
        level = n_scales * np.log2(nominal / (self.step * self.sigma))
        return np.asarray(np.clip(np.rint(level), 1, n_scales), np.int64)


def gaussian_octaves(
    image: NDArray[np.float32], params: ScaleSpaceParams, threads: Threads
) -> Iterator[Octave]:
    """Yield the octaves of an image, finest first.

    Parameters
    ----------
    image
        (H, W) float32 grey values in [0, 1].
    params
        Levels per octave S, σ₀, first octave, assumed variance and doubling.
    threads
        Where the rows are shared out.

    Yields
    ------
    Octave
        Until the smaller side falls below ``params.min_octave_side`` samples.
    """
    n_levels = params.levels_per_octave + 3
    number = min(params.first_octave, 0)
    change = DOUBLE if number < 0 else KEEP
    shape = _changed_shape(image.shape, change)
    step, origin = 2.0**number, (0.0, 0.0)
    levels = np.empty((n_levels, *shape), np.float32)
    if min(shape) >= params.min_octave_side:
        for i in range(n_levels):
            _blur(image, levels[i], change, _first_octave_kernel(i, step, params), threads)
    while min(shape) >= params.min_octave_side:
        if number >= params.first_octave:
            yield Octave(number, levels, params.sigma, step, origin, max(-params.assumed_variance, 0.0))
        source, shape = levels[params.levels_per_octave - 1], _changed_shape(shape, HALVE)
        x0, y0 = origin
        origin = (x0 + _halving_shift(source.shape[1], step), y0 + _halving_shift(source.shape[0], step))
        number, step = number + 1, 2 * step
        levels = np.empty((n_levels, *shape), np.float32)
        if min(shape) >= params.min_octave_side:
            _blur(source, levels[0], HALVE, _halving_kernel(params), threads)
            for i in range(1, n_levels):
                _blur(levels[i - 1], levels[i], KEEP, _next_level_kernel(i, params), threads)


# --- grids -------------------------------------------------------------------------------------


def _changed_shape(shape: tuple[int, ...], change: int) -> tuple[int, int]:
    height, width = (2 * n - 1 if change == DOUBLE else (n + 1) // 2 if change == HALVE else n for n in shape)
    return height, width


def _halving_shift(n_samples: int, step: float) -> float:
    """How far the first sample moves when a side is halved: half a step for an even side."""
    return 0.0 if n_samples % 2 else step / 2


# --- taps --------------------------------------------------------------------------------------
#
# A kernel is a pair of tap arrays (integer phase, half-integer phase). Taps are symmetric, so only
# the half from the centre outwards is kept: tap i weighs the two source samples at distance i
# (integer phase; the centre, counted twice, weighs half) or i + ½ (half-integer phase).

Kernel = tuple[NDArray[np.float32], NDArray[np.float32]]

TAPS_PER_PASS = 4
SMALLEST_PASS = 2


def _level_sigma(level: int, params: ScaleSpaceParams) -> float:
    """Blur of a level in samples of its octave: σ₀·2^(level/S) (Lowe, section 3)."""
    return float(params.sigma * 2.0 ** (level / params.levels_per_octave))


def _first_octave_kernel(level: int, step: float, params: ScaleSpaceParams) -> Kernel:
    """From the input to a level of the first octave, on its grid."""
    variance = (_level_sigma(level, params) * step) ** 2 - params.assumed_variance
    if step == 1.0 or params.doubling == "direct":
        return _gaussian_taps(math.sqrt(variance), 1.0)
    return _linear_doubling_taps(math.sqrt(variance) / step)


def _next_level_kernel(level: int, params: ScaleSpaceParams) -> Kernel:
    before, after = _level_sigma(level - 1, params), _level_sigma(level, params)
    return _gaussian_taps(math.sqrt(after**2 - before**2), 1.0)


def _halving_kernel(params: ScaleSpaceParams) -> Kernel:
    """From level S − 1 to blur 2·σ₀, on the halved grid."""
    before, after = _level_sigma(params.levels_per_octave - 1, params), 2 * params.sigma
    return _gaussian_taps(math.sqrt(after**2 - before**2), 1.0)


def _gaussian_taps(sigma: float, spacing: float) -> Kernel:
    """A Gaussian's taps at integer and at half-integer multiples of ``spacing``."""
    radius = CUTOFF * sigma / spacing
    at_integers = [math.exp(-0.5 * (i * spacing / sigma) ** 2) for i in range(int(radius + 0.5) + 1)]
    at_halves = [math.exp(-0.5 * ((i + 0.5) * spacing / sigma) ** 2) for i in range(int(radius) + 1)]
    at_integers[0] /= 2
    return _normalised(at_integers), _normalised(at_halves)


def _linear_doubling_taps(sigma: float) -> Kernel:
    """A Gaussian of the doubled grid after linear interpolation: [½, 1, ½] convolved with it, split by phase.

    With g(i) the Gaussian on the doubled grid, the kernel there is k(i) = g(i) + (g(i−1) + g(i+1))/2;
    its even taps meet source samples for even results, its odd ones for odd results.
    """
    radius = int(CUTOFF * sigma + 0.5)
    gaussian = {i: math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)}

    def tap(i: int) -> float:
        return gaussian.get(i, 0.0) + (gaussian.get(i - 1, 0.0) + gaussian.get(i + 1, 0.0)) / 2

    at_integers = [tap(i) for i in range(0, radius + 2, 2)]
    at_halves = [tap(i) for i in range(1, radius + 2, 2)]
    at_integers[0] /= 2
    return _normalised(at_integers), _normalised(at_halves)


def _normalised(half: list[float]) -> NDArray[np.float32]:
    """Taps that sum to 1 over both sides, filled with a zero to whole passes."""
    n_taps = -(-len(half) // SMALLEST_PASS) * SMALLEST_PASS
    taps = np.zeros(n_taps, np.float32)
    taps[: len(half)] = np.array(half) / (2 * math.fsum(half))
    return taps


# --- blur --------------------------------------------------------------------------------------


def _blur(
    source: NDArray[np.float32], result: NDArray[np.float32], change: int, taps: Kernel, threads: Threads
) -> None:
    """Fill ``result`` with the source blurred and resampled; rows are shared out among threads."""
    threads.over_rows(
        len(result), result.size, lambda start, stop: _blur_rows(source, result, change, *taps, start, stop)
    )


@subroutine
def _mirrored(i, n):
    """Index of sample i when the n samples are mirrored at their ends, again and again."""
    if 0 <= i < n:
        return i
    if n == 1:
        return 0
    i = abs(i) % (2 * n - 2)
    return min(i, 2 * n - 2 - i)


@subroutine
def _mirror_ends(row, pad, n):
    for i in range(1, pad + 1):
        row[pad - i] = row[pad + _mirrored(-i, n)]
        row[pad + n - 1 + i] = row[pad + _mirrored(n - 1 + i, n)]


@subroutine
def _add_two_pairs(first, a0, b0, a1, b1, taps, out):
    """Two taps a pass: mirror samples are summed first, so that mirroring the image changes no bit."""
    k0, k1 = taps[0], taps[1]
    if first:
        for x in range(len(out)):
            out[x] = k0 * (a0[x] + b0[x]) + k1 * (a1[x] + b1[x])
    else:
        for x in range(len(out)):
            out[x] += k0 * (a0[x] + b0[x]) + k1 * (a1[x] + b1[x])


@subroutine
def _add_four_pairs(first, a0, b0, a1, b1, a2, b2, a3, b3, taps, out):
    """Four taps a pass, which loads and stores the sums half as often."""
    k0, k1, k2, k3 = taps[0], taps[1], taps[2], taps[3]
    if first:
        for x in range(len(out)):
            out[x] = (k0 * (a0[x] + b0[x]) + k1 * (a1[x] + b1[x])) + (
                k2 * (a2[x] + b2[x]) + k3 * (a3[x] + b3[x])
            )
    else:
        for x in range(len(out)):
            out[x] += (k0 * (a0[x] + b0[x]) + k1 * (a1[x] + b1[x])) + (
                k2 * (a2[x] + b2[x]) + k3 * (a3[x] + b3[x])
            )


@subroutine
def _blur_down(source, centre, half, taps, out):
    """One row of the vertical pass: Σ kᵢ·(row(centre − i) + row(centre + half + i))."""
    n, i = source.shape[0], 0
    while i < len(taps):
        a0, b0 = source[_mirrored(centre - i, n)], source[_mirrored(centre + half + i, n)]
        a1, b1 = source[_mirrored(centre - i - 1, n)], source[_mirrored(centre + half + i + 1, n)]
        if i + TAPS_PER_PASS <= len(taps):
            a2, b2 = source[_mirrored(centre - i - 2, n)], source[_mirrored(centre + half + i + 2, n)]
            a3, b3 = source[_mirrored(centre - i - 3, n)], source[_mirrored(centre + half + i + 3, n)]
            _add_four_pairs(i == 0, a0, b0, a1, b1, a2, b2, a3, b3, taps[i:], out)
            i += TAPS_PER_PASS
        else:
            _add_two_pairs(i == 0, a0, b0, a1, b1, taps[i:], out)
            i += SMALLEST_PASS


@subroutine
def _blur_along(row, pad, half, taps, out):
    """The horizontal pass over a row with mirrored ends of ``pad`` samples."""
    n, i = len(out), 0
    while i < len(taps):
        left, right = pad - i, pad + half + i
        a0, b0 = row[left : left + n], row[right : right + n]
        a1, b1 = row[left - 1 : left - 1 + n], row[right + 1 : right + 1 + n]
        if i + TAPS_PER_PASS <= len(taps):
            a2, b2 = row[left - 2 : left - 2 + n], row[right + 2 : right + 2 + n]
            a3, b3 = row[left - 3 : left - 3 + n], row[right + 3 : right + 3 + n]
            _add_four_pairs(i == 0, a0, b0, a1, b1, a2, b2, a3, b3, taps[i:], out)
            i += TAPS_PER_PASS
        else:
            _add_two_pairs(i == 0, a0, b0, a1, b1, taps[i:], out)
            i += SMALLEST_PASS


@subroutine
def _interleave(even, odd, out):
    n = len(out) // 2
    for x in range(n):
        out[2 * x] = even[x]
        out[2 * x + 1] = odd[x]
    out[2 * n] = even[n]


@kernel("void(float32[:, ::1], float32[:, ::1], int64, float32[::1], float32[::1], int64, int64)")
def _blur_rows(source, result, change, integer_taps, half_taps, start, stop):
    """Rows start to stop of the result: down the columns into one row, then along that row."""
    height, width = source.shape
    pad = max(len(integer_taps), len(half_taps)) + 1
    column = np.empty(width + 2 * pad, np.float32)
    even, odd = np.empty(width, np.float32), np.empty(width, np.float32)
    for y in range(start, stop):
        if change == KEEP:
            centre, half = y, 0
        elif change == DOUBLE:
            centre, half = y // 2, y % 2
        else:
            centre, half = 2 * y, 1 - height % 2
        _blur_down(source, centre, half, half_taps if half else integer_taps, column[pad : pad + width])
        _mirror_ends(column, pad, width)
        if change == KEEP:
            _blur_along(column, pad, 0, integer_taps, result[y])
        elif change == DOUBLE:
            _blur_along(column, pad, 0, integer_taps, even)
            _blur_along(column, pad, 1, half_taps, odd)
            _interleave(even, odd, result[y])
        else:
            half = 1 - width % 2
            _blur_along(column, pad, half, half_taps if half else integer_taps, even)
            for x in range(result.shape[1]):
                result[y, x] = even[2 * x]

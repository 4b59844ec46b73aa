"""Image to Gaussian octaves (Lowe, section 3; Rey-Otero and Delbracio, section 2.2), centred, strip by strip.

Each octave carries, per axis, a step and an origin in input pixels. Doubling
puts n samples on 2n − 1; halving keeps the even samples of an odd side and the
midpoints of an even one. So the grid of every octave is symmetric about the
image centre, and a turned or mirrored image has the turned or mirrored octaves.

Every level is computed from the octave's source (the image, or the halved level
of the octave before) by one separable kernel (``_blur.py``), evaluated directly
on the grid of the result. Presets differ in taps only. Levels do not depend on
each other, so any rows of them can be had from the source: an octave is worked
in horizontal strips, whose height bounds the memory and changes no bit.
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..kernels.buffers import borrowed
from ..kernels.threads import Threads
from ..kernels.vectors import LANES
from ..params import ScaleSpaceParams
from .gaussian import (
    DOUBLE,
    HALVE,
    KEEP,
    Kernel,
    blur,
    gaussian_kernel,
    linear_doubling_kernel,
    take_every_other,
)

STRIP_BYTES = 96 << 20
"""Size of a strip's levels: an octave of this size and less is one strip."""


@dataclass(frozen=True, kw_only=True)
class Octave:
    """Where the samples of an octave lie, and how blurred its levels are."""

    number: int
    """-1 is the doubled image."""
    shape: tuple[int, int]
    """(H, W) samples."""
    n_scales: int
    """S, the scales per octave; there are S + 3 levels."""
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

    def distance_to_border(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far positions (N, 2) in input pixels are from the nearest side of the image."""
        # The samples are centred in it.
        last_pixel = 2 * np.array(self.origin) + self.step * (np.array(self.shape[::-1]) - 1)
        distance: NDArray[np.float64] = 0.5 + np.minimum(xy, last_pixel - xy).min(axis=1)
        return distance

    def sigma_of(self, level: NDArray[np.float64]) -> NDArray[np.float64]:
        """Blur of fractional levels in input pixels: σ₀·2^(level/S), in steps (Lowe, section 3).

        An image that is taken to be sharper than it is gives its structures too large a σ; what was
        assumed too much is taken off again, in the measure in which it moves the extremum of an
        ideal blob: √(σ² − excess·2^(−1/S)).
        """
        nominal = self.step * self.sigma * np.exp2(level / self.n_scales)
        # What is all excess has next to no size, rather than none that is a number.
        return np.asarray(
            np.sqrt(np.maximum(nominal**2 - self.excess_variance * 2 ** (-1 / self.n_scales), 1e-12))
        )

    def nearest_level(self, sigma: NDArray[np.floating]) -> NDArray[np.int64]:
        """The level, 1 to S, whose blur is nearest to σ (input pixels) on the logarithmic scale."""
        nominal = np.sqrt(sigma.astype(np.float64) ** 2 + self.excess_variance * 2 ** (-1 / self.n_scales))
        level = self.n_scales * np.log2(nominal / (self.step * self.sigma))
        return np.asarray(np.clip(np.rint(level), 1, self.n_scales), np.int64)


@dataclass(frozen=True, kw_only=True)
class Strip(Octave):
    """An octave of which some rows are at hand. They are overwritten when the next strip is asked for."""

    levels: NDArray[np.float32]
    """(S + 3, R, W + 16 or more) Gaussian levels; level i has blur σ₀·2^(i/S) samples.

    Beyond W is filling of any value, so that vectors may be loaded whole.
    """
    first_row: int = 0
    """The octave's row that is row 0 of the levels."""
    rows: tuple[int, int]
    """Start and stop of the octave's rows whose keypoints are this strip's; around them the levels
    reach as far as was asked for, or to the octave's ends."""

    @property
    def at_hand(self) -> NDArray[np.float32]:
        """The levels without what fills them up: (S + 3, rows of the octave, W)."""
        return self.levels[:, : self.shape[0] - self.first_row, : self.shape[1]]

    @property
    def is_whole(self) -> bool:
        """Whether it is its octave's only one."""
        return self.rows == (0, self.shape[0])

    @property
    def is_last(self) -> bool:
        """Whether it ends its octave."""
        return self.rows[1] == self.shape[0]

    def holds(self, xy: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which positions (N, 2) in input pixels lie in its rows, or beyond where the octave ends."""
        row = np.clip(np.floor(self.to_samples(xy)[:, 1]), 0, self.shape[0] - 1)
        return np.asarray((row >= self.rows[0]) & (row < self.rows[1]))


def gaussian_strips(
    image: NDArray[np.float32],
    params: ScaleSpaceParams,
    threads: Threads,
    *,
    reach: int,
    strip_bytes: int = STRIP_BYTES,
) -> Iterator[Generator[Strip, None, None]]:
    """Yield the octaves of an image, finest first, each from top to bottom in strips.

    Parameters
    ----------
    image
        (H, W) float32 grey values in [0, 1], C-contiguous.
    params
        Levels per octave S, σ₀, first octave, assumed variance and doubling.
    threads
        Where the rows are shared out.
    reach
        Rows of the levels that are wanted around the rows of a strip.
    strip_bytes
        Size of a strip's levels, as far as ``reach`` allows. No sample depends on it.

    Yields
    ------
    Generator[Strip]
        An octave, until the smaller side falls below ``params.min_octave_side`` samples. The next may
        be asked for as soon as the last strip of this one is at hand, by another thread too.
    """
    source, source_shape, change = image, image.shape, DOUBLE if params.first_octave < 0 else KEEP
    kernels, halving = _first_kernels(params), _halving_kernel(params)
    reach = max(reach, len(halving.at_integers) + 1)
    for octave in _all_octaves(image.shape, params):
        halved_shape = _next_octave(octave).shape
        halved = np.empty((halved_shape[0], _pitch(halved_shape[1])), np.float32)
        blurred = _strips(octave, source, source_shape, change, kernels, threads, reach, strip_bytes)
        strips = _halving(blurred, halving, halved, threads)
        if octave.number >= params.first_octave:
            yield strips
        else:
            deque(strips, maxlen=0)
        source, source_shape, change, kernels = halved, halved_shape, KEEP, _later_kernels(params)


def gaussian_octaves(
    image: NDArray[np.float32], params: ScaleSpaceParams, threads: Threads
) -> Iterator[Strip]:
    """Yield the octaves whole, each a strip with levels of its own, to look at or to keep."""
    octaves = gaussian_strips(image, params, threads, reach=0, strip_bytes=sys.maxsize)
    for strip in chain.from_iterable(octaves):
        yield replace(strip, levels=strip.levels[:, : strip.shape[0]].copy())


def octaves_of(shape: tuple[int, ...], params: ScaleSpaceParams) -> list[Octave]:
    """The octaves, finest first, of an image of a shape (H, W); none where it is too small."""
    return [octave for octave in _all_octaves(shape, params) if octave.number >= params.first_octave]


def _halving(
    strips: Generator[Strip, None, None], kernel: Kernel, halved: NDArray[np.float32], threads: Threads
) -> Generator[Strip, None, None]:
    """Pass on the strips of an octave, and fill level 0 of the next from each before it is used."""
    start = 0
    with closing(strips):
        for strip in strips:
            stop = len(halved) if strip.is_last else strip.rows[1] // 2
            _halve(strip, kernel, halved, (start, stop), threads)
            start = stop
            yield strip


def _halve(
    strip: Strip, kernel: Kernel, halved: NDArray[np.float32], rows: tuple[int, int], threads: Threads
) -> None:
    """Fill some rows of the next octave's level 0.

    Where both sides are odd these are the even samples of level S, which has twice the blur of level 0 (Lowe,
    section 3). Midpoints are computed from level S − 1, on both axes alike so that the blur stays isotropic.
    """
    height, width = strip.shape
    if height % 2 and width % 2:
        take_every_other(strip.levels[strip.n_scales], strip.first_row, width, halved, rows, threads)
    else:
        level = strip.levels[strip.n_scales - 1]
        blur(level, strip.shape, strip.first_row, HALVE, [kernel], halved[None], 0, rows, threads)


def _strips(
    octave: Octave,
    source: NDArray[np.float32],
    source_shape: tuple[int, ...],
    change: int,
    kernels: list[Kernel],
    threads: Threads,
    reach: int,
    strip_bytes: int,
) -> Generator[Strip, None, None]:
    """The strips of an octave: each keeps, of the one before, the rows that it needs again."""
    height, n_rows = octave.shape[0], strip_shape(octave, reach, strip_bytes)[1]
    with borrowed(*strip_shape(octave, reach, strip_bytes)) as levels:
        first = start = filled = 0
        while start < height:
            end = min(height, first + n_rows)
            blur(source, source_shape, 0, change, kernels, levels, first, (filled, end), threads)
            stop = height if end == height else end - reach
            yield Strip(**vars(octave), levels=levels, first_row=first, rows=(start, stop))
            if end < height:  # what the next strip needs again moves to the top
                levels[:, : 2 * reach] = levels[:, n_rows - 2 * reach :]
            first, start, filled = end - 2 * reach, stop, end


def strip_shape(octave: Octave, reach: int, strip_bytes: int = STRIP_BYTES) -> tuple[int, int, int]:
    """The levels of an octave's strips: number, rows and samples from a row to the next."""
    n_levels, pitch = octave.n_scales + 3, _pitch(octave.shape[1])
    n_rows = max(6 * reach, strip_bytes // (n_levels * pitch * np.dtype(np.float32).itemsize))
    return n_levels, min(octave.shape[0], n_rows), pitch


def _pitch(width: int) -> int:
    """Samples from a row to the next: room for whole vectors, but no power of two, lest rows collide."""
    pitch = (-(-width // LANES) + 1) * LANES
    return pitch + LANES if pitch % 512 == 0 else pitch


# --- grids -------------------------------------------------------------------------------------


def _all_octaves(shape: tuple[int, ...], params: ScaleSpaceParams) -> list[Octave]:
    """The octaves from that of the (doubled) image on, those before the first included."""
    number = min(params.first_octave, 0)
    height, width = (2 * n - 1 for n in shape) if number < 0 else shape
    octave = Octave(
        number=number,
        shape=(height, width),
        n_scales=params.levels_per_octave,
        sigma=params.sigma,
        step=2.0**number,
        origin=(0.0, 0.0),
        excess_variance=max(-params.assumed_variance, 0.0),
    )
    octaves = []
    while min(octave.shape) >= params.min_octave_side:
        octaves.append(octave)
        octave = _next_octave(octave)
    return octaves


def _next_octave(octave: Octave) -> Octave:
    """The octave on half the samples: the even ones of an odd side, the midpoints of an even one."""
    (height, width), (x, y), step = octave.shape, octave.origin, octave.step
    return replace(
        octave,
        number=octave.number + 1,
        shape=((height + 1) // 2, (width + 1) // 2),
        step=2 * step,
        origin=(x if width % 2 else x + step / 2, y if height % 2 else y + step / 2),
    )


# --- blur of the levels ------------------------------------------------------------------------


def _level_sigma(level: int, params: ScaleSpaceParams) -> float:
    """Blur of a level in samples of its octave: σ₀·2^(level/S) (Lowe, section 3)."""
    return float(params.sigma * 2.0 ** (level / params.levels_per_octave))


def _first_kernels(params: ScaleSpaceParams) -> list[Kernel]:
    """From the image to the levels of its first octave, on its grid."""
    step = 0.5 if params.first_octave < 0 else 1.0
    sigmas = [
        math.sqrt((_level_sigma(i, params) * step) ** 2 - params.assumed_variance)
        for i in range(params.levels_per_octave + 3)
    ]
    if step < 1 and params.doubling == "linear":
        return [linear_doubling_kernel(sigma / step) for sigma in sigmas]
    return [gaussian_kernel(sigma) for sigma in sigmas]


def _later_kernels(params: ScaleSpaceParams) -> list[Kernel]:
    """From level 0 of an octave to all of its levels."""
    sigmas = [_level_sigma(i, params) for i in range(params.levels_per_octave + 3)]
    return [gaussian_kernel(math.sqrt(sigma**2 - sigmas[0] ** 2)) for sigma in sigmas]


def _halving_kernel(params: ScaleSpaceParams) -> Kernel:
    """From level S − 1 to blur 2·σ₀, on the halved grid."""
    before, after = _level_sigma(params.levels_per_octave - 1, params), 2 * params.sigma
    return gaussian_kernel(math.sqrt(after**2 - before**2))

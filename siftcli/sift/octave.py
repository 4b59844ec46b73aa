"""Records of the scale space: an octave's grid and blur, and a strip of its levels.

An octave carries, per axis, a step and an origin in input pixels. Doubling puts n samples on 2n − 1;
halving keeps the even samples of an odd side and the midpoints of an even one. So the grid of every octave is
symmetric about the image centre, and a rotated or mirrored image has the rotated or mirrored octaves.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..params import ScaleSpaceParams

MIN_SIDE = 12
"""Samples; an octave whose smaller side has fewer is not made."""

_N_CACHED = 16
"""Shapes of images whose octaves are kept: each is asked for at least twice, and a batch has few."""


@dataclass(frozen=True, kw_only=True)
class Octave:
    """The grid of an octave, and the blur of its levels."""

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
        """Positions (N, 2), x and y, from samples to input pixels."""
        xy: NDArray[np.float64] = self.step * samples + np.array(self.origin)
        return xy

    def to_samples(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions (N, 2), x and y, from input pixels to samples."""
        samples: NDArray[np.float64] = (xy - np.array(self.origin)) / self.step
        return samples

    def distance_to_border(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance (N,) of positions (N, 2) to the nearest side of the image, in input pixels."""
        # The samples are centred in the image.
        last_pixel = 2 * np.array(self.origin) + self.step * (np.array(self.shape[::-1]) - 1)
        x, y = np.minimum(xy, last_pixel - xy).T
        distance: NDArray[np.float64] = 0.5 + np.minimum(x, y)
        return distance

    def sigma_of(
        self, level: NDArray[np.float64], step: NDArray[np.float64] | None = None
    ) -> NDArray[np.float64]:
        """Blur of fractional levels in input pixels: σ₀·2^(level/S) samples (Lowe, section 3).

        If the image is assumed to be sharper than it is, structures seem too large. The excess variance is
        subtracted again, as far as it shifts the extremum of an ideal blob: √(σ² − excess·2^(−1/S)).

        ``step`` (N,) are those of rows of other octaves of the same image.
        """
        sigma = (self.step if step is None else step) * self.sigma
        return _blur(level, self.n_scales, sigma, self.excess_variance)

    def sigma_above(self) -> NDArray[np.float64]:
        """(S,) blur half a level above each scale, in input pixels; read-only."""
        return _blur_above(self.n_scales, self.step * self.sigma, self.excess_variance)

    def nearest_level(
        self, sigma: NDArray[np.floating], step: NDArray[np.float64] | None = None
    ) -> NDArray[np.int64]:
        """The level, 1 to S, whose blur is nearest to σ (input pixels) on the logarithmic scale.

        ``step`` is as for :meth:`sigma_of`.
        """
        nominal = np.hypot(
            sigma.astype(np.float64), math.sqrt(self.excess_variance * 2 ** (-1 / self.n_scales))
        )
        level = self.n_scales * np.log2(nominal / ((self.step if step is None else step) * self.sigma))
        return np.asarray(np.minimum(np.maximum(np.rint(level), 1), self.n_scales), np.int64)


def _blur(
    level: NDArray[np.float64], n_scales: int, sigma: float | NDArray[np.float64], excess: float
) -> NDArray[np.float64]:
    """As :meth:`Octave.sigma_of`, where level 0 has blur ``sigma``."""
    nominal = np.asarray(sigma * np.exp2(level / n_scales))
    if excess == 0:
        return nominal
    # Where all blur is excess, σ is next to 0 rather than NaN.
    return np.sqrt(np.maximum(nominal**2 - excess * 2 ** (-1 / n_scales), 1e-12))


@lru_cache(_N_CACHED)
def _blur_above(n_scales: int, sigma: float, excess: float) -> NDArray[np.float64]:
    above = _blur(np.arange(1.5, n_scales + 1), n_scales, sigma, excess)
    above.flags.writeable = False
    return above


@dataclass(frozen=True, kw_only=True)
class Strip(Octave):
    """Some rows of an octave. Its levels are overwritten when the next strip is asked for."""

    levels: NDArray[np.float32]
    """(S + 3, R, W + 16 or more) Gaussian levels; level i has blur σ₀·2^(i/S) samples.

    Beyond column W stands padding of any value, so that whole vectors can be loaded.
    """
    first_row: int = 0
    """The octave's row that is row 0 of the levels."""
    rows: tuple[int, int]
    """Start and stop of the octave's rows whose keypoints belong to this strip. Around them the levels
    have a halo, as far as was asked for, or to the octave's ends."""

    @property
    def unpadded(self) -> NDArray[np.float32]:
        """The levels without their padding: (S + 3, rows of the octave, W)."""
        return self.levels[:, : self.shape[0] - self.first_row, : self.shape[1]]

    @property
    def is_whole(self) -> bool:
        """Whether it is its octave's only one."""
        return self.rows == (0, self.shape[0])

    @property
    def is_last(self) -> bool:
        """Whether it is its octave's last one."""
        return self.rows[1] == self.shape[0]

    def contains(self, xy: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which positions (N, 2) in input pixels lie in its rows, or beyond them at an end of the octave."""
        if self.is_whole:
            return np.ones(len(xy), bool)
        row = np.clip(np.floor(self.to_samples(xy)[:, 1]), 0, self.shape[0] - 1)
        return np.asarray((row >= self.rows[0]) & (row < self.rows[1]))


def octaves_of(shape: tuple[int, ...], params: ScaleSpaceParams) -> list[Octave]:
    """The octaves, finest first, of an image of a shape (H, W); none where it is too small."""
    return [octave for octave in all_octaves(shape, params) if octave.number >= params.first_octave]


def all_octaves(shape: tuple[int, ...], params: ScaleSpaceParams) -> tuple[Octave, ...]:
    """The octaves from that of the (doubled) image on, including those before ``params.first_octave``."""
    (height, width), first = shape, min(params.first_octave, 0)
    excess = max(-params.assumed_variance, 0.0)
    return _octaves((height, width), first, params.levels_per_octave, params.sigma, excess)


@lru_cache(_N_CACHED)
def _octaves(
    image_shape: tuple[int, int], number: int, n_scales: int, sigma: float, excess: float
) -> tuple[Octave, ...]:
    """The octaves from that of this number on, 0 or −1, of an image of a shape (H, W)."""
    height, width = (2 * n - 1 for n in image_shape) if number < 0 else image_shape
    octave = Octave(
        number=number,
        shape=(height, width),
        n_scales=n_scales,
        sigma=sigma,
        step=2.0**number,
        origin=(0.0, 0.0),
        excess_variance=excess,
    )
    octaves = []
    while min(octave.shape) >= MIN_SIDE:
        octaves.append(octave)
        octave = next_octave(octave)
    return tuple(octaves)


def next_octave(octave: Octave) -> Octave:
    """The octave with half the samples: the even ones of an odd side, the midpoints of an even one."""
    (height, width), (x, y), step = octave.shape, octave.origin, octave.step
    return replace(
        octave,
        number=octave.number + 1,
        shape=((height + 1) // 2, (width + 1) // 2),
        step=2 * step,
        origin=(x if width % 2 else x + step / 2, y if height % 2 else y + step / 2),
    )

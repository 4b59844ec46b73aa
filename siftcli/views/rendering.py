"""A small camera: views of a source image, sampled exactly and quantised as a sensor would.

The source is a cubic spline through its samples, in double precision. Each pixel of a view is
the average of that spline over the pixel's footprint, taken at a grid of points placed
symmetrically about the pixel's centre: no coordinate is rounded, and turned and unturned views
are equally sharp.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .planar import Matrix

GREY_LEVELS = 255.0
NOISE_LEVELS = 1.0
"""Standard deviation of the noise of every rendered view, in grey levels (a clean 8-bit camera)."""
SAMPLES_PER_SOURCE_PX = 1.5
"""Points a footprint is averaged over, a source pixel and direction."""
MIN_SAMPLES = 2
"""Fewest points a footprint and direction, so that upsampled views are averaged too."""
SPLINE_ORDER = 3
BORDER = "mirror"
"""What lies outside the source: its mirror image, the edge sample not repeated."""

Levels = NDArray[np.float64]
"""(H, W) in grey levels, 0 to 255, not rounded."""
GreyBytes = NDArray[np.uint8]
"""(H, W) as a camera delivers it."""


@dataclass(frozen=True, eq=False)
class Interpolated:
    """An image to take views of."""

    grey: NDArray[np.float32]
    """(H, W) in [0, 1]."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.grey.shape[0], self.grey.shape[1]

    @cached_property
    def levels(self) -> Levels:
        """The image in grey levels."""
        return GREY_LEVELS * self.grey.astype(np.float64)

    @cached_property
    def coefficients(self) -> NDArray[np.float64]:
        """The cubic spline's coefficients (H, W)."""
        return np.asarray(ndimage.spline_filter(self.levels, SPLINE_ORDER, mode=BORDER))

    @cached_property
    def key(self) -> str:
        """A digest of the pixels: what random numbers are drawn for, whatever the file is called."""
        digest = hashlib.blake2b(np.ascontiguousarray(self.grey).tobytes(), digest_size=16)
        digest.update(repr(self.shape).encode())
        return digest.hexdigest()


def render(
    source: Interpolated, to_source: Matrix, shape: tuple[int, int], source_px: float, *, average: bool = True
) -> Levels:
    """A view (H, W) of the source, without noise.

    Parameters
    ----------
    source
        The image looked at.
    to_source
        (3, 3) from the view's pixels to the source's.
    shape
        (height, width) of the view.
    source_px
        Source pixels a view pixel, by which the number of samples is chosen.
    average
        Average over each pixel's footprint; else the spline at its centre.
    """
    n = max(MIN_SAMPLES, math.ceil(SAMPLES_PER_SOURCE_PX * source_px)) if average else 1
    offsets = (np.arange(n) + 0.5) / n - 0.5
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    total = np.zeros(shape)
    for dy in offsets:
        for dx in offsets:
            total += _spline(source, to_source, x + dx, y + dy)
    return total / n**2


def _spline(
    source: Interpolated, to_source: Matrix, x: NDArray[np.float64], y: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The source's spline at view positions."""
    (a, b, c), (d, e, f), (g, h, i) = to_source
    w = g * x + h * y + i
    position = np.stack([(d * x + e * y + f) / w, (a * x + b * y + c) / w])
    return np.asarray(
        ndimage.map_coordinates(
            source.coefficients, position, order=SPLINE_ORDER, mode=BORDER, prefilter=False
        )
    )


def photograph(levels: Levels, rng: np.random.Generator, noise_levels: float = NOISE_LEVELS) -> GreyBytes:
    """The view as a camera delivers it: Gaussian noise, then 8 bits."""
    return quantised(levels + noise_levels * rng.standard_normal(levels.shape))


def quantised(levels: NDArray[Any]) -> GreyBytes:
    """Grey levels rounded to 8 bits."""
    return np.asarray(np.rint(levels).clip(0, GREY_LEVELS).astype(np.uint8))


def random_for(seed: int, source: Interpolated, *labels: object) -> np.random.Generator:
    """Random numbers for one picture: the same in any process and any order of work."""
    text = "/".join([str(seed), source.key, *map(str, labels)])
    return np.random.default_rng(
        np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), np.uint32)
    )


def grey_of(picture: GreyBytes) -> NDArray[np.float32]:
    """A picture (H, W) as detectors take it: in [0, 1]."""
    return picture.astype(np.float32) / np.float32(GREY_LEVELS)

"""Render views of a source image as a camera would: resampled, with noise, quantised to 8 bits.

The source is interpolated by a cubic spline in double precision. Each pixel of a view is the average
of the spline over the pixel's footprint, sampled on a grid that is symmetric about the pixel's centre.
No coordinate is rounded, and rotated views are as sharp as unrotated ones.
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
"""Samples per source pixel and axis in the average over a footprint."""
MIN_SAMPLES = 2
"""Minimum number of samples per axis, so that upsampled views are averaged too."""
SPLINE_ORDER = 3
BORDER = "mirror"
"""The source is padded by mirroring, without repeating the edge sample."""

Levels = NDArray[np.float64]
"""(H, W) float64 in grey levels from 0 to 255, not rounded."""
GreyBytes = NDArray[np.uint8]
"""(H, W) uint8."""


@dataclass(frozen=True, eq=False)
class Interpolated:
    """A source image, interpolated by a cubic spline."""

    grey: NDArray[np.float32]
    """(H, W) in [0, 1]."""

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        return self.grey.shape[0], self.grey.shape[1]

    @cached_property
    def levels(self) -> Levels:
        """(H, W) the image in grey levels."""
        return GREY_LEVELS * self.grey.astype(np.float64)

    @cached_property
    def coefficients(self) -> NDArray[np.float64]:
        """(H, W) coefficients of the cubic spline."""
        return np.asarray(ndimage.spline_filter(self.levels, SPLINE_ORDER, mode=BORDER))

    @cached_property
    def key(self) -> str:
        """A digest of the pixels, which seeds the random numbers whatever the file's name is."""
        digest = hashlib.blake2b(np.ascontiguousarray(self.grey).tobytes(), digest_size=16)
        digest.update(repr(self.shape).encode())
        return digest.hexdigest()


def render(
    source: Interpolated, to_source: Matrix, shape: tuple[int, int], source_px: float, *, average: bool = True
) -> Levels:
    """Render a view (H, W) of the source, without noise.

    Parameters
    ----------
    source
        The source image.
    to_source
        (3, 3) map from pixels of the view to pixels of the source.
    shape
        (height, width) of the view.
    source_px
        Width of a view pixel in source pixels, which determines the number of samples.
    average
        Average over each pixel's footprint. If False, sample the spline at the pixel's centre.
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
    """Evaluate the source's spline at positions of the view."""
    (a, b, c), (d, e, f), (g, h, i) = to_source
    w = g * x + h * y + i
    position = np.stack([(d * x + e * y + f) / w, (a * x + b * y + c) / w])
    return np.asarray(
        ndimage.map_coordinates(
            source.coefficients, position, order=SPLINE_ORDER, mode=BORDER, prefilter=False
        )
    )


def photograph(levels: Levels, rng: np.random.Generator, noise_levels: float = NOISE_LEVELS) -> GreyBytes:
    """Add Gaussian noise and quantise to 8 bits."""
    return quantised(levels + noise_levels * rng.standard_normal(levels.shape))


def quantised(levels: NDArray[Any]) -> GreyBytes:
    """Round grey levels to 8 bits."""
    return np.asarray(np.rint(levels).clip(0, GREY_LEVELS).astype(np.uint8))


def random_for(seed: int, source: Interpolated, *labels: object) -> np.random.Generator:
    """A random generator for one image, independent of the process and of the order of work."""
    text = "/".join([str(seed), source.key, *map(str, labels)])
    return np.random.default_rng(
        np.frombuffer(hashlib.blake2b(text.encode(), digest_size=16).digest(), np.uint32)
    )


def grey_of(picture: GreyBytes) -> NDArray[np.float32]:
    """Convert to (H, W) float32 in [0, 1], as detectors expect."""
    return picture.astype(np.float32) / np.float32(GREY_LEVELS)

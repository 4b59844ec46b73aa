"""The images that are timed, at their own size or at a given size.

An image is brought to a size by resizing or by tiling. A resized photograph has few features per
megapixel, because its only fine structure is noise. A tiled one has as many as the original. Real
photographs of that size lie in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..errors import ParameterError
from ..image import read_image
from .options import DEFAULT_SIZES, RESIZED, TILED, WAYS

Bytes = NDArray[np.uint8]
"""(H, W) uint8 grey values."""


def resized(grey: Bytes, shape: tuple[int, int]) -> Bytes:
    """Resize by cubic interpolation, and add seeded noise of one grey level."""
    large = import_cv2().resize(grey, shape[::-1], interpolation=import_cv2().INTER_CUBIC)
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    return np.asarray(np.clip(np.rint(large + noise), 0, 255), np.uint8)


def tiled(grey: Bytes, shape: tuple[int, int]) -> Bytes:
    """Extend by mirror images on the right and below, and crop to the shape."""
    padding = [(0, max(0, n - m)) for n, m in zip(shape, grey.shape, strict=True)]
    return np.ascontiguousarray(np.pad(grey, padding, mode="symmetric")[: shape[0], : shape[1]])


_MAKERS = {RESIZED: resized, TILED: tiled}


@dataclass(frozen=True)
class Case:
    """An image file, and the size at which it is timed."""

    path: Path
    megapixels: float | None = None
    """Target size; None for the image's own size."""
    way: str = ""
    """One of ``WAYS``, or empty for the image's own size."""

    def grey(self) -> Bytes:
        """Read the image and bring it to its size, preserving the aspect ratio."""
        grey = np.rint(255 * read_image(self.path).grey).astype(np.uint8)
        if self.megapixels is None:
            return grey
        enlargement = (1e6 * self.megapixels / grey.size) ** 0.5
        height, width = (round(side * enlargement) for side in grey.shape)
        return _MAKERS[self.way](grey, (height, width))


def cases_of(paths: Sequence[str | Path], sizes: Sequence[float], ways: Sequence[str]) -> list[Case]:
    """Each image at its own size, or at each size in each way; by default a photograph of scikit-image.

    Raises
    ------
    ParameterError
        If a way is unknown.
    """
    if unknown := set(ways) - set(WAYS):
        raise ParameterError(
            f"unknown way {unknown.pop()!r} to change the size of an image; expected {' or '.join(WAYS)}"
        )
    sizes = sizes or (() if paths else DEFAULT_SIZES)
    files = [Path(path) for path in paths] or [_photograph()]
    if not sizes:
        return [Case(path) for path in files]
    return [Case(path, size, way) for path in files for size in sizes for way in ways]


def _photograph() -> Path:
    with resources.as_file(resources.files("skimage.data") / "astronaut.png") as path:
        return path

"""What a picture file is made of, and what it says of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[Any]
"""(P, H, W, S): P planes (channels stored one by one) of S samples per pixel."""
Box = tuple[int, int, int, int]
"""Left, top, right and bottom; the last two are exclusive."""


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a file says of its picture, beside the samples."""

    format: str
    """"tiff", "png", "jpeg" or "webp"; of other files the one they are written as, "tiff"."""
    icc: bytes | None = None
    resolution: tuple[float, float] | None = None
    """Pixels per unit in x and y."""
    unit: str = "inch"
    """Of the resolution: "inch", "cm" or "none"."""
    exif: bytes | None = None
    """EXIF of a PNG, JPEG or WebP file, with the orientation removed."""
    tags: Mapping[str, Any] = field(default_factory=dict)
    """TIFF: arguments of tifffile's ``write``, such as the compression."""
    description: str | None = None
    software: str | None = None
    imagej: Mapping[str, Any] | None = None
    """Metadata of an ImageJ hyperstack, as tifffile has them."""
    ome: Mapping[str, Any] | None = None
    """Metadata of an OME-TIFF: attributes of Pixels and Channel."""
    is_shaped: bool = False
    """TIFF: whether tifffile's own description gives the axes."""
    byteorder: str = "<"
    extra: tuple[tuple[int, int, int, Any], ...] = ()
    """TIFF tags that are copied: code, type, count and value."""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The shape of the frames of a file."""

    sizes: tuple[tuple[int, int], ...]
    """(width, height) of each frame."""
    n_planes: int
    n_samples: int
    dtype: str
    alpha: str = ""
    """"straight" or "premultiplied" if the last sample is alpha."""
    axes: str = "T"
    """Axes that frames are counted along, such as "TZ"."""
    shape: tuple[int, ...] = (1,)
    """Frames along each of these axes."""
    full_scale: float = 1.0
    """The sample value of white."""

    @property
    def n_channels(self) -> int:
        """Planes, or samples of the only plane; alpha does not count."""
        return self.n_planes if self.n_planes > 1 else self.n_samples - bool(self.alpha)

    @property
    def kind(self) -> tuple[int, int, str]:
        """What frames that are written into one file must have in common."""
        return self.n_planes, self.n_samples, self.dtype

    @property
    def frame_bytes(self) -> int:
        """Bytes of the largest frame."""
        pixels = max(width * height for width, height in self.sizes)
        return pixels * self.n_planes * self.n_samples * np.dtype(self.dtype).itemsize

    def describe(self) -> str:
        """How messages put it."""
        channels = f"{self.n_channels} channel{'' if self.n_channels == 1 else 's'}"
        return f"{channels}{' and alpha' if self.alpha else ''} of {self.dtype}"


class Reader(Protocol):
    """An open picture file."""

    layout: Layout
    metadata: Metadata

    def frame(self, index: int) -> Samples:
        """The samples of a frame."""

    def region(self, index: int, box: Box) -> Samples:
        """The samples of a part of a frame."""

    def close(self) -> None:
        """Close the file."""

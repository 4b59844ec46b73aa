"""Write frames to a TIFF file one by one, or one large frame tile by tile, by tifffile."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from .records import Layout, Metadata, Samples

BIGTIFF_BYTES = (1 << 32) - (1 << 25)
"""Larger files are BigTIFF; as tifffile chooses."""
UNITS = ("", "none", "inch", "cm")
"""Names of the resolution unit, by the values of its tag."""
IMAGEJ_TYPES = ("uint8", "uint16", "float32")
TILE_PX = 512

Target = str | os.PathLike[str] | IO[bytes]


@dataclass(frozen=True, kw_only=True)
class TiffShape:
    """The shape of all frames together."""

    axes: str
    """Axes that frames are counted along."""
    shape: tuple[int, ...]
    """Frames along each of these."""
    n_planes: int
    size: tuple[int, int]
    """(width, height)."""
    n_samples: int
    dtype: str
    alpha: str = ""

    @classmethod
    def of_one(cls, samples: Samples, alpha: str) -> TiffShape:
        """The shape of a single frame (P, H, W, S)."""
        n_planes, height, width, n_samples = samples.shape
        return cls(
            axes="T", shape=(1,), n_planes=n_planes, size=(width, height), n_samples=n_samples,
            dtype=samples.dtype.name, alpha=alpha,
        )  # fmt: skip

    @classmethod
    def of(cls, layout: Layout, size: tuple[int, int], n_frames: int) -> TiffShape:
        """The shape of ``n_frames`` frames of a layout on a canvas; some may have been left out."""
        whole = math.prod(layout.shape) == n_frames
        return cls(
            axes=layout.axes if whole else "T",
            shape=layout.shape if whole else (n_frames,),
            n_planes=layout.n_planes,
            size=size,
            n_samples=layout.n_samples,
            dtype=layout.dtype,
            alpha=layout.alpha,
        )

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return math.prod(self.shape)

    @property
    def n_bytes(self) -> int:
        """Bytes of all samples."""
        per_pixel = self.n_planes * self.n_samples * np.dtype(self.dtype).itemsize
        return self.n_frames * self.size[0] * self.size[1] * per_pixel

    @property
    def all_axes(self) -> str:
        """Axes of the array (frames, planes, y, x, samples); where there is one of these, without."""
        axes = self.axes if self.n_frames > 1 else ""
        return axes + "C" * (self.n_planes > 1) + "YX" + "S" * (self.n_samples > 1)

    @property
    def all_lengths(self) -> tuple[int, ...]:
        """Lengths of these axes."""
        planes = (self.n_planes,) if self.n_planes > 1 else ()
        samples = (self.n_samples,) if self.n_samples > 1 else ()
        frames = self.shape if self.n_frames > 1 else ()
        return (*frames, *planes, self.size[1], self.size[0], *samples)


def write_tiff(target: Target, frames: Iterator[Samples], shape: TiffShape, metadata: Metadata) -> None:
    """Write frames, each (P, H, W, S), to a TIFF file of the kind that the metadata come from.

    Raises
    ------
    OutputError
        If ImageJ has no such type of samples.
    """
    import tifffile

    is_imagej = metadata.imagej is not None
    if is_imagej and shape.dtype not in IMAGEJ_TYPES:
        raise OutputError(
            f"ImageJ's TIFF cannot hold {shape.dtype}; expected one of {', '.join(IMAGEJ_TYPES)}"
        )
    is_big = shape.n_bytes > BIGTIFF_BYTES
    is_ome = metadata.ome is not None
    with tifffile.TiffWriter(
        target,
        bigtiff=is_big and not is_imagej,
        imagej=is_imagej,
        ome=is_ome,
        byteorder=None if is_imagej else metadata.byteorder,
    ) as file:
        common = _common(shape, metadata)
        if is_imagej or is_ome or metadata.is_shaped:
            file.write(
                _pages(frames, common),
                shape=shape.all_lengths,
                dtype=shape.dtype,
                metadata=_described(shape, metadata),
                truncate=is_imagej and is_big,
                **common,
            )
            return
        for frame in frames:
            file.write(_whole(frame, common), metadata=None, contiguous=False, **common)


def write_tiles(target: Target, tiles: Iterator[NDArray[Any]], shape: TiffShape, metadata: Metadata) -> None:
    """Write one frame of one plane as a tiled TIFF, from its tiles (h, w, S) row by row."""
    import tifffile

    common = {**_common(shape, metadata), "tile": (TILE_PX, TILE_PX)}
    with tifffile.TiffWriter(
        target, bigtiff=shape.n_bytes > BIGTIFF_BYTES, byteorder=metadata.byteorder
    ) as file:
        one_by_one = (tile if shape.n_samples > 1 else tile[:, :, 0] for tile in tiles)
        file.write(
            one_by_one, shape=shape.all_lengths, dtype=shape.dtype, metadata=None, maxworkers=1, **common
        )


def _common(shape: TiffShape, metadata: Metadata) -> dict[str, Any]:
    """Arguments of tifffile's ``write`` for every page."""
    found = dict(metadata.tags)
    found.setdefault("photometric", "rgb" if shape.n_samples >= 3 else "minisblack")
    is_made = "compression" not in found
    if shape.alpha and "extrasamples" not in found and shape.n_samples in (2, 4):
        found["extrasamples"] = ["assocalpha" if shape.alpha == "premultiplied" else "unassalpha"]
    if is_made:
        found["compression"] = None
    if metadata.imagej is not None:
        found = {key: value for key, value in found.items() if key == "photometric"}
    if metadata.icc is not None and metadata.imagej is None:
        found["iccprofile"] = metadata.icc
    if metadata.resolution is not None:
        found["resolution"] = metadata.resolution
        found["resolutionunit"] = UNITS.index(metadata.unit)
    if metadata.description is not None:
        found["description"] = metadata.description
    extra = [(code, kind, count, value, True) for code, kind, count, value in metadata.extra]
    if extra and metadata.imagej is None:
        found["extratags"] = extra
    found["software"] = metadata.software or False
    return found


def _pages(frames: Iterator[Samples], common: dict[str, Any]) -> Iterator[NDArray[Any]]:
    """Frames as tifffile takes pages: (H, W), (H, W, S), or (P, H, W) where a page holds all planes."""
    for frame in frames:
        if common.get("planarconfig") == "separate":
            yield _whole(frame, common)
            continue
        for plane in frame:
            yield np.ascontiguousarray(plane[:, :, 0] if plane.shape[2] == 1 else plane)


def _whole(frame: Samples, common: dict[str, Any]) -> NDArray[Any]:
    """A frame as one page, its planes separate if the file has them so."""
    if common.get("planarconfig") == "separate":
        return np.ascontiguousarray(frame[:, :, :, 0])
    plane = frame[0] if len(frame) == 1 else np.moveaxis(frame[:, :, :, 0], 0, 2)
    return np.ascontiguousarray(plane[:, :, 0] if plane.ndim == 3 and plane.shape[2] == 1 else plane)


def _described(shape: TiffShape, metadata: Metadata) -> dict[str, Any]:
    found: dict[str, Any] = {"axes": shape.all_axes}
    if metadata.imagej is not None:
        found |= metadata.imagej
        labels = found.get("Labels")
        if labels is not None and len(labels) != shape.n_frames * shape.n_planes:
            del found["Labels"]
    if metadata.ome is not None:
        found |= metadata.ome
    return found

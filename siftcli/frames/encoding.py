"""Encode one picture as a PNG, JPEG, WebP or TIFF file, with its colour profile, resolution and EXIF."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError
from .records import Metadata, Samples

SUFFIXES = {
    ".png": "png",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".webp": "webp",
    ".tif": "tiff",
    ".tiff": "tiff",
}
JPEG_QUALITY = 95
_PILLOW_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {},
    "webp": {"lossless": True},
    "jpeg": {"quality": JPEG_QUALITY, "subsampling": 0},
}
INCH_PER_CM = 2.54
_CM_PER_METRE = 100
_IHDR_END = 33


def format_of(path: str) -> str | None:
    """The format that a file's suffix names; None if it is none of those that are written."""
    return SUFFIXES.get(PurePath(path).suffix.lower())


def check_format(format: str, dtype: str, n_planes: int, n_samples: int) -> None:
    """Check that a format can hold such samples.

    Raises
    ------
    OutputError
        If it cannot.
    """
    deep = dtype != "uint8"
    if format == "tiff":
        return
    if format == "png" and dtype == "uint16" and n_planes == 1 and n_samples <= 4:
        return
    most = {"png": 4, "jpeg": 3, "webp": 4}[format]
    if deep or n_planes > 1 or n_samples > most or (format == "jpeg" and n_samples == 2):
        what = f"{n_planes * n_samples} channels of {dtype}"
        raise OutputError(f"{format.upper()} cannot hold {what}; name a .tif file, or pass --format tiff")


def encode(samples: Samples, metadata: Metadata, format: str, alpha: str = "") -> bytes:
    """Encode a picture.

    Parameters
    ----------
    samples
        (P, H, W, S).
    metadata
        What the file says of it.
    format
        ``"png"``, ``"jpeg"``, ``"webp"`` or ``"tiff"``.
    alpha
        As in :class:`~siftcli.frames.records.Layout`.

    Raises
    ------
    OutputError
        If the format cannot hold the samples.
    """
    n_planes, _, _, n_samples = samples.shape
    check_format(format, samples.dtype.name, n_planes, n_samples)
    if format == "tiff":
        from .tiff_writing import TiffShape, write_tiff

        stream = io.BytesIO()
        write_tiff(stream, iter([samples]), TiffShape.of_one(samples, alpha), metadata)
        return stream.getvalue()
    pixels = samples[0]
    if samples.dtype == np.uint16:
        return _deep_png(pixels, metadata)
    return _by_pillow(pixels, metadata, format)


def _by_pillow(pixels: NDArray[Any], metadata: Metadata, format: str) -> bytes:
    from PIL import Image

    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    options = dict(_PILLOW_OPTIONS[format])
    options["icc_profile"] = metadata.icc
    if metadata.exif is not None:
        options["exif"] = metadata.exif
    dpi = dots_per_inch(metadata)
    if dpi is not None and format != "webp":
        options["dpi"] = dpi
    stream = io.BytesIO()
    image.save(stream, format.upper(), **options)
    return stream.getvalue()


def dots_per_inch(metadata: Metadata) -> tuple[float, float] | None:
    """The resolution in pixels per inch, if it has a unit of length."""
    if metadata.resolution is None or metadata.unit == "none":
        return None
    factor = INCH_PER_CM if metadata.unit == "cm" else 1.0
    x, y = metadata.resolution
    return x * factor, y * factor


def _deep_png(pixels: NDArray[Any], metadata: Metadata) -> bytes:
    """16 bits, which Pillow does not write in colour: by libpng, with chunks for profile and resolution."""
    import imagecodecs

    data = imagecodecs.png_encode(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    chunks = b""
    if metadata.icc:
        chunks += _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc))
    dpi = dots_per_inch(metadata)
    if dpi is not None:
        per_metre = [round(v / INCH_PER_CM * _CM_PER_METRE) for v in dpi]
        chunks += _chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1))
    if metadata.exif is not None:
        chunks += _chunk(b"eXIf", metadata.exif.removeprefix(b"Exif\0\0"))
    return bytes(data[:_IHDR_END]) + chunks + bytes(data[_IHDR_END:])


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

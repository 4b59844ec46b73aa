"""Decoding strips and tiles of a TIFF; missing data and oversized tiles are errors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import truncated, unsupported
from .jpeg import decode_whole, read_frame
from .jpeg2000 import decode_codestream, read_codestream
from .tiff_directories import Content

_NONE, _OLD_JPEG, _LERC = 1, 6, 34887
_JPEG = (7, 33007, 34892)
_JPEG_2000 = (33003, 33004, 33005, 34712)
_JPEG_XR = (34934, 22610)
_IMAGES = (_LERC, 34933, 50001, 34927, 50002, 52546)
"""LERC, PNG, WebP and JPEG XL: their decoders check the size that they are given."""
_FAX = (2, 3, 4)
_BYTES = (_NONE, 5, 8, 32773, 32946, 34925, 34926, 50000, 50013)
"""None, LZW, deflate, PackBits, LZMA and Zstandard."""
_READABLE = {*_JPEG, *_JPEG_2000, *_IMAGES, *_FAX, *_BYTES}
_FORMATS = {1: "unsigned", 2: "signed", 3: "float", 4: "unsigned"}
_HORIZONTAL, _LERC_PARAMETERS, _JPEG_TABLES = 2, 50674, 347
_LERC_HEADER_BYTES = 4096
_YCBCR = 6
_WHOLE_BYTES = (8, 16, 32, 64)


def read_pixels(tags: Any, data: Content, bands: tuple[int, int] | None = None) -> NDArray[Any]:
    """Decode a picture, or some of its rows.

    Parameters
    ----------
    tags
        tifffile's page.
    data
        The file.
    bands
        Start and stop of the bands wanted, rows of strips or tiles; all of them when not given. Whether all
        are there is looked at with the first.

    Returns
    -------
    ndarray
        (H, W, C) samples as stored, in the machine's byte order; those of a JPEG in YCbCr as RGB.

    Raises
    ------
    BadImageError
        If it is damaged, or its layout or compression is not read.
    """
    check_kind(tags)
    planes, _, height, width, channels = tags.shaped
    grid = Grid.of(tags)
    if bands is None or bands[0] == 0:
        check_segments(tags, data, grid)
    first, stop = bands or (0, grid.n_down)
    top, end = first * grid.height, min(height, stop * grid.height)
    out = np.empty((planes, end - top, width, channels), tags.dtype)
    for number, segment in _segments(tags, data, grid, first, stop):
        samples, (plane, _, y, x, _), _ = _decode(tags, segment, number)
        rows = samples[0, : end - y, : width - x]
        out[plane, y - top : y - top + rows.shape[0], x : x + rows.shape[1]] = rows
    if out.dtype == np.bool_:
        out = out.view(np.uint8)
    return out[0] if planes == 1 else np.moveaxis(out[..., 0], 0, -1)


@dataclass(frozen=True)
class Grid:
    """The strips or tiles of a picture."""

    height: int
    """Rows of a strip or tile, but for the last ones."""
    n_down: int
    n_across: int
    n_planes: int

    @classmethod
    def of(cls, tags: Any) -> Grid:
        """That of tifffile's page."""
        planes, _, height, width, _ = tags.shaped
        if tags.is_tiled:
            rows, n_across = tags.tilelength, math.ceil(width / tags.tilewidth)
        else:
            rows, n_across = max(tags.rowsperstrip, 1), 1
        return cls(rows, math.ceil(height / rows), n_across, planes)


def plain_start(tags: Any, data: Content) -> int | None:
    """Where rows begin that follow each other in the file as they are; None where they do not, or not all."""
    planes, _, height, width, channels = tags.shaped
    row_bytes = width * channels * tags.dtype.itemsize
    is_plain = (
        tags.compression == _NONE
        and not tags.is_tiled
        and planes == 1
        and tags.predictor == tags.fillorder == 1
        and tags.bitspersample == 8 * tags.dtype.itemsize
    )
    offsets, sizes = tags.dataoffsets, tags.databytecounts
    if not is_plain or not len(offsets) == len(sizes) == Grid.of(tags).n_down:
        return None
    rows = min(max(tags.rowsperstrip, 1), height)
    place = offsets[0]
    for i, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        n_rows = min(rows, height - i * rows)
        if offset < 1 or offset != place or size != n_rows * row_bytes:
            return None
        place += size
    return int(offsets[0]) if place <= len(data) else None


def is_jpeg(tags: Any) -> bool:
    """Whether strips or tiles are JPEG streams, whose decoder turns YCbCr to RGB."""
    return tags.compression in _JPEG


def check_kind(tags: Any) -> None:
    """Refuse a valid picture of a kind that is not read, and name the kind."""
    bits = tags.bitspersample
    kind = _FORMATS.get(int(tags.sampleformat) if isinstance(tags.sampleformat, int) else 0)
    if not isinstance(bits, int):
        raise unsupported(f"a TIFF with samples of {', '.join(map(str, bits))} bits in one pixel")
    if kind is None or tags.dtype is None:
        raise unsupported(f"a TIFF with {bits}-bit {kind or 'complex or mixed'} samples")
    if tags.compression in _JPEG_XR:
        # Its decoder crashes on damaged data, and takes half a picture for a whole one.
        raise unsupported("a TIFF with JPEG XR compression", "save it with another compression")
    if tags.compression == _OLD_JPEG:
        raise unsupported("a TIFF with old-style JPEG compression", "save it with another compression")
    if tags.compression not in _READABLE:
        name = getattr(tags.compression, "name", tags.compression)
        raise unsupported(f"a TIFF with compression {name}", "save it with another compression")
    if tags.predictor == _HORIZONTAL and tags.compression in _BYTES and bits not in _WHOLE_BYTES:
        raise unsupported(f"a TIFF with a predictor on {bits}-bit samples")
    if tags.photometric == _YCBCR and tags.is_subsampled and tags.compression not in _JPEG:
        raise unsupported("a TIFF of subsampled YCbCr that is not JPEG", "save it as RGB")


def check_segments(tags: Any, data: Content, grid: Grid) -> None:
    """Refuse a picture of which strips or tiles are not in the file.

    Raises
    ------
    BadImageError
        If any is not there, or not all of it.
    """
    offsets, sizes = tags.dataoffsets, tags.databytecounts
    n = grid.n_down * grid.n_across * grid.n_planes
    if not len(offsets) == len(sizes) == n:
        raise truncated(f"{n} strips or tiles are needed, {min(len(offsets), len(sizes))} are there")
    for number, (offset, size) in enumerate(zip(offsets, sizes, strict=True)):
        if size < 1 or offset < 1:
            advice = "fill it first (gdal_translate -co SPARSE_OK=FALSE), or export it again"
            raise unsupported(f"a sparse TIFF, whose strip or tile {number} is not there", advice)
        if offset + size > len(data):
            raise truncated(f"{offset + size - len(data)} bytes of its pixels are missing")


def _segments(tags: Any, data: Content, grid: Grid, first: int, stop: int) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of each strip or tile of some bands."""
    n = grid.n_down * grid.n_across
    for plane in range(grid.n_planes):
        for number in range(plane * n + first * grid.n_across, plane * n + stop * grid.n_across):
            offset = tags.dataoffsets[number]
            yield number, data[offset : offset + tags.databytecounts[number]]


def _decode(tags: Any, segment: bytes, number: int) -> Any:
    """Samples (1, rows, columns, C) of a strip or tile, its place and its shape."""
    if tags.compression in _BYTES or tags.compression in _FAX:
        return tags.decode(segment, number)
    _, place, shape = tags.decode(None, number)
    # Strips and tiles at the edge may be as large as the others, or end where the image ends.
    samples = _decode_picture(tags, segment, shape[1:])
    return samples.reshape(shape), place, shape


def _decode_picture(tags: Any, segment: bytes, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Decode a strip or tile that is itself an image file, after checking its header."""
    import tifffile

    out = np.empty(shape if shape[2] > 1 else shape[:2], tags.dtype)
    if tags.compression in _JPEG:
        return _jpeg(tags, segment, out)
    if tags.compression in _JPEG_2000:
        header = read_codestream(segment)
        if header.size != shape[1::-1] or header.n_components != shape[2]:
            raise truncated("a JPEG 2000 tile is not of the size that the tags state")
        return decode_codestream(segment, out)
    if tags.compression == _LERC:
        segment = _lerc_blob(tags, segment, out.nbytes)
    return np.asarray(tifffile.TIFF.DECOMPRESSORS[tags.compression](segment, out=out))


def _jpeg(tags: Any, segment: bytes, out: NDArray[Any]) -> NDArray[Any]:
    import imagecodecs
    from tifffile.tifffile import jpeg_decode_colorspace

    frame = read_frame(segment)
    channels = 1 if out.ndim == 2 else out.shape[2]
    if frame.size != out.shape[1::-1] or len(frame.components) != channels:
        raise truncated("a JPEG tile is not of the size that the tags state")
    colours, out_colours = jpeg_decode_colorspace(
        tags.photometric, tags.planarconfig, tags.extrasamples, tags.is_jfif
    )
    tables = tags.tags.valueof(_JPEG_TABLES)

    def decode(whole: bytes) -> NDArray[Any]:
        return np.asarray(
            imagecodecs.jpeg8_decode(
                whole, tables=tables, colorspace=colours, outcolorspace=out_colours, out=np.empty_like(out)
            )
        )

    return decode_whole(segment, decode)


def _lerc_blob(tags: Any, segment: bytes, n_bytes: int) -> bytes:
    """Undo the compression around LERC, as LercParameters states: 0 for none, 1 deflate, 2 Zstandard."""
    import imagecodecs

    parameters = tags.tags.valueof(_LERC_PARAMETERS) or (0, 0)
    if parameters[1] == 0:
        return segment
    decompress = {1: imagecodecs.deflate_decode, 2: imagecodecs.zstd_decode}[parameters[1]]
    return bytes(decompress(segment, out=2 * n_bytes + _LERC_HEADER_BYTES))

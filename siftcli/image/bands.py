"""The rows of a TIFF or of a raw PGM/PPM in bands, of which each is decoded on its own.

Only where that gives the same samples as decoding all at once: grey or colour of 8 or 16 bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..io.reading import OpenFile
from .decoded import Decoded, damage, truncated, valid_orientation
from .pnm import decode_rows, header_of
from .tiff import ORIENTATION, RAW_KINDS, tags_of
from .tiff_colours import samples_of
from .tiff_directories import Content, full_pictures
from .tiff_pixels import Grid, check_kind, plain_start, read_pixels

MOST_BAND_BYTES = 128 << 20
"""Samples of a band: of what is stored in higher ones little would be saved."""
_BAND_BYTES = 4 << 20
"""Samples decoded at once where strips or tiles are smaller."""
_HEADER_BYTES = 1 << 16
_PHOTOMETRICS = (0, 1, 2, 3, 6)
"""Grey (white or black is zero), RGB, palette and YCbCr."""
_MOST_SAMPLES = 4
_PNM, _TIFF, _CANON_RAW = (b"P5", b"P6"), (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), b"CR"


@dataclass(frozen=True)
class Bands:
    """How a picture is decoded in bands."""

    size: tuple[int, int]
    """(width, height)"""
    decode: Callable[[Content, int, int], Decoded]
    """From the file, and the first row of a band and the row after its last, to their samples."""
    n_rows: int = 1
    """Rows of a band, but for the last."""
    row_bytes: int = 0
    """Samples of a row."""
    why_whole: str = ""
    """Why it must be decoded at once, if so, as the end of a sentence; the rest does not matter then."""
    exif_orientation: int = 1
    n_pages: int = 1


def bands_of(file: OpenFile, page: int, smallest: int) -> Bands | None:
    """How a page of a file is decoded; None if it is no TIFF or raw PGM/PPM, has no such page, or is small.

    Parameters
    ----------
    file
        The file.
    page
        From 0.
    smallest
        Pixels of a picture that is not small.

    Raises
    ------
    BadImageError
        If it is damaged, or of a kind that is not read: decoding it at once tells which.
    """
    with damage():
        head = file[:4]
        if head[:2] in _PNM and page == 0:
            return _of_pnm(file, smallest)
        if head in _TIFF and file[8:10] != _CANON_RAW:
            return _of_tiff(file, page, smallest)
    return None


def _of_pnm(file: OpenFile, smallest: int) -> Bands | None:
    header = header_of(file[:_HEADER_BYTES])
    if math.prod(header.size) < smallest:
        return None
    if len(file) < header.start + header.size[1] * header.row_bytes:
        raise truncated("some of its samples are missing")

    def decode(content: Content, first: int, stop: int) -> Decoded:
        start, end = (header.start + row * header.row_bytes for row in (first, stop))
        return decode_rows(header, content[start:end])

    return Bands(header.size, decode, _n_rows(header.row_bytes), header.row_bytes)


def _of_tiff(file: OpenFile, page: int, smallest: int) -> Bands | None:
    pictures = full_pictures(file)
    if page >= len(pictures) or pictures[page].photometric in RAW_KINDS or pictures[page].n_pixels < smallest:
        return None
    size = pictures[page].size
    tags = tags_of(file.stream, pictures[page])
    for tag in tags.tags:  # all that decoding may ask for is read now: it will open the file again
        _ = tag.value
    _ = tags.is_jfif
    check_kind(tags)
    row_bytes, grid = tags.imagewidth * tags.samplesperpixel * np.dtype(tags.dtype).itemsize, Grid.of(tags)
    place = plain_start(tags, file)
    if place is None:
        decode, n_rows = partial(_of_segments, tags, grid), _n_rows(row_bytes * grid.height) * grid.height
    else:
        decode, n_rows = partial(_plain, tags, place, row_bytes), _n_rows(row_bytes)
    return Bands(
        size,
        decode,
        n_rows,
        row_bytes,
        _why_whole(tags) or ("" if place is not None else _too_high(tags, grid)),
        valid_orientation(tags.tags.valueof(ORIENTATION, 1)),
        len(pictures),
    )


def _n_rows(row_bytes: int) -> int:
    """Rows, of strips or tiles perhaps, that are decoded at once."""
    return max(1, _BAND_BYTES // row_bytes)


def _plain(tags: Any, place: int, row_bytes: int, content: Content, first: int, stop: int) -> Decoded:
    """Rows that follow each other in the file as they are."""
    data = content[place + first * row_bytes : place + stop * row_bytes]
    stored = np.frombuffer(data, np.dtype(tags.dtype).newbyteorder(tags.parent.byteorder))
    return _as_decoded(stored.astype(tags.dtype).reshape(-1, tags.imagewidth, tags.samplesperpixel), tags)


def _of_segments(tags: Any, grid: Grid, content: Content, first: int, stop: int) -> Decoded:
    """Rows of whole strips or tiles."""
    return _as_decoded(read_pixels(tags, content, (first // grid.height, -(-stop // grid.height))), tags)


def _as_decoded(pixels: NDArray[Any], tags: Any) -> Decoded:
    samples, full_scale, premultiplied = samples_of(pixels, tags)
    return Decoded(samples, full_scale, premultiplied=premultiplied)


def _why_whole(tags: Any) -> str:
    """Why a TIFF picture must be decoded at once; empty if it need not."""
    if tags.dtype not in (np.uint8, np.uint16) or tags.photometric not in _PHOTOMETRICS:
        return "its samples are not grey or colour of 8 or 16 bits"
    if tags.imagedepth != 1 or tags.tiledepth != 1 or tags.samplesperpixel > _MOST_SAMPLES:
        return f"it has slices, or more than {_MOST_SAMPLES} samples a pixel"
    return ""


def _too_high(tags: Any, grid: Grid) -> str:
    """Whether a row of strips or tiles takes too much, decoded or in the file, as :func:`_why_whole`."""
    width = grid.n_across * tags.tilewidth if tags.is_tiled else tags.imagewidth
    decoded = grid.height * width * tags.samplesperpixel * np.dtype(tags.dtype).itemsize
    stored = grid.n_across * grid.n_planes * max(tags.databytecounts, default=0)
    return f"its strips or tiles have {grid.height} rows" if max(decoded, stored) > MOST_BAND_BYTES else ""

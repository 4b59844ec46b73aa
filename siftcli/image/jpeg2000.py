"""JPEG 2000: files and bare codestreams, by OpenJPEG.

The boxes and markers are those of ITU-T T.800, annexes A and I.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import Decoded, check_page, check_size, damage, truncated, unsupported

_SIZE_MARKER = b"\xff\x4f\xff\x51"
_GREY, _RGB = 17, 16
_TILE_PIXELS, _FEW_TILES = 128, 64
"""OpenJPEG takes about 8 kB a tile: those of a picture of many are not smaller than this, on average."""
_MOST_COMPONENTS = 4


@dataclass(frozen=True)
class Codestream:
    """What the SIZ marker segment states."""

    size: tuple[int, int]
    """(width, height)."""
    bits: int
    n_components: int


def read_codestream(data: bytes) -> Codestream:
    """Read the header of the first codestream in a file or stream.

    Raises
    ------
    BadImageError
        If there is none, or its components are signed, of several kinds or sizes, or too many.
    """
    at = data.find(_SIZE_MARKER)
    if at < 0 or at + 42 > len(data):
        raise truncated("its JPEG 2000 header cannot be read")
    x1, y1, x0, y0, tile_width, tile_height, tile_x0, tile_y0, n = struct.unpack_from(">8IH", data, at + 8)
    kinds = {data[at + 42 + 3 * i : at + 45 + 3 * i] for i in range(min(n, _MOST_COMPONENTS))}
    if not tile_width or not tile_height or x1 <= x0 or y1 <= y0:
        raise truncated("its JPEG 2000 header states an empty picture")
    n_tiles = -(-(x1 - tile_x0) // tile_width) * -(-(y1 - tile_y0) // tile_height)
    if not 1 <= n <= _MOST_COMPONENTS or n_tiles > max(_FEW_TILES, (x1 - x0) * (y1 - y0) // _TILE_PIXELS):
        raise unsupported(f"a JPEG 2000 picture of {n} components in {n_tiles} tiles")
    kind = kinds.pop()
    if kinds or len(kind) != 3 or kind[1:] != b"\1\1" or kind[0] > 15:
        raise unsupported("a JPEG 2000 picture with subsampled, signed or more than 16-bit components")
    return Codestream((x1 - x0, y1 - y0), kind[0] + 1, n)


def decode_jpeg2000(data: bytes, page: int = 0) -> Decoded:
    """Decode a JPEG 2000 file: grey or RGB.

    Raises
    ------
    BadImageError
        If it is damaged, too large, or its samples are of a kind that is not read.
    """
    check_page(page, 1)
    header = read_codestream(data)
    check_size(header.size)
    _check_colours(data, header.n_components)
    shape = header.size[::-1] + ((3,) if header.n_components == 3 else ())
    samples = decode_codestream(data, np.empty(shape, np.uint8 if header.bits <= 8 else np.uint16))
    return Decoded(samples.reshape(*samples.shape[:2], -1), 2**header.bits - 1)


def decode_codestream(data: bytes, out: NDArray[Any]) -> NDArray[Any]:
    """Decode into an array of the shape and type that the header states."""
    import imagecodecs

    with damage():
        return np.asarray(imagecodecs.jpeg2k_decode(data, out=out))


def _check_colours(data: bytes, n_components: int) -> None:
    """Refuse a file whose components are no plain grey or RGB."""
    header = data[: data.find(_SIZE_MARKER)]
    at = header.find(b"colr")
    method = header[at + 4] if 0 <= at < len(header) - 11 else 2
    (space,) = struct.unpack_from(">I", header, at + 7) if method == 1 else (0,)
    plain = n_components in (1, 3) and (method != 1 or space == {1: _GREY, 3: _RGB}[n_components])
    if not plain or b"pclr" in header or b"cdef" in header:
        raise unsupported(f"a JPEG 2000 picture of {n_components} components that are not grey or RGB")

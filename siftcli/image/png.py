"""PNG: plain files by libpng, whose import takes a quarter of Pillow's; all others as Pillow shows them."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import groupby

import numpy as np

from .decoded import Decoded, check_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Of the colour types without a palette."""
_SIZES = {b"IHDR": 13, b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"pHYs": 9, b"tIME": 7, b"IEND": 0}
"""Of the chunks beside the data that change neither samples nor orientation."""


def decode_png(data: bytes, page: int = 0) -> Decoded:
    """Decode a PNG file, or a frame of an animated one.

    Raises
    ------
    BadImageError
        If it is damaged, too large or has no such frame.
    """
    if page == 0 and _is_plain(data):
        check_size(struct.unpack(">II", data[16:24]))
        if (decoded := _decode_plain(data)) is not None:
            return decoded
    from .png_pillow import decode_any

    return decode_any(data, page)


def _is_plain(data: bytes) -> bool:
    """Whether a file is whole, has 8 bits without a palette, and nothing else that could matter."""
    kinds, at = list[bytes](), len(_SIGNATURE)
    for kind, body in chunks(data):
        at += 12 + len(body)
        is_known = kind == b"IDAT" or _SIZES.get(kind) == len(body)
        if not is_known or data[at - 4 : at] != zlib.crc32(body, zlib.crc32(kind)).to_bytes(4, "big"):
            return False
        kinds.append(kind)
    parts = [kind for kind, _ in groupby(kinds)]
    is_in_order = parts[:1] == [b"IHDR"] and parts[-2:] == [b"IDAT", b"IEND"] and parts.count(b"IDAT") == 1
    if not (is_in_order and at == len(data) and kinds.count(b"IHDR") == 1):
        return False
    depth, colour, *methods = data[24:29]
    return depth == 8 and colour in _CHANNELS and not any(methods)


def _decode_plain(data: bytes) -> Decoded | None:
    """As libpng decodes it; None where it cannot."""
    width, height = struct.unpack(">II", data[16:24])
    try:
        import imagecodecs

        samples = np.asarray(imagecodecs.png_decode(data))
    except Exception:  # not installed, or Pillow says what is wrong
        return None
    samples = samples.reshape(*samples.shape[:2], -1)
    is_as_stated = samples.shape == (height, width, _CHANNELS[data[25]]) and samples.dtype == np.uint8
    return Decoded(samples, 255) if is_as_stated else None


def chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Kind and content of each chunk, as far as they are whole."""
    at, view = len(_SIGNATURE), memoryview(data)
    while at + 12 <= len(data):
        (n,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], view[at + 8 : at + 8 + n]
        at += 12 + n

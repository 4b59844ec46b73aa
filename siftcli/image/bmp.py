"""BMP: by Pillow, except for files with bit masks, which are read here.

The headers are those of Microsoft's BITMAPINFOHEADER, BITMAPV4HEADER and BITMAPV5HEADER.
"""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import Decoded, check_page, check_size, truncated
from .pillow import decode_pillow

_FILE_HEADER_BYTES, _INFO_BYTES, _INFO_AND_MASKS_BYTES = 14, 40, 56
_BIT_FIELDS, _ALPHA_BIT_FIELDS = 3, 6


def decode_bmp(data: bytes, page: int = 0) -> Decoded:
    """Decode a BMP file.

    Raises
    ------
    BadImageError
        If it is damaged or too large.
    """
    if len(data) >= _FILE_HEADER_BYTES + _INFO_BYTES:
        header_bytes, bits, compression = (
            *struct.unpack_from("<I", data, 14),
            *struct.unpack_from("<HI", data, 28),
        )
        if (
            header_bytes >= _INFO_BYTES
            and bits in (16, 32)
            and compression in (_BIT_FIELDS, _ALPHA_BIT_FIELDS)
        ):
            check_page(page, 1)
            return Decoded(_bit_fields(data, header_bytes, bits, compression), 1)
    return decode_pillow(data, page, "BMP")


def _bit_fields(data: bytes, header_bytes: int, bits: int, compression: int) -> NDArray[np.float32]:
    (start,) = struct.unpack_from("<I", data, 10)
    width, height = struct.unpack_from("<ii", data, 18)
    check_size((width, abs(height)))
    stride = (width * bits + 31) // 32 * 4
    if start + stride * abs(height) > len(data):
        raise truncated(f"{start + stride * abs(height) - len(data)} bytes of its pixels are missing")
    rows = np.frombuffer(data, np.uint8, stride * abs(height), start).reshape(abs(height), stride)
    pixels = rows.view(f"<u{bits // 8}")[:: -1 if height > 0 else 1, :width]
    masks = _masks(data, header_bytes, compression)
    return np.dstack([_field(pixels, mask) for mask in masks])


def _masks(data: bytes, header_bytes: int, compression: int) -> tuple[int, ...]:
    """Masks of red, green and blue, and of alpha if there is any."""
    has_alpha = header_bytes >= _INFO_AND_MASKS_BYTES or compression == _ALPHA_BIT_FIELDS
    try:
        masks = struct.unpack_from("<4I" if has_alpha else "<3I", data, _FILE_HEADER_BYTES + _INFO_BYTES)
    except struct.error as error:
        raise truncated("its bit masks are missing") from error
    if not all(_is_run(mask) for mask in masks[:3]) or not _is_run(masks[-1] or 1):
        raise truncated("a bit mask is empty or has gaps")
    return masks if masks[-1] else masks[:3]


def _is_run(mask: int) -> bool:
    """Whether the bits of a mask are contiguous."""
    lowest = mask & -mask
    return mask != 0 and (mask + lowest) & mask == 0


def _field(pixels: NDArray[Any], mask: int) -> NDArray[np.float32]:
    shift = (mask & -mask).bit_length() - 1
    values = (pixels.astype(np.uint32) & np.uint32(mask)) >> np.uint32(shift)
    return (values / (mask >> shift)).astype(np.float32)

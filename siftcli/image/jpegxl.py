"""JPEG XL files, by libjxl. The header is that of ISO/IEC 18181-1, annex D."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .decoded import Decoded, check_page, check_size, damage, truncated, unsupported

_CODESTREAM = b"\xff\x0a"
_BOX_BYTES = 8
_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_HEADER_BYTES = 64
_ALPHA = 0


class _Bits:
    """Reads numbers of any width, lowest bit first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")

    def take(self, n: int) -> int:
        value = self._value & ((1 << n) - 1)
        self._value >>= n
        return value

    def choose(self, *ways: tuple[int, int]) -> int:
        """One of four ways, each an offset and a number of bits that are added to it."""
        offset, n = ways[self.take(2)]
        return offset + self.take(n)


@dataclass(frozen=True)
class Header:
    """What the beginning of a codestream states."""

    size: tuple[int, int]
    """(width, height), before the orientation is applied."""
    orientation: int
    bits: int
    is_float: bool
    is_animated: bool
    has_alpha: bool
    premultiplied: bool


def read_header(data: bytes) -> Header:
    """Read the header of a codestream, bare or in boxes.

    Raises
    ------
    BadImageError
        If there is none, or it states what is not read.
    """
    bits = _Bits(_codestream(data)[2 : 2 + _HEADER_BYTES])
    size = _size(bits)
    if bits.take(1):  # all values are the default ones
        return Header(size, 1, 8, False, False, False, False)
    orientation, animated = 1, 0
    if bits.take(1):
        orientation = 1 + bits.take(3)
        if bits.take(1):
            _size(bits)  # the size at which it is meant to be shown
        preview, animated = bits.take(1), bits.take(1)
        if preview or animated:
            raise unsupported("a JPEG XL animation, or one with a preview")
    is_float, n_bits = _depth(bits)
    bits.take(1)
    has_alpha, premultiplied = _extra_channels(bits)
    return Header(size, orientation, n_bits, is_float, bool(animated), has_alpha, premultiplied)


def _codestream(data: bytes) -> bytes:
    if data.startswith(_CODESTREAM):
        return data
    at = 0
    while at + _BOX_BYTES <= len(data):
        n, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        skip = {b"jxlc": 8, b"jxlp": 12}.get(kind)
        if skip is not None and data[at + skip : at + skip + 2] == _CODESTREAM:
            return data[at + skip : at + skip + _HEADER_BYTES + 2]
        if n < _BOX_BYTES:  # to the end of the file, or of more than 4 GB
            break
        at += n
    raise truncated("its JPEG XL header cannot be read")


def _size(bits: _Bits) -> tuple[int, int]:
    by_eight = bits.take(1)

    def side() -> int:
        return 8 * (1 + bits.take(5)) if by_eight else bits.choose((1, 9), (1, 13), (1, 18), (1, 30))

    height, ratio = side(), bits.take(3)
    if ratio == 0:
        return side(), height
    numerator, denominator = _RATIOS[ratio - 1]
    return height * numerator // denominator, height


def _depth(bits: _Bits) -> tuple[bool, int]:
    is_float = bool(bits.take(1))
    if is_float:
        n = bits.choose((32, 0), (16, 0), (24, 0), (1, 6))
        bits.take(4)
        return True, n
    return False, bits.choose((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channels(bits: _Bits) -> tuple[bool, bool]:
    """Whether there is alpha, and whether the colours are multiplied by it."""
    n = bits.choose((0, 0), (1, 0), (2, 4), (1, 12))
    if n == 0:
        return False, False
    if n == 1 and bits.take(1):
        return True, False
    kind = bits.choose((0, 0), (1, 0), (2, 4), (18, 6))
    if n > 1 or kind != _ALPHA:
        raise unsupported("a JPEG XL picture with more channels than colours and alpha")
    _depth(bits)
    bits.choose((0, 0), (3, 0), (4, 0), (1, 3))
    bits.take(8 * bits.choose((0, 0), (0, 4), (16, 5), (48, 10)))  # its name
    return True, bool(bits.take(1))


def decode_jpegxl(data: bytes, page: int = 0) -> Decoded:
    """Decode a JPEG XL file.

    Raises
    ------
    BadImageError
        If it is damaged, too large, or its samples are of a kind that is not read.
    """
    import imagecodecs

    header = read_header(data)
    check_page(page, 1)
    check_size(header.size)
    if not header.is_float and header.bits > 16:
        raise unsupported(f"a JPEG XL picture of {header.bits} bits")
    with damage():
        samples: Any = np.asarray(imagecodecs.jpegxl_decode(data, keeporientation=True))
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[1::-1] != header.size or (samples.shape[2] in (2, 4)) != header.has_alpha:
        raise truncated("its samples are not those that its header states")
    full_scale = 1 if samples.dtype.kind == "f" else 2**header.bits - 1
    return Decoded(samples, full_scale, header.orientation, premultiplied=header.premultiplied)

"""JPEG: 8 bits by Pillow; 12 bits, lossless, and what lacks only its end mark by libjpeg-turbo.

Markers and the progress of scans are those of ITU-T T.81, annexes B and G.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import (
    BadImageError,
    Decoded,
    check_page,
    check_size,
    damage,
    truncated,
    unsupported,
    valid_orientation,
)
from .pillow import decode_pillow

_END = b"\xff\xd9"
_FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB}
_LOSSLESS = {0xC3, 0xCB}
_HIERARCHICAL = {0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF}
_LOSSLESS_LS = 0xF7
_SCAN, _APP1 = 0xDA, 0xE1
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_N_COEFFICIENTS = 64
_STEPS = (0, 73, 101, 147, 199, 229)
# Bits appended to a scan that may be incomplete: none, ones, zeros, and five mixtures. If the scan does read
# them, some of these decode to a different picture.
_FILLINGS = (b"", b"\xff\x00" * 64, *(bytes(step * i % 251 for i in range(64)) for step in _STEPS))


@dataclass(frozen=True)
class Frame:
    """What the frame header of a JPEG stream states."""

    marker: int
    precision: int
    size: tuple[int, int]
    """(width, height)."""
    components: bytes
    """Identifier of each."""

    @property
    def is_lossless(self) -> bool:
        """Whether its samples are predicted, not transformed."""
        return self.marker in _LOSSLESS


def read_frame(data: bytes) -> Frame:
    """Read the frame header.

    Raises
    ------
    BadImageError
        If there is none, or it is that of a hierarchical or JPEG-LS stream.
    """
    for marker, body in _segments(data):
        if marker in _FRAMES and len(body) >= 6:
            precision, height, width, n = struct.unpack_from(">BHHB", body)
            return Frame(marker, precision, (width, height), body[6 : 6 + 3 * n : 3])
        if marker in _HIERARCHICAL or marker == _LOSSLESS_LS:
            raise unsupported(
                "a JPEG-LS picture" if marker == _LOSSLESS_LS else "a hierarchical JPEG picture"
            )
        if marker == _SCAN:
            break
    raise truncated("its JPEG header cannot be read")


def decode_jpeg(data: bytes, page: int = 0, *, luminance: bool = False) -> Decoded:
    """Decode a JPEG file.

    Parameters
    ----------
    data
        The file.
    page
        Number of the picture, from 0.
    luminance
        Whether of colours that are stored as luminance and chrominance only the first is decoded.

    Raises
    ------
    BadImageError
        If it is damaged, too large, or its samples are of a kind that is not read.
    """
    frame = read_frame(data)
    if frame.precision == 8 and not frame.is_lossless:
        try:
            return decode_pillow(data, page, "JPEG", luminance=luminance)
        except BadImageError:
            if not lacks_end(data):
                raise
        return _without_end(data, page, luminance)
    check_page(page, 1)
    check_size(frame.size)
    samples = decode_stream(data, frame)
    return Decoded(samples, 2**frame.precision - 1, _orientation(data))


def _without_end(data: bytes, page: int, luminance: bool) -> Decoded:
    wholes = endings(data)
    _require_same([decode_pillow(whole, page, "JPEG").samples for whole in wholes])  # colours too
    return decode_pillow(wholes[0], page, "JPEG", luminance=luminance)


def decode_stream(data: bytes, frame: Frame) -> NDArray[Any]:
    """(H, W, C) samples of a stream of any precision: grey or RGB."""
    import imagecodecs

    if len(frame.components) not in (1, 3):
        raise unsupported(f"a {frame.precision}-bit JPEG picture of {len(frame.components)} components")
    shape = frame.size[::-1] + ((3,) if len(frame.components) == 3 else ())
    dtype = np.uint8 if frame.precision <= 8 else np.uint16

    def decode(whole: bytes) -> NDArray[Any]:
        with damage():
            return np.asarray(imagecodecs.jpeg8_decode(whole, out=np.empty(shape, dtype)))

    samples = decode_whole(data, decode)
    return samples.reshape(*samples.shape[:2], -1)


def _orientation(data: bytes) -> int:
    from PIL import ExifTags, Image

    for marker, body in _segments(data):
        if marker == _APP1 and body.startswith(b"Exif\0\0"):
            exif = Image.Exif()
            try:
                exif.load(body)
                return valid_orientation(exif.get(ExifTags.Base.Orientation, 1))
            except Exception:  # damaged EXIF is no reason to refuse the pixels
                return 1
    return 1


# --- the end mark --------------------------------------------------------------------------------------


def decode_whole(data: bytes, decode: Callable[[bytes], NDArray[Any]]) -> NDArray[Any]:
    """Decode a stream by a decoder that fills in what is missing; refuse it if anything is.

    Raises
    ------
    BadImageError
        If it is damaged or truncated.
    """
    if not lacks_end(data):
        return decode(data)
    found = [decode(whole) for whole in endings(data)]
    _require_same(found)
    return found[0]


def _require_same(found: list[NDArray[Any]]) -> None:
    if not all(np.array_equal(found[0], other) for other in found[1:]):
        raise truncated("a part of its last scan is missing")


def lacks_end(data: bytes) -> bool:
    """Whether a stream has scans, but no end mark after the last."""
    scans = list(_scans(data))
    return bool(scans) and data.find(_END, scans[-1].at) < 0


def endings(data: bytes) -> list[bytes]:
    """The stream with an end mark, after bits that only a scan that is not complete would read.

    Raises
    ------
    BadImageError
        If whole scans are missing.
    """
    _require_all_scans(data)
    return [data.rstrip(b"\xff") + filling + _END for filling in _FILLINGS]


@dataclass(frozen=True)
class _Scan:
    components: bytes
    first: int
    last: int
    low_bit: int
    at: int


def _require_all_scans(data: bytes) -> None:
    """Every component has come, and in a progressive stream every coefficient to its lowest bit."""
    frame = read_frame(data)
    low_bits = {component: [1] * _N_COEFFICIENTS for component in frame.components}
    for scan in _scans(data):
        for component in scan.components:
            if component in low_bits:
                n = scan.last + 1 - scan.first
                low_bits[component][scan.first : scan.last + 1] = [scan.low_bit] * n
    needed = 1 if frame.is_lossless else _N_COEFFICIENTS
    if any(any(bits[:needed]) for bits in low_bits.values()):
        raise truncated("some of its scans are missing")


def _scans(data: bytes) -> Iterator[_Scan]:
    lossless = False
    for marker, body, at in _segments_at(data):
        lossless = lossless or marker in _LOSSLESS
        if marker == _SCAN and body and len(body) >= 2 * body[0] + 4:
            first, last, bits = body[2 * body[0] + 1 : 2 * body[0] + 4]
            if lossless:  # there the fields mean a predictor and a shift
                first = last = bits = 0
            yield _Scan(body[1 : 2 * body[0] + 1 : 2], first, min(last, 63), bits & 15, at + len(body))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    for marker, body, _ in _segments_at(data):
        yield marker, body


def _segments_at(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, content and place of the content of each segment; entropy-coded data is passed over."""
    at = 2
    while (found := _MARKER.search(data, at)) is not None:
        at, marker = found.end(), found[1][0]
        if marker in (0xD8, 0x01):
            continue
        if marker == _END[1] or at + 2 > len(data):
            return
        (n,) = struct.unpack_from(">H", data, at)
        yield marker, data[at + 2 : at + n], at + 2
        at += max(n, 2)

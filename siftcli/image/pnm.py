"""PGM and PPM files, scaled by the maximum they state."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import BadImageError, Decoded, check_page, check_size, truncated

_PART_BYTES = 1 << 20
_PNM_GAP = re.compile(rb"\s")
_PNM_SPACE = rb"(?:\s|#[^\r\n]*[\r\n])+"
_PNM_HEADER = re.compile(
    rb"P([2356])" + _PNM_SPACE + rb"(\d{1,9})" + _PNM_SPACE + rb"(\d{1,9})" + _PNM_SPACE + rb"(\d{1,5})\s"
)


@dataclass(frozen=True)
class Header:
    """What stands before the samples."""

    kind: int
    """2 and 3 are plain, 5 and 6 raw; 3 and 6 in colour."""
    size: tuple[int, int]
    """(width, height)"""
    full_scale: int
    start: int
    """Where the samples begin."""

    @property
    def channels(self) -> int:
        """Samples a pixel."""
        return 3 if self.kind in (3, 6) else 1

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of raw samples."""
        return np.dtype(">u2") if self.full_scale > np.iinfo(np.uint8).max else np.dtype(np.uint8)

    @property
    def row_bytes(self) -> int:
        """Raw samples of a row."""
        return self.size[0] * self.channels * self.dtype.itemsize


def decode_pnm(data: bytes, page: int = 0) -> Decoded:
    """Decode a PGM or PPM file, plain or raw.

    Raises
    ------
    BadImageError
        If it is damaged or too large.
    """
    check_page(page, 1)
    header = header_of(data)
    check_size(header.size)
    width, height = header.size
    n = width * height * header.channels
    body = memoryview(data)[header.start :]
    is_plain = header.kind in (2, 3)
    if len(body) < (2 * n - 1 if is_plain else n):
        raise truncated("some of its samples are missing")
    return _decoded(header, _plain_samples(bytes(body), n) if is_plain else _raw_samples(header, body, n), n)


def header_of(data: bytes) -> Header:
    """The header at the beginning of a file.

    Raises
    ------
    BadImageError
        If it is damaged.
    """
    found = _PNM_HEADER.match(data)
    if found is None:
        raise truncated("its PGM/PPM header cannot be read")
    kind, width, height, full_scale = (int(group) for group in found.groups())
    if not 0 < full_scale <= np.iinfo(np.uint16).max:
        raise BadImageError(f"expected a maximum of 1 to 65535, got {full_scale}; export it again")
    return Header(kind, (width, height), full_scale, found.end())


def decode_rows(header: Header, data: bytes) -> Decoded:
    """Decode whole rows of raw samples."""
    n = len(data) // header.dtype.itemsize
    return _decoded(header, _raw_samples(header, memoryview(data), n), n)


def _decoded(header: Header, flat: NDArray[Any], n: int) -> Decoded:
    """The samples in rows, if there are ``n`` and none is too large."""
    if flat.size < n:
        raise truncated(f"{n - flat.size} of its {n} samples are missing")
    if flat.max() > header.full_scale:
        raise BadImageError(f"a sample of {flat.max()} exceeds the maximum {header.full_scale} it states")
    return Decoded(flat.reshape(-1, header.size[0], header.channels), header.full_scale)


def _raw_samples(header: Header, body: memoryview, n: int) -> NDArray[Any]:
    dtype = header.dtype
    flat = np.frombuffer(body, dtype, count=min(n, len(body) // dtype.itemsize))
    return flat.astype(dtype.newbyteorder("="))


def _plain_samples(body: bytes, n: int) -> NDArray[Any]:
    """Up to n whole numbers in a text, parsed in parts, because Python integers take much memory."""
    text, parts, start, found = re.sub(rb"#[^\r\n]*", b"", body), [np.empty(0, np.uint16)], 0, 0
    try:
        while found < n and start < len(text):
            end = _PNM_GAP.search(text, min(start + _PART_BYTES, len(text)))
            stop = len(text) if end is None else end.start()
            parts.append(np.array([int(word) for word in text[start:stop].split()], dtype=np.uint16))
            start, found = stop, found + len(parts[-1])
    except (ValueError, OverflowError) as error:
        raise truncated("its samples are not whole numbers from 0 to 65535") from error
    return np.concatenate(parts)[:n]

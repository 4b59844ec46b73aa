"""PGM and PPM files, scaled by the maximum they state."""

from __future__ import annotations

import re
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


def decode_pnm(data: bytes, page: int = 0) -> Decoded:
    """Decode a PGM or PPM file, plain or raw.

    Raises
    ------
    BadImageError
        If it is damaged or too large.
    """
    check_page(page, 1)
    header = _PNM_HEADER.match(data)
    if header is None:
        raise truncated("its PGM/PPM header cannot be read")
    kind, width, height, full_scale = (int(group) for group in header.groups())
    check_size((width, height))
    if not 0 < full_scale <= np.iinfo(np.uint16).max:
        raise BadImageError(f"expected a maximum of 1 to 65535, got {full_scale}; export it again")
    channels = 3 if kind in (3, 6) else 1
    n = width * height * channels
    body = memoryview(data)[header.end() :]
    if len(body) < (2 * n - 1 if kind in (2, 3) else n):
        raise truncated("some of its samples are missing")
    flat = _plain_samples(bytes(body), n) if kind in (2, 3) else _raw_samples(body, n, full_scale)
    if flat.size < n:
        raise truncated(f"{n - flat.size} of its {n} samples are missing")
    if flat.max() > full_scale:
        raise BadImageError(f"a sample of {flat.max()} exceeds the maximum {full_scale} it states")
    return Decoded(flat.reshape(height, width, channels), full_scale)


def _raw_samples(body: memoryview, n: int, full_scale: int) -> NDArray[Any]:
    dtype = np.dtype(">u2") if full_scale > np.iinfo(np.uint8).max else np.dtype(np.uint8)
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

"""PNG of any kind: 8 bits by Pillow, 16 bits by libpng, and what Pillow gets wrong or refuses."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin

from ..io.limits import require_memory
from .decoded import BadImageError, Decoded, check_page, check_size, damage, truncated
from .pillow import decode_pillow, load, n_frames, opened, orientation_of
from .png import chunks

_GREY = 0
_DEEP_PIXEL_BYTES = 8
_WITH_TEXT = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_MOST_TEXT_BYTES = 1 << 24
"""What a compressed chunk may swell to; Pillow refuses a picture for a sixteenth of it."""
_TEXT_LOCK = threading.Lock()


def decode_any(data: bytes, page: int = 0) -> Decoded:
    """Decode a PNG file, or a frame of an animated one; as :func:`siftcli.image.png.decode_png`.

    Raises
    ------
    BadImageError
        If it is damaged, too large or has no such frame.
    """
    try:
        return _decode(data, page)
    except BadImageError:
        if not any(kind in _WITH_TEXT for kind, _ in chunks(data)):
            raise
    with _longer_text():
        return _decode(data, page)


@contextmanager
def _longer_text() -> Iterator[None]:
    """Raise Pillow's limit of a chunk's text or colour profile, which is the whole process's, for a while."""
    with _TEXT_LOCK:
        limit, PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_CHUNK, _MOST_TEXT_BYTES
        try:
            yield
        finally:
            PngImagePlugin.MAX_TEXT_CHUNK = limit


def _decode(data: bytes, page: int) -> Decoded:
    depth, colour = data[24:25], data[25:26]  # of IHDR
    if depth == b"\x10":
        return _deep(data, page)
    if colour == bytes([_GREY]) and depth != b"\x08" and (key := _transparent_grey(data)) is not None:
        return _few_greys(data, page, depth[0], key)
    return decode_pillow(data, page, "PNG")


# --- 16 bits -------------------------------------------------------------------------------------------


def _deep(data: bytes, page: int) -> Decoded:
    size = struct.unpack(">II", data[16:24])
    check_size(size)
    with opened(data, "PNG") as image:
        # A second header would be Pillow's; libpng takes the first.
        if image.size != size:
            raise truncated("it states two sizes")
        n_pages = n_frames(image)
        check_page(page, n_pages)
        with damage():
            load(image)  # Pillow checks all of the file, and finds EXIF that stands at its end
        orientation = orientation_of(image)
    samples = _deep_samples(data, page, size[0] * size[1] * n_pages)
    if samples.shape[1::-1] != size or samples.dtype != np.uint16:
        raise truncated("its samples are not those that its header states")
    return Decoded(samples.reshape(*samples.shape[:2], -1), 65535, orientation, n_pages)


def _deep_samples(data: bytes, page: int, n_pixels: int) -> NDArray[Any]:
    import imagecodecs

    with damage():
        if page == 0:
            return np.asarray(imagecodecs.png_decode(data))
    # A frame may be a part laid over those before it: all are composed.
    require_memory(n_pixels * _DEEP_PIXEL_BYTES, "decoding all its frames", "take its first frame")
    with damage():
        return np.asarray(imagecodecs.apng_decode(data)[page])


# --- grey of 1, 2 or 4 bits with a transparent value ---------------------------------------------------


def _few_greys(data: bytes, page: int, depth: int, key: int) -> Decoded:
    """Pillow compares the transparent value with samples that it has scaled."""
    with opened(data, "PNG") as image:
        check_page(page, n_frames(image))
        with damage():
            load(image)
            orientation = orientation_of(image)
            grey = np.asarray(Image.fromarray(np.asarray(image)).convert("L"))
    alpha = np.where(grey == key * 255 // (2**depth - 1), 0, 255).astype(np.uint8)
    return Decoded(np.dstack([grey, alpha]), 255, orientation)


def _transparent_grey(data: bytes) -> int | None:
    for kind, body in chunks(data):
        if kind == b"tRNS" and len(body) == 2:
            return int.from_bytes(body, "big")
        if kind == b"IDAT":
            return None
    return None

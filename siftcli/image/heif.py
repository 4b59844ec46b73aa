"""HEIC by pillow-heif (the extra ``heif``), AVIF by Pillow, and of more than 8 bits by libavif.

In HEIC, rotation and mirroring stated as properties of the picture (``irot``, ``imir``) are part of it, and
the EXIF orientation is only informative (ISO/IEC 23008-12).
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import Decoded, check_page, check_size, damage, truncated, unsupported
from .pillow import decode_pillow, n_frames, opened, orientation_of

_CONFIGURATION = b"av1C"
_HIGH, _TWELVE = 0x40, 0x20
_BRAND_BYTES = 64


def decode_heif(data: bytes, page: int = 0) -> Decoded:
    """Decode a HEIC or AVIF file; of a HEIC file with several pictures, the primary one is the first.

    Raises
    ------
    BadImageError
        If it is damaged or too large, or the extra is not installed.
    """
    n = int.from_bytes(data[:4], "big")
    if b"avi" in data[8 : min(n, _BRAND_BYTES)]:
        return _avif(data, page)
    return _heic(data, page)


def _heic(data: bytes, page: int) -> Decoded:
    try:
        import pillow_heif
    except ImportError as error:
        raise unsupported(
            "a HEIC picture", "pip install 'siftcli[heif]', or convert it to JPEG or PNG"
        ) from error
    with damage():
        file = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
        others = [i for i in range(len(file)) if i != file.primary_index]
        order = [file.primary_index, *others]
        check_page(page, len(order))
        picture = file[order[page]]
        check_size(picture.size)
        samples = np.asarray(picture)
    samples = samples.reshape(*samples.shape[:2], -1)
    if samples.shape[1::-1] != tuple(picture.size):
        raise truncated("its samples are not those that its header states")
    full_scale = 255 if samples.dtype == np.uint8 else 65535
    return Decoded(samples, full_scale, n_pages=len(order), premultiplied=bool(picture.premultiplied_alpha))


def _avif(data: bytes, page: int) -> Decoded:
    at = data.find(_CONFIGURATION)
    flags = data[at + 6] if 0 <= at < len(data) - 6 else 0
    if not flags & _HIGH:
        return decode_pillow(data, page, "AVIF")
    with opened(data, "AVIF") as image:
        size, orientation = image.size, orientation_of(image)
        n_pages = n_frames(image)
        check_page(page, n_pages)
    if page:
        raise unsupported("a frame of an AVIF sequence of more than 8 bits")
    samples = _deep_avif(data)
    if samples.shape[1::-1] != size or samples.dtype != np.uint16:
        raise truncated("its samples are not those that its header states")
    return Decoded(samples, 4095 if flags & _TWELVE else 1023, orientation, n_pages)


def _deep_avif(data: bytes) -> NDArray[Any]:
    import imagecodecs

    with damage():
        samples = np.asarray(imagecodecs.avif_decode(data, index=0))
        return samples.reshape(*samples.shape[:2], -1)

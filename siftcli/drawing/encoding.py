"""Encode drawings as the content of image files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

JPEG_QUALITY = 82


def png(picture: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3 or 4) uint8 as PNG."""
    return _encoded(picture, "PNG", optimize=picture.shape[2] == 4)


def jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) uint8 as JPEG."""
    return _encoded(picture, "JPEG", quality=JPEG_QUALITY, optimize=True)


def _encoded(picture: NDArray[np.uint8], format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format, **options)
    return buffer.getvalue()

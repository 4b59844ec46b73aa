"""Decoding 8-bit images with Pillow; a truncated file is an error."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from .decoded import BadImageError, Decoded, check_page, check_size, damage, truncated, valid_orientation

_PIL_LOCK = threading.Lock()
_PILLOWS_PIXELS = 80_000_000
"""Pillow warns of images a little larger, and refuses those of twice the size."""
_MP_ENTRIES = 0xB002
_GREY_MODES = ("1", "L", "LA", "La")
_MODES = (*_GREY_MODES, "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr")


def decode_pillow(data: bytes, page: int, kind: str, *, luminance: bool = False) -> Decoded:
    """Decode an image, or a frame of an animation, as Pillow shows it.

    Parameters
    ----------
    data
        The file.
    page
        Number of the frame, from 0.
    kind
        The format, by Pillow's name.
    luminance
        Whether of a JPEG file in colours that stores the luminance by itself only this is decoded.

    Raises
    ------
    BadImageError
        If it is damaged, too large, has no such frame or samples of another kind.
    """
    with opened(data, kind) as image:
        frames = _full_frames(image, data)
        check_page(page, len(frames))
        with damage():
            if page:
                image.seek(frames[page])
            if luminance and _stores_luminance(image):
                image.draft("L", None)
            load(image)
            orientation = orientation_of(image)
            samples = _samples(image)
    return Decoded(samples, 255, orientation, len(frames))


@contextmanager
def opened(data: bytes, kind: str) -> Iterator[Image.Image]:
    """Pillow's image, its header read and its size checked, under siftcli's limit instead of Pillow's."""
    with damage(), without_pillows_limit():
        try:
            image = Image.open(io.BytesIO(data), formats=(kind,))
        except UnidentifiedImageError as error:
            raise truncated(f"its {kind} header cannot be read") from error
    with image:
        check_size(image.size)
        yield image


def n_frames(image: Image.Image) -> int:
    """Number of frames as Pillow counts them."""
    with damage():
        return int(getattr(image, "n_frames", 1))


def _full_frames(image: Image.Image, data: bytes) -> list[int]:
    """Numbers of the frames that count; in a JPEG there may be gain maps, previews and empty places, too."""
    n = n_frames(image)
    if n == 1 or image.format != "MPO":
        return list(range(n))
    return [0, *(i for i in range(1, n) if _is_view(data, i, image))]


def _is_view(data: bytes, frame: int, first: Image.Image) -> bool:
    """Whether a further picture of a Multi-Picture file (CIPA DC-007) is a view like the first one."""
    try:
        with without_pillows_limit(), Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            image.seek(frame)
            kind = str(cast(Any, image).mpinfo[_MP_ENTRIES][frame]["Attribute"]["MPType"])
    except Exception:  # programs that edit the first picture leave the list of the others as it was
        return False
    is_alike = (image.size, image.mode) == (first.size, first.mode)
    return kind.startswith("Multi-Frame") or (kind == "Undefined" and is_alike)


def _stores_luminance(image: Image.Image) -> bool:
    """Whether the first component of a JPEG picture in colours is their luminance, as libjpeg decides it.

    That is 0.299 R + 0.587 G + 0.114 B, rounded (JFIF 1.02, "Color Space").
    """
    if image.mode != "RGB":
        return False
    if "jfif" in image.info:
        return True
    if "adobe" in image.info:
        return image.info.get("adobe_transform") != 0
    return bytes(component[0] for component in cast(Any, image).layer) != b"RGB"


def load(image: Image.Image) -> None:
    """Decode the pixels. Some plug-ins check the size again, so Pillow's limit is lifted."""
    is_large = image.width * image.height > _PILLOWS_PIXELS
    with without_pillows_limit() if is_large else nullcontext():
        image.load()


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation; 1 if EXIF is damaged, as the pixels are still usable."""
    try:
        return valid_orientation(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Pillow raises many kinds
        return 1


@contextmanager
def without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's limit on pixels, which is global to the process, for a short time."""
    with _PIL_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _samples(image: Image.Image) -> NDArray[Any]:
    """(H, W, C) uint8 of any 8-bit Pillow image."""
    if image.mode not in _MODES:
        raise BadImageError(f"{image.mode} samples are not supported; save it as 8-bit RGB")
    transparent = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    grey = image.mode in _GREY_MODES
    mode = {(True, False): "L", (True, True): "LA", (False, False): "RGB", (False, True): "RGBA"}[
        grey, transparent
    ]
    array = np.asarray(image if image.mode == mode else image.convert(mode))  # convert would copy
    return array.reshape(*array.shape[:2], -1)

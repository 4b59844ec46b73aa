"""Image file -> samples, exactly as stored; everything that is said about files that cannot be read.

The file's first bytes name its format. Pillow decodes 8-bit images, since a
truncated file is an error there, where OpenCV returns half a picture. OpenCV
decodes 16-bit and float ones, which Pillow would cut to 8 bits. Portable pixmaps
are plain arrays, and are read here with the maximum they state.
"""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from .._cv2 import import_cv2
from ..errors import InputError
from ..io.limits import MAX_IMAGE_BYTES
from ..io.reading import HEAD_BYTES, read_bytes
from . import tiff
from .decoded import BadImageError, Decoded, check_size, truncated
from .pnm import decode_pnm

EXPECTED = "a PNG, JPEG, TIFF, WebP, PGM/PPM or BMP image"
_PIL_LOCK = threading.Lock()
_PILLOWS_PIXELS = 80_000_000
"""Pillow warns of images a little larger, and refuses those of twice the size."""


def decode(path: str | PathLike[str]) -> Decoded:
    """Decode the first frame of an image file.

    Parameters
    ----------
    path
        The file; its format is told from its content, not from its suffix.

    Returns
    -------
    Decoded
        8-bit, 16-bit or float samples.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated, not an image, or larger than ``MAX_PIXELS``.
    MissingDependencyError
        If a 16-bit or float image is read where OpenCV is not installed.
    """
    name = os.fspath(path)
    try:
        return _decode(_read(name))
    except (BadImageError, InputError) as error:
        raise InputError(f"{name}: {error}") from error


def _read(name: str) -> tuple[bytes, Callable[[bytes], Decoded]]:
    """Read a file whole, if its head is that of an image, and choose the decoder."""
    try:
        data = read_bytes(name, MAX_IMAGE_BYTES, _decoder)
        return data, _decoder(data)
    except FileNotFoundError as error:
        raise BadImageError("no such file; check the path") from error
    except IsADirectoryError as error:
        raise BadImageError(f"expected {EXPECTED}, got a folder; name a file in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadImageError(f"cannot be read ({reason}); check the path and its permissions") from error


def _decoder(data: bytes) -> Callable[[bytes], Decoded]:
    head = data[:HEAD_BYTES]
    for pattern, decoder in _DECODERS:
        if re.match(pattern, head, re.DOTALL):
            return decoder
    if not head:
        raise BadImageError(f"expected {EXPECTED}, got an empty file; copy or export it again")
    raise BadImageError(f"expected {EXPECTED}, got something else; convert it to one of these")


def _decode(file: tuple[bytes, Callable[[bytes], Decoded]]) -> Decoded:
    data, decoder = file
    try:
        return decoder(data)
    except MemoryError as error:
        raise BadImageError("not enough memory to decode it; reduce the image first") from error


# --- Pillow: 8-bit -------------------------------------------------------------------------------------


def _decode_pillow(data: bytes, *formats: str) -> Decoded:
    with _opened(data, formats) as image:
        check_size(image.size)
        with _decoding():
            _load(image)
            orientation = _orientation(image)
            samples = _samples(image)
    return Decoded(samples, 255, orientation)


@contextmanager
def _opened(data: bytes, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """Pillow's image, its header read, under this module's pixel limit instead of Pillow's."""
    with _decoding(), _without_pillows_limit():
        try:
            image = Image.open(io.BytesIO(data), formats=formats)
        except UnidentifiedImageError as error:
            raise truncated(f"its {formats[0]} header cannot be read") from error
    with image:
        yield image


@contextmanager
def _decoding() -> Iterator[None]:
    """Tell whatever a decoder raises as damage: on hostile bytes that may be nearly anything."""
    try:
        yield
    except (BadImageError, MemoryError):
        raise
    except Exception as error:
        raise truncated(error) from error


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Lift Pillow's limit, which is the whole process's, for as short as may be."""
    with _PIL_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _load(image: Image.Image) -> None:
    """Decode; a TIFF's size is checked by Pillow once more."""
    is_large = image.width * image.height > _PILLOWS_PIXELS
    with _without_pillows_limit() if is_large else nullcontext():
        image.load()


def _orientation(image: Image.Image) -> int:
    try:
        tag = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF is no reason to refuse the pixels; Pillow raises many kinds
        return 1
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def _samples(image: Image.Image) -> NDArray[Any]:
    """(H, W, C) uint8 of any 8-bit Pillow image."""
    transparent = image.mode in ("LA", "PA", "La", "RGBA", "RGBa") or "transparency" in image.info
    grey = image.mode in ("1", "L", "LA", "La")
    if image.mode not in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"):
        raise ValueError(f"{image.mode} samples are not supported; save it as 8-bit RGB")
    mode = {(True, False): "L", (True, True): "LA", (False, False): "RGB", (False, True): "RGBA"}[
        grey, transparent
    ]
    array = np.asarray(image.convert(mode))
    return array.reshape(*array.shape[:2], -1)


# --- OpenCV: 16-bit and float --------------------------------------------------------------------------


def _decode_opencv(data: bytes, size: tuple[int, int]) -> NDArray[Any]:
    """(H, W, C) samples in their own type, colours in RGB order, of the size that was checked."""
    cv2 = import_cv2()
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise truncated("OpenCV cannot decode it") from error
    finally:
        cv2.utils.logging.setLogLevel(level)
    if array is None or array.shape[1::-1] != size:
        raise truncated("OpenCV cannot decode it")
    array = array.reshape(*array.shape[:2], -1)
    if array.shape[2] >= 3:
        array = array[:, :, [2, 1, 0, 3][: array.shape[2]]]
    return np.asarray(array)


def _full_scale(samples: NDArray[Any]) -> float:
    if samples.dtype.kind == "f":
        return 1
    if samples.dtype in (np.uint8, np.uint16):
        return float(np.iinfo(samples.dtype).max)
    raise BadImageError(
        f"expected 8-bit, unsigned 16-bit or float samples, got {samples.dtype}; convert it to one of these"
    )


def _decode_png(data: bytes) -> Decoded:
    if data[24:25] != b"\x10":  # IHDR's bit depth
        return _decode_pillow(data, "PNG")
    size = struct.unpack(">II", data[16:24])
    check_size(size)
    with _opened(data, ("PNG",)) as image:
        # A second header would be Pillow's; OpenCV takes the first.
        if image.size != size:
            raise truncated("it states two sizes")
        with _decoding():
            _load(image)  # Pillow notices what is missing; OpenCV would return half a picture
        orientation = _orientation(image)
    samples = _decode_opencv(data, size)
    return Decoded(samples, _full_scale(samples), orientation)


_WHITE_IS_ZERO, _RGB = 0, 2


def _decode_tiff(data: bytes) -> Decoded:
    try:
        header = tiff.read_header(data)
    except ValueError as error:
        raise truncated(error) from error
    check_size(header.size)
    if header.tile_size is not None:
        check_size(header.tile_size)
    stored = tiff.without_orientation(data, header)
    orientation = header.orientation if 1 <= header.orientation <= 8 else 1
    if header.bits <= 8 and not (header.is_float or header.is_signed):
        return Decoded(_decode_pillow(stored, "TIFF").samples, 255, orientation)
    if header.data_end > len(data):
        raise truncated(f"{header.data_end - len(data)} bytes of its pixels are missing")
    _check_deep_tiff(header)
    samples = _decode_opencv(stored, header.size)
    full_scale = _full_scale(samples)
    if header.photometric == _WHITE_IS_ZERO:  # OpenCV leaves them as they are
        samples = np.subtract(samples.dtype.type(full_scale), samples)
    return Decoded(samples, full_scale, orientation)


def _check_deep_tiff(header: tiff.TiffHeader) -> None:
    """Refuse what OpenCV would decode wrongly, or not at all."""
    kind = "signed " if header.is_signed else "float " if header.is_float else ""
    if header.is_signed or header.bits not in (16, 32, 64) or header.photometric > _RGB:
        raise BadImageError(
            f"expected grey or RGB of 8-bit, unsigned 16-bit or float samples, got {header.bits}-bit {kind}"
            f"samples of photometric interpretation {header.photometric}; convert it to one of these"
        )
    if header.n_samples not in (1, 3, 4) or (header.is_planar and header.n_samples > 1):
        layout = "separate planes" if header.is_planar else "pixels"
        raise BadImageError(
            f"expected pixels of 1, 3 or 4 samples of {header.bits} bits, got {layout} of "
            f"{header.n_samples}; save it as interleaved grey, RGB or RGBA"
        )


_DECODERS: tuple[tuple[bytes, Callable[[bytes], Decoded]], ...] = (
    (rb"\x89PNG\r\n\x1a\n", _decode_png),
    (rb"\xff\xd8\xff", lambda data: _decode_pillow(data, "JPEG", "MPO")),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", _decode_tiff),
    (rb"RIFF....WEBP", lambda data: _decode_pillow(data, "WEBP")),
    (rb"P[2356]\s", decode_pnm),
    (rb"P[14]\s", lambda data: _decode_pillow(data, "PPM")),
    (rb"BM", lambda data: _decode_pillow(data, "BMP")),
)

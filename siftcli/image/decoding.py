"""Decoding image files to samples exactly as stored, and errors for files that cannot be read.

The first bytes of a file determine its format and so the decoder, which is imported on first use.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from importlib import import_module
from os import PathLike

from ..errors import InputError
from ..io.limits import MAX_IMAGE_BYTES
from ..io.reading import HEAD_BYTES, read_bytes
from .decoded import BadImageError, Decoded

EXPECTED = "a PNG, JPEG, TIFF, WebP, PGM/PPM, BMP, JPEG 2000, JPEG XL, AVIF, HEIC or raw image"

_Decoder = Callable[[bytes, int], Decoded]


def decode(path: str | PathLike[str], page: int = 0, *, luminance: bool = False) -> Decoded:
    """Decode one page of an image file.

    Parameters
    ----------
    path
        The file. Its format is recognised by its content, not by its suffix.
    page
        Page or frame, from 0.
    luminance
        Whether the luminance of colours will do. A JPEG file stores it, and is decoded sooner without the
        rest; colours of other files are returned as they are.

    Returns
    -------
    Decoded
        Integer or float samples.

    Raises
    ------
    InputError
        If the file is missing, empty, truncated, not an image, of an unsupported kind, or larger
        than ``MAX_PIXELS``, or has no such page.
    """
    name = os.fspath(path)
    try:
        data, decoder = _read(name)
        return _decode(data, _jpeg_luminance if luminance and decoder is _jpeg else decoder, page)
    except (BadImageError, InputError) as error:
        raise InputError(f"{name}: {error}") from error


def check_kind(path: str | PathLike[str]) -> None:
    """Check that a file is an image of a kind that is read, by its first bytes.

    Raises
    ------
    InputError
        If it is not, or cannot be read.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:  # noqa: PTH123  a name that is no path is an error like others
            _decoder(file.read(HEAD_BYTES))
    except BadImageError as error:
        raise InputError(f"{name}: {error}") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: cannot be read ({reason}); check the path and its permissions") from error


def _read(name: str) -> tuple[bytes, _Decoder]:
    """Read a whole file, if its first bytes are those of an image, and choose the decoder."""
    try:
        data = read_bytes(name, MAX_IMAGE_BYTES, _decoder)
        return data, _decoder(data)
    except FileNotFoundError as error:
        raise BadImageError("no such file; check the path") from error
    except IsADirectoryError as error:
        raise BadImageError(f"expected {EXPECTED}, got a folder; give a file in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise BadImageError(f"cannot be read ({reason}); check the path and its permissions") from error


def _decode(data: bytes, decoder: _Decoder, page: int) -> Decoded:
    try:
        return decoder(data, page)
    except MemoryError as error:
        raise BadImageError("not enough memory to decode it; reduce the image first") from error


def _decoder(data: bytes) -> _Decoder:
    head = data[:HEAD_BYTES]
    for pattern, decoder in _DECODERS:
        if re.match(pattern, head, re.DOTALL):
            return decoder
    if not head:
        raise BadImageError(f"expected {EXPECTED}, got an empty file; copy or export it again")
    kind = next((kind for pattern, kind in _OTHERS if re.match(pattern, head, re.DOTALL)), "something else")
    raise BadImageError(f"expected {EXPECTED}, got {kind}; convert it to one of these")


def _by(module: str, **options: bool) -> _Decoder:
    """The function ``decode_MODULE`` of a module, with these options; it is imported when it is called."""

    def decoder(data: bytes, page: int) -> Decoded:
        decode_file = getattr(import_module(f".{module}", __package__), f"decode_{module}")
        decoded: Decoded = decode_file(data, page, **options)
        return decoded

    return decoder


_jpeg, _jpeg_luminance = _by("jpeg"), _by("jpeg", luminance=True)


def _pillow(data: bytes, page: int, kind: str) -> Decoded:
    from .pillow import decode_pillow

    return decode_pillow(data, page, kind)


_DECODERS: tuple[tuple[bytes, _Decoder], ...] = (
    (rb"\x89PNG\r\n\x1a\n", _by("png")),
    (rb"\xff\xd8\xff", _jpeg),
    (rb"II\*\0|MM\0\*|II\+\0|MM\0\+", _by("tiff")),
    (rb"RIFF....WEBP", partial(_pillow, kind="WEBP")),
    (rb"P[2356]\s", _by("pnm")),
    (rb"P[14]\s", partial(_pillow, kind="PPM")),
    (rb"BM", _by("bmp")),
    (rb"....ftyp(hei|hev|mif1|msf1|avi)", _by("heif")),
    (rb"....ftypcrx |FUJIFILM|IIR[OS]|MMOR|IIU\0|FOVb|\0MRM|II\x1a\0\0\0HEAP", _by("raw")),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _by("jpeg2000")),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", _by("jpegxl")),
)
_OTHERS = (
    (rb"GIF8", "a GIF"),
    (rb"II\xbc", "a JPEG XR picture"),
    (rb"8BPS", "a Photoshop document"),
    (rb"v/1\x01", "an OpenEXR picture"),
    (rb"%PDF", "a PDF document"),
    (rb"#\?R", "a Radiance picture"),
    (rb"P[7fF]\s", "a PAM or PFM picture"),
)

"""Photometric interpretation of a TIFF picture: samples as stored -> grey or RGB, and alpha.

TIFF 6.0, sections 16 (colour maps), 18 (extra samples), 20 to 23 (CMYK, YCbCr, CIE L*a*b*).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .decoded import truncated, unsupported
from .lab import srgb_of_lab
from .tiff_pixels import is_jpeg

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _SEPARATED, _YCBCR, _CIELAB, _ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_N_COLOURS = {0: 1, 1: 1, 2: 3, 3: 1, 5: 4, 6: 3, 8: 3, 9: 3}
_ASSOCIATED, _UNASSOCIATED = 1, 2
_COLOUR_MAP, _INK_SET, _COEFFICIENTS, _REFERENCE = 320, 332, 529, 532
_CMYK_INKS = 1
_MOST_CHANNELS = 4
_SAMPLES_AT_ONCE = 1 << 16

Samples = tuple[NDArray[Any], float, bool]
"""Samples (H, W, 1 to 4), their value of white, and whether colours are multiplied by alpha."""


def samples_of(pixels: NDArray[Any], tags: Any) -> Samples:
    """Samples of grey or RGB, with alpha if the tags say that there is any.

    Extra samples without a stated meaning, near infrared for one, are left out.

    Raises
    ------
    BadImageError
        If the photometric interpretation, or the number of samples, is one that is not read.
    """
    photometric = int(tags.photometric)
    if photometric not in _N_COLOURS:
        name = getattr(tags.photometric, "name", photometric)
        raise unsupported(f"a TIFF of photometric interpretation {name}")
    n_colours = _N_COLOURS[photometric]
    if photometric in (_CIELAB, _ICCLAB) and pixels.shape[2] == 1:
        n_colours = 1
    if pixels.shape[2] < n_colours:
        raise truncated(f"{n_colours} samples a pixel are needed, {pixels.shape[2]} are there")
    alpha, associated = _alpha(tags, n_colours, pixels.shape[2])
    if photometric in (_BLACK_IS_ZERO, _RGB):
        order = [*range(n_colours), *([] if alpha is None else [alpha])]
        samples = pixels if order == list(range(pixels.shape[2])) else pixels[:, :, order]
        return samples, full_scale_of(pixels, tags), associated
    if associated:
        raise unsupported("a TIFF with premultiplied alpha that is not grey or RGB")
    colours, white = _COLOURS[photometric](pixels[:, :, :n_colours], tags)
    if alpha is None:
        return colours, white, False
    return _with_alpha(colours, white, pixels[:, :, alpha] / full_scale_of(pixels, tags)), 1, False


def full_scale_of(pixels: NDArray[Any], tags: Any) -> float:
    """The sample value of white: that of all bits, of the largest signed number, or 1 for floats."""
    if pixels.dtype.kind == "f":
        return 1
    return float(2 ** (tags.bitspersample - (pixels.dtype.kind == "i")) - 1)


def _with_alpha(colours: NDArray[Any], white: float, alpha: NDArray[Any]) -> NDArray[np.float32]:
    units = np.divide(colours, white, dtype=np.float32)
    return np.dstack([units, alpha.astype(np.float32)])


def _by_rows(convert: Callable[[NDArray[Any]], NDArray[Any]], pixels: NDArray[Any]) -> NDArray[np.float32]:
    """Convert in double precision, a few rows at a time: of a large image that is a part of its memory."""
    n = max(1, _SAMPLES_AT_ONCE // pixels[0].size)
    parts = [convert(pixels[i : i + n]).astype(np.float32) for i in range(0, len(pixels), n)]
    return np.concatenate(parts)


def _alpha(tags: Any, n_colours: int, n_samples: int) -> tuple[int | None, bool]:
    """Which sample is alpha, and whether the colours are multiplied by it."""
    extra = [int(kind) for kind in tags.extrasamples]
    n_extra = n_samples - n_colours
    if n_extra and not extra and tags.photometric == _RGB and n_samples == _MOST_CHANNELS:
        return n_colours, False  # OpenCV writes RGBA so, without the tag
    if (n_extra and not extra) or (tags.photometric != _RGB and n_extra > 1):
        raise unsupported(f"a TIFF of {n_samples} channels instead of {n_colours}")
    for i, kind in enumerate(extra[:n_extra]):
        if kind in (_ASSOCIATED, _UNASSOCIATED):
            return n_colours + i, kind == _ASSOCIATED
    return None, False


# --- colours other than grey and RGB: samples -> (H, W, C) and their value of white --------------------

Colours = tuple[NDArray[Any], float]


def _require_unsigned(pixels: NDArray[Any], what: str, bits: tuple[int, ...] = (8, 16)) -> None:
    if pixels.dtype.kind != "u" or 8 * pixels.dtype.itemsize not in bits:
        raise unsupported(f"a TIFF of {what} with {pixels.dtype} samples")


def _inverted(pixels: NDArray[Any], tags: Any) -> Colours:
    if pixels.dtype.kind == "i":
        raise unsupported("a TIFF of signed samples in which white is zero")
    full_scale = full_scale_of(pixels, tags)
    if pixels.dtype.kind == "f":
        return 1 - pixels, 1
    return pixels.dtype.type(2**tags.bitspersample - 1) - pixels, full_scale


def _mapped(pixels: NDArray[Any], tags: Any) -> Colours:
    _require_unsigned(pixels, "palette colours")
    colour_map = tags.tags.valueof(_COLOUR_MAP)
    n = 2**tags.bitspersample
    if colour_map is None or np.size(colour_map) != 3 * n:
        raise truncated(f"a colour map of {3 * n} values is needed")
    values = np.asarray(colour_map, np.uint16).reshape(3, n).T
    # Many programs write 8-bit values, in the lower or in the upper byte of the field.
    if values.max() <= 255:
        values, white = values.astype(np.uint8), 255
    elif not (values & 255).any():
        values, white = (values >> 8).astype(np.uint8), 255
    else:
        white = 65535
    return values[pixels[:, :, 0]], white


def _of_inks(pixels: NDArray[Any], tags: Any) -> Colours:
    if tags.tags.valueof(_INK_SET, _CMYK_INKS) != _CMYK_INKS:
        raise unsupported("a TIFF of inks other than cyan, magenta, yellow and black")
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "CMYK").convert("RGB")), 255
    _require_unsigned(pixels, "inks")
    white = full_scale_of(pixels, tags)

    def convert(rows: NDArray[Any]) -> NDArray[Any]:
        paper = 1 - rows / white
        return np.asarray(paper[:, :, :3] * paper[:, :, 3:])

    return _by_rows(convert, pixels), 1


def _of_luma(pixels: NDArray[Any], tags: Any) -> Colours:
    if is_jpeg(tags):  # its decoder has made RGB
        return pixels, full_scale_of(pixels, tags)
    _require_unsigned(pixels, "YCbCr")
    white = full_scale_of(pixels, tags)
    half = (white + 1) / 2
    red, green, blue = _rationals(tags, _COEFFICIENTS, (0.299, 0.587, 0.114))
    low = _rationals(tags, _REFERENCE, (0, white, half, white, half, white))
    chroma = (white - half) / white

    def convert(rows: NDArray[Any]) -> NDArray[Any]:
        y = (rows[:, :, 0] - low[0]) / (low[1] - low[0])
        cb, cr = ((rows[:, :, i] - low[2 * i]) / (low[2 * i + 1] - low[2 * i]) * chroma for i in (1, 2))
        r, b = y + cr * (2 - 2 * red), y + cb * (2 - 2 * blue)
        return np.clip(np.dstack([r, (y - red * r - blue * b) / green, b]), 0, 1)

    return _by_rows(convert, pixels), 1


def _rationals(tags: Any, tag: int, default: tuple[float, ...]) -> tuple[float, ...]:
    value = tags.tags.valueof(tag)
    if value is None:
        return default
    numbers = np.asarray(value, np.float64).reshape(-1, 2)
    if len(numbers) != len(default) or not numbers[:, 1].all():
        raise truncated(f"its tag {tag} cannot be read")
    return tuple(numbers[:, 0] / numbers[:, 1])


def _of_lab(pixels: NDArray[Any], tags: Any) -> Colours:
    """L* is of 0 to 100; a* and b* are signed in CIELAB, and unsigned around 128 (8 bits) in ICCLab."""
    _require_unsigned(pixels, "CIE L*a*b*")
    is_wide, is_icc = pixels.dtype == np.uint16, tags.photometric == _ICCLAB
    top = (0xFF00 if is_icc else 0xFFFF) if is_wide else 0xFF

    def convert(rows: NDArray[Any]) -> NDArray[Any]:
        if is_icc:
            ab = rows[:, :, 1:] - (32768.0 if is_wide else 128.0)
        else:
            ab = rows[:, :, 1:].astype(f"i{rows.dtype.itemsize}").astype(np.float64)
        return srgb_of_lab(np.dstack([rows[:, :, :1] * (100 / top), ab / (256 if is_wide else 1)]))

    return _by_rows(convert, pixels), 1


_COLOURS = {
    _WHITE_IS_ZERO: _inverted,
    _PALETTE: _mapped,
    _SEPARATED: _of_inks,
    _YCBCR: _of_luma,
    _CIELAB: _of_lab,
    _ICCLAB: _of_lab,
}

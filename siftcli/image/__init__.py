"""Reading images: file or array to float32 grey in [0, 1], and coordinates back to input pixels.

* Samples become grey one by one (:mod:`.grey`).
* Images of low contrast can be stretched; pixels without a value are then left out (:mod:`.stretch`).
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ParameterError
from .decoded import Decoded
from .decoding import decode
from .grey import has_alpha, plain_grey
from .picture import Picture, size_text
from .reduction import nearest
from .stretch import NO_STRETCH, check_stretch, has_value, stretched

__all__ = [
    "EXIF_CHOICES",
    "ImageSource",
    "Picture",
    "check_max_image_size",
    "count_pages",
    "page_index",
    "read_image",
    "read_mask",
    "upright",
]

ImageSource = str | PathLike[str] | NDArray[Any]

EXIF_CHOICES = ("apply", "ignore")
MIN_MAX_IMAGE_SIZE = 16
"""Smallest longest side that ``max_image_size`` accepts: below it no keypoint can be found."""

FLOAT_RANGE = (-0.5, 1.5)
"""Accepted float samples: nominally [0, 1], with room for the overshoot of resampling filters."""


def read_image(
    source: ImageSource,
    *,
    exif_orientation: str = "apply",
    max_image_size: int | None = None,
    page: int = 0,
    stretch: str = NO_STRETCH,
    nodata: float | None = None,
) -> Picture:
    """Read an image as grey.

    Parameters
    ----------
    source
        Path of a PNG, JPEG, TIFF, WebP, PGM/PPM, BMP, JPEG 2000, JPEG XL or AVIF file, of a HEIC file
        with the extra ``heif``, of a camera's raw file with the extra ``raw``; or an array (H, W) or
        (H, W, C), C = 1 to 4 (grey, grey and alpha, RGB, RGBA), of bool, uint8, uint16 or float.
    exif_orientation
        ``"apply"`` rotates and mirrors the image by its EXIF tag, ``"ignore"`` uses the stored pixels.
    max_image_size
        Reduce a larger image to this longest side, in pixels, by averaging areas; at least 16.
    page
        Page of a stack or animation, from 0; thumbnails, masks and reduced copies do not count.
    stretch
        ``"none"``; ``"minmax"`` maps the smallest grey value to 0 and the largest to 1;
        ``"percentile"`` does so with the 0.1 and 99.9 percentiles, and clips what lies beyond.
        Pixels that are NaN, infinite, fully transparent or nodata are left out: they are filled
        with the median of the others. Float samples may then have any range.
    nodata
        Sample value of pixels to leave out, also without a stretch (of a colour image all
        colours must have it); with a stretch that of the file's own nodata tag when not given.

    Returns
    -------
    Picture
        The grey image, and what is needed to convert coordinates to input pixels.

    Raises
    ------
    InputError
        If the image cannot be read, has no such page, or its samples have an unsupported type or range.
    ParameterError
        If an option is not one of those above.
    """
    if exif_orientation not in EXIF_CHOICES:
        raise ParameterError(
            f"exif_orientation must be one of {', '.join(EXIF_CHOICES)}; got {exif_orientation!r}"
        )
    limit = check_max_image_size(max_image_size)
    check_stretch(stretch, nodata)
    # A nodata value is one of colours.
    name, decoded = _load(source, page, luminance=nodata is None)
    orientation = decoded.exif_orientation if exif_orientation == "apply" else 1
    left_out = _left_out(decoded, stretch, nodata)
    grey = upright(_grey(decoded, name, left_out, stretch), orientation)
    left_out = None if left_out is None else upright(left_out, orientation)
    size = (grey.shape[1], grey.shape[0])
    picture = Picture(grey, Path(name).name, orientation, size, left_out=left_out, n_pages=decoded.n_pages)
    return picture.reduced(limit)


def read_mask(source: ImageSource, picture: Picture, *, stored_frame: bool = False) -> NDArray[np.bool_]:
    """Read the mask of a picture: where features are wanted.

    Parameters
    ----------
    source
        Path or array of the picture's size before reduction. Zero (black in every channel, or
        fully transparent) is ignored, anything else is kept. The mask's own EXIF orientation, if
        any, is applied first.
    picture
        The masked picture.
    stored_frame
        Whether the mask is in the frame of the stored pixels, so that the picture's EXIF orientation
        is applied to it too.

    Returns
    -------
    ndarray of bool
        Of the shape of ``picture.grey``.

    Raises
    ------
    InputError
        If the mask cannot be read or its size is not the picture's.
    """
    name, decoded = _load(source)
    samples = _oriented(decoded.samples, decoded.exif_orientation)
    if stored_frame:
        samples = _oriented(samples, picture.exif_orientation)
    n_colours = samples.shape[2] - has_alpha(samples)
    allowed = np.asarray((samples[:, :, :n_colours] != 0).any(axis=2))
    if has_alpha(samples):
        allowed &= samples[:, :, -1] != 0
    size = (allowed.shape[1], allowed.shape[0])
    if size != picture.input_size:
        raise InputError(
            f"{name or 'the mask'}: expected a mask of the image's {size_text(picture.input_size)} pixels, "
            f"got {size_text(size)}; resize it"
        )
    rows, columns = (
        nearest(n, m, picture.reduction) for n, m in zip(allowed.shape, picture.grey.shape, strict=True)
    )
    return np.ascontiguousarray(allowed[rows][:, columns])


def check_max_image_size(value: int | None) -> int | None:
    """Return the limit as an int, or None for none.

    Raises
    ------
    ParameterError
        If it is not a whole number of at least ``MIN_MAX_IMAGE_SIZE``.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < MIN_MAX_IMAGE_SIZE:
        raise ParameterError(
            f"max_image_size must be a whole number, at least {MIN_MAX_IMAGE_SIZE}; got {value!r}"
        )
    return int(value)


def count_pages(path: str | PathLike[str]) -> int:
    """Count the pages (frames) of an image file; the first is decoded.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    return decode(path).n_pages


def page_index(page: int) -> int:
    """Index, from 0, of a page that is counted from 1.

    Raises
    ------
    ParameterError
        If it is not a whole number of at least 1.
    """
    if isinstance(page, bool) or not isinstance(page, int | np.integer) or page < 1:
        raise ParameterError(f"page must be a whole number, at least 1 (the first); got {page!r}")
    return int(page) - 1


def _load(source: ImageSource, page: int = 0, *, luminance: bool = False) -> tuple[str, Decoded]:
    if isinstance(source, str | PathLike):
        return str(Path(source)), decode(source, page, luminance=luminance)
    if page != 0:
        raise InputError(f"an image array has one page; got page {page + 1}")
    return "", _from_array(source)


def _from_array(source: Any) -> Decoded:
    array = np.asarray(source)
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if array.ndim != 3 or not 1 <= array.shape[2] <= 4 or array.size == 0:
        raise InputError(
            "an image array must have shape (height, width) or (height, width, 1 to 4 channels); "
            f"got {np.shape(source)}"
        )
    if array.dtype == np.bool_:
        return Decoded(array.astype(np.uint8), 1)
    if array.dtype.kind == "f":
        return Decoded(array, 1)
    if array.dtype in (np.uint8, np.uint16):
        return Decoded(array, float(np.iinfo(array.dtype).max))
    raise InputError(f"an image array must be uint8, uint16, float or bool; got {array.dtype}")


def _left_out(decoded: Decoded, stretch: str, nodata: float | None) -> NDArray[np.bool_] | None:
    """(H, W) pixels without a value, in the stored frame; None when there are none."""
    if stretch == NO_STRETCH and nodata is None:
        return None
    samples = decoded.samples
    n_colours = samples.shape[2] - has_alpha(samples)
    found = np.zeros(samples.shape[:2], bool)
    value = decoded.nodata if nodata is None and stretch != NO_STRETCH else nodata
    if value is not None:
        found |= has_value(samples[:, :, :n_colours], value)
    if stretch != NO_STRETCH:
        if samples.dtype.kind == "f":
            found |= ~np.isfinite(samples).all(axis=2)
        if has_alpha(samples):
            found |= samples[:, :, -1] == 0
    return found if found.any() else None


def _grey(
    decoded: Decoded, name: str, left_out: NDArray[np.bool_] | None, stretch: str
) -> NDArray[np.float32]:
    """(H, W) grey, stretched and filled, in the stored frame."""
    if stretch == NO_STRETCH and decoded.samples.dtype.kind == "f":
        _check_float(decoded.samples if left_out is None else decoded.samples[~left_out], name)
    if stretch == NO_STRETCH and left_out is None:
        return plain_grey(decoded, np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        # In double precision: for values far from 0, such as kelvins, single precision keeps few digits.
        return stretched(plain_grey(decoded, np.float64), left_out, stretch, name or "the image")


def _check_float(samples: NDArray[Any], name: str) -> None:
    if samples.size == 0:
        return  # reported by stretched()
    low, high = float(samples.min()), float(samples.max())
    label = name or "the image"
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(
            f"{label}: expected finite float samples, got NaN or infinity; leave them out with "
            "--stretch minmax or percentile (stretch), or replace them first"
        )
    if low < FLOAT_RANGE[0] or high > FLOAT_RANGE[1]:
        raise InputError(
            f"{label}: expected float samples in [0, 1], got {low:g} to {high:g}; "
            "divide them by the value of white, or pass --stretch minmax or percentile (stretch)"
        )


def upright(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation to an array (y, x, ...); returns it contiguous."""
    return np.ascontiguousarray(_oriented(array, orientation))


def _oriented(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Apply an EXIF orientation to an array (y, x, ...)."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    flip_y = orientation in (3, 4, 7, 8)
    flip_x = orientation in (2, 3, 6, 7)
    return array[:: -1 if flip_y else 1, :: -1 if flip_x else 1]

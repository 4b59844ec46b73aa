"""File or array -> float32 grey in [0, 1], and the way back to input pixels.

* Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), computed sample by sample
  without rounding, so that it commutes exactly with turning and mirroring.
* Whole numbers are divided by their full scale; float images are taken as they are.
* Transparent pixels are laid over white, as a viewer shows them: the hidden colour
  of a fully transparent pixel has no effect.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ParameterError
from ..features import Features
from .decoded import Decoded
from .decoding import decode

ImageSource = str | PathLike[str] | NDArray[Any]

EXIF_CHOICES = ("apply", "ignore")
MIN_MAX_IMAGE_SIZE = 16
"""Smallest longest side that ``max_image_size`` accepts: below it no keypoint can be found."""

FLOAT_RANGE = (-0.5, 1.5)
"""Accepted float samples: nominally [0, 1], with room for the overshoot of resampling filters."""

GREY_WEIGHTS = (299, 587, 114)
"""ITU-R BT.601, in thousandths: whole numbers make the sum of whole samples exact."""
_WEIGHT_SUM = 1000

_SAMPLES_AT_ONCE = 1 << 16


@dataclass(frozen=True, eq=False)
class Picture:
    """A grey image ready for detection."""

    grey: NDArray[np.float32]
    """(H, W), C-contiguous, in [0, 1]."""
    name: str
    """Name of the file; empty for an array."""
    exif_orientation: int
    """EXIF orientation that was applied; 1 when there is none or it was ignored."""
    input_size: tuple[int, int]
    """(width, height) before any reduction: the frame of the coordinates."""
    reduction: float = 1.0
    """Side of a pixel of ``grey``, in input pixels."""
    n_pages: int = 1
    """Full pictures or frames in the file."""

    @property
    def label(self) -> str:
        """What to call it in an error."""
        return self.name or "the image"

    def to_input_frame(self, features: Features) -> Features:
        """Features found in ``grey``, in input pixels."""
        if self.reduction == 1:
            return replace(features, image_size=self.input_size)
        origin = [
            _reduced_origin(n, m, self.reduction)
            for n, m in zip(self.input_size, self.grey.shape[::-1], strict=True)
        ]
        xy = (features.xy.astype(np.float64) + 0.5) * self.reduction - 0.5 + origin
        return replace(
            features,
            xy=xy.astype(np.float32),
            scale=(features.scale.astype(np.float64) * self.reduction).astype(np.float32),
            image_size=self.input_size,
        )

    def require_size(self, size: tuple[int, int]) -> None:
        """Check that features of an image of ``size`` (width, height) can belong to this one.

        Raises
        ------
        InputError
            If the size is another.
        """
        if tuple(size) != self.input_size:
            raise InputError(
                f"{self.label}: expected {_size_text(size)} pixels as the features state, got "
                f"{_size_text(self.input_size)}; use the image they were made from"
            )


def read_image(
    source: ImageSource,
    *,
    exif_orientation: str = "apply",
    max_image_size: int | None = None,
    page: int = 0,
) -> Picture:
    """Read an image as grey.

    Parameters
    ----------
    source
        Path of a PNG, JPEG, TIFF, WebP, PGM/PPM, BMP, JPEG 2000, JPEG XL or AVIF file, of a HEIC file
        with the extra ``heif``, of a camera's raw file with the extra ``raw``; or an array (H, W) or
        (H, W, C), C = 1 to 4 (grey, grey and alpha, RGB, RGBA), of bool, uint8, uint16 or float.
    exif_orientation
        ``"apply"`` turns the picture as its EXIF tag says, ``"ignore"`` takes the stored pixels.
    max_image_size
        Reduce a larger image to this longest side, in pixels, by averaging areas; at least 16.
    page
        Which picture of a stack or animation, from 0; thumbnails, masks and reduced copies do not count.

    Returns
    -------
    Picture
        The grey image, and what is needed to come back to input pixels.

    Raises
    ------
    InputError
        If the image cannot be read, has no such page, or its samples are not of a supported kind or range.
    ParameterError
        If an option is not one of those above.
    """
    if exif_orientation not in EXIF_CHOICES:
        raise ParameterError(
            f"exif_orientation must be one of {', '.join(EXIF_CHOICES)}; got {exif_orientation!r}"
        )
    limit = check_max_image_size(max_image_size)
    name, decoded = _load(source, page)
    orientation = decoded.exif_orientation if exif_orientation == "apply" else 1
    grey = np.ascontiguousarray(_turned(_grey(decoded, name), orientation))
    size = (grey.shape[1], grey.shape[0])
    reduction = 1.0 if limit is None else max(1.0, max(size) / limit)
    if reduction > 1:
        grey = _reduced(grey, reduction)
    return Picture(grey, Path(name).name, orientation, size, reduction, decoded.n_pages)


def read_mask(source: ImageSource, picture: Picture) -> NDArray[np.bool_]:
    """Read the mask of a picture: where features are wanted.

    Parameters
    ----------
    source
        Path or array of the picture's size before reduction, in its turned frame. Zero
        (black in every channel, or fully transparent) is ignored, anything else is kept.
        The mask's own EXIF tag, if it has one, is followed.
    picture
        What it masks.

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
    samples = _turned(decoded.samples, decoded.exif_orientation)
    n_colours = samples.shape[2] - _has_alpha(samples)
    allowed = np.asarray((samples[:, :, :n_colours] != 0).any(axis=2))
    if _has_alpha(samples):
        allowed &= samples[:, :, -1] != 0
    size = (allowed.shape[1], allowed.shape[0])
    if size != picture.input_size:
        raise InputError(
            f"{name or 'the mask'}: expected a mask of the image's {_size_text(picture.input_size)} pixels, "
            f"got {_size_text(size)}; make it of the image's size"
        )
    rows, columns = (
        _nearest(n, m, picture.reduction) for n, m in zip(allowed.shape, picture.grey.shape, strict=True)
    )
    return np.ascontiguousarray(allowed[rows][:, columns])


def _size_text(size: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in size)


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


def _load(source: ImageSource, page: int = 0) -> tuple[str, Decoded]:
    if isinstance(source, str | PathLike):
        return str(Path(source)), decode(source, page)
    if page:
        raise InputError(f"an image array has one page, 0; got {page}")
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


def _has_alpha(samples: NDArray[Any]) -> bool:
    return samples.shape[2] in (2, 4)


def _grey(decoded: Decoded, name: str) -> NDArray[np.float32]:
    """(H, W) grey in [0, 1], in the stored frame."""
    samples = decoded.samples
    if samples.dtype.kind == "f":
        _check_float(samples, name)
    elif samples.shape[2] == 1 and samples.dtype in (np.uint8, np.uint16):
        values = np.arange(np.iinfo(samples.dtype).max + 1) / decoded.full_scale
        return np.take(values.astype(np.float32), samples[:, :, 0])
    grey = np.empty(samples.shape[:2], np.float32)
    # In double precision, a few rows at a time: of a large image that is a small part of its memory.
    n_rows = max(1, _SAMPLES_AT_ONCE // samples.shape[1])
    for first in range(0, len(grey), n_rows):
        rows = slice(first, first + n_rows)
        grey[rows] = _grey_rows(samples[rows], decoded)
    return grey


def _grey_rows(samples: NDArray[Any], decoded: Decoded) -> NDArray[np.floating]:
    grey = _weighted(samples, decoded.full_scale)
    if _has_alpha(samples):
        alpha = np.divide(samples[:, :, -1], decoded.full_scale, dtype=np.float64)
        grey = (grey if decoded.premultiplied else grey * alpha) + (1 - alpha)
    return grey


def _weighted(samples: NDArray[Any], full_scale: float) -> NDArray[np.floating]:
    """Compute grey over its full scale; for R = G = B exactly the value of the grey image.

    Sums and products are those of single samples, never of a matrix product, whose
    order of summation may depend on where in memory a pixel lies.
    """
    if samples.shape[2] < 3:
        return np.asarray(np.divide(samples[:, :, 0], full_scale, dtype=np.float64))
    # Sums of 8-bit samples are whole numbers that single precision holds, and their quotients lie so far from
    # the middle of two of its numbers that they round to the same ones.
    dtype = np.float32 if samples.dtype == np.uint8 and not _has_alpha(samples) else np.float64
    total = np.zeros(samples.shape[:2], dtype)
    for channel, weight in enumerate(GREY_WEIGHTS):
        total += np.multiply(samples[:, :, channel], weight, dtype=dtype)
    return np.asarray(total / (full_scale * _WEIGHT_SUM))


def _check_float(samples: NDArray[Any], name: str) -> None:
    low, high = float(samples.min()), float(samples.max())
    label = name or "the image"
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"{label}: expected finite float samples, got NaN or infinity; replace them first")
    if low < FLOAT_RANGE[0] or high > FLOAT_RANGE[1]:
        raise InputError(
            f"{label}: expected float samples in [0, 1], got {low:g} to {high:g}; "
            "divide them by the value of white, or save it as 8 or 16 bits"
        )


def _turned(array: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn an array (y, x, ...) to how its EXIF orientation shows it."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    flip_y = orientation in (3, 4, 7, 8)
    flip_x = orientation in (2, 3, 6, 7)
    return array[:: -1 if flip_y else 1, :: -1 if flip_x else 1]


def _reduced_side(n: int, reduction: float) -> int:
    """Whole reduced pixels in n; the rounding error of the division must not lose the last."""
    return max(1, int(n / reduction + 1e-6))


def _reduced_origin(n: int, m: int, reduction: float) -> float:
    """Where the m reduced pixels begin among n.

    They are centred, and equally large in x and y: the reduction then commutes with
    turning. Less than half a reduced pixel is left out on either side.
    """
    return (n - m * reduction) / 2


def _reduced(grey: NDArray[np.float32], reduction: float) -> NDArray[np.float32]:
    """Average over squares of ``reduction`` pixels a side."""
    shape = [_reduced_side(n, reduction) for n in grey.shape]
    means = _area_means(_area_means(grey, shape[0], reduction).T, shape[1], reduction).T
    return np.ascontiguousarray(means, dtype=np.float32)


def _area_means(array: NDArray[Any], m: int, reduction: float) -> NDArray[np.float64]:
    """Means of m equal intervals along the first axis, fractions of a pixel included."""
    n = array.shape[0]
    sums = np.zeros((n + 1, *array.shape[1:]))
    np.cumsum(array, axis=0, dtype=np.float64, out=sums[1:])
    edges = np.clip(_reduced_origin(n, m, reduction) + np.arange(m + 1) * reduction, 0, n)
    whole = np.minimum(edges.astype(np.intp), n - 1)
    fraction = (edges - whole)[:, np.newaxis]
    at_edges = sums[whole] * (1 - fraction) + sums[whole + 1] * fraction
    return np.asarray(np.diff(at_edges, axis=0) / np.diff(edges)[:, np.newaxis])


def _nearest(n: int, m: int, reduction: float) -> NDArray[np.intp]:
    """Find the input pixel that holds the centre of each of the m reduced pixels."""
    centres = _reduced_origin(n, m, reduction) + (np.arange(m) + 0.5) * reduction
    return np.clip(centres.astype(np.intp), 0, n - 1)

"""Contrast stretching of faint images, and pixels that are left out.

A camera's 12 bits in a 16-bit file, or a thermal picture, use a small part of the range that the
contrast threshold refers to. A linear stretch maps the smallest grey value to 0 and the largest to
1, or maps the 0.1 and 99.9 percentiles. It depends on the values only, not on their positions, so that it
commutes exactly with rotating and mirroring.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ParameterError

NO_STRETCH = "none"
STRETCHES = (NO_STRETCH, "minmax", "percentile")
PERCENTILES = (0.1, 99.9)
"""Percentiles that ``"percentile"`` maps to 0 and 1; a few dead or hot pixels do not affect them."""

FEW_FEATURES = 10
"""Fewer features than this in a faint image cause a hint about the stretch."""
FAINT_RANGE = 0.25
"""Fraction of the range below which an image is called faint."""

Flags = NDArray[np.bool_]


def check_stretch(stretch: str, nodata: float | None) -> None:
    """Check the options of a stretch.

    Raises
    ------
    ParameterError
        If the stretch is unknown, or ``nodata`` is not a number.
    """
    if stretch not in STRETCHES:
        raise ParameterError(f"stretch must be one of {', '.join(STRETCHES)}; got {stretch!r}")
    if nodata is not None and (isinstance(nodata, bool) or not isinstance(nodata, int | float | np.number)):
        raise ParameterError(f"nodata must be a number (of the image's own samples); got {nodata!r}")


def plain_nodata(nodata: float | None) -> float | str | None:
    """The value for JSON; NaN and infinity become text."""
    return nodata if nodata is None or math.isfinite(nodata) else str(nodata)


def has_value(samples: NDArray[Any], value: float) -> Flags:
    """(H, W) whether every sample (H, W, C) of a pixel is ``value``, in the samples' own type."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):
            found = np.isnan(samples) if math.isnan(value) else samples == samples.dtype.type(value)
        return np.asarray(found.all(axis=2))
    limits = np.iinfo(samples.dtype)
    if not limits.min <= value <= limits.max or value != int(value):
        return np.zeros(samples.shape[:2], bool)
    return np.asarray((samples == samples.dtype.type(int(value))).all(axis=2))


def stretched(grey: NDArray[Any], left_out: Flags | None, stretch: str, label: str) -> NDArray[np.float32]:
    """Stretch grey values, and fill the pixels that are left out with the median of the others.

    Parameters
    ----------
    grey
        (H, W) float; modified in place.
    left_out
        (H, W); None when no pixel is left out.
    stretch
        One of ``STRETCHES``.
    label
        Name of the image, for errors.

    Returns
    -------
    ndarray of float32
        (H, W); stretched values are in [0, 1].

    Raises
    ------
    InputError
        If every pixel is left out, or the values are too far apart.
    """
    valid = grey.ravel() if left_out is None else grey[~left_out]
    if valid.size == 0:
        raise InputError(f"{label}: every pixel is nodata, NaN or transparent; check --nodata (nodata)")
    median = None if left_out is None else np.median(valid)
    low, high = _limits(valid, stretch)
    if not math.isfinite(high - low):
        raise InputError(f"{label}: its values are too far apart to be stretched ({low:g} to {high:g})")
    if left_out is not None:
        grey[left_out] = median
    if stretch != NO_STRETCH:
        grey -= low
        grey /= (high - low) or 1.0
        np.clip(grey, 0, 1, out=grey)
    return np.asarray(grey, np.float32)


def _limits(valid: NDArray[Any], stretch: str) -> tuple[float, float]:
    """The values that become 0 and 1; of a picture that is nearly all of one value its extremes."""
    if stretch == NO_STRETCH:
        return 0.0, 1.0
    if stretch == "percentile":
        low, high = (float(value) for value in np.percentile(valid, PERCENTILES))
        if low < high:
            return low, high
    return float(valid.min()), float(valid.max())


DISTANCE_BYTES = 24
"""Peak memory per pixel of :func:`distance_to`, in bytes."""


def distance_to(left_out: Flags) -> NDArray[np.float32]:
    """(H, W) distance, in pixels, of each pixel's centre to that of the nearest pixel left out."""
    from scipy import ndimage  # late: few pictures need it

    return np.asarray(ndimage.distance_transform_edt(~left_out), np.float32)


def looks_faint(grey: NDArray[np.float32], left_out: Flags | None, n_features: int) -> bool:
    """Whether few features were found in a picture that uses a small part of its range."""
    if n_features >= FEW_FEATURES:
        return False
    valid = grey if left_out is None else grey[~left_out]
    return 0 < float(np.ptp(valid)) < FAINT_RANGE

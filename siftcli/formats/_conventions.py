"""Conversion between conventions: descriptor order, angles, unit length, frames.

The project's descriptor order is "U": index [y][x][k], bin k for gradients of direction
θ − 45°·k. VLFeat's order "V" steps the other way round.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import DESCRIPTOR_LENGTH, UNKNOWN_SIZE, Features
from ..params import SiftParams
from ._record import FeatureFile

TWO_PI = 2 * np.pi
DESCRIPTOR_NORM = 512
"""Length that a descriptor of unit length has in bytes (Lowe; VLFeat and COLMAP do the same)."""
NORM_TOLERANCE = 0.01
"""Departure from unit length that is accepted: float16 descriptors have 0.001, three decimals 0.006."""
_REVERSED_BINS = (-np.arange(8)) % 8
_NEAREST_LEVEL = 0.5
"""A keypoint of level s has its σ within half a level of σ₀ · 2^(octave + s/S), s = 1 to S."""

Array = NDArray[Any]


def reversed_bins(descriptors: Array) -> Array:
    """(N, 128) from order U to V, or back: bin k becomes bin (8 − k) mod 8."""
    cells = descriptors.reshape(-1, 16, 8)
    return np.asarray(cells[:, :, _REVERSED_BINS].reshape(-1, DESCRIPTOR_LENGTH))


def unit_length(descriptors: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(N, 128) float32 of unit L2 norm; a zero vector stays zero."""
    values = descriptors.astype(np.float32)  # sums of squares of bytes are exact in it
    norm = np.sqrt(np.einsum("ij,ij->i", values, values).astype(np.float64))
    norm[norm == 0] = 1
    unit = np.empty(values.shape, np.float32)
    np.divide(values, norm[:, None], out=unit, casting="same_kind")
    return unit


def known_scores(name: str, features: Features) -> dict[str, NDArray[np.float32]]:
    """The responses under the name a format has for them; nothing where none is known, as from COLMAP."""
    return {name: features.response} if len(features) == 0 or features.response.any() else {}


def in_bytes(descriptors: Array) -> NDArray[np.uint8]:
    """(N, 128) of unit length -> bytes, min(512·d, 255)."""
    values = np.rint(DESCRIPTOR_NORM * descriptors.astype(np.float64))
    return np.clip(values, 0, 255).astype(np.uint8)


def unit_rows(descriptors: Array) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """(N,) whether a vector is of unit length, or zero, without negative values; and (N,) its length."""
    with np.errstate(over="ignore", invalid="ignore"):
        norm = np.linalg.norm(descriptors.astype(np.float64), axis=1)
        is_unit = ((np.abs(norm - 1) <= NORM_TOLERANCE) | (norm == 0)) & (descriptors >= 0).all(axis=1)
    return is_unit, norm


def bytes_of(descriptors: Array) -> NDArray[np.uint8]:
    """(N, 128) of whole numbers from 0 to 255, or else of unit length, as bytes.

    All rows must be of the same kind. Only rows of unit length are rounded.

    Raises
    ------
    InputError
        If a row is neither, or rows are of both kinds.
    """
    is_whole = ((descriptors >= 0) & (descriptors <= 255) & (descriptors == np.floor(descriptors))).all(1)
    if is_whole.all():
        return descriptors.astype(np.uint8)
    is_unit, norm = unit_rows(descriptors)
    if is_unit.all():
        return in_bytes(descriptors)
    is_mixed = bool((is_whole | is_unit).all())
    row = int(np.argmin(is_unit if is_mixed else is_whole | is_unit))
    reason = "of whole numbers, and others are not" if is_mixed else f"neither (length {norm[row]:g})"
    raise InputError(
        f"expected descriptors of whole numbers from 0 to 255, or all of unit length; row {row} is {reason}"
    )


def wrapped(angle: Array) -> NDArray[np.float32]:
    """Angles in radians as float32 in [0, 2π)."""
    angles = np.mod(angle.astype(np.float64), TWO_PI).astype(np.float32)
    return np.asarray(np.where(angles >= np.float32(TWO_PI), np.float32(0), angles))


def octave_of(scale: NDArray[np.float32]) -> NDArray[np.int16]:
    """Octave in which the default detector finds a keypoint of this σ.

    The inverse of σ = σ₀ · 2^(octave + s/S), s within half a level of 1 to S.
    """
    params = SiftParams()
    levels = np.log2(scale.astype(np.float64) / params.sigma) - _NEAREST_LEVEL / params.levels_per_octave
    return np.clip(np.floor(levels), params.first_octave, np.iinfo(np.int16).max).astype(np.int16)


def foreign(
    format_name: str,
    convention: str,
    *,
    xy: Array,
    scale: Array | None = None,
    orientation: Array | None = None,
    response: Array | None = None,
    descriptors: Array | None = None,
    image_size: tuple[int, int] = UNKNOWN_SIZE,
    image_name: str = "",
    descriptor_kind: str = "sift",
) -> FeatureFile:
    """Build features from the file of another program, after checking its values.

    Whether descriptors are bytes or of unit length follows from their values. Columns that are None
    become 1 (scale, sign), 0 (orientation, response, descriptors) or are derived from the scale (octave).

    Raises
    ------
    InputError
        If a number is not finite, or out of range.
    """
    n = len(xy)
    scale = _finite(np.ones(n) if scale is None else scale, "scale")
    _require(scale > 0, "scale", "positive")
    orientation = np.zeros(n) if orientation is None else orientation
    _require(np.isfinite(orientation), "orientation", "finite")
    response = np.zeros(n) if response is None else response
    descriptors = np.zeros((n, DESCRIPTOR_LENGTH)) if descriptors is None else descriptors
    features = Features(
        xy=_finite(xy, "x and y"),
        scale=scale,
        orientation=wrapped(orientation),
        response=_finite(response, "response"),
        sign=np.ones(n, np.int8),
        octave=octave_of(scale),
        descriptors=bytes_of(descriptors),
        image_size=image_size,
        image_name=image_name,
        descriptor_kind=descriptor_kind,
    )
    return FeatureFile(features, format_name, "", convention)


def _finite(values: Array, name: str) -> NDArray[np.float32]:
    with np.errstate(over="ignore", invalid="ignore"):
        converted = np.asarray(values).astype(np.float32)
    _require(np.isfinite(converted).all(axis=tuple(range(1, converted.ndim))), name, "finite")
    return converted


def _require(valid: Any, name: str, expected: str) -> None:
    if not valid.all():
        raise InputError(f"expected {name} {expected}; row {int(np.argmin(valid))} is not")


def in_stored_frame(features: Features) -> Features:
    """Undo the EXIF orientation: features in the frame of the stored pixels.

    Mirroring an image reverses the rows of its descriptors, and bin k becomes bin 8 − k.
    """
    tag = features.exif_orientation
    if tag == 1:
        return features
    width, height = features.image_size
    xy, angle = features.xy.astype(np.float64), features.orientation.astype(np.float64)
    x, y = xy[:, 0], xy[:, 1]
    dx, dy = np.cos(angle), np.sin(angle)
    if tag in (2, 3, 6, 7):
        x, dx = width - 1 - x, -dx
    if tag in (3, 4, 7, 8):
        y, dy = height - 1 - y, -dy
    if tag >= 5:
        x, y, dx, dy, width, height = y, x, dy, dx, height, width
    return replace(
        features,
        xy=np.column_stack([x, y]).astype(np.float32),
        orientation=wrapped(np.arctan2(dy, dx)),
        descriptors=_mirrored(features.descriptors) if tag in (2, 4, 5, 7) else features.descriptors,
        image_size=(width, height),
        exif_orientation=1,
    )


def _mirrored(descriptors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    cells = descriptors.reshape(-1, 4, 4, 8)[:, ::-1][..., _REVERSED_BINS]
    return np.ascontiguousarray(cells.reshape(-1, DESCRIPTOR_LENGTH))

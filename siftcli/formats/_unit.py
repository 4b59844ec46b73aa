"""Reading named arrays with descriptors of unit length, as in files of hloc and HPatches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import DESCRIPTOR_KINDS, DESCRIPTOR_LENGTH, UNKNOWN_SIZE
from ._conventions import foreign, in_bytes, unit_rows
from ._record import FeatureFile


def features_of(
    format_name: str,
    convention: str,
    arrays: Mapping[str, NDArray[Any]],
    *,
    image_name: str = "",
    in_radians: bool = False,
) -> FeatureFile:
    """Build features from ``keypoints`` (N, 2), ``descriptors`` (N, 128) and optional arrays.

    ``oris`` are in degrees unless ``in_radians``.

    Raises
    ------
    InputError
        If an array has a wrong type or shape, or descriptors are not of unit length.
    """
    xy = _numeric(arrays, "keypoints", None)
    if xy.ndim != 2 or xy.shape[1] < 2:
        raise InputError(f"expected keypoints of shape (N, 2), got {xy.shape}")
    n = len(xy)
    optional = {name: _numeric(arrays, name, (n,)) for name in ("scores", "scales", "oris") if name in arrays}
    oris = optional.get("oris")
    with np.errstate(invalid="ignore"):  # a signalling NaN is refused later
        angle = oris if oris is None or in_radians else np.deg2rad(oris.astype(np.float64))
    return foreign(
        format_name,
        convention,
        xy=xy[:, :2],
        scale=optional.get("scales"),
        orientation=angle,
        response=optional.get("scores"),
        descriptors=_bytes(_numeric(arrays, "descriptors", (n, DESCRIPTOR_LENGTH))),
        image_size=_size(arrays),
        image_name=image_name,
        descriptor_kind=_kind(arrays),
    )


def _numeric(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...] | None) -> NDArray[Any]:
    array = arrays[name]
    if array.dtype.kind not in "iuf" or (shape is not None and array.shape != shape):
        raise InputError(f"expected {name} as numbers of shape {shape}, got {array.dtype} {array.shape}")
    return array


def _bytes(descriptors: NDArray[Any]) -> NDArray[np.uint8]:
    is_unit, norm = unit_rows(descriptors)
    if not is_unit.all():
        row = int(np.argmin(is_unit))
        raise InputError(f"expected SIFT descriptors of unit length; row {row} is not (length {norm[row]:g})")
    return in_bytes(descriptors)


def _size(arrays: Mapping[str, NDArray[Any]]) -> tuple[int, int]:
    if "image_size" not in arrays:
        return UNKNOWN_SIZE
    size = np.asarray(arrays["image_size"])
    if size.shape != (2,) or size.dtype.kind not in "iuf" or not ((size >= 0) & (size < 2**31)).all():
        raise InputError("expected image_size as width and height")
    return int(size[0]), int(size[1])


def _kind(arrays: Mapping[str, NDArray[Any]]) -> str:
    kind = str(arrays.get("descriptor_kind", "sift"))
    if kind not in DESCRIPTOR_KINDS:
        raise InputError(f"expected a descriptor kind of {', '.join(DESCRIPTOR_KINDS)}, got {kind[:40]!r}")
    return kind

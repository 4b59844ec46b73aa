"""Content of siftcli's own formats: columns, metadata, and their validation.

Columns are in the project's convention; nothing is converted here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError, ParameterError, SiftcliError
from ..features import DESCRIPTOR_LENGTH, Features, array_fields
from ..params import SiftParams

CONVENTION = (
    "siftcli 1: x right, y down, in pixels, (0, 0) is the centre of the top-left pixel; "
    "scale is sigma in pixels, the blur of the lower of the two levels subtracted; "
    "orientation in radians in [0, 2 pi), from +x towards +y (clockwise on the screen); "
    "descriptor index 32 y + 8 x + k in the turned frame, "
    "bin k for gradients of direction orientation - 45 k degrees"
)
METADATA_KEYS = (
    "convention",
    "version",
    "image_name",
    "image_size",
    "exif_orientation",
    "descriptor_kind",
    "params",
    "removed",
)
_LARGEST_SIDE = 2**31 - 1
_LARGEST_ORIENTATION = np.float32(2 * np.pi)


class FeatureFile(NamedTuple):
    """Content of a feature file."""

    features: Features
    format: str
    version: str
    """Version of siftcli that wrote it; empty if it is not recorded."""
    convention: str
    """The convention of the numbers in the file."""


def metadata(features: Features) -> dict[str, Any]:
    """Everything except the rows, in plain types for JSON."""
    return {
        "convention": CONVENTION,
        "version": __version__,
        "image_name": features.image_name,
        "image_size": [int(n) for n in features.image_size],
        "exif_orientation": int(features.exif_orientation),
        "descriptor_kind": features.descriptor_kind,
        "params": None if features.params is None else features.params.to_dict(),
        "removed": {name: int(n) for name, n in features.removed.items()},
    }


def shortest(column: NDArray[np.float32]) -> list[str]:
    """Write the shortest decimal text of each float32 that reads back as the same float32."""
    return [str(value) for value in column]


def parse_json(text: str | bytes) -> Any:
    """Parse JSON from a file that may be damaged.

    Raises
    ------
    InputError
        If it is not valid JSON, or is nested too deeply.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"damaged JSON ({' '.join(str(error).split())})") from error


def build(columns: Mapping[str, Any], meta: Any, format_name: str) -> FeatureFile:
    """Build features from the content of a file, after checking it.

    Parameters
    ----------
    columns
        The arrays of :class:`Features` by their names.
    meta
        The keys of ``METADATA_KEYS``; ``params`` may be None.
    format_name
        Name of the file's format.

    Raises
    ------
    InputError
        If something is missing, of a wrong type or length, or out of range.
    """
    if not isinstance(meta, Mapping):
        raise InputError("expected an object of metadata")
    _require("metadata", METADATA_KEYS, meta)
    if meta["convention"] != CONVENTION:
        raise InputError(f"expected the convention {CONVENTION!r}, got {_short(meta['convention'])}")
    try:
        features = Features(
            **_checked_columns(columns),
            image_size=_image_size(meta["image_size"]),
            descriptor_kind=_text(meta, "descriptor_kind"),
            image_name=_text(meta, "image_name"),
            exif_orientation=_whole(meta["exif_orientation"], 1, 8, "exif_orientation"),
            params=_params(meta["params"]),
            removed=_removed(meta["removed"]),
        )
    except ParameterError as error:
        raise InputError(str(error)) from error
    return FeatureFile(features, format_name, _text(meta, "version"), CONVENTION)


def _require(what: str, names: Iterable[str], found: Iterable[str]) -> None:
    missing = [name for name in names if name not in set(found)]
    if missing:
        raise InputError(f"expected {what} {', '.join(missing)}, which the file lacks")


def _checked_columns(columns: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    names = [f.name for f in array_fields()]
    _require("columns", names, columns)
    n = len(np.atleast_1d(columns["xy"]))
    checked = {f.name: _column(columns[f.name], f.name, f.metadata, n) for f in array_fields()}
    _require_range(checked["scale"] > 0, "scale", "positive")
    theta = checked["orientation"]
    _require_range((theta >= 0) & (theta <= _LARGEST_ORIENTATION), "orientation", "in [0, 2 pi)")
    _require_range(np.abs(checked["sign"]) == 1, "sign", "+1 or -1")
    return checked


def _column(values: Any, name: str, kind: Mapping[str, Any], n: int) -> NDArray[Any]:
    """Convert values to the field's type; only float32 rounding may change them."""
    array = np.asarray(values)
    dtype = np.dtype(kind["dtype"])
    expected = (n, *kind["shape"])
    if array.size == 0 and n == 0:
        array = np.zeros(expected, dtype)
    if array.dtype.kind not in "iuf" or array.shape != expected:
        raise InputError(f"expected {name} as numbers of shape {expected}, got {array.dtype} {array.shape}")
    if dtype.kind != "f":
        limits = np.iinfo(dtype)
        whole = (array >= limits.min) & (array <= limits.max) & (array == np.floor(array))
        _require_range(whole, name, f"whole numbers from {limits.min} to {limits.max}")
        return array.astype(dtype)
    with np.errstate(over="ignore"):
        converted = array.astype(dtype)
    _require_range(np.isfinite(converted), name, "finite")
    return converted


def _require_range(valid: NDArray[np.bool_], name: str, expected: str) -> None:
    if not valid.all():
        raise InputError(f"expected {name} {expected}; row {int(np.argwhere(~valid)[0][0])} is not")


def _image_size(value: Any) -> tuple[int, int]:
    try:
        width, height = value
    except (TypeError, ValueError) as error:
        raise InputError(f"expected image_size as width and height, got {_short(value)}") from error
    low = 0 if width == height == 0 else 1  # (0, 0) is an unknown size
    return tuple(_whole(n, low, _LARGEST_SIDE, "image_size") for n in (width, height))  # type: ignore[return-value]


def _whole(value: Any, low: int, high: int, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise InputError(f"expected {name} as whole numbers from {low} to {high}, got {_short(value)}")
    return int(value)


def _text(meta: Mapping[str, Any], name: str) -> str:
    if not isinstance(meta[name], str):
        raise InputError(f"expected {name} as text, got {_short(meta[name])}")
    return str(meta[name])


def _params(value: Any) -> SiftParams | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InputError(f"expected params as an object, got {_short(value)}")
    try:
        return SiftParams.from_dict(value)
    except SiftcliError as error:
        raise InputError(f"params: {_cut(str(error))}") from error


def _removed(value: Any) -> dict[str, int]:
    if not isinstance(value, Mapping):
        raise InputError(f"expected removed as an object, got {_short(value)}")
    return {str(name): _whole(n, 0, 2**63 - 1, "removed") for name, n in value.items()}


def _short(value: Any) -> str:
    return _cut(repr(value), 60)


def _cut(text: str, length: int = 200) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def no_rows() -> dict[str, Any]:
    """Columns of zero features."""
    return {f.name: np.zeros((0, *f.metadata["shape"]), f.metadata["dtype"]) for f in array_fields()}


DESCRIPTOR_COLUMNS = tuple(f"d{i}" for i in range(DESCRIPTOR_LENGTH))
SCALAR_COLUMNS = ("scale", "orientation", "response", "sign", "octave")

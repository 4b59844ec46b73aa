"""The inputs and options of a match of two images, checked without NumPy."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

from ..errors import ParameterError
from ..formats import FORMATS, is_feature_name

SCALE_RANGE = (0.05, 20.0)
"""Smallest and largest factor by which an image may be resized before it is matched."""

POINT_MAPS = ("similarity", "homography")
"""Models that map points of A to points of B."""

MATCH_FORMATS = ("json", "csv", "npz")
DEFAULT_MATCH_FORMAT = "json"
BINARY_MATCH_FORMATS = ("npz",)


def check_request(
    a: object,
    b: object,
    *,
    rotate: float | None = None,
    scale: float | None = None,
    focal_px: tuple[float, ...] | None = None,
) -> None:
    """Check a request before any work.

    Raises
    ------
    ParameterError
        If an option is out of its range, or does not fit the inputs.
    """
    is_changed = rotate is not None or scale is not None
    if b is None and not is_changed and _holds_many(a):
        raise ParameterError(
            f"{a} holds many images; add --pairs exhaustive to match them with each "
            "other (or another kind of pairs), or name two images"
        )
    if b is None and not is_changed:
        raise ParameterError("expected two inputs, or one with --rotate or --scale; got one, add another")
    source = a if b is None else b
    if is_changed and is_feature_file(source):
        raise ParameterError(
            f"--rotate and --scale expect an image, got the feature file {source}; give its image"
        )
    if focal_px is not None and not (
        len(focal_px) in (1, 2) and all(0 < focal < math.inf for focal in focal_px)
    ):
        shown = ",".join(f"{focal:g}" for focal in focal_px)
        raise ParameterError(f"focal_px must be one or two lengths above 0, in pixels; got {shown}")
    if rotate is not None and not math.isfinite(rotate):
        raise ParameterError(f"rotate must be a finite number of degrees; got {rotate}")
    if scale is not None and not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
        raise ParameterError(f"scale must be from {SCALE_RANGE[0]:g} to {SCALE_RANGE[1]:g}; got {scale}")


def _holds_many(source: object) -> bool:
    """Whether an input is a folder, or has the suffix of a collection."""
    if not isinstance(source, str | PathLike):
        return False
    suffix = Path(source).suffix.lower()
    return Path(source).is_dir() or any(suffix in e.suffixes for e in FORMATS.values() if e.is_collection)


def is_feature_file(source: object) -> bool:
    """Whether an input is a saved feature file, by its suffix."""
    if not isinstance(source, str | PathLike):
        return False
    return is_feature_name(source)

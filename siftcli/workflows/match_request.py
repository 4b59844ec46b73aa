"""Checks of the options for matching two images; importing this module does not load NumPy."""

from __future__ import annotations

import math
from os import PathLike

from ..errors import ParameterError
from ..formats import is_feature_name

SCALE_RANGE = (0.05, 20.0)
"""Factors by which an image is resized before it is matched."""

MATCH_FORMATS = ("json", "csv", "npz")
DEFAULT_MATCH_FORMAT = "json"
BINARY_MATCH_FORMATS = ("npz",)


def check_request(
    a: object,
    b: object,
    *,
    rotate: float | None = None,
    scale: float | None = None,
    draw: bool = False,
) -> None:
    """Check the options before any work.

    Raises
    ------
    ParameterError
        If an option is out of range, or options contradict each other.
    """
    is_transformed = rotate is not None or scale is not None
    if b is None and not is_transformed:
        raise ParameterError("expected two inputs, or one with --rotate or --scale; got one without")
    if is_transformed and is_feature_file(a if b is None else b):
        raise ParameterError(
            "--rotate and --scale need an image, got a feature file; give the image it was made from"
        )
    if draw and (is_feature_file(a) or is_feature_file(b)):
        raise ParameterError("--draw needs both images, got a feature file; give the image it was made from")
    if rotate is not None and not math.isfinite(rotate):
        raise ParameterError(f"rotate must be a finite number of degrees; got {rotate}")
    if scale is not None and not SCALE_RANGE[0] <= scale <= SCALE_RANGE[1]:
        raise ParameterError(f"scale must be between {SCALE_RANGE[0]:g} and {SCALE_RANGE[1]:g}; got {scale}")


def is_feature_file(source: object) -> bool:
    """Whether an input is a saved feature file, by its suffix."""
    if not isinstance(source, str | PathLike):
        return False
    return is_feature_name(source)

"""Options of registration, with defaults and checks; does not import NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._poselib import check_poselib
from ..errors import ParameterError
from ..matching.options import DEFAULT_MAX_ERROR, DEFAULT_RATIO, check_max_error, check_ratio

MODELS = ("translation", "rigid", "similarity", "affine", "homography")
WITHOUT_POSELIB = MODELS[:3]
"""Models whose matches are verified without PoseLib."""
DEFAULT_MODEL = "similarity"
REFINEMENTS = ("ecc", "none")
DEFAULT_REFINEMENT = "ecc"
INTERPOLATIONS = ("nearest", "linear", "cubic", "lanczos")
DEFAULT_INTERPOLATION = "cubic"
CANVASES = ("reference", "union", "intersection")
FAILURE_CHOICES = ("copy", "skip", "stop")
FILL_WORDS = ("nan", "mirror")
DEFAULT_NEIGHBOURS = 3
"""Each frame is also matched with this many before it, for the global adjustment."""
NEIGHBOUR_FEATURES = 500
"""Strongest features that are matched with neighbours, whose view is nearly the same."""
LARGEST_CHAIN = 10
"""Stacks of more frames than this are adjusted globally, unless ``neighbours`` is given."""
DEFAULT_MAX_FEATURES = 2000
"""More features hardly improve a transform of at most 8 parameters, and take longer to match."""
LARGE_FRAME_PX = 600_000
"""In larger frames detection begins with the image itself: four times as fast, and there are features enough.
The error of the transform grows from 0.009 to 0.013 px in frames of 512 x 512 pixels, and less in larger."""


@dataclass(frozen=True, kw_only=True)
class AlignOptions:
    """How a transform is estimated.

    Raises
    ------
    ParameterError
        If a value is out of range.
    MissingDependencyError
        If the model is verified by PoseLib, which is not installed.
    """

    model: str = DEFAULT_MODEL
    """One of ``MODELS``."""
    refine: str = DEFAULT_REFINEMENT
    """``"ecc"`` goes on with the intensities, ``"none"`` ends with the features."""
    ratio: float | None = DEFAULT_RATIO
    """Ratio test, as for :func:`siftcli.match`."""
    max_error: float = DEFAULT_MAX_ERROR
    """Largest error of an inlier in pixels."""

    def __post_init__(self) -> None:
        check_choice("model", self.model, MODELS)
        if self.model not in WITHOUT_POSELIB:
            check_poselib(f"the model {self.model!r}", f"{', '.join(WITHOUT_POSELIB)} do without")
        check_choice("refine", self.refine, REFINEMENTS)
        check_ratio(self.ratio)
        check_max_error(self.max_error)


@dataclass(frozen=True, kw_only=True)
class WarpOptions:
    """How a picture is resampled.

    Raises
    ------
    ParameterError
        If a value is out of range.
    """

    interpolation: str = DEFAULT_INTERPOLATION
    """One of ``INTERPOLATIONS``."""
    fill: float | str = 0.0
    """Value of pixels that the picture does not reach, ``"nan"``, or ``"mirror"``."""

    def __post_init__(self) -> None:
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        object.__setattr__(self, "fill", checked_fill(self.fill))


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Check that a value is one of the choices.

    Raises
    ------
    ParameterError
        If it is not.
    """
    if value not in choices:
        raise ParameterError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def checked_fill(fill: object) -> float | str:
    """Return a fill value as a number, or one of ``FILL_WORDS``.

    Raises
    ------
    ParameterError
        If it is neither.
    """
    if isinstance(fill, str) and fill.lower() in FILL_WORDS:
        return fill.lower()
    try:
        value = float(fill)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.inf
    if math.isnan(value):
        return "nan"
    if isinstance(fill, bool) or math.isinf(value):
        raise ParameterError(f"fill must be a number, nan or mirror; got {fill!r}")
    return value

"""How matches are searched for, verified and written: names, defaults and ranges, without NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import ParameterError

DEFAULT_RATIO = 0.8
"""Largest ratio of the nearest to the second distance (Lowe, section 7.1)."""

ESSENTIAL = "essential"
"""A scene in depth by cameras that are known, which only ``siftcli.verify`` is given."""
MIN_MATCHES = {"similarity": 2, "homography": 4, "fundamental": 8, ESSENTIAL: 5}
"""Fewest matches that determine each model."""
MODELS = ("similarity", "homography", "fundamental")
NO_MODEL = "none"
MODEL_CHOICES = (*MODELS, NO_MODEL)
DEFAULT_MODEL = "homography"
DEFAULT_PAIRS_MODEL = "fundamental"
"""Of the pairs of a collection: a scene in depth."""
DEFAULT_MIN_INLIERS = 15
"""Fewest inliers of a verified pair of a collection (COLMAP's default too)."""
DEFAULT_MAX_ERROR = 3.0
"""Largest error of an inlier, in pixels of the second image."""


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """How matches are searched for and verified.

    Raises
    ------
    ParameterError
        If a value is out of its range, or guided matching is asked for without a model.
    """

    ratio: float | None = DEFAULT_RATIO
    """Ratio test, as for :func:`siftcli.match`."""
    mutual: bool = True
    """Only pairs that are each other's nearest."""
    model: str = DEFAULT_MODEL
    """As for :func:`siftcli.verify`; "none" leaves verification out."""
    max_error: float = DEFAULT_MAX_ERROR
    """Largest error of an inlier in pixels."""
    guided: bool = False
    """Match again among the pairs within ``max_error`` of the model, and verify again."""

    def __post_init__(self) -> None:
        check_ratio(self.ratio)
        check_model(self.model, MODEL_CHOICES)
        check_max_error(self.max_error)
        if self.guided and self.model == NO_MODEL:
            raise ParameterError("guided matching needs a model; drop --guided or choose a --model")


def check_ratio(ratio: float | None) -> None:
    """Check the ratio of the ratio test.

    Raises
    ------
    ParameterError
        If it is neither in (0, 1] nor None.
    """
    if ratio is not None and not 0 < ratio <= 1:
        raise ParameterError(f"ratio must be above 0 and at most 1, or None for no ratio test; got {ratio}")


def check_model(model: str, choices: tuple[str, ...]) -> None:
    """Check the name of a model.

    Raises
    ------
    ParameterError
        If it is none of the choices.
    """
    if model not in choices:
        raise ParameterError(f"model must be one of {', '.join(choices)}; got {model!r}")


def check_max_error(max_error: float) -> None:
    """Check the largest error of an inlier.

    Raises
    ------
    ParameterError
        If it is not above 0.
    """
    if not 0 < max_error < math.inf:
        raise ParameterError(f"max_error must be above 0 (pixels); got {max_error}")

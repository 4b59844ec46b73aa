"""Options of matching and verification, with defaults and checks; does not import NumPy."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._poselib import check_poselib
from ..errors import ParameterError

DEFAULT_RATIO = 0.8
"""Maximum ratio of the nearest to the second-nearest distance (Lowe, section 7.1)."""

FUNDAMENTAL = "fundamental"
ESSENTIAL = "essential"
"""The model of a scene with depth seen by known cameras, which :func:`siftcli.verify` is given."""
MIN_MATCHES = {"similarity": 2, "homography": 4, FUNDAMENTAL: 8, ESSENTIAL: 5}
"""Minimum number of matches to estimate each model."""
MODELS = ("similarity", "homography", FUNDAMENTAL)
"""Models that need no cameras."""
NO_MODEL = "none"
MODEL_CHOICES = (*MODELS, ESSENTIAL, NO_MODEL)
_WITHOUT_POSELIB = ("similarity", NO_MODEL)
DEFAULT_MODEL = "homography"
DEFAULT_PAIRS_MODEL = ESSENTIAL
"""Default model for the image pairs of a collection, which show a scene with depth. Pairs of unknown cameras
get a fundamental matrix."""
DEFAULT_MIN_INLIERS = 15
"""Minimum number of inliers of a verified pair in a collection (the same default as COLMAP)."""
DEFAULT_MAX_ERROR = 3.0
"""Maximum error of an inlier, in pixels of the second image."""


@dataclass(frozen=True, kw_only=True)
class MatchOptions:
    """Options of matching and verification.

    Raises
    ------
    ParameterError
        If a value is out of range, or guided matching is requested without a model.
    MissingDependencyError
        If the model is estimated by PoseLib, which is not installed.
    """

    ratio: float | None = DEFAULT_RATIO
    """Ratio test, as for :func:`siftcli.match`."""
    mutual: bool = True
    """Keep only mutual nearest neighbours."""
    model: str = DEFAULT_MODEL
    """As for :func:`siftcli.verify`, or "none" for no verification."""
    max_error: float = DEFAULT_MAX_ERROR
    """Maximum error of an inlier in pixels."""
    guided: bool = False
    """After verification, match again among pairs within ``max_error`` of the model, and verify again."""

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
        raise ParameterError(f"ratio must be above 0 and at most 1; got {ratio}")


def check_model(model: str, choices: tuple[str, ...]) -> None:
    """Check the name of a model.

    Raises
    ------
    ParameterError
        If it is not one of the choices.
    MissingDependencyError
        If it is estimated by PoseLib, which is not installed.
    """
    if model not in choices:
        raise ParameterError(f"model must be one of {', '.join(choices)}; got {model!r}")
    if model not in _WITHOUT_POSELIB:
        check_poselib(f"the model {model!r}", "the models 'similarity' and 'none' do without")


def check_max_error(max_error: float) -> None:
    """Check the maximum error of an inlier.

    Raises
    ------
    ParameterError
        If it is not a finite number above 0.
    """
    if not 0 < max_error < math.inf:
        raise ParameterError(f"max_error must be above 0 (pixels); got {max_error}")

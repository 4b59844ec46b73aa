"""Putative matches -> verified matches and a model: similarity, homography or fundamental matrix.

Homographies and fundamental matrices are found by OpenCV's MAGSAC++ (Barath et al.,
CVPR 2020) from a fixed seed. A similarity, which that estimator does not offer, is found
by RANSAC and then fitted to its inliers by reweighted least squares in closed form
(Umeyama, PAMI 1991). A model that cannot be found is a result with a reason, not an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..features import Features, Matches
from .nearest import Guide
from .options import (
    DEFAULT_MAX_ERROR,
    DEFAULT_MODEL,
    MIN_MATCHES,
    MODELS,
    check_max_error,
    check_model,
)
from .residuals import Matrix, Points, sampson_errors, transfer_errors

CONFIDENCE = 0.9999
MAX_ITERATIONS = 10_000
"""Of the random search; it ends earlier when the confidence is reached."""
RANDOM_STATE = 0
"""Seed of the random search: the same matches give the same model."""
N_REFITS = 12
"""Rounds of the reweighted least squares; the turn then changes by less than 1e-6 degrees."""
CAUCHY_WIDTH = 1.5
"""Error, over the median error, at which a match's weight is halved: localisation errors have
longer tails than a Gaussian, and a few of 2 px would otherwise outweigh hundreds of 0.1 px."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """What a model says about M matches; a model of ``None`` comes with a reason.

    Turn, scale and shift are those at the centre of the first image, and ``None`` without
    a point map (no model, a fundamental matrix, or for the turn a map that mirrors).
    """

    kind: str
    """"similarity", "homography" or "fundamental"."""
    max_error: float
    """Largest error of an inlier: pixels in the second image, Sampson's for a fundamental matrix."""
    model: Matrix | None
    """(3, 3) float64: the map from the first to the second image, or F with x₂ᵀ F x₁ = 0."""
    inliers: NDArray[np.bool_]
    """(M,) whether a match fits the model."""
    rotation_deg: float | None = None
    """In (-180, 180], counter-clockwise on the screen."""
    scale: float | None = None
    """Length in the second image over length in the first."""
    shift: tuple[float, float] | None = None
    """(dx, dy) in pixels by which the centre of the first image moves."""
    reason: str = ""
    """Why there is no model."""

    @property
    def n_inliers(self) -> int:
        """How many matches fit the model."""
        return int(np.count_nonzero(self.inliers))

    def guide(self) -> Guide | None:
        """Return the model as a guide for another search, within ``max_error``; ``None`` without a model."""
        if self.model is None:
            return None
        return Guide(model=self.model, kind=self.kind, tolerance_px=self.max_error)


def verify(
    f: Features,
    g: Features,
    matches: Matches,
    model: str = DEFAULT_MODEL,
    max_error: float = DEFAULT_MAX_ERROR,
) -> Verification:
    """Find the model that most matches agree with, and which these are.

    Parameters
    ----------
    f, g
        Features of the first and the second image.
    matches
        Pairs of their rows.
    model
        ``"similarity"`` (turn, scale, shift), ``"homography"`` (a plane, or a camera that only
        turns) or ``"fundamental"`` (a scene in depth).
    max_error
        Largest error of an inlier in pixels of the second image (for a fundamental matrix
        Sampson's distance).

    Returns
    -------
    Verification
        The same for the same matches, always.

    Raises
    ------
    ParameterError
        If the model is unknown or ``max_error`` is not above 0.
    """
    check_model(model, MODELS)
    check_max_error(max_error)
    matrix, reason = None, _too_few(len(matches), model)
    rows_f, rows_g = matches.pairs.T
    first, second = f.xy[rows_f].astype(np.float64), g.xy[rows_g].astype(np.float64)
    if not reason:
        matrix = _ESTIMATORS[model](first, second, f.scale[rows_f].astype(np.float64), max_error)
        reason = "" if matrix is not None else f"no {_NAMES[model]} fits the {len(matches)} matches"
    if matrix is None:
        return Verification(
            kind=model, max_error=max_error, model=None, inliers=np.zeros(len(matches), bool), reason=reason
        )
    inliers = _ERRORS[model](first, second, matrix) <= max_error
    rotation_deg, scale, shift = (None, None, None) if model == "fundamental" else _motion(matrix, f)
    return Verification(
        kind=model, max_error=max_error, model=matrix, inliers=inliers,
        rotation_deg=rotation_deg, scale=scale, shift=shift,
    )  # fmt: skip


_NAMES = {"similarity": "similarity", "homography": "homography", "fundamental": "fundamental matrix"}


def _too_few(n_matches: int, model: str) -> str:
    needed = MIN_MATCHES[model]
    if n_matches >= needed:
        return ""
    return f"not enough matches: {n_matches}, a {_NAMES[model]} needs {needed}"


def _homography(first: Points, second: Points, scale: NDArray[np.float64], max_error: float) -> Matrix | None:
    return _magsac("findHomography", "homography", first, second, max_error)


def _fundamental(
    first: Points, second: Points, scale: NDArray[np.float64], max_error: float
) -> Matrix | None:
    return _magsac("findFundamentalMat", "fundamental", first, second, max_error)


def _magsac(function: str, kind: str, first: Points, second: Points, max_error: float) -> Matrix | None:
    cv2 = import_cv2()
    options = cv2.UsacParams()
    options.score = cv2.SCORE_METHOD_MAGSAC
    options.loMethod = cv2.LOCAL_OPTIM_SIGMA
    options.final_polisher = cv2.MAGSAC
    options.threshold = max_error
    options.confidence = CONFIDENCE
    options.maxIterations = MAX_ITERATIONS
    options.randomGeneratorState = RANDOM_STATE
    try:
        matrix, _ = getattr(cv2, function)(first, second, options)
    except cv2.error:  # what it does with degenerate points varies with the version
        return None
    return _checked(matrix, kind, first, second, max_error)


def _checked(matrix: Any, kind: str, first: Points, second: Points, max_error: float) -> Matrix | None:
    """Return the model in double precision, unless it is degenerate or explains too few matches."""
    if matrix is None or np.shape(matrix) != (3, 3) or not np.isfinite(matrix).all():
        return None
    model = np.array(matrix, dtype=np.float64)
    if kind != "fundamental" and abs(np.linalg.det(model)) < np.finfo(float).eps:
        return None
    n_inliers = np.count_nonzero(_ERRORS[kind](first, second, model) <= max_error)
    return model if n_inliers >= MIN_MATCHES[kind] else None


def _similarity(first: Points, second: Points, scale: NDArray[np.float64], max_error: float) -> Matrix | None:
    cv2 = import_cv2()
    matrix, _ = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=max_error,
        maxIters=MAX_ITERATIONS, confidence=CONFIDENCE, refineIters=0,
    )  # fmt: skip
    if matrix is None:
        return None
    model = _checked(np.vstack([matrix, [0, 0, 1]]), "similarity", first, second, max_error)
    for _ in range(N_REFITS):
        if model is None:
            return None
        errors = transfer_errors(first, second, model)
        near = errors <= max_error
        weight = _weights(errors[near], scale[near])
        model = _fitted_similarity(first[near], second[near], weight)
        model = _checked(model, "similarity", first, second, max_error)
    return model


def _weights(errors: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """(M,) 1/σ², as a position is as uncertain as its keypoint is large, times Cauchy's weight."""
    relative = errors / scale
    width = max(CAUCHY_WIDTH * float(np.median(relative)), float(np.finfo(np.float32).eps))
    return np.asarray(1 / (scale**2 * (1 + (relative / width) ** 2)))


def _fitted_similarity(first: Points, second: Points, weight: NDArray[np.float64]) -> Matrix | None:
    """Fit by weighted least squares (Umeyama); None if the points are all at one place."""
    p, q = _complex(first), _complex(second)
    p_mean, q_mean = np.average(p, weights=weight), np.average(q, weights=weight)
    spread = np.sum(weight * np.abs(p - p_mean) ** 2)
    if spread == 0:
        return None
    turn = np.sum(weight * (q - q_mean) * np.conj(p - p_mean)) / spread
    shift = q_mean - turn * p_mean
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag], [0.0, 0.0, 1.0]]
    )


def _complex(xy: Points) -> NDArray[np.complex128]:
    """(N,) points as complex numbers, in which a similarity is q = turn · p + shift."""
    return xy[:, 0] + 1j * xy[:, 1]


def _motion(model: Matrix, f: Features) -> tuple[float | None, float | None, tuple[float, float] | None]:
    """Turn, scale and shift of a point map at the centre of the first image.

    The turn is the rotation of the polar decomposition of the Jacobian J; in two dimensions
    its angle is that of (J₁₁ + J₂₂, J₂₁ - J₁₂), clockwise on the screen because y runs down.
    """
    centre = (np.array(f.image_size, dtype=np.float64) - 1) / 2
    mapped = model @ [*centre, 1.0]
    if mapped[2] == 0:
        return None, None, None
    image = mapped[:2] / mapped[2]
    jacobian = (model[:2, :2] - np.outer(image, model[2, :2])) / mapped[2]
    determinant = float(np.linalg.det(jacobian))
    turn = None
    if determinant > 0:
        clockwise = math.atan2(jacobian[1, 0] - jacobian[0, 1], jacobian[0, 0] + jacobian[1, 1])
        turn = math.degrees(-clockwise) if clockwise != math.pi else 180.0
    dx, dy = (image - centre).tolist()
    return turn, math.sqrt(abs(determinant)), (dx, dy)


_ESTIMATORS = {"similarity": _similarity, "homography": _homography, "fundamental": _fundamental}
_ERRORS = {"similarity": transfer_errors, "homography": transfer_errors, "fundamental": sampson_errors}

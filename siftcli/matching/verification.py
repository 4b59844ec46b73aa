"""Putative matches -> verified matches and a model: similarity, homography or fundamental matrix.

Homographies and fundamental matrices are found by OpenCV's MAGSAC++ (Barath et al.,
CVPR 2020) from a fixed seed. A similarity, which that estimator does not offer, is found
by RANSAC and then fitted to its inliers by reweighted least squares in closed form
(Umeyama, PAMI 1991). A model is accepted only if chance does not explain its inliers
(:mod:`siftcli.matching.chance`). No model is a result with a reason, not an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..features import Features, Matches
from . import chance
from .nearest import Guide
from .options import (
    DEFAULT_MAX_ERROR,
    DEFAULT_MODEL,
    MIN_MATCHES,
    MODELS,
    check_max_error,
    check_model,
)

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

MIRRORED_DEVIATIONS = 2.0
"""A map that mirrors must have so many standard deviations (√n) more inliers than a turn with n."""

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]


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
    """(3, 3) float64: the map from the first to the second image, or F with x₂ᵀ F x₁ = 0.
    None when there is none that is better than chance."""
    inliers: NDArray[np.bool_]
    """(M,) whether a match fits the model; all False without a model."""
    n_inliers: int
    """How many matches fit the model; without one, how many agree with the best that was found."""
    log10_nfa: float | None = None
    """Decimal logarithm of the number of false alarms: how many models with such support are
    expected among unrelated matches; a model is accepted below -3. None when nothing was fitted."""
    rotation_deg: float | None = None
    """In (-180, 180], counter-clockwise on the screen."""
    scale: float | None = None
    """Length in the second image over length in the first."""
    shift: tuple[float, float] | None = None
    """(dx, dy) in pixels by which the centre of the first image moves."""
    reason: str = ""
    """Why there is no model."""

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

    It is accepted if fewer than 1 in 1,000 such models are expected among unrelated matches
    (:mod:`siftcli.matching.chance`), and if its inliers neither lie at one place nor, for a homography or
    a fundamental matrix, on one line. A similarity or a homography is not accepted either if a map
    that mirrors explains clearly more matches. That a model is better than chance does not make it
    right: two buildings with the same windows agree for a reason.

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
    matrix, reason = fit(f, g, matches, model, max_error)
    if matrix is None:
        return _rejected(model, max_error, len(matches), reason)
    first, second = matched_points(f, g, matches)
    errors = partial(_ERRORS[model], model=matrix)
    inliers = errors(first, second) <= max_error
    n_inliers = int(np.count_nonzero(inliers))
    evidence = chance.weigh(model, errors, first, second, inliers, max_error, g.image_size)
    reason = _doubt(evidence, model, n_inliers, len(matches))
    if not reason and model != "fundamental" and 2 * n_inliers < len(matches):
        reason = _mirrored(n_inliers, f, g, matches, model, max_error)
    if reason:
        return _rejected(model, max_error, len(matches), reason, n_inliers, evidence.log10_nfa)
    rotation_deg, scale, shift = (None, None, None) if model == "fundamental" else _motion(matrix, f)
    return Verification(
        kind=model, max_error=max_error, model=matrix, inliers=inliers, n_inliers=n_inliers,
        log10_nfa=evidence.log10_nfa, rotation_deg=rotation_deg, scale=scale, shift=shift,
    )  # fmt: skip


def fit(
    f: Features, g: Features, matches: Matches, model: str, max_error: float
) -> tuple[Matrix | None, str]:
    """Find the model that most matches agree with, be it by chance.

    Parameters
    ----------
    f, g, matches, model, max_error
        As for :func:`verify`.

    Returns
    -------
    model, reason
        A (3, 3) model, or None and why there is none.
    """
    reason = _too_few(len(matches), model)
    if reason:
        return None, reason
    first, second = matched_points(f, g, matches)
    scale = f.scale[matches.pairs[:, 0]].astype(np.float64)
    matrix = _ESTIMATORS[model](first, second, scale, max_error)
    return matrix, "" if matrix is not None else f"no {_NAMES[model]} fits the {len(matches)} matches"


def matched_points(f: Features, g: Features, matches: Matches) -> tuple[Points, Points]:
    """(M, 2) positions in both images."""
    rows_f, rows_g = matches.pairs.T
    return f.xy[rows_f].astype(np.float64), g.xy[rows_g].astype(np.float64)


def _rejected(
    kind: str, max_error: float, n_matches: int, reason: str, n_inliers: int = 0, nfa: float | None = None
) -> Verification:
    return Verification(
        kind=kind, max_error=max_error, model=None, inliers=np.zeros(n_matches, bool),
        n_inliers=n_inliers, log10_nfa=nfa, reason=reason,
    )  # fmt: skip


def _doubt(evidence: chance.Evidence, kind: str, n_inliers: int, n_matches: int) -> str:
    """Say why a model is not accepted."""
    agree = f"not verified: {n_inliers} of {n_matches} matches agree"
    if not evidence.log10_nfa < chance.MAX_LOG10_NFA:
        return f"{agree}, which chance explains"
    if not evidence.is_spread:
        where = "at one place" if kind == "similarity" else "at one place or on one line"
        return f"{agree}, but they lie {where}, which determines no {_NAMES[kind]}"
    return ""


def _mirrored(n_inliers: int, f: Features, g: Features, matches: Matches, kind: str, max_error: float) -> str:
    """Say so if a map that mirrors explains more of the matches.

    Structures that are their own mirror image match in a mirrored picture, and those along one
    line then agree with a turn as well.
    """
    left_to_right = replace(f, xy=f.xy * np.array([-1, 1], np.float32))
    model, _ = fit(left_to_right, g, matches, kind, max_error)
    if model is None:
        return ""
    errors = _ERRORS[kind](*matched_points(left_to_right, g, matches), model)
    n_mirrored = int(np.count_nonzero(errors <= max_error))
    if n_mirrored <= n_inliers + MIRRORED_DEVIATIONS * math.sqrt(n_inliers):
        return ""
    return f"not verified: {n_inliers} of {len(matches)} matches agree, but {n_mirrored} with a mirror image"


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
        errors = _transfer_errors(first, second, model)
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


def _transfer_errors(first: Points, second: Points, model: Matrix) -> NDArray[np.float64]:
    """(M,) |H x₁ - x₂| in pixels; infinite where H x₁ is."""
    mapped = first @ model[:, :2].T + model[:, 2]
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = mapped[:, :2] / mapped[:, 2:] - second
    return np.asarray(np.nan_to_num(np.hypot(difference[:, 0], difference[:, 1]), nan=np.inf))


def _sampson_errors(first: Points, second: Points, model: Matrix) -> NDArray[np.float64]:
    """(M,) Sampson's distance in pixels (Hartley and Zisserman, eq. 11.9)."""
    lines_second = first @ model[:, :2].T + model[:, 2]
    lines_first = second @ model[:2] + model[2]
    algebraic = np.sum(lines_second[:, :2] * second, axis=1) + lines_second[:, 2]
    gradient = np.sqrt(np.sum(lines_second[:, :2] ** 2, axis=1) + np.sum(lines_first[:, :2] ** 2, axis=1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(np.abs(algebraic) / gradient, nan=np.inf))


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
_ERRORS = {"similarity": _transfer_errors, "homography": _transfer_errors, "fundamental": _sampson_errors}

"""Putative matches -> verified matches and a model: similarity, homography, epipolar geometry.

Homographies, fundamental matrices and, of known cameras, relative poses are found by PoseLib
(``estimators.py``) from a fixed seed. A similarity, which it does not offer, is found by OpenCV's
RANSAC and then fitted to its inliers by reweighted least squares in closed form (Umeyama, PAMI
1991). A model that cannot be found is a result with a reason, not an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..errors import ParameterError
from ..features import Features, Matches
from . import estimators
from .cameras import PIXEL_CENTRE, Camera, RelativePose, fundamental_of
from .nearest import Guide
from .options import (
    DEFAULT_MAX_ERROR,
    DEFAULT_MODEL,
    ESSENTIAL,
    MIN_MATCHES,
    MODELS,
    check_max_error,
    check_model,
)
from .residuals import Matrix, Points, sampson_errors, transfer_errors

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
    """"similarity", "homography", "fundamental" or "essential"."""
    max_error: float
    """Largest error of an inlier: pixels in the second image, Sampson's for epipolar geometry."""
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
    pose: RelativePose | None = None
    """Of the second camera seen from the first, where both are known ("essential")."""
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
        kind = "fundamental" if self.kind == ESSENTIAL else self.kind
        return Guide(model=self.model, kind=kind, tolerance_px=self.max_error)


def verify(
    f: Features,
    g: Features,
    matches: Matches,
    model: str = DEFAULT_MODEL,
    max_error: float = DEFAULT_MAX_ERROR,
    cameras: tuple[Camera, Camera] | None = None,
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
        turns), ``"fundamental"`` (a scene in depth) or ``"essential"`` (the same by known cameras,
        which gives the relative pose).
    max_error
        Largest error of an inlier in pixels of the second image (Sampson's distance for a scene in
        depth). The model itself is found by the matches that are within 2 px (homography) or
        0.5 px (a scene in depth) of it, or ``max_error`` if that is less.
    cameras
        Of the first and the second image, for ``"essential"`` only.

    Returns
    -------
    Verification
        The same for the same matches, always.

    Raises
    ------
    ParameterError
        If the model is unknown, ``max_error`` is not above 0, or cameras are missing or not asked for.
    """
    check_model(model, (*MODELS, ESSENTIAL))
    check_max_error(max_error)
    if (cameras is None) == (model == ESSENTIAL):
        raise ParameterError(
            f"the model {ESSENTIAL!r}, and no other, needs the cameras of both images; "
            f"got {model!r} {'without' if cameras is None else 'with'} cameras"
        )
    matrix, pose, reason = None, None, _too_few(len(matches), model)
    rows_f, rows_g = matches.pairs.T
    first, second = f.xy[rows_f].astype(np.float64), g.xy[rows_g].astype(np.float64)
    if not reason:
        if cameras is not None:
            matrix, pose = _essential(first, second, cameras, max_error)
        else:
            matrix = _ESTIMATORS[model](first, second, f.scale[rows_f].astype(np.float64), max_error)
        reason = "" if matrix is not None else f"no {_NAMES[model]} fits the {len(matches)} matches"
    if matrix is None:
        return Verification(
            kind=model, max_error=max_error, model=None, inliers=np.zeros(len(matches), bool), reason=reason
        )
    inliers = _ERRORS[model](first, second, matrix) <= max_error
    rotation_deg, scale, shift = _motion(matrix, f) if model in _POINT_MAPS else (None, None, None)
    return Verification(
        kind=model, max_error=max_error, model=matrix, inliers=inliers, pose=pose,
        rotation_deg=rotation_deg, scale=scale, shift=shift,
    )  # fmt: skip


_NAMES = {
    "similarity": "similarity",
    "homography": "homography",
    "fundamental": "fundamental matrix",
    ESSENTIAL: "relative pose",
}
_POINT_MAPS = ("similarity", "homography")


def _too_few(n_matches: int, model: str) -> str:
    needed = MIN_MATCHES[model]
    if n_matches >= needed:
        return ""
    return f"not enough matches: {n_matches}, a {_NAMES[model]} needs {needed}"


def _homography(first: Points, second: Points, scale: NDArray[np.float64], max_error: float) -> Matrix | None:
    model = estimators.homography(first, second, max_error)
    return _checked(model, "homography", first, second, max_error)


def _fundamental(
    first: Points, second: Points, scale: NDArray[np.float64], max_error: float
) -> Matrix | None:
    model = estimators.fundamental(first, second, max_error)
    return _checked(model, "fundamental", first, second, max_error)


def _essential(
    first: Points, second: Points, cameras: tuple[Camera, Camera], max_error: float
) -> tuple[Matrix | None, RelativePose | None]:
    """Return the fundamental matrix in the features' coordinates, and the pose it comes from."""
    limit = min(max_error, estimators.EPIPOLAR_ERROR_PX)
    pose = estimators.relative_pose(first + PIXEL_CENTRE, second + PIXEL_CENTRE, cameras, limit)
    if pose is None:
        return None, None
    to_camera = np.array([[1, 0, PIXEL_CENTRE], [0, 1, PIXEL_CENTRE], [0, 0, 1]])
    model = to_camera.T @ fundamental_of(pose, *cameras) @ to_camera
    model = _checked(model, ESSENTIAL, first, second, max_error)
    return model, None if model is None else pose


def _checked(matrix: Any, kind: str, first: Points, second: Points, max_error: float) -> Matrix | None:
    """Return the model in double precision, unless it is degenerate or explains too few matches."""
    if matrix is None or np.shape(matrix) != (3, 3) or not np.isfinite(matrix).all():
        return None
    model = np.array(matrix, dtype=np.float64)
    if kind in _POINT_MAPS and abs(np.linalg.det(model)) < np.finfo(float).eps:
        return None
    n_inliers = np.count_nonzero(_ERRORS[kind](first, second, model) <= max_error)
    return model if n_inliers >= MIN_MATCHES[kind] else None


def _similarity(first: Points, second: Points, scale: NDArray[np.float64], max_error: float) -> Matrix | None:
    cv2 = import_cv2()
    matrix, _ = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=max_error,
        maxIters=estimators.MAX_ITERATIONS, confidence=estimators.CONFIDENCE, refineIters=0,
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
_ERRORS = {
    "similarity": transfer_errors,
    "homography": transfer_errors,
    "fundamental": sampson_errors,
    ESSENTIAL: sampson_errors,
}

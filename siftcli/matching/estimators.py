"""Robust estimators of a similarity, homography or fundamental matrix, and the errors of matches.

Homographies and fundamental matrices are estimated by OpenCV's MAGSAC++ (Barath et al., CVPR 2020)
with a fixed seed. MAGSAC++ does not offer similarities. They are estimated by RANSAC and then fitted
to the inliers by iteratively reweighted least squares, in closed form (Umeyama, PAMI 1991).

An estimator takes matched points (M, 2) of both images, σ (M,) of the keypoints of the first image in
pixels, and the maximum error of an inlier in pixels. It returns a (3, 3) float64 model, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from .options import MIN_MATCHES

CONFIDENCE = 0.9999
MAX_ITERATIONS = 10_000
"""Maximum number of iterations of the random search; it stops earlier at ``CONFIDENCE``."""
RANDOM_STATE = 0
"""Seed of the random search, so that the same matches always give the same model."""
N_REFITS = 12
"""Iterations of the reweighted least squares; the rotation then changes by less than 1e-6 degrees."""
CAUCHY_WIDTH = 1.5
"""Scale of Cauchy's weight in units of the median error. Localisation errors have longer tails than a
Gaussian; without the weight, a few errors of 2 px would outweigh hundreds of 0.1 px."""

Points = NDArray[np.float64]
Matrix = NDArray[np.float64]
Floats = NDArray[np.float64]


def _homography(first: Points, second: Points, scale: Floats, max_error: float) -> Matrix | None:
    return _magsac("findHomography", "homography", first, second, max_error)


def _fundamental(first: Points, second: Points, scale: Floats, max_error: float) -> Matrix | None:
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
    except cv2.error:  # the behaviour on degenerate points depends on the version
        return None
    return _checked(matrix, kind, first, second, max_error)


def _checked(matrix: Any, kind: str, first: Points, second: Points, max_error: float) -> Matrix | None:
    """Return the model in double precision, or None if it is degenerate or has too few inliers."""
    if matrix is None or np.shape(matrix) != (3, 3) or not np.isfinite(matrix).all():
        return None
    model = np.array(matrix, dtype=np.float64)
    if kind != "fundamental" and abs(np.linalg.det(model)) < np.finfo(float).eps:
        return None
    n_inliers = np.count_nonzero(ERRORS[kind](first, second, model) <= max_error)
    return model if n_inliers >= MIN_MATCHES[kind] else None


def _similarity(first: Points, second: Points, scale: Floats, max_error: float) -> Matrix | None:
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


def _weights(errors: Floats, scale: Floats) -> Floats:
    """(M,) 1/σ², because the uncertainty of a position is proportional to σ, times Cauchy's weight."""
    relative = errors / scale
    width = max(CAUCHY_WIDTH * float(np.median(relative)), float(np.finfo(np.float32).eps))
    return np.asarray(1 / (scale**2 * (1 + (relative / width) ** 2)))


def _fitted_similarity(first: Points, second: Points, weight: Floats) -> Matrix | None:
    """Fit by weighted least squares (Umeyama); None if all points coincide."""
    p, q = _complex(first), _complex(second)
    p_mean, q_mean = np.average(p, weights=weight), np.average(q, weights=weight)
    spread = np.sum(weight * np.abs(p - p_mean) ** 2)
    if spread == 0:
        return None
    linear = np.sum(weight * (q - q_mean) * np.conj(p - p_mean)) / spread
    translation = q_mean - linear * p_mean
    return np.array(
        [
            [linear.real, -linear.imag, translation.real],
            [linear.imag, linear.real, translation.imag],
            [0.0, 0.0, 1.0],
        ]
    )


def _complex(xy: Points) -> NDArray[np.complex128]:
    """(N,) points as complex numbers, for which a similarity is q = linear · p + translation."""
    return xy[:, 0] + 1j * xy[:, 1]


def transfer_errors(first: Points, second: Points, model: Matrix) -> Floats:
    """(M,) transfer errors |H x₁ - x₂| in pixels; infinite if H x₁ is at infinity."""
    (x, y), (u, v) = np.ascontiguousarray(first.T), np.ascontiguousarray(second.T)
    p, q, w = (row[0] * x + row[1] * y + row[2] for row in model)
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = np.hypot(p / w - u, q / w - v)
    return np.asarray(np.nan_to_num(errors, nan=np.inf))


def sampson_errors(first: Points, second: Points, model: Matrix) -> Floats:
    """(M,) Sampson distances in pixels (Hartley and Zisserman, eq. 11.9)."""
    (x, y), (u, v) = np.ascontiguousarray(first.T), np.ascontiguousarray(second.T)
    a, b, c = (row[0] * x + row[1] * y + row[2] for row in model)  # the line of x₁ in the second image
    d, e = (column[0] * u + column[1] * v + column[2] for column in model.T[:2])
    algebraic = a * u + b * v + c
    gradient = np.sqrt((a * a + b * b) + (d * d + e * e))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.nan_to_num(np.abs(algebraic) / gradient, nan=np.inf))


ESTIMATORS: Mapping[str, Callable[[Points, Points, Floats, float], Matrix | None]] = {
    "similarity": _similarity,
    "homography": _homography,
    "fundamental": _fundamental,
}
"""Name of the model -> its estimator."""
ERRORS = {
    "similarity": transfer_errors,
    "homography": transfer_errors,
    "fundamental": sampson_errors,
}
"""Name of the model -> its error function, in pixels of the second image."""

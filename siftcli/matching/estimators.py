"""Robust estimators of a similarity, a homography or a fundamental matrix, by name.

Homographies and fundamental matrices are estimated by PoseLib (:mod:`siftcli.matching.random_search`),
which has no similarities. These are estimated by OpenCV's RANSAC and then fitted to the inliers by
iteratively reweighted least squares, in closed form (Umeyama, PAMI 1991).

An estimator takes matched points (M, 2) of both images, σ (M,) of the matched features in pixels, the maximum
error of an inlier in pixels and the maximum number of iterations. It returns a (3, 3) float64 model, or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from .options import MIN_MATCHES
from .random_search import CONFIDENCE, MIN_ITERATIONS, fundamental, homography
from .residuals import ERRORS, Floats, Matrix, Points, transfer_errors

N_REFITS = 12
"""Iterations of the reweighted least squares; the rotation then changes by less than 1e-6 degrees."""
CAUCHY_WIDTH = 1.5
"""Scale of Cauchy's weight in units of the median error. Localisation errors have longer tails than a
Gaussian; without the weight, a few errors of 2 px would outweigh hundreds of 0.1 px."""


def checked(
    matrix: Matrix | None, kind: str, first: Points, second: Points, max_error: float
) -> Matrix | None:
    """Return the model, or None if it is degenerate or has too few inliers to determine it."""
    if matrix is None or not np.isfinite(matrix).all():
        return None
    if ERRORS[kind] is transfer_errors and abs(np.linalg.det(matrix)) < np.finfo(float).eps:
        return None
    n_inliers = np.count_nonzero(ERRORS[kind](first, second, matrix) <= max_error)
    return matrix if n_inliers >= MIN_MATCHES[kind] else None


def _similarity(
    first: Points, second: Points, scale: Floats, max_error: float, max_iterations: int
) -> Matrix | None:
    cv2 = import_cv2()
    matrix, _ = cv2.estimateAffinePartial2D(
        first, second, method=cv2.RANSAC, ransacReprojThreshold=max_error,
        maxIters=max(MIN_ITERATIONS, max_iterations), confidence=CONFIDENCE, refineIters=0,
    )  # fmt: skip
    model = None if matrix is None else np.vstack([matrix, [0, 0, 1]])
    for _ in range(N_REFITS):
        model = checked(model, "similarity", first, second, max_error)
        if model is None:
            return None
        errors = transfer_errors(first, second, model)
        near = errors <= max_error
        weight = _weights(errors[near], scale[near])
        model = _fitted_similarity(first[near], second[near], weight)
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


ESTIMATORS: Mapping[str, Callable[[Points, Points, Floats, float, int], Matrix | None]] = {
    "similarity": _similarity,
    "homography": homography,
    "fundamental": fundamental,
}
"""Name of the model -> its estimator."""

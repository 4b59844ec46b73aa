"""Robust least squares over all inliers, weighted by the uncertainty of each position.

The uncertainty of a keypoint's position is proportional to its σ. Errors are taken in both pictures,
so that exchanging them inverts the transform, and have Cauchy's loss, as localisation errors have
longer tails than a Gaussian (:mod:`siftcli.matching.estimators`).
"""

from __future__ import annotations

import numpy as np

from .models import Floats, Frame, Matrix, derivatives, jacobians, mapped, matrix_of, parameters_of

CAUCHY_WIDTH = 1.5
"""Scale of Cauchy's loss in units of the median error."""
MAX_WIDTHS, SETTLED = 8, 0.8
"""The scale of the loss follows the errors, from those of the start down, until it falls no further."""
TOLERANCE = 1e-9
"""Relative change at which the fit ends; a pixel is more than 1e-5 of a picture's radius."""
MAX_EVALUATIONS = 100


def fit(
    model: str,
    first: Floats,
    second: Floats,
    sigma: tuple[Floats, Floats],
    start: Matrix,
    frame: Frame,
) -> Matrix | None:
    """Fit a model to matched points.

    Parameters
    ----------
    model
        Name of the model.
    first, second
        (M, 2) matched points in pixels.
    sigma
        (M,) σ of the keypoints of the first and of the second picture in pixels.
    start
        (3, 3) map in pixels to start from.
    frame
        Coordinates in which the parameters are of like size.

    Returns
    -------
    ndarray or None
        (3, 3) map from the first to the second points, in pixels; None if the fit does not converge.
    """
    from scipy.optimize import least_squares

    p, q = (mapped(frame.to_normal, points) for points in (first, second))
    weight_p, weight_q = (np.asarray(1 / (s[:, None] / frame.radius)) for s in sigma)

    def residuals(parameters: Floats) -> Floats:
        matrix = matrix_of(model, parameters)
        try:
            back = np.asarray(np.linalg.inv(matrix))
        except np.linalg.LinAlgError:
            return np.full(4 * len(p), 1e12)
        errors = (weight_q * (mapped(matrix, p) - q), weight_p * (mapped(back, q) - p))
        return np.asarray(np.nan_to_num(np.concatenate(errors).ravel(), nan=1e12))

    def jacobian(parameters: Floats) -> Floats:
        # With x = T⁻¹(q), the derivative of x is -J⁻¹ dT(x): T(x) = q does not change.
        matrix = matrix_of(model, parameters)
        x = mapped(np.asarray(np.linalg.inv(matrix)), q)
        back = np.linalg.solve(jacobians(matrix, x), derivatives(model, parameters, x))
        forward = derivatives(model, parameters, p)
        parts = (weight_q[:, :, None] * forward, -weight_p[:, :, None] * back)
        return np.asarray(np.nan_to_num(np.concatenate(parts).reshape(-1, len(parameters))))

    parameters, width = parameters_of(model, frame.normalised(start)), np.inf
    for _ in range(MAX_WIDTHS):
        before, width = width, CAUCHY_WIDTH * float(np.median(np.abs(residuals(parameters))))
        if width > SETTLED * before:
            break
        parameters = least_squares(
            residuals,
            parameters,
            jacobian,
            loss="cauchy",
            f_scale=max(width, float(np.finfo(np.float32).eps)),
            xtol=TOLERANCE,
            ftol=TOLERANCE,
            gtol=None,
            max_nfev=MAX_EVALUATIONS,
        ).x
    matrix = matrix_of(model, parameters)
    if not np.isfinite(matrix).all() or np.linalg.det(matrix) <= 0:
        return None
    return frame.in_pixels(matrix)

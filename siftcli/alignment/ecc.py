"""Refinement by intensities: OpenCV's ``findTransformECC`` (Evangelidis and Psarakis, PAMI 2008).

It maximises the correlation of the two pictures and so does not depend on their brightness and contrast.
It has no similarity: an affine map is found and the nearest similarity taken.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from .models import Frame, Matrix, matrix_of, parameters_of, rms_distance, scaled

N_ITERATIONS = 100
TOLERANCE = 1e-8
"""Change of the correlation at which it ends."""
BLUR_PX = 5
"""Side of the Gaussian window by which OpenCV blurs both pictures."""
LARGEST_CHANGE_PX = 1.0
"""A result farther than this from that of the features, on average, is not taken."""

Grey = NDArray[np.float32]


def refined(model: str, matrix: Matrix, moving: Grey, reference: Grey) -> tuple[Matrix, str]:
    """Refine the transform of a moving picture to a reference.

    Parameters
    ----------
    model
        Name of the model.
    matrix
        (3, 3) map from the moving picture to the reference, from features.
    moving, reference
        (H, W) float32 in [0, 1].

    Returns
    -------
    matrix, reason
        The refined map and an empty string, or ``matrix`` and the reason why it was not refined.
    """
    cv2 = import_cv2()
    kind = {
        "translation": cv2.MOTION_TRANSLATION,
        "rigid": cv2.MOTION_EUCLIDEAN,
        "similarity": cv2.MOTION_AFFINE,
        "affine": cv2.MOTION_AFFINE,
        "homography": cv2.MOTION_HOMOGRAPHY,
    }[model]
    back = scaled(np.asarray(np.linalg.inv(matrix))).astype(np.float32)
    start = back if model == "homography" else back[:2]
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, N_ITERATIONS, TOLERANCE)
    inside = np.full(moving.shape, 255, np.uint8)
    try:
        _, found = cv2.findTransformECC(reference, moving, start, kind, criteria, inside, BLUR_PX)
    except cv2.error:
        return matrix, "not refined by ECC: the pictures are not correlated enough"
    whole = np.asarray(found, dtype=np.float64)
    whole = whole if model == "homography" else np.vstack([whole, [0, 0, 1]])
    if not np.isfinite(whole).all() or np.linalg.det(whole) <= 0:
        return matrix, "not refined by ECC: it did not converge"
    size = (moving.shape[1], moving.shape[0])
    result = _nearest(model, scaled(np.asarray(np.linalg.inv(whole))), size)
    change = rms_distance(result, matrix, size)
    if not change <= LARGEST_CHANGE_PX:
        return matrix, f"not refined by ECC: it would move by {change:.1f} px from the features"
    return result, ""


def _nearest(model: str, matrix: Matrix, size: tuple[int, int]) -> Matrix:
    """The map of the model that is closest to a map in the picture."""
    frame = Frame.of(size)
    normal = frame.normalised(matrix)
    if model == "homography":
        return matrix
    return frame.in_pixels(matrix_of(model, parameters_of(model, normal)))

"""Measure how well the true map is recovered from the matches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..features import Features, Matches
from ..matching import verification as geometry
from ..views.metrics import angle_difference
from ..views.planar import Matrix, Region, centre_of, jacobians, map_points

CORNER_TOLERANCES_PX = (1, 3, 5, 10)
"""Thresholds on the corner error below which a homography counts as correct (the usual ones)."""


@dataclass(frozen=True)
class Recovery:
    """The errors of a model fitted to the matches; NaN if no model was found."""

    rotation_error_deg: float
    """Absolute error of the rotation at the centre of the first image, in degrees."""
    scale_error: float
    """Relative error of the scale at that point: |estimated / true - 1|."""
    corner_error_px: float
    """Mean distance in pixels between the image corners under the estimated and under the true map."""


def recovery(f: Features, g: Features, matches: Matches, matrix: Matrix, model: str) -> Recovery:
    """Fit a model to the matches and compare it with the true map.

    Parameters
    ----------
    f, g
        Features of the two images.
    matches
        Putative matches between them.
    matrix
        (3, 3) the true map from the first to the second image.
    model
        ``"similarity"`` or ``"homography"``.
    """
    found = geometry.verify(f, g, matches, model)
    if found.model is None:
        return Recovery(float("nan"), float("nan"), float("nan"))
    shape = (f.image_size[1], f.image_size[0])
    rotation, scale = rotation_and_scale(matrix, centre_of(shape))
    rotation_error = scale_error = float("nan")
    if found.rotation_deg is not None:
        difference = angle_difference(np.deg2rad([found.rotation_deg]), np.deg2rad([rotation]))
        rotation_error = float(np.rad2deg(difference[0]))
    if found.scale is not None:
        scale_error = abs(found.scale / scale - 1)
    return Recovery(rotation_error, scale_error, corner_error(found.model, matrix, shape))


def rotation_and_scale(matrix: Matrix, at: tuple[float, float]) -> tuple[float, float]:
    """The rotation (degrees, counter-clockwise on the screen) and the scale of a map at a point (x, y).

    The rotation is that of the polar decomposition of the Jacobian; NaN if the map mirrors the image.
    """
    ((a, b), (c, d)) = jacobians(matrix, np.array([at]))[0]
    determinant = a * d - b * c
    rotation = np.rad2deg(np.arctan2(b - c, a + d)) if determinant > 0 else np.nan
    return float(rotation), float(np.sqrt(abs(determinant)))


def corner_error(estimated: Matrix, matrix: Matrix, shape: tuple[int, int]) -> float:
    """Mean distance in pixels between the corners of an image (height, width) under two maps."""
    corners = Region.whole(shape).corners
    difference = map_points(estimated, corners) - map_points(matrix, corners)
    return float(np.hypot(difference[:, 0], difference[:, 1]).mean())

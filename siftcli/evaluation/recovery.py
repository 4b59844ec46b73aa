"""How well the true map is recovered from the matches: what a user of the features gets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..features import Features, Matches
from ..matching import verification as geometry
from ..views.metrics import angle_difference
from ..views.planar import Matrix, Region, centre_of, jacobians, map_points

CORNER_TOLERANCES_PX = (1, 3, 5, 10)
"""Corner errors up to which a homography counts as right (the field's usual list)."""


@dataclass(frozen=True)
class Recovery:
    """The errors of a model fitted to matches; NaN where there is none to compare."""

    rotation_error_deg: float
    """Of the turn at the centre of the first image."""
    scale_error: float
    """Estimated over true scale there, minus 1, absolute."""
    corner_error_px: float
    """Mean distance between the corners of the first image under the estimated and the true map."""


def recovery(f: Features, g: Features, matches: Matches, matrix: Matrix, model: str) -> Recovery:
    """Fit a model to matches and compare it with the truth.

    Parameters
    ----------
    f, g
        Features of the two images.
    matches
        Putative matches of their rows.
    matrix
        (3, 3) the true map.
    model
        ``"similarity"`` or ``"homography"``.
    """
    found = geometry.verify(f, g, matches, model)
    if found.model is None:
        return Recovery(float("nan"), float("nan"), float("nan"))
    shape = (f.image_size[1], f.image_size[0])
    turn, scale = turn_and_scale(matrix, centre_of(shape))
    turn_error = scale_error = float("nan")
    if found.rotation_deg is not None:
        difference = angle_difference(np.deg2rad([found.rotation_deg]), np.deg2rad([turn]))
        turn_error = float(np.rad2deg(difference[0]))
    if found.scale is not None:
        scale_error = abs(found.scale / scale - 1)
    return Recovery(turn_error, scale_error, corner_error(found.model, matrix, shape))


def turn_and_scale(matrix: Matrix, at: tuple[float, float]) -> tuple[float, float]:
    """The turn (degrees, counter-clockwise on the screen) and the scale of a map at a point.

    The turn is that of the polar decomposition of the Jacobian; NaN for a map that mirrors.
    """
    ((a, b), (c, d)) = jacobians(matrix, np.array([at]))[0]
    determinant = a * d - b * c
    turn = np.rad2deg(np.arctan2(b - c, a + d)) if determinant > 0 else np.nan
    return float(turn), float(np.sqrt(abs(determinant)))


def corner_error(estimated: Matrix, matrix: Matrix, shape: tuple[int, int]) -> float:
    """Mean distance in pixels between an image's corners under two maps."""
    corners = Region.whole(shape).corners
    difference = map_points(estimated, corners) - map_points(matrix, corners)
    return float(np.hypot(difference[:, 0], difference[:, 1]).mean())

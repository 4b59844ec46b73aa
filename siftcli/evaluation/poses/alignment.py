"""Compare reconstructed cameras with the known ones, after the similarity that brings them together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from .cameras import Matrix, rotation_angle_deg
from .scenes import View

MIN_CAMERAS = 3
"""Fewest that determine a similarity in space."""


@dataclass(frozen=True, eq=False)
class FoundCamera:
    """A camera as it was reconstructed, in the coordinates of the reconstruction."""

    rotation: Matrix
    """(3, 3) from the world to the camera."""
    centre: NDArray[np.float64]
    """(3,)."""


@dataclass(frozen=True, kw_only=True)
class Accuracy:
    """Errors of the registered cameras; NaN if there are fewer than three."""

    position_median: float
    """Distance from the known position, as a share of the largest distance between two known cameras."""
    position_max: float
    rotation_median_deg: float
    rotation_max_deg: float


def compare(views: Sequence[View], found: Mapping[str, FoundCamera]) -> Accuracy:
    """Errors of reconstructed cameras.

    Positions are compared after the similarity of least squares. Rotations are compared after the mean
    rotation between both sets: the similarity's own is poorly determined if the cameras stand on a line.

    Parameters
    ----------
    views
        All views of the scene, with their known cameras.
    found
        Name of the view -> its reconstructed camera.
    """
    named = [view for view in views if view.name in found]
    if len(named) < MIN_CAMERAS:
        return Accuracy(
            position_median=np.nan, position_max=np.nan, rotation_median_deg=np.nan, rotation_max_deg=np.nan
        )
    truth = np.array([view.centre for view in named])
    moved = fitted(np.array([found[view.name].centre for view in named]), truth)
    distance = np.linalg.norm(moved - truth, axis=1) / diameter(np.array([view.centre for view in views]))
    turned = Rotation.from_matrix([found[view.name].rotation.T @ view.rotation for view in named])
    angles = [rotation_angle_deg(r.as_matrix()) for r in turned.mean().inv() * turned]
    return Accuracy(
        position_median=float(np.median(distance)),
        position_max=float(distance.max()),
        rotation_median_deg=float(np.median(angles)),
        rotation_max_deg=float(np.max(angles)),
    )


def fitted(points: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points (N, 3) after the similarity of least squares to a target (N, 3) (Umeyama, PAMI 1991)."""
    from_centre, to_centre = points.mean(axis=0), target.mean(axis=0)
    a, b = points - from_centre, target - to_centre
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on a line several rotations fit equally well
        rotation, _ = Rotation.align_vectors(b, a)
    turned = rotation.apply(a)
    scale = float(np.sum(b * turned)) / max(float(np.sum(a**2)), np.finfo(float).tiny)
    return np.asarray(scale * turned + to_centre)


def diameter(points: NDArray[np.float64]) -> float:
    """The largest distance between two of the points (N, 3)."""
    return float(np.linalg.norm(points[:, None] - points[None], axis=2).max())

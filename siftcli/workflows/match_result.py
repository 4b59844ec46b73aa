"""The result of matching two images: features, matches, the verified model, and how exact it is."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features import Features, Matches
from ..matching.options import MatchOptions
from ..matching.verification import Verification
from ..views import metrics
from ..views.planar import map_points
from .feature_pictures import PicturePlace
from .match_request import POINT_MAPS
from .match_text import ROTATION_ONLY, direction
from .summary import SCHEMA

REPEATABILITY_PX = metrics.LOCALISATION_RADIUS_PX
"""Largest distance, in pixels, at which a keypoint counts as repeated."""

Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One of the two images: its features and, unless they came from a file, its pixels."""

    name: str
    features: Features
    grey: NDArray[np.float32] | None
    """(H, W) in [0, 1], in the frame of the features."""
    place: PicturePlace | None = None
    """The file of the pixels; None for an array, or if they are not known."""
    n_pages: int = 1
    """Pages of the image file."""
    is_faint: bool = False
    """Whether fewer than 10 features were found in an image that uses under a quarter of its range."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Transform:
    """Rotation and scaling applied to the second image."""

    rotation_deg: float = 0.0
    """Counter-clockwise on the screen."""
    scale: float = 1.0
    matrix: Matrix | None = None
    """(3, 3) map from pixels of the original image to those of the canvas; None if it is unchanged."""
    original_size: tuple[int, int] | None = None
    """(width, height) of the original image; None if it is unchanged."""
    n_dropped: int = 0
    """Number of features dropped because their support leaves the image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """Accuracy of matches between two images with the same pixels, by the known map between them."""

    correct: NDArray[np.bool_]
    """(M,) within 2 px (``metrics.CORRECT_MATCH_PX``) of the truth."""
    repeatability: float
    """Keypoints repeated within 1.5 px, divided by the smaller number of keypoints. Locations with several
    orientations count once, and only if their support lies in both images."""

    @property
    def precision(self) -> float:
        """Share of the matches that are correct; NaN without matches."""
        return float(np.mean(self.correct)) if len(self.correct) else math.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageMatch:
    """Result of matching a pair of images."""

    a: Side
    b: Side
    """The second image as it was matched, after any rotation and scaling."""
    matches: Matches
    verification: Verification | None
    """None if no model was requested."""
    transform: Transform
    truth: Truth | None
    """None if the true map is not known."""
    options: MatchOptions

    @property
    def xy_b_original(self) -> NDArray[np.float64]:
        """(M, 2) matched positions in the second image before rotation and scaling."""
        xy = self.b.features.xy[self.matches.pairs[:, 1]].astype(np.float64)
        return xy if self.transform.matrix is None else map_points(np.linalg.inv(self.transform.matrix), xy)

    @property
    def model(self) -> Matrix | None:
        """(3, 3) the verified model: a map from A to B as matched, its last element 1, or F; else None."""
        found = None if self.verification is None else self.verification.model
        return found if found is None or not self.has_map else found / found[2, 2]

    @property
    def has_map(self) -> bool:
        """Whether a verified model maps points to points."""
        found = self.verification
        return found is not None and found.model is not None and found.kind in POINT_MAPS

    @property
    def map_to_original(self) -> NDArray[np.float64] | None:
        """(3, 3) map from A to B before rotation and scaling, its last element 1; None without a map."""
        if self.model is None or not self.has_map:
            return None
        whole = (
            self.model if self.transform.matrix is None else np.linalg.inv(self.transform.matrix) @ self.model
        )
        return np.asarray(whole / whole[2, 2])

    @property
    def original_size_b(self) -> tuple[int, int]:
        """(width, height) of B before rotation and scaling."""
        return self.transform.original_size or self.b.features.image_size

    @property
    def corners(self) -> NDArray[np.float64] | None:
        """(4, 2) where the corner pixels of A lie in B as matched, clockwise from the top left.

        None without a map, or if A reaches beyond what a flat scene can show.
        """
        if self.model is None or not self.has_map:
            return None
        width, height = self.a.features.image_size
        right, bottom = max(width - 1, 0), max(height - 1, 0)
        ends = np.array([[0, 0, 1], [right, 0, 1], [right, bottom, 1], [0, bottom, 1]], np.float64)
        x, y, w = self.model @ ends.T
        centre = self.model[2] @ (right / 2, bottom / 2, 1)
        return None if (w * centre <= 0).any() else np.column_stack([x / w, y / w])

    def to_dict(self) -> dict[str, Any]:
        """Return the result in plain types, for JSON; the keys are listed in docs/json.md."""
        found = self.verification
        summary = {
            "schema": SCHEMA,
            "image_a": self.a.name,
            "image_b": self.b.name,
            "n_features_a": len(self.a.features),
            "n_features_b": len(self.b.features),
            "n_dropped_b": self.transform.n_dropped,
            "n_matches": len(self.matches),
            "is_verified": None if found is None else found.model is not None,
            "n_inliers": None if found is None else found.n_inliers,
            "rotation_asked_deg": self.transform.rotation_deg,
            "rotation_recovered_deg": None if found is None else found.rotation_deg,
            "scale_asked": self.transform.scale,
            "scale_recovered": None if found is None else found.scale,
            "shift": None if found is None or found.shift is None else list(found.shift),
            "model_matrix": None if self.model is None else self.model.tolist(),
            "model_direction": "" if self.model is None else direction(self.options.model),
            "corners": None if self.corners is None else self.corners.tolist(),
            **_pose(found),
            "reason": "" if found is None else found.reason,
            **asdict(self.options),
        }
        return {**summary, **self._judgement()}

    def _judgement(self) -> dict[str, Any]:
        """Accuracy if the truth is known; otherwise the rotation and scale besides those requested."""
        rotation, scale = None, None
        if self.verification is not None and self.verification.rotation_deg is not None:
            rotation = _wrapped_deg(self.verification.rotation_deg - self.transform.rotation_deg)
        if self.verification is not None and self.verification.scale is not None:
            scale = self.verification.scale / self.transform.scale
        if self.truth is None:
            return {"rotation_relative_deg": rotation, "scale_relative": scale}
        return {
            "n_correct": int(np.count_nonzero(self.truth.correct)),
            "precision": self.truth.precision,
            "repeatability": self.truth.repeatability,
            "correct_within_px": metrics.CORRECT_MATCH_PX,
            "repeatable_within_px": REPEATABILITY_PX,
            "rotation_error_deg": rotation,
            "scale_error": None if scale is None else scale - 1,
        }


def _pose(found: Verification | None) -> dict[str, Any]:
    """The relative pose of known cameras in plain types."""
    cameras = None if found is None else found.cameras
    pose = None if found is None else found.pose
    return {
        "focal_px": None if cameras is None else [camera.fx for camera in cameras],
        "pose_rotation": None if pose is None else pose.rotation.tolist(),
        "pose_angle_deg": None if pose is None else pose.angle_deg,
        "pose_axis": None if pose is None or pose.axis is None else list(pose.axis),
        "pose_direction": None if pose is None or pose.is_rotation else pose.direction.tolist(),
        "pose_note": ROTATION_ONLY if pose is not None and pose.is_rotation else "",
    }


def _wrapped_deg(angle: float) -> float:
    """Wrap an angle in degrees to (-180, 180]."""
    return 180.0 - (180.0 - angle) % 360.0

"""Photographs with known cameras: a COLMAP model beside its images, or a CSV file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from .cameras import Camera, Matrix, RelativePose


@dataclass(frozen=True, eq=False)
class View:
    """A photograph, its camera and where that stood."""

    path: Path
    name: str
    """As the model names it."""
    camera: Camera
    rotation: Matrix
    """(3, 3) from the world to the camera."""
    translation: NDArray[np.float64]
    """(3,) likewise."""
    points: NDArray[np.int64]
    """(K,) ids of the model's points that it shows, in rising order; none where the model has none."""

    @property
    def centre(self) -> NDArray[np.float64]:
        """(3,) where the camera stood."""
        return np.asarray(-self.rotation.T @ self.translation)

    def angle_to(self, other: View) -> float:
        """Degrees between the directions in which the two cameras look."""
        return math.degrees(math.acos(np.clip(self.rotation[2] @ other.rotation[2], -1, 1)))

    def overlap_with(self, other: View) -> float | None:
        """Points that both show, over those of the view with fewer; None where one shows none."""
        fewer = min(len(self.points), len(other.points))
        if fewer == 0:
            return None
        return len(np.intersect1d(self.points, other.points, assume_unique=True)) / fewer

    def pose_of(self, other: View) -> RelativePose:
        """The true pose of the other camera seen from this one."""
        rotation = other.rotation @ self.rotation.T
        return RelativePose(rotation, other.translation - rotation @ self.translation)


@dataclass(frozen=True)
class Limits:
    """Which pairs are measured."""

    min_angle_deg: float
    max_angle_deg: float
    min_overlap: float = 0.0
    max_overlap: float = 1.0

    @property
    def need_overlap(self) -> bool:
        """Whether the overlap decides anything."""
        return self.min_overlap > 0 or self.max_overlap < 1

    def admit(self, a: View, b: View) -> bool:
        """Whether a pair is measured."""
        if not self.min_angle_deg <= a.angle_to(b) <= self.max_angle_deg:
            return False
        overlap = a.overlap_with(b) if self.need_overlap else None
        return not self.need_overlap or self.min_overlap <= (overlap or 0.0) <= self.max_overlap


@dataclass(frozen=True, eq=False)
class Scene:
    """Views in one coordinate system."""

    name: str
    views: tuple[View, ...]

    @property
    def has_points(self) -> bool:
        """Whether the overlap of views is known."""
        return any(len(view.points) for view in self.views)

    def pairs(self, limits: Limits) -> list[tuple[int, int]]:
        """Numbers of the views of each pair within the limits, in the order of the model.

        Raises
        ------
        InputError
            If there is none, or the overlap is limited but not known.
        """
        if limits.need_overlap and not self.has_points:
            raise InputError(
                f"scene {self.name}: --overlap needs a model with points, and this one has none; "
                "leave it out, and choose pairs by --view-angles"
            )
        n = len(self.views)
        found = [
            (i, j) for i in range(n) for j in range(i + 1, n) if limits.admit(self.views[i], self.views[j])
        ]
        if not found:
            raise InputError(
                f"scene {self.name}: none of the pairs of its {n} views is within --view-angles "
                f"{limits.min_angle_deg:g} {limits.max_angle_deg:g} and --overlap {limits.min_overlap:g} "
                f"{limits.max_overlap:g}; widen them or leave them out"
            )
        return found


def read_scenes(path: Path) -> list[Scene]:
    """Read a scene, or every scene of a folder.

    Parameters
    ----------
    path
        A folder with ``images/`` and a COLMAP model in ``sparse/`` or ``sparse/0/``, a folder of such
        folders, or a CSV file with the columns ``CSV_COLUMNS`` and paths relative to it.

    Raises
    ------
    InputError
        If there is no scene, or one cannot be read.
    MissingDependencyError
        If a model is binary and pycolmap is not installed.
    """
    from .readers import CSV_COLUMNS, colmap_views, csv_views, model_of

    if path.is_file():
        return [_scene(path.stem, csv_views(path))]
    folders = [path] if model_of(path) else sorted(p for p in _subfolders(path) if model_of(p))
    if not folders:
        raise InputError(
            f"{path}: found no scene in it; expected images/ and a COLMAP model in sparse/, folders of "
            f"these, or a CSV file with the columns {','.join(CSV_COLUMNS)}"
        )
    return [_scene(folder.resolve().name, colmap_views(folder)) for folder in folders]


def _subfolders(path: Path) -> Iterable[Path]:
    return (p for p in path.iterdir() if p.is_dir()) if path.is_dir() else ()


def _scene(name: str, views: Iterable[View]) -> Scene:
    found = tuple(views)
    for view in found:
        if not view.path.is_file():
            raise InputError(f"{view.path}: expected an image of scene {name}, but it is missing")
    names = [view.name for view in found]
    if len(set(names)) < len(names):
        raise InputError(f"scene {name}: expected each image once; one is listed twice")
    return Scene(name, found)

"""Photographs with known cameras: a COLMAP model beside its images, or a CSV file.

Cameras are pinholes. Pixel coordinates are COLMAP's: the centre of the top-left pixel is (0.5, 0.5).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError, MissingDependencyError
from ...matching.cameras import Camera

CSV_COLUMNS = ("image", "width", "height", "fx", "fy", "cx", "cy", "qw", "qx", "qy", "qz", "tx", "ty", "tz")
_FOCAL_LENGTHS = {"SIMPLE_PINHOLE": 1, "PINHOLE": 2}
"""Camera models that are read, and the number of their focal lengths."""


@dataclass(frozen=True, eq=False)
class View:
    """A photograph, its camera and where that stood."""

    path: Path
    name: str
    """As the model names it."""
    camera: Camera
    rotation: NDArray[np.float64]
    """(3, 3) from the world to the camera."""
    translation: NDArray[np.float64]
    """(3,) likewise."""

    def angle_to(self, other: View) -> float:
        """Degrees between the directions in which the two cameras look."""
        return math.degrees(math.acos(np.clip(self.rotation[2] @ other.rotation[2], -1, 1)))


@dataclass(frozen=True, eq=False)
class Scene:
    """Views in one coordinate system."""

    name: str
    views: tuple[View, ...]

    def pairs(self, min_angle: float, max_angle: float) -> list[tuple[View, View]]:
        """Pairs whose directions of view differ by this many degrees, in the order of the model."""
        return [
            (a, b)
            for i, a in enumerate(self.views)
            for b in self.views[i + 1 :]
            if min_angle <= a.angle_to(b) <= max_angle
        ]


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
    if path.is_file():
        return [_scene(path.stem, _csv_views(path))]
    folders = [path] if _model_of(path) else sorted(p for p in _subfolders(path) if _model_of(p))
    if not folders:
        raise InputError(
            f"{path}: found no scene in it; expected images/ and a COLMAP model in sparse/, folders of "
            f"these, or a CSV file with the columns {','.join(CSV_COLUMNS)}"
        )
    return [_scene(folder.resolve().name, _colmap_views(folder)) for folder in folders]


def _subfolders(path: Path) -> Iterable[Path]:
    return (p for p in path.iterdir() if p.is_dir()) if path.is_dir() else ()


def _scene(name: str, views: Iterable[View]) -> Scene:
    found = tuple(views)
    for view in found:
        if not view.path.is_file():
            raise InputError(f"{view.path}: expected an image of scene {name}, but it is missing")
    return Scene(name, found)


def _model_of(folder: Path) -> Path | None:
    """The folder of a scene's model; None where there is none."""
    places = [folder / "sparse", folder / "sparse" / "0"]
    return next((p for p in places for end in ("txt", "bin") if (p / f"images.{end}").is_file()), None)


def _colmap_views(folder: Path) -> list[View]:
    model = _model_of(folder)
    assert model is not None
    if not (model / "images.txt").is_file():
        return _binary_views(model, folder / "images")
    cameras = dict(_text_camera(fields, model) for fields in _lines(model / "cameras.txt"))
    rows = list(_lines(model / "images.txt", keep_empty=True))[::2]  # every second line lists points
    try:
        return [
            View(folder / "images" / name, name, cameras[camera], *_pose(list(map(float, pose))))
            for _, *pose, camera, name in ((*row[:9], " ".join(row[9:])) for row in rows if row)
        ]
    except (ValueError, KeyError) as error:
        raise InputError(f"{model / 'images.txt'}: not COLMAP's images.txt ({_said(error)})") from error


def _lines(path: Path, *, keep_empty: bool = False) -> Iterable[list[str]]:
    """Fields of the lines that are no comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a file of a COLMAP text model; {_said(error)}") from error
    return [line.split() for line in lines if not line.startswith("#") and (keep_empty or line.strip())]


def _text_camera(fields: list[str], model: Path) -> tuple[str, Camera]:
    try:
        number, kind, width, height, *params = fields
        return number, _camera(kind, int(width), int(height), list(map(float, params)))
    except ValueError as error:
        raise InputError(f"{model / 'cameras.txt'}: not COLMAP's cameras.txt ({_said(error)})") from error


def _camera(kind: str, width: int, height: int, params: list[float]) -> Camera:
    """A pinhole camera from COLMAP's parameters."""
    if kind not in _FOCAL_LENGTHS:
        raise InputError(
            f"expected cameras of the models {' or '.join(_FOCAL_LENGTHS)}, got {kind}; "
            "undistort the images with colmap image_undistorter"
        )
    *focal, cx, cy = params
    if len(focal) != _FOCAL_LENGTHS[kind]:
        raise ValueError(f"{kind} has {_FOCAL_LENGTHS[kind] + 2} parameters, got {len(params)}")
    return Camera(width, height, focal[0], focal[-1], cx, cy)


def _pose(numbers: list[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation and translation from a quaternion (w first) and a vector."""
    if len(numbers) != 7 or not np.isfinite(numbers).all() or not any(numbers[:4]):
        raise ValueError("a pose has four numbers of a quaternion and three of a translation")
    w, x, y, z = np.array(numbers[:4]) / np.linalg.norm(numbers[:4])
    rotation = np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
    return rotation, np.array(numbers[4:])


def _binary_views(model: Path, images: Path) -> list[View]:
    try:
        import pycolmap
    except ImportError as error:
        raise MissingDependencyError(
            f"{model}: a binary COLMAP model needs pycolmap; install it with: pip install 'siftcli[colmap]', "
            "or convert the model with colmap model_converter --output_type TXT"
        ) from error
    try:
        found = pycolmap.Reconstruction(str(model))
    except Exception as error:  # pycolmap raises what its C++ code does
        raise InputError(f"{model}: not a COLMAP model ({_said(error)})") from error
    return [_binary_view(image, images) for _, image in sorted(found.images.items())]


def _binary_view(image: object, images: Path) -> View:
    camera, pose = image.camera, image.cam_from_world()  # type: ignore[attr-defined]
    name: str = image.name  # type: ignore[attr-defined]
    pinhole = _camera(camera.model.name, camera.width, camera.height, list(camera.params))
    return View(images / name, name, pinhole, pose.rotation.matrix(), np.array(pose.translation))


def _csv_views(path: Path) -> list[View]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({_said(error)})") from error
    if not set(CSV_COLUMNS) <= set(columns):
        raise InputError(f"{path}: expected the columns {','.join(CSV_COLUMNS)}; got {','.join(columns)}")
    return [_csv_view(row, path, number) for number, row in enumerate(rows, start=1)]


def _csv_view(row: dict[str, str], path: Path, number: int) -> View:
    try:
        width, height = int(row["width"]), int(row["height"])
        values = [float(row[name]) for name in CSV_COLUMNS[3:]]
        camera = _camera("PINHOLE", width, height, values[:4])
        return View(path.parent / row["image"], row["image"], camera, *_pose(values[4:]))
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: row {number} is not a camera ({_said(error)})") from error


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())

"""Read views from a COLMAP model, text or binary, or from a CSV file.

Cameras are pinholes. Pixel coordinates are COLMAP's: the centre of the top-left pixel is (0.5, 0.5).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...detectors.quiet_pycolmap import import_pycolmap
from ...errors import InputError, MissingDependencyError
from ...io.limits import MAX_FILE_BYTES
from ...io.reading import read_bytes, text_of
from .cameras import Camera, Matrix
from .scenes import View

CSV_COLUMNS = ("image", "width", "height", "fx", "fy", "cx", "cy", "qw", "qx", "qy", "qz", "tx", "ty", "tz")
_FOCAL_LENGTHS = {"SIMPLE_PINHOLE": 1, "PINHOLE": 2}
"""Camera models that are read, and the number of their focal lengths."""
_NO_POINTS = np.empty(0, np.int64)


def model_of(folder: Path) -> Path | None:
    """The folder of a scene's model; None if there is none."""
    places = [folder / "sparse", folder / "sparse" / "0"]
    return next((p for p in places for end in ("txt", "bin") if (p / f"images.{end}").is_file()), None)


def colmap_views(folder: Path) -> list[View]:
    """The views of a folder with ``images/`` and a COLMAP model, in the order of the model.

    Raises
    ------
    InputError
        If the model cannot be read, or its cameras are no pinholes.
    MissingDependencyError
        If it is binary and pycolmap is not installed.
    """
    model = model_of(folder)
    assert model is not None
    if not (model / "images.txt").is_file():
        return _binary_views(model, folder / "images")
    cameras = dict(_text_camera(line, model) for line in _lines(model / "cameras.txt") if line.strip())
    lines = _lines(model / "images.txt")
    # Every image has two lines; the second lists its points and may be empty.
    found = zip(lines[::2], [*lines[1::2], ""], strict=False)
    try:
        return [_text_view(a, b, cameras, folder / "images") for a, b in found if a.strip()]
    except (ValueError, KeyError) as error:
        raise InputError(f"{model / 'images.txt'}: not COLMAP's images.txt ({_said(error)})") from error


def _text_view(line: str, points: str, cameras: dict[str, Camera], images: Path) -> View:
    _, *pose, camera, name = line.split(maxsplit=9)
    rotation, translation = _pose(list(map(float, pose)))
    ids = np.array(points.split()[2::3], np.int64)
    return View(images / name.strip(), name.strip(), cameras[camera], rotation, translation, _seen(ids))


def _seen(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The ids of points, without -1 and 2⁶⁴ - 1 (no point), each once in rising order."""
    return np.unique(ids[ids >= 0])


def _lines(path: Path) -> list[str]:
    """The lines that are no comment."""
    try:
        lines = text_of(read_bytes(path, MAX_FILE_BYTES)).split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected a file of a COLMAP text model; {_said(error)}") from error
    return [line for line in lines if not line.startswith("#")]


def _text_camera(line: str, model: Path) -> tuple[str, Camera]:
    try:
        number, kind, width, height, *params = line.split()
        return number, _camera(kind, int(width), int(height), list(map(float, params)))
    except ValueError as error:
        raise InputError(f"{model / 'cameras.txt'}: not COLMAP's cameras.txt ({_said(error)})") from error


def _camera(kind: str, width: int, height: int, params: Sequence[float]) -> Camera:
    """A pinhole camera from COLMAP's parameters."""
    if kind not in _FOCAL_LENGTHS:
        raise InputError(
            f"expected cameras of the models {' or '.join(_FOCAL_LENGTHS)}, got {kind}; "
            "undistort the images with colmap image_undistorter"
        )
    if len(params) != _FOCAL_LENGTHS[kind] + 2:
        raise ValueError(f"{kind} has {_FOCAL_LENGTHS[kind] + 2} parameters, got {len(params)}")
    *focal, cx, cy = params
    if width < 1 or height < 1 or not np.isfinite(params).all() or min(focal) <= 0:
        raise ValueError(f"expected a size and focal lengths above 0, got {width} × {height}, {focal}")
    return Camera(width, height, focal[0], focal[-1], cx, cy)


def _pose(numbers: Sequence[float]) -> tuple[Matrix, NDArray[np.float64]]:
    """Rotation and translation from a quaternion (w first) and a vector."""
    from scipy.spatial.transform import Rotation

    if len(numbers) != 7 or not np.isfinite(numbers).all() or not any(numbers[:4]):
        raise ValueError("a pose has four numbers of a quaternion and three of a translation")
    w, *xyz = numbers[:4]
    return np.asarray(Rotation.from_quat([*xyz, w]).as_matrix()), np.array(numbers[4:])


def _binary_views(model: Path, images: Path) -> list[View]:
    try:
        pycolmap = import_pycolmap()
    except ImportError as error:
        raise MissingDependencyError(
            f"{model}: a binary COLMAP model needs pycolmap; install it with: pip install 'siftcli[colmap]', "
            "or convert the model with colmap model_converter --output_type TXT"
        ) from error
    try:
        found = pycolmap.Reconstruction(str(model))
    except Exception as error:  # pycolmap raises what its C++ code does
        raise InputError(f"{model}: not a COLMAP model ({_said(error)})") from error
    return [_binary_view(image, images, model) for _, image in sorted(found.images.items())]


def _binary_view(image: Any, images: Path, model: Path) -> View:
    camera, pose = image.camera, image.cam_from_world()
    try:
        pinhole = _camera(camera.model.name, camera.width, camera.height, list(camera.params))
    except ValueError as error:
        raise InputError(f"{model}: not a camera ({_said(error)})") from error
    ids = [point.point3D_id for point in image.points2D if point.has_point3D()]
    rotation, translation = pose.rotation.matrix(), np.array(pose.translation)
    return View(
        images / image.name, image.name, pinhole, rotation, translation, _seen(np.array(ids, np.int64))
    )


def csv_views(path: Path) -> list[View]:
    """The views that a CSV file lists, one per row.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a column, or a row is not a camera.
    """
    try:
        reader = csv.DictReader(io.StringIO(text_of(read_bytes(path, MAX_FILE_BYTES)), newline=""))
        rows, columns = list(reader), reader.fieldnames or ()
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV ({_said(error)})") from error
    if not set(CSV_COLUMNS) <= set(columns):
        raise InputError(f"{path}: expected the columns {','.join(CSV_COLUMNS)}; got {','.join(columns)}")
    return [_csv_view(row, path, number) for number, row in enumerate(rows, start=1)]


def _csv_view(row: dict[str, str], path: Path, number: int) -> View:
    try:
        width, height = int(row["width"]), int(row["height"])
        values = [float(row[name]) for name in CSV_COLUMNS[3:]]
        camera = _camera("PINHOLE", width, height, values[:4])
        return View(path.parent / row["image"], row["image"], camera, *_pose(values[4:]), _NO_POINTS)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: row {number} is not a camera ({_said(error)})") from error


def _said(error: Exception) -> str:
    return " ".join(str(getattr(error, "strerror", None) or error).split())

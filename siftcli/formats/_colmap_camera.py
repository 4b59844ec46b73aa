"""Initial guess of an image's camera, as COLMAP makes it: size, focal length, centre."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ..errors import ParameterError
from ..matching import cameras
from ._collections import WriteOptions
from ._registry import CAMERA_CHOICES, CAMERA_MODELS
from .colmap_text import HALF_PIXEL

DEFAULT_FOCAL_FACTOR = 1.2
"""COLMAP's guess of an unknown focal length, as a multiple of the larger side."""
_PARAMETERS = {
    "SIMPLE_PINHOLE": (1, 0),
    "PINHOLE": (2, 0),
    "SIMPLE_RADIAL": (1, 1),
    "RADIAL": (1, 2),
    "OPENCV": (2, 4),
    "OPENCV_FISHEYE": (2, 4),
    "FULL_OPENCV": (2, 8),
    "SIMPLE_RADIAL_FISHEYE": (1, 1),
    "RADIAL_FISHEYE": (1, 2),
}
"""For each model the number of focal lengths and of distortion parameters."""


@dataclass(frozen=True)
class Camera:
    """A row of the table ``cameras``."""

    model: int
    width: int
    height: int
    params: bytes
    prior_focal_length: bool
    """Whether the focal length was read from EXIF, not guessed."""


def known(model: object, params: object, prior_focal_length: object) -> cameras.Camera | None:
    """The camera of a row, if its focal length is known and it has no distortion; else None."""
    names = {number: name for name, number in CAMERA_MODELS.items()}
    n_focal, n_distortion = _PARAMETERS.get(names.get(model, ""), (0, 0))  # type: ignore[call-overload]
    is_pinhole = n_focal > 0 and "FISHEYE" not in names[model]  # type: ignore[index]
    if prior_focal_length != 1 or not is_pinhole or not isinstance(params, bytes):
        return None
    if len(params) != 8 * (n_focal + 2 + n_distortion):
        return None
    values = np.frombuffer(params, "<f8")
    if values[n_focal + 2 :].any():
        return None
    (cx, cy) = (values[n_focal : n_focal + 2] - HALF_PIXEL).tolist()
    try:
        return cameras.Camera(fx=float(values[0]), fy=float(values[n_focal - 1]), cx=cx, cy=cy)
    except ParameterError:
        return None


def check_camera(options: WriteOptions) -> None:
    """Check the names of the sharing and of the model.

    Raises
    ------
    ParameterError
        If a name is unknown.
    """
    if options.camera not in CAMERA_CHOICES:
        raise ParameterError(f"camera must be one of {', '.join(CAMERA_CHOICES)}; got {options.camera!r}")
    if options.camera_model not in CAMERA_MODELS:
        raise ParameterError(
            f"camera_model must be one of {', '.join(CAMERA_MODELS)}; got {options.camera_model!r}"
        )


def guessed(size: tuple[int, int], path: str | None, model: str) -> Camera:
    """Guess the camera of an image of this stored size; its focal length from the EXIF of its file."""
    from ._exif import read_exif  # late: it imports Pillow, and readers need none

    width, height = size
    known = None if path is None else read_exif(path).focal_length_px(size)
    focal = DEFAULT_FOCAL_FACTOR * max(size) if known is None else known
    n_focal, n_distortion = _PARAMETERS[model]
    params = [focal] * n_focal + [width / 2, height / 2] + [0.0] * n_distortion
    params_bytes = np.array(params, "<f8").tobytes()
    return Camera(CAMERA_MODELS[model], width, height, params_bytes, known is not None)


def group_of(name: str, sharing: str) -> str:
    """Name of the group of images that share a camera with this one."""
    if sharing == "single":
        return ""
    return str(PurePosixPath(name).parent) if sharing == "per-folder" else name

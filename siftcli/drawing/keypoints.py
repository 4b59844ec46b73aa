"""Draw keypoints on an image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..errors import InputError
from ..features import Features
from .encoding import png

RADIUS_SIGMAS = 3.0
"""Radius of a circle, in units of σ."""

# Sky blue and yellow of Okabe and Ito's palette, which are distinguishable with any colour
# vision. They are lightened, because a thin antialiased line looks darker than an area.
BRIGHT_COLOUR = (110, 200, 255)
DARK_COLOUR = (255, 235, 60)
_HALO_DARKENING = 0.7
"""Opacity of the halo; the image stays visible under thousands of circles."""

_WANTED_SIDE = 1600
"""Smaller images are enlarged by an integer factor until the longest side is about this long."""
_MAX_ENLARGEMENT = 8
_SIDE_PER_LINE_PX = 1600
"""Lines get one pixel wider for each multiple of this in the longest side."""
_FADE = 0.8
"""Factor by which the contrast of the image is reduced around middle grey."""
_SHIFT = 4
"""Fractional bits of coordinates in OpenCV's drawing functions."""
_UNIT = 1 << _SHIFT


def draw_keypoints(image: NDArray[Any], features: Features) -> NDArray[np.uint8]:
    """Draw keypoints as circles of radius 3σ, with a line that shows the orientation.

    Dark structures are yellow and bright ones blue. A dark halo keeps both legible on any background.
    Small circles are drawn over large ones. Small images are enlarged.

    Parameters
    ----------
    image
        (H, W) or (H, W, 3), uint8, or float in [0, 1].
    features
        Keypoints in the pixels of that image.

    Returns
    -------
    ndarray
        (H·k, W·k, 3) uint8, RGB, where k is an integer from 1 to 8.

    Raises
    ------
    InputError
        If the array has another shape or dtype.
    MissingDependencyError
        If OpenCV is not installed.
    """
    cv2 = import_cv2()
    rgb = _faded(_rgb(image))
    enlargement = _enlargement(max(rgb.shape[:2]))
    canvas = np.repeat(np.repeat(rgb, enlargement, axis=0), enlargement, axis=1)
    width = 1 + max(canvas.shape[:2]) // _SIDE_PER_LINE_PX
    shapes = _shapes(features, enlargement, max(canvas.shape[:2]))
    halo = np.zeros(canvas.shape[:2], np.uint8)
    for shape, _ in shapes:
        _stroke(cv2, halo, shape, 255, width + 2)
    canvas = _darkened(canvas, halo)
    for shape, colour in shapes:
        _stroke(cv2, canvas, shape, colour, width)
    return canvas


def draw_png(image: NDArray[Any], features: Features) -> bytes:
    """Draw keypoints like :func:`draw_keypoints`, and encode the result as PNG."""
    return png(draw_keypoints(image, features))


def _rgb(image: NDArray[Any]) -> NDArray[np.uint8]:
    array = np.asarray(image)
    if array.ndim not in (2, 3) or array.shape[2:] not in ((), (3,)) or array.size == 0:
        raise InputError(f"expected an image of shape (H, W) or (H, W, 3), got {array.shape}")
    if array.dtype.kind == "f":
        array = np.rint(np.clip(array, 0, 1) * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise InputError(f"expected an image of uint8 or float samples, got {array.dtype}")
    return array if array.ndim == 3 else np.repeat(array[:, :, np.newaxis], 3, axis=2)


def _faded(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Reduce the contrast, so that the drawing stands out."""
    levels = np.rint(127.5 + (np.arange(256) - 127.5) * _FADE).astype(np.uint8)
    return np.asarray(levels[rgb])


def _enlargement(side: int) -> int:
    return min(_MAX_ENLARGEMENT, max(1, round(_WANTED_SIDE / side)))


def _darkened(canvas: NDArray[np.uint8], halo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    light = 1 - halo.astype(np.float32)[:, :, np.newaxis] * np.float32(_HALO_DARKENING / 255)
    return np.rint(canvas * light).astype(np.uint8)


@dataclass(frozen=True)
class _Shape:
    """A circle and a line from its centre, in OpenCV's sub-pixel units."""

    centre: tuple[int, int]
    radius: int
    tip: tuple[int, int]


def _shapes(features: Features, enlargement: int, side: int) -> list[tuple[_Shape, tuple[int, int, int]]]:
    """The shape and colour of every keypoint, largest first."""
    centre = (features.xy.astype(np.float64) + 0.5) * enlargement - 0.5
    radius = features.scale.astype(np.float64) * RADIUS_SIGMAS * enlargement
    shapes = []
    for i in np.argsort(-radius, kind="stable"):
        if radius[i] > 2 * side or not (np.abs(centre[i]) < 2 * side).all():
            continue  # it would be invisible, and OpenCV's fixed-point coordinates would overflow
        theta = float(features.orientation[i])
        tip = centre[i] + radius[i] * np.array([math.cos(theta), math.sin(theta)])
        shape = _Shape(_point(centre[i]), round(radius[i] * _UNIT), _point(tip))
        shapes.append((shape, DARK_COLOUR if features.sign[i] > 0 else BRIGHT_COLOUR))
    return shapes


def _point(xy: NDArray[np.float64]) -> tuple[int, int]:
    return round(float(xy[0]) * _UNIT), round(float(xy[1]) * _UNIT)


def _stroke(cv2: Any, canvas: NDArray[np.uint8], shape: _Shape, colour: Any, width: int) -> None:
    cv2.circle(canvas, shape.centre, shape.radius, colour, width, cv2.LINE_AA, _SHIFT)
    cv2.line(canvas, shape.centre, shape.tip, colour, width, cv2.LINE_AA, _SHIFT)

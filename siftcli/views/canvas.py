"""Rotate and resize an image on a canvas that is large enough to hold all of it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from .planar import Region, centre_of, map_points, similarity
from .rendering import GREY_LEVELS, Interpolated, render
from .transforms import quarter_turn

MAX_CANVAS_PIXELS = 1 << 28
"""Maximum size of the canvas."""

Matrix = NDArray[np.floating[Any]]


def rotated(grey: NDArray[np.float32], deg: float, scale: float = 1.0) -> tuple[NDArray[np.float32], Matrix]:
    """Rotate an image about its centre and resize it, on a canvas that is large enough to hold all of it.

    Parameters
    ----------
    grey
        (H, W) float32 in [0, 1].
    deg
        Rotation in degrees, counter-clockwise on the screen. Multiples of 90 at scale 1 are lossless.
    scale
        Factor by which the content grows. Below 1, each pixel is the average over its footprint.

    Returns
    -------
    image, matrix
        The image, (H', W') float32 in [0, 1], padded by mirroring, and the map (3, 3) from the
        pixels of ``grey`` to its pixels.

    Raises
    ------
    ParameterError
        If the canvas would have more than 2²⁸ pixels.
    """
    shape = grey.shape[0], grey.shape[1]
    if scale == 1 and deg % 90 == 0:
        quarters = int(deg // 90) % 4
        return np.ascontiguousarray(np.rot90(grey, quarters)), quarter_turn(shape, quarters).astype(
            np.float64
        )
    canvas = _canvas_shape(shape, deg, scale)
    if canvas[0] * canvas[1] > MAX_CANVAS_PIXELS:
        raise ParameterError(
            f"the rotated image would have {canvas[1]} x {canvas[0]} pixels, more than {MAX_CANVAS_PIXELS}; "
            "choose a smaller --scale or a smaller image"
        )
    matrix = similarity(scale, deg, centre_of(shape), centre_of(canvas))
    levels = render(Interpolated(grey), np.linalg.inv(matrix), canvas, 1 / scale, average=scale < 1)
    return np.clip(levels / GREY_LEVELS, 0, 1).astype(np.float32), matrix


def _canvas_shape(shape: tuple[int, int], deg: float, scale: float) -> tuple[int, int]:
    """The smallest (height, width) that holds every pixel of the rotated image."""
    corners = map_points(similarity(scale, deg, (0, 0), (0, 0)), Region.whole(shape).corners)
    width, height = np.ceil(np.ptp(corners, axis=0) - 1e-9).astype(int)  # 1e-9: the sine of 180° is not 0
    return int(height), int(width)

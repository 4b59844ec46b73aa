"""The faded picture that a drawing lies on, and places on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

FRACTION_BITS = 4
"""Bits after the point of the coordinates in OpenCV's drawing functions."""
UNITS = 1 << FRACTION_BITS
"""Of those coordinates, in a pixel."""
_FADE = 0.8
"""Factor by which the contrast of the picture is reduced around middle grey."""
_WANTED_SIDE, _MAX_SIDE = 1000, 2600
"""Smaller pictures are enlarged by an integer factor to about the first, larger ones reduced."""
_MAX_ENLARGEMENT = 6


def faded_canvas(image: NDArray[np.float32]) -> tuple[NDArray[np.uint8], float]:
    """A picture of a size to draw on.

    Parameters
    ----------
    image
        (H, W) float32 in [0, 1].

    Returns
    -------
    canvas, factor
        (h, w, 3) uint8, RGB, and its pixels for each of the image.
    """
    height, width = image.shape
    side = max(height, width)
    factor = min(_MAX_SIDE / side, _MAX_ENLARGEMENT, max(1, round(_WANTED_SIDE / side)))
    levels = np.rint(127.5 + (255 * np.clip(image, 0, 1) - 127.5) * _FADE).astype(np.uint8)
    kind = Image.Resampling.NEAREST if factor >= 1 else Image.Resampling.BOX
    size = max(1, round(width * factor)), max(1, round(height * factor))
    grey = np.asarray(Image.fromarray(levels).resize(size, kind))
    return np.ascontiguousarray(np.repeat(grey[:, :, None], 3, axis=2)), factor


def on_canvas(xy: NDArray[Any], factor: float) -> NDArray[np.float64]:
    """Positions (..., 2) in pixels of an image as those of a canvas with ``factor`` pixels for each."""
    return np.asarray((xy.astype(np.float64) + 0.5) * factor - 0.5)


def in_units(px: NDArray[np.float64]) -> NDArray[np.int32]:
    """Coordinates or lengths in pixels in the units of OpenCV's drawing functions."""
    return np.asarray(np.rint(px * UNITS).astype(np.int32))

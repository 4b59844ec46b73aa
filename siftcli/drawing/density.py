"""How densely points lie, as a tint over a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2

TINT = (225, 70, 160)
"""A lightened reddish purple, unlike the colours of circles and visible on black and white."""
_OPACITY = 0.6
"""Where points lie most densely."""
_CELLS = 56
"""Cells along the longest side."""
_ROWS_AT_ONCE = 256
_BLUR_CELLS = 1.0
"""σ of the blur of the counts."""


def tinted(
    canvas: NDArray[np.uint8], points: NDArray[np.float64], enlargement: int
) -> tuple[NDArray[np.uint8], float, int]:
    """Tint a picture by the density of points.

    The opacity grows with the square root of the density, so that single points are seen beside crowds.

    Parameters
    ----------
    canvas
        (H, W, 3) RGB.
    points
        (N, 2) positions x, y in pixels of the canvas. Those outside do not count.
    enlargement
        Pixels of the canvas for each of the image.

    Returns
    -------
    picture, most, cell_px
        The tinted picture, the largest (smoothed) number of points in a cell, and the side of a cell in
        pixels of the image.
    """
    cv2 = import_cv2()
    height, width = canvas.shape[:2]
    cell_px = max(1, round(max(height, width) / (_CELLS * enlargement)))
    side = cell_px * enlargement
    n_rows, n_columns = -(-height // side), -(-width // side)
    with np.errstate(invalid="ignore"):
        column, row = np.floor((points + 0.5) / side).T
        inside = (column >= 0) & (row >= 0) & (column < n_columns) & (row < n_rows)
    cells = (row[inside] * n_columns + column[inside]).astype(np.intp)
    counts = np.bincount(cells, minlength=n_rows * n_columns).reshape(n_rows, n_columns).astype(np.float32)
    smooth = cv2.GaussianBlur(counts, (0, 0), _BLUR_CELLS, borderType=cv2.BORDER_REFLECT)
    most = float(smooth.max())
    if most == 0:
        return canvas, 0.0, cell_px
    whole = (n_columns * side, n_rows * side)
    density = cv2.resize(smooth, whole, interpolation=cv2.INTER_LINEAR)[:height, :width]
    picture, tint = np.empty_like(canvas), np.array(TINT, np.float32)
    for first in range(0, height, _ROWS_AT_ONCE):  # to save memory
        rows = slice(first, first + _ROWS_AT_ONCE)
        opacity = (_OPACITY * np.sqrt(density[rows] / most))[:, :, np.newaxis]
        picture[rows] = np.rint(canvas[rows] + opacity * (tint - canvas[rows]))
    return picture, most, cell_px

"""Draw where one picture lies in another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from .canvas import FRACTION_BITS, UNITS, faded_canvas, in_units, on_canvas
from .legend import Entry, strip

COLOUR = (230, 159, 0)
"""Orange of Okabe and Ito's palette."""
_HALO = (0, 0, 0)
_SIDE_PER_LINE_PX = 500
_FARTHEST = 1 << 14
"""Pixels beyond which corners are drawn no farther out: OpenCV's coordinates are 32-bit in 1/16 px."""


def draw_outline(
    image: NDArray[np.float32], corners: NDArray[np.float64], name: str, name_there: str
) -> NDArray[np.uint8]:
    """Draw the outline of a picture in another, its first corner as a dot.

    Parameters
    ----------
    image
        (H, W) float32 in [0, 1], the other picture.
    corners
        (4, 2) corners of the outline in its pixels, clockwise from the top left of the picture that is found.
    name, name_there
        Names of the picture that is found, and of the other.

    Returns
    -------
    ndarray
        (h, w, 3) uint8, RGB; a strip below tells what it shows.
    """
    cv2 = import_cv2()
    canvas, factor = faded_canvas(image)
    points = in_units(on_canvas(corners, factor).clip(-_FARTHEST, _FARTHEST))
    line = 2 + max(canvas.shape[:2]) // _SIDE_PER_LINE_PX
    for colour, px in ((_HALO, line + 2), (COLOUR, line)):
        cv2.polylines(canvas, [points], True, colour, px, cv2.LINE_AA, FRACTION_BITS)
    x, y = points[0].tolist()
    for colour, radius in ((_HALO, 2 * line + 2), (COLOUR, 2 * line)):
        cv2.circle(canvas, (x, y), radius * UNITS, colour, -1, cv2.LINE_AA, FRACTION_BITS)
    legend = [Entry("outline; the dot is its top left corner", (COLOUR,))]
    return np.vstack([canvas, strip(canvas.shape[1], f"{name} in {name_there}", legend)])

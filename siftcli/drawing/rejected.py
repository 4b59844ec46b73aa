"""Draw the candidates that became no feature, coloured by what removed them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from .canvas import FRACTION_BITS, UNITS, faded_canvas, in_units, on_canvas
from .legend import DARK, Colour, Entry, strip

# Okabe and Ito's palette, lightened where it is dark, with white and black.
COLOURS: dict[str, Colour] = {
    "unstable": (255, 255, 255),
    "low_contrast": (86, 180, 233),
    "edge": (230, 105, 10),
    "duplicate": (240, 228, 66),
    "low_response": (0, 190, 140),
    "masked": (0, 0, 0),
    "over_limit": (225, 130, 185),
}
_OTHER: Colour = (200, 200, 200)
_HALO = (0, 0, 0)
_SIDE_PER_DOT_PX = 700
"""Dots get a pixel wider for each multiple of this in the longest side."""
MAX_DOTS = 4000
"""About as many dots are drawn at most: more would hide the image."""
_FEWEST_DOTS = 100
"""Those of a filter that removed no more are all drawn."""
_OUTLINED = 1500
"""If there are more dots than this, they have no outline."""
_NARROWEST = 360
"""Width that every entry of the legend fits."""


def draw_rejected(
    image: NDArray[np.float32], removed: Mapping[str, NDArray[np.float64]], n_kept: int
) -> NDArray[np.uint8]:
    """Draw candidates as dots, those of the filter with the most below those of the others.

    Of more than ``MAX_DOTS`` every second, third and so on of a filter is drawn, in the order given.

    Parameters
    ----------
    image
        (H, W) float32 in [0, 1].
    removed
        Filter -> (N, 2) positions of the candidates that it removed.
    n_kept
        How many keypoints were kept, for the legend; they are not drawn.

    Returns
    -------
    ndarray
        (h, w, 3) uint8, RGB; a strip below is the legend.
    """
    cv2 = import_cv2()
    canvas, factor = faded_canvas(image)
    width = 1 + max(canvas.shape[:2]) // _SIDE_PER_DOT_PX
    n_removed = sum(map(len, removed.values()))
    step = max(1, -(-n_removed // MAX_DOTS))
    shown = {name: xy if len(xy) <= _FEWEST_DOTS else xy[::step] for name, xy in removed.items()}
    n_shown = sum(map(len, shown.values()))
    has_outline = n_shown <= _OUTLINED
    for name in sorted(shown, key=lambda name: -len(shown[name])):
        for x, y in in_units(on_canvas(shown[name], factor)).tolist():
            if has_outline:
                cv2.circle(canvas, (x, y), (width + 1) * UNITS, _HALO, -1, cv2.LINE_AA, FRACTION_BITS)
            cv2.circle(
                canvas, (x, y), width * UNITS, COLOURS.get(name, _OTHER), -1, cv2.LINE_AA, FRACTION_BITS
            )
    text = f"{n_removed:,} candidates, by what removed them; {n_kept:,} keypoints were kept"
    legend = [
        Entry(f"{len(removed[name]):,} {name.replace('_', ' ')}", (COLOURS.get(name, _OTHER),))
        for name in removed
        if len(removed[name])
    ]
    if n_shown < n_removed:
        legend.append(Entry(f"drawn: one of {step}"))
    below = strip(max(canvas.shape[1], _NARROWEST), text, legend, DARK)
    ground = np.full((len(canvas), below.shape[1], 3), DARK[0], np.uint8)
    ground[:, : canvas.shape[1]] = canvas
    return np.vstack([ground, below])

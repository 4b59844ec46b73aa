"""Draw matches: two images side by side, with lines between matching features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .._cv2 import import_cv2
from ..features import Features, Matches
from .canvas import FRACTION_BITS, UNITS, in_units
from .legend import Entry, strip

# Sky blue and vermilion of Okabe and Ito's palette, distinguishable with any colour vision, and by
# lightness in greyscale. The vermilion is lightened, because a line looks darker than an area.
INLIER_COLOUR = (86, 180, 233)
OUTLIER_COLOUR = (230, 105, 10)

MAX_LINES = 120
"""Approximate maximum number of lines; more would hide each other and the images."""
_FEWEST_LINES = 10
"""Lines of a group that is small beside the other."""
_MANY_DOTS = 1000
"""If there are more dots than this, they are drawn small and without an outline."""
WANTED_WIDTH, MAX_WIDTH = 1400, 2600
"""Narrower drawings are enlarged by an integer factor to about ``WANTED_WIDTH``; wider ones are reduced
to ``MAX_WIDTH``."""
NAMES = ("inliers", "outliers")
_MAX_ENLARGEMENT = 6
_FADE = 0.7
"""Factor by which the contrast of the images is reduced around middle grey."""
_BACKGROUND = (255, 255, 255)

Grey = NDArray[np.float32]
RGB = NDArray[np.uint8]
Points = NDArray[np.float64]


def draw_matches(
    image_a: Grey,
    image_b: Grey,
    f: Features,
    g: Features,
    matches: Matches,
    inliers: NDArray[np.bool_] | None = None,
    caption: str = "",
    *,
    names: tuple[str, str] = NAMES,
    max_width: int = MAX_WIDTH,
    max_lines: int = MAX_LINES,
) -> RGB:
    """Draw two images side by side, with lines between matching features.

    Inliers are blue and outliers orange; without verification all matches are blue. Every matched
    feature has a dot. If there are many matches, only about ``max_lines`` lines are drawn, spread evenly
    over the first image. A legend is drawn below the images.

    Parameters
    ----------
    image_a, image_b
        (H, W) float32 in [0, 1]; the sizes may differ.
    f, g, matches
        Features in the pixels of these images, and M matches between them.
    inliers
        (M,) whether a match fits the model; None if the matches were not verified.
    caption
        Lines of text above the legend.
    names
        What the legend calls inliers and outliers.
    max_width
        Largest width of both images together, in pixels of the drawing.
    max_lines
        Approximate largest number of lines.

    Returns
    -------
    ndarray
        (H, W, 3) uint8, RGB.
    """
    layout = _layout(image_a.shape, image_b.shape, max_width)
    canvas = _canvas(image_a, image_b, layout)
    start = layout.on_canvas(f.xy[matches.pairs[:, 0]], layout.origin_a)
    stop = layout.on_canvas(g.xy[matches.pairs[:, 1]], layout.origin_b)
    groups = _groups(inliers, len(matches), names)
    n_drawn = 0
    for rows, colour, _ in groups:
        shown = rows[evenly_spread(f.xy[matches.pairs[rows, 0]], _share(len(rows), len(matches), max_lines))]
        _draw_lines(canvas, start[shown], stop[shown], colour, layout.line_width)
        n_drawn += len(shown)
    for rows, colour, _ in groups:
        dots = np.concatenate([start[rows], stop[rows]])
        _draw_dots(canvas, dots, colour, layout.line_width, outline=len(matches) <= _MANY_DOTS)
    legend = [Entry(f"{len(rows):,} {name}", (colour,)) for rows, colour, name in groups]
    if n_drawn < len(matches):
        legend.append(Entry(f"{n_drawn} of {len(matches):,} lines drawn"))
    return np.vstack([canvas, strip(canvas.shape[1], caption, legend)])


def evenly_spread(xy: NDArray[Any], n: int) -> NDArray[np.intp]:
    """Choose up to n of the points (N, 2), evenly spread; deterministic.

    The bounding box is divided into about n square cells. The first point of each cell is taken, then
    the second of each, and so on. In the last round, cells are taken in a low-discrepancy order, so
    that they are spread evenly too. Returns sorted indices.
    """
    if len(xy) <= n:
        return np.arange(len(xy))
    low, extent = xy.min(axis=0), np.maximum(np.ptp(xy, axis=0), 1e-6)
    side = float(np.sqrt(extent[0] * extent[1] / n)) or float(extent.max() / n)
    n_columns, n_rows = np.ceil(extent / side).astype(int) + 1
    column, row = ((xy - low) / side).astype(int).T
    cell = row * n_columns + column
    order = np.argsort(cell, kind="stable")
    first_of_cell = np.searchsorted(cell[order], cell[order])
    rank_in_cell = np.empty(len(xy), int)
    rank_in_cell[order] = np.arange(len(xy)) - first_of_cell
    golden = (np.arange(n_columns * n_rows) * 0.6180339887498949) % 1.0  # a low-discrepancy sequence
    return np.sort(np.lexsort((golden[cell], rank_in_cell))[:n])


def _share(n: int, n_all: int, max_lines: int) -> int:
    """Number of lines to draw of a group of n: proportional to its size, but at least a few."""
    return n if n_all <= max_lines else min(n, max(_FEWEST_LINES, round(max_lines * n / n_all)))


def _groups(
    inliers: NDArray[np.bool_] | None, n: int, names: tuple[str, str]
) -> list[tuple[NDArray[np.intp], tuple[int, int, int], str]]:
    """Rows, colour and name of each group; outliers come last, so they are drawn on top."""
    if inliers is None:
        return [(np.arange(n), INLIER_COLOUR, "matches")]
    return [
        (np.flatnonzero(inliers), INLIER_COLOUR, names[0]),
        (np.flatnonzero(~inliers), OUTLIER_COLOUR, names[1]),
    ]


@dataclass(frozen=True)
class _Layout:
    """Positions of the images on the canvas: side by side with a gap, vertically centred."""

    size: tuple[int, int]
    """(height, width) of the canvas."""
    factor: float
    """Canvas pixels per image pixel."""
    origin_a: tuple[int, int]
    """(x, y) of the top-left corner of the first image."""
    origin_b: tuple[int, int]
    line_width: int

    def on_canvas(self, xy: NDArray[Any], origin: tuple[int, int]) -> Points:
        """(N, 2) positions on the canvas."""
        return np.asarray((xy.astype(np.float64) + 0.5) * self.factor - 0.5 + origin)


def _layout(shape_a: tuple[int, ...], shape_b: tuple[int, ...], max_width: int) -> _Layout:
    width = shape_a[1] + shape_b[1]
    wanted = min(WANTED_WIDTH, max_width)
    factor = min(max_width / width, _MAX_ENLARGEMENT, max(1, round(wanted / width)))
    (height_a, width_a), (height_b, width_b) = (_scaled(s, factor) for s in (shape_a, shape_b))
    gap = max(4, (width_a + width_b) // 100)
    height = max(height_a, height_b)
    return _Layout(
        size=(height, width_a + gap + width_b),
        factor=factor,
        origin_a=(0, (height - height_a) // 2),
        origin_b=(width_a + gap, (height - height_b) // 2),
        line_width=1 + (width_a + width_b) // 2000,
    )


def _scaled(shape: tuple[int, ...], factor: float) -> tuple[int, int]:
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def _canvas(image_a: Grey, image_b: Grey, layout: _Layout) -> RGB:
    canvas = np.full((*layout.size, 3), _BACKGROUND, np.uint8)
    for image, (x, y) in ((image_a, layout.origin_a), (image_b, layout.origin_b)):
        height, width = _scaled(image.shape, layout.factor)
        levels = np.rint(127.5 + (255 * np.clip(image, 0, 1) - 127.5) * _FADE).astype(np.uint8)
        kind = Image.Resampling.NEAREST if layout.factor >= 1 else Image.Resampling.BOX
        resized = np.asarray(Image.fromarray(levels).resize((width, height), kind))
        canvas[y : y + height, x : x + width] = resized[:, :, None]
    return canvas


def _draw_lines(canvas: RGB, start: Points, stop: Points, colour: tuple[int, int, int], width: int) -> None:
    cv2 = import_cv2()
    for (x0, y0), (x1, y1) in zip(in_units(start).tolist(), in_units(stop).tolist(), strict=True):
        cv2.line(canvas, (x0, y0), (x1, y1), colour, width, cv2.LINE_AA, FRACTION_BITS)


def _draw_dots(
    canvas: RGB, centres: Points, colour: tuple[int, int, int], width: int, *, outline: bool
) -> None:
    """Draw dots, optionally with a dark outline that keeps them legible on any background."""
    cv2 = import_cv2()
    radius = (2 * width if outline else width) * UNITS
    for x, y in in_units(centres).tolist():
        if outline:
            cv2.circle(canvas, (x, y), radius + UNITS, (0, 0, 0), -1, cv2.LINE_AA, FRACTION_BITS)
        cv2.circle(canvas, (x, y), radius, colour, -1, cv2.LINE_AA, FRACTION_BITS)

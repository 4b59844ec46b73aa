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
from .canvas import FRACTION_BITS, in_units, on_canvas
from .density import TINT, tinted
from .encoding import png
from .legend import DARK, Colour, Entry, strip

RADIUS_SIGMAS = 3.0
"""Radius of a circle, in units of σ."""

# Sky blue and yellow of Okabe and Ito's palette, which are distinguishable with any colour
# vision. They are lightened, because a thin antialiased line looks darker than an area.
BRIGHT_COLOUR = (110, 200, 255)
DARK_COLOUR = (255, 235, 60)
UNKNOWN_COLOUR = (240, 240, 240)
_HALO_DARKENING = 0.7
"""Opacity of the halo; the image stays visible under thousands of circles."""

MAX_CIRCLES = 500
"""More circles would hide each other and the image."""
_WANTED_SIDE = 1600
"""Smaller images are enlarged by an integer factor until the longest side is about this long."""
_MAX_ENLARGEMENT = 8
_SIDE_PER_LINE_PX = 1600
"""Lines get one pixel wider for each multiple of this in the longest side."""
_NARROWEST = 360
"""Width that every entry of the legend fits."""
_FADE = 0.8
"""Factor by which the contrast of the image is reduced around middle grey."""
_SIGNS: tuple[tuple[int, str, Colour], ...] = (
    (1, "dark", DARK_COLOUR),
    (-1, "bright", BRIGHT_COLOUR),
    (0, "of unknown sign", UNKNOWN_COLOUR),
)
_COLOURS = {sign: colour for sign, _, colour in _SIGNS}


def draw_keypoints(
    image: NDArray[Any],
    features: Features,
    *,
    max_circles: int | None = MAX_CIRCLES,
    legend: bool = True,
) -> NDArray[np.uint8]:
    """Draw keypoints as circles of radius 3σ, with a line that shows the orientation.

    Dark structures are yellow and bright ones blue. A dark halo keeps both legible on any background.
    Small circles are drawn over large ones. Of more than ``max_circles`` keypoints those with the highest
    response are drawn, and the picture is tinted by the density of the others. Small images are enlarged.

    Parameters
    ----------
    image
        (H, W) or (H, W, 3), uint8, or float in [0, 1].
    features
        Keypoints in the pixels of that image.
    max_circles
        Largest number of circles; None for all.
    legend
        Whether a strip below the picture tells what it shows.

    Returns
    -------
    ndarray
        (H·k, W·k, 3) uint8, RGB, where k is an integer from 1 to 8; with a legend, the strip is below, and a
        picture narrower than its shortest line is widened.

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
    strongest, others = _split(features, max_circles)
    canvas, most, cell_px = tinted(canvas, on_canvas(others.xy, enlargement), enlargement)
    width = 1 + max(canvas.shape[:2]) // _SIDE_PER_LINE_PX
    shapes = _shapes(strongest, enlargement, max(canvas.shape[:2]))
    halo = np.zeros(canvas.shape[:2], np.uint8)
    for shape, _ in shapes:
        _stroke(cv2, halo, shape, 255, width + 2)
    canvas = _darkened(canvas, halo)
    for shape, colour in shapes:
        _stroke(cv2, canvas, shape, colour, width)
    if not legend:
        return canvas
    entries = _legend(strongest)
    if len(others):
        entries.append(_density_entry(len(others), most, cell_px))
    return _above(canvas, entries)


def draw_png(image: NDArray[Any], features: Features) -> bytes:
    """Draw keypoints like :func:`draw_keypoints`, and encode the result as PNG."""
    return png(draw_keypoints(image, features))


def _split(features: Features, max_circles: int | None) -> tuple[Features, Features]:
    """The keypoints with the highest response, and the others; equal ones in the order of the rows."""
    n = len(features) if max_circles is None else max_circles
    order = np.argsort(-features.response, kind="stable")
    return features.select(order[:n]), features.select(order[n:])


def _legend(drawn: Features) -> list[Entry]:
    entries = []
    for sign, name, colour in _SIGNS:
        if n := int(np.count_nonzero(np.sign(drawn.sign) == sign)):
            entries.append(Entry(f"{n:,} {name}", (colour,), is_circle=True))
    if not entries:
        return [Entry("no keypoints")]
    return [*entries, Entry(f"radius: {RADIUS_SIGMAS:g} sigma; line: orientation")]


def _density_entry(n: int, most: float, cell_px: int) -> Entry:
    # Pillow's font has neither σ nor ×.
    of = f"up to {most:.2g} in {cell_px} x {cell_px} px"
    return Entry(f"{n:,} weaker ones: {of}", ((128, 128, 128), TINT))


def _above(canvas: NDArray[np.uint8], entries: list[Entry]) -> NDArray[np.uint8]:
    """The picture above its legend, on the legend's ground if it is narrower."""
    below = strip(max(canvas.shape[1], _NARROWEST), "", entries, DARK)
    ground = np.full((len(canvas), below.shape[1], 3), DARK[0], np.uint8)
    ground[:, : canvas.shape[1]] = canvas
    return np.vstack([ground, below])


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

    centre: list[int]
    radius: int
    tip: list[int]


def _shapes(features: Features, enlargement: int, side: int) -> list[tuple[_Shape, Colour]]:
    """The shape and colour of every keypoint, largest first."""
    centre = on_canvas(features.xy, enlargement)
    radius = features.scale.astype(np.float64) * RADIUS_SIGMAS * enlargement
    shapes = []
    for i in np.argsort(-radius, kind="stable"):
        if radius[i] > 2 * side or not (np.abs(centre[i]) < 2 * side).all():
            continue  # it would be invisible, and OpenCV's fixed-point coordinates would overflow
        theta = float(features.orientation[i])
        tip = centre[i] + radius[i] * np.array([math.cos(theta), math.sin(theta)])
        shape = _Shape(in_units(centre[i]).tolist(), int(in_units(radius[i])), in_units(tip).tolist())
        shapes.append((shape, _COLOURS[int(np.sign(features.sign[i]))]))
    return shapes


def _stroke(cv2: Any, canvas: NDArray[np.uint8], shape: _Shape, colour: Any, width: int) -> None:
    cv2.circle(canvas, shape.centre, shape.radius, colour, width, cv2.LINE_AA, FRACTION_BITS)
    cv2.line(canvas, shape.centre, shape.tip, colour, width, cv2.LINE_AA, FRACTION_BITS)

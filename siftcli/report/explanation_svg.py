"""Drawings of an explanation: pictures with lines over them, as SVG that takes the page's colours."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..drawing.encoding import png
from ..explanation.records import Description, Histogram, View
from .embedding import data_url

_THUMBNAIL = 320
_CROP_SIGMAS = 14.0
"""Side of the neighbourhood shown, at least, in units of σ."""
_WEAKEST = 0.04
"""Gradients below this share of the strongest are not drawn."""


def picture(view: View) -> str:
    """The whole picture, small, with a square where the keypoint is."""
    height, width = view.grey.shape
    small = Image.fromarray(_bytes(view.grey))
    small.thumbnail((_THUMBNAIL, _THUMBNAIL), Image.Resampling.BOX)
    side, (x, y) = _side(view), view.xy
    corner = f'x="{x - side / 2:.1f}" y="{y - side / 2:.1f}"'
    box = f'<rect class="mark" {corner} width="{side:.1f}" height="{side:.1f}"/>'
    # The outer edge of the first pixel is at -0.5.
    return _svg(
        _image(np.asarray(small), -0.5, -0.5, width, height) + box, (-0.5, -0.5, width, height), "the picture"
    )


def neighbourhood(view: View) -> str:
    """The pixels around, the keypoint as a circle of 3σ, with its orientations."""
    (x, y), side = view.xy, _side(view)
    left, top = max(0, math.floor(x - side / 2)), max(0, math.floor(y - side / 2))
    cut = view.grey[top : math.ceil(y + side / 2) + 1, left : math.ceil(x + side / 2) + 1]
    shapes = f'<circle class="mark" cx="{x:.3f}" cy="{y:.3f}" r="{3 * view.sigma:.3f}"/>'
    for description in view.descriptions:
        dx, dy = (3 * view.sigma * f(description.orientation) for f in (math.cos, math.sin))
        shapes += f'<line class="mark" x1="{x:.3f}" y1="{y:.3f}" x2="{x + dx:.3f}" y2="{y + dy:.3f}"/>'
    shapes += _dot(*view.candidate.xy, side / 90, "sample")
    box = left - 0.5, top - 0.5, cut.shape[1], cut.shape[0]
    return _svg(_image(_stretched(cut), *box) + shapes, box, "the neighbourhood")


def levels(view: View) -> list[tuple[str, str]]:
    """Name and drawing of each Gaussian level around the candidate."""
    around, sigma = view.surroundings, view.sigma
    low, high = float(around.gaussians.min()), float(around.gaussians.max())
    return [
        (f"level {i}", _plane(view, _stretched(level, low, high), sigma, is_here=i == view.candidate.level))
        for i, level in enumerate(around.gaussians)
    ]


def differences(view: View) -> list[tuple[str, str]]:
    """Name and drawing of each difference; grey is zero, and all have one scale."""
    dogs = view.surroundings.differences
    most = float(np.abs(dogs).max()) or 1.0
    return [
        (f"D{i}", _plane(view, _stretched(dog, -most, most), view.sigma, is_here=i == view.candidate.level))
        for i, dog in enumerate(dogs)
    ]


def refinement(view: View) -> str:
    """The steps over the difference of the candidate's level."""
    around, (level, row, column) = (
        view.surroundings,
        (view.candidate.level, view.candidate.row, view.candidate.column),
    )
    r, c = row - around.top, column - around.left
    top, left = max(0, r - 3), max(0, c - 3)
    cut = around.differences[level][top : r + 4, left : c + 4]
    most = float(np.abs(cut).max()) or 1.0
    box = around.left + left - 0.5, around.top + top - 0.5, cut.shape[1], cut.shape[0]
    path = [*view.steps[:, :2].tolist(), *([list(view.place.samples[:2])] if view.place else [])]
    points = " ".join(f"{x:.4f},{y:.4f}" for x, y in path)
    shapes = f'<polyline class="mark" points="{points}"/>' + _dot(column, row, 0.12, "sample")
    if view.place:
        shapes += _dot(*view.place.samples[:2], 0.09, "end")
    return _svg(_image(_stretched(cut, -most, most), *box) + shapes, box, "the steps of the refinement")


def gradients(view: View, histogram: Histogram) -> str:
    """What each sample of the disc counts, as arrows, over the level they are taken from."""
    field, (left, top), bins = histogram.field, histogram.origin, len(histogram.raw)
    around, (x, y, _) = view.surroundings, view.place.samples if view.place else (0.0, 0.0, 0.0)
    most = float(field[..., 0].max()) or 1.0
    size = max(1.0, 2 * histogram.reach / 26)
    lines = []
    stride = max(1, round(2 * histogram.reach / 26))
    for row, column in np.argwhere(field[..., 0] > _WEAKEST * most).tolist():
        if row % stride or column % stride:
            continue
        share, angle = field[row, column, 0] / most, field[row, column, 1] * 2 * math.pi / bins
        px, py, length = left + column, top + row, 1.6 * size * math.sqrt(share)
        lines.append(f"M{px} {py}l{length * math.cos(angle):.2f} {length * math.sin(angle):.2f}")
    reach = histogram.reach * 1.08
    box = x - reach, y - reach, 2 * reach, 2 * reach
    height, width = around.gaussians.shape[1:]
    level = _image(
        _stretched(around.gaussians[histogram.level]), around.left - 0.5, around.top - 0.5, width, height
    )
    shapes = f'<circle class="rim" cx="{x:.3f}" cy="{y:.3f}" r="{histogram.reach:.3f}"/>'
    shapes += f'<path class="arrows" d="{"".join(lines)}"/>' + _dot(x, y, 0.25 * size, "end")
    return _svg(f'<g opacity="0.55">{level}</g>{shapes}', box, "the gradients in the disc")


def patch(description: Description) -> str:
    """The grey values on the turned grid, with the borders of the cells; the orientation points right."""
    n = len(description.patch)
    # Lines of the grid lie between points: half a cell of three points stands outside the outer ones.
    edges = [n / 2 + (k - 2) * 6 - 0.5 for k in range(5)]
    lines = "".join(
        f'<line class="cell" x1="{e}" y1="{edges[0]}" x2="{e}" y2="{edges[4]}"/>'
        f'<line class="cell" y1="{e}" x1="{edges[0]}" y2="{e}" x2="{edges[4]}"/>'
        for e in edges
    )
    arrow = f'<line class="mark" x1="{edges[2]}" y1="{edges[2]}" x2="{n - 2}" y2="{edges[2]}"/>'
    box = -0.5, -0.5, n, n
    return _svg(_image(_stretched(description.patch), *box) + lines + arrow, box, "the turned patch")


def roses(vector: NDArray[np.floating]) -> str:
    """Eight directions in each of the 4 × 4 cells; lengths are the numbers."""
    cells, most = vector.reshape(4, 4, 8), float(vector.max()) or 1.0
    lines = [f"M{k} 0V4M0 {k}H4" for k in range(5)]
    arrows = []
    for (row, column, k), value in np.ndenumerate(cells):
        angle, length = k * math.pi / 4, 0.47 * float(value) / most
        # Directions step from the orientation, to the right, counter-clockwise.
        arrows.append(
            f"M{column + 0.5} {row + 0.5}l{length * math.cos(angle):.3f} {-length * math.sin(angle):.3f}"
        )
    shapes = f'<path class="rule" d="{"".join(lines)}"/><path class="rose" d="{"".join(arrows)}"/>'
    return _svg(shapes, (-0.02, -0.02, 4.04, 4.04), "4 × 4 cells of 8 directions")


# --- parts ---------------------------------------------------------------------------------------


def _plane(view: View, plane: NDArray[np.uint8], sigma: float, *, is_here: bool) -> str:
    around = view.surroundings
    (x, y), origin = view.xy, around.origin
    u, v = (x - origin[0]) / around.step, (y - origin[1]) / around.step
    mark = (
        f'<circle class="mark" cx="{u:.2f}" cy="{v:.2f}" r="{2 * sigma / around.step:.2f}"/>'
        if is_here
        else ""
    )
    box = around.left - 0.5, around.top - 0.5, plane.shape[1], plane.shape[0]
    return _svg(_image(plane, *box) + mark, box, "level")


def _side(view: View) -> float:
    return max(_CROP_SIGMAS * view.sigma, 24.0)


def _svg(content: str, box: Sequence[float], label: str) -> str:
    view_box = " ".join(f"{v:.4g}" if abs(v) < 1000 else f"{v:.1f}" for v in box)
    about = f'preserveAspectRatio="xMinYMin" role="img" aria-label="{label}"'
    return f'<svg viewBox="{view_box}" {about}>{content}</svg>'


def _image(plane: NDArray[np.uint8], x: float, y: float, width: float, height: float) -> str:
    url = data_url(png(np.repeat(plane[:, :, None], 3, axis=2)), "image/png")
    return (
        f'<image href="{url}" x="{x}" y="{y}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
    )


def _dot(x: float, y: float, radius: float, kind: str) -> str:
    return f'<circle class="{kind}" cx="{x:.4f}" cy="{y:.4f}" r="{radius:.3f}"/>'


def _bytes(plane: NDArray[np.floating]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(255 * np.clip(plane, 0, 1)), np.uint8)


def _stretched(
    plane: NDArray[np.floating], low: float | None = None, high: float | None = None
) -> NDArray[np.uint8]:
    """Grey values over the whole range."""
    low, high = float(plane.min()) if low is None else low, float(plane.max()) if high is None else high
    return _bytes((plane - low) / ((high - low) or 1.0))

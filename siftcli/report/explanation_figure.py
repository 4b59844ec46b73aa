"""The figure of an explanation for print: a row of panels for the picture, and one for the rotated one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from ..drawing.encoding import png
from ..explanation.records import Description, Explanation, Histogram, View
from .explanation_text import headline

_SIDE, _GAP, _TITLE, _CAPTION = 400, 24, 64, 40
_PAPER, _INK, _RULE = (255, 255, 255), (30, 36, 44), (190, 198, 208)
_MARK, _SAMPLE, _LINE = (255, 212, 59), (255, 107, 107), (11, 79, 158)
_PER_ROW = 4
_CROP_SIGMAS = 14.0


def figure(explanation: Explanation) -> bytes:
    """The figure as a PNG file, in white."""
    blocks = [_block(explanation.view, explanation.image)]
    if explanation.turned is not None:
        blocks.append(_block(explanation.turned, f"rotated by {explanation.rotate_deg:g} degrees"))
    sheet = Image.new("RGB", (blocks[0].width, sum(block.height for block in blocks)), _PAPER)
    top = 0
    for block in blocks:
        sheet.paste(block, (0, top))
        top += block.height
    return png(np.asarray(sheet))


def _block(view: View, name: str) -> Image.Image:
    """All panels of a view under its headline."""
    panels = _panels(view)
    n_rows = math.ceil(len(panels) / _PER_ROW)
    width = _GAP + _PER_ROW * (_SIDE + _GAP)
    block = Image.new("RGB", (width, _TITLE + n_rows * (_SIDE + _CAPTION) + _GAP), _PAPER)
    draw = ImageDraw.Draw(block)
    # The font that comes with Pillow has no Greek letters.
    draw.text(
        (_GAP, 20),
        f"{name}: {headline(view)}".replace("σ", "sigma").replace("|DoG|", "abs(DoG)"),
        _INK,
        ImageFont.load_default(24),
    )
    for i, (caption, panel) in enumerate(panels):
        x, y = _GAP + i % _PER_ROW * (_SIDE + _GAP), _TITLE + i // _PER_ROW * (_SIDE + _CAPTION)
        block.paste(panel, (x, y))
        draw.text((x, y + _SIDE + 4), caption, _INK, ImageFont.load_default(18))
    return block


def _panels(view: View) -> list[tuple[str, Image.Image]]:
    """Caption and panel of each stage that the candidate reached."""
    level = view.candidate.level
    panels = [
        ("picture, radius of 3 sigma", _neighbourhood(view)),
        (
            f"level {level} of octave {view.candidate.octave}",
            _plane(view, view.surroundings.gaussians[level]),
        ),
        (
            f"difference of levels, D{level}",
            _plane(view, view.surroundings.differences[level], symmetric=True),
        ),
    ]
    if view.histogram is not None:
        panels.append(
            ("histogram of directions, 0 to 360 degrees", _histogram(view.histogram, view.descriptions))
        )
    if view.description is not None:
        panels += [
            ("turned patch and its cells", _patch(view.description)),
            ("4 x 4 cells of 8 directions", _roses(view.description.sums)),
            (
                "128 numbers of unit length; clipped at the line",
                _bars(view.description.unit, view.params.descriptor_clip),
            ),
            ("128 bytes as stored", _bars(view.description.stored.astype(float), None)),
        ]
    return panels


def _neighbourhood(view: View) -> Image.Image:
    """A square of the picture, beyond its border white."""
    side = max(_CROP_SIGMAS * view.sigma, 24.0)
    panel, to_panel, zoom = _window(view.grey, view.xy, side)
    draw, radius = ImageDraw.Draw(panel), 3 * view.sigma * zoom
    x, y = to_panel(*view.xy)
    _circle(draw, x, y, radius, _MARK)
    for description in view.descriptions:
        c, s = math.cos(description.orientation), math.sin(description.orientation)
        draw.line([x, y, x + radius * c, y + radius * s], _MARK, 3)
    _dot(draw, *to_panel(*view.candidate.xy))
    return panel


def _plane(view: View, plane: NDArray[np.floating], *, symmetric: bool = False) -> Image.Image:
    """Samples of a level, with the sample and the keypoint."""
    around = view.surroundings
    low, high = float(plane.min()), float(plane.max())
    if symmetric:
        low, high = -max(-low, high), max(-low, high)
    n = max(plane.shape)
    c, r = view.candidate.column - around.left, view.candidate.row - around.top
    panel, to_panel, zoom = _window(
        (plane - low) / ((high - low) or 1), (c, r), min(n, 2 * min(n // 2, 14) + 1), Image.Resampling.NEAREST
    )
    u, v = ((p - o) / around.step for p, o in zip(view.xy, around.origin, strict=True))
    draw = ImageDraw.Draw(panel)
    _circle(draw, *to_panel(u - around.left, v - around.top), 2 * view.sigma / around.step * zoom, _MARK)
    _dot(draw, *to_panel(c, r))
    return panel


def _histogram(found: Histogram, descriptions: Sequence[Description]) -> Image.Image:
    """Bins as collected, the smoothed line, the height needed, the orientations."""
    panel, n = Image.new("RGB", (_SIDE, _SIDE), _PAPER), len(found.raw)
    draw, most = ImageDraw.Draw(panel), max(float(found.raw.max()), float(found.smoothed.max())) or 1.0
    height = 0.94 * _SIDE / most
    for i, value in enumerate(found.raw.tolist()):
        draw.rectangle([i * _SIDE / n, _SIDE - value * height, (i + 1) * _SIDE / n - 1, _SIDE], fill=_RULE)
    line = [
        ((i + 0.5) * _SIDE / n, _SIDE - value * height) for i, value in enumerate(found.smoothed.tolist())
    ]
    draw.line(line, _LINE, 4)
    needed = _SIDE - found.peak_ratio * float(found.smoothed.max()) * height
    draw.line([0, needed, _SIDE, needed], _SAMPLE, 2)
    for description in descriptions:
        x = (description.orientation / (2 * math.pi) * n + 0.5) % n * _SIDE / n
        draw.line([x, 0, x, _SIDE], _INK, 2)
    return _framed(panel)


def _patch(description: Description) -> Image.Image:
    plane = description.patch
    low, high = float(plane.min()), float(plane.max())
    n = len(plane)
    panel, to_panel, _ = _window(
        (plane - low) / ((high - low) or 1), ((n - 1) / 2, (n - 1) / 2), n, Image.Resampling.NEAREST
    )
    draw = ImageDraw.Draw(panel)
    edges = [(n - 1) / 2 + 6 * (k - 2) for k in range(5)]
    for edge in edges:
        draw.line([*to_panel(edge, edges[0]), *to_panel(edge, edges[4])], (102, 217, 232), 2)
        draw.line([*to_panel(edges[0], edge), *to_panel(edges[4], edge)], (102, 217, 232), 2)
    draw.line([*to_panel(edges[2], edges[2]), *to_panel(n - 2, edges[2])], _MARK, 4)
    return panel


def _roses(vector: NDArray[np.floating]) -> Image.Image:
    panel, cell = Image.new("RGB", (_SIDE, _SIDE), _PAPER), _SIDE / 4
    draw, cells, most = ImageDraw.Draw(panel), vector.reshape(4, 4, 8), float(vector.max()) or 1.0
    for k in range(1, 4):
        draw.line([k * cell, 0, k * cell, _SIDE], _RULE, 2)
        draw.line([0, k * cell, _SIDE, k * cell], _RULE, 2)
    for (row, column, k), value in np.ndenumerate(cells):
        x, y, length = (column + 0.5) * cell, (row + 0.5) * cell, 0.47 * cell * float(value) / most
        angle = k * math.pi / 4
        draw.line([x, y, x + length * math.cos(angle), y - length * math.sin(angle)], _LINE, 4)
    return _framed(panel)


def _bars(vector: NDArray[np.floating], clip: float | None) -> Image.Image:
    panel = Image.new("RGB", (_SIDE, _SIDE), _PAPER)
    draw, width, most = ImageDraw.Draw(panel), _SIDE / 128, max(float(vector.max()), clip or 0) or 1.0
    for i, value in enumerate(vector.tolist()):
        draw.rectangle([i * width, _SIDE * (1 - 0.94 * value / most), (i + 1) * width - 1, _SIDE], fill=_LINE)
    if clip is not None:
        y = _SIDE * (1 - 0.94 * clip / most)
        draw.line([0, y, _SIDE, y], _SAMPLE, 2)
    return _framed(panel)


# --- parts ---------------------------------------------------------------------------------------


def _window(
    plane: NDArray[np.floating],
    centre: tuple[float, float],
    side: float,
    how: Image.Resampling = Image.Resampling.BICUBIC,
) -> tuple[Image.Image, Callable[[float, float], tuple[float, float]], float]:
    """A square panel around a place; the map to it, and its zoom."""
    zoom = _SIDE / side
    padded = math.ceil(side / 2) + 2
    grey = np.rint(255 * np.clip(np.pad(plane, padded, constant_values=1.0), 0, 1)).astype(np.uint8)
    x, y = (c + padded + 0.5 for c in centre)
    box = (x - side / 2, y - side / 2, x + side / 2, y + side / 2)
    panel = Image.fromarray(grey).resize((_SIDE, _SIDE), how, box=box).convert("RGB")
    return (
        panel,
        lambda px, py: ((px - centre[0]) * zoom + _SIDE / 2, (py - centre[1]) * zoom + _SIDE / 2),
        zoom,
    )


def _circle(
    draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, int, int]
) -> None:
    draw.ellipse([x - radius, y - radius, x + radius, y + radius], outline=colour, width=3)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float) -> None:
    draw.ellipse([x - 5, y - 5, x + 5, y + 5], fill=_SAMPLE)


def _framed(panel: Image.Image) -> Image.Image:
    ImageDraw.Draw(panel).rectangle([0, 0, _SIDE - 1, _SIDE - 1], outline=_RULE, width=2)
    return panel

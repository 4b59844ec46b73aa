"""Loss and accuracy over the epochs as a picture, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from ..system.files import replace
from .training import Epoch

WIDTH, HEIGHT = 1200, 520
LEFT, RIGHT, TOP, BOTTOM = 84, 24, 64, 64
"""Margins of each panel, in pixels."""
FONT_PX, TITLE_PX = 18, 22
INK, GRID, PAPER = "#24292f", "#d8dee4", "white"
FIRST, SECOND, THIRD = "#0b63b5", "#c2570c", "#57606a"
"""Colours that remain apart for the colour-blind."""
N_TICKS = 5

Curve = tuple[str, str, Sequence[float]]
"""A name, a colour and a value an epoch."""


def draw_curves(history: Sequence[Epoch], histogram_accuracy: float, path: Path) -> None:
    """Write the picture: the losses on the left, the held-out accuracies on the right.

    Parameters
    ----------
    history
        At least one epoch.
    histogram_accuracy
        What the histogram reaches on the same held-out patches.
    path
        A PNG file; it is replaced.
    """
    picture = Image.new("RGB", (WIDTH, HEIGHT), PAPER)
    half = WIDTH // 2
    losses: list[Curve] = [
        ("trained on", FIRST, [epoch.loss for epoch in history]),
        ("held out", SECOND, [epoch.held_out_loss for epoch in history]),
    ]
    accuracies: list[Curve] = [
        ("network", SECOND, [epoch.held_out_accuracy for epoch in history]),
        ("histogram", THIRD, [histogram_accuracy] * len(history)),
    ]
    _panel(picture, (0, half), "Cross-entropy", losses)
    _panel(picture, (half, WIDTH), "Held out: share within 10°", accuracies)
    beside = path.with_name(f"{path.name}.tmp")
    picture.save(beside, "PNG")
    replace(beside, path)


def _panel(picture: Image.Image, sides: tuple[int, int], title: str, curves: Sequence[Curve]) -> None:
    """One plot between two columns of the picture."""
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_PX)
    left, right, top, bottom = sides[0] + LEFT, sides[1] - RIGHT, TOP, HEIGHT - BOTTOM
    low, high = _range(curves)
    n_epochs = len(curves[0][2])

    def place(epoch: int, value: float) -> tuple[float, float]:
        x = left + (right - left) * (epoch / max(n_epochs - 1, 1))
        return x, bottom - (bottom - top) * (value - low) / (high - low)

    draw.text((left, TOP // 2), title, INK, ImageFont.load_default(TITLE_PX), anchor="lm")
    for i in range(N_TICKS):
        value = low + (high - low) * i / (N_TICKS - 1)
        y = place(0, value)[1]
        draw.line([(left, y), (right, y)], GRID)
        draw.text((left - 8, y), f"{value:.3f}", INK, font, anchor="rm")
    for epoch in sorted({0, (n_epochs - 1) // 2, n_epochs - 1}):
        draw.text((place(epoch, low)[0], bottom + 10), str(epoch + 1), INK, font, anchor="mt")
    draw.text(((left + right) / 2, HEIGHT - 10), "epoch", INK, font, anchor="mb")
    for i, (name, colour, values) in enumerate(curves):
        draw.line([place(epoch, value) for epoch, value in enumerate(values)], colour, 3)
        draw.text((right, TOP // 2 + 22 * (i - 0.5)), name, colour, font, anchor="rm")


def _range(curves: Sequence[Curve]) -> tuple[float, float]:
    """The lowest and the highest value, with a little room."""
    values = [value for _, _, curve in curves for value in curve]
    room = 0.05 * (max(values) - min(values)) or 0.01
    return min(values) - room, max(values) + room

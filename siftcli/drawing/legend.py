"""The strip below a drawing: lines of text, and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

LIGHT: tuple[Colour, Colour] = ((255, 255, 255), (20, 20, 20))
DARK: tuple[Colour, Colour] = ((32, 34, 38), (235, 235, 235))
"""Background and ink."""

_CHARACTERS_PER_WIDTH = 110
"""The font size is chosen so that a line has about this many characters, within ``_FONT_PX``."""
_FONT_PX = (15, 30)
_SUPERSAMPLING = 4
"""Circles are drawn so many times larger and reduced, as Pillow's have no smooth edges."""


@dataclass(frozen=True)
class Entry:
    """An entry of a legend: a mark and what it means."""

    text: str
    colours: tuple[Colour, ...] = ()
    """None for text only; two for a gradient from the first to the second."""
    is_circle: bool = False
    """Whether the mark is a circle with a line from its centre; otherwise it is a bar."""


def strip(
    width: int, text: str, entries: Sequence[Entry], style: tuple[Colour, Colour] = LIGHT
) -> NDArray[np.uint8]:
    """Draw a strip (H, width, 3) with lines of text and the entries of a legend below them."""
    background, ink = style
    size = int(np.clip(width / _CHARACTERS_PER_WIDTH * 1.8, *_FONT_PX))
    font = ImageFont.load_default(size)
    lines = [part for line in text.splitlines() for part in _wrapped(line, font, width - size)]
    places = _places(entries, font, size, width)
    step = round(1.45 * size)
    n_lines = len(lines) + (places[-1][1] + 1 if places else 0)
    image = Image.new("RGB", (width, step * n_lines + size // 2), background)
    pen = ImageDraw.Draw(image)
    for i, line in enumerate(lines):
        pen.text((size // 2, size // 4 + i * step), line, ink, font)
    for entry, (x, row) in zip(entries, places, strict=True):
        y = size // 4 + (len(lines) + row) * step
        if entry.is_circle:
            _circle(image, (x, y), size, entry.colours[0])
        elif entry.colours:
            _bar(pen, (x, y + size // 2), (2 * size, size // 4), entry.colours)
        pen.text((x + _mark_width(entry, size), y), entry.text, ink, font)
    return np.asarray(image)


def _mark_width(entry: Entry, size: int) -> float:
    return 2.4 * size if entry.colours else 0


def _places(entries: Sequence[Entry], font: Any, size: int, width: int) -> list[tuple[int, int]]:
    """X and line of each entry; one that does not fit begins a new line."""
    places = []
    x, row = size // 2, 0
    for entry in entries:
        needed = round(_mark_width(entry, size) + font.getlength(entry.text))
        if x > size // 2 and x + needed > width:
            x, row = size // 2, row + 1
        places.append((x, row))
        x += needed + round(1.2 * size)
    return places


def _bar(
    pen: ImageDraw.ImageDraw, xy: tuple[int, int], size: tuple[int, int], colours: tuple[Colour, ...]
) -> None:
    """A bar of one colour, or of a gradient between two."""
    (x, y), (width, height) = xy, size
    first, last = np.array(colours[0]), np.array(colours[-1])
    for i in range(width + 1):
        colour = np.rint(first + (last - first) * i / width).astype(int).tolist()
        pen.line((x + i, y, x + i, y + height), tuple(colour))


def _circle(image: Image.Image, xy: tuple[int, int], size: int, colour: Colour) -> None:
    """A circle with a line from its centre to the right."""
    k, side = _SUPERSAMPLING, round(1.3 * size)
    background = image.getpixel((0, 0))
    mark = Image.new("RGB", (side * k, side * k), background)
    pen = ImageDraw.Draw(mark)
    box = (k, k, side * k - k, side * k - k)
    pen.ellipse(box, outline=colour, width=round(1.6 * k))
    pen.line((side * k // 2, side * k // 2, side * k - k, side * k // 2), colour, round(1.6 * k))
    reduced = mark.resize((side, side), Image.Resampling.BOX)
    image.paste(reduced, (xy[0] + size // 2, xy[1]))


def _wrapped(line: str, font: Any, width: float) -> list[str]:
    """Break a line at spaces so that it fits the width."""
    lines: list[str] = []
    for word in line.split(" "):
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        elif word or not lines:
            lines.append(word)
    return lines

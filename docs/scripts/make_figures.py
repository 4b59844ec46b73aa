"""Draw the figures of ``algorithm.md``: ``python docs/scripts/make_figures.py [FOLDER]``.

Each shows what one stage of the method makes of a sample image. The stages are siftcli's own; of one
keypoint, ``siftcli.explain`` gives the values.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

import siftcli
from siftcli.explanation import View
from siftcli.image import read_image
from siftcli.kernels.threads import Threads
from siftcli.params import SiftParams
from siftcli.sift.extrema import find_extrema
from siftcli.sift.keypoints import Keypoints
from siftcli.sift.octave import Strip
from siftcli.sift.refinement import refine
from siftcli.sift.scale_space import gaussian_octaves

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "sample_images" / "chelsea.png"
FOLDER = ROOT / "docs" / "images" / "algorithm"

PAPER, INK, RULE = (255, 255, 255), (36, 41, 47), (208, 215, 222)
GREEN, RED, BLUE = (26, 150, 65), (215, 48, 39), (33, 102, 172)
GAP_PX = 8
N_COLOURS = 128
"""Colours kept, for small files."""
SIDE = 440
"""Pixels of a square panel."""
DOG_GAIN = 8.0
"""Differences of Gaussians are small: grey is 0.5 + gain · value."""
SHOWN_OCTAVES = 3


def octaves(grey: NDArray[np.float32]) -> list[Strip]:
    """The Gaussian octaves of an image."""
    with Threads(1) as threads:
        return list(gaussian_octaves(grey, SiftParams(), threads))


def scale_space(levels: list[Strip], _grey: NDArray[np.float32]) -> Image.Image:
    """A row an octave: its levels, at the size of their samples."""
    return rows(
        [[panel(level, 2**k) for level in octave.unpadded] for k, octave in enumerate(levels[:SHOWN_OCTAVES])]
    )


def differences(levels: list[Strip], _grey: NDArray[np.float32]) -> Image.Image:
    """The differences of the same levels; grey is zero."""
    dogs = [np.diff(octave.unpadded, axis=0) * DOG_GAIN + 0.5 for octave in levels[:SHOWN_OCTAVES]]
    return rows([[panel(dog, 2**k) for dog in octave] for k, octave in enumerate(dogs)])


def candidates(levels: list[Strip], grey: NDArray[np.float32]) -> Image.Image:
    """Candidates of all octaves, and the keypoints that are left of them."""
    found, kept = zip(*map(_refined, levels), strict=True)
    left, right = canvas(grey, 2), canvas(grey, 2)
    for octave, rows_of_octave in zip(levels, found, strict=True):
        for x, y in octave.to_input(rows_of_octave[:, 2:0:-1].astype(float)):
            circle(left, x, y, 1.5, RED, 2)
    for keypoints in kept:
        for (x, y), sigma in zip(keypoints.xy, keypoints.sigma, strict=True):
            circle(right, x, y, max(sigma, 1.0), GREEN, 2)
    return rows([[left, right]])


def _refined(octave: Strip) -> tuple[NDArray[np.int32], Keypoints]:
    params = SiftParams()
    with Threads(1) as threads:
        found = find_extrema(octave, params, threads)
        return found, refine(octave, found, params, threads)[0]


def orientation(_levels: list[Strip], grey: NDArray[np.float32]) -> Image.Image:
    """The disc of samples around one keypoint, and the histogram of their gradients."""
    view = _example(grey)
    assert view.histogram is not None
    assert view.description is not None
    (x, y), sigma, theta = view.xy, view.sigma, view.description.orientation
    zoom = SIDE / (6 * view.params.orientation_window * sigma)
    patch, to_patch = _around(grey, x, y, zoom)
    draw = ImageDraw.Draw(patch)
    reach = view.histogram.reach * view.surroundings.step * zoom
    draw.ellipse(
        [SIDE / 2 - reach, SIDE / 2 - reach, SIDE / 2 + reach, SIDE / 2 + reach], outline=BLUE, width=3
    )
    tip = to_patch(x + 3 * sigma * math.cos(theta), y + 3 * sigma * math.sin(theta))
    draw.line([SIDE / 2, SIDE / 2, *tip], fill=GREEN, width=4)
    return rows([[patch, _bars(view.histogram.smoothed, view.histogram.peak_ratio, theta)]])


def descriptor(_levels: list[Strip], grey: NDArray[np.float32]) -> Image.Image:
    """The rotated 4 × 4 cells on the image, and the eight directions of each."""
    view = _example(grey)
    assert view.description is not None
    (x, y), theta = view.xy, view.description.orientation
    width = view.params.cell_width * view.sigma
    patch, to_patch = _around(grey, x, y, SIDE / (8 * width))
    draw = ImageDraw.Draw(patch)
    cosine, sine = math.cos(theta), math.sin(theta)
    for k in range(-2, 3):
        for a, b in (((k, -2), (k, 2)), ((-2, k), (2, k))):
            ends = [
                to_patch(x + width * (u * cosine - v * sine), y + width * (u * sine + v * cosine))
                for u, v in (a, b)
            ]
            draw.line([*ends[0], *ends[1]], fill=GREEN, width=2)
    draw.line(
        [SIDE / 2, SIDE / 2, *to_patch(x + 2 * width * cosine, y + 2 * width * sine)], fill=BLUE, width=4
    )
    return rows([[patch, _roses(view.description.stored.reshape(4, 4, 8).astype(float))]])


# --- drawing -------------------------------------------------------------------------------------


def _example(grey: NDArray[np.float32]) -> View:
    """The strongest keypoint with σ below 8 that lies well inside the image."""
    features = siftcli.detect(grey)
    height, width = grey.shape
    for row, ((x, y), sigma) in enumerate(zip(features.xy.tolist(), features.scale.tolist(), strict=True)):
        if sigma < 8 and 15 * sigma < min(x, y, width - x, height - y):
            return siftcli.explain(grey, keypoint=row).view
    raise ValueError("no feature lies well inside the image")


def panel(grey: NDArray[np.floating], enlarged: int) -> Image.Image:
    """Grey values as a picture a quarter as large as its samples, times a factor."""
    height, width = grey.shape
    picture = Image.fromarray((255 * np.clip(grey, 0, 1)).round().astype(np.uint8)).convert("RGB")
    return picture.resize(
        (width * enlarged // 4, height * enlarged // 4),
        Image.Resampling.BOX if enlarged < 4 else Image.Resampling.NEAREST,
    )


def canvas(grey: NDArray[np.float32], zoom: int) -> Image.Image:
    """The image, faint, to draw on."""
    faint = (255 * (0.4 + 0.6 * grey)).round().astype(np.uint8)
    height, width = grey.shape
    return (
        Image.fromarray(faint).convert("RGB").resize((zoom * width, zoom * height), Image.Resampling.BICUBIC)
    )


def circle(
    picture: Image.Image, x: float, y: float, radius: float, colour: tuple[int, int, int], zoom: int
) -> None:
    """A circle around a place in input pixels."""
    cx, cy, r = zoom * (x + 0.5), zoom * (y + 0.5), zoom * radius
    ImageDraw.Draw(picture).ellipse([cx - r, cy - r, cx + r, cy + r], outline=colour, width=2)


def _around(
    grey: NDArray[np.float32], x: float, y: float, zoom: float
) -> tuple[Image.Image, Callable[[float, float], tuple[float, float]]]:
    """A square panel centred on a place, and the map from input pixels to it."""
    half = SIDE / 2 / zoom
    box = (x + 0.5 - half, y + 0.5 - half, x + 0.5 + half, y + 0.5 + half)
    picture = Image.fromarray((255 * grey).round().astype(np.uint8)).convert("RGB")
    return (
        picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box),
        lambda px, py: ((px - x) * zoom + SIDE / 2, (py - y) * zoom + SIDE / 2),
    )


def _bars(histogram: NDArray[np.floating], peak_ratio: float, theta: float) -> Image.Image:
    """The bins, the height that a further peak needs, and where the orientation is."""
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(picture)
    n, heights = len(histogram), 0.9 * SIDE * histogram / histogram.max()
    for i, height in enumerate(heights):
        draw.rectangle([i * SIDE / n, SIDE - height, (i + 1) * SIDE / n - 1, SIDE], fill=RULE)
    level = SIDE - 0.9 * SIDE * peak_ratio
    draw.line([0, level, SIDE, level], fill=RED, width=2)
    at = theta / (2 * math.pi) * SIDE
    draw.line([at, 0, at, SIDE], fill=GREEN, width=3)
    draw.rectangle([0, 0, SIDE - 1, SIDE - 1], outline=INK)
    return picture


def _roses(cells: NDArray[np.float64]) -> Image.Image:
    """Eight arrows in each of the 4 × 4 cells, in the frame of the keypoint."""
    picture = Image.new("RGB", (SIDE, SIDE), PAPER)
    draw = ImageDraw.Draw(picture)
    cell = SIDE / 4
    for i in range(5):
        draw.line([i * cell, 0, i * cell, SIDE], fill=RULE, width=2)
        draw.line([0, i * cell, SIDE, i * cell], fill=RULE, width=2)
    for (row, column, k), value in np.ndenumerate(cells):
        x, y, length = (column + 0.5) * cell, (row + 0.5) * cell, 0.48 * cell * value / cells.max()
        draw.line(
            [x, y, x + length * math.cos(k * math.pi / 4), y - length * math.sin(k * math.pi / 4)],
            fill=GREEN,
            width=3,
        )
    draw.rectangle([0, 0, SIDE - 1, SIDE - 1], outline=INK)
    return picture


def rows(pictures: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """Pictures side by side, in rows."""
    widths = [sum(p.width + GAP_PX for p in row) - GAP_PX for row in pictures]
    heights = [max(p.height for p in row) for row in pictures]
    sheet = Image.new("RGB", (max(widths), sum(heights) + GAP_PX * (len(heights) - 1)), PAPER)
    y = 0
    for row, height in zip(pictures, heights, strict=True):
        x = 0
        for picture in row:
            sheet.paste(picture, (x, y))
            x += picture.width + GAP_PX
        y += height + GAP_PX
    return sheet


FIGURES = {
    "scale-space.png": scale_space,
    "differences.png": differences,
    "candidates.png": candidates,
    "orientation.png": orientation,
    "descriptor.png": descriptor,
}


def figures() -> Iterator[tuple[str, bytes]]:
    """Name and PNG file of each figure."""
    grey = read_image(SAMPLE).grey
    levels = octaves(grey)
    for name, drawn in FIGURES.items():
        data = io.BytesIO()
        drawn(levels, grey).quantize(N_COLOURS, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
        yield name, data.getvalue()


def main(arguments: Sequence[str]) -> None:
    """Write the figures."""
    folder = Path(arguments[0]) if arguments else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in figures():
        (folder / name).write_bytes(data)


if __name__ == "__main__":
    main(sys.argv[1:])

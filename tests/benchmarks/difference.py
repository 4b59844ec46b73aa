"""Draw how siftcli differs from other detectors: ``python tests/benchmarks/difference.py``.

``turn IMAGE... -o FILE.png`` draws which keypoints of an image are repeated after a rotation and which are
lost, for siftcli and another detector at equal counts. Of the given images it draws the typical one, with
the median difference in repeatability (for an even number, the lower of the two medians).

``bars ROWS.json -o FILE.png`` draws the repeatability under every transform as bars, from the rows saved
by ``python tests/benchmarks/trials.py --rows ROWS.json``.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from trials import AT_EQUAL_COUNTS, SWEEPS

from siftcli import detectors
from siftcli.drawing.matches import INLIER_COLOUR as CORRECT_COLOUR
from siftcli.drawing.matches import OUTLIER_COLOUR as WRONG_COLOUR
from siftcli.evaluation.measure import counted
from siftcli.evaluation.pictures import GAP_PX
from siftcli.features import Features
from siftcli.image import read_image
from siftcli.io.writing import write_output
from siftcli.views import metrics
from siftcli.views.pairs import Pair
from siftcli.views.rendering import Interpolated, grey_of
from siftcli.views.transforms import Rotation

OWN, PEER = "siftcli", "opencv-precise"
TITLES = {OWN: "siftcli", PEER: "OpenCV, precise"}
ROTATION_DEG = 30.0
WITHIN_PX = 0.5

PANEL_PX = 520
"""Side of a drawn view."""
SUPERSAMPLING = 2
"""Circles are drawn larger by this factor and then reduced, for smooth lines."""
RADIUS_SIGMAS = 2.0
"""Radius of a circle, in units of σ."""
FONT_PX = 22
INK, GRID, PAPER = (36, 41, 47), (216, 222, 228), (255, 255, 255)
N_COLOURS = 64
"""Number of colours in the file, which keeps it small."""

BARS_WIDTH, BARS_HEIGHT = 1800, 690
BARS_LEFT, BARS_TOP, BARS_BOTTOM = 70, 130, 60
BARS_FONT_PX, VALUE_FONT_PX = 28, 21
GROUP_SHARE = 0.9
"""Fraction of its space that a group of bars fills."""
BARS = {
    "opencv": ("OpenCV", (190, 207, 220)),
    "opencv-precise": (TITLES[PEER], (128, 160, 186)),
    "scikit-image": ("scikit-image", (74, 116, 152)),
    "colmap": ("COLMAP", (36, 78, 115)),
    "vlfeat": ("VLFeat", (14, 41, 66)),
    "default": (TITLES[OWN], (230, 130, 0)),
    "default, limited by threshold": ("siftcli, by threshold", (247, 194, 118)),
}
"""Settings of the trials with their titles and colours, distinguishable with any colour vision."""


@dataclass(frozen=True, eq=False)
class Repeated:
    """Keypoints of a reference, and which of them are repeated in a view."""

    keypoints: metrics.Locations
    is_repeated: NDArray[np.bool_]
    """(N,) whether the view has a keypoint within ``WITHIN_PX`` of the true position."""


def repeated(pair: Pair, reference: Features, view: Features) -> Repeated:
    """Find the keypoints of the reference that are repeated in the view, as in the evaluation."""
    f = counted(reference, pair.reference_region, pair.view_region, pair.matrix, pair)
    g = counted(view, pair.view_region, pair.reference_region, np.linalg.inv(pair.matrix), pair)
    first = metrics.locations(f)
    found = metrics.correspondences(first, metrics.locations(g), pair.matrix)
    is_repeated = np.zeros(len(first), bool)
    is_repeated[found.pairs[found.distance <= WITHIN_PX, 0]] = True
    return Repeated(first, is_repeated)


def compare(path: str) -> tuple[Pair, list[Repeated]]:
    """The rotated pair of an image, and the keypoints that OpenCV and siftcli repeat at equal counts."""
    pair = Rotation(ROTATION_DEG).pair(Interpolated(read_image(path).grey))
    reference, view = grey_of(pair.reference), grey_of(pair.view)
    whole = [detectors.create(name, threads=1) for name in (PEER, OWN)]
    smallest = min(len(detector.detect(reference)) for detector in whole)
    equal = [detector.limited(smallest, reference) for detector in whole]
    return pair, [repeated(pair, d.detect(reference), d.detect(view)) for d in equal]


def typical(gains: Sequence[float]) -> int:
    """The index of the median gain; for an even number, of the lower of the two medians."""
    return int(np.argsort(gains, kind="stable")[(len(gains) - 1) // 2])


def draw_turn(pair: Pair, both: Sequence[Repeated]) -> Image.Image:
    """Draw the reference twice, with the keypoints that OpenCV and siftcli repeat, below captions."""
    head = 3 * FONT_PX + GAP_PX
    canvas = Image.new("RGB", (2 * PANEL_PX + 2 * GAP_PX, head + PANEL_PX), PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(FONT_PX)
    for column, (name, one) in enumerate(zip((PEER, OWN), both, strict=True)):
        left, n, n_repeated = (
            column * (PANEL_PX + 2 * GAP_PX),
            len(one.is_repeated),
            int(one.is_repeated.sum()),
        )
        pen.text((left, 0), f"{TITLES[name]}: {n} keypoints, rotated by {ROTATION_DEG:g}°", INK, font)
        _legend(
            pen, (left, 1.5 * FONT_PX), CORRECT_COLOUR, f"{n_repeated} repeated within {WITHIN_PX:g} px", font
        )
        _legend(pen, (left + 0.7 * PANEL_PX, 1.5 * FONT_PX), WRONG_COLOUR, f"{n - n_repeated} lost", font)
        canvas.paste(_panel(pair, one), (left, head))
    return canvas.quantize(N_COLOURS, dither=Image.Dither.NONE)


def _panel(pair: Pair, one: Repeated) -> Image.Image:
    """Draw a faint reference with a circle for each keypoint; those that are lost are on top."""
    side = SUPERSAMPLING * PANEL_PX
    zoom = side / pair.reference.shape[0]
    panel = Image.fromarray(pair.reference // 2 + 80).resize((side, side)).convert("RGB")
    pen = ImageDraw.Draw(panel)
    for colour, rows in ((CORRECT_COLOUR, one.is_repeated), (WRONG_COLOUR, ~one.is_repeated)):
        for xy, scale in zip(one.keypoints.xy[rows], one.keypoints.scale[rows], strict=True):
            centre = tuple(zoom * (xy + 0.5))
            radius = zoom * RADIUS_SIGMAS * scale
            pen.circle(centre, radius + SUPERSAMPLING, outline=INK, width=5 * SUPERSAMPLING)
            pen.circle(centre, radius, outline=colour, width=3 * SUPERSAMPLING)
    return panel.reduce(SUPERSAMPLING)


def draw_bars(rows: Sequence[Mapping[str, Any]]) -> Image.Image:
    """Draw the mean repeatability with a group of bars for each sweep and a bar for each setting."""
    names = [name for name in BARS if any(row["setting"] == name for row in rows)]
    canvas = Image.new("RGB", (BARS_WIDTH, BARS_HEIGHT), PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(BARS_FONT_PX)
    n_images = len({row["image"] for row in rows})
    title = f"Repeatability within {WITHIN_PX:g} px at {AT_EQUAL_COUNTS}, mean over {n_images} images"
    pen.text((BARS_LEFT, 0), title, INK, font)
    widths = [1.4 * BARS_FONT_PX + font.getlength(BARS[name][0]) for name in names]
    gap = (BARS_WIDTH - BARS_LEFT - sum(widths)) / len(names)
    at = float(BARS_LEFT)
    for name, width in zip(names, widths, strict=True):
        title, colour = BARS[name]
        _legend(pen, (at, 1.6 * BARS_FONT_PX), colour, title, font)
        at += width + gap
    for tick in np.linspace(0, 1, 6):
        pen.line([(BARS_LEFT, _height(tick)), (BARS_WIDTH, _height(tick))], GRID, 2)
        pen.text((BARS_LEFT - GAP_PX, _height(tick)), f"{tick:.1f}", INK, font, anchor="rm")
    edges = np.linspace(BARS_LEFT, BARS_WIDTH, len(SWEEPS) + 1)
    for sweep, left, right in zip(SWEEPS, edges, edges[1:], strict=False):
        pen.text(((left + right) / 2, _height(0) + 1.3 * BARS_FONT_PX), sweep, INK, font, anchor="ms")
        of_sweep = [row for row in rows if row["sweep"] == sweep]
        _group(pen, (left, right), {name: _mean_repeatability(of_sweep, name) for name in names})
    return canvas


def _group(pen: ImageDraw.ImageDraw, sides: tuple[float, float], values: Mapping[str, float]) -> None:
    """Draw the bars of a sweep between two columns of the picture, each below its value."""
    room = (sides[1] - sides[0]) * (1 - GROUP_SHARE) / 2
    edges = np.linspace(sides[0] + room, sides[1] - room, len(values) + 1)
    font = ImageFont.load_default(VALUE_FONT_PX)
    for (name, value), left, right in zip(values.items(), edges, edges[1:], strict=False):
        pen.rectangle([left + 1, _height(value), right - 1, _height(0)], BARS[name][1])
        label = f"{value:.2f}".removeprefix("0")
        pen.text(((left + right) / 2, _height(value) - 4), label, INK, font, anchor="mb")


def _height(value: float) -> float:
    """The row of the top of a bar with this value."""
    bottom = BARS_HEIGHT - BARS_BOTTOM
    return bottom - (bottom - BARS_TOP) * value


def _mean_repeatability(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    return float(np.nanmean([row["repeatability_05px"] for row in rows if row["setting"] == name]))


def _legend(
    pen: ImageDraw.ImageDraw, at: tuple[float, float], colour: tuple[int, int, int], text: str, font: Any
) -> None:
    """Draw a coloured square and its meaning."""
    x, y = at
    pen.rectangle([x, y + 0.2 * font.size, x + font.size, y + 1.2 * font.size], colour)
    pen.text((x + 1.4 * font.size, y), text, INK, font)


def main(arguments: Sequence[str]) -> None:
    """Draw one of the two pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("picture", choices=("turn", "bars"))
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="images, or the file with the rows")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.png")
    options = parser.parse_args(arguments)
    if options.picture == "turn":
        compared = [compare(path) for path in options.inputs]
        gains = [float(own.is_repeated.mean() - peer.is_repeated.mean()) for _, (peer, own) in compared]
        for path, gain in zip(options.inputs, gains, strict=True):
            print(f"{gain:+.3f} {path}")
        picture = draw_turn(*compared[typical(gains)])
    else:
        rows = [row for path in options.inputs for row in json.loads(Path(path).read_text())]
        picture = draw_bars([row for row in rows if row["budget"] == AT_EQUAL_COUNTS])
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    write_output(options.output, packed.getvalue(), overwrite=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""``python -m siftcli.evaluation.trials IMAGE...``: what a change of parameters does to every transform.

The settings tried stand in ``SETTINGS``; add a line to try another. Images are split by their place
in the list: tune on one half (``--half tune``), report on the other (``--half report``). A row is
the mean over images and values of a sweep; sweeps are those of ``siftcli evaluate`` at fewer values.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

from .. import detectors
from ..image import read_image
from ..params import SiftParams
from ..sift import pipeline
from .measure import measure
from .pairs import Transform
from .rendering import GREY_LEVELS, Picture, Source
from .transforms import (
    Blur,
    Brightness,
    Jpeg,
    Noise,
    Perspective,
    Rotation,
    Scale,
)

CLASSIC = SiftParams.classic().to_dict()
DIRECT = {"doubling": "direct", "assumed_variance": 0.0}

SETTINGS: Mapping[str, Mapping[str, Any] | str] = {
    "opencv-precise": "opencv-precise",
    "scikit-image": "scikit-image",
    "classic": CLASSIC,
    "classic, t = 0": CLASSIC | DIRECT,
    "classic, t = -0.3": CLASSIC | DIRECT | {"assumed_variance": -0.3},
    "classic, t = -0.6": CLASSIC | DIRECT | {"assumed_variance": -0.6},
    "classic, t = 0, ranked by response · σ": CLASSIC | DIRECT | {"response_power": 1.0},
    "default": {},
    "default, t = 0": {"assumed_variance": 0.0},
    "default, t = -0.3": {"assumed_variance": -0.3},
    "default, σ₀ = 1.6": {"sigma": 1.6},
    "default, σ₀ = 2": {"sigma": 2.0},
    "default, 4 levels": {"levels_per_octave": 4},
    "default, no keypoint below 1 px": {"min_sigma": 1.0},
    "default, contrast 0.03": {"contrast_threshold": 0.03},
    "default, edge 6": {"edge_threshold": 6.0},
    "default, edge 10": {"edge_threshold": 10.0},
    "default, ranked by contrast": {"response_power": 0.0},
    "default, 36 bins smoothed twice": {"orientation_bins": 36, "orientation_smoothing": 2},
    "default, orientation window 1.5": {"orientation_window": 1.5, "orientation_radius": 3.0},
    "default, cells of 3σ": {"cell_width": 3.0},
    "default, cells of 4σ": {"cell_width": 4.0},
    "default, no RootSIFT": {"rootsift": False},
}
"""Overrides of the default parameters, or the name of a detector."""

SWEEPS: Mapping[str, Sequence[Transform]] = {
    "turn": [Rotation(v) for v in (20, 45, 100, 155, 200, 290, 340)],
    "zoom": [Scale(v) for v in (0.5, 0.7, 1.4, 2, 3, 4)],
    "blur": [Blur(v) for v in (1, 2)],
    "noise": [Noise(v) for v in (5, 15)],
    "JPEG": [Jpeg(v) for v in (75, 30)],
    "brightness": [Brightness(v) for v in (-40, 40)],
    "perspective": [Perspective(v) for v in (20, 40)],
}

COLUMNS = ("n_reference", "localisation_median_px", "orientation_median_deg")
"""Of the turns; of every sweep besides: repeatability within 0.5 px, matching score, correct matches."""


def try_on_image(path: str, seed: int = 0) -> list[dict[str, Any]]:
    """All settings on all transforms of one image: a row each."""
    source = Source(read_image(path).grey)
    pairs = [(sweep, t.pair(source, seed)) for sweep, transforms in SWEEPS.items() for t in transforms]
    rows = []
    for name, setting in SETTINGS.items():
        detect = _detector(setting)
        remembered: dict[bytes, Any] = {}
        for sweep, pair in pairs:
            views = pair.reference, pair.view
            for view in views:
                if view.tobytes() not in remembered:
                    remembered[view.tobytes()] = detect(_grey(view))
            found = [remembered[view.tobytes()] for view in views]
            rows.append({"setting": name, "sweep": sweep, **measure(pair, *found).to_dict()})
    return rows


def _grey(view: Picture) -> Any:
    return view.astype(np.float32) / np.float32(GREY_LEVELS)


def _detector(setting: Mapping[str, Any] | str) -> Any:
    if isinstance(setting, str):
        return detectors.create(setting, threads=1).detect
    return partial(pipeline.detect, params=SiftParams(**setting), threads=1)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown row a setting."""
    head = ["setting", "keypoints", "localisation (px)", "orientation (°)", *SWEEPS]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name in SETTINGS:
        of_setting = [row for row in rows if row["setting"] == name]
        n, localisation, orientation = (_mean(of_setting, "turn", column) for column in COLUMNS)
        cells = [f"{n:.0f}", f"{localisation:.3f}", f"{orientation:.2f}"]
        for sweep in SWEEPS:
            repeated, score = (_mean(of_setting, sweep, c) for c in ("repeatability_05px", "matching_score"))
            cells.append(f"{repeated:.3f} / {score:.3f} / {_mean(of_setting, sweep, 'n_correct'):.0f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _mean(rows: Sequence[Mapping[str, Any]], sweep: str, column: str) -> float:
    return float(np.nanmean([row[column] for row in rows if row["sweep"] == sweep]))


def main(arguments: Sequence[str]) -> None:
    """Try all settings and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--half", choices=("tune", "report"), help="every other image, or the others")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    images = options.images[{"tune": 0, "report": 1}.get(options.half, 0) :: 2 if options.half else 1]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        rows = [row for rows in pool.map(try_on_image, images) for row in rows]
    print("Each cell: repeatability within 0.5 px / matching score / correct matches\n")
    print(table(rows))


if __name__ == "__main__":
    main(sys.argv[1:])

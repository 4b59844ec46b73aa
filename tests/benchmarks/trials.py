"""Compare settings of the detector on every transform: ``python tests/benchmarks/trials.py IMAGE...``.

The settings are listed in ``SETTINGS``; ``--only`` selects some of them. To avoid overfitting, tune on
half of the images (``--half tune``) and report the others (``--half report``). The sweeps are those of
``siftcli evaluate`` with fewer values, and a row is the mean over images and values. ``--equal`` adds a
table at equal counts, as in ``siftcli evaluate``: for each pair of views, every setting is limited to the
smallest number of features that any of them finds in the reference. ``--by-value`` adds tables with a
column for each value of a sweep, and ``--rows`` saves all rows as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from siftcli import detectors
from siftcli.detectors.base import Detector, Grey, threshold_for_count
from siftcli.detectors.own import Siftcli
from siftcli.evaluation.measure import measure
from siftcli.features import Features
from siftcli.image import read_image
from siftcli.params import SiftParams
from siftcli.views.pairs import Pair, Transform
from siftcli.views.rendering import GreyBytes, Interpolated, grey_of
from siftcli.views.transforms import (
    Blur,
    Brightness,
    Jpeg,
    Noise,
    Perspective,
    Rotation,
    Scale,
)


class Trial(Siftcli):
    """siftcli with some parameters changed."""

    name = "trial"

    def __init__(self, changes: Mapping[str, Any]) -> None:
        super().__init__(threads=1)
        self.params = SiftParams(**changes)

    @property
    def _params(self) -> SiftParams:
        return self.params.override(max_features=self.max_features)


class ThresholdedTrial(Trial):
    """The same, limited by its contrast threshold, like detectors without a response."""

    ranked = False

    def limited(self, n: int, grey: Grey) -> Detector:
        """A copy with the threshold at which about ``n`` features remain in ``grey``."""

        def at(threshold: float) -> Trial:
            return Trial(self.params.override(contrast_threshold=threshold).to_dict())

        start = self.params.contrast_threshold
        return at(threshold_for_count(lambda threshold: len(at(threshold).detect(grey)), n, start))


class LimitedInEachImage(Detector):
    """A detector without a response, with its threshold adjusted for every image.

    So every image has about the same number of features, as with detectors that have a response. In the
    evaluation, the threshold is adjusted on the reference only.
    """

    name = "limited in each image"
    ranked = False

    def __init__(self, whole: Detector, n: int | None = None) -> None:
        self.whole, self.n, self.threads = whole, n, whole.threads

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Those of the detector, and the number of features."""
        return {**self.whole.parameters, "in_each_image": self.n}

    def detect(self, grey: Grey) -> Features:
        """All features, or about ``n``."""
        return (self.whole if self.n is None else self.whole.limited(self.n, grey)).detect(grey)

    def limited(self, n: int, grey: Grey) -> Detector:
        """A copy of the detector that finds about ``n`` features in every image."""
        return LimitedInEachImage(self.whole, n)


def _limited_in_each_image(name: str) -> Detector:
    return LimitedInEachImage(detectors.create(name, threads=1))


CLASSIC = SiftParams.classic().to_dict()
DIRECT = {"doubling": "direct", "assumed_variance": 0.0}

OF_28_NOVEMBER = {
    "sigma": 1.7,
    "assumed_variance": -0.15,
    "contrast_threshold": 0.015,
    "stability_power": 1.2,
    "stability_roundness": 1.25,
    "ranking_power": -0.25,
    "orientation_window": 2.2,
    "orientation_radius": 2.0,
}
"""What the default preset had until 2026-11-30."""

Setting = Mapping[str, Any] | str | Callable[[], Detector]
"""Changes to the default parameters, the name of a detector, or a function that creates one."""

SETTINGS: Mapping[str, Setting] = {
    **{name: name for name in ("opencv", "opencv-precise", "scikit-image", "colmap", "vlfeat")},
    "scikit-image, limited in each image": partial(_limited_in_each_image, "scikit-image"),
    "colmap, limited in each image": partial(_limited_in_each_image, "colmap"),
    "classic": CLASSIC,
    "classic, t = 0": CLASSIC | DIRECT,
    "classic, t = -0.3": CLASSIC | DIRECT | {"assumed_variance": -0.3},
    "classic, t = -0.6": CLASSIC | DIRECT | {"assumed_variance": -0.6},
    "classic, t = 0, ranked by response · σ": CLASSIC | DIRECT | {"ranking_power": 1.0},
    "default": {},
    "default, limited by threshold": partial(ThresholdedTrial, {}),
    "default, no least-squares fit": {"refinement": "lowe"},
    "default, one round of the fit": {"fit_tolerance": 0.0},
    "default, fit of 0.3σ": {"fit_window": 0.3},
    "default, fit of 0.5σ": {"fit_window": 0.5},
    "default, t = 0": {"assumed_variance": 0.0},
    "default, t = -0.1": {"assumed_variance": -0.1},
    "default, t = -0.3": {"assumed_variance": -0.3},
    "default, σ₀ = 1.2": {"sigma": 1.2},
    "default, σ₀ = 1.3": {"sigma": 1.3},
    "default, σ₀ = 1.7": {"sigma": 1.7},
    "default, 4 levels": {"levels_per_octave": 4},
    "default, contrast 0.0087": {"contrast_threshold": 0.0087},
    "default, contrast 0.011": {"contrast_threshold": 0.011},
    "default, contrast 0.015": {"contrast_threshold": 0.015},
    "default, the same contrast in every image": {"clean_contrast": 1.0},
    "default, contrast from 0.3 in a clean image": {"clean_contrast": 0.3},
    "default, ranked independently of σ": {"ranking_power": 0.0},
    "default, ranked by σ^-0.5": {"ranking_power": -0.5},
    "default, ranked by σ": {"ranking_power": 1.0},
    "default, ranked without roundness": {"ranking_roundness": 0.0},
    "default, the strongest": {"selection": "strongest"},
    "default, the most even": {"selection": "even"},
    "default, stability from 0.6": {"stability_threshold": 0.6},
    "default, stability from 1": {"stability_threshold": 1.0},
    "default, all contrast counts": {"stability_excess": False, "stability_threshold": 1.7},
    "default, edge 10": {"edge_threshold": 10.0},
    "default, edge 20": {"edge_threshold": 20.0},
    "default, 26 neighbours": {"nearest_only": False},
    "default, fit until 0.01 samples": {"fit_tolerance": 0.01},
    "default, fit until 0.05 samples": {"fit_tolerance": 0.05},
    "default, contrast from 0.039 at every scale": {
        "contrast_threshold": 0.039,
        "stability_threshold": 0.0,
        "stability_excess": False,
    },
    "default, stability without roundness": {"stability_roundness": 0.0},
    "default, stability by √roundness": {"stability_roundness": 0.5},
    "default, stability by roundness": {"stability_roundness": 1.0},
    "default, stability by roundness^1.25": {"stability_roundness": 1.25},
    "default, stability by roundness²": {"stability_roundness": 2.0},
    "default, stability not reduced at the border": {"border_reach": 0.0},
    "default, stability reduced within 8σ of the border": {"border_reach": 8.0},
    "default, stability independent of σ": {"stability_power": 0.0},
    "default, stability by σ": {"stability_power": 1.0},
    "default, stability by σ^0.2": {"stability_power": 0.2},
    "default, stability by σ^1.2": {"stability_power": 1.2},
    "default of 2026-11-28": OF_28_NOVEMBER,
    "default of 2026-11-28, σ₀ = 1.4": OF_28_NOVEMBER | {"sigma": 1.4},
    "default of 2026-11-26": OF_28_NOVEMBER
    | {
        "contrast_threshold": 0.02,
        "clean_contrast": 1.0,
        "stability_threshold": 0.75,
        "stability_power": 1.8,
        "ranking_power": 1.8,
        "ranking_roundness": 1.25,
        "selection": "strongest",
    },
    "default, 36 bins smoothed twice": {"orientation_bins": 36, "orientation_smoothing": 2},
    "default, histogram of central differences": {"isotropic_gradients": False},
    "default, orientation window 1.5": {"orientation_window": 1.5, "orientation_radius": 3.0},
    "default, orientation window 2.2": {"orientation_window": 2.2, "orientation_radius": 2.0},
    "default, orientation window 3": {"orientation_window": 3.0, "orientation_radius": 2.0},
    "default, peak ratio 0.7": {"peak_ratio": 0.7},
    "default, peak ratio 0.9": {"peak_ratio": 0.9},
    "default, cells of 3σ": {"cell_width": 3.0},
    "default, cells of 4σ": {"cell_width": 4.0},
    "default, clipped at 0.15": {"descriptor_clip": 0.15},
    "default, not clipped": {"descriptor_clip": 1.0},
    "default, no RootSIFT": {"rootsift": False},
    "default, domain-size pooling": {"dsp": True},
}
SWEEPS: Mapping[str, Sequence[Transform]] = {
    "turn": [Rotation(v) for v in (20, 45, 100, 155, 200, 290, 340)],
    "zoom": [Scale(v) for v in (0.5, 0.7, 1.4, 2, 3, 4)],
    "blur": [Blur(v) for v in (1, 2)],
    "noise": [Noise(v) for v in (5, 15)],
    "JPEG": [Jpeg(v) for v in (75, 30)],
    "brightness": [Brightness(v) for v in (-40, 40)],
    "perspective": [Perspective(v) for v in (20, 40)],
}

CELL = (("repeatability_05px", ".3f"), ("matching_score", ".3f"), ("n_correct", ".0f"))
"""Fields that a cell of a sweep shows, with their formats."""

AT_DEFAULTS, AT_EQUAL_COUNTS = "defaults", "equal counts"


class Trials:
    """Runs some settings on the views of one image; detections are cached."""

    def __init__(self, names: Sequence[str]) -> None:
        self.detectors = {name: detector_of(SETTINGS[name]) for name in names}
        self._limited: dict[Any, Detector] = {}
        self._found: dict[Any, Features] = {}

    def rows(self, pair: Pair, *, equal: bool) -> list[dict[str, Any]]:
        """A row of metrics for each setting."""
        limit = self._smallest_count(pair.reference) if equal else None
        rows = []
        for name in self.detectors if limit != 0 else ():
            reference, view = (
                self._features(name, picture, limit, pair) for picture in (pair.reference, pair.view)
            )
            rows.append({"setting": name, **measure(pair, reference, view).to_dict()})
        return rows

    def _smallest_count(self, reference: GreyBytes) -> int:
        return min(len(self._detect(detector, reference)) for detector in self.detectors.values())

    def _features(self, name: str, picture: GreyBytes, limit: int | None, pair: Pair) -> Features:
        """The features of an image with a setting: all, or limited to ``limit`` features of the reference."""
        detector = self.detectors[name]
        if limit is None:
            return self._detect(detector, picture)
        if detector.ranked:
            return self._detect(detector, picture).select(slice(limit))
        key = name, limit, pair.reference.tobytes()
        if key not in self._limited:
            self._limited[key] = detector.limited(limit, grey_of(pair.reference))
        return self._detect(self._limited[key], picture)

    def _detect(self, detector: Detector, picture: GreyBytes) -> Features:
        key = detector, picture.tobytes()
        if key not in self._found:
            self._found[key] = detector.detect(grey_of(picture))
        return self._found[key]


def try_on_image(path: str, names: Sequence[str], equal: bool = False, seed: int = 0) -> list[dict[str, Any]]:
    """Run some settings on all transforms of one image, at defaults and optionally at equal counts."""
    source, settings, rows = Interpolated(read_image(path).grey), Trials(names), []
    for sweep, transforms in SWEEPS.items():
        for transform in transforms:
            pair = transform.pair(source, seed)
            for budget in (AT_DEFAULTS, AT_EQUAL_COUNTS)[: 1 + equal]:
                where = {"image": Path(path).name, "sweep": sweep, "value": transform.value, "budget": budget}
                rows += [where | row for row in settings.rows(pair, equal=budget == AT_EQUAL_COUNTS)]
    return rows


def detector_of(setting: Setting) -> Detector:
    """The detector of a setting."""
    if isinstance(setting, str):
        return detectors.create(setting, threads=1)
    return Trial(setting) if isinstance(setting, Mapping) else setting()


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table with a row for each setting and a column for each sweep."""
    of_rotations = [row for row in rows if row["sweep"] == "turn"]
    return _markdown(
        {
            "keypoints": _means(of_rotations, "n_reference", ".0f"),
            "localisation (px)": _means(of_rotations, "localisation_median_px", ".3f"),
            "orientation (°)": _means(of_rotations, "orientation_median_deg", ".2f"),
            **{sweep: _cells([row for row in rows if row["sweep"] == sweep]) for sweep in SWEEPS},
        }
    )


def table_by_value(rows: Sequence[Mapping[str, Any]], sweep: str) -> str:
    """A Markdown table with a row for each setting and a column for each value of one sweep."""
    values = [transform.value for transform in SWEEPS[sweep]]
    return _markdown(
        {
            f"{sweep} {value:g}": _cells([r for r in rows if (r["sweep"], r["value"]) == (sweep, value)])
            for value in values
        }
    )


def _markdown(columns: Mapping[str, Mapping[str, str]]) -> str:
    """Column title -> setting -> cell, as a Markdown table."""
    lines = ["| " + " | ".join(["setting", *columns]) + " |", "|---" * (1 + len(columns)) + "|"]
    for name in dict.fromkeys(name for column in columns.values() for name in column):
        lines.append(f"| {name} | " + " | ".join(column.get(name, "") for column in columns.values()) + " |")
    return "\n".join(lines)


def _cells(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Repeatability within 0.5 px / matching score / correct matches of each setting."""
    parts = [_means(rows, *column) for column in CELL]
    return {name: " / ".join(part[name] for part in parts) for name in parts[0]}


def _means(rows: Sequence[Mapping[str, Any]], column: str, form: str) -> dict[str, str]:
    """Setting -> mean of a field, as text."""
    values: dict[str, list[float]] = {}
    for row in rows:
        values.setdefault(row["setting"], []).append(row[column])
    return {name: format(float(np.nanmean(found)), form) for name, found in values.items()}


def main(arguments: Sequence[str]) -> None:
    """Run the settings and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE")
    parser.add_argument("--half", choices=("tune", "report"), help="use every other image, or the others")
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), metavar="SETTING", help="default: all")
    parser.add_argument("--equal", action="store_true", help="add a table at equal counts")
    parser.add_argument(
        "--by-value", nargs="+", choices=list(SWEEPS), default=[], metavar="SWEEP", help="add tables by value"
    )
    parser.add_argument("--rows", metavar="FILE", type=Path, help="save all rows as JSON")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(arguments)
    images = options.images[{"tune": 0, "report": 1}.get(options.half, 0) :: 2 if options.half else 1]
    names = options.only or [name for name, s in SETTINGS.items() if not isinstance(s, str) or _installed(s)]
    run = partial(try_on_image, names=names, equal=options.equal)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        rows = [row for rows in pool.map(run, images) for row in rows]
    if options.rows:
        options.rows.write_text(json.dumps(rows))
    print("Each cell: repeatability within 0.5 px / matching score / correct matches\n")
    for budget in (AT_DEFAULTS, AT_EQUAL_COUNTS)[: 1 + options.equal]:
        of_budget = [row for row in rows if row["budget"] == budget]
        for text in (table(of_budget), *(table_by_value(of_budget, sweep) for sweep in options.by_value)):
            print(f"At {budget}:\n\n{text}\n")


def _installed(name: str) -> bool:
    return detectors.REGISTRY[name].installed()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The tables of the page, as records that the template renders."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluation.intervals import MIN_IMAGES, VALUES, described
from ..evaluation.recovery import CORNER_TOLERANCES_PX
from ..evaluation.summary import (
    METRICS,
    Difference,
    Metric,
    Summary,
    best,
    per_image,
    summarise_rows,
)
from ..evaluation.tables import BUDGET_TITLES, headline_metrics
from ..evaluation.work import AT_DEFAULTS
from ..views.transforms import TRANSFORMS
from ..words import counted

Rows = Sequence[Mapping[str, Any]]

DATASET_METRICS = (
    *(f"mma_{t}px" for t in CORNER_TOLERANCES_PX),
    "n_correct",
    *(f"corners_within_{t}px" for t in CORNER_TOLERANCES_PX),
)
"""Columns of the table of a dataset."""
SHORT, SHORT_OF_DATASETS = ("repeatability_05px", "matching_score"), ("mma_3px", "corners_within_3px")
"""Columns of the tables that are not folded."""
IMAGE_METRICS = (
    "repeatability_05px",
    "repeatability_1px",
    "localisation_median_px",
    "orientation_median_deg",
    "matching_score",
    "n_reference",
)
"""Columns of the table of an image."""
MAX_IMAGES = 400
"""Maximum number of images listed, worst first; keeps the page of a large run small."""

_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    detail: str = ""
    """An interval, or the values of a few images."""
    is_best: bool = False
    note: str = ""
    """"better" or "worse" of a marked difference."""


@dataclass(frozen=True)
class Table:
    """A table with a row for each detector, or for each of something else that ``corner`` says."""

    title: str
    columns: Sequence[Metric]
    rows: Sequence[tuple[str, Sequence[Cell]]]
    groups: Sequence[tuple[Metric, int]] = ()
    """What is above the columns, and over how many of them."""
    corner: str = "detector"


def arrow(metric: Metric) -> str:
    """Which direction is better."""
    return {True: "↑", False: "↓", None: ""}[metric.higher_is_better]


def number(value: float | None, metric: Metric, *, signed: bool = False) -> str:
    """A number as text; a dash if there is none."""
    if value is None or math.isnan(value):
        return "–"
    value = round(value, metric.decimals) + 0.0  # no negative zero
    text = f"{value:+.{metric.decimals}f}" if signed and value else f"{value:.{metric.decimals}f}"
    return text.replace("-", "−")


SWEEP_TITLES = {
    "rotation": "Rotation, rendered views",
    "canvas": "Rotation, whole images on a canvas",
    "lossless": "Rotation, lossless multiples of 90°",
    "jpeg": "JPEG compression",
    "oxford": "Oxford affine",
    "hpatches": "HPatches",
    "hpatches-illumination": "HPatches, illumination changes",
    "hpatches-viewpoint": "HPatches, viewpoint changes",
    "csv": "Listed pairs",
}


def sweep_title(sweep: str) -> str:
    """The heading of a sweep or dataset."""
    return SWEEP_TITLES.get(sweep, sweep.capitalize())


def groups(rows: Rows) -> dict[str, dict[str, list[Any]]]:
    """Sweep -> budget -> rows, in order of first occurrence."""
    found: dict[str, dict[str, list[Any]]] = {}
    for row in rows:
        found.setdefault(row["sweep"], {}).setdefault(row["budget"], []).append(row)
    return found


def columns_of(sweep: str) -> list[Metric]:
    """The metrics shown for a sweep or a dataset, the most important first: it is what a phone shows."""
    metrics = headline_metrics() if sweep in TRANSFORMS else [_BY_NAME[name] for name in DATASET_METRICS]
    short = short_columns_of(sweep)
    return short + [metric for metric in metrics if metric not in short]


def short_columns_of(sweep: str) -> list[Metric]:
    """The metrics of a sweep or a dataset that are not folded."""
    return [_BY_NAME[name] for name in (SHORT if sweep in TRANSFORMS else SHORT_OF_DATASETS)]


def headline(budget: str, rows: Rows, columns: Sequence[Metric]) -> Table:
    """The means of every detector, with the best value of each column marked."""
    summaries = summarise_rows([dict(row) for row in rows])
    marked = {metric.name: best(summaries, metric) for metric in columns}
    n_images, n_views = summaries[0].n_images, summaries[0].n_rows
    title = f"{BUDGET_TITLES[budget]}: {counted(n_images, 'image')}, {counted(n_views, 'pair')} of views"
    return Table(title.capitalize(), columns, [(s.detector, _cells(s, columns, marked)) for s in summaries])


def _cells(summary: Summary, columns: Sequence[Metric], marked: Mapping[str, set[str]]) -> list[Cell]:
    return [
        Cell(number(summary.means[m.name], m), is_best=summary.detector in marked[m.name]) for m in columns
    ]


def lead(sweep: str, budget: str, found: Sequence[Difference], columns: Sequence[Metric]) -> list[Table]:
    """Differences between pairs of detectors with their intervals, if there are any."""
    columns = [metric for metric in columns if metric.higher_is_better is not None]
    own = [asdict(d) for d in found if (d.sweep, d.budget) == (sweep, budget)]
    by_key = {(d["detector"], d["other"], d["metric"]): d for d in own}
    present = list(dict.fromkeys(key[:2] for key in by_key))
    if not present:
        return []
    lines = [
        (pair_title(a, b), [difference_cell(by_key.get((a, b, metric.name)), metric) for metric in columns])
        for a, b in present
    ]
    return [Table(f"Differences {BUDGET_TITLES[budget]}: {how_found(own)}", columns, lines)]


def how_found(differences: Sequence[Mapping[str, Any]]) -> str:
    """How the intervals of a table were found; of columns that lack values of some images, the others'."""
    largest = max(differences, key=lambda d: d["n_images"])
    return described(largest["method"], largest["n_images"])


def pair_title(a: str, b: str) -> str:
    """``a − b``, or in a comparison ``detector: after − before``."""
    (name, _, after), (other, _, before) = a.partition(" · "), b.partition(" · ")
    return f"{name}: {after} − {before}" if after and name == other else f"{a} − {b}"


def difference_cell(found: Mapping[str, Any] | None, metric: Metric) -> Cell:
    """A difference (``mean``, ``low``, ``high``, ``method``, ``values``, ``mark``)."""
    if found is None:
        return Cell("–")
    note = found["mark"] if round(found["mean"], metric.decimals) else ""
    return Cell(number(found["mean"], metric, signed=True), uncertainty(found, metric), note=note)


def uncertainty(found: Mapping[str, Any], metric: Metric) -> str:
    """The interval as text, or a few values instead of it."""
    if found["method"] != VALUES:
        return " to ".join(number(found[end], metric, signed=True) for end in ("low", "high"))
    few = 1 < len(found["values"]) < MIN_IMAGES
    return ", ".join(number(value, metric, signed=True) for value in found["values"]) if few else ""


@dataclass(frozen=True)
class ImageEntry:
    """An image with its table, and with its pictures if it was drawn."""

    name: str
    figures: Sequence[tuple[str, str]]
    """Titles and values of its summary line."""
    table: Table
    pictures: Sequence[Mapping[str, Any]]


def images(rows: Rows, first: str, pictures: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[ImageEntry]:
    """The images of a sweep at default parameters, lowest repeatability first.

    Parameters
    ----------
    rows
        All rows of the sweep.
    first
        The detector by which images are ranked.
    pictures
        Image name -> its pictures.
    """
    by_image: dict[str, list[Any]] = {}
    for row in rows:
        if row["budget"] == AT_DEFAULTS:
            by_image.setdefault(row["image"], []).append(row)
    ranks = per_image([r for rs in by_image.values() for r in rs if r["detector"] == first], IMAGE_METRICS[0])
    order = sorted(by_image, key=lambda name: (ranks.get(name, math.inf), name))
    return [_image_entry(name, by_image[name], first, pictures.get(name, ())) for name in order[:MAX_IMAGES]]


def _image_entry(name: str, rows: list[Any], first: str, pictures: Sequence[Mapping[str, Any]]) -> ImageEntry:
    columns = [_BY_NAME[metric] for metric in IMAGE_METRICS]
    summaries = summarise_rows(rows)
    marked = {metric.name: best(summaries, metric) for metric in columns}
    table = Table(counted(len(rows) // len(summaries), "view"), columns, [
        (s.detector, _cells(s, columns, marked)) for s in summaries
    ])  # fmt: skip
    own = next((s for s in summaries if s.detector == first), None)
    figures = [(m.title, number(own.means[m.name], m)) for m in columns] if own else []
    return ImageEntry(name, figures, table, pictures)

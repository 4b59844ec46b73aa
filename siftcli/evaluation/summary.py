"""Summarise rows: means over images, and the differences between detectors with their intervals.

Each metric is first averaged over the values of a sweep for each image, then over the images. So
every image has the same weight, however many keypoints it has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from .intervals import Interval, marks, over_images
from .recovery import CORNER_TOLERANCES_PX
from .work import Record


@dataclass(frozen=True)
class Metric:
    """A metric, and how it is shown as a column of a table."""

    name: str
    """Name of the field in the rows."""
    title: str
    definition: str
    higher_is_better: bool | None = True
    """None if neither direction is better."""
    decimals: int = 3


_REPEATED = (
    "one-to-one correspondences within {} px, scale ratio below √2, over the smaller number of keypoints"
)

METRICS = (
    Metric("repeatability_025px", "rep. 0.25 px", _REPEATED.format(0.25)),
    Metric("repeatability_05px", "rep. 0.5 px", _REPEATED.format(0.5)),
    Metric("repeatability_1px", "rep. 1 px", _REPEATED.format(1)),
    Metric("repeatability_15px", "rep. 1.5 px", _REPEATED.format(1.5)),
    Metric("repeatability_3px", "rep. 3 px", _REPEATED.format(3)),
    Metric(
        "overlap_repeatability",
        "overlap rep.",
        "one-to-one pairs of regions with less than 40 % overlap error, the first scaled to a radius of "
        "30 px, over the smaller number of keypoints",
    ),
    Metric(
        "localisation_median_px",
        "localisation (px)",
        "median distance over correspondences within 1.5 px",
        higher_is_better=False,
    ),
    Metric(
        "localisation_p90_px",
        "localisation p90 (px)",
        "90th percentile of the distance over correspondences within 1.5 px",
        higher_is_better=False,
    ),
    Metric(
        "orientation_median_deg",
        "orientation (°)",
        "median error of the orientation over correct matches",
        higher_is_better=False,
        decimals=2,
    ),
    Metric(
        "orientation_within_5deg",
        "within 5°",
        "fraction of the correct matches with an orientation error of at most 5°",
    ),
    Metric(
        "orientation_within_15deg",
        "within 15°",
        "fraction of the correct matches with an orientation error of at most 15°",
    ),
    Metric("precision", "precision", "number of correct matches over number of putative matches"),
    Metric(
        "matching_score",
        "matching score",
        "distinct keypoints with a correct match (mutual nearest neighbour, ratio test, within 2 px) over "
        "the smaller number of keypoints",
    ),
    *(
        Metric(f"mma_{t}px", f"MMA {t} px", f"fraction of the putative matches within {t} px of the truth")
        for t in CORNER_TOLERANCES_PX
    ),
    *(
        Metric(
            f"corners_within_{t}px",
            f"homography {t} px",
            f"fraction of the pairs whose estimated model has a mean corner error of at most {t} px",
        )
        for t in CORNER_TOLERANCES_PX
    ),
    Metric(
        "rotation_error_deg", "rotation error (°)", "error of the rotation recovered from the matches", False
    ),
    Metric("scale_error", "scale error", "relative error of the scale recovered from the matches", False, 5),
    Metric("n_correct", "correct matches", "putative matches within 2 px of the truth", True, 0),
    Metric(
        "n_reference", "keypoints", "keypoints of the reference in the area that both views show", None, 0
    ),
    Metric("time_s", "time (s)", "median time of detection and description of the view, one thread", False),
)


@dataclass(frozen=True)
class Summary:
    """The means of one detector on one sweep at one budget."""

    sweep: str
    budget: str
    detector: str
    n_images: int
    n_rows: int
    means: dict[str, float]
    """Metric name -> mean; NaN if no row has a value."""


def summarise_rows(rows: Sequence[Record]) -> list[Summary]:
    """Average the rows of each sweep, budget and detector, in order of first occurrence."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for row in rows:
        groups.setdefault((row["sweep"], row["budget"], row["detector"]), []).append(row)
    return [
        Summary(*key, len({r["image"] for r in group}), len(group), _means(group))
        for key, group in groups.items()
    ]


def _means(rows: Sequence[Record]) -> dict[str, float]:
    means = {}
    for metric in METRICS:
        values = per_image(rows, metric.name)
        middle = np.median if metric.name == "time_s" else np.mean
        means[metric.name] = float(middle(list(values.values()))) if values else float("nan")
    return means


def per_image(rows: Sequence[Record], metric: str) -> dict[str, float]:
    """Image name -> mean of a metric over its rows; images without a value are omitted."""
    values: dict[str, list[float]] = {}
    for row in rows:
        if row.get(metric) is not None and not np.isnan(row[metric]):
            values.setdefault(row["image"], []).append(float(row[metric]))
    return {image: float(np.mean(found)) for image, found in values.items()}


@dataclass(frozen=True)
class Difference:
    """The difference between the means of two detectors, with its interval over images."""

    sweep: str
    budget: str
    detector: str
    other: str
    metric: str
    mean: float
    low: float
    """NaN without an interval, as ``high`` and ``p_adjusted``."""
    high: float
    method: str
    n_images: int
    values: tuple[float, ...]
    """Of each image, where there is no interval."""
    p_adjusted: float
    mark: str
    """``"better"``, ``"worse"`` or empty."""


def differences(rows: Sequence[Record], pairs: Sequence[tuple[str, str]], seed: int = 0) -> list[Difference]:
    """Differences between detectors, paired over images, for each sweep, budget and metric.

    The marks are corrected for the number of all that are returned.

    Parameters
    ----------
    rows
        The rows of any number of detectors.
    pairs
        Pairs of detector names; the mean of the second is subtracted from that of the first.
    seed
        Seed of the bootstrap.
    """
    groups: dict[tuple[str, str], dict[str, list[Record]]] = {}
    for row in rows:
        groups.setdefault((row["sweep"], row["budget"]), {}).setdefault(row["detector"], []).append(row)
    found = [
        ((*group, detector, other, metric), interval)
        for group, by_detector in groups.items()
        for detector, other in pairs
        if detector in by_detector and other in by_detector
        for metric, interval in _differences(by_detector[detector], by_detector[other], seed).items()
    ]
    directions = {metric.name: metric.higher_is_better for metric in METRICS}
    marked = marks([(interval, directions[key[-1]]) for key, interval in found])
    return [
        Difference(*key, i.mean, i.low, i.high, i.method, i.n_images, i.values, mark.p_adjusted, mark.text)
        for (key, i), mark in zip(found, marked, strict=True)
    ]


def _differences(rows: Sequence[Record], others: Sequence[Record], seed: int) -> dict[str, Interval]:
    """Metric -> difference over the images with a value for both detectors, if there are any."""
    columns = {}
    for metric in METRICS:
        a, b = (per_image(own, metric.name) for own in (rows, others))
        columns[metric.name] = [a[image] - b[image] for image in sorted(a.keys() & b.keys())]
    return over_images(columns, seed)


def best(summaries: Sequence[Summary], metric: Metric) -> set[str]:
    """The names of the detectors with the best mean, after rounding to the printed decimals."""
    if metric.higher_is_better is None:
        return set()
    sign = 1 if metric.higher_is_better else -1
    printed = {s.detector: sign * round(s.means[metric.name], metric.decimals) for s in summaries}
    top = max((value for value in printed.values() if not np.isnan(value)), default=np.nan)
    return {name for name, value in printed.items() if value == top}


def to_tables(rows: Sequence[Record], names: Sequence[str], seed: int) -> Mapping[str, list[dict[str, Any]]]:
    """The summary, and the differences between the first detector and each other, as plain values."""
    pairs = [(names[0], other) for other in names[1:]]
    return {
        "summary": [asdict(s) for s in summarise_rows(rows)],
        "differences": [asdict(d) for d in differences(rows, pairs, seed)],
    }

"""Summarise rows: means over the pairs of a scene, and differences, with their intervals over images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..intervals import Interval, marks, over_pairs
from ..summary import Metric
from .options import AUC_LIMITS_DEG

Rows = Sequence[Mapping[str, Any]]

METRICS = (
    *(
        Metric(
            f"auc_{limit}deg",
            f"AUC {limit}°",
            f"area under the curve of the share of pairs by pose error up to {limit}°, over {limit}°; the "
            "pose error is the larger of the rotation's angle and the angle between the directions of "
            "translation",
        )
        for limit in AUC_LIMITS_DEG
    ),
    Metric("maa_10deg", "mAA 10°", "mean of the shares of pairs with an error of at most 1°, 2°, … 10°"),
    Metric("n_true", "true matches", "matches less than 2 px from the true epipolar geometry", True, 0),
    Metric("true_median_px", "distance (px)", "median distance of the true matches from it", False),
    Metric("coverage", "coverage", "share of a 10 × 10 grid over the first view with a true match"),
    Metric("n_first", "features", "features of the first view", None, 0),
    Metric("time_s", "time (s)", "time of detection and description of the second view, one thread", False),
)
RECONSTRUCTION_METRICS = (
    Metric("n_registered", "registered", "views that the reconstruction placed", True, 0),
    Metric(
        "position_median",
        "position",
        "median distance of the placed cameras from the known positions after a similarity fit, as a share "
        "of the largest distance between two known cameras",
        False,
        5,
    ),
    Metric("position_max", "position, worst", "the largest such distance", False, 5),
    Metric(
        "rotation_median_deg",
        "rotation (°)",
        "median angle between the placed cameras and the known ones after the mean rotation between them",
        False,
    ),
    Metric("n_points", "points", "points of the reconstruction", True, 0),
    Metric("n_observations", "observations", "keypoints that show them", True, 0),
    Metric("track_length", "track length", "mean number of views that show a point", True, 2),
    Metric("reprojection_px", "reprojection (px)", "mean reprojection error", False),
    Metric("n_features", "features", "median number of features of a view", None, 0),
)
GROUP = ("scene", "degradation", "geometry", "budget")
"""What the rows that are compared with each other have in common."""

Key = tuple[str, ...]


def groups(rows: Rows) -> dict[Key, dict[str, list[Mapping[str, Any]]]]:
    """The rows of each scene, degradation, geometry and budget by detector, in order of occurrence.

    The budgets of a scene come in the order in which they were asked for, whatever the detector.
    """
    found: dict[Key, dict[str, list[Mapping[str, Any]]]] = {}
    for row in rows:
        key = tuple(row[name] for name in GROUP)
        found.setdefault(key, {}).setdefault(row["detector"], []).append(row)
    return found


def by_pair(rows: Rows, metric: str) -> dict[tuple[str, str], float]:
    """The metric of each pair that has a value."""
    return {
        (row["image_a"], row["image_b"]): float(row[metric]) for row in rows if row.get(metric) is not None
    }


def to_tables(rows: Rows, names: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """Means over pairs, and differences between the first detector and each other, as plain values."""
    pairs = [(names[0], other) for other in names[1:]]
    return {"summary": summarise(rows), "differences": differences(rows, pairs)}


def summarise(rows: Rows) -> list[dict[str, Any]]:
    """Means over the pairs of each group and detector, and the interval of each over images."""
    return [
        {**dict(zip(GROUP, key, strict=True)), "detector": name, "n_pairs": len(own), **_means(own)}
        for key, by_detector in groups(rows).items()
        for name, own in by_detector.items()
    ]


def _means(rows: Rows) -> dict[str, Any]:
    values = {metric.name: by_pair(rows, metric.name) for metric in METRICS}
    found = {name: _interval(own) for name, own in values.items() if own}
    images = {image for row in rows for image in (row["image_a"], row["image_b"])}
    return {
        "n_images": len(images),
        "means": {name: found[name].mean if name in found else float("nan") for name in values},
        "intervals": {
            name: None if np.isnan(interval.low) else [interval.low, interval.high]
            for name, interval in found.items()
        },
    }


def _interval(values: Mapping[tuple[str, str], float]) -> Interval:
    return over_pairs(list(values.values()), list(values))


def differences(rows: Rows, pairs: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Differences between detectors, paired over the pairs of views, with their interval over images.

    The marks are corrected for the number of all that are returned.

    Parameters
    ----------
    rows
        The rows of any number of detectors.
    pairs
        Pairs of detector names; the mean of the second is subtracted from that of the first.
    """
    found = [
        ({**dict(zip(GROUP, key, strict=True)), "detector": name, "other": other}, *difference)
        for key, by_detector in groups(rows).items()
        for name, other in pairs
        if name in by_detector and other in by_detector
        for difference in _differences(by_detector[name], by_detector[other])
    ]
    marked = marks([(interval, metric.higher_is_better) for _, metric, interval, _ in found])
    return [
        {
            **key,
            "metric": metric.name,
            "mean": interval.mean,
            "low": interval.low,
            "high": interval.high,
            "method": interval.method,
            "n_images": interval.n_images,
            "n_pairs": n_pairs,
            "values": interval.values,
            "p_adjusted": mark.p_adjusted,
            "mark": mark.text,
        }
        for (key, metric, interval, n_pairs), mark in zip(found, marked, strict=True)
    ]


def _differences(rows: Rows, others: Rows) -> Iterator[tuple[Metric, Interval, int]]:
    for metric in METRICS:
        a, b = (by_pair(own, metric.name) for own in (rows, others))
        values = {pair: a[pair] - b[pair] for pair in sorted(a.keys() & b.keys())}
        if values:
            yield metric, _interval(values), len(values)


def summarise_reconstructions(rows: Rows) -> list[dict[str, Any]]:
    """Medians over the seeds of each scene, budget and detector, with the lowest and the highest value."""
    found: dict[Key, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["scene"], row["budget"], row["detector"]), []).append(row)
    return [
        {
            **dict(zip(("scene", "budget", "detector"), key, strict=True)),
            "n_views": own[0]["n_views"],
            "n_seeds": len(own),
            **_over_seeds(own),
        }
        for key, own in found.items()
    ]


def _over_seeds(rows: Rows) -> dict[str, dict[str, Any]]:
    """Medians, and the lowest and highest value of each metric; NaN if a seed has no value."""
    medians, ranges = {}, {}
    for metric in RECONSTRUCTION_METRICS:
        values = [float("nan") if (v := row.get(metric.name)) is None else float(v) for row in rows]
        medians[metric.name] = float(np.median(values))
        ranges[metric.name] = [float(np.min(values)), float(np.max(values))]
    return {"medians": medians, "ranges": ranges}

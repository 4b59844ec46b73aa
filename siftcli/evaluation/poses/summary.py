"""Summarise rows: means over the pairs of a scene, and confidence intervals of differences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..summary import BOOTSTRAP_SAMPLES, CONFIDENCE, Metric
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


def to_tables(rows: Rows, names: Sequence[str], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Means over pairs, and differences between the first detector and each other, as plain values."""
    pairs = [(names[0], other) for other in names[1:]]
    return {"summary": summarise(rows, seed), "differences": differences(rows, pairs, seed)}


def summarise(rows: Rows, seed: int = 0) -> list[dict[str, Any]]:
    """Means over the pairs of each group and detector, and the 95 % bootstrap interval of each."""
    return [
        {**dict(zip(GROUP, key, strict=True)), "detector": name, "n_pairs": len(own), **_means(own, seed)}
        for key, by_detector in groups(rows).items()
        for name, own in by_detector.items()
    ]


def _means(rows: Rows, seed: int) -> dict[str, dict[str, Any]]:
    values = {metric.name: np.array(list(by_pair(rows, metric.name).values())) for metric in METRICS}
    return {
        "means": {name: float(v.mean()) if len(v) else float("nan") for name, v in values.items()},
        "intervals": {name: list(limits) for name, limits in bootstrap_intervals(values, seed).items()},
    }


def differences(rows: Rows, pairs: Sequence[tuple[str, str]], seed: int = 0) -> list[dict[str, Any]]:
    """Differences between detectors, paired over the pairs of views, with their 95 % bootstrap interval.

    Parameters
    ----------
    rows
        The rows of any number of detectors.
    pairs
        Pairs of detector names; the mean of the second is subtracted from that of the first.
    seed
        Seed of the bootstrap.
    """
    return [
        {**dict(zip(GROUP, key, strict=True)), "detector": name, "other": other, **found}
        for key, by_detector in groups(rows).items()
        for name, other in pairs
        if name in by_detector and other in by_detector
        for found in _differences(by_detector[name], by_detector[other], seed)
    ]


def _differences(rows: Rows, others: Rows, seed: int) -> Iterator[dict[str, Any]]:
    values = {}
    for metric in METRICS:
        a, b = (by_pair(own, metric.name) for own in (rows, others))
        values[metric.name] = np.array([a[pair] - b[pair] for pair in sorted(a.keys() & b.keys())])
    for name, (low, high) in bootstrap_intervals(values, seed).items():
        mean, n_pairs = float(values[name].mean()), len(values[name])
        yield {"metric": name, "mean": mean, "low": low, "high": high, "n_pairs": n_pairs}


def bootstrap_intervals(
    values: Mapping[str, NDArray[np.float64]], seed: int = 0
) -> dict[str, tuple[float, float]]:
    """The 95 % percentile bootstrap interval of the mean of each metric's values (N,), N > 0.

    As :func:`~siftcli.evaluation.summary.bootstrap_interval`, for all metrics at once: there are thousands.
    """
    by_length: dict[int, list[str]] = {}
    for name, found in values.items():
        by_length.setdefault(len(found), []).append(name)
    limits: dict[str, tuple[float, float]] = {}
    for n in by_length.keys() - {0}:
        names = by_length[n]
        means = _resampled(n, seed) @ np.column_stack([values[name] for name in names]).astype(np.float32)
        low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
        limits |= {name: (float(a), float(b)) for name, a, b in zip(names, low, high, strict=True)}
    return {name: limits[name] for name in values if name in limits}


@lru_cache(maxsize=2)
def _resampled(n: int, seed: int) -> NDArray[np.float32]:
    """(samples, N) the share of each of N values in each sample that is drawn; 40 kB for each value."""
    drawn = np.random.default_rng(seed).integers(n, size=(BOOTSTRAP_SAMPLES, n))
    shares = np.zeros((BOOTSTRAP_SAMPLES, n), np.float32)
    np.add.at(shares, (np.arange(BOOTSTRAP_SAMPLES)[:, None], drawn), np.float32(1 / n))
    return shares


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

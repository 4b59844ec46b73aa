"""Rows of pairs -> means over the pairs of a scene, and how sure a difference between detectors is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ...io.csv_text import cell
from ..summary import Metric, bootstrap_interval
from ..work import Record
from .options import AUC_LIMITS_DEG

METRICS = (
    *(
        Metric(
            f"auc_{limit}deg",
            f"AUC {limit}°",
            f"area under the curve of the share of pairs by pose error, up to {limit}°, over {limit}°; the "
            "error is the larger of the rotation's and of the translation's direction",
        )
        for limit in AUC_LIMITS_DEG
    ),
    Metric("n_true", "true matches", "matches less than 2 px from the true epipolar geometry", True, 0),
    Metric("true_median_px", "distance (px)", "median distance of the true matches from it", False),
    Metric("coverage", "coverage", "share of a 10 × 10 grid over the first view with a true match"),
    Metric("n_first", "features", "features of the first view", None, 0),
    Metric("time_s", "time (s)", "mean time of detection and description of the second view", False),
)
GROUP = ("scene", "degradation", "budget")
"""By what rows are gathered before detectors are compared."""


def groups(rows: Sequence[Record]) -> dict[tuple[str, str, str], dict[str, list[Record]]]:
    """Rows of each scene, degradation and budget by detector, in the order in which they occur."""
    found: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    for row in rows:
        scene, degradation, budget = (row[name] for name in GROUP)
        found.setdefault((scene, degradation, budget), {}).setdefault(row["detector"], []).append(row)
    return found


def by_pair(rows: Sequence[Record], metric: str) -> dict[str, float]:
    """The metric of each pair that has a value."""
    return {row["pair"]: float(row[metric]) for row in rows if row.get(metric) is not None}


def to_tables(rows: Sequence[Record], names: Sequence[str], seed: int) -> dict[str, list[dict[str, Any]]]:
    """Means over pairs, and the first detector's leads over the others, as plain values."""
    found = groups(rows)
    return {
        "summary": [
            {
                **dict(zip(GROUP, key, strict=True)),
                "detector": name,
                "n_pairs": len(own),
                "means": _means(own),
            }
            for key, by_detector in found.items()
            for name, own in by_detector.items()
        ],
        "differences": [
            difference
            for key, by_detector in found.items()
            for other in names[1:]
            if names[0] in by_detector and other in by_detector
            for difference in _differences(key, names[0], other, by_detector, seed)
        ],
    }


def _means(rows: Sequence[Record]) -> dict[str, float]:
    values = {metric.name: list(by_pair(rows, metric.name).values()) for metric in METRICS}
    return {name: float(np.mean(found)) if found else float("nan") for name, found in values.items()}


def _differences(
    key: tuple[str, str, str], name: str, other: str, rows: dict[str, list[Record]], seed: int
) -> Iterator[dict[str, Any]]:
    """By how much one detector's means are larger, with the bootstrap's interval over pairs."""
    for metric in METRICS:
        a, b = (by_pair(rows[detector], metric.name) for detector in (name, other))
        values = np.array([a[pair] - b[pair] for pair in sorted(a.keys() & b.keys())])
        if len(values):
            low, high = bootstrap_interval(values, seed)
            yield {
                **dict(zip(GROUP, key, strict=True)), "detector": name, "other": other, "metric": metric.name,
                "mean": float(values.mean()), "low": low, "high": high, "n_pairs": len(values),
            }  # fmt: skip


def csv_rows(summary: Sequence[dict[str, Any]]) -> list[list[object]]:
    """The summary as rows of a CSV file, with their heading."""
    names = [metric.name for metric in METRICS]
    heading: list[object] = [*GROUP, "detector", "n_pairs", *names]
    return [heading] + [
        [
            *(cell(s[key]) for key in (*GROUP, "detector")),
            s["n_pairs"],
            *(f"{s['means'][n]:.6g}" for n in names),
        ]
        for s in summary
    ]


def text_tables(summary: Sequence[dict[str, Any]]) -> str:
    """Markdown tables, one for each scene, degradation and budget; the best of a column in bold."""
    tables: dict[str, list[dict[str, Any]]] = {}
    for entry in summary:
        budget = "at defaults" if entry["budget"] == "default" else f"{entry['budget']} features"
        title = f"{entry['scene']}, {entry['degradation']}, {budget} ({entry['n_pairs']} pairs)"
        tables.setdefault(title, []).append(entry)
    return "\n\n".join(f"{title}\n\n{_table(entries)}" for title, entries in tables.items())


def _table(entries: Sequence[dict[str, Any]]) -> str:
    lines = ["| | " + " | ".join(m.title for m in METRICS) + " |", "|---" * (len(METRICS) + 1) + "|"]
    best = {metric.name: _best(entries, metric) for metric in METRICS}
    for entry in entries:
        cells = [f"{entry['means'][m.name]:.{m.decimals}f}" for m in METRICS]
        marked = [f"**{c}**" if c == best[m.name] else c for c, m in zip(cells, METRICS, strict=True)]
        lines.append(f"| {entry['detector']} | " + " | ".join(marked) + " |")
    return "\n".join(lines)


def _best(entries: Sequence[dict[str, Any]], metric: Metric) -> str:
    """The best value as it is printed; nothing where neither direction is better."""
    values = [v for e in entries if not np.isnan(v := e["means"][metric.name])]
    if metric.higher_is_better is None or not values:
        return ""
    return f"{max(values) if metric.higher_is_better else min(values):.{metric.decimals}f}"

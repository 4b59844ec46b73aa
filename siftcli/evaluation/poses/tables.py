"""The summary of a benchmark of poses as Markdown tables and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...io.csv_text import cell
from ...words import counted
from ..summary import Metric
from .options import AT_DEFAULTS, CLEAN, DEGRADATION_TITLES, GEOMETRIES
from .summary import GROUP, METRICS, RECONSTRUCTION_METRICS

Summaries = Sequence[Mapping[str, Any]]


def csv_rows(summary: Summaries) -> list[list[object]]:
    """The summary as rows of a CSV file, heading first."""
    names = [metric.name for metric in METRICS]
    rows: list[list[object]] = [[*GROUP, "detector", "n_pairs", *names]]
    for entry in summary:
        keys = [cell(entry[key]) for key in (*GROUP, "detector")]
        rows.append([*keys, entry["n_pairs"], *(f"{entry['means'][name]:.6g}" for name in names)])
    return rows


def reconstruction_csv(reconstructions: Summaries) -> list[list[object]]:
    """The reconstructions as rows of a CSV file, heading first."""
    names = [metric.name for metric in RECONSTRUCTION_METRICS]
    keys = ("scene", "budget", "detector")
    rows: list[list[object]] = [[*keys, "n_views", "n_seeds", *names]]
    for entry in reconstructions:
        values = (f"{entry['medians'][name]:.6g}" for name in names)
        rows.append([*(cell(entry[key]) for key in keys), entry["n_views"], entry["n_seeds"], *values])
    return rows


def budget_title(budget: str) -> str:
    """A budget in a heading."""
    return "at defaults" if budget == AT_DEFAULTS else f"{int(budget):,} features"


def group_title(scene: str, degradation: str, geometry: str) -> str:
    """A scene, what was done to it and how the pose was found, as far as that is not the usual."""
    changed = DEGRADATION_TITLES.get(degradation, degradation)
    parts = [scene] + ([changed] if degradation != CLEAN else [])
    return ", ".join(parts + ([f"{geometry} matrix"] if geometry != GEOMETRIES[0] else []))


def text_tables(results: Mapping[str, Any]) -> str:
    """Markdown tables of poses and reconstructions; the best value of each column is bold.

    There is one for each scene, degradation, geometry and budget.
    """
    found: dict[str, tuple[list[Mapping[str, Any]], Sequence[Metric], str]] = {}
    for entry in results["summary"]:
        scene, degradation, geometry, budget = (entry[name] for name in GROUP)
        title = f"{group_title(scene, degradation, geometry)}, {budget_title(budget)}"
        title = f"{title} ({counted(entry['n_pairs'], 'pair')})"
        found.setdefault(title, ([], METRICS, "means"))[0].append(entry)
    for entry in results["reconstructions"]:
        title = f"{entry['scene']}, reconstruction, {budget_title(entry['budget'])}"
        seeds = counted(entry["n_seeds"], "seed")
        title = f"{title} ({counted(entry['n_views'], 'view')}, medians over {seeds})"
        found.setdefault(title, ([], RECONSTRUCTION_METRICS, "medians"))[0].append(entry)
    return "\n\n".join(f"{title}\n\n{_table(*table)}" for title, table in found.items())


def _table(entries: Summaries, metrics: Sequence[Metric], values: str) -> str:
    """A table with a row for each detector and a column for each metric."""
    lines = ["| | " + " | ".join(m.title for m in metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    best = {metric.name: best_text([e[values][metric.name] for e in entries], metric) for metric in metrics}
    for entry in entries:
        cells = [_text(entry[values][m.name], m) for m in metrics]
        marked = [f"**{c}**" if c == best[m.name] else c for c, m in zip(cells, metrics, strict=True)]
        lines.append(f"| {entry['detector']} | " + " | ".join(marked) + " |")
    return "\n".join(lines)


def best_text(values: Sequence[float], metric: Metric) -> str:
    """The best value as it is printed; empty if neither direction is better, or there is none."""
    found = [value for value in values if not np.isnan(value)]
    if metric.higher_is_better is None or not found:
        return ""
    return _text(max(found) if metric.higher_is_better else min(found), metric)


def _text(value: float, metric: Metric) -> str:
    return "–" if np.isnan(value) else f"{value:.{metric.decimals}f}"

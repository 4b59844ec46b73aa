"""The summary of a benchmark of poses as Markdown tables and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...io.csv_text import cell
from ..summary import Metric
from .options import AT_DEFAULTS, CLEAN, GEOMETRIES
from .summary import GROUP, METRICS

Summaries = Sequence[Mapping[str, Any]]


def csv_rows(summary: Summaries) -> list[list[object]]:
    """The summary as rows of a CSV file, heading first."""
    names = [metric.name for metric in METRICS]
    rows: list[list[object]] = [[*GROUP, "detector", "n_pairs", *names]]
    for entry in summary:
        keys = [cell(entry[key]) for key in (*GROUP, "detector")]
        rows.append([*keys, entry["n_pairs"], *(f"{entry['means'][name]:.6g}" for name in names)])
    return rows


def budget_title(budget: str) -> str:
    """A budget in a heading."""
    return "at defaults" if budget == AT_DEFAULTS else f"{int(budget):,} features"


def group_title(scene: str, degradation: str, geometry: str) -> str:
    """A scene, what was done to it and how the pose was found, as far as that is not the usual."""
    parts = [scene] + ([degradation] if degradation != CLEAN else [])
    return ", ".join(parts + ([f"{geometry} matrix"] if geometry != GEOMETRIES[0] else []))


def text_tables(summary: Summaries) -> str:
    """Markdown tables, one for each scene, degradation, geometry and budget; the best values are bold."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for entry in summary:
        scene, degradation, geometry, budget = (entry[name] for name in GROUP)
        title = f"{group_title(scene, degradation, geometry)}, {budget_title(budget)}"
        found.setdefault(f"{title} ({entry['n_pairs']} pairs)", []).append(entry)
    return "\n\n".join(f"{title}\n\n{markdown_table(entries, METRICS)}" for title, entries in found.items())


def markdown_table(entries: Summaries, metrics: Sequence[Metric]) -> str:
    """One table, with a row for each detector and a column for each metric."""
    lines = ["| | " + " | ".join(m.title for m in metrics) + " |", "|---" * (len(metrics) + 1) + "|"]
    best = {metric.name: _best(entries, metric) for metric in metrics}
    for entry in entries:
        cells = [f"{entry['means'][m.name]:.{m.decimals}f}" for m in metrics]
        marked = [f"**{c}**" if c == best[m.name] else c for c, m in zip(cells, metrics, strict=True)]
        lines.append(f"| {entry['detector']} | " + " | ".join(marked) + " |")
    return "\n".join(lines)


def _best(entries: Summaries, metric: Metric) -> str:
    """The best value as it is printed; empty if neither direction is better, or there is none."""
    values = [v for e in entries if not np.isnan(v := e["means"][metric.name])]
    if metric.higher_is_better is None or not values:
        return ""
    return f"{max(values) if metric.higher_is_better else min(values):.{metric.decimals}f}"

"""The summary as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

from ..words import counted
from .summary import METRICS, Metric, Summary, best

HEADLINE = (
    "repeatability_025px",
    "repeatability_05px",
    "repeatability_1px",
    "repeatability_3px",
    "localisation_median_px",
    "orientation_median_deg",
    "matching_score",
    "n_reference",
)
"""Columns of the main table, in order."""

BUDGET_TITLES = {"default": "at default parameters", "equal": "at equal counts"}


def headline_metrics() -> list[Metric]:
    """The metrics of the main table."""
    by_name = {metric.name: metric for metric in METRICS}
    return [by_name[name] for name in HEADLINE]


def text_tables(summaries: Sequence[Summary]) -> str:
    """Markdown tables, one for each sweep and budget; the best value of each column is bold."""
    groups: dict[tuple[str, str], list[Summary]] = {}
    for summary in summaries:
        groups.setdefault((summary.sweep, summary.budget), []).append(summary)
    parts = []
    for (sweep, budget), group in groups.items():
        counts = f"{counted(group[0].n_images, 'image')}, {counted(group[0].n_rows, 'pair')}"
        title = f"{sweep}, {BUDGET_TITLES[budget]} ({counts})"
        parts.append(f"{title}\n\n{markdown_table(group)}")
    return "\n\n".join(parts)


def markdown_table(group: Sequence[Summary]) -> str:
    """One table, with a row for each detector and a column for each metric."""
    metrics = headline_metrics()
    marked = {metric.name: best(group, metric) for metric in metrics}
    lines = [
        "| | " + " | ".join(metric.title for metric in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for summary in group:
        cells = []
        for metric in metrics:
            text = f"{summary.means[metric.name]:.{metric.decimals}f}"
            cells.append(f"**{text}**" if summary.detector in marked[metric.name] else text)
        lines.append(f"| {summary.detector} | " + " | ".join(cells) + " |")
    return "\n".join(lines)

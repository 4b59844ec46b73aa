"""The part of the page about camera pose: tables and curves over the number of features."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..evaluation.poses.options import AT_DEFAULTS
from ..evaluation.poses.summary import (
    GROUP,
    METRICS,
    RECONSTRUCTION_METRICS,
    differences,
    summarise,
    summarise_reconstructions,
)
from ..evaluation.poses.tables import best_text, budget_title, group_title
from ..evaluation.summary import Metric
from .charts import Chart, band, styles
from .comparison import is_unchanged
from .runs import RUN
from .sections import Fold, Section
from .tables import Cell, Table, difference_cell, how_found, number, pair_title

Rows = Sequence[Mapping[str, Any]]
Entries = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""Budget -> detector -> entry of the summary."""

CURVES = ("auc_1deg", "auc_5deg")
"""Metrics that are shown over the budgets."""
_BY_NAME = {metric.name: metric for metric in METRICS}


def pose_sections(
    rows: Rows, reconstructed: Rows, detectors: Sequence[str], pairs: Sequence[tuple[str, str]]
) -> list[Section]:
    """The sections about pose, the most general first.

    Parameters
    ----------
    rows
        Rows of all runs, with their detectors named as on the page.
    reconstructed
        Rows of the reconstructions, likewise.
    detectors
        Their names, in the order of the tables.
    pairs
        Pairs of detectors to subtract.
    """
    found: dict[tuple[str, ...], dict[str, dict[str, Mapping[str, Any]]]] = {}
    for entry in summarise(rows):
        budget = entry["budget"]
        found.setdefault(tuple(entry[name] for name in GROUP if name != "budget"), {}).setdefault(budget, {})[
            entry["detector"]
        ] = entry
    leads = {
        (*(d[name] for name in GROUP), d["detector"], d["other"], d["metric"]): d
        for d in differences(rows, pairs)
    }
    same = [pair for pair in pairs if _is_unchanged(leads.values(), pair)]
    ordered = [name for name in _ordered(detectors, pairs) if not any(name in pair for pair in same)]
    sections = _overview(found, ordered)
    for n, (key, entries) in enumerate(found.items()):
        section = _section(n, key, entries, ordered, [p for p in pairs if p not in same], leads)
        sections.append(_with_unchanged(section, entries, [after for after, _ in same]))
    return sections + _reconstructions(reconstructed, _ordered(detectors, pairs))


def _ordered(detectors: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[str]:
    """The detectors, of two evaluations before and after beside each other."""
    if not any(RUN in name for name in detectors):
        return list(detectors)
    return list(dict.fromkeys([*(name for after, before in pairs for name in (before, after)), *detectors]))


def _is_unchanged(found: Iterable[Mapping[str, Any]], pair: tuple[str, str]) -> bool:
    """Whether a detector is the same in two evaluations, in every scene."""
    a, b = (name.partition(RUN)[0] for name in pair)
    own = [{**d, "detector": a, "other": b} for d in found if (d["detector"], d["other"]) == pair]
    return bool(own) and is_unchanged(own)


def _with_unchanged(section: Section, entries: Entries, names: Sequence[str]) -> Section:
    """A section with the tables of unchanged detectors folded."""
    present = [name for name in names if any(name in own for own in entries.values())]
    if not present:
        return section
    folded = [_over_budgets(_BY_NAME[m].title, [entries], present, _BY_NAME[m]) for m in CURVES]
    titled = Fold(f"Unchanged: {', '.join(name.partition(RUN)[0] for name in present)}", folded)
    note = "" if any(table.rows for table in section.tables) else "Nothing has changed."
    kept = section if not note else replace(section, tables=[], charts=[], folds=[])
    return replace(kept, folds=[*kept.folds, titled], note=note)


def _overview(found: Mapping[tuple[str, ...], Entries], detectors: Sequence[str]) -> list[Section]:
    """Means over the scenes, each of the same weight, if there are several."""
    by_kind: dict[str, list[Entries]] = {}
    for (_, degradation, geometry), entries in found.items():
        by_kind.setdefault(group_title("all scenes", degradation, geometry), []).append(entries)
    tables = [
        _over_budgets(f"{_BY_NAME[metric].title}, {title}", scenes, detectors, _BY_NAME[metric])
        for title, scenes in by_kind.items()
        if len(scenes) > 1
        for metric in CURVES
    ]
    tables = [table for table in tables if table.rows]
    n_scenes = len({scene for scene, *_ in found})
    return [Section(f"Camera pose: mean over {n_scenes} scenes", tables)] if tables else []


def _section(
    n: int,
    key: tuple[str, ...],
    entries: Entries,
    detectors: Sequence[str],
    pairs: Sequence[tuple[str, str]],
    leads: Mapping[tuple[str, ...], Mapping[str, Any]],
) -> Section:
    n_pairs = max(entry["n_pairs"] for own in entries.values() for entry in own.values())
    tables = []
    for metric in CURVES:
        title = f"{_BY_NAME[metric].title} by number of features: {n_pairs} pairs of views"
        tables.append(_over_budgets(title, [entries], detectors, _BY_NAME[metric]))
        tables += _lead_over_budgets(key, entries, pairs, leads, _BY_NAME[metric])
    folded = []
    for budget, own in entries.items():
        folded.append(_headline(budget, own, detectors))
        folded += _lead_at_budget(key, budget, pairs, leads)
    charts = [_curve(f"poses-{n}-{metric}", metric, entries, detectors) for metric in CURVES]
    fold = Fold("All figures at each number of features", folded)
    return Section(f"Camera pose: {group_title(*key)}", tables, charts if len(entries) > 1 else [], [fold])


def _over_budgets(title: str, scenes: Sequence[Entries], detectors: Sequence[str], metric: Metric) -> Table:
    """A row for each detector and a column for each budget; the mean over scenes."""
    budgets = list(dict.fromkeys(budget for entries in scenes for budget in entries))
    columns = [_column(budget, metric) for budget in budgets]
    values = {
        name: [_mean_over(scenes, budget, name, metric.name) for budget in budgets] for name in detectors
    }
    values = {name: own for name, own in values.items() if not np.isnan(own).all()}
    return Table(title, columns, _marked(values, [metric] * len(budgets)))


def _column(budget: str, metric: Metric) -> Metric:
    title = "at defaults" if budget == AT_DEFAULTS else f"{int(budget):,}"
    return Metric(budget, title, metric.definition, metric.higher_is_better, metric.decimals)


def _mean_over(scenes: Sequence[Entries], budget: str, name: str, metric: str) -> float:
    """The mean over the scenes; NaN if one of them lacks it."""
    found = [entries.get(budget, {}).get(name) for entries in scenes]
    return float(np.mean([float("nan") if e is None else e["means"][metric] for e in found]))


def _marked(values: Mapping[str, Sequence[float]], metrics: Sequence[Metric]) -> list[tuple[str, list[Cell]]]:
    """Rows of cells, with the best value of each column marked."""
    if not values:
        return []
    columns = list(zip(*values.values(), strict=True))
    best = [best_text(column, metric) for column, metric in zip(columns, metrics, strict=True)]
    return [
        (name, [
            Cell(number(v, m), is_best=bool(b) and f"{v:.{m.decimals}f}" == b)
            for v, m, b in zip(own, metrics, best, strict=True)
        ])
        for name, own in values.items()
    ]  # fmt: skip


def _lead_over_budgets(
    key: tuple[str, ...],
    entries: Entries,
    pairs: Sequence[tuple[str, str]],
    leads: Mapping[tuple[str, ...], Mapping[str, Any]],
    metric: Metric,
) -> list[Table]:
    found = {(a, b): [leads.get((*key, budget, a, b, metric.name)) for budget in entries] for a, b in pairs}
    columns = [_column(budget, metric) for budget in entries]
    return _lead(f"Differences of {metric.title}", columns, [metric] * len(columns), found)


def _lead_at_budget(
    key: tuple[str, ...],
    budget: str,
    pairs: Sequence[tuple[str, str]],
    leads: Mapping[tuple[str, ...], Mapping[str, Any]],
) -> list[Table]:
    columns = [metric for metric in METRICS if metric.higher_is_better is not None]
    found = {(a, b): [leads.get((*key, budget, a, b, m.name)) for m in columns] for a, b in pairs}
    return _lead(f"Differences {_at(budget)}", columns, columns, found)


def _lead(
    title: str,
    columns: Sequence[Metric],
    metrics: Sequence[Metric],
    found: Mapping[tuple[str, str], Sequence[Mapping[str, Any] | None]],
) -> list[Table]:
    """A table with a row for each pair of detectors that has a difference, if there is one."""
    present = {pair: cells for pair, cells in found.items() if any(cells)}
    if not present:
        return []
    rows = [
        (pair_title(*pair), [difference_cell(cell, m) for cell, m in zip(cells, metrics, strict=True)])
        for pair, cells in present.items()
    ]
    known = [cell for cells in present.values() for cell in cells if cell]
    return [Table(f"{title}: {how_found(known)}", columns, rows)]


def _at(budget: str) -> str:
    return budget_title(budget) if budget == AT_DEFAULTS else f"at {budget_title(budget)}"


def _headline(budget: str, entries: Mapping[str, Mapping[str, Any]], detectors: Sequence[str]) -> Table:
    values = {
        name: [entries[name]["means"][m.name] for m in METRICS] for name in detectors if name in entries
    }
    return Table(_at(budget).capitalize(), METRICS, _marked(values, METRICS))


def _curve(key: str, metric: str, entries: Entries, detectors: Sequence[str]) -> Chart:
    """The metric over the number of features, with its interval; defaults are single marks."""
    style = styles(detectors)
    budgets = sorted((b for b in entries if b != AT_DEFAULTS), key=int)
    data: list[dict[str, Any]] = []
    for name in detectors:
        own = [(int(b), entries[b][name]) for b in budgets if name in entries[b]]
        known = [(n, limits) for n, entry in own if (limits := entry["intervals"].get(metric))]
        data += band(name, [n for n, _ in known], [limits for _, limits in known], style[name]["color"])
        shown = {"name": name, "legendgroup": name, "line": style[name]}
        if own:
            data.append(
                {"type": "scatter", "mode": "lines+markers", **shown, "x": [n for n, _ in own]}
                | {"y": [round(e["means"][metric], 4) for _, e in own]}
                | {"marker": {"color": style[name]["color"], "size": 6}}
            )
        default = entries.get(AT_DEFAULTS, {}).get(name)
        if default is not None:
            data.append(
                {"type": "scatter", "mode": "markers", **shown, "showlegend": not own}
                | {"x": [round(default["means"]["n_first"])], "y": [round(default["means"][metric], 4)]}
                | {"marker": {"color": style[name]["color"], "size": 11, "symbol": "diamond-open"}}
                | {"hovertemplate": "%{y} at defaults, %{x} features"}
            )
    axis: dict[str, Any] = {"type": "log", "title": {"text": "features per image"}}
    axis |= {"tickvals": list(map(int, budgets)), "ticktext": [f"{int(b):,}" for b in budgets]}
    layout = {"xaxis": axis, "yaxis": {"rangemode": "normal"}, "hovermode": "closest"}
    return Chart(key, f"{_BY_NAME[metric].title} against the number of features", {
        "data": data, "layout": layout,
    })  # fmt: skip


def _reconstructions(rows: Rows, detectors: Sequence[str]) -> list[Section]:
    """For each scene a table at each budget: medians over the seeds, and the range."""
    found: dict[str, dict[str, dict[str, Mapping[str, Any]]]] = {}
    for entry in summarise_reconstructions(rows):
        budgets = found.setdefault(entry["scene"], {})
        budgets.setdefault(entry["budget"], {})[entry["detector"]] = entry
    return [
        Section(f"Reconstruction: {scene}", [
            _reconstruction_table(budget, entries, detectors) for budget, entries in budgets.items()
        ])
        for scene, budgets in found.items()
    ]  # fmt: skip


def _reconstruction_table(
    budget: str, entries: Mapping[str, Mapping[str, Any]], detectors: Sequence[str]
) -> Table:
    columns = RECONSTRUCTION_METRICS
    named = [name for name in detectors if name in entries]
    values = {name: [entries[name]["medians"][m.name] for m in columns] for name in named}
    rows = [
        (name, [
            Cell(cell.text, _range_text(entries[name]["ranges"][m.name], m), cell.is_best)
            for cell, m in zip(cells, columns, strict=True)
        ])
        for name, cells in _marked(values, columns)
    ]  # fmt: skip
    first = entries[named[0]]
    title = f"{_at(budget)}: {first['n_views']} views, medians over {first['n_seeds']} seeds and the range"
    return Table(title.capitalize(), columns, rows)


def _range_text(limits: Sequence[float], metric: Metric) -> str:
    low, high = (number(value, metric) for value in limits)
    return "" if low == high else f"{low} to {high}"

"""The section of a sweep or dataset: short tables and charts first, all figures folded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluation.summary import Difference, Metric, Summary, summarise_rows
from ..evaluation.tables import BUDGET_TITLES
from . import charts, tables
from .charts import Chart
from .comparison import is_unchanged
from .runs import RUN
from .tables import Cell, Table, number

Rows = Sequence[Mapping[str, Any]]
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Fold:
    """Tables and charts that are unfolded on wish."""

    title: str
    tables: Sequence[Table]
    charts: Sequence[Chart] = ()


@dataclass(frozen=True)
class Section:
    """The tables and charts of one sweep, dataset or scene."""

    title: str
    tables: Sequence[Table]
    charts: Sequence[Chart] = ()
    folds: Sequence[Fold] = ()
    note: str = ""

    @property
    def all_charts(self) -> list[Chart]:
        """Those that are folded too."""
        return [*self.charts, *(chart for fold in self.folds for chart in fold.charts)]


def sweep_section(
    sweep: str,
    budgets: Mapping[str, list[Any]],
    found: Sequence[Difference],
    detectors: Sequence[str],
    *,
    costs: bool,
) -> Section:
    """The section of one evaluation.

    Parameters
    ----------
    sweep
        Its name.
    budgets
        The rows of each budget.
    found
        The differences between detectors.
    detectors
        Their names, in the order of the tables.
    costs
        Whether to draw how errors are distributed, and what detection costs, among all figures.
    """
    short, full = tables.short_columns_of(sweep), tables.columns_of(sweep)
    return Section(
        tables.sweep_title(sweep),
        _tables(sweep, budgets, found, short),
        _curves(sweep, budgets, detectors),
        [
            Fold(
                "All figures",
                _tables(sweep, budgets, found, full),
                _more_charts(sweep, budgets, detectors, costs=costs),
            )
        ],
    )


def _tables(
    sweep: str, budgets: Mapping[str, list[Any]], found: Sequence[Difference], columns: Sequence[Metric]
) -> list[Table]:
    made = []
    for budget, rows in budgets.items():
        made.append(tables.headline(budget, rows, columns))
        made += tables.lead(sweep, budget, found, columns)
    return made


def _curves(sweep: str, budgets: Mapping[str, list[Any]], detectors: Sequence[str]) -> list[Chart]:
    return charts.sweep_charts(sweep, [row for rows in budgets.values() for row in rows], detectors)


def _more_charts(
    sweep: str, budgets: Mapping[str, list[Any]], detectors: Sequence[str], *, costs: bool
) -> list[Chart]:
    every = [row for rows in budgets.values() for row in rows]
    drawn = charts.tolerance_charts(sweep, every, detectors)
    if costs and detectors:
        drawn += charts.distribution_charts(every, detectors) + charts.cost_charts(every, detectors)
    return drawn


def compared_section(
    sweep: str,
    budgets: Mapping[str, list[Any]],
    found: Sequence[Difference],
    pairs: Pairs,
    detectors: Sequence[str],
    *,
    costs: bool,
) -> Section:
    """The section of two evaluations: before and after beside each other, what is unchanged folded.

    Parameters
    ----------
    sweep, budgets, found, detectors, costs
        As for :func:`sweep_section`.
    pairs
        Pairs of detectors: after, before.
    """
    own = [d for d in found if d.sweep == sweep]
    changed = [pair for pair in pairs if not _is_unchanged(own, pair)]
    same = [after for after, before in pairs if (after, before) not in changed]
    named = {name for pair in changed for name in pair}
    others = [name for name in detectors if name not in {name for pair in pairs for name in pair}]
    summaries = {(s.budget, s.detector): s for rows in budgets.values() for s in summarise_rows(rows)}
    short, full = tables.short_columns_of(sweep), tables.columns_of(sweep)
    folds = []
    if changed:
        figures = [_of_pair(budget, pair, own, summaries, full) for pair in changed for budget in budgets]
        drawn = [name for name in detectors if name in named]
        folds.append(Fold("All figures", figures, _more_charts(sweep, budgets, drawn, costs=costs)))
    for title, names in (("Unchanged", same), ("In one of the two only", others)):
        shown = [_headline(budget, rows, names, full) for budget, rows in budgets.items()]
        if names:
            folds.append(Fold(f"{title}: {', '.join(map(_plain, names))}", [t for t in shown if t.rows]))
    return Section(
        tables.sweep_title(sweep),
        [_beside(budget, changed, own, summaries, short) for budget in budgets] if changed else [],
        _curves(sweep, budgets, [name for name in detectors if name in named]),
        folds,
        "" if changed else "Nothing has changed.",
    )


def _is_unchanged(found: Sequence[Difference], pair: tuple[str, str]) -> bool:
    a, b = (_plain(name) for name in pair)
    own = [d for d in found if (d.detector, d.other) == pair]
    return is_unchanged([{**asdict(d), "detector": a, "other": b} for d in own])


def _plain(name: str) -> str:
    return name.partition(RUN)[0]


def _headline(budget: str, rows: Rows, names: Sequence[str], columns: Sequence[Metric]) -> Table:
    own = [{**row, "detector": _plain(row["detector"])} for row in rows if row["detector"] in names]
    return tables.headline(budget, own, columns) if own else Table("", columns, [])


def _beside(
    budget: str,
    pairs: Pairs,
    found: Sequence[Difference],
    summaries: Mapping[tuple[str, str], Summary],
    columns: Sequence[Metric],
) -> Table:
    """A row for each detector; for each metric before, after and the difference."""
    lines = []
    for pair in pairs:
        cells = [cell for metric in columns for cell in _three(budget, pair, found, summaries, metric)]
        lines.append((_named(pair), cells))
    own = [asdict(d) for d in found if d.budget == budget]
    title = f"{BUDGET_TITLES[budget].capitalize()}: {tables.how_found(own)}"
    heads = [head for metric in columns for head in _heads(pairs[0], metric)]
    return Table(title, heads, lines, groups=[(metric, 3) for metric in columns])


def _of_pair(
    budget: str,
    pair: tuple[str, str],
    found: Sequence[Difference],
    summaries: Mapping[tuple[str, str], Summary],
    columns: Sequence[Metric],
) -> Table:
    """A row for each metric."""
    lines = [
        (f"{m.title} {tables.arrow(m)}".strip(), _three(budget, pair, found, summaries, m)) for m in columns
    ]
    title = f"{_named(pair)} {BUDGET_TITLES[budget]}"
    return Table(title, _heads(pair, columns[0]), lines, corner="metric")


def _heads(pair: tuple[str, str], metric: Metric) -> list[Metric]:
    after, before = (name.partition(RUN)[2] for name in pair)
    return [Metric(metric.name, title, metric.definition, None) for title in (before, after, "difference")]


def _named(pair: tuple[str, str]) -> str:
    after, before = map(_plain, pair)
    return after if after == before else f"{before}, then {after}"


def _three(
    budget: str,
    pair: tuple[str, str],
    found: Sequence[Difference],
    summaries: Mapping[tuple[str, str], Summary],
    metric: Metric,
) -> list[Cell]:
    after, before = (summaries.get((budget, name)) for name in pair)
    difference = next(
        (
            asdict(d)
            for d in found
            if (d.budget, d.detector, d.other, d.metric) == (budget, *pair, metric.name)
        ),
        None,
    )
    return [
        *(Cell(number(s.means[metric.name] if s else None, metric)) for s in (before, after)),
        tables.difference_cell(difference, metric) if metric.higher_is_better is not None else Cell(""),
    ]

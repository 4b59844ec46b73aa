"""What one evaluation, or two compared, comes to: for the screen, for JSON and for checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..evaluation.poses import summary as poses
from ..evaluation.poses.tables import budget_title, group_title
from ..evaluation.summary import METRICS, Metric, differences, summarise_rows
from ..evaluation.tables import BUDGET_TITLES
from ..words import counted
from .runs import Run, compared_rows, pairs_of
from .tables import columns_of, how_found, number, pair_title, sweep_title, uncertainty

SCHEMA = 1
"""Version of the layout of the JSON."""
POSE_COLUMNS = ("auc_1deg", "auc_5deg", "auc_10deg", "n_true")
"""Metrics of poses that are printed."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """Means and differences of the rows that all runs have in common."""

    runs: Sequence[Run]
    n_left_out: int
    means: Sequence[dict[str, Any]]
    """Of every detector, named as on the page: what it was measured on, and ``means``."""
    differences: Sequence[dict[str, Any]]
    pose_differences: Sequence[dict[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """All but the means, for JSON."""
        return {
            "schema": SCHEMA,
            "runs": [{"folder": str(r.folder), "siftcli": r.results["siftcli"]} for r in self.runs],
            "n_left_out": self.n_left_out,
            "differences": list(self.differences),
            "pose_differences": list(self.pose_differences),
        }


def compare(runs: Sequence[Run]) -> Comparison:
    """Summarise one run, or two.

    Raises
    ------
    InputError
        If two runs have nothing in common.
    """
    swept = [run for run in runs if not run.is_of_poses]
    posed = [run for run in runs if run.is_of_poses]
    rows, n_left_out = compared_rows(swept)
    pose_rows, n_poses_left_out = compared_rows(posed)
    means = [asdict(summary) for summary in summarise_rows(rows)]
    pose_means = poses.summarise(pose_rows)
    seed = swept[0].results["settings"]["seed"] if swept else 0
    found = [asdict(d) for d in differences(rows, pairs_of(swept), seed)] if swept else []
    pose_found = poses.differences(pose_rows, pairs_of(posed)) if posed else []
    return Comparison(
        runs,
        n_left_out + n_poses_left_out,
        [*means, *pose_means],
        _with_values(found, means, ("sweep", "budget")),
        _with_values(pose_found, pose_means, poses.GROUP),
    )


def _named(name: str, prefix: str = "") -> dict[str, str | None]:
    """The run and the detector of a name on the page."""
    detector, _, run = name.partition(" · ")
    return {prefix or "detector": detector, f"{prefix}_run" if prefix else "run": run or None}


def _with_values(found: Sequence[Row], means: Sequence[Row], group: Sequence[str]) -> list[dict[str, Any]]:
    """Differences with the two means, and with detectors and runs apart."""
    by_key = {(*(entry[name] for name in group), entry["detector"]): entry["means"] for entry in means}
    records = []
    for difference in found:
        where = {name: difference[name] for name in group}
        value, other = (
            by_key[(*where.values(), difference[name])][difference["metric"]]
            for name in ("detector", "other")
        )
        records.append({
            **where,
            **_named(difference["detector"]),
            **_named(difference["other"], "other"),
            "metric": difference["metric"],
            "value": value,
            "other_value": other,
            **{k: v for k, v in difference.items() if k not in (*group, "detector", "other", "metric")},
        })  # fmt: skip
    return records


def text_of(comparison: Comparison) -> str:
    """Markdown tables of the differences, and a line for what is unchanged."""
    parts = [*_sweeps(comparison.differences), *_poses(comparison.pose_differences)]
    if comparison.n_left_out:
        left_out = counted(comparison.n_left_out, "result")
        parts.append(f"Left out, as only one of the two has them: {left_out}.")
    return "\n\n".join(parts) or "Nothing to compare."


def _sweeps(records: Sequence[Row]) -> list[str]:
    """A table for each sweep, budget and pair of detectors."""
    by_name = {metric.name: metric for metric in METRICS}
    parts = []
    for (sweep, budget), own in _grouped(records, ("sweep", "budget")).items():
        columns = [m for m in columns_of(sweep) if m.higher_is_better is not None]
        title = f"{sweep_title(sweep)}, {BUDGET_TITLES[budget]}"
        shown = {m.name: m.title for m in columns}
        parts += _tables(title, own, [(name, shown[name], by_name[name]) for name in shown])
    return parts


def _poses(records: Sequence[Row]) -> list[str]:
    """A table for each scene and pair of detectors, with a line for each metric and budget."""
    by_name = {metric.name: metric for metric in poses.METRICS}
    parts = []
    for key, own in _grouped(records, ("scene", "degradation", "geometry")).items():
        budgets = list(dict.fromkeys(r["budget"] for r in own))
        lines = [
            ((name, budget), f"{by_name[name].title}, {budget_title(budget)}", by_name[name])
            for name in POSE_COLUMNS
            for budget in budgets
        ]
        named = [{**r, "metric": (r["metric"], r["budget"])} for r in own]
        parts += _tables(f"Camera pose: {group_title(*key)}", named, lines)
    return parts


def _grouped(records: Sequence[Row], names: Sequence[str]) -> dict[tuple[str, ...], list[Row]]:
    found: dict[tuple[str, ...], list[Row]] = {}
    for record in records:
        found.setdefault(tuple(record[name] for name in names), []).append(record)
    return found


def _tables(title: str, records: Sequence[Row], lines: Sequence[tuple[Any, str, Metric]]) -> list[str]:
    parts, unchanged = [], []
    for (a, run, b, other_run), own in _grouped(records, ("detector", "run", "other", "other_run")).items():
        if is_unchanged(own):
            unchanged.append(a)
            continue
        names = (a, b) if a != b else (run, other_run)
        by_metric = {record["metric"]: record for record in own}
        shown = [_line(text, by_metric[key], metric) for key, text, metric in lines if key in by_metric]
        heading = pair_title(*(f"{d} · {r}" if r else d for d, r in ((a, run), (b, other_run))))
        head = f"| | {names[1]} | {names[0]} | difference | | |\n|---|---|---|---|---|---|"
        parts.append(f"{title}, {heading} ({how_found(own)})\n\n" + "\n".join([head, *shown]))
    if unchanged:
        verb = "is" if len(unchanged) == 1 else "are"
        parts.append(f"{title}: {', '.join(unchanged)} {verb} unchanged.")
    return parts


def _line(title: str, record: Row, metric: Metric) -> str:
    mark = record["mark"] if round(record["mean"], metric.decimals) else ""
    cells = (
        title + (" ↓" if metric.higher_is_better is False else ""),
        number(record["other_value"], metric),
        number(record["value"], metric),
        number(record["mean"], metric, signed=True),
        uncertainty(record, metric),
        {"better": "▲ better", "worse": "▼ worse"}.get(mark, ""),
    )
    return "| " + " | ".join(cells) + " |"


def is_unchanged(records: Sequence[Row]) -> bool:
    """Whether nothing but times differs between two runs of the same detector, on any image."""
    return all(
        r["detector"] == r["other"] and r["mean"] == 0 and not any(r["values"]) and not r["low"] < r["high"]
        for r in records
        if (r["metric"][0] if isinstance(r["metric"], tuple) else r["metric"]) != "time_s"
    )

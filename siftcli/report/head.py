"""The head of the page: what was found, in a sentence, and under which circumstances."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..evaluation.poses import summary as poses
from ..evaluation.poses.options import AT_DEFAULTS
from ..evaluation.poses.tables import budget_title
from ..evaluation.summary import summarise_rows
from ..evaluation.work import AT_DEFAULTS as SWEEPS_AT_DEFAULTS
from ..words import counted
from .runs import RUN, Run

Rows = Sequence[Mapping[str, Any]]

FOUND_AGAIN, POSES_WITHIN = "repeatability_05px", "auc_5deg"


def sentence(rows: Rows, pose_rows: Rows) -> str:
    """The means that matter most, of every detector; empty if nothing was measured."""
    return "; ".join(part for part in (_of_poses(pose_rows), _of_views(rows)) if part)


def _of_views(rows: Rows) -> str:
    """What is found again in the first sweep, each detector at its defaults."""
    if not rows:
        return ""
    own = [
        dict(row) for row in rows if (row["sweep"], row["budget"]) == (rows[0]["sweep"], SWEEPS_AT_DEFAULTS)
    ]
    means = {s.detector: 100 * s.means[FOUND_AGAIN] for s in summarise_rows(own)}
    unit = "\N{NO-BREAK SPACE}%"
    return _joined("{} finds {} of its keypoints again within half a pixel", means, 0, unit)


def _of_poses(rows: Rows) -> str:
    """The area under the curve of pose errors, at defaults or with the most features."""
    if not rows:
        return ""
    first = rows[0]
    own = [r for r in rows if all(r[n] == first[n] for n in ("degradation", "geometry"))]
    budgets = {row["budget"] for row in own}
    budget = AT_DEFAULTS if AT_DEFAULTS in budgets else max(budgets, key=int)
    found: dict[str, list[float]] = {}
    for entry in poses.summarise([row for row in own if row["budget"] == budget]):
        found.setdefault(entry["detector"], []).append(entry["means"][POSES_WITHIN])
    means = {name: float(np.mean(values)) for name, values in found.items()}
    at = budget_title(budget) if budget == AT_DEFAULTS else f"with {budget_title(budget)}"
    return _joined(f"{{}} finds poses with an AUC of {{}} within 5° {at}", means, 2, "")


def _joined(text: str, means: Mapping[str, float], decimals: int, unit: str) -> str:
    """A sentence about the first detector, with the others after it; of two runs both values."""
    values: dict[str, list[float]] = {}
    for name, mean in means.items():
        values.setdefault(name.partition(RUN)[0], []).append(mean)
    decimals += any(RUN in name for name in means)
    told = {name: _then([f"{v:.{decimals}f}{unit}" for v in own]) for name, own in values.items()}
    first, *others = told
    return ", ".join([text.format(first, told[first]), *(f"{name} {told[name]}" for name in others)])


def _then(texts: Sequence[str]) -> str:
    return texts[0] if len(set(texts)) == 1 else ", then ".join(texts)


def subject(pose_rows: Rows, rows: Rows) -> str:
    """What was evaluated."""
    parts = []
    if pose_rows:
        n_scenes = len({row["scene"] for row in pose_rows})
        n_pairs = len({(row["scene"], row["image_a"], row["image_b"]) for row in pose_rows})
        parts.append(f"{counted(n_scenes, 'scene')} with {_views(n_pairs)}")
    if rows:
        n_images = len({row["image"] for row in rows})
        parts.append(
            f"{counted(n_images, 'image')} with "
            f"{_views(len({(row['image'], row['sweep'], row['value']) for row in rows}))}"
        )
    return "; ".join(parts) or "0 pairs of views"


def place_and_day(runs: Sequence[Run]) -> str:
    """The processors and the dates of some runs."""
    cpus = [run.results["machine"].get("cpu", "") for run in runs]
    days = [run.results.get("date", "")[:10] for run in runs]
    return ", ".join(dict.fromkeys(text for text in (*cpus, *days) if text))


def _views(n: int) -> str:
    return f"{counted(n, 'pair')} of views"


def facts(runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Date, command, seed, versions and processor of each run; what runs have in common once."""
    described = [_facts(run.results) for run in runs]
    lines = []
    for name in described[0]:
        values = [own[name] for own in described]
        if len(set(values)) == 1:
            lines.append((name, values[0]))
        else:
            named = (f"{run.label or run.folder}: {v}" for run, v in zip(runs, values, strict=True) if v)
            lines.append((name, "; ".join(named)))
    return [(name, value) for name, value in lines if value]


def _facts(results: Mapping[str, Any]) -> dict[str, str]:
    versions = {"siftcli": results["siftcli"], **results["versions"]}
    machine = results["machine"]
    known = [machine.get("cpu", ""), counted(machine["cores"], "core") if machine.get("cores") else ""]
    return {
        "date": results.get("date", "").replace("T", " "),
        "command": results.get("command", ""),
        "seed": str(results["settings"].get("seed", "")),
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "processor": ", ".join(part for part in (*known, machine.get("system", "")) if part),
    }

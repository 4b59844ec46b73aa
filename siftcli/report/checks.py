"""Limits that an evaluation must keep, for continuous integration."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ParameterError
from ..evaluation.poses.summary import GROUP
from ..evaluation.poses.summary import METRICS as POSE_METRICS
from ..evaluation.summary import METRICS
from .comparison import Comparison
from .runs import pairs_of

BEFORE = "before"


@dataclass(frozen=True)
class Limit:
    """The least that the mean of a metric may be."""

    metric: str
    value: float
    is_relative: bool
    """Whether the value is added to the mean of the other evaluation."""


def parse_limit(text: str) -> Limit:
    """A limit from ``METRIC=VALUE``, where VALUE is a number, or ``before``, ``before-0.01``.

    Raises
    ------
    ParameterError
        If it is none, or if more of the metric is not better.
    """
    name, equals, value = text.partition("=")
    relative = value.startswith(BEFORE)
    number = value.removeprefix(BEFORE) if relative else value
    wanted = r"([+-]\d*\.?\d+)?" if relative else r"[+-]?\d*\.?\d+"
    if not equals or not re.fullmatch(wanted, number, re.ASCII):
        raise ParameterError(
            "--fail-below expects METRIC=VALUE, such as repeatability_05px=0.9 or "
            f"matching_score=before-0.01; got {text!r}"
        )
    known = {m.name: m for m in (*METRICS, *POSE_METRICS)}
    higher = [metric for metric, m in known.items() if m.higher_is_better]
    if name not in higher:
        problem = "less of it is better" if name in known else "it is unknown"
        raise ParameterError(f"--fail-below {name}: {problem}; expected one of {', '.join(higher)}")
    return Limit(name, float(number or 0), relative)


def check(comparison: Comparison, limits: Sequence[Limit]) -> list[dict[str, Any]]:
    """Compare the first detector of the last run with limits, on everything it was measured on.

    Returns
    -------
    list of dict
        For each limit and sweep, or scene, and budget: ``metric``, ``detector``, ``limit``, ``value`` and
        ``passed``, which is false without a value.

    Raises
    ------
    ParameterError
        If a metric was not measured, or a limit is relative and there is nothing to compare with.
    """
    return [found for limit in limits for found in _check(comparison, limit)]


def _check(comparison: Comparison, limit: Limit) -> list[dict[str, Any]]:
    of_poses = limit.metric in {m.name for m in POSE_METRICS}
    runs = [run for run in comparison.runs if run.is_of_poses == of_poses]
    if not runs:
        raise ParameterError(
            f"--fail-below {limit.metric}: it was not measured; expected a metric of "
            f"{'other changes' if of_poses else 'poses'}"
        )
    detector = runs[-1].detectors[0]
    before = dict(pairs_of(runs)).get(detector) if len(runs) > 1 else None
    if limit.is_relative and before is None:
        raise ParameterError(
            f"--fail-below {limit.metric}={BEFORE}: expected two evaluations of the same detector; "
            "name both, or give a number"
        )
    names = GROUP if of_poses else ("sweep", "budget")
    means = {
        (tuple(entry[name] for name in names), entry["detector"]): entry["means"][limit.metric]
        for entry in comparison.means
        if limit.metric in entry["means"]
    }
    return [
        _outcome(limit, dict(zip(names, group, strict=True)), detector, value, means.get((group, before)))
        for (group, name), value in means.items()
        if name == detector
    ]


def _outcome(
    limit: Limit, where: dict[str, str], detector: str, value: float, before: float | None
) -> dict[str, Any]:
    least = limit.value
    if limit.is_relative:
        least += float("nan") if before is None else before
    return {
        **where,
        "detector": detector.partition(" · ")[0],
        "metric": limit.metric,
        "limit": least,
        "value": value,
        "passed": value >= least,
    }


def told(found: dict[str, Any]) -> str:
    """A limit that was not kept, as a line."""
    where = ", ".join(found[name] for name in ("sweep", *GROUP) if name in found)
    value = "has no value" if math.isnan(found["value"]) else f"is {found['value']:.6g}"
    return f"{where}: {found['metric']} of {found['detector']} {value}, below {found['limit']:.6g}"

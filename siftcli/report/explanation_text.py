"""Sentences and numbers of an explanation, for the page, the figure and the terminal."""

from __future__ import annotations

import math

from ..explanation.records import Verdict, View


def headline(view: View) -> str:
    """What became of a candidate, in one line."""
    x, y = view.xy
    kind = "bright" if view.candidate.value < 0 else "dark"
    where = f"at ({x:.2f}, {y:.2f}), σ {view.sigma:.2f} px"
    away = "" if view.distance is None else f", {view.distance:.2f} px from where it was sought"
    if view.rejection is not None:
        return f"rejected candidate {where}{away}. {view.rejection.sentence}"
    rows = [str(d.row) for d in view.descriptions if d.row is not None]
    return f"keypoint {', '.join(rows)}: a {kind} blob {where}{away}"


def number(value: float | None) -> str:
    """Four digits; nothing where there is no number."""
    return "" if value is None or not math.isfinite(value) else f"{value:.4g}"


def bound(verdict: Verdict) -> str:
    """The limit, with its sign."""
    sign = {">=": "≥ ", "<=": "≤ ", ">": "> "}.get(verdict.relation, "")
    return "" if verdict.limit is None else sign + number(verdict.limit)

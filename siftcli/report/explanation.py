"""The page of an explanation: one keypoint, or a rejected candidate, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..explanation.records import Explanation, View
from ..sift.candidates import STEP_COLUMNS
from . import explanation_svg as svg
from .explanation_text import bound, headline, number
from .rendering import rendered

_COLOURS = ("#0b7285", "#d9480f")
"""Of the picture and of the rotated one, readable on light and dark."""


@dataclass(frozen=True)
class Side:
    """A view as drawn."""

    title: str
    headline: str
    view: View

    @property
    def verdicts(self) -> Sequence[tuple[str, str, str, str, bool]]:
        """Filter, what it measured, the number, the limit, and whether it passed."""
        return [(v.filter, v.note, number(v.measured), bound(v), v.passed) for v in self.view.verdicts]

    @property
    def steps(self) -> Sequence[Sequence[str]]:
        """Numbers of each fit."""
        return [
            [_step_text(name, value) for name, value in zip(STEP_COLUMNS, step, strict=True)]
            for step in self.view.steps.tolist()
        ]

    @property
    def angles(self) -> str:
        """The orientations, in degrees."""
        return ", ".join(f"{math.degrees(d.orientation):.2f}°" for d in self.view.descriptions)


@dataclass(frozen=True)
class Page:
    """Everything that the template renders."""

    title: str
    explanation: Explanation
    sides: Sequence[Side]
    figures: Mapping[str, Mapping[str, Any]]
    columns: Sequence[str] = STEP_COLUMNS
    svg: Any = svg


def render(explanation: Explanation) -> str:
    """The HTML page, with everything in it."""
    sides = [Side(explanation.image or "the picture", headline(explanation.view), explanation.view)]
    if explanation.turned is not None:
        title = f"rotated by {explanation.rotate_deg:g}°"
        sides.append(Side(title, headline(explanation.turned), explanation.turned))
    page = Page(f"One keypoint of {explanation.image or 'a picture'}", explanation, sides, _figures(sides))
    return rendered(
        "explanation.html.j2", page, scripts=("charts.js",), styles=("page.css", "explanation.css")
    )


def _step_text(name: str, value: float) -> str:
    if not math.isfinite(value):
        return "–"
    return f"{value:.0f}" if name == "planes" else f"{value:.5f}" if name == "value" else f"{value:.3f}"


def _figures(sides: Sequence[Side]) -> dict[str, Mapping[str, Any]]:
    """Key of a chart -> Plotly figure."""
    figures: dict[str, Mapping[str, Any]] = {}
    for n, side in enumerate(sides):
        if side.view.histogram is not None:
            figures[f"histogram-{n}"] = _histogram(side.view, _COLOURS[n])
    shown = [(side, side.view.description) for side in sides if side.view.description is not None]
    if shown:
        figures["unit"] = _vectors(
            [(s.title, d.unit) for s, d in shown if d],
            "of unit length",
            clip=sides[0].view.params.descriptor_clip,
        )
        figures["stored"] = _vectors([(s.title, d.stored) for s, d in shown if d], "as stored")
    return figures


def _histogram(view: View, colour: str) -> Mapping[str, Any]:
    """The bins as collected, smoothed, the height that a further peak needs, and the peaks."""
    found = view.histogram
    if found is None:
        raise ValueError("expected a view with a histogram")
    n = len(found.raw)
    degrees = [360 * i / n for i in range(n)]
    smoothed = found.smoothed.tolist()
    needed = found.peak_ratio * max(smoothed)
    angles = [math.degrees(d.orientation) for d in view.descriptions]
    heights = [float(np.interp(a, [*degrees, 360], [*smoothed, smoothed[0]])) for a in angles]
    line = {"color": colour, "width": 3}
    return {
        "data": [
            {
                "type": "bar",
                "name": "collected",
                "x": degrees,
                "y": found.raw.tolist(),
                "marker": {"color": "#9aa5b2"},
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "smoothed",
                "x": degrees,
                "y": smoothed,
                "line": line,
            },
            {
                "type": "scatter",
                "mode": "lines",
                "name": "needed",
                "x": [0, 360],
                "y": [needed, needed],
                "line": {"color": "#c2410c", "dash": "dash"},
            },
            {
                "type": "scatter",
                "mode": "markers",
                "name": "orientation",
                "x": angles,
                "y": heights,
                "marker": {"color": colour, "size": 12, "symbol": "diamond"},
            },
        ],
        "layout": {
            "xaxis": {
                "title": {"text": "degrees, clockwise"},
                "dtick": 45,
                "range": [-3, 363],
            },
            "bargap": 0.1,
            "hovermode": "closest",
        },
    }


def _vectors(named: Sequence[tuple[str, Any]], what: str, clip: float | None = None) -> Mapping[str, Any]:
    """The 128 numbers as bars, a group of eight for each cell."""
    data: list[dict[str, Any]] = [
        {
            "type": "bar",
            "name": name,
            "x": list(range(128)),
            "y": np.asarray(vector).tolist(),
            "marker": {"color": _COLOURS[n]},
        }
        for n, (name, vector) in enumerate(named)
    ]
    if clip is not None:
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "clipped here",
                "x": [-0.5, 127.5],
                "y": [clip, clip],
                "line": {"color": "#c2410c", "dash": "dash"},
            }
        )
    axis = {"title": {"text": f"{what}; eight for each cell"}, "dtick": 8, "range": [-1, 128]}
    return {
        "data": data,
        "layout": {"xaxis": axis, "bargap": 0, "hovermode": "closest", "showlegend": len(data) > 1},
    }

"""Plotly figures of the rows, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.measure import LOCALISATION_BINS_PX, ORIENTATION_BINS_DEG
from ..evaluation.summary import METRICS, per_image, summarise_rows
from ..evaluation.work import AT_DEFAULTS
from ..views.transforms import TRANSFORMS

Rows = Sequence[Mapping[str, Any]]
Trace = dict[str, Any]

COLOURS = ("#2f7fd6", "#d9541e", "#e0a100", "#1f9d6b", "#9467bd", "#17a2b8", "#c2458a", "#7a828c")
"""Legible on both white and near-black backgrounds."""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot", "dash", "dot")
"""In addition to colour, for print and for colour-blind readers."""
ROTATION_SWEEPS = ("rotation", "canvas")
"""Sweeps over the full circle, which are also drawn as polar plots."""
MIN_VALUES = 4
"""Sweeps with fewer values have a table, but no curve."""
CURVES = ("repeatability_05px", "matching_score")
REPEATABILITIES = {
    0.25: "repeatability_025px",
    0.5: "repeatability_05px",
    1.0: "repeatability_1px",
    1.5: "repeatability_15px",
    3.0: "repeatability_3px",
}

_TITLES = {
    "repeatability_05px": "Repeatability within 0.5 px",
    "matching_score": "Matching score",
}
_BY_NAME = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class Chart:
    """A chart on the page."""

    key: str
    """HTML id, unique on the page."""
    title: str
    figure: Mapping[str, Any]
    """Plotly's ``data`` and ``layout``."""


def styles(detectors: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Line style of each detector; in a comparison, both runs of a detector have the same colour."""
    plain = list(dict.fromkeys(name.partition(" · ")[0] for name in detectors))
    found = {}
    for name in detectors:
        base, _, run = name.partition(" · ")
        k = plain.index(base)
        twin = [other for other in detectors if other.partition(" · ")[0] == base].index(name)
        dash = DASHES[k % len(DASHES)] if not run else ("dot", "solid")[twin]
        found[name] = {"color": COLOURS[k % len(COLOURS)], "dash": dash, "width": 3 if k == 0 else 2}
    return found


def sweep_charts(sweep: str, rows: Rows, detectors: Sequence[str]) -> list[Chart]:
    """Curves over a sweep's values at default parameters, and polar plots for rotations."""
    own = _by_detector([row for row in rows if row["budget"] == AT_DEFAULTS], detectors)
    values = sorted({row["value"] for found in own.values() for row in found})
    charts = []
    if sweep in TRANSFORMS and len(values) >= MIN_VALUES:
        for metric in CURVES:
            means = {name: _over_values(found, metric, values) for name, found in own.items()}
            charts.append(_curve(sweep, metric, values, means))
            if sweep in ROTATION_SWEEPS:
                charts.append(_polar(sweep, metric, values, means))
        charts.append(_over_tolerance(sweep, own))
    return charts


def distribution_charts(rows: Rows, detectors: Sequence[str]) -> list[Chart]:
    """Distributions of the localisation and orientation errors of a sweep at default parameters."""
    own = _by_detector([row for row in rows if row["budget"] == AT_DEFAULTS], detectors)
    return [
        _distribution("localisation", "Localisation error", "px", own, LOCALISATION_BINS_PX),
        _distribution("orientation", "Orientation error", "°", own, ORIENTATION_BINS_DEG),
    ]


def cost_charts(rows: Rows, detectors: Sequence[str]) -> list[Chart]:
    """Bar charts of the number of keypoints and the time of each detector."""
    summaries = {
        s.detector: s.means for s in summarise_rows([dict(r) for r in rows if r["budget"] == AT_DEFAULTS])
    }
    named = [name for name in reversed(detectors) if name in summaries]
    charts = []
    for metric, title in (("n_reference", "Keypoints per image"), ("time_s", "Seconds per view, one thread")):
        colours = [styles(detectors)[name]["color"] for name in named]
        values = [summaries[name][metric] for name in named]
        text = [f"{value:.{_BY_NAME[metric].decimals}f}" for value in values]
        bar: Trace = {"type": "bar", "orientation": "h", "x": values, "y": named, "text": text}
        bar |= {"textposition": "auto", "textangle": 0, "marker": {"color": colours}, "hoverinfo": "none"}
        layout: Trace = {"showlegend": False, "xaxis": {"rangemode": "tozero"}, "yaxis": {"automargin": True}}
        charts.append(Chart(f"cost-{metric}", title, {"data": [bar], "layout": layout}))
    return charts


def _by_detector(rows: Rows, detectors: Sequence[str]) -> dict[str, list[Any]]:
    found = {name: [row for row in rows if row["detector"] == name] for name in detectors}
    return {name: own for name, own in found.items() if own}


def _over_values(rows: list[Any], metric: str, values: Sequence[float]) -> list[float | None]:
    """The mean over images at each value of the sweep."""
    means = []
    for value in values:
        found = list(per_image([row for row in rows if row["value"] == value], metric).values())
        means.append(round(float(np.mean(found)), 4) if found else None)
    return means


def _curve(
    sweep: str, metric: str, values: Sequence[float], means: Mapping[str, Sequence[float | None]]
) -> Chart:
    style = styles(list(means))
    kind = TRANSFORMS[sweep]
    data = [
        {"type": "scatter", "mode": "lines+markers", "name": name, "x": list(values), "y": found}
        | {"line": style[name], "marker": {"color": style[name]["color"], "size": 5}}
        for name, found in means.items()
    ]
    axis: dict[str, Any] = {"title": {"text": f"{sweep} ({kind.unit.strip()})" if kind.unit else sweep}}
    axis |= {"tickvals": list(values)} if len(values) <= 10 else {"dtick": 45}
    if sweep == "scale":
        axis["type"] = "log"
    layout = {"xaxis": axis, "yaxis": {"range": [0, 1.02]}}
    return Chart(f"{sweep}-{metric}", _TITLES[metric], {"data": data, "layout": layout})


def _polar(
    sweep: str, metric: str, values: Sequence[float], means: Mapping[str, Sequence[float | None]]
) -> Chart:
    style = styles(list(means))
    data = [
        {"type": "scatterpolar", "mode": "lines", "name": name, "line": style[name]}
        | {"theta": [*values, values[0]], "r": [*found, found[0]]}
        for name, found in means.items()
    ]
    layout = {"polar": {"radialaxis": {"range": [0, 1], "dtick": 0.25}, "angularaxis": {"dtick": 45}}}
    title = f"{_TITLES[metric]}, by direction"
    return Chart(f"{sweep}-{metric}-polar", title, {"data": data, "layout": layout})


def _over_tolerance(sweep: str, own: Mapping[str, list[Any]]) -> Chart:
    style = styles(list(own))
    data = []
    for name, rows in own.items():
        means = [np.mean(list(per_image(rows, metric).values())) for metric in REPEATABILITIES.values()]
        data.append(
            {"type": "scatter", "mode": "lines+markers", "name": name, "line": style[name]}
            | {"x": list(REPEATABILITIES), "y": [round(float(mean), 4) for mean in means]}
        )
    axis = {"title": {"text": "tolerance (px)"}, "tickvals": list(REPEATABILITIES)}
    layout = {"xaxis": axis, "yaxis": {"range": [0, 1.02]}}
    return Chart(f"{sweep}-tolerance", "Repeatability against tolerance", {"data": data, "layout": layout})


def _distribution(
    key: str, title: str, unit: str, own: Mapping[str, list[Any]], edges: np.ndarray[Any, Any]
) -> Chart:
    style = styles(list(own))
    centres = ((edges[:-1] + edges[1:]) / 2).round(4).tolist()
    data = []
    for name, rows in own.items():
        counts = np.sum([row[f"{key}_histogram"] for row in rows], axis=0)
        shares = (counts / max(counts.sum(), 1)).round(5).tolist()
        data.append(
            {"type": "scatter", "mode": "lines", "name": name, "x": centres, "y": shares}
            | {"line": {**style[name], "shape": "hvh"}}
        )
    layout = {
        "xaxis": {"title": {"text": f"error ({unit})"}, "range": [0, float(edges[-1])]},
        "yaxis": {"title": {"text": f"fraction per bin of {edges[1]:g} {unit}"}, "rangemode": "tozero"},
    }
    return Chart(f"{key}-errors", title, {"data": data, "layout": layout})

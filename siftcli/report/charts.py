"""Plotly figures of the rows, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..evaluation.intervals import MIN_IMAGES, VALUES, Interval, over_images
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
BAND_OPACITY, POINT_OPACITY = 0.15, 0.4
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
    if own and sweep in TRANSFORMS and len(values) >= MIN_VALUES:
        for metric in CURVES:
            means = {name: _over_values(found, metric, values) for name, found in own.items()}
            charts.append(_curve(sweep, metric, values, means))
            if sweep in ROTATION_SWEEPS:
                charts.append(_polar(sweep, metric, values, means))
    return charts


def tolerance_charts(sweep: str, rows: Rows, detectors: Sequence[str]) -> list[Chart]:
    """Repeatability against the tolerance, at default parameters."""
    own = _by_detector([row for row in rows if row["budget"] == AT_DEFAULTS], detectors)
    return [_over_tolerance(sweep, own)] if own and sweep in TRANSFORMS else []


def distribution_charts(rows: Rows, detectors: Sequence[str]) -> list[Chart]:
    """Distributions of the localisation and orientation errors of a sweep at default parameters."""
    own = _by_detector([row for row in rows if row["budget"] == AT_DEFAULTS], detectors)
    if not own:
        return []
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


def _over_values(rows: list[Any], metric: str, values: Sequence[float]) -> list[Interval | None]:
    """The mean over images at each value of the sweep, with its interval."""
    columns = {
        str(value): list(per_image([row for row in rows if row["value"] == value], metric).values())
        for value in values
    }
    found = over_images(columns)
    return [found.get(str(value)) for value in values]


def _means(found: Sequence[Interval | None]) -> list[float | None]:
    return [None if interval is None else round(interval.mean, 4) for interval in found]


def band(group: str, places: Sequence[float], limits: Sequence[Sequence[float]], colour: str) -> list[Trace]:
    """Intervals as a polygon behind a curve, if there are two or more.

    Parameters
    ----------
    group
        Name of the curve, with which it is shown and hidden.
    places
        Where they are.
    limits
        The lower and the upper end of each.
    colour
        Of the curve, as ``#rrggbb``.
    """
    if len(places) < 2:
        return []
    low, high = zip(*limits, strict=True)
    red, green, blue = (int(colour[k : k + 2], 16) for k in (1, 3, 5))
    return [
        {"type": "scatter", "mode": "none", "fill": "toself", "hoverinfo": "skip", "showlegend": False}
        | {"legendgroup": group, "x": [*places, *places[::-1]]}
        | {"y": [round(v, 4) for v in (*high, *low[::-1])]}
        | {"fillcolor": f"rgba({red},{green},{blue},{BAND_OPACITY})"}
    ]


def _uncertainty(
    group: str, places: Sequence[float], found: Sequence[Interval | None], colour: str
) -> list[Trace]:
    """A band, or the values of a few images as faint points."""
    known = [(x, i) for x, i in zip(places, found, strict=True) if i is not None]
    if any(i.method == VALUES for _, i in known):
        points = [(x, round(v, 4)) for x, i in known if len(i.values) > 1 for v in i.values]
        return [
            {"type": "scatter", "mode": "markers", "hoverinfo": "skip", "showlegend": False}
            | {"legendgroup": group, "x": [x for x, _ in points], "y": [y for _, y in points]}
            | {"marker": {"color": colour, "size": 4, "opacity": POINT_OPACITY}}
        ] if points else []  # fmt: skip
    return band(group, [x for x, _ in known], [(i.low, i.high) for _, i in known], colour)


def _in_polar(trace: Trace) -> Trace:
    """A trace over angles, in polar coordinates."""
    kept = {name: value for name, value in trace.items() if name not in ("x", "y")}
    return {**kept, "type": "scatterpolar", "theta": trace["x"], "r": trace["y"]}


def _curve(
    sweep: str, metric: str, values: Sequence[float], found: Mapping[str, Sequence[Interval | None]]
) -> Chart:
    style = styles(list(found))
    kind = TRANSFORMS[sweep]
    data = [t for name, own in found.items() for t in _uncertainty(name, values, own, style[name]["color"])]
    data += [
        {"type": "scatter", "mode": "lines+markers", "name": name, "legendgroup": name}
        | {"x": list(values), "y": _means(own), "line": style[name]}
        | {"marker": {"color": style[name]["color"], "size": 5}}
        for name, own in found.items()
    ]
    axis: dict[str, Any] = {"title": {"text": f"{sweep} ({kind.unit.strip()})" if kind.unit else sweep}}
    axis |= {"tickvals": list(values)} if len(values) <= 10 else {"dtick": 45}
    if sweep == "scale":
        axis["type"] = "log"
    layout = {"xaxis": axis, "yaxis": {"range": [0, 1.02]}}
    return Chart(f"{sweep}-{metric}", _TITLES[metric], {"data": data, "layout": layout})


def _polar(
    sweep: str, metric: str, values: Sequence[float], found: Mapping[str, Sequence[Interval | None]]
) -> Chart:
    style = styles(list(found))
    around = [*values, values[0]]
    data = [
        _in_polar(trace)
        for name, own in found.items()
        for trace in _uncertainty(name, around, [*own, own[0]], style[name]["color"])
    ]
    data += [
        {"type": "scatterpolar", "mode": "lines", "name": name, "legendgroup": name, "line": style[name]}
        | {"theta": around, "r": _means([*own, own[0]])}
        for name, own in found.items()
    ]
    # The labels of the radius stand between two directions, away from those of the angles.
    radial = {"range": [0, 1], "dtick": 0.5, "angle": 22.5, "tickangle": 0}
    layout = {"polar": {"radialaxis": radial, "angularaxis": {"dtick": 45}}}
    title = f"{_TITLES[metric]}, by direction"
    return Chart(f"{sweep}-{metric}-polar", title, {"data": data, "layout": layout})


def _over_tolerance(sweep: str, own: Mapping[str, list[Any]]) -> Chart:
    style = styles(list(own))
    bands, lines = [], []
    for name, rows in own.items():
        columns = {m: list(per_image(rows, m).values()) for m in REPEATABILITIES.values()}
        found = list(over_images(columns).values())
        bands += _uncertainty(name, list(REPEATABILITIES), found, style[name]["color"])
        lines.append(
            {"type": "scatter", "mode": "lines+markers", "name": name, "legendgroup": name}
            | {"line": style[name], "x": list(REPEATABILITIES), "y": _means(found)}
        )
    axis = {"title": {"text": "tolerance (px)"}, "tickvals": list(REPEATABILITIES)}
    layout = {"xaxis": axis, "yaxis": {"range": [0, 1.02]}}
    data = [*bands, *lines]
    return Chart(f"{sweep}-tolerance", "Repeatability against tolerance", {"data": data, "layout": layout})


def _distribution(
    key: str, title: str, unit: str, own: Mapping[str, list[Any]], edges: np.ndarray[Any, Any]
) -> Chart:
    """The mean over images of each image's shares, with their intervals."""
    style = styles(list(own))
    centres = ((edges[:-1] + edges[1:]) / 2).round(4).tolist()
    bands, lines = [], []
    for name, rows in own.items():
        shares = _shares(rows, f"{key}_histogram")
        found = over_images({str(k): column for k, column in enumerate(shares.T)})
        intervals = [found.get(str(k)) for k in range(len(centres))]
        if len(shares) >= MIN_IMAGES:
            drawn = _uncertainty(name, centres, intervals, style[name]["color"])
            bands += [{**trace, "mode": "lines", "line": {"width": 0, "shape": "hvh"}} for trace in drawn]
        lines.append(
            {"type": "scatter", "mode": "lines", "name": name, "legendgroup": name, "x": centres}
            | {"y": [None if i is None else round(i.mean, 5) for i in intervals]}
            | {"line": {**style[name], "shape": "hvh"}}
        )
    layout = {
        "xaxis": {"title": {"text": f"error ({unit})"}, "range": [0, float(edges[-1])]},
        "yaxis": {"title": {"text": f"fraction per bin of {edges[1]:g} {unit}"}, "rangemode": "tozero"},
    }
    return Chart(f"{key}-errors", title, {"data": [*bands, *lines], "layout": layout})


def _shares(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray[Any, Any]:
    """(images, bins) the share of each image's errors in each bin; images without errors are left out."""
    counts: dict[str, Any] = {}
    for row in rows:
        counts[row["image"]] = counts.get(row["image"], 0) + np.array(row[name])
    table = np.array([own / own.sum() for own in counts.values() if own.sum()])
    return table if len(table) else np.empty((0, 0))

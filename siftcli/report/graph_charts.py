"""Histograms of a graph of pairs as Plotly figures, as plain values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formats._match_graph import NONE, MatchGraph
from .charts import COLOURS, Chart

N_BINS = 40


def charts(graph: MatchGraph, partners: NDArray[np.int64]) -> list[Chart]:
    """Strengths of pairs, partners of images, and shares of inliers where both counts are stored."""
    what = "inliers" if graph.has_models else "matches"
    strength = graph.strength[graph.is_edge]
    found = []
    if len(strength):
        found.append(_log_histogram("strength", f"{what.capitalize()} of a pair", what, strength))
    if len(partners):
        found.append(_counts("partners", "Partners of an image", "partners", partners))
    known = graph.is_edge & (graph.n_matches > 0) & (graph.n_inliers != NONE)
    if known.any():
        # Guided matching may find more inliers than there were matches.
        shares = np.minimum(graph.n_inliers[known] / graph.n_matches[known], 1)
        counts, edges = np.histogram(shares, N_BINS // 2, (0, 1))
        found.append(
            _bars("share", "Share of matches that are inliers", "inliers / matches", counts, edges, "pairs")
        )
    return found


def _log_histogram(key: str, title: str, unit: str, values: NDArray[np.integer]) -> Chart:
    """Bins of equal ratio, each of whole numbers."""
    low, high = int(values.min()), int(values.max())
    edges = np.unique(np.rint(np.geomspace(low, high + 1, N_BINS + 1)))
    if len(edges) < 2:
        edges = np.array([low, low + 1.0])
    chart = _bars(key, title, unit, np.histogram(values, edges)[0], edges, "pairs")
    layout: dict[str, Any] = dict(chart.figure["layout"])
    layout["xaxis"] = {**layout["xaxis"], "type": "log"}
    return Chart(key, title, {**chart.figure, "layout": layout})


def _counts(key: str, title: str, unit: str, values: NDArray[np.int64]) -> Chart:
    """A bar for each whole number, or for a few of them."""
    step = max(1, -(-(int(values.max()) + 1) // N_BINS))
    edges = np.arange(0, int(values.max()) + step + 1, step) - 0.5
    return _bars(key, title, unit, np.histogram(values, edges)[0], edges, "images")


def _bars(
    key: str,
    title: str,
    unit: str,
    counts: NDArray[np.integer],
    edges: NDArray[np.floating],
    things: str,
) -> Chart:
    """Bars between edges; plotly wants centres and widths."""
    bar = {
        "type": "bar",
        "x": ((edges[:-1] + edges[1:]) / 2).round(4).tolist(),
        "y": counts.tolist(),
        "width": np.diff(edges).round(4).tolist(),
        "marker": {"color": COLOURS[0]},
        "name": things,
    }
    layout = {
        "xaxis": {"title": {"text": unit}},
        "yaxis": {"title": {"text": things}, "rangemode": "tozero"},
        "showlegend": False,
    }
    return Chart(key, title, {"data": [bar], "layout": layout})

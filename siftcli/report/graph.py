"""The page of a collection's pairs: which images are connected, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..formats._match_graph import NONE, MatchGraph
from ..io.writing import write_output
from ..workflows.connectivity import Component, components, degrees
from ..workflows.stored_pairs import StoredPairs
from . import graph_charts
from .charts import Chart
from .graph_matrix import Matrix, draw_matrix
from .graph_pictures import PairPicture, Pictures, draw_pictures
from .graph_tables import ReasonRow, counts, reason_rows
from .rendering import rendered

MAX_LISTED = 100_000
"""Pairs in the page's list, the strongest first; about 20 bytes each."""
MAX_NAMED = 500
"""Images without a partner that are named."""
MAX_COMPONENTS = 100


@dataclass(frozen=True)
class GraphView:
    """Everything that the template renders."""

    title: str
    counts: Sequence[tuple[str, str]]
    has_models: bool
    components: Sequence[Component]
    n_components: int
    alone: Sequence[str]
    """Images without a partner, at most ``MAX_NAMED``."""
    n_alone: int
    reasons: Sequence[ReasonRow]
    matrix: Matrix | None
    charts: Sequence[Chart]
    pictures: Sequence[PairPicture]
    remarks: Sequence[str]
    data: Mapping[str, Any]
    """The list of pairs, for the script."""
    n_listed: int
    n_pairs: int

    @property
    def figures(self) -> dict[str, Mapping[str, Any]]:
        """Chart key -> Plotly figure."""
        return {chart.key: chart.figure for chart in self.charts}


def write_graph(
    matches: str,
    target: str,
    format: str | None = None,
    *,
    images: str | None = None,
    n_pictures: int = 10,
) -> Sequence[str]:
    """Write the page of a file of matches; an existing page is replaced.

    Parameters
    ----------
    matches
        A COLMAP database, or hloc's ``matches.h5``.
    target
        Path of the page.
    format
        Format of the matches; from the suffix when not given.
    images
        Folder of the images; when not given, they are where they were at detection.
    n_pictures
        Pictures of this many of the weakest pairs, and of as many of the strongest.

    Returns
    -------
    sequence of str
        Remarks on what the page lacks, a line each.

    Raises
    ------
    InputError
        If the matches cannot be read.
    OutputError
        If the page cannot be written.
    """
    with StoredPairs(matches, format, images) as stored:
        view = make_view(stored, n_pictures)
    html = rendered(
        "graph.html.j2", view, scripts=("charts.js", "graph.js"), styles=("page.css", "graph.css")
    )
    write_output(target, html.encode("utf-8", "backslashreplace"), overwrite=True)
    return view.remarks


def make_view(stored: StoredPairs, n_pictures: int) -> GraphView:
    """Arrange the pairs of a file into the parts of the page."""
    graph = stored.graph()
    partners = degrees(graph)
    alone = [graph.images[i] for i in np.flatnonzero(partners == 0)]
    found = components(graph)
    reasons = [stored.reason(graph.images[i], graph.images[j]) for i, j in graph.pairs.tolist()]
    pictures = draw_pictures(stored, graph, reasons, n_pictures)
    listed = _listed(graph)
    return GraphView(
        title=f"Pairs of {Path(stored.path).name}",
        counts=counts(graph, partners, found),
        has_models=graph.has_models,
        components=found[:MAX_COMPONENTS],
        n_components=len(found),
        alone=alone[:MAX_NAMED],
        n_alone=len(alone),
        reasons=reason_rows(graph, reasons),
        matrix=draw_matrix(graph),
        charts=graph_charts.charts(graph, partners),
        pictures=pictures.drawn,
        remarks=[*_remarks(graph), *pictures.remarks],
        data=_data(stored.path, graph, reasons, pictures, listed),
        n_listed=len(listed),
        n_pairs=len(graph),
    )


def _listed(graph: MatchGraph) -> list[int]:
    """Rows of the pairs in the list, the strongest first, then by name."""
    order = np.lexsort((np.arange(len(graph)), ~graph.is_edge, -graph.strength))
    return [int(row) for row in order[:MAX_LISTED]]


def _data(
    path: str, graph: MatchGraph, reasons: Sequence[str], pictures: Pictures, listed: Sequence[int]
) -> dict[str, Any]:
    """The list as columns: names of images, and for each pair rows of images, counts, reason and picture."""
    kinds = sorted(set(reasons))
    place = {kind: i for i, kind in enumerate(kinds)}
    return {
        "file": path,
        "images": list(graph.images),
        "reasons": kinds,
        "a": graph.pairs[listed, 0].tolist(),
        "b": graph.pairs[listed, 1].tolist(),
        "matches": graph.n_matches[listed].tolist(),
        "inliers": graph.n_inliers[listed].tolist(),
        "edge": graph.is_edge[listed].astype(int).tolist(),
        "reason": [place[reasons[row]] for row in listed],
        "pictures": {str(listed.index(row)): key for row, key in pictures.keys.items() if row in listed},
    }


def _remarks(graph: MatchGraph) -> list[str]:
    remarks = []
    if not graph.has_models and len(graph):
        remarks.append("no pair was verified with a model: here images are partners if they have a match")
    elif (n_open := int((graph.n_inliers == NONE).sum())) > 0:
        remarks.append(
            f"{n_open} pairs were matched and not verified with a model: here they count as unverified"
        )
    if graph.n_left_out:
        remarks.append(f"{graph.n_left_out} pairs of images that the file does not name are left out")
    return remarks

"""Counts, components and reasons of a graph of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formats._match_graph import MatchGraph

NAMED = 3
"""How many images of a component are named."""


@dataclass(frozen=True)
class Component:
    """Images that are connected, directly or through others."""

    n_images: int
    n_pairs: int
    names: Sequence[str]
    """The first few, by name."""


@dataclass(frozen=True)
class ReasonRow:
    """The pairs of one reason."""

    reason: str
    n_pairs: int
    n_edges: int
    median: str
    """Median strength of the pairs that connect their images; a dash without any."""

    @property
    def share(self) -> str:
        """Share of the pairs that connect their images."""
        return f"{100 * self.n_edges / self.n_pairs:.0f} %"


def degrees(graph: MatchGraph) -> NDArray[np.int64]:
    """(N,) partners of each image."""
    return np.bincount(graph.pairs[graph.is_edge].ravel(), minlength=len(graph.images))


def components(graph: MatchGraph) -> list[Component]:
    """Components of at least two images, the largest first, then by the first name."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    a, b = graph.pairs[graph.is_edge].T
    n = len(graph.images)
    _, labels = connected_components(coo_array((np.ones(len(a), bool), (a, b)), (n, n)), directed=False)
    n_images, n_pairs = (
        np.bincount(labels, minlength=1),
        np.bincount(labels[a], minlength=labels.max(initial=0) + 1),
    )
    order = np.argsort(labels, kind="stable")
    first = np.searchsorted(labels[order], np.arange(len(n_images)))
    found = [
        Component(
            int(size), int(n_pairs[k]), [graph.images[i] for i in order[start : start + min(size, NAMED)]]
        )
        for k, (size, start) in enumerate(zip(n_images, first, strict=True))
        if size > 1
    ]
    return sorted(found, key=lambda component: (-component.n_images, component.names[0]))


def counts(
    graph: MatchGraph, partners: NDArray[np.int64], found: Sequence[Component]
) -> list[tuple[str, str]]:
    """Labels and values of the page's head."""
    strength = graph.strength[graph.is_edge]
    what = "inliers" if graph.has_models else "matches"
    kind = "verified" if graph.has_models else "with matches"
    largest = found[0].n_images if found else 0
    rows = [
        ("images", f"{len(graph.images):,}"),
        ("pairs tried", f"{len(graph):,}"),
        (f"pairs {kind}", f"{len(strength):,}"),
        ("components", f"{len(found):,}"),
        ("images in the largest", f"{largest:,}"),
        ("images without a partner", f"{int((partners == 0).sum()):,}"),
        ("partners of an image, median", _median(partners)),
        (f"{what} of a pair, median", _median(strength)),
    ]
    return [(label, value.replace(",", "\u202f")) for label, value in rows]


def reason_rows(graph: MatchGraph, reasons: Sequence[str]) -> list[ReasonRow]:
    """Reasons with their pairs, the most frequent first; none if no pair has a reason."""
    if not any(reasons):
        return []
    kinds = np.array([reason or "not recorded" for reason in reasons])
    rows = []
    for kind in np.unique(kinds):
        own = kinds == kind
        edges = own & graph.is_edge
        rows.append(ReasonRow(str(kind), int(own.sum()), int(edges.sum()), _median(graph.strength[edges])))
    return sorted(rows, key=lambda row: (-row.n_pairs, row.reason))


def _median(values: NDArray[np.integer]) -> str:
    return f"{np.median(values):g}" if len(values) else "–"

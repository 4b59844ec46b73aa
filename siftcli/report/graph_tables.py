"""Counts and reasons of a graph of pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..formats._match_graph import MatchGraph
from ..workflows.connectivity import Component


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

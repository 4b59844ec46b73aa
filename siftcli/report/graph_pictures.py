"""Pictures of the weakest and the strongest pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..drawing.encoding import jpeg
from ..errors import SiftcliError
from ..formats._match_graph import MatchGraph
from ..workflows.stored_pairs import StoredPairs
from .embedding import data_url

WIDTH_PX = 1000
"""Width of a picture with both images."""
MAX_BYTES = 11_000_000
"""Total size of the pictures; those of the strongest pairs are left out first."""


@dataclass(frozen=True)
class PairPicture:
    """A pair with its picture, and its line in the page."""

    key: str
    """HTML id."""
    kind: str
    """"weakest" or "strongest"."""
    names: tuple[str, str]
    n_inliers: int
    reason: str
    url: str


@dataclass(frozen=True)
class Pictures:
    """The pictures that were drawn, and remarks on those that were not."""

    drawn: Sequence[PairPicture]
    keys: Mapping[int, str]
    """Row of the graph -> HTML id of its picture."""
    remarks: Sequence[str]


def draw_pictures(stored: StoredPairs, graph: MatchGraph, reasons: Sequence[str], n: int) -> Pictures:
    """Draw up to n of the weakest pairs that connect their images, and up to n of the strongest."""
    drawn: list[PairPicture] = []
    keys: dict[int, str] = {}
    failures: list[str] = []
    left = MAX_BYTES
    n_wanted = 0
    for kind, row in _chosen(graph, n):
        n_wanted += 1
        first, second = (graph.images[i] for i in graph.pairs[row])
        try:
            url = data_url(jpeg(stored.draw(stored.show(first, second), WIDTH_PX)), "image/jpeg")
        except SiftcliError as error:
            failures.append(str(error))
            continue
        left -= len(url)
        if left < 0:
            break
        keys[row] = f"pair-{row}"
        strength = int(graph.strength[row])
        drawn.append(PairPicture(keys[row], kind, (first, second), strength, reasons[row], url))
    return Pictures(drawn, keys, _remarks(failures, n_wanted, is_full=left < 0))


def _chosen(graph: MatchGraph, n: int) -> list[tuple[str, int]]:
    """Rows of the weakest pairs, weakest first, then of the strongest, strongest first; none twice."""
    rows = np.flatnonzero(graph.is_edge)
    order = rows[np.lexsort((rows, graph.strength[rows]))].tolist()
    weakest = order[: min(n, (len(order) + 1) // 2)]
    strongest = order[::-1][: min(n, len(order) // 2)]
    return [("weakest", row) for row in weakest] + [("strongest", row) for row in strongest]


def _remarks(failures: Sequence[str], n_wanted: int, *, is_full: bool) -> list[str]:
    remarks = []
    if failures:
        remarks.append(f"{len(failures)} of {n_wanted} pictures could not be drawn: {failures[0]}")
    if is_full:
        remarks.append(
            f"pictures beyond {MAX_BYTES // 1_000_000} MB are left out; ask for fewer with --pictures"
        )
    return remarks

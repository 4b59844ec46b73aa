"""Which images of a collection are connected by pairs, and which are connected worst."""

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
class Weak:
    """An image with few partners."""

    name: str
    n_partners: int
    strength: int
    """Inliers (or, if no model was fitted, matches) of all its pairs together."""


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


def weakest(graph: MatchGraph, n: int) -> list[Weak]:
    """The n images with the fewest partners; of those with as many, first that with the fewest inliers."""
    partners = degrees(graph)
    strength = np.zeros(len(graph.images), np.int64)
    for column in graph.pairs[graph.is_edge].T:
        np.add.at(strength, column, graph.strength[graph.is_edge])
    order = np.lexsort((np.arange(len(partners)), strength, partners))[:n]
    return [Weak(graph.images[i], int(partners[i]), int(strength[i])) for i in order]

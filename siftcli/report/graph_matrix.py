"""The matrix of pairs as a picture: a row and a column for each image, or for a few neighbours."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..drawing.encoding import png
from ..formats._match_graph import MatchGraph
from .embedding import data_url

MAX_SIDE = 1000
"""Rows of the picture; with more images a row stands for several, and shows their strongest pair."""
TRIED = (128, 128, 128, 70)
"""A pair that was tried in vain, as RGBA: it shows on a light and on a dark ground."""
EDGE_RGB = (47, 127, 214)
EDGE_ALPHA = (90, 255)
"""Opacity of the weakest and of the strongest pair, on a logarithmic scale."""


@dataclass(frozen=True)
class Matrix:
    """The picture, and how to read it."""

    url: str
    side: int
    """Rows of the picture."""
    block: int
    """Images to a row."""
    strongest: int


def draw_matrix(graph: MatchGraph) -> Matrix | None:
    """Draw the matrix; None without a pair."""
    if len(graph) == 0:
        return None
    block = -(-len(graph.images) // MAX_SIDE)
    side = -(-len(graph.images) // block)
    strength = np.where(graph.is_edge, graph.strength, 0)
    rows, columns = (graph.pairs // block).T
    cells = np.full((side, side), -1, np.int64)
    for row, column in ((rows, columns), (columns, rows)):
        np.maximum.at(cells, (row, column), strength)
    return Matrix(data_url(png(_coloured(cells)), "image/png"), side, block, int(cells.max()))


def _coloured(cells: NDArray[np.int64]) -> NDArray[np.uint8]:
    """(H, W, 4) RGBA of cells: −1 for nothing, 0 for tried, more for the strength."""
    picture = np.zeros((*cells.shape, 4), np.uint8)
    picture[cells == 0] = TRIED
    is_edge = cells > 0
    level = np.log1p(cells[is_edge]) / np.log1p(max(int(cells.max()), 1))
    low, high = EDGE_ALPHA
    picture[is_edge, :3] = EDGE_RGB
    picture[is_edge, 3] = np.rint(low + (high - low) * level)
    return picture

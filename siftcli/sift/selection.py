"""Which features are kept, and in which order.

``max_features`` keeps the strongest; or, spread evenly over the image, the best under adaptive non-maximal
suppression (Brown, Szeliski, Winder, *Multi-Image Matching using Multi-Scale Oriented Patches*, CVPR 2005,
section 3): those that are farthest from whatever is clearly stronger.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel
from ..params import SiftParams

ROBUSTNESS = 0.9
"""A keypoint is suppressed by those whose response exceeds its own / 0.9 (Brown et al., section 3)."""

_PLACES_PER_CELL = 2
"""Keypoints in a cell of the search grid, on average; any number gives the same radii."""


def select(columns: dict[str, NDArray[Any]], params: SiftParams) -> NDArray[np.intp]:
    """Rows of the columns of :class:`Features` that are kept, at most ``max_features``.

    They come strongest first, ties by scale, then y, then x; orientations of a keypoint stay in their order.
    """
    (x, y), scale = columns["xy"].T, columns["scale"]
    rows = np.lexsort((x, y, scale, -columns["response"]))
    if params.selection == "even" and params.max_features is not None:
        xy, scale, response = (columns[name][rows] for name in ("xy", "scale", "response"))
        return rows[_most_even(xy, scale, response, params.max_features)]
    return rows[: params.max_features]


def _most_even(
    xy: NDArray[np.floating], scale: NDArray[np.floating], response: NDArray[np.floating], n: int
) -> NDArray[np.intp]:
    """The n sorted rows, or all, of the largest radii. Of equal radii the stronger come first.

    Orientations of a keypoint share its radius, so only the last one kept can lose some.
    """
    keys = np.column_stack((xy, scale, response))
    is_first = np.ones(len(keys), bool)
    is_first[1:] = np.any(keys[1:] != keys[:-1], axis=1)
    radius = suppression_radii(xy[is_first], response[is_first])[np.cumsum(is_first) - 1]
    return np.sort(np.argsort(-radius, kind="stable")[:n])


def suppression_radii(xy: NDArray[np.floating], response: NDArray[np.floating]) -> NDArray[np.float64]:
    """The distance of each keypoint to the nearest one that is clearly stronger, infinite where none is.

    Parameters
    ----------
    xy
        (N, 2) positions.
    response
        (N,) strongest first.

    Returns
    -------
    (N,) float64
        In the unit of the positions. The time is about that of sorting them, for positions as even as
        keypoints are.
    """
    if len(xy) == 0:
        return np.empty(0)
    places, strength = xy.astype(np.float64), response.astype(np.float64)
    n_stronger = np.searchsorted(-ROBUSTNESS * strength, -strength)
    places -= places.min(axis=0)
    width, height = places.max(axis=0)
    side = max(
        math.sqrt(width * height * _PLACES_PER_CELL / len(places)), max(width, height) / len(places), 1.0
    )
    last_of_cell = np.full((int(height / side) + 1, int(width / side) + 1), -1)
    radius = np.empty(len(places))
    _suppress(places, n_stronger, side, last_of_cell, np.empty(len(places), np.int64), radius)
    return radius


@kernel("void(float64[:, ::1], int64[::1], float64, int64[:, ::1], int64[::1], float64[::1])")
def _suppress(places, n_stronger, side, last_of_cell, one_before, radius):
    """Fill in the distance of each keypoint to the nearest of the stronger ones.

    Keypoints enter a grid as the number of stronger ones grows. Its cells are searched in square rings about
    the keypoint's own. About N / i keypoints lie within the radius of the i-th, so all searches together
    visit about N·(1 + 1/2 + … + 1/N) of them.

    Parameters
    ----------
    places
        (N, 2) float64 x and y, the strongest first, none negative.
    n_stronger
        (N,) int64: the first so many are stronger.
    side
        Of a cell, in the unit of the places.
    last_of_cell
        (rows, columns) int64 of the grid: the last that entered each cell, −1 at the beginning.
    one_before
        (N,) int64, room for the one that entered the same cell before each.
    radius
        (N,) float64, filled; infinite where none is stronger.
    """
    n_rows, n_columns = last_of_cell.shape
    n_entered = 0
    for i in range(len(places)):
        while n_entered < n_stronger[i]:
            row, column = int(places[n_entered, 1] / side), int(places[n_entered, 0] / side)
            one_before[n_entered] = last_of_cell[row, column]
            last_of_cell[row, column] = n_entered
            n_entered += 1
        x, y = places[i]
        own_row, own_column = int(y / side), int(x / side)
        nearest, ring = math.inf, 0
        # From a place to a ring there is at least the width of the rings between it and its own cell.
        while n_entered > 0 and (max(ring - 1, 0) * side) ** 2 < nearest:
            for row in range(max(own_row - ring, 0), min(own_row + ring + 1, n_rows)):
                step = 1 if abs(row - own_row) == ring else 2 * ring
                for column in range(own_column - ring, own_column + ring + 1, step):
                    j = last_of_cell[row, column] if 0 <= column < n_columns else -1
                    while j >= 0:
                        nearest = min(nearest, (places[j, 0] - x) ** 2 + (places[j, 1] - y) ** 2)
                        j = one_before[j]
            ring += 1
        radius[i] = math.sqrt(nearest)

"""Which keypoints are wanted first.

The strongest; or, spread evenly over the image, the best under adaptive non-maximal suppression (Brown,
Szeliski, Winder, *Multi-Image Matching using Multi-Scale Oriented Patches*, CVPR 2005, section 3): those that
are farthest from whatever is clearly stronger; or by both, the response times a power of that distance. Then
a keypoint among stronger ones gives way, and so does a weak one where there is nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel
from ..params import SiftParams
from .octave import Strip

ROBUSTNESS = 0.9
"""A keypoint is suppressed by those whose response exceeds its own / 0.9 (Brown et al., section 3)."""

SPREAD_POWER = 4
"""Power of the distance to what is clearly stronger, when both count."""

FARTHEST = 0.25
"""Share of the image's diagonal beyond which that distance counts no more."""

_PLACES_PER_CELL = 2
"""Keypoints in a cell of the search grid, on average; any number gives the same radii."""


_LIKELY = 2.0
"""Of a large octave's strip so many times its share of all wanted features are likely to be among them: up to
1.3 times were, in strips of nine photographs side by side."""


class Ranked(NamedTuple):
    """Rows in the order in which they are wanted."""

    rows: NDArray[np.intp]
    """(N,) rows, the most wanted first."""
    response: NDArray[np.float32]
    """(N,) the score of each row as it was given."""


def is_chosen_first(params: SiftParams) -> bool:
    """Whether all keypoints must be known before it is known which are described."""
    return params.max_features is not None and params.selection != "strongest"


def likely_chosen(
    strip: Strip, columns: Mapping[str, NDArray[Any]], params: SiftParams, image_size: tuple[int, int]
) -> NDArray[np.intp]:
    """Rows of the keypoints of a large octave's strip that are described before it is known which are wanted.

    All, where none need be known before, or those that are wanted first in the strip, since to make it again
    takes longer. The arguments are those of :func:`rank`.
    """
    n = len(columns["response"])
    if params.max_features is None or not is_chosen_first(params):
        return np.arange(n)
    share = (strip.rows[1] - strip.rows[0]) / strip.shape[0]
    n_likely = math.ceil(_LIKELY * share * params.max_features)
    return np.arange(n) if n <= n_likely else np.sort(rank(columns, params, image_size).rows[:n_likely])


def rank(columns: Mapping[str, NDArray[Any]], params: SiftParams, image_size: tuple[int, int]) -> Ranked:
    """Put keypoints, or frames, in the order in which they are wanted.

    Orientations of a keypoint stay beside each other, in their order. Ties are broken by scale, then y, then
    x.

    Parameters
    ----------
    columns
        Of :class:`Features`: ``xy``, ``scale`` and ``response``.
    params
        What is wanted: ``selection``, and ``max_features``, without which ``even`` is ``strongest``.
    image_size
        (width, height) in pixels.
    """
    response = columns["response"]
    rows = strongest_first(columns)
    if params.selection == "strongest" or (params.selection == "even" and params.max_features is None):
        return Ranked(rows, response)
    radius = np.empty(len(rows))
    radius[rows] = suppression_radii(columns["xy"][rows], response[rows])
    if params.selection == "even":
        return Ranked(rows[np.argsort(-radius[rows], kind="stable")], response)
    farthest = FARTHEST * math.hypot(*image_size)
    share = np.minimum(radius, farthest) / farthest
    score = np.asarray(response * share**SPREAD_POWER, np.float32)
    return Ranked(strongest_first({**columns, "response": score}), score)


def strongest_first(columns: Mapping[str, NDArray[Any]]) -> NDArray[np.intp]:
    """Rows of columns of :class:`Features` by response, ties by scale, then y, then x."""
    response = columns["response"]
    rows = np.argsort(-response)  # not stable, which is faster: equal ones are put in order below
    tied = tied_places(response[rows])
    if len(tied):
        among = np.sort(rows[tied])
        (x, y), scale = columns["xy"][among].T, columns["scale"][among]
        rows[tied] = among[np.lexsort((x, y, scale, -response[among]))]
    return rows


def tied_places(ordered: NDArray[Any]) -> NDArray[np.intp]:
    """Which places of sorted values (N,) have a neighbour of the same value."""
    is_equal = ordered[1:] == ordered[:-1]
    if not is_equal.any():
        return np.empty(0, np.intp)
    return np.flatnonzero(np.append(is_equal, False) | np.append(False, is_equal))


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
        In the unit of the positions; the same for the orientations of a keypoint. The time is about that of
        sorting them, for positions as even as keypoints are.
    """
    if len(xy) == 0:
        return np.empty(0)
    places, strength = xy.astype(np.float64), response.astype(np.float64)
    x, y = places.T  # one by one, which is faster than along an axis of two
    x -= x.min()
    y -= y.min()
    width, height = x.max(), y.max()
    side = max(
        math.sqrt(width * height * _PLACES_PER_CELL / len(places)), max(width, height) / len(places), 1.0
    )
    last_of_cell = np.full((int(height / side) + 1, int(width / side) + 1), -1)
    radius = np.empty(len(places))
    _suppress(places, strength, side, last_of_cell, np.empty(len(places), np.int64), radius)
    return radius


@kernel("void(float64[:, ::1], float64[::1], float64, int64[:, ::1], int64[::1], float64[::1])")
def _suppress(places, strength, side, last_of_cell, one_before, radius):
    """Fill in the distance of each keypoint to the nearest of the stronger ones.

    Keypoints enter a grid as the number of stronger ones grows. Its cells are searched in square rings about
    the keypoint's own. About N / i keypoints lie within the radius of the i-th, so all searches together
    visit about N·(1 + 1/2 + … + 1/N) of them.

    Parameters
    ----------
    places
        (N, 2) float64 x and y, the strongest first, none negative.
    strength
        (N,) float64 responses; those are clearly stronger that exceed one's own even times ``ROBUSTNESS``.
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
        while n_entered < i and ROBUSTNESS * strength[n_entered] > strength[i]:
            row, column = int(places[n_entered, 1] / side), int(places[n_entered, 0] / side)
            one_before[n_entered] = last_of_cell[row, column]
            last_of_cell[row, column] = n_entered
            n_entered += 1
        x, y = places[i, 0], places[i, 1]
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

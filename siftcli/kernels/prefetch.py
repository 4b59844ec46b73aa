"""Prefetching the samples of the next keypoint while the current one is worked on.

The levels of a strip are larger than a cache, and the neighbourhood of a keypoint consists of short pieces of
many rows, which the processor's own prefetcher does not foresee. A prefetch too many costs little
and changes no result.
"""

from __future__ import annotations

import math

from .decorators import subroutine
from .vectors import LANES, prefetch

_LARGEST_RADIUS = 64.0
"""Samples. Larger neighbourhoods are rare, and not all of their samples are used."""
_FAR = 2.0**30
"""Samples; beyond it an index does not fit its type."""


@subroutine
def prefetch_square(levels, level, first_row, height, width, x, y, radius):
    """Prefetch a square neighbourhood.

    Parameters
    ----------
    levels
        (L, R, P) float32 Gaussian levels, R rows of the octave from ``first_row`` on, P ≥ ``width`` + 16.
    level
        Index of the level.
    first_row, height, width
        The first of the octave's rows that is there, and the size of the octave, in samples.
    x, y
        Centre in samples of the octave; not finite or far outside, nothing is done.
    radius
        Samples along either axis; above 64 nothing is done.
    """
    if not (abs(x) + abs(y) < _FAR and radius <= _LARGEST_RADIUS):  # NaN fails as well
        return
    n_rows, pitch = levels.shape[1:]
    top, bottom = max(first_row, int(y - radius)), min(first_row + n_rows, height, math.ceil(y + radius) + 1)
    left, right = max(0, int(x - radius)), min(width - 1, int(x + radius + 1))
    for row in range(top, bottom):
        at = (level * n_rows + row - first_row) * pitch
        for column in range(left, right, LANES):
            prefetch(levels, at + column)
        prefetch(levels, at + right)  # often of the line before

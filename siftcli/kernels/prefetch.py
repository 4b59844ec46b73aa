"""Samples that the next keypoint needs are fetched while this one is worked.

The levels of a strip are larger than a cache, and the surroundings of a keypoint are many short pieces of
rows, which no processor foresees. What is asked for too much or in vain costs little, and changes nothing.
"""

from __future__ import annotations

from .decorators import subroutine
from .vectors import LANES, fetch

_FARTHEST = 64.0
"""Samples along an axis; what reaches farther is seldom, and does not use them all."""
_FAR = 2.0**30


@subroutine
def fetch_square(levels, i, first_row, height, width, x, y, reach):
    """Ask for the samples of a level within ``reach`` along either axis of a place, in samples."""
    if not (abs(x) + abs(y) < _FAR and reach <= _FARTHEST):  # nor where they are no numbers
        return
    n_rows, pitch = levels.shape[1:]
    top, bottom = max(first_row, int(y - reach)), min(first_row + n_rows, height, int(y + reach) + 2)
    left, right = max(0, int(x - reach)), min(width - 1, int(x + reach + 1))
    for row in range(top, bottom):
        for column in range(left, right + LANES, LANES):
            fetch(levels, (i * n_rows + row - first_row) * pitch + column)

"""What the orientation stage writes down when asked."""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..params import OrientationParams


class OrientationTrace(NamedTuple):
    """What ``orientation.assign_orientations`` fills in for the first N keypoints; none when not asked."""

    histograms: NDArray[np.float64]
    """(N, bins) as collected."""
    smoothed: NDArray[np.float32]
    """(N, bins)."""
    fields: NDArray[np.float32]
    """(N, rows, columns, 2) samples of the disc and the square around it: what each counts, and its direction
    in bins; zero outside the disc. The first row and column are those of :func:`first_sample`."""

    @classmethod
    def room_for(cls, n: int, params: OrientationParams, sigma: float = 0.0) -> Self:
        """Room for ``n`` keypoints of at most ``sigma`` samples."""
        reach = params.orientation_window * params.orientation_radius * sigma
        side = 2 * math.ceil(reach) + 1
        shape = (n, params.orientation_bins)
        return cls(
            np.zeros(shape), np.zeros(shape, np.float32), np.zeros((max(n, 1), n * side, side, 2), np.float32)
        )


def first_sample(place: float, reach: float) -> int:
    """The first row, or column, of the samples around a place; the octave's first has no neighbour."""
    return max(1, math.ceil(place - reach))

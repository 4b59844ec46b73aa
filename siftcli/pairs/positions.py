"""Pairs of images that were taken near each other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError
from .listing import Listed, listed


def earth_positions(degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert (N, 2) latitudes and longitudes in degrees (WGS 84) to (N, 3) metres on the ellipsoid.

    Distances between the results are straight lines: 0.1 mm short of the way on the ground at 5 km, 0.1 m at
    50 km.

    Raises
    ------
    MissingDependencyError
        If pyproj is not installed.
    """
    try:
        from pyproj import Transformer
    except ImportError as error:
        raise MissingDependencyError.of_extra("--pairs gps", "pyproj", "gps") from error
    to_cartesian = Transformer.from_crs("EPSG:4979", "EPSG:4978")
    return np.column_stack(to_cartesian.transform(degrees[:, 0], degrees[:, 1], np.zeros(len(degrees))))


def neighbours(positions: NDArray[np.float64], k: int, within_m: float) -> Listed:
    """Pair each image with its ``k`` nearest ones.

    Parameters
    ----------
    positions
        (N, 3) in metres; NaN where it is not known.
    k
        Number of neighbours.
    within_m
        Largest distance in metres.
    """
    from scipy.spatial import cKDTree

    known = np.flatnonzero(np.isfinite(positions).all(axis=1))
    if len(known) < 2:
        return Listed(len(positions), np.empty(0, np.int64))
    # k + 1, as each image is a neighbour of itself; with images at one place it need not be the first
    limit = within_m if np.isinf(within_m) else np.nextafter(within_m, np.inf)
    columns = min(k + 1, len(known))
    _, near = cKDTree(positions[known]).query(
        positions[known], np.arange(1, columns + 1), distance_upper_bound=limit
    )
    itself = np.arange(len(known))[:, None]
    order = np.argsort((near == itself), axis=1, kind="stable")[:, :-1]  # drops the image itself, or the last
    near = np.take_along_axis(near, order, axis=1)
    first = np.repeat(known, near.shape[1])[(near < len(known)).ravel()]
    return listed(len(positions), first, known[near[near < len(known)]])

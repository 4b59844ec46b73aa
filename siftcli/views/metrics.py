"""Metrics that compare the features of two images, given the true map between the images.

A *correspondence* is a pair of keypoints that the true map brings together. A *putative match* is a
pair with similar descriptors. A *correct match* is a putative match within the tolerance of the true
position. Fractions are in [0, 1]. A fraction with denominator 0 is 0, because a detector that finds
nothing repeats nothing. The median of no values is NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..features import Features, Matches
from .planar import Matrix, Points, local_scale, map_angles, map_points

TOLERANCES_PX = (0.25, 0.5, 1.0, 1.5, 3.0)
"""Tolerances at which repeatability is measured."""
MAX_SCALE_RATIO = 2**0.5
"""Keypoints correspond only if the ratio of their scales is below this: half an octave."""
LOCALISATION_RADIUS_PX = 1.5
"""The localisation error is measured on correspondences up to this distance."""
CORRECT_MATCH_PX = 2.0
"""A putative match is correct within this distance of the true position."""
MAX_OVERLAP_ERROR = 0.4
"""Regions correspond up to this error (Mikolajczyk et al., IJCV 2005, section 4.1)."""
NORMALISED_RADIUS_PX = 30.0
"""Radius to which the first region of each pair is scaled for the overlap criterion (same section)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Locations:
    """The K distinct keypoints of one image; several orientations at one position count once."""

    xy: Points
    """(K, 2) positions in pixels."""
    scale: NDArray[Any]
    """(K,) σ in pixels."""
    of_feature: NDArray[np.intp]
    """(N,) the index of each feature's location."""

    def __len__(self) -> int:
        return len(self.scale)


def locations(features: Features) -> Locations:
    """The distinct (x, y, σ) of the features."""
    rows = np.column_stack([features.xy, features.scale])
    unique, of_feature = np.unique(rows, axis=0, return_inverse=True)
    return Locations(unique[:, :2], unique[:, 2], of_feature.reshape(-1))


@dataclass(frozen=True, eq=False)
class Correspondences:
    """One-to-one pairs of keypoints, nearest first."""

    pairs: NDArray[np.intp]
    """(C, 2) indices of keypoints of the first and of the second image."""
    distance: Floats
    """(C,) distance in pixels of the second image between the mapped keypoint and its partner."""

    def __len__(self) -> int:
        return len(self.pairs)


def one_to_one(first: NDArray[np.intp], second: NDArray[np.intp], cost: Floats) -> NDArray[np.intp]:
    """Choose pairs greedily, cheapest first, so that each keypoint occurs at most once.

    Parameters
    ----------
    first, second
        (K,) indices of the keypoints of each candidate pair.
    cost
        (K,) cost of each pair; ties are broken by ``first``, then by ``second``.

    Returns
    -------
    ndarray
        Indices of the chosen pairs, cheapest first.
    """
    chosen: list[int] = []
    taken_first: set[int] = set()
    taken_second: set[int] = set()
    for row in np.lexsort((second, first, cost)):
        a, b = int(first[row]), int(second[row])
        if a not in taken_first and b not in taken_second:
            taken_first.add(a)
            taken_second.add(b)
            chosen.append(int(row))
    return np.array(chosen, dtype=np.intp)


def near_pairs(a: Points, b: Points, radius: float) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """All pairs of points up to ``radius`` apart: indices into ``a``, indices into ``b``, and distances."""
    if not len(a) or not len(b):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    table = cKDTree(a).sparse_distance_matrix(cKDTree(b), radius, output_type="ndarray")
    return table["i"], table["j"], table["v"]


def correspondences(
    first: Locations, second: Locations, matrix: Matrix, tolerance_px: float = max(TOLERANCES_PX)
) -> Correspondences:
    """Find keypoints that the true map brings within ``tolerance_px``, with a scale ratio below √2.

    Pairs are one-to-one, nearest first. So the correspondences at a smaller tolerance are those with a
    smaller distance.
    """
    i, j, distance = near_pairs(map_points(matrix, first.xy), second.xy, tolerance_px)
    ratio = first.scale[i] * local_scale(matrix, first.xy[i]) / second.scale[j]
    close = np.maximum(ratio, 1 / ratio) < MAX_SCALE_RATIO
    i, j, distance = i[close], j[close], distance[close]
    chosen = one_to_one(i, j, distance)
    return Correspondences(np.column_stack([i[chosen], j[chosen]]), distance[chosen])


def share(part: float, whole: float) -> float:
    """``part / whole``, or 0 if ``whole`` is 0."""
    return float(part / whole) if whole else 0.0


def repeatability(found: Correspondences, n_first: int, n_second: int) -> dict[float, float]:
    """Number of correspondences over the smaller number of keypoints, at each tolerance in pixels."""
    smaller = min(n_first, n_second)
    return {t: share(int(np.sum(found.distance <= t)), smaller) for t in TOLERANCES_PX}


def overlap_repeatability(first: Locations, second: Locations, matrix: Matrix) -> float:
    """Repeatability by the overlap of regions; pairs are one-to-one, smallest error first.

    A keypoint's region is a circle with radius proportional to σ. Its image under the map is
    approximated by a circle of equal area, which is exact for a similarity.
    """
    i, j, distance = near_pairs(map_points(matrix, first.xy), second.xy, NORMALISED_RADIUS_PX)
    ratio = second.scale[j] / (first.scale[i] * local_scale(matrix, first.xy[i]))
    error = overlap_error(distance, ratio)
    close = error < MAX_OVERLAP_ERROR
    chosen = one_to_one(i[close], j[close], error[close])
    return share(len(chosen), min(len(first), len(second)))


def overlap_error(distance_px: Floats, ratio: Floats) -> Floats:
    """1 - intersection over union of two circles with radii 30 px and ``ratio`` · 30 px.

    Only the radii are normalised, not the distance of the centres. Otherwise the normalisation would
    have no effect.
    """
    r, s = np.broadcast_to(NORMALISED_RADIUS_PX, ratio.shape), NORMALISED_RADIUS_PX * ratio
    d = np.clip(distance_px, np.abs(r - s) + 1e-12, r + s)
    r_angle = np.arccos(np.clip((d**2 + r**2 - s**2) / (2 * d * r), -1, 1))
    s_angle = np.arccos(np.clip((d**2 + s**2 - r**2) / (2 * d * s), -1, 1))
    kite = np.sqrt(np.maximum((-d + r + s) * (d + r - s) * (d - r + s) * (d + r + s), 0)) / 2
    intersection = r**2 * r_angle + s**2 * s_angle - kite
    return np.asarray(1 - intersection / (np.pi * (r**2 + s**2) - intersection))


def localisation_errors(found: Correspondences) -> Floats:
    """The distances in pixels of the correspondences within 1.5 px."""
    return found.distance[found.distance <= LOCALISATION_RADIUS_PX]


def angle_difference(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """The angle between two directions in radians, in [0, π]."""
    return np.asarray(np.abs((np.asarray(a, np.float64) - b + np.pi) % (2 * np.pi) - np.pi))


def match_distances(f: Features, g: Features, matches: Matches, matrix: Matrix) -> Floats:
    """(M,) distance in pixels of each match from its true position in the second image."""
    i, j = matches.pairs.T
    difference = map_points(matrix, f.xy[i]) - g.xy[j]
    return np.asarray(np.hypot(difference[:, 0], difference[:, 1]))


def orientation_errors_deg(f: Features, g: Features, pairs: NDArray[Any], matrix: Matrix) -> Floats:
    """(M,) error of the orientation in degrees, for pairs (M, 2) of features."""
    i, j = pairs.T
    expected = map_angles(matrix, f.xy[i], f.orientation[i])
    return np.rad2deg(angle_difference(g.orientation[j], expected))


def matching_score(correct: NDArray[Any], first: Locations, second: Locations) -> float:
    """Number of locations with a correct match, over the smaller number of locations.

    Parameters
    ----------
    correct
        (M, 2) pairs of features whose match is correct; several at one location count once.
    first, second
        The locations of both images.
    """
    matched = [
        np.unique(side.of_feature[rows]) for side, rows in zip((first, second), correct.T, strict=True)
    ]
    return share(min(map(len, matched)), min(len(first), len(second)))


@dataclass(frozen=True)
class Agreement:
    """How well the features of two detectors agree on the same images."""

    found_in_b: float
    """Fraction of A's features that B found too."""
    found_in_a: float
    """Fraction of B's features that A found too."""
    descriptor_cosine: float
    """Median cosine similarity between the descriptors of A's features and of their counterparts in B."""
    n_a: int
    n_b: int


def counterparts(
    a: Features,
    b: Features,
    max_distance_px: float = 1.0,
    max_scale_ratio: float = 2**0.25,
    max_angle_deg: float = 15.0,
) -> NDArray[np.intp]:
    """(N,) for each feature of A, the index of its nearest counterpart in B, or -1.

    By default a counterpart lies within one pixel, a quarter octave and 15°.
    """
    i, j, distance = near_pairs(a.xy, b.xy, max_distance_px)
    ratio = a.scale[i].astype(np.float64) / b.scale[j]
    angle = np.rad2deg(angle_difference(a.orientation[i], b.orientation[j]))
    same = (np.maximum(ratio, 1 / ratio) <= max_scale_ratio) & (angle <= max_angle_deg)
    i, j, distance = i[same], j[same], distance[same]
    farthest_first = np.lexsort((j, distance, i))[::-1]
    nearest = np.full(len(a), -1, dtype=np.intp)
    nearest[i[farthest_first]] = j[farthest_first]
    return nearest


def agreement(pairs: Sequence[tuple[Features, Features]]) -> Agreement:
    """Compare the features of two detectors, pooled over the images.

    Parameters
    ----------
    pairs
        A's and B's features of each image.
    """
    in_b = [counterparts(a, b) for a, b in pairs]
    in_a = [counterparts(b, a) for a, b in pairs]
    cosines = [
        descriptor_cosines(a.descriptors[rows >= 0], b.descriptors[rows[rows >= 0]])
        for (a, b), rows in zip(pairs, in_b, strict=True)
    ]
    n_a, n_b = sum(len(a) for a, _ in pairs), sum(len(b) for _, b in pairs)
    return Agreement(
        found_in_b=share(sum(int(np.sum(rows >= 0)) for rows in in_b), n_a),
        found_in_a=share(sum(int(np.sum(rows >= 0)) for rows in in_a), n_b),
        descriptor_cosine=median(np.concatenate(cosines)) if cosines else float("nan"),
        n_a=n_a,
        n_b=n_b,
    )


def descriptor_cosines(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """(M,) cosine similarity of descriptors (M, 128), row by row; 0 if one of them is zero."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.einsum("nk,nk->n", a, b) / np.where(norms > 0, norms, 1))


def median(values: Floats) -> float:
    """The median; NaN if there are no values."""
    return float(np.median(values)) if len(values) else float("nan")


def quantile(values: Floats, q: float) -> float:
    """The interpolated quantile; NaN if there are no values."""
    return float(np.quantile(values, q)) if len(values) else float("nan")

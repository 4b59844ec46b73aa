"""From two sets of features and the true map between their images to numbers: pure functions.

A *correspondence* is a pair of keypoints that the true map brings together; a *putative match*
is a pair that the descriptors propose; a *correct match* is a putative match within the
tolerance of the truth. Fractions are stored as fractions. A share of nothing is 0 (a detector that
finds nothing repeats nothing); the median of nothing is NaN.
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
"""Distances at which repeatability is counted."""
MAX_SCALE_RATIO = 2**0.5
"""Keypoints correspond only below this ratio of their scales: half an octave."""
LOCALISATION_RADIUS_PX = 1.5
"""Correspondences up to this distance tell the localisation error."""
CORRECT_MATCH_PX = 2.0
"""A putative match within this distance of the truth is correct."""
MAX_OVERLAP_ERROR = 0.4
"""Regions correspond up to this error (Mikolajczyk et al., IJCV 2005, section 4.1)."""
NORMALISED_RADIUS_PX = 30.0
"""Radius to which the overlap criterion brings the first region of each pair (same section)."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Locations:
    """Unique keypoints of one image: several orientations at a place are one."""

    xy: Points
    scale: NDArray[Any]
    of_feature: NDArray[np.intp]
    """(N,) the location of each feature."""

    def __len__(self) -> int:
        return len(self.scale)


def locations(features: Features) -> Locations:
    """The distinct (x, y, σ) of features."""
    rows = np.column_stack([features.xy, features.scale])
    unique, of_feature = np.unique(rows, axis=0, return_inverse=True)
    return Locations(unique[:, :2], unique[:, 2], of_feature.reshape(-1))


@dataclass(frozen=True, eq=False)
class Correspondences:
    """One-to-one pairs of keypoints, nearest first."""

    pairs: NDArray[np.intp]
    """(C, 2) rows of the first and the second image's keypoints."""
    distance: Floats
    """(C,) pixels of the second image between the mapped keypoint and its partner."""

    def __len__(self) -> int:
        return len(self.pairs)


def one_to_one(first: NDArray[np.intp], second: NDArray[np.intp], cost: Floats) -> NDArray[np.intp]:
    """Rows of candidate pairs, cheapest first, in which each keypoint occurs once.

    Parameters
    ----------
    first, second
        (K,) keypoints of the two images.
    cost
        (K,); equal costs are taken in the order of ``first``, then ``second``.
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
    """All pairs of points up to ``radius`` apart: rows of ``a``, rows of ``b`` and distances."""
    if not len(a) or not len(b):
        return np.zeros(0, np.intp), np.zeros(0, np.intp), np.zeros(0)
    table = cKDTree(a).sparse_distance_matrix(cKDTree(b), radius, output_type="ndarray")
    return table["i"], table["j"], table["v"]


def correspondences(
    first: Locations, second: Locations, matrix: Matrix, tolerance_px: float = max(TOLERANCES_PX)
) -> Correspondences:
    """Keypoints that the true map brings within ``tolerance_px`` and below √2 in scale.

    One-to-one, nearest first; so those of a smaller tolerance are the ones with a smaller distance.
    """
    i, j, distance = near_pairs(map_points(matrix, first.xy), second.xy, tolerance_px)
    ratio = first.scale[i] * local_scale(matrix, first.xy[i]) / second.scale[j]
    close = np.maximum(ratio, 1 / ratio) < MAX_SCALE_RATIO
    i, j, distance = i[close], j[close], distance[close]
    chosen = one_to_one(i, j, distance)
    return Correspondences(np.column_stack([i[chosen], j[chosen]]), distance[chosen])


def share(part: float, whole: float) -> float:
    """A fraction; 0 of nothing."""
    return float(part / whole) if whole else 0.0


def repeatability(found: Correspondences, n_first: int, n_second: int) -> dict[float, float]:
    """Correspondences over the smaller count, at each tolerance in pixels."""
    smaller = min(n_first, n_second)
    return {t: share(int(np.sum(found.distance <= t)), smaller) for t in TOLERANCES_PX}


def overlap_repeatability(first: Locations, second: Locations, matrix: Matrix) -> float:
    """Repeatability by the overlap of regions, one-to-one, least error first.

    A keypoint's region is a circle of radius proportional to σ; its image under the map is taken
    as the circle of equal area (exact for a similarity).
    """
    i, j, distance = near_pairs(map_points(matrix, first.xy), second.xy, NORMALISED_RADIUS_PX)
    ratio = second.scale[j] / (first.scale[i] * local_scale(matrix, first.xy[i]))
    error = overlap_error(distance, ratio)
    close = error < MAX_OVERLAP_ERROR
    chosen = one_to_one(i[close], j[close], error[close])
    return share(len(chosen), min(len(first), len(second)))


def overlap_error(distance_px: Floats, ratio: Floats) -> Floats:
    """1 - intersection over union of circles of 30 px and ``ratio`` · 30 px, centres this far apart.

    Only the sizes are normalised, not the distance: otherwise normalising would change nothing.
    """
    r, s = np.broadcast_to(NORMALISED_RADIUS_PX, ratio.shape), NORMALISED_RADIUS_PX * ratio
    d = np.clip(distance_px, np.abs(r - s) + 1e-12, r + s)
    r_angle = np.arccos(np.clip((d**2 + r**2 - s**2) / (2 * d * r), -1, 1))
    s_angle = np.arccos(np.clip((d**2 + s**2 - r**2) / (2 * d * s), -1, 1))
    kite = np.sqrt(np.maximum((-d + r + s) * (d + r - s) * (d - r + s) * (d + r + s), 0)) / 2
    intersection = r**2 * r_angle + s**2 * s_angle - kite
    return np.asarray(1 - intersection / (np.pi * (r**2 + s**2) - intersection))


def localisation_errors(found: Correspondences) -> Floats:
    """Distances in pixels over correspondences within 1.5 px."""
    return found.distance[found.distance <= LOCALISATION_RADIUS_PX]


def angle_difference(a: NDArray[Any], b: NDArray[Any]) -> Floats:
    """The angle between directions given in radians, in [0, π]."""
    return np.asarray(np.abs((np.asarray(a, np.float64) - b + np.pi) % (2 * np.pi) - np.pi))


def match_distances(f: Features, g: Features, matches: Matches, matrix: Matrix) -> Floats:
    """Distance (M,) in the second image from where each match should be."""
    i, j = matches.pairs.T
    difference = map_points(matrix, f.xy[i]) - g.xy[j]
    return np.asarray(np.hypot(difference[:, 0], difference[:, 1]))


def orientation_errors_deg(f: Features, g: Features, pairs: NDArray[Any], matrix: Matrix) -> Floats:
    """Degrees between the true and the found orientation, for pairs (M, 2) of features."""
    i, j = pairs.T
    expected = map_angles(matrix, f.xy[i], f.orientation[i])
    return np.rad2deg(angle_difference(g.orientation[j], expected))


def matching_score(correct: NDArray[Any], first: Locations, second: Locations) -> float:
    """Places with a correct match, over the smaller number of places.

    Parameters
    ----------
    correct
        (M, 2) pairs of features whose match is correct; of several at a place one counts.
    """
    places = [np.unique(side.of_feature[rows]) for side, rows in zip((first, second), correct.T, strict=True)]
    return share(min(map(len, places)), min(len(first), len(second)))


@dataclass(frozen=True)
class Agreement:
    """How far two detectors' features of the same images are the same."""

    found_in_b: float
    """Share of A's features that B found too."""
    found_in_a: float
    """Share of B's features that A found too."""
    descriptor_cosine: float
    """Median cosine of the descriptors of A's features and B's nearest counterparts."""
    n_a: int
    n_b: int


def counterparts(
    a: Features,
    b: Features,
    max_distance_px: float = 1.0,
    max_scale_ratio: float = 2**0.25,
    max_angle_deg: float = 15.0,
) -> NDArray[np.intp]:
    """For each feature of A (N,) the row of its nearest counterpart in B, or -1.

    A counterpart lies within a pixel, a quarter octave and 15°.
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
    """Compare two detectors' features of some images, pooled over the images.

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
    """Cosine (M,) of the angles between descriptors (M, 128), row by row; 0 where one is zero."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.einsum("nk,nk->n", a, b) / np.where(norms > 0, norms, 1))


def median(values: Floats) -> float:
    """The median; NaN of nothing."""
    return float(np.median(values)) if len(values) else float("nan")


def quantile(values: Floats, q: float) -> float:
    """The quantile, interpolated; NaN of nothing."""
    return float(np.quantile(values, q)) if len(values) else float("nan")

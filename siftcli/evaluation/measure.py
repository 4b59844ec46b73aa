"""Compute all metrics of one detector on one pair of views."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..features import Features, Matches
from ..matching import nearest as matching
from ..matching.options import DEFAULT_RATIO
from ..views import metrics
from ..views.pairs import Pair
from ..views.planar import Matrix, Points, Region, local_scale, map_points
from .recovery import CORNER_TOLERANCES_PX, recovery

LOCALISATION_BINS_PX = np.linspace(0, 1.5, 31)
"""Bin edges of the histogram of localisation errors, in pixels."""
ORIENTATION_BINS_DEG = np.linspace(0, 15, 31)
"""Bin edges of the histogram of orientation errors, in degrees; larger errors are not counted."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The metrics of one detector on one pair of views; a field's name states its threshold."""

    n_reference: int
    """Distinct keypoints of the reference in the region that is evaluated."""
    n_view: int
    repeatability_025px: float
    repeatability_05px: float
    repeatability_1px: float
    repeatability_15px: float
    repeatability_3px: float
    overlap_repeatability: float
    localisation_median_px: float
    localisation_p90_px: float
    orientation_median_deg: float
    orientation_within_5deg: float
    orientation_within_15deg: float
    n_putative: int
    n_correct: int
    """Correct matches (features, within 2 px)."""
    precision: float
    matching_score: float
    mma_1px: float
    """Mean matching accuracy: fraction of the putative matches within 1 px of the true position."""
    mma_3px: float
    mma_5px: float
    mma_10px: float
    rotation_error_deg: float
    scale_error: float
    corner_error_px: float
    corners_within_1px: float
    """1 if the mean corner error of the estimated model is at most 1 px, else 0."""
    corners_within_3px: float
    corners_within_5px: float
    corners_within_10px: float
    localisation_histogram: list[int] = field(default_factory=list)
    orientation_histogram: list[int] = field(default_factory=list)

    def to_dict(self) -> dict[str, object]:
        """The row as a plain dictionary, for JSON."""
        return asdict(self)


def counted(features: Features, own: Region, other: Region, to_other: Matrix, pair: Pair) -> Features:
    """Select the features whose centre, with its margin and support, lies in both views."""
    margin = pair.margin_px + pair.support_sigmas * features.scale.astype(np.float64)
    mapped: Points = map_points(to_other, features.xy)
    mapped_margin = margin * local_scale(to_other, features.xy) if pair.support_sigmas else margin
    inside = (own.depth(features.xy) >= margin) & (other.depth(mapped) >= mapped_margin)
    return features.select(inside)


def measure(pair: Pair, reference: Features, view: Features, ratio: float = DEFAULT_RATIO) -> Row:
    """Compute all metrics of one detector on one pair of views.

    Parameters
    ----------
    pair
        The two views and the map between them.
    reference, view
        The features detected in each view.
    ratio
        Threshold of the ratio test; matches are mutual nearest neighbours.
    """
    back = np.linalg.inv(pair.matrix)
    f = counted(reference, pair.reference_region, pair.view_region, pair.matrix, pair)
    g = counted(view, pair.view_region, pair.reference_region, back, pair)
    first, second = metrics.locations(f), metrics.locations(g)
    found = metrics.correspondences(first, second, pair.matrix)
    errors = metrics.localisation_errors(found)
    repeated = metrics.repeatability(found, len(first), len(second))
    matches = matching.match(f, g, ratio=ratio, mutual=True, threads=1)
    distance = metrics.match_distances(f, g, matches, pair.matrix)
    correct = matches.pairs[distance <= metrics.CORRECT_MATCH_PX]
    angle_errors = metrics.orientation_errors_deg(f, g, correct, pair.matrix)
    return Row(
        n_reference=len(first),
        n_view=len(second),
        repeatability_025px=repeated[0.25],
        repeatability_05px=repeated[0.5],
        repeatability_1px=repeated[1.0],
        repeatability_15px=repeated[1.5],
        repeatability_3px=repeated[3.0],
        overlap_repeatability=metrics.overlap_repeatability(first, second, pair.matrix),
        localisation_median_px=metrics.median(errors),
        localisation_p90_px=metrics.quantile(errors, 0.9),
        orientation_median_deg=metrics.median(angle_errors),
        orientation_within_5deg=metrics.share(int(np.sum(angle_errors <= 5)), len(angle_errors)),
        orientation_within_15deg=metrics.share(int(np.sum(angle_errors <= 15)), len(angle_errors)),
        n_putative=len(matches),
        n_correct=len(correct),
        precision=metrics.share(len(correct), len(matches)),
        matching_score=metrics.matching_score(correct, first, second),
        **_accuracy(distance),
        **_recovery(pair, f, g, matches),
        localisation_histogram=_histogram(errors, LOCALISATION_BINS_PX),
        orientation_histogram=_histogram(angle_errors, ORIENTATION_BINS_DEG),
    )


def _accuracy(distance: NDArray[np.float64]) -> dict[str, float]:
    return {
        f"mma_{t}px": metrics.share(int(np.sum(distance <= t)), len(distance)) for t in CORNER_TOLERANCES_PX
    }


def _recovery(pair: Pair, f: Features, g: Features, matches: Matches) -> dict[str, float]:
    found = recovery(f, g, matches, pair.matrix, "similarity" if pair.similar else "homography")
    return {
        **asdict(found),
        **{f"corners_within_{t}px": float(found.corner_error_px <= t) for t in CORNER_TOLERANCES_PX},
    }


def _histogram(values: NDArray[np.float64], edges: NDArray[np.float64]) -> list[int]:
    return [int(n) for n in np.histogram(values, edges)[0]]

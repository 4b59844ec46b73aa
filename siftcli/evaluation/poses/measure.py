"""The features of two views with known cameras -> one row of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...features import Features
from ...matching import estimators, nearest
from ...matching.cameras import PIXEL_CENTRE, Camera, RelativePose, fundamental_of
from ...matching.options import DEFAULT_RATIO
from ...matching.residuals import sampson_errors
from ...views.planar import Matrix, map_points
from .epipolar import WRONG_DEG, auc_share, pose_error_deg
from .options import AUC_LIMITS_DEG

MAX_ERROR_PX = 1.0
"""Largest epipolar error of an inlier of PoseLib's estimate, the same for every detector."""
TRUE_MATCH_PX = 2.0
"""Sampson's distance from the true geometry below which a match is true."""
GRID = 10
"""Cells along each side of the grid that true matches cover."""
MIN_MATCHES = 5
"""Fewest that determine an essential matrix."""


@dataclass(frozen=True, kw_only=True)
class PoseRow:
    """What was measured for one detector on one pair of views."""

    n_first: int
    n_second: int
    n_putative: int
    n_true: int
    true_median_px: float
    """Median distance of the true matches from the true geometry; NaN where there is none."""
    coverage: float
    """Share of the cells of a 10 × 10 grid over the first view with a true match."""
    pose_error_deg: float
    """Median over the seeds."""
    auc_1deg: float
    """Mean over the seeds of max(0, 1 - error / 1°): the pair's part of the area under the curve."""
    auc_3deg: float
    auc_5deg: float
    auc_10deg: float

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON."""
        return asdict(self)


def brought_back(features: Features, to_original: Matrix) -> Features:
    """Features of a changed view at their places in the original; those outside of it are left out."""
    xy = map_points(to_original, features.xy)
    width, height = features.image_size
    inside = np.all((xy >= -PIXEL_CENTRE) & (xy <= (width - PIXEL_CENTRE, height - PIXEL_CENTRE)), axis=1)
    return replace(features, xy=xy.astype(np.float32)).select(inside)


def as_rootsift(features: Features) -> Features:
    """The same with descriptors compared as RootSIFT (Arandjelović and Zisserman 2012), whoever made them."""
    if features.descriptor_kind == "rootsift":
        return features
    raw = features.descriptors.astype(np.float64)
    shares = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1)
    roots = np.rint(512 * np.sqrt(shares)).clip(0, 255).astype(np.uint8)
    return replace(features, descriptors=roots, descriptor_kind="rootsift")


def measure(
    f: Features,
    g: Features,
    cameras: tuple[Camera, Camera],
    truth: RelativePose,
    seeds: Sequence[int],
    ratio: float = DEFAULT_RATIO,
) -> PoseRow:
    """Match two views, estimate their relative pose and compare both with the truth.

    Parameters
    ----------
    f, g
        Features of the two views, with RootSIFT descriptors.
    cameras
        Those of the views, at the size at which the features were found.
    truth
        The true pose.
    seeds
        Of the estimates.
    ratio
        Ratio of the mutual nearest-neighbour test.
    """
    rows_f, rows_g = nearest.match(f, g, ratio=ratio, mutual=True, threads=1).pairs.T
    first, second = (x.xy[rows].astype(np.float64) + PIXEL_CENTRE for x, rows in ((f, rows_f), (g, rows_g)))
    distance = sampson_errors(first, second, fundamental_of(truth, *cameras))
    true = distance < TRUE_MATCH_PX
    errors = [_error(estimate_pose(first, second, cameras, seed), truth) for seed in seeds]
    return PoseRow(
        n_first=len(f),
        n_second=len(g),
        n_putative=len(first),
        n_true=int(np.count_nonzero(true)),
        true_median_px=float(np.median(distance[true])) if true.any() else float("nan"),
        coverage=covered(first[true], cameras[0]),
        pose_error_deg=float(np.median(errors)),
        **{
            f"auc_{limit}deg": float(np.mean([auc_share(e, limit) for e in errors]))
            for limit in AUC_LIMITS_DEG
        },
    )


def covered(points: NDArray[np.float64], camera: Camera) -> float:
    """The share of the grid's cells with a point (N, 2)."""
    cells = np.floor(points * GRID / (camera.width, camera.height)).clip(0, GRID - 1)
    return len(np.unique(cells, axis=0)) / GRID**2


def _error(estimated: RelativePose | None, truth: RelativePose) -> float:
    return WRONG_DEG if estimated is None else pose_error_deg(estimated, truth)


def estimate_pose(
    first: NDArray[np.float64], second: NDArray[np.float64], cameras: tuple[Camera, Camera], seed: int
) -> RelativePose | None:
    """PoseLib's pose from matched places (M, 2) in the coordinates of the cameras; None without one."""
    if len(first) < MIN_MATCHES:
        return None
    return estimators.relative_pose(first, second, cameras, MAX_ERROR_PX, seed)

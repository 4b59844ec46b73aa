"""The features of two views with known cameras -> rows of numbers, one for each geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...features import Features
from ...matching import nearest
from ...matching.options import DEFAULT_RATIO
from ...matching.residuals import sampson_errors
from ...views.planar import Matrix, map_points
from .cameras import PIXEL_CENTRE, WRONG_DEG, Camera, RelativePose, auc_share, fundamental_of, pose_error_deg
from .estimation import Cameras, Points, estimate_pose
from .options import AUC_LIMITS_DEG

TRUE_MATCH_PX = 2.0
"""Sampson distance from the true geometry below which a match is true."""
GRID = 10
"""Cells along each side of the grid that true matches cover."""


@dataclass(frozen=True, kw_only=True)
class PoseRow:
    """What was measured for one detector on one pair of views, in one geometry."""

    geometry: str
    n_first: int
    n_second: int
    n_putative: int
    n_true: int
    true_median_px: float
    """Median distance of the true matches from the true geometry; NaN if there is none."""
    coverage: float
    """Share of the cells of a 10 × 10 grid over the first view with a true match."""
    pose_error_deg: float
    """Median over the seeds."""
    auc_1deg: float
    """Mean over the seeds of max(0, 1 - error / 1°): the pair's part of the area under the curve."""
    auc_3deg: float
    auc_5deg: float
    auc_10deg: float
    maa_10deg: float
    """Mean over the seeds of the share of the limits 1°, 2°, … 10° that the error keeps to."""

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON."""
        return asdict(self)


def moved_back(features: Features, to_original: Matrix) -> Features:
    """Features of a changed view at their places in the original; those outside of it are left out."""
    xy = map_points(to_original, features.xy)
    width, height = features.image_size
    inside = np.all((xy >= -PIXEL_CENTRE) & (xy <= (width - PIXEL_CENTRE, height - PIXEL_CENTRE)), axis=1)
    return replace(features, xy=xy.astype(np.float32)).select(inside)


def as_rootsift(features: Features) -> Features:
    """The same with descriptors as RootSIFT (Arandjelović and Zisserman, CVPR 2012), whoever made them."""
    if features.descriptor_kind == "rootsift":
        return features
    raw = features.descriptors.astype(np.float64)
    shares = raw / np.maximum(raw.sum(axis=1, keepdims=True), 1)
    roots = np.rint(512 * np.sqrt(shares)).clip(0, 255).astype(np.uint8)
    return replace(features, descriptors=roots, descriptor_kind="rootsift")


def measure(
    f: Features,
    g: Features,
    cameras: Cameras,
    truth: RelativePose,
    seeds: Sequence[int],
    geometries: Sequence[str] = ("essential",),
    ratio: float = DEFAULT_RATIO,
) -> list[PoseRow]:
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
    geometries
        What is estimated, as for :func:`~siftcli.evaluation.poses.estimation.estimate_pose`.
    ratio
        Ratio of the mutual nearest-neighbour test.
    """
    rows_f, rows_g = nearest.match(f, g, ratio=ratio, mutual=True, threads=1).pairs.T
    first, second = (x.xy[rows].astype(np.float64) + PIXEL_CENTRE for x, rows in ((f, rows_f), (g, rows_g)))
    distance = sampson_errors(first, second, fundamental_of(truth, *cameras))
    true = distance < TRUE_MATCH_PX
    return [
        PoseRow(
            geometry=geometry,
            n_first=len(f),
            n_second=len(g),
            n_putative=len(first),
            n_true=int(np.count_nonzero(true)),
            true_median_px=float(np.median(distance[true])) if true.any() else float("nan"),
            coverage=covered(first[true], cameras[0]),
            **_accuracy([_error(estimate_pose(first, second, cameras, s, geometry), truth) for s in seeds]),
        )
        for geometry in geometries
    ]


def covered(points: Points, camera: Camera) -> float:
    """The share of the grid's cells with a point (N, 2)."""
    cells = np.floor(points * GRID / (camera.width, camera.height)).clip(0, GRID - 1)
    return len(np.unique(cells, axis=0)) / GRID**2


def _error(estimated: RelativePose | None, truth: RelativePose) -> float:
    return WRONG_DEG if estimated is None else pose_error_deg(estimated, truth)


def _accuracy(errors: Sequence[float]) -> dict[str, float]:
    """What the errors of a pair's estimates, one for each seed, amount to."""
    found: NDArray[np.float64] = np.array(errors)
    limits = np.arange(1, 11)
    areas = {f"auc_{t}deg": float(np.mean([auc_share(e, t) for e in errors])) for t in AUC_LIMITS_DEG}
    maa = float(np.mean(found[:, None] <= limits))
    return {"pose_error_deg": float(np.median(found)), "maa_10deg": maa, **areas}

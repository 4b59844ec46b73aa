"""Robust estimates by PoseLib: homographies, fundamental matrices and relative poses of cameras.

PoseLib (Larsson, Persson and others) runs LO-RANSAC with a truncated quadratic score, and minimises a robust
loss over the inliers of the best model. The seed is fixed, so the same matches give the same model.

Models are estimated with smaller tolerances than the one that tells inliers. Most features are localised
within a tenth or two of a pixel, and a wrong match is near an epipolar line more often than near a point.

The uncertainty of a position is proportional to σ. PoseLib has one tolerance for all matches, so epipolar
geometry is also estimated from the smaller features alone, with a smaller tolerance. If there are several
candidates, the one with the best score over all matches wins. There the tolerance of each match is
proportional to √σ.

Local optimisation takes most of the time, in proportion to the matches. So each search uses a sample of them,
and only the winner is refined with all. Decision 36 has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from .._poselib import import_poselib
from .cameras import Camera, RelativePose
from .residuals import Floats, Matrix, Points, sampson_errors

CONFIDENCE = 0.9999
MIN_ITERATIONS, MAX_ITERATIONS = 100, 10_000
"""Iterations of the random search; it stops at ``CONFIDENCE``."""
EPIPOLAR_MIN_ITERATIONS = 20
"""As ``MIN_ITERATIONS``, for epipolar geometry."""
MAX_SEARCHED = 1000
"""Matches that a search for epipolar geometry uses at most, evenly spaced."""
PATIENCE = 3
"""PoseLib's factor for the number of iterations that theory asks for."""
REFINEMENT_ITERATIONS = 10
SEED = 0
HOMOGRAPHY_TOLERANCE_PX = 2.0
"""Tolerance of a homography; few surfaces are exactly planar."""
LOSS_SCALE_PX = 0.1
"""Width of Cauchy's loss in the refinement of epipolar geometry."""
SCORE_TOLERANCE_PX = 0.25
"""Tolerance at the median σ when candidates are compared."""
LEAST_CHOSEN = 30
"""The smaller features alone are used only if there are this many of them."""
LEAST_REFINED = 8
"""Matches within the search's tolerance that determine a refinement."""


class Search(NamedTuple):
    """One random search."""

    tolerance_px: float
    smallest: float = 1.0
    """Fraction of the matches, those with the smallest σ, that are used."""


FUNDAMENTAL_SEARCHES = (Search(0.5), Search(0.35, 0.7), Search(0.25, 0.5))
ESSENTIAL_SEARCHES = (Search(0.35, 0.7),)

_UNREFINED = {"max_iterations": 0}
_REFINEMENT = {"loss_type": "CAUCHY", "loss_scale": LOSS_SCALE_PX, "max_iterations": REFINEMENT_ITERATIONS}

Candidate = TypeVar("Candidate")


def homography(
    first: Points, second: Points, scale: Floats, max_error: float, max_iterations: int = MAX_ITERATIONS
) -> Matrix | None:
    """Estimate a point map from at least 4 matches.

    Parameters
    ----------
    first, second
        (M, 2) positions in pixels.
    scale
        (M,) σ of the matched features in pixels; not used.
    max_error
        Maximum error of an inlier in pixels; larger than ``HOMOGRAPHY_TOLERANCE_PX`` has no effect.
    max_iterations
        Maximum number of iterations (:func:`enough_iterations`); the minimum is kept.

    Returns
    -------
    model
        (3, 3) float64, or None if there is none.
    """
    poselib = import_poselib()  # late: it is not needed by detection

    options = {
        "max_reproj_error": min(max_error, HOMOGRAPHY_TOLERANCE_PX),
        **_options(MIN_ITERATIONS, max_iterations),
    }
    matrix, found = poselib.estimate_homography(first, second, options, {})
    return _finite(matrix) if found["num_inliers"] >= 4 else None


def fundamental(
    first: Points, second: Points, scale: Floats, max_error: float, max_iterations: int = MAX_ITERATIONS
) -> Matrix | None:
    """Estimate F with x₂ᵀ F x₁ = 0 from at least 8 matches; parameters as for :func:`homography`."""
    poselib = import_poselib()

    def estimate(rows: NDArray[np.intp], tolerance: float) -> Matrix | None:
        options = {"max_epipolar_error": tolerance, **_options(EPIPOLAR_MIN_ITERATIONS, max_iterations)}
        matrix, found = poselib.estimate_fundamental(first[rows], second[rows], options, _UNREFINED)
        return _finite(matrix) if found["num_inliers"] >= 8 else None

    def refine(matrix: Matrix, rows: NDArray[np.intp]) -> Matrix | None:
        refined, _ = poselib.refine_fundamental(first[rows], second[rows], matrix, _REFINEMENT)
        return _finite(refined)

    def errors(matrix: Matrix) -> Floats:
        return sampson_errors(first, second, matrix)

    return _best(FUNDAMENTAL_SEARCHES, estimate, refine, errors, scale, max_error)


def relative_pose(
    first: Points,
    second: Points,
    scale: Floats,
    max_error: float,
    cameras: tuple[Camera, Camera],
    max_iterations: int = MAX_ITERATIONS,
) -> RelativePose | None:
    """Estimate the relative pose of known cameras from at least 5 matches.

    Parameters
    ----------
    first, second, scale, max_error, max_iterations
        As for :func:`homography`.
    cameras
        Of the first and of the second image.
    """
    poselib = import_poselib()

    both = tuple(map(_poselib_camera, cameras))

    def estimate(rows: NDArray[np.intp], tolerance: float) -> RelativePose | None:
        options = {"max_epipolar_error": tolerance, **_options(EPIPOLAR_MIN_ITERATIONS, max_iterations)}
        pose, found = poselib.estimate_relative_pose(first[rows], second[rows], *both, options, _UNREFINED)
        return _relative_pose(pose) if found["num_inliers"] >= 5 else None

    def refine(pose: RelativePose, rows: NDArray[np.intp]) -> RelativePose | None:
        start = poselib.CameraPose()
        start.R, start.t = pose.rotation, pose.direction
        refined, _ = poselib.refine_relative_pose(first[rows], second[rows], start, *both, _REFINEMENT)
        return _relative_pose(refined)

    def errors(pose: RelativePose) -> Floats:
        return sampson_errors(first, second, pose.fundamental(*cameras))

    return _best(ESSENTIAL_SEARCHES, estimate, refine, errors, scale, max_error)


def _best(
    searches: tuple[Search, ...],
    estimate: Callable[[NDArray[np.intp], float], Candidate | None],
    refine: Callable[[Candidate, NDArray[np.intp]], Candidate | None],
    errors: Callable[[Candidate], Floats],
    scale: Floats,
    max_error: float,
) -> Candidate | None:
    """The candidate of the searches with the highest score, the first of equal ones, refined.

    Where one search finds little, the others are left out: the images have mostly nothing in common then,
    and searches for what is not there are the longest.
    """
    best, near, highest = None, np.empty(0, np.intp), -math.inf
    for search in searches:
        tolerance = min(search.tolerance_px, max_error)
        rows = _smallest(scale, search.smallest)
        candidate = estimate(_evenly_spaced(rows), tolerance)
        if candidate is None:
            break
        its_errors = errors(candidate)
        score = _score(its_errors, scale, max_error)
        if score > highest:
            best, near, highest = candidate, rows[its_errors[rows] <= tolerance], score
        if np.sum(its_errors <= max_error) < LEAST_CHOSEN:
            break
    if best is None or len(near) < LEAST_REFINED:
        return best
    refined = refine(best, near)
    return best if refined is None else refined


def _smallest(scale: Floats, share: float) -> NDArray[np.intp]:
    """Sorted rows of this share of the features, those with the smallest σ; of all if that were too few."""
    n = len(scale)
    n_chosen = math.ceil(share * n)
    n_chosen = n_chosen if n_chosen >= LEAST_CHOSEN else n
    return np.sort(np.argsort(scale, kind="stable")[:n_chosen])


def _evenly_spaced(rows: NDArray[np.intp]) -> NDArray[np.intp]:
    """At most ``MAX_SEARCHED`` of these rows."""
    if len(rows) <= MAX_SEARCHED:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MAX_SEARCHED).astype(np.intp)]


def _score(errors: Floats, scale: Floats, max_error: float) -> float:
    """Truncated quadratic score of the errors, relative to tolerances proportional to √σ."""
    width = min(SCORE_TOLERANCE_PX, max_error) * np.sqrt(scale / np.median(scale))
    return float(np.sum(1 - np.minimum(errors / width, 1) ** 2))


def enough_iterations(n_matches: int, n_inliers: int, n_sampled: int) -> int:
    """Iterations after which a model with this many inliers has been found, by PoseLib's own rule.

    A sample consists of inliers alone with the probability C(k, s) / C(n, s). The search ends when one such
    sample has been drawn with ``CONFIDENCE``, and then goes on for ``PATIENCE`` times as long, as not every
    such sample gives a good model.
    """
    drawn = np.arange(n_sampled)
    share = float(np.prod((n_inliers - drawn) / (n_matches - drawn)))
    if share >= CONFIDENCE:
        return 1
    return math.ceil(min(MAX_ITERATIONS, PATIENCE * math.log(1 - CONFIDENCE) / math.log1p(-share)))


def _options(min_iterations: int, max_iterations: int) -> dict[str, Any]:
    return {
        "success_prob": CONFIDENCE,
        "min_iterations": min_iterations,
        "max_iterations": max(min_iterations, max_iterations),
        "seed": SEED,
    }


def _finite(values: Any) -> Matrix | None:
    array = np.array(values, dtype=np.float64)
    return array if np.isfinite(array).all() else None


def _relative_pose(pose: Any) -> RelativePose | None:
    """From PoseLib's; None if it is not finite, or its translation has no direction."""
    rotation, translation = _finite(pose.R), _finite(pose.t)
    if rotation is None or translation is None or not translation.any():
        return None
    return RelativePose(rotation=rotation, direction=translation / np.linalg.norm(translation))


def _poselib_camera(camera: Camera) -> dict[str, Any]:
    # PoseLib reads width and height only to guess a focal length, which is given.
    params = [camera.fx, camera.fy, camera.cx, camera.cy]
    return {"model": "PINHOLE", "width": 1, "height": 1, "params": params}

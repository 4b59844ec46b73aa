"""Whether matches agree with a model better than chance explains: an a-contrario test.

Moisan and Stival ("A probabilistic criterion to detect rigid point matches between two images
and estimate the fundamental matrix", IJCV 57(3), 2004, section 3) count how many models of this
quality are expected among matches that have nothing to do with each other: the number of false
alarms, NFA. Moulon, Monasse and Marlet ("Adaptive structure from motion with a contrario model
estimation", ACCV 2012, section 3) extend it to homographies. With the tolerance given,

    NFA = m · C(n, k) · C(k, s) · p^(k - s)

for k of n independent matches, samples of s matches that give up to m models each, and a
probability p that a random match falls within the tolerance. C(n, k) · C(k, s) counts the choices
that a search maximises over.

Two assumptions of the papers do not hold for real images, and are replaced:

* Matches are not independent: a keypoint may have several orientations, and one structure several
  keypoints. Inliers closer to each other than the tolerance, in either image, count once.
* Points are not uniform over the image. The probability is not only that of the area, but at
  least what is measured: the share of *wrong* pairs, made by exchanging the partners of matches,
  that fall within the tolerance as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

MAX_LOG10_NFA = -3.0
"""A model is accepted below it: less than one false model is expected among 1,000 unrelated pairs."""
SAMPLE_SIZES = {"similarity": 2, "homography": 4, "fundamental": 7}
MODELS_PER_SAMPLE = {"similarity": 1, "homography": 1, "fundamental": 3}
"""Seven matches give up to three fundamental matrices (Hartley and Zisserman, section 11.1.2)."""
MIN_SPREAD = 2.0
"""Standard deviation of the inliers' positions, over the tolerance, below which they determine no model."""
MAX_EXCHANGED = 300
"""So many matches, evenly spaced in their order, exchange their partners: 89,700 pairs at most."""

Points = NDArray[np.float64]
Rows = NDArray[np.intp]
Errors = Callable[[Points, Points], NDArray[np.float64]]
"""The errors (M,) in pixels of M pairs of points under a model."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a model."""

    log10_nfa: float
    """Decimal logarithm of the number of false alarms."""
    is_spread: bool
    """Whether the inliers are far enough apart to determine the model."""


def weigh(
    kind: str,
    errors: Errors,
    first: Points,
    second: Points,
    inliers: NDArray[np.bool_],
    max_error: float,
    image_size: tuple[int, int],
) -> Evidence:
    """Weigh what speaks for a model.

    Parameters
    ----------
    kind
        ``"similarity"``, ``"homography"`` or ``"fundamental"``.
    errors
        The errors of pairs of points under the model.
    first, second
        (M, 2) matched positions in pixels.
    inliers
        (M,) whether a match is within ``max_error``.
    max_error
        Tolerance in pixels.
    image_size
        (width, height) of the second image.
    """
    rows, others = np.flatnonzero(inliers), np.flatnonzero(~inliers)
    rows = rows[independent(first[rows], second[rows], max_error)]
    exchanged = rows if kind == "fundamental" else np.sort(np.concatenate([rows, others]))
    probability = max(
        probability_of_area(kind, max_error, image_size),
        probability_of_exchange(errors, first[exchanged], second[exchanged], max_error),
    )
    return Evidence(
        log10_nfa=log10_false_alarms(kind, len(rows) + len(others), len(rows), probability),
        is_spread=all(_is_spread(kind, xy[rows], max_error) for xy in (first, second)),
    )


def log10_false_alarms(kind: str, n: int, k: int, probability: float) -> float:
    """Decimal logarithm of the NFA of k inliers among n independent matches; not below 0 for k ≤ s."""
    s, m = SAMPLE_SIZES[kind], MODELS_PER_SAMPLE[kind]
    if k <= s:
        return math.log10(m) + _log10_choose(max(n, s), s)
    # C(n, k) · C(k, s) = C(n, s) · C(n - s, k - s)
    choices = _log10_choose(n, s) + _log10_choose(n - s, k - s)
    return math.log10(m) + choices + (k - s) * math.log10(min(probability, 1.0))


def probability_of_area(kind: str, max_error: float, image_size: tuple[int, int]) -> float:
    """Probability that a uniformly random point of the second image is within the tolerance.

    For a point map that is the area of the disc over that of the image, π e² / (w h). For a
    fundamental matrix it is the area of the band along an epipolar line that is at most as long
    as the diagonal, 2 e √(w² + h²) / (w h) (Moisan and Stival, section 3.2).
    """
    width, height = image_size
    band = 2 * max_error * math.hypot(width, height)
    tolerated = band if kind == "fundamental" else math.pi * max_error**2
    return min(tolerated / (width * height), 1.0)


def probability_of_exchange(errors: Errors, first: Points, second: Points, max_error: float) -> float:
    """Share of wrong pairs within the tolerance: each first point with the partners of all the others.

    It is above the share of the area where points crowd, lie on lines or in rows. For a point map
    all matches exchange partners; for a fundamental matrix the inliers do, because rows of windows
    agree with lines along them, whichever window is matched to which.
    """
    n = len(first)
    if n < 2:
        return 0.0
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_EXCHANGED)).astype(np.intp))
    i, j = (chosen[index] for index in np.nonzero(~np.eye(len(chosen), dtype=bool)))
    return float(np.mean(errors(first[i], second[j]) <= max_error))


def independent(first: Points, second: Points, radius: float) -> Rows:
    """Rows of matches of which no two are within the radius of each other, in either image.

    Greedy: the earlier row stays. Beforehand one row a cell of that diagonal is kept, so that
    crowded points have few neighbours.
    """
    rows = np.arange(len(first))
    for xy in (first, second):
        _, earliest = np.unique(np.floor(xy[rows] * (math.sqrt(2) / radius)), axis=0, return_index=True)
        rows = rows[np.sort(earliest)]
    near = np.concatenate(
        [cKDTree(xy[rows]).query_pairs(radius, output_type="ndarray") for xy in (first, second)]
    )
    stays = [True] * len(rows)
    for earlier, later in near[np.argsort(near[:, 0], kind="stable")].tolist():
        if stays[earlier]:
            stays[later] = False
    return np.asarray(rows[np.array(stays, dtype=bool)])


def _is_spread(kind: str, xy: Points, max_error: float) -> bool:
    """Whether points determine a model.

    On one line they determine a similarity, but neither a homography nor a fundamental matrix;
    at one place they determine nothing.
    """
    shorter, longer = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(xy.T, bias=True)), 0))
    return bool((longer if kind == "similarity" else shorter) >= MIN_SPREAD * max_error)


def _log10_choose(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(10)

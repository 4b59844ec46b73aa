"""An a-contrario test: whether the inliers of a model are explained by chance.

Moisan and Stival ("A probabilistic criterion to detect rigid point matches between two images and
estimate the fundamental matrix", IJCV 57(3), 2004, section 3) estimate how many models of this
quality are expected among unrelated matches. This is the number of false alarms (NFA). Moulon,
Monasse and Marlet ("Adaptive structure from motion with a contrario model estimation", ACCV 2012,
section 3) extend it to homographies. With the tolerance given,

    NFA = m · C(n, k) · C(k, s) · p^(k - s)

for k inliers among n independent matches, minimal samples of s matches that give up to m models each,
and a probability p that a random match lies within the tolerance. C(n, k) · C(k, s) is the number of
choices of inliers and samples that a search can make.

Two assumptions of the papers do not hold for real images and are replaced:

* Matches are not independent: a keypoint may have several orientations, and one structure several
  keypoints. Inliers that are closer to each other than the tolerance in either image count once.
* Points are not uniformly distributed over the image. So p is the larger of two values: the
  probability by area, and the measured fraction of *wrong* pairs within the tolerance. Wrong pairs are
  made by exchanging the partners of matches.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_LOG10_NFA = -3.0
"""Models are accepted below this: one false model is expected in 1,000 unrelated image pairs."""
SAMPLE_SIZES = {"similarity": 2, "homography": 4, "fundamental": 7, "essential": 5}
MODELS_PER_SAMPLE = {"similarity": 1, "homography": 1, "fundamental": 3, "essential": 10}
"""Seven matches determine up to three fundamental matrices (Hartley and Zisserman, section 11.1.2), five
up to ten essential ones (Nister, PAMI 26(6), 2004, section 3.2)."""
EPIPOLAR = ("fundamental", "essential")
"""Models that constrain a point to a line."""
MIN_SPREAD = 2.0
"""Minimum standard deviation of the inliers' positions, in units of the tolerance."""
MAX_EXCHANGED = 300
"""Maximum number of matches, evenly spaced, that exchange their partners; 89,700 pairs at most."""

_HALF_OF_THE_CELLS_AROUND = tuple(complex(x, y) for x in range(3) for y in range(-2, 3) if (x, y) > (0, 0))

Points = NDArray[np.float64]
Rows = NDArray[np.intp]
Errors = Callable[[Points, Points], NDArray[np.float64]]
"""The errors in pixels of pairs of points (..., 2) under a model; the arguments broadcast."""


@dataclass(frozen=True)
class Evidence:
    """The evidence for a model."""

    log10_nfa: float
    """log₁₀ of the number of false alarms."""
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
    """Evaluate the evidence for a model.

    Parameters
    ----------
    kind
        ``"similarity"``, ``"homography"``, ``"fundamental"`` or ``"essential"``.
    errors
        A function from points (..., 2) of both images to the errors (...) in pixels under the model.
    first, second
        (M, 2) matched positions in pixels.
    inliers
        (M,) bool, whether a match is within ``max_error``.
    max_error
        Tolerance in pixels.
    image_size
        (width, height) of the second image.
    """
    rows, others = np.flatnonzero(inliers), np.flatnonzero(~inliers)
    rows = rows[independent(first[rows], second[rows], max_error)]
    exchanged = rows if kind in EPIPOLAR else np.sort(np.concatenate([rows, others]))
    probability = max(
        probability_of_area(kind, max_error, image_size),
        probability_of_exchange(errors, first[exchanged], second[exchanged], max_error),
    )
    return Evidence(
        log10_nfa=log10_false_alarms(kind, len(rows) + len(others), len(rows), probability),
        is_spread=all(_is_spread(kind, xy[rows], max_error) for xy in (first, second)),
    )


def log10_false_alarms(kind: str, n: int, k: int, probability: float) -> float:
    """log₁₀ of the NFA of k inliers among n independent matches; at least 0 for k ≤ s."""
    s, m = SAMPLE_SIZES[kind], MODELS_PER_SAMPLE[kind]
    if k <= s:
        return math.log10(m) + _log10_choose(max(n, s), s)
    # C(n, k) · C(k, s) = C(n, s) · C(n - s, k - s)
    choices = _log10_choose(n, s) + _log10_choose(n - s, k - s)
    return math.log10(m) + choices + (k - s) * math.log10(min(probability, 1.0))


def fewest_inliers(kind: str, n: int, max_error: float, image_size: tuple[int, int]) -> int | None:
    """The fewest inliers among n matches whose model may be accepted; None if even n are too few.

    It is a lower bound: matches may depend on each other, and wrong ones may agree more often than by area.
    """
    probability = probability_of_area(kind, max_error, image_size)
    counts = range(SAMPLE_SIZES[kind] + 1, n + 1)
    return next((k for k in counts if log10_false_alarms(kind, n, k, probability) < MAX_LOG10_NFA), None)


def probability_of_area(kind: str, max_error: float, image_size: tuple[int, int]) -> float:
    """Probability that a uniformly random point of the second image is within the tolerance.

    For a point map, it is the area of a disc over that of the image: π e² / (w h). For a fundamental
    matrix, it is the area of a band along an epipolar line, which is at most as long as the diagonal:
    2 e √(w² + h²) / (w h) (Moisan and Stival, section 3.2).
    """
    width, height = image_size
    band = 2 * max_error * math.hypot(width, height)
    tolerated = band if kind in EPIPOLAR else math.pi * max_error**2
    return min(tolerated / (width * height), 1.0)


def probability_of_exchange(errors: Errors, first: Points, second: Points, max_error: float) -> float:
    """Fraction of wrong pairs within the tolerance, each point being paired with the other points' partners.

    It exceeds the probability by area if points are clustered or collinear. For a point map, all
    matches exchange partners. For a fundamental matrix, only the inliers do, because a row of windows
    agrees with an epipolar line along it however the windows are matched.
    """
    n = len(first)
    if n < 2:
        return 0.0
    chosen = np.unique(np.linspace(0, n - 1, min(n, MAX_EXCHANGED)).astype(np.intp))
    is_near = errors(first[chosen, None], second[chosen]) <= max_error
    np.fill_diagonal(is_near, False)
    return float(np.count_nonzero(is_near) / (len(chosen) * (len(chosen) - 1)))


def independent(first: Points, second: Points, radius: float) -> Rows:
    """Select matches so that no two are within the radius of each other in either image.

    The selection is greedy: the earlier match is kept. First, one match is kept in each grid cell whose
    diagonal is the radius, so that clustered points have few neighbours. Returns sorted indices.
    """
    rows = np.arange(len(first))
    for xy in (first, second):
        _, earliest = np.unique(_cells(xy[rows], radius), return_index=True)
        rows = rows[np.sort(earliest)]
    near = np.concatenate([_near_pairs(xy[rows], radius) for xy in (first, second)])
    stays = [True] * len(rows)
    for earlier, later in near[np.argsort(near[:, 0], kind="stable")].tolist():
        if stays[earlier]:
            stays[later] = False
    return np.asarray(rows[np.array(stays, dtype=bool)])


def _cells(xy: Points, radius: float) -> NDArray[np.complex128]:
    """(M,) the column and the row of each point's cell in a grid of cells whose diagonal is the radius."""
    column, row = np.floor(xy * (math.sqrt(2) / radius)).T
    return np.asarray(column + 1j * row)


def _near_pairs(xy: Points, radius: float) -> Rows:
    """(P, 2) pairs of points within the radius of each other, the earlier first; at most one point a cell.

    They are at most two cells apart. Half of these cells are looked up, as the other half look back.
    """
    order = np.argsort(_cells(xy, radius))
    xy = xy[order]
    cells = _cells(xy, radius)
    found = []
    for step in _HALF_OF_THE_CELLS_AROUND:
        others = np.minimum(np.searchsorted(cells, cells + step), len(cells) - 1)
        rows = np.flatnonzero(cells[others] == cells + step)
        others = others[rows]
        is_near = np.sum((xy[rows] - xy[others]) ** 2, axis=1) <= radius**2
        found.append(np.column_stack([order[rows], order[others]])[is_near])
    return np.sort(np.concatenate(found), axis=1)


def _is_spread(kind: str, xy: Points, max_error: float) -> bool:
    """Whether points (M, 2) are spread enough to determine a model.

    Collinear points determine a similarity, but neither a homography nor a fundamental matrix.
    Coincident points determine nothing.
    """
    shorter, longer = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(xy.T, bias=True)), 0))
    return bool((longer if kind == "similarity" else shorter) >= MIN_SPREAD * max_error)


def _log10_choose(n: int, k: int) -> float:
    return (math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)) / math.log(10)

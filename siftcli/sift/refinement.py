"""Integer extrema to refined, filtered keypoints (Lowe, sections 4 and 4.1; IPOL, algorithms 6 to 9).

There are two ways. Lowe's is a quadratic through neighbouring samples (``interpolation.py``). The other
(``fit_window``) goes beyond the papers: least-squares fits to more samples (``local_fit.py``), which noise
moves less than differences of two, give Newton's steps in position and scale, until they stay. Contrast and
curvatures are those of the last fit, which alone is by five planes or all that there are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel, subroutine
from ..kernels.parallel_for import numbers_taken
from ..kernels.prefetch import fetch_square
from ..kernels.threads import Threads
from ..params import KeypointParams
from .duplicates import NONE_CARRIED, merge_same_places
from .interpolation import derivatives, extremum, plane_at_scale, refit_position
from .least_squares import (
    N_FILTERS,
    REACH,
    fill_filters,
    fill_nearest_planes,
    fill_patch,
    last_step,
    newton_step,
    workspace,
)
from .scale_space import Strip

KEPT, UNSTABLE, LOW_CONTRAST, EDGE = 0, 1, 2, 3
"""What became of a candidate."""

_ROUNDS = 12
"""Most times that a keypoint is fitted by least squares; two to four are the rule."""

_SAMPLES_PER_CANDIDATE = 512
"""Work of refining a candidate, in the units of ``Threads.over_keypoints``."""


@dataclass(frozen=True)
class Keypoints:
    """N refined extrema."""

    octave: NDArray[np.int16]
    """(N,) number of the octave."""
    xy: NDArray[np.float64]
    """(N, 2) positions in input pixels."""
    sigma: NDArray[np.float64]
    """(N,) σ in input pixels."""
    value: NDArray[np.float64]
    """(N,) interpolated DoG value."""
    response: NDArray[np.float32]
    """(N,) by which the strongest are told; see :class:`siftcli.Features`."""

    def __len__(self) -> int:
        return len(self.xy)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Keypoints:
        """The keypoints of these rows, in that order."""
        return Keypoints(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def concatenate(parts: Sequence[Keypoints]) -> Keypoints:
        """All of the parts, in order."""
        none = Keypoints(
            np.empty(0, np.int16), np.empty((0, 2)), np.empty(0), np.empty(0), np.empty(0, np.float32)
        )
        return Keypoints(
            *(np.concatenate([getattr(p, f.name) for p in (none, *parts)]) for f in fields(Keypoints))
        )


def refine(
    strip: Strip,
    candidates: NDArray[np.int32],
    params: KeypointParams,
    threads: Threads,
    carried: NDArray[np.float64] = NONE_CARRIED,
) -> tuple[Keypoints, dict[str, int], NDArray[np.float64]]:
    """Fit a quadratic around each candidate and keep those that are stable, strong and no edge.

    Parameters
    ----------
    strip
        The Gaussian levels.
    candidates
        (N, 3) DoG index, row and column.
    params
        Thresholds of the refinement and of the rejections.
    threads
        Where the candidates are shared out.
    carried
        What the strip before left to be merged with this one's.

    Returns
    -------
    keypoints
        Those kept, each once, in the order of their first candidates.
    removed
        How many candidates each filter removed.
    carried
        (N, 5) x, y, level, value and roundness of those that may be the same as one of the next strip's.
    """
    refined = np.empty((len(candidates), 5))
    fate = np.empty(len(candidates), np.uint8)
    contrast = params.contrast_threshold / strip.n_scales
    limits = (
        params.max_offset,
        params.max_moves,
        contrast,
        least_roundness(params),
        params.fit_window * strip.sigma,
        params.fit_tolerance or math.inf,
    )
    place = strip.levels, strip.first_row, *strip.shape
    threads.over_keypoints(
        len(candidates),
        len(candidates) * _SAMPLES_PER_CANDIDATE,
        lambda n_taken: _refine(*place, candidates, *limits, refined, fate, n_taken),
    )
    kept = np.concatenate((carried, refined[fate == KEPT]))
    last_y = math.inf if strip.is_last else strip.rows[1] - reach_of_refinement(params)
    unique, carried = merge_same_places(kept, params.merge_distance, last_y)
    n_of_fate = np.bincount(fate, minlength=EDGE + 1)
    xy, (level, value, roundness) = strip.to_input(unique[:, :2]), unique[:, 2:].T
    sigma, to_border = strip.sigma_of(level), strip.distance_to_border(xy)
    nearness = _nearness(sigma, to_border, params)
    keypoints = Keypoints(
        octave=np.full(len(unique), strip.number, np.int16),
        xy=xy,
        sigma=sigma,
        value=value,
        response=_response(value, roundness, sigma, params) * nearness,
    )
    is_large = keypoints.sigma >= params.min_sigma
    stability = _stability(value, roundness, sigma, contrast, params) * nearness
    is_strong = stability >= np.float32(params.response_threshold * contrast)
    removed = {
        "unstable": int(n_of_fate[UNSTABLE]),
        "low_contrast": int(n_of_fate[LOW_CONTRAST]),
        "edge": int(n_of_fate[EDGE]),
        "duplicate": len(kept) - len(unique) - len(carried),
        "too_small": int(np.sum(~is_large)),
        "low_response": int(np.sum(is_large & ~is_strong)),
    }
    return keypoints.select(is_large & is_strong), removed, carried


def _stability(
    value: NDArray[np.float64],
    roundness: NDArray[np.float64],
    sigma: NDArray[np.float64],
    contrast: float,
    params: KeypointParams,
) -> NDArray[np.float32]:
    """Contrast · roundness^q · σ^p: of equal contrast, a large and round structure is found again more often.

    With ``response_excess`` the contrast is what |DoG| has beyond ``contrast``.
    """
    counted = np.maximum(np.abs(value) - contrast * params.response_excess, 0)
    return _scored(counted, roundness**params.roundness_power, sigma**params.response_power)


def _response(
    value: NDArray[np.float64],
    roundness: NDArray[np.float64],
    sigma: NDArray[np.float64],
    params: KeypointParams,
) -> NDArray[np.float32]:
    """|DoG| · roundness^r · σ^s: of equal contrast, a small structure is placed more exactly."""
    return _scored(np.abs(value), roundness**params.ranking_roundness, sigma**params.ranking_power)


def _scored(*factors: NDArray[np.float64]) -> NDArray[np.float32]:
    return np.asarray(np.prod(factors, axis=0), np.float32)


def _nearness(
    sigma: NDArray[np.float64], to_border: NDArray[np.float64], params: KeypointParams
) -> NDArray[np.float32]:
    """Factor of both: what lies beyond the border is padding, which differs from view to view."""
    if params.border_reach == 0:
        return np.ones(len(sigma), np.float32)
    distance = np.maximum(to_border, 0) / (params.border_reach * sigma)
    return np.asarray(-np.expm1(-(distance**2)), np.float32)


def least_contrast(
    sigma: NDArray[np.float64], contrast: float, params: KeypointParams
) -> NDArray[np.float64]:
    """|DoG| that a round keypoint of a σ in input pixels needs; ``contrast`` is what any keypoint needs."""
    needed = contrast * params.response_threshold / sigma**params.response_power
    return np.maximum(needed + contrast * params.response_excess, contrast)


def least_roundness(params: KeypointParams) -> float:
    """That of curvatures whose ratio is ``edge_threshold`` (Lowe, section 4.1)."""
    return 4 / (params.edge_threshold + 2 + 1 / params.edge_threshold)


def reach_of_refinement(params: KeypointParams) -> float:
    """Rows within which a candidate's keypoint lies, and whatever is the same as it.

    The last offset may be a sample, and the last step of the fit another.
    """
    return params.max_moves + 2 + params.merge_distance


@subroutine
def _fetch_patch(levels, first_row, height, width, candidates, n):
    """Ask for the samples of a candidate's first fit."""
    if n < len(candidates):
        i, y, x = candidates[n, 0], candidates[n, 1], candidates[n, 2]
        for level in range(i - 1, i + 3):
            fetch_square(levels, level, first_row, height, width, x, y, REACH)


@subroutine
def _interpolate(levels, first_row, height, width, i, y, x, limits, work, place):
    """Lowe's way (equations 2 and 3): fill x, y, level, value and roundness; KEPT or UNSTABLE."""
    n_scales = levels.shape[0] - 3
    max_offset, max_moves = limits
    block, gradient, hessian, offset, plane = work
    for _ in range(max_moves + 1):
        value = derivatives(levels, i, y - first_row, x, block, gradient, hessian)
        if not extremum(hessian, gradient, offset):
            break
        dx, dy, di = _moves(offset, max_offset)
        if dx == 0 and dy == 0 and di == 0:
            plane_at_scale(levels, i, y - first_row, x, offset[2], plane)
            refit_position(plane, offset)
            place[0], place[1], place[2] = x + offset[0], y + offset[1], i + offset[2]
            place[3] = (
                value + (gradient[0] * offset[0] + gradient[1] * offset[1] + gradient[2] * offset[2]) / 2
            )
            trace, determinant = (
                hessian[0, 0] + hessian[1, 1],
                hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2,
            )
            place[4] = 4 * determinant / trace**2 if determinant > 0 else 0.0
            return KEPT
        x, y, i = x + dx, y + dy, i + di
        if not _is_inside(x, y, i, width, height, n_scales):
            break
    return UNSTABLE


@subroutine
def _settle(levels, first_row, height, width, i, y, x, window, limits, work, step, offset, place):
    """Least-squares fits around the nearest sample until they stay: fill x, y, level, value and roundness.

    KEPT, EDGE or UNSTABLE: they must settle at a scale that is this octave's and not the one before's or
    after's. Steps are a sample, or a level, long at most. The last one is by more planes (``last_step``).
    """
    n_scales = levels.shape[0] - 3
    patch, filters, sums, weights = work
    max_offset, moves_left, tolerance, least_roundness = limits
    offset[0], offset[1], offset[2] = 0.0, 0.0, 0.0
    has_moved = True
    for n_fits in range(_ROUNDS):
        if has_moved:
            fill_patch(levels, first_row, height, width, i - 1, 3, y, x, patch)
        at = (i if n_fits == 0 else 0) * N_FILTERS
        if n_fits > 0:
            fill_filters(offset, window * 2 ** ((i + offset[2]) / n_scales), filters, at, sums)
        place[3], place[4] = newton_step(patch, offset, filters, at, sums, step)
        if not place[4] > least_roundness:
            return EDGE if place[4] > 0 else UNSTABLE
        length = max(abs(step[0]), abs(step[1]), abs(step[2]))
        if length <= tolerance:
            n_planes = fill_nearest_planes(
                levels, first_row, height, width, i, y, x, offset[2], patch, weights
            )
            place[3], place[4] = last_step(patch, n_planes, weights, filters, at, sums, step)
            if not place[4] > 0 or max(abs(step[0]), abs(step[1]), abs(step[2])) > 1:
                break
            for axis in range(3):
                offset[axis] += step[axis]
            place[0], place[1], place[2] = x + offset[0], y + offset[1], i + offset[2]
            return KEPT if 0.5 <= place[2] < n_scales + 0.5 else UNSTABLE
        for axis in range(3):
            offset[axis] += step[axis] / max(1.0, length)
        dx, dy, di = _moves(offset, max_offset)
        x, y, i = x + dx, y + dy, i + di
        has_moved = dx != 0 or dy != 0 or di != 0
        moves_left -= int(has_moved)
        if moves_left < 0 or not _is_inside(x, y, i, width, height, n_scales):
            break
        offset[0], offset[1], offset[2] = offset[0] - dx, offset[1] - dy, offset[2] - di
    return UNSTABLE


@subroutine
def _moves(offset, limit):
    """One sample, or level, along each axis on which the offset is beyond the limit."""
    return _move(offset[0], limit), _move(offset[1], limit), _move(offset[2], limit)


@subroutine
def _move(offset, limit):
    return int(offset > limit) - int(offset < -limit)


@subroutine
def _is_inside(x, y, i, width, height, n_scales):
    """Whether a sample has all of its neighbours."""
    return 1 <= x < width - 1 and 1 <= y < height - 1 and 1 <= i <= n_scales


@kernel(
    "void(float32[:, :, ::1], int64, int64, int64, int32[:, ::1], float64, int64, float64, float64, float64,"
    " float64, float64[:, ::1], uint8[::1], int64[::1])"
)
def _refine(
    levels,
    first_row,
    height,
    width,
    candidates,
    max_offset,
    max_moves,
    contrast,
    least_roundness,
    window,
    tolerance,
    refined,
    fate,
    n_taken,
):
    """Refine candidates, as many as are left, and say what became of each."""
    n_scales = levels.shape[0] - 3
    lowe = np.empty((3, 3, 3)), np.empty(3), np.empty((3, 3)), np.empty(3), np.empty((3, 3))
    # Filters of any fit, and those of each level's first, which is at the sample.
    work = workspace(1 + n_scales)
    _, filters, sums, _ = work
    step, offset, place = np.empty(3), np.zeros(3), np.empty(refined.shape[1])
    for level in range(1, n_scales + 1 if window > 0 else 0):
        fill_filters(offset, window * 2 ** (level / n_scales), filters, level * N_FILTERS, sums)
    for n in numbers_taken(n_taken, len(candidates)):
        i, y, x = np.int64(candidates[n, 0]), np.int64(candidates[n, 1]), np.int64(candidates[n, 2])
        if window > 0:
            _fetch_patch(levels, first_row, height, width, candidates, n + 1)
            became = _settle(
                levels,
                first_row,
                height,
                width,
                i,
                y,
                x,
                window,
                (max_offset, max_moves, tolerance, least_roundness),
                work,
                step,
                offset,
                place,
            )
        else:
            became = _interpolate(
                levels, first_row, height, width, i, y, x, (max_offset, max_moves), lowe, place
            )
        if became == KEPT and abs(place[3]) < contrast:
            became = LOW_CONTRAST
        elif became == KEPT and not place[4] > least_roundness:
            became = EDGE
        fate[n] = became
        for column in range(len(place)):
            refined[n, column] = place[column]

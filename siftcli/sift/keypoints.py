"""Integer extrema to refined, filtered keypoints (Lowe, sections 4 and 4.1; IPOL, algorithms 6 to 9).

One step goes beyond the papers. The quadratic in x, y and scale takes the DoG to be as wide at the
refined scale as at the level it is fitted to; half a level away it is not, and the position of an
ideal blob is off by up to a tenth of a sample. So the position is fitted once more, in the plane of
the refined scale, which leaves a hundredth. Last, what is kept is placed by least-squares fits to more
samples (``local_fit.py``), which noise moves less than differences of two: Newton's steps in position and
scale, around the nearest sample, until they stay. Lowe's test of edges is made once more on the curvatures of
those fits, for the same reason that positions are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ..params import KeypointParams
from ._jit import kernel, subroutine
from ._sharing import numbers_taken
from ._threads import Threads
from .local_fit import fill_patch, newton_step, workspace
from .scalespace import Strip

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
    roundness: NDArray[np.float64]
    """(N,) 4·determinant / trace² of the curvatures in x and y: 1 where they are equal, less on an edge."""

    def __len__(self) -> int:
        return len(self.xy)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Keypoints:
        """The keypoints of these rows, in that order."""
        return Keypoints(*(getattr(self, f.name)[rows] for f in fields(self)))

    @staticmethod
    def concatenate(parts: Sequence[Keypoints]) -> Keypoints:
        """All of the parts, in order."""
        none = Keypoints(np.empty(0, np.int16), np.empty((0, 2)), *(np.empty(0) for _ in range(3)))
        return Keypoints(
            *(np.concatenate([getattr(p, f.name) for p in (none, *parts)]) for f in fields(Keypoints))
        )


NONE_CARRIED: NDArray[np.float64] = np.empty((0, 5))
"""What the first strip of an octave takes over."""


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
        Thresholds of the refinement and of the two rejections.
    threads
        Where the candidates are shared out.
    carried
        What the strip before left to be merged with this one's.

    Returns
    -------
    keypoints
        Those kept, each once, by row, column and level.
    removed
        How many candidates each filter removed.
    carried
        (N, 5) x, y, level, value and roundness of those that may be the same as one of the next strip's.
    """
    refined = np.empty((len(candidates), 5))
    fate = np.empty(len(candidates), np.uint8)
    limits = (
        params.max_offset,
        params.max_moves,
        params.contrast_threshold / strip.n_scales,
        (params.edge_threshold + 1) ** 2 / params.edge_threshold,
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
    unique, carried = _merge_same_places(kept, params.merge_distance, last_y)
    n_of_fate = np.bincount(fate, minlength=EDGE + 1)
    keypoints = Keypoints(
        octave=np.full(len(unique), strip.number, np.int16),
        xy=strip.to_input(unique[:, :2]),
        sigma=strip.sigma_of(unique[:, 2]),
        value=unique[:, 3],
        roundness=unique[:, 4],
    )
    if params.min_sigma > 0:
        keypoints = keypoints.select(keypoints.sigma >= params.min_sigma)
    removed = {
        "unstable": int(n_of_fate[UNSTABLE]),
        "low_contrast": int(n_of_fate[LOW_CONTRAST]),
        "edge": int(n_of_fate[EDGE]),
        "duplicate": len(kept) - len(unique) - len(carried),
        "too_small": len(unique) - len(keypoints),
    }
    return keypoints, removed, carried


def reach_of_refinement(params: KeypointParams) -> float:
    """Rows within which a candidate's keypoint lies, and whatever is the same as it.

    The last offset may be a sample, and the last step of the fit another.
    """
    return params.max_moves + 2 + params.merge_distance


def _merge_same_places(
    refined: NDArray[np.float64], distance: float, last_y: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Replace candidates that refined to the same place by their mean; rows x, y, level, value, roundness.

    Equal samples around a symmetric structure are all candidates (``extrema.py``). Taking
    one of them would favour a side; their mean does not. Groups that reach beyond ``last_y`` may
    not be complete, and are returned apart as they are.
    """
    refined = refined[np.lexsort(refined.T[[2, 0, 1]])]
    first = np.arange(len(refined))
    _label_same_places(refined, distance, first)
    is_open = refined[:, 1] > last_y
    if is_open.any():
        is_open = np.isin(first, first[is_open])
        refined, first, carried = refined[~is_open], first[~is_open], refined[is_open]
    else:
        carried = NONE_CARRIED
    means = np.empty_like(refined)
    return means[: _average(refined, first, means)], carried


@kernel("void(float64[:, ::1], float64, int64[::1])")
def _label_same_places(refined, distance, first):
    """Give every row the index of the first row that is connected to it; rows are sorted by y."""
    for i in range(len(refined)):
        j = i + 1
        while j < len(refined) and refined[j, 1] - refined[i, 1] <= distance:
            same = (
                abs(refined[j, 0] - refined[i, 0]) <= distance
                and abs(refined[j, 2] - refined[i, 2]) <= distance
                and refined[j, 3] * refined[i, 3] > 0
            )
            if same:
                low, high = min(first[i], first[j]), max(first[i], first[j])
                for k in range(low, j + 1):
                    if first[k] == high:
                        first[k] = low
            j += 1


@kernel("int64(float64[:, ::1], int64[::1], float64[:, ::1])")
def _average(refined, first, means):
    """Fill in the mean of the rows of each label, ordered by the label; returns their number."""
    n_groups, newest = 0, -1
    group, n_same = np.empty(len(first), np.int64), np.zeros(len(first), np.int64)
    for i in range(len(refined)):
        # A label is the index of the first of its rows: a new one is larger than those before.
        if first[i] > newest:
            newest = first[i]
            group[n_groups], means[n_groups] = newest, 0
            n_groups += 1
        g = n_groups - 1
        while group[g] != first[i]:
            g -= 1
        for column in range(refined.shape[1]):
            means[g, column] += refined[i, column]
        n_same[g] += 1
    for g in range(n_groups):
        for column in range(refined.shape[1]):
            means[g, column] /= n_same[g]
    return n_groups


@subroutine
def _fit(levels, i, y, x, block, gradient, hessian):
    """Gradient and Hessian (x, y, scale) of the DoG at a sample, by central differences; its value."""
    for ds in range(3):
        for dy in range(3):
            for dx in range(3):
                upper, lower = (
                    levels[i + ds, y + dy - 1, x + dx - 1],
                    levels[i + ds - 1, y + dy - 1, x + dx - 1],
                )
                block[ds, dy, dx] = np.float64(upper) - np.float64(lower)
    centre = block[1, 1, 1]
    gradient[0] = (block[1, 1, 2] - block[1, 1, 0]) / 2
    gradient[1] = (block[1, 2, 1] - block[1, 0, 1]) / 2
    gradient[2] = (block[2, 1, 1] - block[0, 1, 1]) / 2
    hessian[0, 0] = block[1, 1, 2] + block[1, 1, 0] - 2 * centre
    hessian[1, 1] = block[1, 2, 1] + block[1, 0, 1] - 2 * centre
    hessian[2, 2] = block[2, 1, 1] + block[0, 1, 1] - 2 * centre
    hessian[0, 1] = ((block[1, 2, 2] + block[1, 0, 0]) - (block[1, 2, 0] + block[1, 0, 2])) / 4
    hessian[0, 2] = ((block[2, 1, 2] + block[0, 1, 0]) - (block[2, 1, 0] + block[0, 1, 2])) / 4
    hessian[1, 2] = ((block[2, 2, 1] + block[0, 0, 1]) - (block[2, 0, 1] + block[0, 2, 1])) / 4
    return centre


@subroutine
def _solve(hessian, gradient, offset):
    """Offset of the quadratic's extremum, −H⁻¹g, by Cramer's rule; False where H is singular."""
    a, b, c = hessian[0, 0], hessian[0, 1], hessian[0, 2]
    d, e, f = hessian[1, 1], hessian[1, 2], hessian[2, 2]
    aa, bb, cc = d * f - e * e, c * e - b * f, b * e - c * d
    determinant = a * aa + b * bb + c * cc
    if determinant == 0:
        return False
    g, h, k = gradient[0], gradient[1], gradient[2]
    offset[0] = -(aa * g + bb * h + cc * k) / determinant
    offset[1] = -(bb * g + (a * f - c * c) * h + (b * c - a * e) * k) / determinant
    offset[2] = -(cc * g + (b * c - a * e) * h + (a * d - b * b) * k) / determinant
    return True


@subroutine
def _plane(levels, i, y, x, scale_offset, plane):
    """DoG values (3 × 3) around a sample at a scale between levels, each by a parabola through three."""
    for dy in range(3):
        for dx in range(3):
            row, column = y + dy - 1, x + dx - 1
            below = np.float64(levels[i, row, column]) - np.float64(levels[i - 1, row, column])
            here = np.float64(levels[i + 1, row, column]) - np.float64(levels[i, row, column])
            above = np.float64(levels[i + 2, row, column]) - np.float64(levels[i + 1, row, column])
            slope, bend = (above - below) / 2, above + below - 2 * here
            plane[dy, dx] = here + scale_offset * (slope + scale_offset * bend / 2)


@subroutine
def _refit_position(plane, offset):
    """Replace the offsets in x and y by those of a quadratic through the plane at the refined scale."""
    gx, gy = (plane[1, 2] - plane[1, 0]) / 2, (plane[2, 1] - plane[0, 1]) / 2
    xx, yy = plane[1, 2] + plane[1, 0] - 2 * plane[1, 1], plane[2, 1] + plane[0, 1] - 2 * plane[1, 1]
    xy = ((plane[2, 2] + plane[0, 0]) - (plane[2, 0] + plane[0, 2])) / 4
    determinant = xx * yy - xy * xy
    dx, dy = (xy * gy - yy * gx) / determinant, (xy * gx - xx * gy) / determinant
    if determinant > 0 and abs(dx) <= 1 and abs(dy) <= 1:
        offset[0], offset[1] = dx, dy


@subroutine
def _settle(levels, first_row, height, width, i, y, x, window, limits, offset, work, place):
    """Repeat the least-squares fit around the nearest sample until it stays; fill all but the value.

    Returns what becomes of the candidate: no fit may be an edge, and they must settle at a scale that is this
    octave's and not the one before's or after's. Steps are a sample, or a level, long at most.
    """
    n_scales = levels.shape[0] - 3
    max_offset, moves_left, tolerance, curvature_ratio = limits
    patch, for_fit, step = work
    has_moved = True
    for _ in range(_ROUNDS):
        if has_moved:
            fill_patch(levels, first_row, height, width, i, y, x, patch)
        spread = window * 2 ** ((i + offset[2]) / n_scales)
        curvatures = newton_step(patch, offset, spread, for_fit, step)
        if not curvatures > 0:
            return UNSTABLE
        if curvatures >= curvature_ratio:
            return EDGE
        length = max(abs(step[0]), abs(step[1]), abs(step[2]))
        for axis in range(3):
            offset[axis] += step[axis] / max(1.0, length)
        if length <= tolerance:
            place[0], place[1], place[2] = x + offset[0], y + offset[1], i + offset[2]
            place[4] = 4 / curvatures
            return KEPT if 0.5 <= place[2] < n_scales + 0.5 else UNSTABLE
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
    curvature_ratio,
    window,
    tolerance,
    refined,
    fate,
    n_taken,
):
    """Refine candidates, as many as are left (Lowe, equations 2 to 4), and say what became of each."""
    n_scales = levels.shape[0] - 3
    gradient, hessian, offset = np.empty(3), np.empty((3, 3)), np.empty(3)
    block, plane = np.empty((3, 3, 3)), np.empty((3, 3))
    patch, for_fit = workspace()
    step = np.empty(3)
    for n in numbers_taken(n_taken, len(candidates)):
        i, y, x = np.int64(candidates[n, 0]), np.int64(candidates[n, 1]), np.int64(candidates[n, 2])
        fate[n], moves_left = UNSTABLE, max_moves
        for _ in range(max_moves + 1):
            value = _fit(levels, i, y - first_row, x, block, gradient, hessian)
            if not _solve(hessian, gradient, offset):
                break
            dx, dy, di = _moves(offset, max_offset)
            if dx == 0 and dy == 0 and di == 0:
                fate[n] = KEPT
                break
            x, y, i, moves_left = x + dx, y + dy, i + di, moves_left - 1
            if not _is_inside(x, y, i, width, height, n_scales):
                break
        if fate[n] != KEPT:
            continue
        _plane(levels, i, y - first_row, x, offset[2], plane)
        _refit_position(plane, offset)
        value += (gradient[0] * offset[0] + gradient[1] * offset[1] + gradient[2] * offset[2]) / 2
        trace, determinant = hessian[0, 0] + hessian[1, 1], hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
        refined[n, 0], refined[n, 1], refined[n, 2] = x + offset[0], y + offset[1], i + offset[2]
        refined[n, 3] = value
        if abs(value) < contrast:
            fate[n] = LOW_CONTRAST
        elif trace**2 >= curvature_ratio * determinant:
            fate[n] = EDGE
        else:
            refined[n, 4] = 4 * determinant / trace**2
            if window > 0:
                limits = max_offset, moves_left, tolerance, curvature_ratio
                work = patch, for_fit, step
                fate[n] = _settle(
                    levels, first_row, height, width, i, y, x, window, limits, offset, work, refined[n]
                )

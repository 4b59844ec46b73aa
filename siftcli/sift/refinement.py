"""Integer extrema to refined, filtered keypoints (Lowe, sections 4 and 4.1; IPOL, algorithms 6 to 9).

There are two ways to place a keypoint between the samples, as ``params.refinement`` says: Lowe's quadratic
(``lowe.py``), and least-squares fits (``least_squares.py``). What follows is common to both: a keypoint must
reach the contrast, must not be an edge, and must be stable; candidates that refine to the same
position are one keypoint.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.threads import Threads
from ..params import KeypointParams
from .candidates import EDGE, KEPT, LOW_CONTRAST, MAX_MOVES, STEP_COLUMNS, UNSTABLE
from .duplicates import NONE_CARRIED, merge_duplicates
from .keypoints import Keypoints
from .least_squares import settle_each
from .octave import Strip
from .response import border_factor, least_roundness, response_of, stability_of
from .strips import Strips, as_strips

_SAMPLES_PER_CANDIDATE = 512
"""Work of refining a candidate, in the units of ``Threads.over_keypoints``."""
_NO_TRACE: NDArray[np.float64] = np.empty((1, 0, len(STEP_COLUMNS)))


class Refined(NamedTuple):
    """The N candidates of a strip, refined."""

    strip: Strip
    places: NDArray[np.float64]
    """(N, 6) x, y, level, value and roundness, in samples, and the number of the octave."""
    fate: NDArray[np.uint8]
    """(N,) what became of each; one of ``candidates.KEPT`` and so on."""


def refine(
    strip: Strip,
    candidates: NDArray[np.int32],
    params: KeypointParams,
    threads: Threads,
    carried: NDArray[np.float64] = NONE_CARRIED,
) -> tuple[Keypoints, dict[str, int], NDArray[np.float64]]:
    """Refine candidates and keep those that are stable, strong and no edge.

    Parameters
    ----------
    strip
        The Gaussian levels.
    candidates
        (N, 3) DoG index, row and column.
    params
        The way to refine, and the thresholds of the filters.
    threads
        Where the candidates are shared out.
    carried
        (M, 6) refined candidates that the strip before has left to be merged with this one's.

    Returns
    -------
    keypoints
        Those kept, each once, in the order of their first candidates.
    removed
        How many candidates each filter removed.
    carried
        (K, 6) refined candidates that may be duplicates of the next strip's.
    """
    return filtered([refine_each(strip, candidates, params, threads)], params, carried)


def filtered(
    refined: Sequence[Refined], params: KeypointParams, carried: NDArray[np.float64] = NONE_CARRIED
) -> tuple[Keypoints, dict[str, int], NDArray[np.float64]]:
    """What :func:`refine` returns, of the refined candidates of a strip, or of whole octaves, finest first.

    No level is read.
    """
    strips = [of_strip.strip for of_strip in refined]
    kept = np.concatenate([carried, *(r.places.compress(r.fate == KEPT, 0) for r in refined)])
    last = strips[-1]
    last_y = math.inf if last.is_last else last.rows[1] - refinement_halo(params)
    unique, carried = merge_duplicates(kept, params.merge_distance, last_y)
    together = Strips(strips, unique[:, 5].astype(np.int64) - strips[0].number)
    keypoints, stability = scored(together, unique, params)
    is_stable = stability >= least_stability(together, params)
    n_of_fate = np.bincount(np.concatenate([of_strip.fate for of_strip in refined]), minlength=EDGE + 1)
    removed = {
        "unstable": int(n_of_fate[UNSTABLE]),
        "low_contrast": int(n_of_fate[LOW_CONTRAST]),
        "edge": int(n_of_fate[EDGE]),
        "duplicate": len(kept) - len(unique) - len(carried),
        "too_small": 0,  # a filter of earlier versions, whose name outputs still carry
        "low_response": int(np.sum(~is_stable)),
    }
    return keypoints.select(is_stable), removed, carried


def refinement_halo(params: KeypointParams) -> float:
    """Rows within which a candidate's keypoint lies, and whatever may be its duplicate.

    The last offset may be a sample, and the last step of a least-squares fit another.
    """
    return MAX_MOVES + 2 + params.merge_distance


def least_value(strip: Strip | Strips, params: KeypointParams) -> float:
    """|DoG| that any keypoint needs."""
    return params.contrast_threshold / strip.n_scales


def least_stability(strip: Strip | Strips, params: KeypointParams) -> np.float32:
    """The stability that a keypoint needs."""
    return np.float32(params.stability_threshold * least_value(strip, params))


def refine_each(
    strip: Strip,
    candidates: NDArray[np.int32],
    params: KeypointParams,
    threads: Threads,
    trace: NDArray[np.float64] = _NO_TRACE,
) -> Refined:
    """Refine candidates, and filter none; the arguments are those of :func:`refine`.

    ``trace`` is (N, ``MOST_STEPS``, 9), filled with the steps of each (``candidates.STEP_COLUMNS``), as many
    rows as it takes.

    Raises
    ------
    ValueError
        If it has room for fewer candidates.
    """
    if trace.shape[1] and len(trace) < len(candidates):
        raise ValueError(f"expected a trace of {len(candidates)} candidates, got one of {len(trace)}")
    refined, fate = np.empty((len(candidates), 6)), np.empty(len(candidates), np.uint8)
    refined[:, 5] = strip.number
    place = strip.levels, strip.first_row, *strip.shape
    limits: tuple[float, ...] = (least_value(strip, params), least_roundness(params))
    if params.refinement == "lowe":
        from .lowe import interpolate_each as fill  # late: its kernel, which few need, is compiled then
    else:
        limits += (params.fit_window * strip.sigma, params.fit_tolerance or math.inf)
        fill = settle_each
    threads.over_keypoints(
        len(candidates),
        len(candidates) * _SAMPLES_PER_CANDIDATE,
        lambda counter: fill(*place, candidates, *limits, refined, fate, trace, counter),
    )
    return Refined(strip, refined, fate)


def scored(
    strip: Strip | Strips, refined: NDArray[np.float64], params: KeypointParams
) -> tuple[Keypoints, NDArray[np.float32]]:
    """Keypoints of refined candidates, rows as of :class:`Refined`, and their stability."""
    strips, (level, value, roundness) = as_strips(strip, len(refined)), refined[:, 2:5].T
    xy, sigma, contrast = strips.to_input(refined[:, :2]), strips.sigma_of(level), least_value(strip, params)
    factor = border_factor(strips.distance_to_border(xy), sigma, params)
    keypoints = Keypoints(
        octave=strips.number,
        xy=xy,
        sigma=sigma,
        value=value,
        response=(response_of(value, roundness, sigma, params) * factor).astype(np.float32),
    )
    # Rounded, so that the last bit does not decide whether a mirrored keypoint is kept as well.
    stability = (stability_of(value, roundness, sigma, contrast, params) * factor).astype(np.float32)
    return keypoints, stability

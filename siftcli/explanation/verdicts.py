"""What each filter said of a candidate, with its number and its limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..params import SiftParams
from ..sift.candidates import EDGE, LOW_CONTRAST, MAX_OFFSET, STEP_COLUMNS, UNSTABLE
from ..sift.duplicates import MOST_SPREAD
from ..sift.octave import Strip
from ..sift.refinement import least_stability, least_value
from ..sift.response import least_roundness
from .records import Place, Verdict

_LEVEL, _VALUE, _ROUNDNESS, _STEP, _PLANES = (
    STEP_COLUMNS.index(name) for name in ("level", "value", "roundness", "step_x", "planes")
)

PLANES_OF_A_STEP = 3
"""Of every fit but the last."""


def of_sample(value: float, needed: float) -> Verdict:
    """Whether a sample is a candidate, which it is: other samples have no verdict."""
    return Verdict("candidate", abs(value), ">=", needed, True, "|DoG| of the sample")


def of_refinement(
    strip: Strip, steps: NDArray[np.float64], refined: NDArray[np.float64], fate: int, params: SiftParams
) -> Iterator[Verdict]:
    """Those of the refinement, up to the one that removed the candidate."""
    if fate == UNSTABLE:
        yield _unstable(strip, steps)
        return
    roundness = float(steps[-1, _ROUNDNESS] if fate == EDGE else refined[4])
    if fate != EDGE or params.refinement == "lowe":
        # The last row is made after it has settled: a fit through more planes, or of the position alone.
        longest = float(np.abs(steps[-2, _STEP : _STEP + 3]).max())
        allowed = MAX_OFFSET if params.refinement == "lowe" else params.fit_tolerance or None
        note = f"{len(steps)} fits; longest step before the last"
        yield Verdict("settled", longest, "<=" if allowed else "", allowed, True, note)
    round_enough = Verdict("edge", roundness, ">", least_roundness(params), fate != EDGE, "roundness")
    contrast = Verdict(
        "contrast",
        abs(float(refined[3])),
        ">=",
        least_value(strip, params),
        fate != LOW_CONTRAST,
        "|DoG| of the extremum",
    )
    # Least squares sees an edge at any fit, and so before the contrast.
    yield from (
        [contrast] if fate == LOW_CONTRAST else [round_enough] if fate == EDGE else [round_enough, contrast]
    )


def _unstable(strip: Strip, steps: NDArray[np.float64]) -> Verdict:
    """Why a candidate did not settle, from its last step."""
    if len(steps) == 0:
        return _refused("the quadratic has no extremum: its Hessian is singular")
    last = steps[-1]
    step = last[_STEP : _STEP + 3]
    longest = float(np.abs(step).max())
    if last[_ROUNDNESS] <= 0:
        return _refused("the fit has no extremum there: its Hessian is that of a saddle")
    is_last_fit = last[_PLANES] > PLANES_OF_A_STEP
    if is_last_fit and longest > 1:
        return Verdict("unstable", longest, "<=", 1.0, False, "step of the last fit, in samples or levels")
    level = float(last[_LEVEL] + step[2] / (1 if is_last_fit else max(1.0, longest)))
    if not 0.5 <= level < strip.n_scales + 0.5:
        relation, limit = (">=", 0.5) if level < 0.5 else ("<=", strip.n_scales + 0.5)
        return Verdict("unstable", level, relation, limit, False, "it moves to another octave: level")
    return _refused(f"not settled after {len(steps)} fits, moved too often, or reached the border")


def _refused(note: str) -> Verdict:
    return Verdict("unstable", None, "", None, False, note)


def of_group(n: int, spread: float, params: SiftParams) -> Verdict:
    """Whether the candidates that are merged are one place."""
    others = (
        "no other candidate ends there"
        if n == 1
        else f"{n} candidates end within {params.merge_distance:g} of each other"
    )
    return Verdict(
        "duplicate", spread, "<=", MOST_SPREAD, spread <= MOST_SPREAD, f"{others}; spread in samples"
    )


def of_place(place: Place, border: float, strip: Strip, params: SiftParams) -> Iterator[Verdict]:
    """Whether a place is stable, and what the border takes from it."""
    yield Verdict("border", border, "", None, True, "factor of stability and response; 1 far inside")
    needed = float(least_stability(strip, params))
    yield Verdict("low response", place.stability, ">=", needed, place.stability >= needed, "stability")


def of_allowance(is_unmasked: bool | None, room: tuple[float, float] | None) -> Iterator[Verdict]:
    """Whether a place is where features are wanted; nothing where all of the picture is."""
    if is_unmasked is not None:
        yield Verdict(
            "mask",
            None,
            "",
            None,
            is_unmasked,
            "inside the mask" if is_unmasked else "the centre lies on zero",
        )
    if room is not None:
        distance, needed = room
        yield Verdict("left-out pixels", distance, ">=", needed, distance >= needed, "distance in pixels")


def of_budget(rank: int, n: int, n_rows: int, params: SiftParams) -> Verdict:
    """Whether a keypoint is among those that are wanted."""
    limit = params.max_features
    note = f"of {n} keypoints by {params.selection}: place"
    return Verdict(
        "budget",
        float(rank),
        "" if limit is None else "<=",
        None if limit is None else float(limit),
        n_rows > 0,
        note,
    )


def spread_of(rows: NDArray[np.float64]) -> float:
    """How far a group's places are apart along x or y, in samples."""
    return float(np.ptp(rows[:, :2], axis=0).max())

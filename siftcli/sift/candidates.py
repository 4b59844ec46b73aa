"""What both ways to refine a candidate share: what may become of it, its moves between samples, a trace."""

from __future__ import annotations

from ..kernels.decorators import subroutine

KEPT, UNSTABLE, LOW_CONTRAST, EDGE = 0, 1, 2, 3
"""What became of a candidate."""

MAX_OFFSET = 0.6
"""Samples, or levels, from a sample beyond which refinement moves to the next (IPOL, algorithm 6)."""
MAX_MOVES = 5
"""Moves after which a candidate that has not settled is dropped (IPOL, algorithm 6)."""
STEP_COLUMNS = ("x", "y", "level", "value", "roundness", "step_x", "step_y", "step_level", "planes")
"""Of the trace of a refinement, a row for each fit: where it is evaluated, in samples and levels; the value
and the roundness it finds; its step; and the planes it goes through. What a fit does not give is NaN."""
MOST_STEPS = 16
"""Rows of that trace: more than either way makes."""


@subroutine
def note_step(trace, candidate, n, at, found, step, planes):
    """Fill in row ``n`` of a candidate's trace, if there is one.

    ``trace`` is (N, ``MOST_STEPS``, 9) float64, of all candidates, or (1, 0, 9) for none; ``at`` is x, y and
    level, ``found`` value and roundness, ``step`` (3,) in the order x, y, level.
    """
    if n < trace.shape[1]:
        trace[candidate, n, 0], trace[candidate, n, 1], trace[candidate, n, 2] = at
        trace[candidate, n, 3], trace[candidate, n, 4] = found
        for axis in range(3):
            trace[candidate, n, 5 + axis] = step[axis]
        trace[candidate, n, 8] = planes


@subroutine
def moves(offset):
    """Steps in x, y and scale, each −1, 0 or 1, to the nearest sample of an ``offset`` (3,) in samples."""
    return _move(offset[0]), _move(offset[1]), _move(offset[2])


@subroutine
def _move(offset):
    """One sample towards an ``offset`` along an axis, in samples, that is beyond the limit."""
    return int(offset > MAX_OFFSET) - int(offset < -MAX_OFFSET)


@subroutine
def judged(became, place, contrast, least_roundness):
    """What finally became of a candidate: if it was kept, it may be too weak, or an edge.

    Parameters
    ----------
    became
        KEPT, UNSTABLE or EDGE.
    place
        (5,) float64 x, y, level, value and roundness.
    contrast, least_roundness
        Least |DoG|; a keypoint that is less round is an edge.
    """
    if became == KEPT and abs(place[3]) < contrast:
        return LOW_CONTRAST
    if became == KEPT and not place[4] > least_roundness:
        return EDGE
    return became


@subroutine
def is_inside(x, y, level, width, height, n_scales):
    """Whether the sample (x, y) of DoG ``level`` has all its neighbours.

    The octave has ``width`` × ``height`` samples and ``n_scales`` scales.
    """
    return 1 <= x < width - 1 and 1 <= y < height - 1 and 1 <= level <= n_scales

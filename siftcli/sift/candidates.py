"""What both ways to refine a candidate share: what may become of it, and its moves between samples."""

from __future__ import annotations

from ..kernels.decorators import subroutine

KEPT, UNSTABLE, LOW_CONTRAST, EDGE = 0, 1, 2, 3
"""What became of a candidate."""

MAX_OFFSET = 0.6
"""Samples, or levels, from a sample beyond which refinement moves to the next (IPOL, algorithm 6)."""
MAX_MOVES = 5
"""Moves after which a candidate that has not settled is dropped (IPOL, algorithm 6)."""


@subroutine
def moves(offset):
    """Steps in x, y and scale, each −1, 0 or 1, to the nearest sample of an ``offset`` (3,) in samples."""
    return _move(offset[0]), _move(offset[1]), _move(offset[2])


@subroutine
def _move(offset):
    """One sample towards an ``offset`` along an axis, in samples, that is beyond the limit."""
    return int(offset > MAX_OFFSET) - int(offset < -MAX_OFFSET)


@subroutine
def is_inside(x, y, level, width, height, n_scales):
    """Whether the sample (x, y) of DoG ``level`` has all its neighbours.

    The octave has ``width`` × ``height`` samples and ``n_scales`` scales.
    """
    return 1 <= x < width - 1 and 1 <= y < height - 1 and 1 <= level <= n_scales

"""A tile of the blur: its lines, and which rows of the source they come from."""

from __future__ import annotations

from ..kernels.decorators import subroutine
from ..kernels.vectors import LANES, load, prefetch, store

DOUBLE, KEEP, HALVE = 2, 0, -2
"""How the grid of a result relates to that of its source."""

TILE = 512
"""Columns of the result in a tile."""
PITCH = TILE + LANES
"""Samples from row to row of a tile's own array: no power of two, or rows would compete for cache lines."""


@subroutine
def mirrored(i, n):
    """Index, 0 to n − 1, of sample i of a row of ``n`` samples that is mirrored at its ends, repeatedly."""
    if 0 <= i < n:
        return i
    if n == 1:
        return 0
    i = abs(i) % (2 * n - 2)
    return min(i, 2 * n - 2 - i)


@subroutine
def source_row(y, change):
    """The source row at or just above row ``y`` of the result; ``change`` is DOUBLE, KEEP or HALVE."""
    return y if change == KEEP else y // 2 if change == DOUBLE else 2 * y


@subroutine
def move_lines(window, size, n_levels, shift, n):
    """Move ``n`` lines of each level, from line ``shift`` on, to the beginning.

    Parameters
    ----------
    window
        (L, N) float32, lines ``PITCH`` samples apart.
    size, n_levels
        N and L.
    shift, n
        The first line to move, and how many.
    """
    for level in range(n_levels):
        for to in range(level * size, level * size + n * PITCH, LANES):
            store(window, to, load(window, to + shift * PITCH))


@subroutine
def cut_out(source, row, after, width, first, segment, n):
    """Fill ``segment`` with samples of a row, padded by mirroring at its ends.

    Parameters
    ----------
    source
        (R, W or more) float32 of which ``width`` samples of a row count.
    row, after
        The row, and the one that is cut out next, which is prefetched.
    width
        W.
    first
        Position in the row of the segment's first sample; may be negative.
    segment
        (N,) float32, of which ``n`` are filled. A part of it would count references to the whole.
    n
        How many samples.
    """
    here, there = row * source.shape[1], after * source.shape[1]
    left, right = max(0, -first), min(n, width - first)
    whole = left + (right - left) // LANES * LANES if left < right else left
    for i in range(left, whole, LANES):
        prefetch(source, there + first + i)
        store(segment, i, load(source, here + first + i))
    for i in range(whole, right):
        segment[i] = source[row, first + i]
    if left < width and first < width and first + n < 2 * width:  # mirrored once: as vectors
        for i in range(min(left, n)):
            segment[i] = source[row, left - i]
        last = 2 * (width - 1) - first
        for i in range(right, n):
            segment[i] = source[row, last - i]
    else:
        for i in range(min(left, n)):
            segment[i] = source[row, mirrored(first + i, width)]
        for i in range(max(right, 0), n):
            segment[i] = source[row, mirrored(first + i, width)]

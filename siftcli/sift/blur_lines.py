"""Blur along the lines of a tile and down its columns.

The filters are symmetric, and mirror samples are summed before they are multiplied, so that mirroring the
image changes no bit. Every sum runs from the outermost, smallest tap to the centre by fused multiply-adds:
its bits do not depend on how rows are grouped, nor on the processor. Along a line two filters share the sums
of mirror samples; down the columns eight rows share the lines they load.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import inlined, subroutine
from ..kernels.vectors import (
    LANES,
    broadcast,
    even_lanes,
    fma,
    load,
    prefetch,
    splat,
    store,
    store_nontemporal,
    zip_high,
    zip_low,
)

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
def cut_out(row, after, width, first, segment):
    """Fill ``segment`` with samples of a row, padded by mirroring at its ends.

    Parameters
    ----------
    row
        (W or more,) float32 of which ``width`` samples count.
    after
        The row that is cut out next, prefetched.
    width
        W.
    first
        Position in the row of the segment's first sample; may be negative.
    segment
        (N,) float32, filled.
    """
    n = len(segment)
    left, right = max(0, -first), min(n, width - first)
    whole = left + (right - left) // LANES * LANES if left < right else left
    for i in range(left, whole, LANES):
        prefetch(after, first + i)
        store(segment, i, load(row, first + i))
    for i in range(whole, right):
        segment[i] = row[first + i]
    for i in range(min(left, n)):
        segment[i] = row[mirrored(first + i, width)]
    for i in range(max(right, 0), n):
        segment[i] = row[mirrored(first + i, width)]


@inlined
def _weigh_along(segment, left, right, to_left, to_right, taps, one, other, to_taps, n_taps):
    """Two filters at two places each: Σ tapᵢ·(sample₋ᵢ + sampleᵢ), from the outermost samples inwards.

    Parameters
    ----------
    segment
        (N,) float32, samples of a row.
    left, right
        Where the first place's samples to the left and to the right of the centre begin in the segment.
    to_left, to_right, to_taps
        How much further on the second place's samples and taps lie.
    taps
        (2, L, T) float32, read by flat index.
    one, other
        Where the two filters' taps begin.
    n_taps
        Taps of each.

    Returns
    -------
    Four vectors: the first filter at the first and second place, the second filter likewise.
    """
    zero = splat(np.float32(0))
    one_here, one_there, other_here, other_there = zero, zero, zero, zero
    for i in range(n_taps - 1, -1, -1):
        here = load(segment, left - i) + load(segment, right + i)
        there = load(segment, left + to_left - i) + load(segment, right + to_right + i)
        one_here = fma(broadcast(taps, one + i), here, one_here)
        other_here = fma(broadcast(taps, other + i), here, other_here)
        one_there = fma(broadcast(taps, one + to_taps + i), there, one_there)
        other_there = fma(broadcast(taps, other + to_taps + i), there, other_there)
    return one_here, one_there, other_here, other_there


@inlined
def _store_results(window, at, here, there, change):
    """Store two vectors of results, interleaved (DOUBLE), one after the other (KEEP), or their even lanes.

    Parameters
    ----------
    window
        (L, N) float32.
    at
        Flat index of the first result.
    here, there
        Vectors: results at even and odd places where the grid is doubled, else neighbouring vectors.
    change
        DOUBLE, KEEP or HALVE.
    """
    if change == HALVE:
        store(window, at, even_lanes(here, there))
    else:
        store(window, at, zip_low(here, there) if change == DOUBLE else here)
        store(window, at + LANES, zip_high(here, there) if change == DOUBLE else there)


@inlined
def _blur_pair_along(
    segment, n, change, half, halo, taps, one, other, phase, n_taps, window, at_one, at_other
):
    """Blur a row for two levels, two vectors of results at a time.

    Parameters
    ----------
    segment
        (N,) float32, samples of a row from ``halo`` before the first that is wanted.
    n
        Samples of the result.
    change
        DOUBLE, KEEP or HALVE; a constant.
    half
        1 where results lie half-way between source samples, else 0.
    halo
        T, the room for taps of a filter.
    taps, one, other, n_taps
        As for :func:`_weigh_along`.
    phase
        From the taps at integers to those at halves, in the table.
    window
        (L, N) float32, filled.
    at_one, at_other
        Flat indices of the first result of the two levels.
    """
    step = LANES if change == DOUBLE else 2 * LANES
    to_left, to_right = (0, 1) if change == DOUBLE else (LANES, LANES)
    to_taps = phase if change == DOUBLE else 0
    for i in range(-(-n // (LANES if change == HALVE else 2 * LANES))):
        left = halo + i * step
        one_here, one_there, other_here, other_there = _weigh_along(
            segment, left, left + half, to_left, to_right, taps, one, other, to_taps, n_taps
        )
        to = i * (LANES if change == HALVE else 2 * LANES)
        _store_results(window, at_one + to, one_here, one_there, change)
        _store_results(window, at_other + to, other_here, other_there, change)


@subroutine
def blur_along(segment, n, change, half, taps, n_taps, window, at):
    """Blur a row for all levels, two at a time.

    Parameters
    ----------
    segment, n, change, half
        As for :func:`_blur_pair_along`.
    taps
        (2, L, T) float32, the table.
    n_taps
        (L,) int64, how many matter of each level.
    window
        (L, N) float32; ``window[level, at : at + n]`` is filled.
    at
        Where the line begins.
    """
    n_levels, halo = taps.shape[1], taps.shape[2]
    phase, size = n_levels * halo, window.shape[1]
    for one in range(0, n_levels, 2):
        other = min(one + 1, n_levels - 1)
        n_pair, to_one, to_other = max(n_taps[one], n_taps[other]), one * size + at, other * size + at
        a, b = one * halo, other * halo
        if change == KEEP:
            _blur_pair_along(segment, n, KEEP, 0, halo, taps, a, b, phase, n_pair, window, to_one, to_other)
        elif change == DOUBLE:
            _blur_pair_along(segment, n, DOUBLE, 0, halo, taps, a, b, phase, n_pair, window, to_one, to_other)
        else:
            a, b = a + half * phase, b + half * phase
            _blur_pair_along(
                segment, n, HALVE, half, halo, taps, a, b, phase, n_pair, window, to_one, to_other
            )


@inlined
def _weigh_down(lines, up, down, change, taps, even, odd, n_taps):
    """A vector of each of eight rows of the result: Σ tapᵢ·(line₋ᵢ + lineᵢ), from the outermost inwards.

    Two taps at a time, so that lines that belong to several rows are loaded once.

    Parameters
    ----------
    lines
        (L, N) float32, lines of a tile, ``PITCH`` samples apart.
    up, down
        Flat indices of the lines next to the first row's centre, above and below.
    change
        DOUBLE, KEEP or HALVE; a constant.
    taps
        (2, L, T) float32, read by flat index.
    even, odd
        Where the taps of the even and of the odd rows begin.
    n_taps
        Taps of each, an even number.
    """
    zero = splat(np.float32(0))
    a, b, c, d, e, f, g, h = zero, zero, zero, zero, zero, zero, zero, zero
    for i in range(n_taps - 2, -1, -2):
        above, below = up - i * PITCH, down + i * PITCH
        for further in (1, 0):
            top, bottom = above - further * PITCH, below + further * PITCH
            even_tap, odd_tap = broadcast(taps, even + i + further), broadcast(taps, odd + i + further)
            a = fma(even_tap, _mirrors(lines, top, bottom, 0, change), a)
            b = fma(odd_tap, _mirrors(lines, top, bottom, 1, change), b)
            c = fma(even_tap, _mirrors(lines, top, bottom, 2, change), c)
            d = fma(odd_tap, _mirrors(lines, top, bottom, 3, change), d)
            e = fma(even_tap, _mirrors(lines, top, bottom, 4, change), e)
            f = fma(odd_tap, _mirrors(lines, top, bottom, 5, change), f)
            g = fma(even_tap, _mirrors(lines, top, bottom, 6, change), g)
            h = fma(odd_tap, _mirrors(lines, top, bottom, 7, change), h)
    return a, b, c, d, e, f, g, h


@inlined
def _mirrors(lines, top, bottom, row, change):
    """The sum of the samples above and below that a row of the result, a constant, counts alike.

    ``top`` and ``bottom`` are the flat indices of those of row 0.
    """
    up = row if change == KEEP else row // 2 if change == DOUBLE else 2 * row
    down = row if change == KEEP else (row + 1) // 2 if change == DOUBLE else 2 * row
    return load(lines, top + up * PITCH) + load(lines, bottom + down * PITCH)


@inlined
def _store(result, at, vector, is_large):
    """Store a vector at the flat index ``at`` of a float32 array, past the caches where it ``is_large``."""
    if is_large:
        store_nontemporal(result, at, vector)
    else:
        store(result, at, vector)


@inlined
def blur_down(
    change, even, odd, window, up, down, taps, n_taps, result, is_large, out, pitch, first, stop, n
):
    """Blur eight rows of the result down the columns.

    Parameters
    ----------
    change, even, odd, up, down, taps, n_taps
        As for :func:`_weigh_down`.
    window
        (L, N) float32, the tile's lines, already blurred along.
    result
        (L, R, P) float32, filled.
    is_large
        As for :func:`_store`.
    out
        Flat index of the first row's first sample in the result.
    pitch
        P.
    first, stop
        Which of the eight rows are wanted.
    n
        Samples of each.
    """
    for x in range(0, n, LANES):
        rows = _weigh_down(window, up + x, down + x, change, taps, even, odd, n_taps)
        if first <= 0:
            _store(result, out + x, rows[0], is_large)
        if first <= 1 < stop:
            _store(result, out + pitch + x, rows[1], is_large)
        if stop > 2:
            _store(result, out + 2 * pitch + x, rows[2], is_large)
        if stop > 3:
            _store(result, out + 3 * pitch + x, rows[3], is_large)
        if stop > 4:
            _store(result, out + 4 * pitch + x, rows[4], is_large)
        if stop > 5:
            _store(result, out + 5 * pitch + x, rows[5], is_large)
        if stop > 6:
            _store(result, out + 6 * pitch + x, rows[6], is_large)
        if stop > 7:
            _store(result, out + 7 * pitch + x, rows[7], is_large)

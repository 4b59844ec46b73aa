"""Blur down the columns of a tile, eight rows at a time, which share the lines they load.

Every sum runs as those of ``blur_along.py``.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import inlined
from ..kernels.vectors import LANES, broadcast, fma, load, splat, store, store_nontemporal
from .blur_lines import DOUBLE, KEEP, PITCH


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

"""Blur along the lines of a tile.

The filters are symmetric, and mirror samples are summed before they are multiplied, so that mirroring the
image changes no bit. Every sum runs from the outermost, smallest tap to the centre by fused multiply-adds:
its bits do not depend on how rows or levels are grouped, nor on the processor. Along a line filters share the
sums of mirror samples: all six of an octave of three scales where their sums fit into registers, else two.
"""

from __future__ import annotations

import numpy as np

from ..kernels.decorators import inlined, subroutine
from ..kernels.vectors import (
    LANES,
    broadcast,
    even_lanes,
    fma,
    has_wide_registers,
    load,
    splat,
    store,
    zip_high,
    zip_low,
)
from .blur_lines import DOUBLE, HALVE, KEEP


@inlined
def _mirrors(segment, left, right, to_left, to_right, i):
    """The sums of the mirror samples at distance ``i`` from two places, as for :func:`_weigh_two`."""
    here = load(segment, left - i) + load(segment, right + i)
    return here, load(segment, left + to_left - i) + load(segment, right + to_right + i)


@inlined
def _added(sums, taps, one, other, to_taps, here, there):
    """The four ``sums`` of two filters at two places, with the sums of mirror samples ``here`` and ``there``.

    ``one`` and ``other`` are where the filters' taps for these stand, those of the second place ``to_taps``
    further on.
    """
    return (
        fma(broadcast(taps, one), here, sums[0]),
        fma(broadcast(taps, one + to_taps), there, sums[1]),
        fma(broadcast(taps, other), here, sums[2]),
        fma(broadcast(taps, other + to_taps), there, sums[3]),
    )


@inlined
def _weigh_two(segment, left, right, to_left, to_right, taps, one, other, to_taps, n_taps):
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
    sums = zero, zero, zero, zero
    for i in range(n_taps - 1, -1, -1):
        here, there = _mirrors(segment, left, right, to_left, to_right, i)
        sums = _added(sums, taps, one + i, other + i, to_taps, here, there)
    return sums


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
def _store_two(window, one, other, sums, change):
    """Store the results of two filters, as of :func:`_weigh_two`, from ``one`` and from ``other`` on."""
    _store_results(window, one, sums[0], sums[1], change)
    _store_results(window, other, sums[2], sums[3], change)


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
        As for :func:`_weigh_two`.
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
        sums = _weigh_two(segment, left, left + half, to_left, to_right, taps, one, other, to_taps, n_taps)
        to = i * (LANES if change == HALVE else 2 * LANES)
        _store_two(window, at_one + to, at_other + to, sums, change)


@inlined
def _weigh_six(segment, left, to_left, to_right, taps, halo, to_taps, n_two, n_four, n_six):
    """Six filters at two places each, as :func:`_weigh_two`: all share the sums of mirror samples.

    The twelve sums stay in registers where a vector is one, and there are 32.

    Parameters
    ----------
    segment, left, to_left, to_right, taps, to_taps
        As for :func:`_weigh_two`.
    halo
        From a filter's taps to the next one's; the first begin at 0.
    n_two, n_four, n_six
        Taps of the first two filters, of the next two, and of the last two; none is less than the one before.

    Returns
    -------
    What :func:`_weigh_two` returns, of the first two filters, of the next two, and of the last two.
    """
    zero = splat(np.float32(0))
    first, second, third = (zero, zero, zero, zero), (zero, zero, zero, zero), (zero, zero, zero, zero)
    for i in range(n_six - 1, n_four - 1, -1):
        here, there = _mirrors(segment, left, left, to_left, to_right, i)
        third = _added(third, taps, 4 * halo + i, 5 * halo + i, to_taps, here, there)
    for i in range(n_four - 1, n_two - 1, -1):
        here, there = _mirrors(segment, left, left, to_left, to_right, i)
        second = _added(second, taps, 2 * halo + i, 3 * halo + i, to_taps, here, there)
        third = _added(third, taps, 4 * halo + i, 5 * halo + i, to_taps, here, there)
    for i in range(n_two - 1, -1, -1):
        here, there = _mirrors(segment, left, left, to_left, to_right, i)
        first = _added(first, taps, i, halo + i, to_taps, here, there)
        second = _added(second, taps, 2 * halo + i, 3 * halo + i, to_taps, here, there)
        third = _added(third, taps, 4 * halo + i, 5 * halo + i, to_taps, here, there)
    return first, second, third


@inlined
def _blur_six_along(segment, n, change, halo, taps, n_taps, window, at):
    """Blur a row for six levels at once.

    ``change`` is DOUBLE or KEEP, a constant; the other arguments are those of :func:`blur_along`.
    """
    size = window.shape[1]
    n_two, n_four, n_six = max(n_taps[0], n_taps[1]), max(n_taps[2], n_taps[3]), max(n_taps[4], n_taps[5])
    step = LANES if change == DOUBLE else 2 * LANES
    to_left, to_right = (0, 1) if change == DOUBLE else (LANES, LANES)
    to_taps = 6 * halo if change == DOUBLE else 0
    for i in range(-(-n // (2 * LANES))):
        left, to = halo + i * step, at + 2 * i * LANES
        first, second, third = _weigh_six(
            segment, left, to_left, to_right, taps, halo, to_taps, n_two, n_four, n_six
        )
        _store_two(window, to, to + size, first, change)
        _store_two(window, to + 2 * size, to + 3 * size, second, change)
        _store_two(window, to + 4 * size, to + 5 * size, third, change)


@subroutine
def blur_along(segment, n, change, half, taps, n_taps, window, at):
    """Blur a row for all levels: six at once where there are six and room for their sums, else two.

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
    if has_wide_registers() and n_levels == 6 and change != HALVE:
        if change == KEEP:
            _blur_six_along(segment, n, KEEP, halo, taps, n_taps, window, at)
        else:
            _blur_six_along(segment, n, DOUBLE, halo, taps, n_taps, window, at)
        return
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

"""Separable symmetric kernels on doubled, kept and halved grids, several at a time (IPOL, section 2.2).

A kernel has taps at integer offsets, for samples that lie on source samples, and at half-integer
offsets, for samples half-way between. Taps are symmetric, and mirror samples are summed before they
are multiplied, so that mirroring the image changes no bit. Every sum runs from the outermost, smallest tap to
the centre by fused multiply-adds: its bits do not depend on how rows are grouped, nor on the processor.

The result is computed in tiles that stay in the cache: along the rows first, where two kernels share the
sums of mirror samples, then down the columns, where four rows share the lines they load.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..kernels.buffers import borrowed
from ..kernels.decorators import inlined, kernel, subroutine
from ..kernels.threads import Threads
from ..kernels.vectors import (
    LANES,
    broadcast,
    even_lanes,
    fma,
    load,
    splat,
    store,
    store_beyond_caches,
    wait_for_stores,
    zip_high,
    zip_low,
)

CUTOFF = 4.0
"""Kernels are cut at this many standard deviations."""

_CACHE_BYTES = 12 << 20
"""Levels beyond this size are not in a cache when they are read, at least not where it is shared."""

DOUBLE, KEEP, HALVE = 2, 0, -2
"""How the grid of a result relates to that of its source."""

_TILE, _BLOCK, _ROWS = 1024, 128, 4
"""Columns and rows of the result that are worked at once, and how many rows share the samples loaded."""
_PITCH = _TILE + LANES
"""Samples from row to row of a tile's own array: no power of two, lest rows collide in the cache."""
KERNELS_KEPT = 256
"""Kernels kept for the next image of a batch: there are some forty an image, the same for all."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """The taps from the centre outwards: tap i weighs the two source samples at distance i or i + ½."""

    at_integers: NDArray[np.float64]
    """The centre is its own mirror sample and is counted twice, so its tap is half its weight."""
    at_halves: NDArray[np.float64]


@lru_cache(KERNELS_KEPT)
def gaussian_kernel(sigma: float) -> Kernel:
    """A Gaussian of standard deviation ``sigma`` (source samples); for 0 the identity on integers."""
    radius = CUTOFF * sigma
    spread = max(sigma, 1e-3)  # the identity is a Gaussian too narrow to reach a neighbour
    at_integers = [math.exp(-0.5 * (i / spread) ** 2) for i in range(int(radius + 0.5) + 1)]
    at_halves = [math.exp(-0.5 * ((i + 0.5) ** 2 - 0.25) / spread**2) for i in range(int(radius) + 1)]
    return _normalised(at_integers, at_halves)


@lru_cache(KERNELS_KEPT)
def linear_doubling_kernel(sigma: float) -> Kernel:
    """A Gaussian of the doubled grid after linear interpolation: [½, 1, ½] convolved with it, split by phase.

    With g(i) the Gaussian on the doubled grid, the kernel there is k(i) = g(i) + (g(i−1) + g(i+1))/2;
    its even taps meet source samples for even results, its odd ones for odd results.
    """
    radius = int(CUTOFF * sigma + 0.5)
    gaussian = {i: math.exp(-0.5 * (i / sigma) ** 2) for i in range(-radius, radius + 1)}

    def tap(i: int) -> float:
        return gaussian.get(i, 0.0) + (gaussian.get(i - 1, 0.0) + gaussian.get(i + 1, 0.0)) / 2

    return _normalised([tap(i) for i in range(0, radius + 2, 2)], [tap(i) for i in range(1, radius + 2, 2)])


def _normalised(at_integers: list[float], at_halves: list[float]) -> Kernel:
    """Taps that sum to 1 over both sides."""
    at_integers[0] /= 2
    return Kernel(*(np.array(half) / (2 * math.fsum(half)) for half in (at_integers, at_halves)))


def blur(
    source: NDArray[np.float32],
    source_shape: tuple[int, ...],
    source_first: int,
    change: int,
    kernels: Sequence[Kernel],
    result: NDArray[np.float32],
    result_first: int,
    rows: tuple[int, int],
    threads: Threads,
) -> None:
    """Fill some rows of ``result`` with the source, blurred by each kernel and resampled.

    Parameters
    ----------
    source
        Rows of an image from its row ``source_first`` on, all that the kernels reach.
    source_shape
        (H, W) of the whole image, which is mirrored at its ends without repeating them, again and
        again where a kernel is longer than a side.
    change
        ``DOUBLE``, ``KEEP`` or ``HALVE``.
    kernels
        One a level.
    result
        (L, R, at least the width of the result in whole vectors), from its row ``result_first`` on.
    rows
        Start and stop of the rows of the result to fill.
    threads
        Where they are shared out.
    """
    table, start, n_columns = _tap_table(tuple(kernels)), rows[0], changed_side(source_shape[1], change)
    if result.shape[2] < -(-n_columns // LANES) * LANES:
        raise ValueError(f"{n_columns} columns in whole vectors do not fit into rows of {result.shape[2]}")
    reach, image = table[0].shape[2], (source, source_first, *source_shape)
    n_lines = changed_side(_BLOCK, -change) + 2 * reach + 2 * _ROWS

    is_large = result.nbytes > _CACHE_BYTES and _is_aligned(result)

    def work(first: int, last: int) -> None:
        part = n_columns, start + first, start + last
        with borrowed(len(kernels), n_lines * _PITCH) as window:
            _blur_rows(*image, change, *table, window, result, is_large, result_first, *part)

    n_rows = rows[1] - start
    n_samples = n_rows * n_columns * len(kernels)
    threads.over_rows(n_rows, 4 * n_samples if change == HALVE else n_samples, work)


def _is_aligned(result: NDArray[np.float32]) -> bool:
    """Whether each row begins on a cache line."""
    line_bytes = LANES * result.itemsize
    return bool(result.ctypes.data % line_bytes == 0 and result.strides[1] % line_bytes == 0)


def changed_side(n: int, change: int) -> int:
    """Samples of a side of n samples after the change."""
    return 2 * n - 1 if change == DOUBLE else (n + 1) // 2 if change == HALVE else n


@lru_cache(KERNELS_KEPT)
def _tap_table(kernels: tuple[Kernel, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(2, L, T) taps by phase, level and distance, and how many of each level matter, an even number."""
    lengths = [max(len(k.at_integers), len(k.at_halves)) for k in kernels]
    n_taps = np.array([n + n % 2 for n in lengths], np.int64)
    taps = np.zeros((2, len(kernels), n_taps.max()), np.float32)
    for i, k in enumerate(kernels):
        taps[0, i, : len(k.at_integers)], taps[1, i, : len(k.at_halves)] = k.at_integers, k.at_halves
    return taps, n_taps


@subroutine
def _mirrored(i, n):
    """Index of sample i when the n samples are mirrored at their ends, again and again."""
    if 0 <= i < n:
        return i
    if n == 1:
        return 0
    i = abs(i) % (2 * n - 2)
    return min(i, 2 * n - 2 - i)


@subroutine
def _centre(y, change):
    """The source row on or just before row y of the result."""
    return y if change == KEEP else y // 2 if change == DOUBLE else 2 * y


@subroutine
def _cut_out(row, width, first, segment):
    """Samples of a row from ``first`` on, mirrored at its ends."""
    n = len(segment)
    left, right = max(0, -first), min(n, width - first)
    if left < right:
        segment[left:right] = row[first + left : first + right]
    for i in range(min(left, n)):
        segment[i] = row[_mirrored(first + i, width)]
    for i in range(max(right, 0), n):
        segment[i] = row[_mirrored(first + i, width)]


@inlined
def _weigh_along(segment, left, right, to_left, to_right, taps, one, other, to_taps, n_taps):
    """Two kernels at two places each: Σ tapᵢ·(sample₋ᵢ + sampleᵢ), from the outermost samples inwards.

    The samples and the taps of the second place lie ``to_left``, ``to_right`` and ``to_taps`` further on.
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
def _place(window, at, here, there, change):
    """Store two vectors: samples of two phases, neighbours, or neighbours of which every other one counts."""
    if change == HALVE:
        store(window, at, even_lanes(here, there))
    else:
        store(window, at, zip_low(here, there) if change == DOUBLE else here)
        store(window, at + LANES, zip_high(here, there) if change == DOUBLE else there)


@inlined
def _blur_pair_along(
    segment, n, change, half, reach, taps, one, other, phase, n_taps, window, at_one, at_other
):
    """Two levels of a row: a vector of even and one of odd samples at once, or two vectors side by side."""
    step = LANES if change == DOUBLE else 2 * LANES
    to_left, to_right = (0, 1) if change == DOUBLE else (LANES, LANES)
    to_taps = phase if change == DOUBLE else 0
    for i in range(-(-n // (LANES if change == HALVE else 2 * LANES))):
        left = reach + i * step
        one_here, one_there, other_here, other_there = _weigh_along(
            segment, left, left + half, to_left, to_right, taps, one, other, to_taps, n_taps
        )
        to = i * (LANES if change == HALVE else 2 * LANES)
        _place(window, at_one + to, one_here, one_there, change)
        _place(window, at_other + to, other_here, other_there, change)


@subroutine
def _blur_along(segment, n, change, half, taps, n_taps, window, at):
    """The n samples of a row, for each level, into window[level, at:], two levels at a time."""
    n_levels, reach = taps.shape[1], taps.shape[2]
    phase, size = n_levels * reach, window.shape[1]
    for one in range(0, n_levels, 2):
        other = min(one + 1, n_levels - 1)
        n_pair, to_one, to_other = max(n_taps[one], n_taps[other]), one * size + at, other * size + at
        a, b = one * reach, other * reach
        if change == KEEP:
            _blur_pair_along(segment, n, KEEP, 0, reach, taps, a, b, phase, n_pair, window, to_one, to_other)
        elif change == DOUBLE:
            _blur_pair_along(
                segment, n, DOUBLE, 0, reach, taps, a, b, phase, n_pair, window, to_one, to_other
            )
        else:
            a, b = a + half * phase, b + half * phase
            _blur_pair_along(
                segment, n, HALVE, half, reach, taps, a, b, phase, n_pair, window, to_one, to_other
            )


@inlined
def _weigh_down(lines, up, down, change, taps, even, odd, n_taps):
    """Four rows of the result: Σ tapᵢ·(line₋ᵢ + lineᵢ), from the outermost lines to ``up`` and ``down``.

    Two taps at a time, so that lines which belong to several rows are loaded once.
    """
    up1, up2, up3 = (1, 2, 3) if change == KEEP else (0, 1, 1) if change == DOUBLE else (2, 4, 6)
    down1, down2, down3 = (1, 2, 3) if change == KEEP else (1, 1, 2) if change == DOUBLE else (2, 4, 6)
    zero = splat(np.float32(0))
    a, b, c, d = zero, zero, zero, zero
    for i in range(n_taps - 2, -1, -2):
        above, below = up - i * _PITCH, down + i * _PITCH
        for further in (1, 0):
            top, bottom = above - further * _PITCH, below + further * _PITCH
            even_tap, odd_tap = broadcast(taps, even + i + further), broadcast(taps, odd + i + further)
            a = fma(even_tap, load(lines, top) + load(lines, bottom), a)
            b = fma(odd_tap, load(lines, top + up1 * _PITCH) + load(lines, bottom + down1 * _PITCH), b)
            c = fma(even_tap, load(lines, top + up2 * _PITCH) + load(lines, bottom + down2 * _PITCH), c)
            d = fma(odd_tap, load(lines, top + up3 * _PITCH) + load(lines, bottom + down3 * _PITCH), d)
    return a, b, c, d


@inlined
def _store(result, at, vector, is_large):
    if is_large:
        store_beyond_caches(result, at, vector)
    else:
        store(result, at, vector)


@inlined
def _blur_rows_down(
    change, even, odd, window, up, down, taps, n_taps, result, is_large, out, pitch, first, stop, n
):
    """Four rows of the result, of which those from ``first`` to ``stop`` are wanted, n samples each."""
    for x in range(0, n, LANES):
        a, b, c, d = _weigh_down(window, up + x, down + x, change, taps, even, odd, n_taps)
        if first <= 0:
            _store(result, out + x, a, is_large)
        if first <= 1 < stop:
            _store(result, out + pitch + x, b, is_large)
        if stop > 2:
            _store(result, out + 2 * pitch + x, c, is_large)
        if stop > 3:
            _store(result, out + 3 * pitch + x, d, is_large)


@kernel(
    "void(float32[:, ::1], int64, int64, int64, int64, float32[:, :, ::1], int64[::1],"
    " float32[:, ::1], float32[:, :, ::1], boolean, int64, int64, int64, int64)"
)
def _blur_rows(
    source,
    source_first,
    height,
    width,
    change,
    taps,
    n_taps,
    window,
    result,
    is_large,
    result_first,
    n_columns,
    start,
    stop,
):
    """Rows start to stop of the result, tile by tile, block of rows by block of rows."""
    n_levels, reach, pitch, size = taps.shape[1], taps.shape[2], result.shape[2], window.shape[1]
    half_x, half_y = (1 - width % 2, 1 - height % 2) if change == HALVE else (0, 0)
    tile, phase = _TILE // 2 if change == HALVE else _TILE, n_levels * reach
    segment = np.empty(_PITCH + 2 * reach + 2 * LANES, np.float32)
    for x0 in range(0, n_columns, tile):
        n, top, ready = min(tile, n_columns - x0), 0, 0
        n_source = n if change == KEEP else (n + 1) // 2 if change == DOUBLE else 2 * n
        n_source = -(-n_source // (2 * LANES)) * 2 * LANES
        for y0 in range(start - start % 2, stop, _BLOCK):
            new_top = _centre(y0, change) - reach
            new_ready = _centre(min(y0 + _BLOCK, stop), change) + reach + 2
            n_kept = ready - new_top if y0 > start else 0
            for level in range(n_levels):
                moved = window[level, (new_top - top) * _PITCH : (new_top - top + n_kept) * _PITCH]
                window[level, : n_kept * _PITCH] = moved
            for line in range(n_kept, new_ready - new_top):
                row = source[_mirrored(new_top + line, height) - source_first]
                _cut_out(row, width, _centre(x0, change) - reach, segment[: n_source + 2 * reach + 2])
                _blur_along(segment, n, change, half_x, taps, n_taps, window, line * _PITCH)
            top, ready = new_top, new_ready
            for level in range(n_levels):
                even, odd = level * reach, phase + level * reach
                for y in range(y0, min(y0 + _BLOCK, stop), _ROWS):
                    line = level * size + (_centre(y, change) - top) * _PITCH
                    out = (level * result.shape[1] + y - result_first) * pitch + x0
                    lines = window, line, line + half_y * _PITCH, taps, n_taps[level]
                    rows = (*lines, result, is_large, out, pitch, start - y, stop - y, n)
                    # The change is written out: as a constant it decides what a compiled copy does.
                    if change == KEEP:
                        _blur_rows_down(KEEP, even, even, *rows)
                    elif change == DOUBLE:
                        _blur_rows_down(DOUBLE, even, odd, *rows)
                    else:
                        _blur_rows_down(HALVE, odd if half_y else even, odd if half_y else even, *rows)
    if is_large:
        wait_for_stores()


def take_every_other(
    source: NDArray[np.float32],
    source_first: int,
    width: int,
    result: NDArray[np.float32],
    rows: tuple[int, int],
    threads: Threads,
) -> None:
    """Fill some rows of ``result`` with the even samples of the even rows of a source; as :func:`blur`."""
    threads.over_rows(
        rows[1] - rows[0],
        (rows[1] - rows[0]) * width,
        lambda start, stop: _take_every_other(
            source, source_first, (width + 1) // 2, result, rows[0] + start, rows[0] + stop
        ),
    )


@kernel("void(float32[:, ::1], int64, int64, float32[:, ::1], int64, int64)")
def _take_every_other(source, source_first, n_columns, result, start, stop):
    for y in range(start, stop):
        row, to = (2 * y - source_first) * source.shape[1], y * result.shape[1]
        for x in range(0, n_columns, LANES):
            at = row + 2 * x
            store(result, to + x, even_lanes(load(source, at), load(source, at + LANES)))

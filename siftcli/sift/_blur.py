"""Separable symmetric kernels on doubled, kept and halved grids, several at a time (IPOL, section 2.2).

A kernel has taps at integer offsets, for samples that lie on source samples, and at half-integer
offsets, for samples half-way between. Taps are symmetric, and mirror samples are summed before they
are multiplied, so that mirroring the image changes no bit. Every sum runs from the outermost, smallest tap to
the centre by fused multiply-adds: its bits do not depend on how rows are grouped, nor on the processor.

The result is computed in tiles that stay in the first-level cache: along the rows first, where all
kernels share the sums of mirror samples, then down the columns, two rows at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._buffers import borrowed
from ._jit import fma, inlined, kernel, subroutine
from ._threads import Threads

CUTOFF = 4.0
"""Kernels are cut at this many standard deviations."""

DOUBLE, KEEP, HALVE = 2, 0, -2
"""How the grid of a result relates to that of its source."""

_TILE, _BLOCK = 256, 128
_LANES = 16
"""Lengths are rounded up to whole vector registers where room allows."""
_PITCH = _TILE + 16
"""Samples from row to row of the tile's own arrays. It is a constant so that one pointer serves all rows."""

_STEP = np.uint64(_PITCH)
_SMALLEST_PASS = 2


@dataclass(frozen=True)
class Kernel:
    """The taps from the centre outwards: tap i weighs the two source samples at distance i or i + ½."""

    at_integers: NDArray[np.float64]
    """The centre is its own mirror sample and is counted twice, so its tap is half its weight."""
    at_halves: NDArray[np.float64]


def gaussian_kernel(sigma: float) -> Kernel:
    """A Gaussian of standard deviation ``sigma`` (source samples); for 0 the identity on integers."""
    radius = CUTOFF * sigma
    spread = max(sigma, 1e-3)  # the identity is a Gaussian too narrow to reach a neighbour
    at_integers = [math.exp(-0.5 * (i / spread) ** 2) for i in range(int(radius + 0.5) + 1)]
    at_halves = [math.exp(-0.5 * ((i + 0.5) ** 2 - 0.25) / spread**2) for i in range(int(radius) + 1)]
    return _normalised(at_integers, at_halves)


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
        (L, R, at least the width of the result), from its row ``result_first`` on.
    rows
        Start and stop of the rows of the result to fill.
    threads
        Where they are shared out.
    """
    table, start, n_columns = _tap_table(kernels), rows[0], changed_side(source_shape[1], change)

    reach, image = table[0].shape[2], (source, source_first, *source_shape)
    n_lines = changed_side(_BLOCK, -change) + 2 * reach + 4

    def work(first: int, last: int) -> None:
        part = n_columns, start + first, start + last
        with borrowed(len(kernels), n_lines * _PITCH) as window:
            _blur_rows(*image, change, *table, window, result, result_first, *part)

    n_rows = rows[1] - start
    threads.over_rows(n_rows, n_rows * n_columns * len(kernels), work)


def changed_side(n: int, change: int) -> int:
    """Samples of a side of n samples after the change."""
    return 2 * n - 1 if change == DOUBLE else (n + 1) // 2 if change == HALVE else n


def _tap_table(kernels: Sequence[Kernel]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(2, L, T) taps by phase, level and distance, and how many of each level matter: whole passes."""
    lengths = [max(len(k.at_integers), len(k.at_halves)) for k in kernels]
    n_taps = np.array([-(-n // _SMALLEST_PASS) * _SMALLEST_PASS for n in lengths], np.int64)
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


@subroutine
def _sum_mirror_samples(segment, reach, half, n, sums):
    """Row i of ``sums``: the n sums of the samples at distance i (or i + ½) on either side."""
    for i in range(reach):
        left, right = segment[reach - i : reach - i + n], segment[reach + half + i : reach + half + i + n]
        line = sums[i * _PITCH : i * _PITCH + n]
        for x in range(n):
            line[x] = left[x] + right[x]


@inlined
def _weigh_four(sums, taps, i, is_first, out):
    base, k0, k1, k2, k3 = np.uint64(i * _PITCH), taps[i], taps[i + 1], taps[i + 2], taps[i + 3]
    for x in range(len(out)):
        at = base + np.uint64(x)
        total = fma(k3, sums[at + np.uint64(3) * _STEP], np.float32(0) if is_first else out[x])
        total = fma(k2, sums[at + np.uint64(2) * _STEP], total)
        total = fma(k1, sums[at + _STEP], total)
        out[x] = fma(k0, sums[at], total)


@inlined
def _weigh_two(sums, taps, i, is_first, out):
    base, k0, k1 = np.uint64(i * _PITCH), taps[i], taps[i + 1]
    for x in range(len(out)):
        at = base + np.uint64(x)
        total = fma(k1, sums[at + _STEP], np.float32(0) if is_first else out[x])
        out[x] = fma(k0, sums[at], total)


@subroutine
def _weigh(sums, taps, n_taps, out):
    """Σ tapᵢ·sumᵢ along a tile's row, four taps a pass."""
    i = n_taps - n_taps % 4
    if n_taps % 4:
        _weigh_two(sums, taps, i, True, out)
    else:
        i -= 4
        _weigh_four(sums, taps, i, True, out)
    while i > 0:
        i -= 4
        _weigh_four(sums, taps, i, False, out)


@subroutine
def _interleave(even, odd, out):
    n = len(out) // 2
    for x in range(n):
        out[2 * x] = even[x]
        out[2 * x + 1] = odd[x]
    if len(out) % 2:
        out[2 * n] = even[n]


@subroutine
def _blur_along(row, width, x0, n, change, taps, n_taps, segment, sums, lines, window, at):
    """The samples x0 to x0 + n of a row, for each level, into window[level, at : at + n]."""
    reach, half = taps.shape[2], 1 - width % 2 if change == HALVE else 0
    n_source = n if change == KEEP else (n + 1) // 2 if change == DOUBLE else 2 * n
    n_source = -(-n_source // _LANES) * _LANES
    _cut_out(row, width, _centre(x0, change) - reach, segment[: n_source + 2 * reach + 1])
    _sum_mirror_samples(segment, reach, half, n_source, sums[0])
    if change == DOUBLE:
        _sum_mirror_samples(segment, reach, 1, n_source, sums[1])
    for level in range(len(n_taps)):
        out = window[level, at : at + n]
        if change == KEEP:
            _weigh(sums[0], taps[0, level], n_taps[level], out)
        elif change == DOUBLE:
            _weigh(sums[0], taps[0, level], n_taps[level], lines[0, :n_source])
            _weigh(sums[1], taps[1, level], n_taps[level], lines[1, :n_source])
            _interleave(lines[0], lines[1], out)
        else:
            _weigh(sums[0], taps[half, level], n_taps[level], lines[0, :n_source])
            for x in range(n):
                out[x] = lines[0, 2 * x]


# Two rows of the result share most of their lines, each of which is loaded once. The lines of the second
# lie ``up_step`` and ``down_step`` below those of the first; inlined, these steps are constants.


@inlined
def _add_four_taps(lines, up, down, up_step, down_step, taps_a, taps_b, i, is_first, out_a, out_b):
    above, below = np.uint64((up - i - 3) * _PITCH), np.uint64((down + i) * _PITCH)
    to_up, to_down = np.uint64(up_step * _PITCH), np.uint64(down_step * _PITCH)
    a0, a1, a2, a3 = taps_a[i], taps_a[i + 1], taps_a[i + 2], taps_a[i + 3]
    b0, b1, b2, b3 = taps_b[i], taps_b[i + 1], taps_b[i + 2], taps_b[i + 3]
    for x in range(len(out_a)):
        p3, q0 = above + np.uint64(x), below + np.uint64(x)
        p2, p1, p0 = p3 + _STEP, p3 + np.uint64(2) * _STEP, p3 + np.uint64(3) * _STEP
        q1, q2, q3 = q0 + _STEP, q0 + np.uint64(2) * _STEP, q0 + np.uint64(3) * _STEP
        a = fma(a3, lines[p3] + lines[q3], np.float32(0) if is_first else out_a[x])
        b = fma(b3, lines[p3 + to_up] + lines[q3 + to_down], np.float32(0) if is_first else out_b[x])
        a = fma(a2, lines[p2] + lines[q2], a)
        b = fma(b2, lines[p2 + to_up] + lines[q2 + to_down], b)
        a = fma(a1, lines[p1] + lines[q1], a)
        b = fma(b1, lines[p1 + to_up] + lines[q1 + to_down], b)
        out_a[x] = fma(a0, lines[p0] + lines[q0], a)
        out_b[x] = fma(b0, lines[p0 + to_up] + lines[q0 + to_down], b)


@inlined
def _add_two_taps(lines, up, down, up_step, down_step, taps_a, taps_b, i, is_first, out_a, out_b):
    above, below = np.uint64((up - i - 1) * _PITCH), np.uint64((down + i) * _PITCH)
    to_up, to_down = np.uint64(up_step * _PITCH), np.uint64(down_step * _PITCH)
    a0, a1, b0, b1 = taps_a[i], taps_a[i + 1], taps_b[i], taps_b[i + 1]
    for x in range(len(out_a)):
        p1, q0 = above + np.uint64(x), below + np.uint64(x)
        p0, q1 = p1 + _STEP, q0 + _STEP
        a = fma(a1, lines[p1] + lines[q1], np.float32(0) if is_first else out_a[x])
        b = fma(b1, lines[p1 + to_up] + lines[q1 + to_down], np.float32(0) if is_first else out_b[x])
        out_a[x] = fma(a0, lines[p0] + lines[q0], a)
        out_b[x] = fma(b0, lines[p0 + to_up] + lines[q0 + to_down], b)


@inlined
def _blur_down(lines, up, down, up_step, down_step, taps_a, taps_b, n_taps, out_a, out_b):
    """Two rows of the result, from the outermost lines to ``up`` and ``down``, four taps a pass."""
    i = n_taps - n_taps % 4
    if n_taps % 4:
        _add_two_taps(lines, up, down, up_step, down_step, taps_a, taps_b, i, True, out_a, out_b)
    else:
        i -= 4
        _add_four_taps(lines, up, down, up_step, down_step, taps_a, taps_b, i, True, out_a, out_b)
    while i > 0:
        i -= 4
        _add_four_taps(lines, up, down, up_step, down_step, taps_a, taps_b, i, False, out_a, out_b)


@subroutine
def _two_rows(lines, centre, change, half, taps, level, n_taps, out_a, out_b):
    """A row of the result and the next, from the lines of a level; ``centre`` is the line of the first."""
    if change == KEEP:
        _blur_down(lines, centre, centre, 1, 1, taps[0, level], taps[0, level], n_taps, out_a, out_b)
    elif change == DOUBLE:
        _blur_down(lines, centre, centre, 0, 1, taps[0, level], taps[1, level], n_taps, out_a, out_b)
    else:
        k = taps[half, level]
        _blur_down(lines, centre, centre + half, 2, 2, k, k, n_taps, out_a, out_b)


@kernel(
    "void(float32[:, ::1], int64, int64, int64, int64, float32[:, :, ::1], int64[::1],"
    " float32[:, ::1], float32[:, :, ::1], int64, int64, int64, int64)"
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
    result_first,
    n_columns,
    start,
    stop,
):
    """Rows start to stop of the result, tile by tile, block of rows by block of rows."""
    n_levels, reach = taps.shape[1], taps.shape[2]
    half, tile = 1 - height % 2, _TILE // 2 if change == HALVE else _TILE
    segment = np.empty(_PITCH + 2 * reach + 1, np.float32)
    sums, lines = np.empty((2, reach * _PITCH), np.float32), np.empty((2, _PITCH), np.float32)
    # A row too many at either end of a pair is computed for nothing.
    unused = np.empty(_TILE, np.float32)
    for x0 in range(0, n_columns, tile):
        n, top, ready = min(tile, n_columns - x0), 0, 0
        for y0 in range(start - start % 2, stop, _BLOCK):
            new_top = _centre(y0, change) - reach
            new_ready = _centre(min(y0 + _BLOCK, stop), change) + reach + 2
            n_kept = ready - new_top if y0 > start else 0
            for level in range(n_levels):
                moved = window[level, (new_top - top) * _PITCH : (new_top - top + n_kept) * _PITCH]
                window[level, : n_kept * _PITCH] = moved
            for line in range(n_kept, new_ready - new_top):
                row = source[_mirrored(new_top + line, height) - source_first]
                _blur_along(
                    row, width, x0, n, change, taps, n_taps, segment, sums, lines, window, line * _PITCH
                )
            top, ready = new_top, new_ready
            for level in range(n_levels):
                for y in range(y0, min(y0 + _BLOCK, stop), 2):
                    out_a = result[level, y - result_first, x0 : x0 + n] if y >= start else unused[:n]
                    out_b = result[level, y + 1 - result_first, x0 : x0 + n] if y + 1 < stop else unused[:n]
                    _two_rows(
                        window[level],
                        _centre(y, change) - top,
                        change,
                        half,
                        taps,
                        level,
                        n_taps[level],
                        out_a,
                        out_b,
                    )

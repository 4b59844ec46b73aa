"""Separable blur on doubled, kept and halved grids, several filters at a time.

The result is computed in tiles that stay in the cache (``blur_lines.py``): along the rows first
(``blur_along.py``), then down the columns (``blur_down.py``). No sample depends on the tiles, nor on which
rows are computed together.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.buffers import borrowed
from ..kernels.decorators import kernel
from ..kernels.threads import Threads
from ..kernels.vectors import LANES, even_lanes, fence, load, store
from .blur_along import blur_along
from .blur_down import blur_down
from .blur_lines import DOUBLE, HALVE, KEEP, PITCH, TILE, cut_out, mirrored, move_lines, source_row
from .gaussian import N_CACHED, Taps

_CACHE_BYTES = 12 << 20
"""Levels larger than this are no longer in a cache when they are read, at least not where it is shared."""

_BLOCK, _ROWS = 256, 8
"""Rows of the result in a tile, and how many of them share the samples loaded."""


class Source(NamedTuple):
    """Some rows of an image."""

    samples: NDArray[np.float32]
    """(R, W or more), C-contiguous."""
    first_row: int
    """The image's row that is row 0 of the samples."""
    shape: tuple[int, ...]
    """(H, W) of the whole image."""


def blur(
    source: Source,
    change: int,
    taps: Sequence[Taps],
    result: NDArray[np.float32],
    result_first: int,
    rows: tuple[int, int],
    threads: Threads,
) -> None:
    """Fill some rows of ``result`` with the source, filtered by each of the taps and resampled.

    Parameters
    ----------
    source
        All rows that the filters reach. The image is padded by mirroring, without repeating the edge sample,
        again and again where a filter is longer than a side.
    change
        ``DOUBLE``, ``KEEP`` or ``HALVE``.
    taps
        One filter a level.
    result
        (L, R, at least the width of the result in whole vectors), from its row ``result_first`` on.
    rows
        Start and stop of the rows of the result to fill.
    threads
        Where they are shared out.
    """
    table, start, n_columns = _tap_table(tuple(taps)), rows[0], changed_side(source.shape[1], change)
    if result.shape[2] < -(-n_columns // LANES) * LANES:
        raise ValueError(f"{n_columns} columns in whole vectors do not fit into rows of {result.shape[2]}")
    halo, image = table[0].shape[2], (source.samples, source.first_row, *source.shape)
    n_lines = changed_side(_BLOCK, -change) + 2 * halo + 2 * _ROWS

    is_large = result.nbytes > _CACHE_BYTES and _is_aligned(result)

    def work(first: int, last: int) -> None:
        part = n_columns, start + first, start + last
        with borrowed(len(taps), n_lines * PITCH) as window:
            _blur_rows(*image, change, *table, window, result, is_large, result_first, *part)

    n_rows = rows[1] - start
    n_samples = n_rows * n_columns * len(taps)
    threads.over_rows(n_rows, 4 * n_samples if change == HALVE else n_samples, work)


def rows_read(height: int, change: int, taps: Sequence[Taps], rows: tuple[int, int]) -> tuple[int, int]:
    """Start and stop of the rows of a source of ``height`` rows that :func:`blur` reads for some rows.

    ``change`` is ``DOUBLE`` or ``KEEP``.
    """
    halo = _tap_table(tuple(taps))[0].shape[2]
    start, stop = ((row // 2 if change == DOUBLE else row) for row in rows)
    start, stop = start - halo - 1, stop + halo + 2
    # What lies beyond an end is mirrored there.
    return (
        max(0, min(start, 2 * (height - 1) - (stop - 1))),
        min(height, max(stop, -start + 1)),
    )


def take_every_other(
    source: Source,
    result: NDArray[np.float32],
    result_first: int,
    rows: tuple[int, int],
    threads: Threads,
) -> None:
    """Fill some rows of ``result`` with the even samples of the even rows of a source; as :func:`blur`."""
    width, source_first, first = source.shape[1], source.first_row - 2 * result_first, rows[0] - result_first
    threads.over_rows(
        rows[1] - rows[0],
        (rows[1] - rows[0]) * width,
        lambda start, stop: _take_every_other(
            source.samples, source_first, (width + 1) // 2, result, first + start, first + stop
        ),
    )


def changed_side(n: int, change: int) -> int:
    """Samples of a side of n samples after the change."""
    return 2 * n - 1 if change == DOUBLE else (n + 1) // 2 if change == HALVE else n


def _is_aligned(result: NDArray[np.float32]) -> bool:
    """Whether each row begins on a cache line."""
    line_bytes = LANES * result.itemsize
    return bool(result.ctypes.data % line_bytes == 0 and result.strides[1] % line_bytes == 0)


@lru_cache(N_CACHED)
def _tap_table(filters: tuple[Taps, ...]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(2, L, T) taps by phase, level and distance, and (L,) how many of each level matter, an even number."""
    lengths = [max(len(f.at_integers), len(f.at_halves)) for f in filters]
    n_taps = np.array([n + n % 2 for n in lengths], np.int64)
    table = np.zeros((2, len(filters), n_taps.max()), np.float32)
    for i, f in enumerate(filters):
        table[0, i, : len(f.at_integers)], table[1, i, : len(f.at_halves)] = f.at_integers, f.at_halves
    return table, n_taps


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
    """Blur rows ``start`` to ``stop`` of the result, tile by tile.

    Parameters
    ----------
    source
        (R₀, P₀) float32, rows of the image from ``source_first`` on.
    source_first, height, width
        The first of the image's rows that is there, and the image's size (H, W).
    change
        As for :func:`blur`.
    taps, n_taps
        (2, L, T) float32 taps by phase, level and distance; (L,) int64 how many matter of each level.
    window
        (L, N) float32, room for the lines of a tile.
    result
        (L, R, P) float32, filled, rows from ``result_first`` on.
    is_large
        Whether the result is stored past the caches.
    result_first
        The first row of the result that is there.
    n_columns
        Its width.
    start, stop
        The rows to fill.
    """
    n_levels, halo, pitch, size = taps.shape[1], taps.shape[2], result.shape[2], window.shape[1]
    half_x, half_y = (1 - width % 2, 1 - height % 2) if change == HALVE else (0, 0)
    tile, phase = TILE // 2 if change == HALVE else TILE, n_levels * halo
    segment = np.empty(PITCH + 2 * halo + 2 * LANES, np.float32)
    for x0 in range(0, n_columns, tile):
        n, top, ready = min(tile, n_columns - x0), 0, 0
        n_source = n if change == KEEP else (n + 1) // 2 if change == DOUBLE else 2 * n
        n_source = -(-n_source // (2 * LANES)) * 2 * LANES
        for y0 in range(start - start % 2, stop, _BLOCK):
            new_top = source_row(y0, change) - halo
            new_ready = source_row(min(y0 + _BLOCK, stop), change) + halo + 2
            n_kept = ready - new_top if y0 > start else 0
            move_lines(window, size, n_levels, new_top - top, n_kept)
            for line in range(n_kept, new_ready - new_top):
                row = mirrored(new_top + line, height) - source_first
                after = mirrored(min(new_top + line + 1, new_ready - 1), height) - source_first
                first = source_row(x0, change) - halo
                cut_out(source, row, after, width, first, segment, n_source + 2 * halo + 2)
                blur_along(segment, n, change, half_x, taps, n_taps, window, line * PITCH)
            top, ready = new_top, new_ready
            for level in range(n_levels):
                even, odd = level * halo, phase + level * halo
                for y in range(y0, min(y0 + _BLOCK, stop), _ROWS):
                    line = level * size + (source_row(y, change) - top) * PITCH
                    out = (level * result.shape[1] + y - result_first) * pitch + x0
                    lines = window, line, line + half_y * PITCH, taps, n_taps[level]
                    rows = (*lines, result, is_large, out, pitch, start - y, stop - y, n)
                    # A constant for each case: code that is compiled for all of them would be slower.
                    if change == KEEP:
                        blur_down(KEEP, even, even, *rows)
                    elif change == DOUBLE:
                        blur_down(DOUBLE, even, odd, *rows)
                    else:
                        blur_down(HALVE, odd if half_y else even, odd if half_y else even, *rows)
    if is_large:
        fence()


@kernel("void(float32[:, ::1], int64, int64, float32[:, ::1], int64, int64)")
def _take_every_other(source, source_first, n_columns, result, start, stop):
    """Fill rows ``start`` to ``stop`` of the result with every other sample of every other row.

    Parameters
    ----------
    source
        (R₀, P₀) float32, rows of the image from ``source_first`` on; P₀ in whole pairs of vectors.
    source_first
        The first of the image's rows that is there.
    n_columns
        Width of the result.
    result
        (R, P) float32, filled.
    start, stop
        The rows to fill.
    """
    for y in range(start, stop):
        row, to = (2 * y - source_first) * source.shape[1], y * result.shape[1]
        for x in range(0, n_columns, LANES):
            at = row + 2 * x
            store(result, to + x, even_lanes(load(source, at), load(source, at + LANES)))

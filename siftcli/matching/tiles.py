"""The kernels of the nearest-neighbour search: tiles of squared distances, reduced while they are in cache.

A squared distance is |a|² + |b|² − 2 a·b, and a·b is a product of bytes, for which processors have an
instruction (``kernels/byte_products.py``). It subtracts an offset o from the bytes of b, so

    |a − b|² = (|a|² − 2 o Σa) + (|b|² − 2 a·(b − o)),

where the first bracket is the row's and the second is called the *part* of a pair here: in one row, the
smallest part is the nearest neighbour. All of these are whole numbers below 2²⁴, which float32 holds exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..kernels.decorators import inlined, kernel, subroutine
from ..kernels.vectors import (
    DESCRIPTOR_WORDS,
    LANES,
    TILE_COLUMNS,
    TILE_ROWS,
    broadcast,
    byte_offset,
    byte_products,
    count_trailing_zeros,
    fma,
    ge_mask,
    load,
    minimum,
    splat,
    store,
    where_greater,
)

TILES_AT_ONCE = 32
"""Tiles that all rows pass before the next: 1,536 columns, or 196 KB, stay in the second-level cache."""

FAR = 1 << 30
"""A squared distance above all real ones: no neighbour."""

_FORBIDDEN = np.float32(-FAR)
"""A product so small that the distance is above ``FAR``."""
_NONE_NEARER = (1 << LANES) - 1


@inlined
def _update_row(tile, row, i, at, not_nearer, squares, place, parts, found):
    """Update what a row has found by those columns of a tile whose bits are not set."""
    nearer = ~not_nearer & ((1 << TILE_COLUMNS) - 1)
    while nearer:
        column = count_trailing_zeros(nearer)
        nearer &= nearer - 1
        j = at + column
        part = squares[j] - np.float32(2) * tile[row, column]
        if part < parts[1, i]:
            if place[j] != found[1, i]:
                parts[2, i] = parts[1, i]
            found[0, i], parts[1, i], found[1, i] = j, part, place[j]
        elif part < parts[2, i] and place[j] != found[1, i]:
            parts[2, i] = part


@subroutine
def _forbid(tile, first, at, of_rows, of_columns, tolerance):
    """Make the products of a tile's pairs that a guide does not allow so small that they are no neighbours.

    A mapped point must be within the tolerance, or both points within that of their epipolar lines; a point
    at infinity and the line of an epipole, NaN, are not.
    """
    for i in range(min(TILE_ROWS, of_rows.shape[0] - first)):
        p = of_rows[first + i]
        for j in range(min(TILE_COLUMNS, of_columns.shape[0] - at)):
            q = of_columns[at + j]
            if p.shape[0] == 2:
                dx, dy = p[0] - q[0], p[1] - q[1]
                is_near = dx * dx + dy * dy <= tolerance * tolerance
            else:
                in_second = p[2] * q[0] + p[3] * q[1] + p[4]
                in_first = q[2] * p[0] + q[3] * p[1] + q[4]
                is_near = abs(in_second) <= tolerance and abs(in_first) <= tolerance
            if not is_near:
                tile[i, j] = _FORBIDDEN


@subroutine
def _search_strip(
    a, first, packed, tiles, squares, place, of_rows, of_columns, tolerance, first_row, tile, parts, found,
    columns,
):  # fmt: skip
    """Search for eight rows from ``first`` on among the columns of some tiles."""
    n, n_columns = parts.shape[1], columns.shape[1]
    minus_two = splat(np.float32(-2))
    for t in range(tiles[0], tiles[1]):
        byte_products(a, first, packed, t, tile)
        at = t * TILE_COLUMNS
        if of_rows.shape[1] > 0:
            _forbid(tile, first, at, of_rows, of_columns, tolerance)
        at_1, at_2, nearest_at = at + LANES, at + 2 * LANES, n_columns + at
        square_0, square_1, square_2 = load(squares, at), load(squares, at_1), load(squares, at_2)
        row_0, row_1, row_2 = load(columns, at), load(columns, at_1), load(columns, at_2)
        nearest_0, nearest_1 = load(columns, nearest_at), load(columns, n_columns + at_1)
        nearest_2 = load(columns, n_columns + at_2)
        for i in range(first, min(first + TILE_ROWS, n)):
            start = (i - first) * TILE_COLUMNS
            part_0 = fma(load(tile, start), minus_two, square_0)
            part_1 = fma(load(tile, start + LANES), minus_two, square_1)
            part_2 = fma(load(tile, start + 2 * LANES), minus_two, square_2)
            second = broadcast(parts, 2 * n + i)
            if ge_mask(minimum(minimum(part_0, part_1), part_2), second) != _NONE_NEARER:
                others = ge_mask(part_0, second) | ge_mask(part_1, second) << LANES
                others |= ge_mask(part_2, second) << 2 * LANES
                _update_row(tile, i - first, i, at, others, squares, place, parts, found)
            own, number = broadcast(parts, i), splat(np.float32(first_row + i))
            part_0, part_1, part_2 = part_0 + own, part_1 + own, part_2 + own
            row_0 = where_greater(nearest_0, part_0, number, row_0)
            row_1 = where_greater(nearest_1, part_1, number, row_1)
            row_2 = where_greater(nearest_2, part_2, number, row_2)
            nearest_0, nearest_1 = minimum(part_0, nearest_0), minimum(part_1, nearest_1)
            nearest_2 = minimum(part_2, nearest_2)
        store(columns, at, row_0)
        store(columns, at_1, row_1)
        store(columns, at_2, row_2)
        store(columns, nearest_at, nearest_0)
        store(columns, n_columns + at_1, nearest_1)
        store(columns, n_columns + at_2, nearest_2)


@kernel("void(uint32[:,::1], uint8[:,::1], uint32[:,:,::1], float32[::1])")
def pack(words: Any, b: Any, packed: Any, squares: Any) -> None:
    """Arrange the second image's descriptors for ``byte_products``.

    Parameters
    ----------
    words, b
        (K, 32) uint32 and (K, 128) uint8: the same memory.
    packed
        (T, 32, 48) uint32, filled, 48 T ≥ K; columns that are not there are 0.
    squares
        (48 T,) float32, filled: |b|²; columns that are not there are further than ``FAR``.
    """
    flip = np.uint32(byte_offset() * 0x01010101)
    for j in range(packed.shape[0] * TILE_COLUMNS):
        tile, column = j // TILE_COLUMNS, j % TILE_COLUMNS
        if j < b.shape[0]:
            total = np.int32(0)
            for k in range(b.shape[1]):
                total += np.int32(b[j, k]) * np.int32(b[j, k])
            squares[j] = total
            for k in range(DESCRIPTOR_WORDS):
                packed[tile, k, column] = words[j, k] ^ flip
        else:
            squares[j] = 2.0 * FAR
            for k in range(DESCRIPTOR_WORDS):
                packed[tile, k, column] = flip


@kernel(
    "void(uint8[:,::1], uint32[:,:,::1], float32[::1], int32[::1], float64[:,::1], float64[:,::1], float64,"
    "int64, float32[:,::1], float32[:,::1], int32[:,::1], float32[:,::1])"
)
def search(
    a: Any, packed: Any, squares: Any, place: Any, of_rows: Any, of_columns: Any, tolerance: float,
    first_row: int, tile: Any, parts: Any, found: Any, columns: Any,
) -> None:  # fmt: skip
    """Find the nearest neighbour of each row and each column, and the distance of each row's second.

    Rows and columns come in ascending order and only a smaller distance replaces one, so of equal distances
    the lowest index is kept.

    Parameters
    ----------
    a
        (N, 128) uint8, some rows of the first image.
    packed, squares
        From :func:`pack`.
    place
        (K,) int32, a number for the location of each column.
    of_rows, of_columns
        What a guide compares: (N, 2) and (K, 2) float64 points of the second image; (N, 5) and (K, 5) a point
        of either image and the epipolar line of the other; (N, 0) and (K, 0) without a guide.
    tolerance
        Of the guide, in pixels.
    first_row
        The number of the first row.
    tile
        (8, 48) float32, for products.
    parts
        (3, N) float32, filled: the row's own part of its distances; the nearest's part, or ``FAR``; that of
        the nearest at another location.
    found
        (2, N) int32, filled: the nearest column, or −1, and its location.
    columns
        (2, 48 T) float32, filled: the nearest row, or −1, and its squared distance.
    """
    n, n_tiles = a.shape[0], packed.shape[0]
    for i in range(n):
        total = np.int32(0)
        for k in range(a.shape[1]):
            total += np.int32(a[i, k]) * (np.int32(a[i, k]) - 2 * np.int32(byte_offset()))
        parts[0, i] = total
    parts[1:] = FAR
    found[:] = -1
    columns[0] = -1
    columns[1] = FAR
    for first_tile in range(0, n_tiles, TILES_AT_ONCE):
        for i in range(0, n, TILE_ROWS):
            tiles = first_tile, min(first_tile + TILES_AT_ONCE, n_tiles)
            _search_strip(
                a, i, packed, tiles, squares, place, of_rows, of_columns, tolerance,
                first_row, tile, parts, found, columns,
            )  # fmt: skip

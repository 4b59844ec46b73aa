"""The kernels of the nearest-neighbour search: tiles of products, reduced while they are in registers.

A squared distance is |a|² + |b|² − 2 a·b, and a·b is a product of bytes, for which processors have an
instruction (``kernels/byte_products.py``). It subtracts an offset o from the bytes of b, so with

    A = |a|² − 2 o Σa,    B = |b|²    and the *closeness*    c = a·(b − o) − ⌊A/2⌋ − ⌊B/2⌋

it is |a − b|² = (A mod 2) + (B mod 2) − 2 c, in whole numbers. Pairs nearer than D have a closeness of at
least −⌊(D − 1)/2⌋, the *limit*. Most tiles have no closeness that reaches the limit of its row or its column,
and are done; in the others, the distances of the pairs that reach one are compared.
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
    byte_offset,
    byte_products,
    count_trailing_zeros,
    reach_mask,
)

TILES_AT_ONCE = 32
"""Tiles that all rows pass before the next: 1,536 columns, or 196 KB, stay in the second-level cache."""

FAR = 1 << 28
"""A squared distance above all real ones: no neighbour."""

ABSENT = -2 * FAR
"""Where the closeness of rows and columns starts that are not there, so that it reaches no limit."""

START, LIMIT, ODD, NEAREST, DISTANCE = range(5)
"""Lines of the numbers of each row and of each column: −⌊A/2⌋ or −⌊B/2⌋; the least closeness that matters;
A mod 2 or B mod 2; the nearest neighbour, or −1, and its squared distance, or ``FAR``."""
PLACE, SECOND = 5, 6
"""Of each row: the nearest neighbour's location, and the squared distance of the nearest at another one."""
ROW_LINES, COLUMN_LINES = 7, 5


@inlined
def _limit(distance):
    """The least closeness of a pair that is nearer."""
    return -((distance - 1) >> 1)


@inlined
def _is_allowed(of_rows, i, of_columns, j, tolerance):
    """Whether a guide allows a pair; always without one.

    A mapped point must be within the tolerance, or both points within that of their epipolar lines; a point
    at infinity and the line of an epipole, NaN, are not.
    """
    if of_rows.shape[1] == 0:
        return True
    p, q = of_rows[i], of_columns[j]
    if p.shape[0] == 2:
        dx, dy = p[0] - q[0], p[1] - q[1]
        return dx * dx + dy * dy <= tolerance * tolerance
    in_second = p[2] * q[0] + p[3] * q[1] + p[4]
    in_first = q[2] * p[0] + q[3] * p[1] + q[4]
    return abs(in_second) <= tolerance and abs(in_first) <= tolerance


@inlined
def _reaching(tile, row, limit):
    """The columns of a tile, as bits, whose closeness in a row reaches a limit."""
    start = row * TILE_COLUMNS
    low, middle = reach_mask(tile, start, limit), reach_mask(tile, start + LANES, limit)
    return low | middle << LANES | reach_mask(tile, start + 2 * LANES, limit) << 2 * LANES


@inlined
def _update_row(tile, row, i, at, rows, columns, place, of_rows, of_columns, tolerance):
    """Update what a row has found by the columns of a tile."""
    near = _reaching(tile, row, rows[LIMIT, i])
    while near:
        column = count_trailing_zeros(near)
        near &= near - 1
        j = at + column
        distance = rows[ODD, i] + columns[ODD, j] - 2 * tile[row, column]
        if distance < rows[SECOND, i] and _is_allowed(of_rows, i, of_columns, j, tolerance):
            if distance < rows[DISTANCE, i]:
                if place[j] != rows[PLACE, i]:
                    rows[SECOND, i] = rows[DISTANCE, i]
                rows[NEAREST, i], rows[DISTANCE, i], rows[PLACE, i] = j, distance, place[j]
            elif place[j] != rows[PLACE, i]:
                rows[SECOND, i] = distance
            rows[LIMIT, i] = _limit(rows[SECOND, i])
            near &= _reaching(tile, row, rows[LIMIT, i])


@inlined
def _update_column(tile, column, j, first, first_row, rows, columns, of_rows, of_columns, tolerance):
    """Update what a column has found by the rows of a tile."""
    nearest = np.int64(FAR * TILE_ROWS)
    for row in range(TILE_ROWS):
        if _is_allowed(of_rows, min(first + row, of_rows.shape[0] - 1), of_columns, j, tolerance):
            # In 64 bits: of a row that is not there, eight times the distance is above 2³¹.
            distance = np.int64(rows[ODD, first + row]) + columns[ODD, j] - 2 * tile[row, column]
            nearest = min(nearest, distance * TILE_ROWS + row)  # of equal distances the first row
    distance = nearest // TILE_ROWS
    if distance < columns[DISTANCE, j]:
        columns[NEAREST, j], columns[DISTANCE, j] = first_row + first + nearest % TILE_ROWS, distance
        columns[LIMIT, j] = _limit(distance)


@subroutine
def _search_strip(
    a, first, packed, tiles, place, of_rows, of_columns, tolerance, first_row, tile, rows, columns
):
    """Search for eight rows from ``first`` on among the columns of some tiles."""
    for t in range(tiles[0], tiles[1]):
        reaching, at = byte_products(a, first, packed, t, rows, columns, tile), t * TILE_COLUMNS
        if reaching == 0:
            continue
        reaching_rows, reaching_columns = reaching >> TILE_COLUMNS, reaching & ((1 << TILE_COLUMNS) - 1)
        while reaching_columns:
            column = count_trailing_zeros(reaching_columns)
            reaching_columns &= reaching_columns - 1
            _update_column(
                tile, column, at + column, first, first_row, rows, columns, of_rows, of_columns, tolerance
            )
        while reaching_rows:
            row = count_trailing_zeros(reaching_rows)
            reaching_rows &= reaching_rows - 1
            _update_row(tile, row, first + row, at, rows, columns, place, of_rows, of_columns, tolerance)


@kernel("void(uint32[:,::1], uint8[:,::1], uint32[:,:,::1], int32[:,::1])")
def pack(words: Any, b: Any, packed: Any, columns: Any) -> None:
    """Arrange the second image's descriptors for ``byte_products``.

    Parameters
    ----------
    words, b
        (K, 32) uint32 and (K, 128) uint8: the same memory.
    packed
        (T, 32, 48) uint32, filled, 48 T ≥ K; columns that are not there are 0.
    columns
        (5, 48 T) int32, filled: nothing is found yet; columns that are not there are further than ``FAR``.
    """
    flip = np.uint32(byte_offset() * 0x01010101)
    columns[LIMIT], columns[NEAREST], columns[DISTANCE] = _limit(FAR), -1, FAR
    for j in range(packed.shape[0] * TILE_COLUMNS):
        tile, column = j // TILE_COLUMNS, j % TILE_COLUMNS
        if j < b.shape[0]:
            total = np.int32(0)
            for k in range(b.shape[1]):
                total += np.int32(b[j, k]) * np.int32(b[j, k])
            columns[START, j], columns[ODD, j] = -(total >> 1), total & 1
            for k in range(DESCRIPTOR_WORDS):
                packed[tile, k, column] = words[j, k] ^ flip
        else:
            columns[START, j], columns[ODD, j] = ABSENT, 0
            for k in range(DESCRIPTOR_WORDS):
                packed[tile, k, column] = flip


@kernel(
    "void(uint8[:,::1], uint32[:,:,::1], int32[::1], float64[:,::1], float64[:,::1], float64, int64,"
    "int32[:,::1], int32[:,::1], int32[:,::1])"
)
def search(
    a: Any, packed: Any, place: Any, of_rows: Any, of_columns: Any, tolerance: float, first_row: int,
    tile: Any, rows: Any, columns: Any,
) -> None:  # fmt: skip
    """Find the nearest neighbour of each row and each column, and the distance of each row's second.

    Rows and columns come in ascending order and only a smaller distance replaces one, so of equal distances
    the lowest index is kept.

    Parameters
    ----------
    a
        (N, 128) uint8, some rows of the first image.
    packed
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
        (8, 48) int32, for products.
    rows
        (7, R) int32, filled, R ≥ N and a multiple of eight.
    columns
        (5, 48 T) int32: from :func:`pack`, updated.
    """
    n, n_tiles = a.shape[0], packed.shape[0]
    rows[START], rows[ODD], rows[LIMIT] = ABSENT, 0, _limit(FAR)
    rows[NEAREST], rows[PLACE], rows[DISTANCE], rows[SECOND] = -1, -1, FAR, FAR
    for i in range(n):
        total = np.int32(0)
        for k in range(a.shape[1]):
            total += np.int32(a[i, k]) * (np.int32(a[i, k]) - 2 * np.int32(byte_offset()))
        rows[START, i], rows[ODD, i] = -(total >> 1), total & 1
    for first_tile in range(0, n_tiles, TILES_AT_ONCE):
        for i in range(0, n, TILE_ROWS):
            tiles = first_tile, min(first_tile + TILES_AT_ONCE, n_tiles)
            _search_strip(
                a, i, packed, tiles, place, of_rows, of_columns, tolerance, first_row, tile, rows, columns
            )

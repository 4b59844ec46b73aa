"""Vectors of sixteen float32, so that a kernel does not depend on what the compiler vectorises.

In a kernel each of these functions is one LLVM instruction or a few (``intrinsics.py``), and a vector
stays in a register; a processor with shorter registers takes two or four steps, with the same bits. Vectors
are added, subtracted, multiplied and divided like numbers. The functions of this file say what each
instruction does; they run only where the compiler is off (NUMBA_DISABLE_JIT=1), where a vector is an array
of sixteen numbers.

Throughout, ``array`` is C-contiguous with any number of dimensions, and ``at`` is a flat index into it,
which is not checked. Vectors have the shape (16,) and the type float32; those of half the length, for rows of
up to eight samples, have the shape (8,). What is done lane by lane takes vectors of either length.
"""

from __future__ import annotations

import threading
from types import SimpleNamespace

import numpy as np

from .decorators import intrinsic
from .lanes import DESCRIPTOR_WORDS, HALF, LANES, TILE_COLUMNS, TILE_ROWS

__all__ = [
    "DESCRIPTOR_WORDS",
    "HALF",
    "LANES",
    "TILE_COLUMNS",
    "TILE_ROWS",
    "absolute",
    "accumulate",
    "atomic_add",
    "broadcast",
    "byte_offset",
    "byte_products",
    "copy_two",
    "count_trailing_zeros",
    "even_lanes",
    "fence",
    "fma",
    "ge_mask",
    "has_wide_registers",
    "lane_numbers",
    "levels_at",
    "load",
    "load_half",
    "low_half",
    "maximum",
    "minimum",
    "odd_lanes",
    "prefetch",
    "reach_mask",
    "rint",
    "splat",
    "sqrt",
    "store",
    "store_doubles",
    "store_index",
    "store_integers",
    "store_nontemporal",
    "sum_of_lanes",
    "trunc",
    "where_greater",
    "zip_halves",
    "zip_high",
    "zip_low",
]

# --- memory -------------------------------------------------------------------------------------


@intrinsic
def load(array, at):
    """The sixteen samples of a float32 ``array`` from ``at`` on."""
    return array.reshape(-1)[at : at + LANES].copy()


@intrinsic
def load_half(array, at):
    """The eight samples of a float32 ``array`` from ``at`` on."""
    return array.reshape(-1)[at : at + HALF].copy()


@intrinsic
def store(array, at, vector):
    """Write a vector, of either length, to a float32 ``array`` from ``at`` on."""
    array.reshape(-1)[at : at + len(vector)] = vector


@intrinsic
def store_nontemporal(array, at, vector):
    """``store`` around the caches; ``at`` must be the beginning of a cache line (64 bytes).

    For results that no longer fit a cache when they are read: the lines are not read from memory before they
    are overwritten. A :func:`fence` must follow before another thread reads them.
    """
    array.reshape(-1)[at : at + LANES] = vector


@intrinsic
def prefetch(array, at):
    """Start to read the cache line that holds sample ``at`` of a float32 ``array``; does not wait for it."""


@intrinsic
def levels_at(address, n_levels, n_rows, pitch):
    """The float32 array of this shape, C-contiguous, that begins at an ``address``; it must stay there."""
    place = {
        "version": 3,
        "typestr": "=f4",
        "data": (int(address), False),
        "shape": (n_levels, n_rows, pitch),
    }
    return np.asarray(SimpleNamespace(__array_interface__=place))


@intrinsic
def fence():
    """Make all stores before it, the non-temporal ones too, visible to other threads."""


@intrinsic
def broadcast(array, at):
    """The sample ``at`` of a float32 ``array`` in all lanes."""
    return np.full(LANES, array.reshape(-1)[at], np.float32)


@intrinsic
def store_integers(array, at, vector):
    """Write a vector of whole numbers to an ``array`` of any integer type."""
    array.reshape(-1)[at : at + LANES] = vector.astype(array.dtype)


@intrinsic
def store_doubles(array, at, vector):
    """Write a vector to an ``array`` of float64."""
    array.reshape(-1)[at : at + LANES] = vector


@intrinsic
def store_index(array, at, row, pitch, column):
    """Write sixteen flat indices, row·pitch + column, to an ``array`` of int32.

    ``row`` and ``column`` are vectors of whole numbers, ``pitch`` is one integer: samples a row.
    """
    array.reshape(-1)[at : at + LANES] = row.astype(np.int64) * pitch + column.astype(np.int64)


@intrinsic
def copy_two(source, at, target, to):
    """Copy the samples ``at`` and ``at + 1`` of a float32 ``source`` to ``to`` of a float32 ``target``."""
    target.reshape(-1)[to : to + 2] = source.reshape(-1)[at : at + 2]


@intrinsic
def accumulate(array, at, value):
    """Add a float64 ``value`` to the number ``at`` of an ``array`` of float64."""
    array.reshape(-1)[at] += value


_adding = threading.Lock()


@intrinsic
def atomic_add(count, n):
    """Add the integer ``n`` to ``count``, (1,) int64, that threads share; returns its value before."""
    with _adding:
        before = int(count[0])
        count[0] = before + n
    return before


# --- constants and single numbers ---------------------------------------------------------------


@intrinsic
def splat(value):
    """A float32 ``value`` in all lanes."""
    return np.full(LANES, value, np.float32)


@intrinsic
def lane_numbers():
    """The vector 0, 1, 2, …, 15."""
    return np.arange(LANES, dtype=np.float32)


@intrinsic
def sum_of_lanes(a):
    """The sum of a vector's lanes, added one by one from the first to the last: a float32."""
    return np.add.accumulate(a)[-1]


@intrinsic
def ge_mask(a, b):
    """An integer with a bit set for each lane in which the vector a ≥ the vector b (bit 0 for lane 0)."""
    return sum(1 << lane for lane in np.flatnonzero(a >= b).tolist())


@intrinsic
def reach_mask(array, at, limit):
    """As ``ge_mask``, of the sixteen numbers of an int32 ``array`` from ``at`` on and ``limit``, an int32."""
    return sum(1 << lane for lane in np.flatnonzero(array.reshape(-1)[at : at + LANES] >= limit).tolist())


@intrinsic
def count_trailing_zeros(bits):
    """The number of zeros below the lowest bit set of an integer ``bits``, which must not be 0."""
    return int(bits & -bits).bit_length() - 1  # NumPy's numbers have no such method


# --- lane by lane -------------------------------------------------------------------------------


@intrinsic
def fma(a, b, c):
    """Fused multiply-add of vectors, a·b + c, rounded once: the same bits on every processor."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


@intrinsic
def absolute(a):
    """|a| of each lane of a vector."""
    return np.abs(a)


@intrinsic
def sqrt(a):
    """√a of each lane of a vector."""
    return np.sqrt(a)


@intrinsic
def trunc(a):
    """Each lane of a vector rounded towards zero."""
    return np.trunc(a)


@intrinsic
def rint(a):
    """Each lane of a vector rounded to the nearest whole number, halves to the even one."""
    return np.rint(a)


@intrinsic
def maximum(a, b):
    """The larger of each two lanes of vectors; b where one is NaN."""
    return np.where(a > b, a, b)


@intrinsic
def minimum(a, b):
    """The smaller of each two lanes of vectors; b where one is NaN."""
    return np.where(a < b, a, b)


@intrinsic
def where_greater(a, b, x, y):
    """The lanes of the vector x where a > b, those of y elsewhere."""
    return np.where(a > b, x, y)


@intrinsic
def zip_low(a, b):
    """The first halves of two vectors, interleaved: a₀ b₀ a₁ b₁ … a₇ b₇."""
    return np.stack((a, b), axis=1).ravel()[:LANES]


@intrinsic
def zip_high(a, b):
    """The second halves of two vectors, interleaved: a₈ b₈ a₉ b₉ … a₁₅ b₁₅."""
    return np.stack((a, b), axis=1).ravel()[LANES:]


@intrinsic
def low_half(a):
    """The first eight lanes of a vector, as a vector of half the length."""
    return a[:HALF].copy()


@intrinsic
def zip_halves(a, b):
    """Two vectors of half the length, interleaved: a₀ b₀ a₁ b₁ … a₇ b₇."""
    return np.stack((a, b), axis=1).ravel()


@intrinsic
def even_lanes(a, b):
    """The even lanes of the vector a, then those of b."""
    return np.concatenate((a, b))[::2]


@intrinsic
def odd_lanes(a, b):
    """The odd lanes of the vector a, then those of b."""
    return np.concatenate((a, b))[1::2]


# --- the processor ------------------------------------------------------------------------------


@intrinsic
def has_wide_registers():
    """Whether a vector is one register, of which there are 32; a constant."""
    return False


# --- products of descriptors --------------------------------------------------------------------


@intrinsic
def byte_offset():
    """What is to be subtracted from the bytes of the second factor of :func:`byte_products`: 128 or 0.

    It depends on the processor: VNNI multiplies unsigned bytes by signed ones.
    """
    return 0


@intrinsic
def byte_products(a, row, b, tile, rows, columns, out):
    """The scalar products of 8 descriptors and 48 others, exactly, and whether any is large enough to matter.

    Parameters
    ----------
    a
        (N, 128) uint8.
    row
        The first of the eight rows; those after the last row repeat it.
    b
        (T, 32, 48) uint32: word k of 48 descriptors, of which :func:`byte_offset` is subtracted byte by byte.
    tile
        Which 48 of them.
    rows
        (2 or more, R) int32, R ≥ N and a multiple of eight. The first line is added to all products of a row;
        the second is a limit.
    columns
        (2 or more, 48 T) int32, the same of each column.
    out
        (8, 48) int32: the sums of a product, its row's and its column's number. They are written only if one
        of them reaches the limit of its row or of its column.

    Returns
    -------
    int64
        Bits 0 to 47: whether a column has a sum that is at least its limit; bits 48 to 55: the same of a row.
    """
    a_rows = a[np.minimum(np.arange(row, row + TILE_ROWS), len(a) - 1)].astype(np.int32)
    b_rows = np.ascontiguousarray(b[tile].T).view(np.uint8).astype(np.int32)
    of_rows = rows[:, row : row + TILE_ROWS]
    of_columns = columns[:, tile * TILE_COLUMNS : (tile + 1) * TILE_COLUMNS]
    sums = a_rows @ b_rows.T + of_rows[0, :, None] + of_columns[0]
    reaching = np.r_[(sums >= of_columns[1]).any(axis=0), (sums >= of_rows[1, :, None]).any(axis=1)]
    if reaching.any():
        out[:] = sums
    return sum(1 << bit for bit in np.flatnonzero(reaching).tolist())

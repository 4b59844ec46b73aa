"""Sixteen float32 at a time: what kernels do with vectors, so that nothing is left to the vectoriser.

In a kernel each of these is one LLVM instruction or a few (``_simd.py``), and a vector stays in a
register; a processor with shorter registers takes two or four steps, with the same bits. Vectors are added,
subtracted, multiplied and divided like numbers. What is written here says what each does, and is run
where the compiler is off (NUMBA_DISABLE_JIT=1): there a vector is an array of sixteen.

Arrays are C-contiguous, of any number of dimensions. ``at`` is a flat index and is not checked.
"""

from __future__ import annotations

import threading

import numpy as np

from .decorators import instruction

LANES = 16


@instruction
def load(array, at):
    """Sixteen samples."""
    return array.reshape(-1)[at : at + LANES].copy()


@instruction
def store(array, at, vector):
    """Write sixteen samples."""
    array.reshape(-1)[at : at + LANES] = vector


@instruction
def store_beyond_caches(array, at, vector):
    """``store`` for what is too large to be still in a cache when it is read; begins on a cache line.

    Nothing is read from memory in order to be written over. Ends with ``wait_for_stores``.
    """
    array.reshape(-1)[at : at + LANES] = vector


@instruction
def fetch(array, at):
    """Let a sample's cache line be read from memory, which goes on meanwhile."""


@instruction
def wait_for_stores():
    """Let other threads see what was stored beyond the caches."""


@instruction
def broadcast(array, at):
    """One sample in all lanes."""
    return np.full(LANES, array.reshape(-1)[at], np.float32)


@instruction
def splat(value):
    """A number in all lanes."""
    return np.full(LANES, value, np.float32)


@instruction
def lane_numbers():
    """The numbers 0, 1, 2 and so on."""
    return np.arange(LANES, dtype=np.float32)


@instruction
def fma(a, b, c):
    """a·b + c, rounded once: the same bits on every processor."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


@instruction
def absolute(a):
    """|a|."""
    return np.abs(a)


@instruction
def square_root(a):
    """√a."""
    return np.sqrt(a)


@instruction
def whole_part(a):
    """A without its fraction."""
    return np.trunc(a)


@instruction
def nearest_whole(a):
    """The nearest whole number, the even one of two."""
    return np.rint(a)


@instruction
def larger(a, b):
    """The larger of each two lanes; b where one is NaN."""
    return np.where(a > b, a, b)


@instruction
def smaller(a, b):
    """The smaller of each two lanes; b where one is NaN."""
    return np.where(a < b, a, b)


@instruction
def where_larger(a, b, x, y):
    """X in the lanes where a > b, y elsewhere."""
    return np.where(a > b, x, y)


@instruction
def lanes_not_below(a, b):
    """The lanes where a ≥ b, as the bits of an integer."""
    return sum(1 << lane for lane in np.flatnonzero(a >= b).tolist())


@instruction
def lowest_bit(bits):
    """The number of the lowest bit that is set; one must be."""
    return (bits & -bits).bit_length() - 1


@instruction
def sum_of_lanes(a):
    """The sum, from the first lane to the last."""
    return np.add.accumulate(a)[-1]


@instruction
def zip_low(a, b):
    """The first halves: a₀ b₀ a₁ b₁ and so on."""
    return np.stack((a, b), axis=1).ravel()[:LANES]


@instruction
def zip_high(a, b):
    """The second halves: a₈ b₈ a₉ b₉ and so on."""
    return np.stack((a, b), axis=1).ravel()[LANES:]


@instruction
def even_lanes(a, b):
    """The even lanes of a, then those of b."""
    return np.concatenate((a, b))[::2]


@instruction
def odd_lanes(a, b):
    """The odd lanes of a, then those of b."""
    return np.concatenate((a, b))[1::2]


@instruction
def store_whole(array, at, vector):
    """Write sixteen whole numbers to an array of integers."""
    array.reshape(-1)[at : at + LANES] = vector.astype(array.dtype)


@instruction
def store_index(array, at, row, pitch, column):
    """Write sixteen flat indices, row·pitch + column, to an array of int32."""
    array.reshape(-1)[at : at + LANES] = row.astype(np.int64) * pitch + column.astype(np.int64)


@instruction
def copy_two(source, at, target, to):
    """Copy two neighbouring samples."""
    target.reshape(-1)[to : to + 2] = source.reshape(-1)[at : at + 2]


@instruction
def accumulate(array, at, value):
    """Add a float32 to one number of an array of float64."""
    array.reshape(-1)[at] += value


_taking = threading.Lock()


@instruction
def take(count, n):
    """Add n to an array of one int64 that threads share; returns what it was. No two threads get the same."""
    with _taking:
        before = int(count[0])
        count[0] = before + n
    return before

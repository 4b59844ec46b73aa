"""What vectors do in kernels is what their plain functions say."""

import numpy as np

from siftcli.kernels.decorators import kernel
from siftcli.kernels.vectors import (
    HALF,
    LANES,
    absolute,
    accumulate,
    atomic_add,
    broadcast,
    copy_two,
    count_trailing_zeros,
    even_lanes,
    fma,
    ge_mask,
    lane_numbers,
    levels_at,
    load,
    load_half,
    low_half,
    maximum,
    minimum,
    odd_lanes,
    reach_mask,
    rint,
    splat,
    sqrt,
    store,
    store_doubles,
    store_index,
    store_integers,
    sum_of_lanes,
    trunc,
    where_greater,
    zip_halves,
    zip_high,
    zip_low,
)

A = np.array([0.5, -1.5, 2.5, 3, -0.0, 0, 1e-3, 7, -7, 8.25, 100, -100, 1, 1, 2, 3], np.float32)
B = np.array([1.5, -1.5, 2, 4, 0.0, 1, 1e-4, 6, -8, 8.5, 10, -1000, 1, 0, 3, 2], np.float32)
C = np.linspace(-1, 1, LANES, dtype=np.float32)

NAMES = ["fma", "absolute", "sqrt", "trunc", "rint", "maximum", "minimum", "where_greater"]
NAMES += [
    "zip_low",
    "zip_high",
    "even_lanes",
    "odd_lanes",
    "splat",
    "lane_numbers",
    "broadcast",
    "arithmetic",
]
NAMES += ["sum_of_lanes", "ge_mask", "count_trailing_zeros", "zip_halves", "halves"]


def _work(x, y, z, out):
    a, b, c = load(x, 0), load(y, 0), load(z, 0)
    store(out, 0 * LANES, fma(a, b, c))
    store(out, 1 * LANES, absolute(a))
    store(out, 2 * LANES, sqrt(absolute(a)))
    store(out, 3 * LANES, trunc(a))
    store(out, 4 * LANES, rint(a))
    store(out, 5 * LANES, maximum(a, b))
    store(out, 6 * LANES, minimum(a, b))
    store(out, 7 * LANES, where_greater(a, b, c, a))
    store(out, 8 * LANES, zip_low(a, b))
    store(out, 9 * LANES, zip_high(a, b))
    store(out, 10 * LANES, even_lanes(a, b))
    store(out, 11 * LANES, odd_lanes(a, b))
    store(out, 12 * LANES, splat(np.float32(2.5)))
    store(out, 13 * LANES, lane_numbers())
    store(out, 14 * LANES, broadcast(x, 3))
    store(out, 15 * LANES, (a + b) * c - a / (c + c))
    store(out, 16 * LANES, splat(sum_of_lanes(b)))
    store(out, 17 * LANES, splat(np.float32(ge_mask(a, b))))
    store(out, 18 * LANES, splat(np.float32(count_trailing_zeros(ge_mask(b, a) & ~1))))
    first, last = low_half(a), load_half(y, HALF)
    store(out, 19 * LANES, zip_halves(first, last))
    store(out, 20 * LANES, where_greater(first, last, fma(first, last, first), minimum(first + last, last)))
    store(out, 20 * LANES + HALF, sqrt(absolute(last)) * rint(first))


def test_a_kernel_does_what_the_plain_functions_say():
    plain, compiled = np.empty((2, len(NAMES), LANES), np.float32)
    _work(A, B, C, plain)
    kernel("void(float32[::1], float32[::1], float32[::1], float32[:, ::1])")(_work)(A, B, C, compiled)
    for name, expected, found in zip(NAMES, plain, compiled, strict=True):
        np.testing.assert_array_equal(found, expected, err_msg=name)


@kernel("void(int32[::1], int64[::1])")
def _reach(numbers, bits):
    for at in range(bits.shape[0]):
        bits[at] = reach_mask(numbers, at, numbers[3])


def test_what_reaches_a_limit_is_what_the_plain_function_says():
    numbers = np.array([-5, 9, -(1 << 31), 3, (1 << 31) - 1, 3, 2, 4] * 3, np.int32)
    bits = np.zeros(8, np.int64)
    _reach(numbers, bits)
    assert bits.tolist() == [reach_mask(numbers, at, numbers[3]) for at in range(8)]
    assert bits[0] == 0b1011_1010_1011_1010


@kernel("void(float32[::1], int32[::1], uint8[:, ::1], float64[::1], float32[::1], int64[::1])")
def _write(x, indices, numbers, sums, copy, count):
    whole = trunc(absolute(load(x, 0)))
    store_index(indices, 1, whole, 1000, whole)
    store_integers(numbers, LANES, whole)
    accumulate(sums, 2, 0.5)
    store_doubles(sums, 4, load(x, 0))
    copy_two(x, 3, copy, 1)
    sums[0] = atomic_add(count, 5)


def test_what_is_written_is_what_the_plain_functions_write():
    arrays = (
        np.zeros(20, np.int32),
        np.zeros((3, LANES), np.uint8),
        np.ones(4 + LANES),
        np.zeros(4, np.float32),
    )
    count = np.array([7])
    _write(A, *arrays, count)
    indices, numbers, sums, copy = arrays
    whole = np.trunc(np.abs(A)).astype(int)
    np.testing.assert_array_equal(indices[1 : 1 + LANES], 1001 * whole)
    np.testing.assert_array_equal(numbers[1], whole)
    assert sums[:4].tolist() == [7, 1, 1.5, 1]
    np.testing.assert_array_equal(sums[4:], A)
    assert count[0] == 12
    np.testing.assert_array_equal(copy, [0, A[3], A[4], 0])
    assert not numbers[[0, 2]].any()
    assert indices[0] == indices[17] == 0


@kernel("void(int64, int64, int64, int64, float32[::1])")
def _sum_rows(address, n_levels, n_rows, pitch, sums):
    levels = levels_at(address, n_levels, n_rows, pitch)
    for level in range(levels.shape[0]):
        for row in range(levels.shape[1]):
            for column in range(levels.shape[2]):
                sums[level] += levels[level, row, column] * (row + 1)


def test_an_array_at_an_address_is_that_array():
    array = np.arange(2 * 3 * 5, dtype=np.float32).reshape(2, 3, 5)
    sums = np.zeros(2, np.float32)
    _sum_rows(array.ctypes.data, *array.shape, sums)
    np.testing.assert_array_equal(sums, (array * np.array([1, 2, 3])[:, None]).sum(axis=(1, 2)))
    np.testing.assert_array_equal(levels_at(array.ctypes.data, *array.shape), array)

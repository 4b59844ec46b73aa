"""Products of bytes: the same whole numbers by each instruction that this processor has, and without one."""

import llvmlite.binding as llvm
import numpy as np
import pytest
from llvmlite import ir

from siftcli.kernels import byte_products as ways
from siftcli.kernels import compiler, vectors
from siftcli.kernels.vectors import (
    DESCRIPTOR_WORDS,
    LANES,
    TILE_COLUMNS,
    TILE_ROWS,
    byte_offset,
    byte_products,
)

FEATURES = {
    "VNNI of 512 bits": {"avx512f", "avx512vnni"},
    "VNNI of 256 bits": {"avx512vl", "avx512vnni"},
    "VNNI without AVX-512": {"avxvnni"},
    "16 bits, AVX-512": {"avx512bw"},
    "16 bits, AVX2": {"avx2"},
    "16 bits, SSE2": {"sse2"},
    "32 bits": set(),
}


def _products(a, row, b, tile, rows, columns, out, found):
    found[0] = byte_offset()
    found[1] = byte_products(a, row, b, tile, rows, columns, out)


SIGNATURE = (
    "void(uint8[:,::1], int64, uint32[:,:,::1], int64, int32[:,::1], int32[:,::1], int32[:,::1], int64[::1])"
)
NEVER = 1 << 30
"""A limit that no sum reaches."""


def lines(n, seed=0, limit=-NEVER):
    """(2, n) int32: what sums start from, and their limits."""
    starts = np.random.default_rng(seed).integers(-(1 << 23), 1, n)
    return np.stack([starts, np.full(n, limit)]).astype(np.int32)


def has(features):
    names = llvm.get_host_cpu_features()
    return all(names.get(name, False) for name in features)


def packed(b, offset):
    """(T, 32, 48) words of (48 T, 128) descriptors, by definition."""
    shifted = (b.astype(int) - offset).astype(np.int8).view(np.uint8)
    words = shifted.reshape(-1, TILE_COLUMNS, DESCRIPTOR_WORDS, 4).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(words).view(np.uint32)[..., 0]


def descriptors(kind, n):
    if kind == "random":
        return np.random.default_rng(n).integers(0, 256, (n, 128), dtype=np.uint8)
    return np.resize(
        np.array({"extremes": [0, 255, 255, 128, 127, 0, 1], "highest": [255]}[kind], np.uint8), (n, 128)
    )


@pytest.mark.parametrize("kind", ["random", "extremes", "highest"])
@pytest.mark.parametrize(
    "features", [pytest.param(FEATURES[name], id=name) for name in FEATURES if has(FEATURES[name])]
)
def test_sums_are_exact_by_each_instruction(features, kind, monkeypatch):
    way = ways.way_for(features)
    monkeypatch.setattr(ways, "_way", lambda: way)
    compiled = compiler.compile_kernel(_products, SIGNATURE, None)
    a, b = descriptors(kind, 13), descriptors(kind, 3 * TILE_COLUMNS)
    of_rows, of_columns = lines(16, 1), lines(len(b), 2)
    for row, tile in ((0, 2), (8, 0)):
        rows = np.minimum(np.arange(row, row + TILE_ROWS), len(a) - 1)  # the last row again after the last
        columns = np.arange(tile * TILE_COLUMNS, (tile + 1) * TILE_COLUMNS)
        sums = a[rows].astype(int) @ (b[columns].astype(int) - way.offset).T
        sums += of_rows[0, row : row + TILE_ROWS, None] + of_columns[0, columns]

        def found(limits_of_rows, limits_of_columns, row=row, tile=tile, columns=columns):
            """What is written, and the bits."""
            of_rows[1, row : row + TILE_ROWS], of_columns[1, columns] = limits_of_rows, limits_of_columns
            out, result = np.full((TILE_ROWS, TILE_COLUMNS), 7, np.int32), np.empty(2, np.int64)
            compiled(a, row, packed(b, way.offset), tile, of_rows, of_columns, out, result)
            assert result[0] == way.offset
            return out, int(result[1])

        largest_of_rows, largest_of_columns = sums.max(axis=1), sums.max(axis=0)
        out, bits = found(largest_of_rows + 1, largest_of_columns + 1)
        assert bits == 0
        np.testing.assert_array_equal(out, 7)  # not written
        for i in range(TILE_ROWS):
            limits = largest_of_rows + (np.arange(TILE_ROWS) != i)
            out, bits = found(limits, NEVER)
            assert bits == 1 << (TILE_COLUMNS + i)
            np.testing.assert_array_equal(out, sums)
        for j in range(TILE_COLUMNS):
            limits = largest_of_columns + (np.arange(TILE_COLUMNS) != j)
            out, bits = found(NEVER, limits)
            assert bits == 1 << j
            np.testing.assert_array_equal(out, sums)
        assert found(largest_of_rows, largest_of_columns)[1] == (1 << (TILE_ROWS + TILE_COLUMNS)) - 1


def test_without_the_compiler_the_same_of_unsigned_bytes():
    a, b = descriptors("random", 5), descriptors("random", TILE_COLUMNS)
    of_rows, of_columns = lines(8, 1), lines(TILE_COLUMNS, 2)
    sums = a[[0, 1, 2, 3, 4, 4, 4, 4]].astype(int) @ b.astype(int).T + of_rows[0][:, None] + of_columns[0]
    of_rows[1], of_columns[1] = NEVER, NEVER
    of_rows[1, 2] = sums[2].max()
    of_columns[1, 47] = sums[:, 47].max()
    out = np.zeros((TILE_ROWS, TILE_COLUMNS), np.int32)
    plain = getattr(vectors.byte_products, "__wrapped__", vectors.byte_products)
    assert plain(a, 0, packed(b, 0), 0, of_rows, of_columns, out) == 1 << 47 | 1 << (TILE_COLUMNS + 2)
    np.testing.assert_array_equal(out, sums)
    of_rows[1], of_columns[1] = NEVER, NEVER
    assert plain(a, 0, packed(b, 0), 0, of_rows, of_columns, out) == 0


@pytest.mark.parametrize(
    ("triple", "processor", "listed", "features", "instruction"),
    [
        ("aarch64-linux-gnu", "generic", "+dotprod", {"dotprod"}, "udot"),
        ("x86_64-linux-gnu", "x86-64-v4", "+avx512vnni", {"avx512f", "avx512vnni"}, "vpdpbusd"),
        ("x86_64-linux-gnu", "alderlake", "", {"avxvnni"}, "vpdpbusd"),
        ("x86_64-linux-gnu", "haswell", "", {"avx2"}, "pmaddwd"),
        ("x86_64-linux-gnu", "x86-64", "", {"sse2"}, "pmaddwd"),
    ],
)
def test_the_instruction_of_each_processor_is_used(triple, processor, listed, features, instruction):
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    vector = ir.VectorType(ir.IntType(32), LANES)
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(vector, [vector] * 3), "multiply_add")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(ways.way_for(features).multiply_add(builder, *function.args))
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=processor, features=listed)
    assert instruction in machine.emit_assembly(llvm.parse_assembly(str(module)))

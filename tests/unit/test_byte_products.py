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


def _products(a, row, b, tile, out, offset):
    offset[0] = byte_offset()
    byte_products(a, row, b, tile, out)


SIGNATURE = "void(uint8[:,::1], int64, uint32[:,:,::1], int64, float32[:,::1], int64[::1])"


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
def test_products_are_exact_by_each_instruction(features, kind, monkeypatch):
    way = ways.way_for(features)
    monkeypatch.setattr(ways, "_way", lambda: way)
    compiled = compiler.compile_kernel(_products, SIGNATURE, None)
    a, b = descriptors(kind, 13), descriptors(kind, 3 * TILE_COLUMNS)
    out, offset = np.empty((TILE_ROWS, TILE_COLUMNS), np.float32), np.empty(1, np.int64)
    for row, tile in ((0, 2), (8, 0)):
        compiled(a, row, packed(b, way.offset), tile, out, offset)
        rows = np.minimum(np.arange(row, row + TILE_ROWS), len(a) - 1)  # the last row again after the last
        columns = b[tile * TILE_COLUMNS : (tile + 1) * TILE_COLUMNS].astype(int) - way.offset
        np.testing.assert_array_equal(out, a[rows].astype(int) @ columns.T)
        assert offset[0] == way.offset


def test_without_the_compiler_products_are_those_of_unsigned_bytes():
    a, b = descriptors("random", 5), descriptors("random", TILE_COLUMNS)
    out = np.empty((TILE_ROWS, TILE_COLUMNS), np.float32)
    words = packed(b, 0)
    plain = getattr(vectors.byte_products, "__wrapped__", vectors.byte_products)
    plain(a, 0, words, 0, out)
    np.testing.assert_array_equal(out[:5], a.astype(int) @ b.astype(int).T)


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

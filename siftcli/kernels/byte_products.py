"""Scalar products of bytes by the instruction that the processor has for them, as one of Numba's intrinsics.

The instructions multiply four bytes of each 32-bit lane by four others and add the products to the lane:
VNNI on x86, of an unsigned and a signed byte, and DotProd on ARM, of unsigned bytes. Elsewhere the bytes are
widened to 16 bits, which all processors multiply; the sums are the same whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from .lanes import DESCRIPTOR_WORDS, LANES, TILE_COLUMNS, TILE_ROWS

_INDEX = ir.IntType(32)
_ADDRESS = ir.IntType(64)
_MultiplyAdd = Callable[[Any, Any, Any, Any], Any]
"""(builder, sums, words, words) -> the sums of 16 lanes, each with four products added."""


def _words(n: int = LANES) -> Any:
    return ir.VectorType(_INDEX, n)


@dataclass(frozen=True)
class Way:
    """How this processor multiplies bytes."""

    multiply_add: _MultiplyAdd
    offset: int
    """What is subtracted from the second factors so that they are of the type that is multiplied."""
    rows: int
    columns: int
    """Vectors in a row. The sums of rows · columns vectors, and the factors, stay in registers."""


def _by_instruction(name: str, lanes: int, operands: Any) -> _MultiplyAdd:
    """An instruction for ``lanes`` sums, called for each part of the sixteen."""
    kind = ir.FunctionType(_words(lanes), [_words(lanes), operands, operands])

    def multiply_add(builder: Any, *factors: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        parts = []
        for start in range(0, LANES, lanes):
            part = [_part(builder, factor, start, lanes) for factor in factors]
            parts.append(builder.call(function, [part[0], *(builder.bitcast(p, operands) for p in part[1:])]))
        return _joined(builder, parts)

    return multiply_add


def _part(builder: Any, vector: Any, start: int, lanes: int) -> Any:
    if lanes == LANES:
        return vector
    chosen = ir.Constant(_words(lanes), list(range(start, start + lanes)))
    return builder.shuffle_vector(vector, vector, chosen)


def _joined(builder: Any, parts: Sequence[Any]) -> Any:
    while len(parts) > 1:
        n = 2 * parts[0].type.count
        both = ir.Constant(_words(n), list(range(n)))
        parts = [builder.shuffle_vector(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


def _by_16_bits(builder: Any, sums: Any, words: Any, others: Any) -> Any:
    """The products of the even bytes and those of the odd ones, as 16-bit numbers in pairs."""
    halves = ir.VectorType(ir.IntType(16), 2 * LANES)
    a, b = builder.bitcast(words, halves), builder.bitcast(others, halves)
    for part in (_even_bytes, _odd_bytes):
        sums = builder.add(sums, _pairs(builder, part(builder, a), part(builder, b)))
    return sums


def _even_bytes(builder: Any, halves: Any) -> Any:
    return builder.and_(halves, ir.Constant(halves.type, [255] * halves.type.count))


def _odd_bytes(builder: Any, halves: Any) -> Any:
    return builder.lshr(halves, ir.Constant(halves.type, [8] * halves.type.count))


def _pairs(builder: Any, a: Any, b: Any) -> Any:
    """The sums of each two products, in the form in which LLVM finds an instruction for them (PMADDWD)."""
    n = a.type.count
    products = builder.mul(builder.sext(a, _words(n)), builder.sext(b, _words(n)))
    even, odd = (ir.Constant(_words(n // 2), list(range(start, n, 2))) for start in (0, 1))
    return builder.add(
        builder.shuffle_vector(products, products, even), builder.shuffle_vector(products, products, odd)
    )


def way_for(features: frozenset[str]) -> Way:
    """How a processor with these features, by LLVM's names, multiplies bytes."""
    vnni = "llvm.x86.avx512.vpdpbusd."
    if {"avx512f", "avx512vnni"} <= features:
        return Way(_by_instruction(f"{vnni}512", 16, _words(16)), offset=128, rows=8, columns=3)
    if "avxvnni" in features or {"avx512vl", "avx512vnni"} <= features:
        return Way(_by_instruction(f"{vnni}256", 8, _words(8)), offset=128, rows=4, columns=1)
    if "dotprod" in features:
        udot = "llvm.aarch64.neon.udot.v4i32.v16i8"
        return Way(_by_instruction(udot, 4, ir.VectorType(ir.IntType(8), 16)), offset=0, rows=4, columns=1)
    if "avx512bw" in features:
        return Way(_by_16_bits, offset=0, rows=8, columns=2)
    return Way(_by_16_bits, offset=0, rows=2, columns=1)


def _way() -> Way:
    """The way of the processor that Numba compiles for, which NUMBA_CPU_FEATURES may name."""
    listed = cpu_target.target_context.codegen()._tm_features.split(",")
    return way_for(frozenset(feature[1:] for feature in listed if feature.startswith("+")))


@intrinsic
def byte_offset(_context):
    """A constant."""
    return types.int64(), lambda *_: ir.Constant(_ADDRESS, _way().offset)


@intrinsic
def byte_products(_context, a, row, b, tile, out):
    """A tile in parts whose sums stay in registers, each with a loop over the 32 words of a descriptor."""

    def build(context, builder, signature, values):
        arrays = [
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, values, strict=True)
            if isinstance(kind, types.Array)
        ]
        way = _way()
        tile_start = builder.mul(values[3], _ADDRESS(DESCRIPTOR_WORDS * TILE_COLUMNS))
        b_words = builder.gep(arrays[1].data, [tile_start])
        rows = _row_addresses(builder, arrays[0], values[1])
        for i in range(0, TILE_ROWS, way.rows):
            for j in range(0, TILE_COLUMNS, way.columns * LANES):
                sums = _summed(builder, way, rows[i : i + way.rows], builder.gep(b_words, [_ADDRESS(j)]))
                out = builder.gep(arrays[2].data, [_ADDRESS(i * TILE_COLUMNS + j)])
                _store_floats(builder, sums, out)
        return context.get_dummy_value()

    return types.void(a, types.int64, b, types.int64, out), build


def _row_addresses(builder: Any, a: Any, first: Any) -> list[Any]:
    """Pointers to the words of a tile's rows; those after the last row are the last row again."""
    n_rows = cgutils.unpack_tuple(builder, a.shape)[0]
    last = builder.sub(n_rows, _ADDRESS(1))
    data = builder.bitcast(a.data, _INDEX.as_pointer())
    pointers = []
    for i in range(TILE_ROWS):
        row = builder.add(first, _ADDRESS(i))
        row = builder.select(builder.icmp_signed("<", row, last), row, last)
        pointers.append(builder.gep(data, [builder.mul(row, _ADDRESS(DESCRIPTOR_WORDS))]))
    return pointers


def _summed(builder: Any, way: Way, rows: Sequence[Any], columns: Any) -> list[list[Any]]:
    """The sums of products of some rows and some vectors of columns."""
    zero = ir.Constant(_words(), [0] * LANES)
    sums = [[cgutils.alloca_once_value(builder, zero) for _ in range(way.columns)] for _ in rows]
    with cgutils.for_range(builder, _ADDRESS(DESCRIPTOR_WORDS)) as loop:
        start = builder.mul(loop.index, _ADDRESS(TILE_COLUMNS))
        vectors = [
            _load(builder, builder.gep(columns, [builder.add(start, _ADDRESS(LANES * v))]))
            for v in range(way.columns)
        ]
        for row, pointer in zip(sums, rows, strict=True):
            word = _in_all_lanes(builder, builder.load(builder.gep(pointer, [loop.index]), align=1))
            for cell, vector in zip(row, vectors, strict=True):
                builder.store(way.multiply_add(builder, builder.load(cell), word, vector), cell)
    return [[builder.load(cell) for cell in row] for row in sums]


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _words().as_pointer()), align=4)


def _in_all_lanes(builder: Any, word: Any) -> Any:
    one = builder.insert_element(ir.Constant(_words(), ir.Undefined), word, _INDEX(0))
    return builder.shuffle_vector(one, one, ir.Constant(_words(), [0] * LANES))


def _store_floats(builder: Any, sums: Sequence[Sequence[Any]], out: Any) -> None:
    floats = ir.VectorType(ir.FloatType(), LANES)
    for i, row in enumerate(sums):
        for v, total in enumerate(row):
            pointer = builder.gep(out, [_ADDRESS(i * TILE_COLUMNS + v * LANES)])
            builder.store(builder.sitofp(total, floats), builder.bitcast(pointer, floats.as_pointer()), align=4)

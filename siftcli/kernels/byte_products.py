"""Scalar products of bytes by the instruction that the processor has for them, as one of Numba's intrinsics.

The instructions multiply four bytes of each 32-bit lane by four others and add the products to the lane:
VNNI on x86, of an unsigned and a signed byte, and DotProd on ARM, of unsigned bytes. Elsewhere the bytes are
widened to 16 bits, which all processors multiply; the sums are the same whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .lanes import DESCRIPTOR_WORDS, LANES, TILE_COLUMNS, TILE_ROWS
from .target import features

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
    """Vectors in a row, 1 or 3. The sums of rows · columns vectors, and the factors, stay in registers."""


def _by_instruction(name: str, lanes: int, operands: Any) -> _MultiplyAdd:
    """An instruction that adds four products of bytes to each of ``lanes`` sums."""
    kind = ir.FunctionType(_words(lanes), [_words(lanes), operands, operands])

    def multiply_add(builder: Any, sums: Any, words: Any, others: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        factors = builder.bitcast(words, operands), builder.bitcast(others, operands)
        return builder.call(function, [sums, *factors])

    return _in_parts(multiply_add, lanes)


def _by_16_bits(name: str, lanes: int) -> _MultiplyAdd:
    """An instruction that multiplies 16-bit numbers and adds each two products: even bytes, then odd ones."""
    halves = ir.VectorType(ir.IntType(16), 2 * lanes)
    kind = ir.FunctionType(_words(lanes), [halves, halves])

    def multiply_add(builder: Any, sums: Any, words: Any, others: Any) -> Any:
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        factors = builder.bitcast(words, halves), builder.bitcast(others, halves)
        for part in (_even_bytes, _odd_bytes):
            products = builder.call(function, [part(builder, factor) for factor in factors])
            sums = builder.add(sums, products)
        return sums

    return _in_parts(multiply_add, lanes)


def _even_bytes(builder: Any, halves: Any) -> Any:
    return builder.and_(halves, ir.Constant(halves.type, [255] * halves.type.count))


def _odd_bytes(builder: Any, halves: Any) -> Any:
    return builder.lshr(halves, ir.Constant(halves.type, [8] * halves.type.count))


def _by_32_bits(builder: Any, sums: Any, words: Any, others: Any) -> Any:
    """Without any such instruction: one byte of each word at a time."""
    low = ir.Constant(_words(), [255] * LANES)
    for shift in (0, 8, 16, 24):
        by = ir.Constant(_words(), [shift] * LANES)
        factors = [builder.and_(builder.lshr(word, by), low) for word in (words, others)]
        sums = builder.add(sums, builder.mul(*factors))
    return sums


def _in_parts(multiply_add: _MultiplyAdd, lanes: int) -> _MultiplyAdd:
    """The same for sixteen sums, of which an instruction takes ``lanes``."""
    if lanes == LANES:
        return multiply_add

    def of_all(builder: Any, *vectors: Any) -> Any:
        parts = []
        for start in range(0, LANES, lanes):
            chosen = ir.Constant(_words(lanes), list(range(start, start + lanes)))
            part = [builder.shuffle_vector(vector, vector, chosen) for vector in vectors]
            parts.append(multiply_add(builder, *part))
        return _joined(builder, parts)

    return of_all


def _joined(builder: Any, parts: Sequence[Any]) -> Any:
    while len(parts) > 1:
        n = 2 * parts[0].type.count
        both = ir.Constant(_words(n), list(range(n)))
        parts = [builder.shuffle_vector(a, b, both) for a, b in zip(parts[::2], parts[1::2], strict=True)]
    return parts[0]


_BYTES = ir.VectorType(ir.IntType(8), 16)
_VNNI = "llvm.x86.avx512.vpdpbusd"
_WAYS = (
    ({"avx512f", "avx512vnni"}, Way(_by_instruction(f"{_VNNI}.512", 16, _words(16)), 128, 8, 3)),
    ({"avx512vl", "avx512vnni"}, Way(_by_instruction(f"{_VNNI}.256", 8, _words(8)), 128, 4, 1)),
    ({"avxvnni"}, Way(_by_instruction(f"{_VNNI}.256", 8, _words(8)), 128, 4, 1)),
    ({"dotprod"}, Way(_by_instruction("llvm.aarch64.neon.udot.v4i32.v16i8", 4, _BYTES), 0, 4, 1)),
    ({"avx512bw"}, Way(_by_16_bits("llvm.x86.avx512.pmaddw.d.512", 16), 0, 4, 3)),
    ({"avx2"}, Way(_by_16_bits("llvm.x86.avx2.pmadd.wd", 8), 0, 4, 1)),
    ({"sse2"}, Way(_by_16_bits("llvm.x86.sse2.pmadd.wd", 4), 0, 4, 1)),
    (set[str](), Way(_by_32_bits, 0, 4, 1)),
)
"""The features that each way needs, by LLVM's names; the first that a processor has is taken."""


def way_for(features: set[str]) -> Way:
    """How a processor with these features multiplies bytes."""
    return next(way for needed, way in _WAYS if needed <= features)


def _way() -> Way:
    return way_for(features())


@intrinsic
def byte_offset(_context):
    """A constant."""
    return types.int64(), lambda *_: ir.Constant(_ADDRESS, _way().offset)


@intrinsic
def byte_products(_context, a, row, b, tile, rows, columns, out):
    """A tile in parts whose sums stay in registers, each with a loop over the 32 words of a descriptor."""

    def build(context, builder, signature, values):
        a, b, of_rows, of_columns, out = (
            context.make_array(kind)(context, builder, value)
            for kind, value in zip(signature.args, values, strict=True)
            if isinstance(kind, types.Array)
        )
        way, first_row = _way(), values[1]
        first_column = builder.mul(values[3], _ADDRESS(TILE_COLUMNS))
        b_words = builder.gep(b.data, [builder.mul(first_column, _ADDRESS(DESCRIPTOR_WORDS))])
        addresses = _row_addresses(builder, a, first_row)
        (row_starts, row_limits), (column_starts, column_limits) = (
            _lines(builder, array, first)
            for array, first in ((of_rows, first_row), (of_columns, first_column))
        )
        starts = [_load(builder, pointer) for pointer in _vectors_from(builder, column_starts)]
        sums: list[list[Any]] = [[] for _ in range(TILE_ROWS)]
        for i in range(0, TILE_ROWS, way.rows):
            own = [_one_in_all_lanes(builder, row_starts, i + k) for k in range(way.rows)]
            for j in range(0, len(starts), way.columns):
                part = [[builder.add(one, start) for start in starts[j : j + way.columns]] for one in own]
                words = builder.gep(b_words, [_ADDRESS(j * LANES)])
                for k, row_sums in enumerate(_summed(builder, way, addresses[i : i + way.rows], words, part)):
                    sums[i + k] += row_sums
        reaching = _reaching_rows(builder, sums, row_limits), _reaching_columns(builder, sums, column_limits)
        return _stored_if_any(builder, sums, *reaching, out.data)

    return types.int64(a, types.int64, b, types.int64, rows, columns, out), build


def _lines(builder: Any, array: Any, first: Any) -> tuple[Any, Any]:
    """Pointers to a number of the first and of the second line of an array."""
    length = cgutils.unpack_tuple(builder, array.shape)[1]
    return builder.gep(array.data, [first]), builder.gep(array.data, [builder.add(first, length)])


def _vectors_from(builder: Any, pointer: Any) -> list[Any]:
    """Pointers to the vectors of a tile's columns."""
    return [builder.gep(pointer, [_ADDRESS(j)]) for j in range(0, TILE_COLUMNS, LANES)]


def _reaching_rows(builder: Any, sums: Sequence[Sequence[Any]], limits: Any) -> list[Any]:
    """For each row, the lanes in which its largest sums reach its limit."""
    return [
        builder.icmp_signed(">=", _largest(builder, row), _one_in_all_lanes(builder, limits, i))
        for i, row in enumerate(sums)
    ]


def _reaching_columns(builder: Any, sums: Sequence[Sequence[Any]], limits: Any) -> list[Any]:
    """For each vector of columns, the lanes whose largest sums reach the limits."""
    return [
        builder.icmp_signed(">=", _largest(builder, column), _load(builder, pointer))
        for column, pointer in zip(zip(*sums, strict=True), _vectors_from(builder, limits), strict=True)
    ]


def _largest(builder: Any, vectors: Sequence[Any]) -> Any:
    """The largest number of each lane."""
    largest, *others = vectors
    for other in others:
        largest = builder.select(builder.icmp_signed(">", other, largest), other, largest)
    return largest


def _stored_if_any(
    builder: Any, sums: Sequence[Sequence[Any]], rows: Sequence[Any], columns: Sequence[Any], out: Any
) -> Any:
    """Store the sums if any lane reaches its limit; the bits of the columns, then those of the rows, or 0."""
    anywhere = _bits(builder, reduce(builder.or_, [*rows, *columns]))
    found = cgutils.alloca_once_value(builder, _ADDRESS(0))
    with builder.if_then(builder.icmp_unsigned("!=", anywhere, _ADDRESS(0)), likely=False):
        for i, row in enumerate(sums):
            for pointer, total in zip(
                _vectors_from(builder, builder.gep(out, [_ADDRESS(i * TILE_COLUMNS)])), row, strict=True
            ):
                builder.store(total, builder.bitcast(pointer, _words().as_pointer()), align=4)
        of_columns = [(_bits(builder, lanes), LANES * v) for v, lanes in enumerate(columns)]
        of_rows = [
            (builder.zext(builder.icmp_unsigned("!=", _bits(builder, lanes), _ADDRESS(0)), _ADDRESS),
             TILE_COLUMNS + i)
            for i, lanes in enumerate(rows)
        ]  # fmt: skip
        shifted = [builder.shl(bits, _ADDRESS(by)) for bits, by in of_columns + of_rows]
        builder.store(reduce(builder.or_, shifted), found)
    return builder.load(found)


def _bits(builder: Any, lanes: Any) -> Any:
    """Sixteen truth values as the lowest bits of an int64."""
    return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), _ADDRESS)


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


def _summed(
    builder: Any, way: Way, rows: Sequence[Any], columns: Any, starts: Sequence[Sequence[Any]]
) -> list[list[Any]]:
    """The products of some rows and some vectors of columns, added to what each sum starts from."""
    sums = [[cgutils.alloca_once_value(builder, start) for start in row] for row in starts]
    with cgutils.for_range(builder, _ADDRESS(DESCRIPTOR_WORDS)) as loop:
        start = builder.mul(loop.index, _ADDRESS(TILE_COLUMNS))
        vectors = [
            _load(builder, builder.gep(columns, [builder.add(start, _ADDRESS(LANES * v))]))
            for v in range(way.columns)
        ]
        for row, pointer in zip(sums, rows, strict=True):
            word = _one_in_all_lanes(builder, pointer, loop.index)
            for cell, vector in zip(row, vectors, strict=True):
                builder.store(way.multiply_add(builder, builder.load(cell), word, vector), cell)
    return [[builder.load(cell) for cell in row] for row in sums]


def _load(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _words().as_pointer()), align=4)


def _one_in_all_lanes(builder: Any, pointer: Any, at: Any) -> Any:
    """A vector with one number of an array in all lanes."""
    at = _ADDRESS(at) if isinstance(at, int) else at
    word = builder.load(builder.gep(pointer, [at]), align=1)
    one = builder.insert_element(ir.Constant(_words(), ir.Undefined), word, _INDEX(0))
    return builder.shuffle_vector(one, one, ir.Constant(_words(), [0] * LANES))

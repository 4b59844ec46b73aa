"""Sixteen float32 at a time: a type that kernels can name, so that nothing is left to the vectoriser.

``load`` and ``store`` take an array and a flat index, which is not checked; vectors are added,
subtracted and multiplied like numbers. A processor with shorter registers does the same in two or
four steps, with the same bits. Where the compiler is off (NUMBA_DISABLE_JIT=1), a vector is a NumPy
array of sixteen.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic, models, overload, register_model

LANES = 16

_LLVM_TYPE = ir.VectorType(ir.FloatType(), LANES)
_INDEX = ir.IntType(32)


class _VectorType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__("Vector(float32, 16)")


_VECTOR = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _LLVM_TYPE)


def _or_where_the_compiler_is_off(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Replace an instruction by a plain function where nothing is compiled."""

    def choose(instruction: Callable[..., Any]) -> Callable[..., Any]:
        return plain if config.DISABLE_JIT else intrinsic(instruction)

    return choose


def _in_all_lanes(builder, value, kind=_LLVM_TYPE):
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INDEX(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, LANES), [0] * LANES))


def _address(context, builder, array_type, array, at):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _LLVM_TYPE.as_pointer())


@_or_where_the_compiler_is_off(lambda array, at: array.reshape(-1)[at : at + LANES].copy())
def load(_context, array, at):
    """Sixteen samples of a C-contiguous array."""

    def build(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature.args[0], *arguments), align=4)

    return _VECTOR(array, types.int64), build


def _store(array, at, vector):
    array.reshape(-1)[at : at + LANES] = vector


@_or_where_the_compiler_is_off(_store)
def store(_context, array, at, vector):
    """Write sixteen samples of a C-contiguous array."""

    def build(context, builder, signature, arguments):
        array, at, vector = arguments
        builder.store(vector, _address(context, builder, signature.args[0], array, at), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


@_or_where_the_compiler_is_off(lambda value: np.full(LANES, value, np.float32))
def splat(_context, value):
    """A number in all lanes."""

    return _VECTOR(types.float32), lambda _context, builder, _signature, args: _in_all_lanes(builder, *args)


def _llvm_function(name: str, n_arguments: int, plain: Callable[..., Any]) -> Callable[..., Any]:
    """A function of vectors that LLVM knows."""
    kind = ir.FunctionType(_LLVM_TYPE, [_LLVM_TYPE] * n_arguments)

    def build(_context, builder, _signature, arguments):
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
        return builder.call(function, arguments)

    if n_arguments == 1:
        return _or_where_the_compiler_is_off(plain)(lambda _context, a: (_VECTOR(a), build))
    return _or_where_the_compiler_is_off(plain)(lambda _context, a, b, c: (_VECTOR(a, b, c), build))


fma = _llvm_function("fma", 3, lambda a, b, c: (a.astype(np.float64) * b + c).astype(np.float32))
"""a·b + c, rounded once: the same bits on every processor, and where the compiler is off."""
absolute = _llvm_function("fabs", 1, np.abs)
square_root = _llvm_function("sqrt", 1, np.sqrt)
whole_part = _llvm_function("trunc", 1, np.trunc)
nearest_whole = _llvm_function("rint", 1, np.rint)


@_or_where_the_compiler_is_off(lambda: np.arange(LANES, dtype=np.float32))
def lane_numbers(_context):
    """0, 1, 2 …"""
    return _VECTOR(), lambda *_: ir.Constant(_LLVM_TYPE, [float(i) for i in range(LANES)])


@_or_where_the_compiler_is_off(lambda a: np.float32(np.add.accumulate(a)[-1]))
def sum_of_lanes(_context, a):
    """The sum, from the first lane to the last."""

    def build(_context, builder, _signature, arguments):
        total = builder.extract_element(*arguments, _INDEX(0))
        for lane in range(1, LANES):
            total = builder.fadd(total, builder.extract_element(*arguments, _INDEX(lane)))
        return total

    return types.float32(a), build


def _store_whole(array, at, vector):
    array.reshape(-1)[at : at + LANES] = vector.astype(array.dtype)


@_or_where_the_compiler_is_off(_store_whole)
def store_whole(_context, array, at, vector):
    """Write sixteen whole numbers to a C-contiguous array of integers."""

    def build(context, builder, signature, arguments):
        array, at, vector = arguments
        kind = ir.VectorType(context.get_value_type(signature.args[0].dtype), LANES)
        data = context.make_array(signature.args[0])(context, builder, array).data
        convert = builder.fptosi if signature.args[0].dtype.signed else builder.fptoui
        builder.store(convert(vector, kind), builder.bitcast(builder.gep(data, [at]), kind.as_pointer()), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


def _store_index(array, at, row, pitch, column):
    array[at : at + LANES] = row.astype(np.int64) * pitch + column.astype(np.int64)


@_or_where_the_compiler_is_off(_store_index)
def store_index(_context, array, at, row, pitch, column):
    """Write sixteen flat indices, row·pitch + column, to a C-contiguous array of int32."""

    def build(context, builder, signature, arguments):
        array, at, row, pitch, column = arguments
        kind = ir.VectorType(_INDEX, LANES)
        pitches = _in_all_lanes(builder, builder.trunc(pitch, _INDEX), kind)
        index = builder.add(
            builder.mul(builder.fptosi(row, kind), pitches), builder.fptosi(column, kind)
        )
        data = context.make_array(signature.args[0])(context, builder, array).data
        builder.store(index, builder.bitcast(builder.gep(data, [at]), kind.as_pointer()), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, row, types.int64, column), build


def _copy_two(source, at, target, to):
    target.reshape(-1)[to : to + 2] = source.reshape(-1)[at : at + 2]


@_or_where_the_compiler_is_off(_copy_two)
def copy_two(_context, source, at, target, to):
    """Copy two neighbouring samples between C-contiguous arrays."""

    def build(context, builder, signature, arguments):
        def address(array_type, array, index):
            data = context.make_array(array_type)(context, builder, array).data
            return builder.bitcast(builder.gep(data, [index]), ir.IntType(64).as_pointer())

        source, at, target, to = arguments
        two = builder.load(address(signature.args[0], source, at), align=4)
        builder.store(two, address(signature.args[2], target, to), align=4)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), build


@_or_where_the_compiler_is_off(lambda array, at: np.full(LANES, array.reshape(-1)[at], np.float32))
def broadcast(_context, array, at):
    """A sample of a C-contiguous array in all lanes."""

    def build(context, builder, signature, arguments):
        array, at = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        return _in_all_lanes(builder, builder.load(builder.gep(data, [at])))

    return _VECTOR(array, types.int64), build


@_or_where_the_compiler_is_off(lambda a, b: sum(1 << lane for lane in np.flatnonzero(a >= b).tolist()))
def lanes_not_below(_context, a, b):
    """The lanes where a ≥ b, as the bits of an integer."""

    def build(_context, builder, _signature, arguments):
        lanes = builder.fcmp_ordered(">=", *arguments)
        return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(a, b), build


@_or_where_the_compiler_is_off(lambda bits: (bits & -bits).bit_length() - 1)
def lowest_bit(_context, bits):
    """The number of the lowest bit that is set; one must be."""

    def build(_context, builder, _signature, arguments):
        return builder.cttz(*arguments, ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), build


@_or_where_the_compiler_is_off(lambda a, b, x, y: np.where(a > b, x, y))
def where_larger(_context, a, b, x, y):
    """x in the lanes where a > b, y elsewhere."""

    def build(_context, builder, _signature, arguments):
        a, b, x, y = arguments
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return _VECTOR(a, b, x, y), build


def _chosen(comparison: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    @_or_where_the_compiler_is_off(plain)
    def instruction(_context, a, b):
        def build(_context, builder, _signature, arguments):
            return builder.select(builder.fcmp_ordered(comparison, *arguments), *arguments)

        return _VECTOR(a, b), build

    return instruction


larger = _chosen(">", np.maximum)
"""The larger of each two lanes."""
smaller = _chosen("<", np.minimum)
"""The smaller of each two lanes."""


def _accumulate(array, at, value):
    array.reshape(-1)[at] += value


@_or_where_the_compiler_is_off(_accumulate)
def accumulate(_context, array, at, value):
    """Add a float32 to one number of a C-contiguous array of float64."""

    def build(context, builder, signature, arguments):
        array, at, value = arguments
        data = context.make_array(signature.args[0])(context, builder, array).data
        address = builder.gep(data, [at])
        builder.store(builder.fadd(builder.load(address), builder.fpext(value, ir.DoubleType())), address)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.float32), build


def _shuffle(order: list[int]) -> Callable[..., Any]:
    """Lanes of two vectors in some order; those of the second are counted on."""

    @_or_where_the_compiler_is_off(lambda a, b: np.concatenate((a, b))[order])
    def instruction(_context, a, b):
        def build(_context, builder, _signature, arguments):
            return builder.shuffle_vector(*arguments, ir.Constant(ir.VectorType(_INDEX, LANES), order))

        return _VECTOR(a, b), build

    return instruction


zip_low = _shuffle([i // 2 + i % 2 * LANES for i in range(LANES)])
"""a₀ b₀ a₁ b₁ … of the first halves."""
zip_high = _shuffle([(i + LANES) // 2 + i % 2 * LANES for i in range(LANES)])
"""a₈ b₈ a₉ b₉ … of the second halves."""
even_lanes = _shuffle(list(range(0, 2 * LANES, 2)))
"""a₀ a₂ … b₀ b₂ …"""
odd_lanes = _shuffle(list(range(1, 2 * LANES, 2)))
"""a₁ a₃ … b₁ b₃ …"""


def _operator(function: Callable[..., Any], instruction: str) -> None:
    @intrinsic
    def compiled(_context, a, b):
        return _VECTOR(a, b), lambda _context, builder, _signature, args: getattr(builder, instruction)(*args)

    @overload(function, inline="always")
    def of_vectors(a, b):
        if isinstance(a, _VectorType) and isinstance(b, _VectorType):
            return lambda a, b: compiled(a, b)  # noqa: PLW0108 (Numba wants a function)
        return None


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _operator(_function, _instruction)

"""The functions of ``vectors.py`` as Numba's intrinsics: a vector of float32 is one LLVM value.

Arguments and results are those of the functions there, after Numba's typing context. An intrinsic returns its
signature and a function that builds the instructions; a flat index ``at`` (int64) is not checked.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model
from numba.np.arrayobj import populate_array

from .byte_products import byte_offset, byte_products
from .lanes import HALF, LANES
from .target import has_wide_registers

__all__ = ["byte_offset", "byte_products", "has_wide_registers"]

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INDEX = ir.IntType(32)
_INDICES = ir.VectorType(_INDEX, LANES)
_BYTES = ir.Constant(ir.IntType(64), 4)  # of a float32


class _VectorType(types.Type):  # type: ignore[misc]
    """Numba's type of a vector of some length."""

    def __init__(self, lanes: int) -> None:
        super().__init__(f"Vector(float32, {lanes})")
        self.lanes = lanes


_VECTOR, _HALF = _VectorType(LANES), _VectorType(HALF)


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):  # type: ignore[misc]
    """A vector is one LLVM value."""

    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, ir.VectorType(ir.FloatType(), numba_type.lanes))


def _address(context: Any, builder: Any, array_type: Any, array: Any, at: Any, kind: Any) -> Any:
    """A pointer of type ``kind`` to the element ``at`` of an array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), kind.as_pointer())


def _in_all_lanes(builder, value, kind=_FLOATS):
    """A vector of type ``kind`` with a number in all lanes."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, _INDEX(0))
    return builder.shuffle_vector(one, one, ir.Constant(_INDICES, [0] * LANES))


# --- memory -------------------------------------------------------------------------------------


def _load(vector: _VectorType) -> Any:
    """A load of as many float32 as the vector has, aligned to 4 bytes."""

    def build(context, builder, signature, values):
        array, at = values
        kind = context.get_value_type(vector)
        return builder.load(_address(context, builder, signature.args[0], array, at, kind), align=4)

    return intrinsic(lambda _context, array, at: (vector(array, types.int64), build))


load, load_half = _load(_VECTOR), _load(_HALF)


@intrinsic
def store(_context, array, at, vector):
    """A store of 16 or 8 float32, aligned to 4 bytes."""

    def build(context, builder, signature, values):
        array, at, vector = values
        builder.store(vector, _address(context, builder, signature.args[0], array, at, vector.type), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


@intrinsic
def store_nontemporal(_context, array, at, vector):
    """A store of 16 float32 with LLVM's ``nontemporal`` hint, aligned to 64 bytes."""

    def build(context, builder, signature, values):
        array, at, vector = values
        address = _address(context, builder, signature.args[0], array, at, _FLOATS)
        stored = builder.store(vector, address, align=4 * LANES)
        stored.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


@intrinsic
def prefetch(_context, array, at):
    """``llvm.prefetch`` of a float32, for reading, into all caches."""

    def build(context, builder, signature, values):
        array, at = values
        number = ir.IntType(32)
        address = _address(context, builder, signature.args[0], array, at, ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [address, *(ir.Constant(number, n) for n in (0, 3, 1))])  # to read, soon, data
        return context.get_dummy_value()

    return types.void(array, types.int64), build


@intrinsic
def levels_at(_context, address, n_levels, n_rows, pitch):
    """An array without an owner; nothing is counted or freed."""
    kind = types.Array(types.float32, 3, "C")

    def build(context, builder, _signature, values):
        (address, *shape), array = values, context.make_array(kind)(context, builder)
        row = builder.mul(_BYTES, shape[2])
        strides = builder.mul(row, shape[1]), row, _BYTES
        populate_array(array, builder.inttoptr(address, array.data.type), shape, strides, _BYTES, None)
        return array._getvalue()

    return kind(*[types.int64] * 4), build


@intrinsic
def fence(_context):
    """A sequentially consistent fence."""

    def build(context, builder, _signature, _values):
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), build


@intrinsic
def broadcast(_context, array, at):
    """A load of one float32, copied to all lanes."""

    def build(context, builder, signature, values):
        array, at = values
        address = _address(context, builder, signature.args[0], array, at, ir.FloatType())
        return _in_all_lanes(builder, builder.load(address))

    return _VECTOR(array, types.int64), build


@intrinsic
def store_integers(_context, array, at, vector):
    """A conversion to integers of the array's type and a store of 16 of them, aligned to 1 byte."""

    def build(context, builder, signature, values):
        array, at, vector = values
        dtype = signature.args[0].dtype
        kind = ir.VectorType(context.get_value_type(dtype), LANES)
        whole = builder.fptosi(vector, kind) if dtype.signed else builder.fptoui(vector, kind)
        builder.store(whole, _address(context, builder, signature.args[0], array, at, kind), align=1)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


@intrinsic
def store_doubles(_context, array, at, vector):
    """A conversion to float64 and a store of 16 of them, aligned to 8 bytes."""

    def build(context, builder, signature, values):
        array, at, vector = values
        wide = builder.fpext(vector, ir.VectorType(ir.DoubleType(), LANES))
        builder.store(wide, _address(context, builder, signature.args[0], array, at, wide.type), align=8)
        return context.get_dummy_value()

    return types.void(array, types.int64, vector), build


@intrinsic
def store_index(_context, array, at, row, pitch, column):
    """Row·pitch + column of 16 lanes as int32, and a store aligned to 4 bytes."""

    def build(context, builder, signature, values):
        array, at, row, pitch, column = values
        pitches = _in_all_lanes(builder, builder.trunc(pitch, _INDEX), _INDICES)
        index = builder.add(
            builder.mul(builder.fptosi(row, _INDICES), pitches), builder.fptosi(column, _INDICES)
        )
        builder.store(index, _address(context, builder, signature.args[0], array, at, _INDICES), align=4)
        return context.get_dummy_value()

    return types.void(array, types.int64, row, types.int64, column), build


@intrinsic
def copy_two(_context, source, at, target, to):
    """A load and a store of 64 bits: two float32."""

    def build(context, builder, signature, values):
        source, at, target, to = values
        both = ir.IntType(64)
        two = builder.load(_address(context, builder, signature.args[0], source, at, both), align=4)
        builder.store(two, _address(context, builder, signature.args[2], target, to, both), align=4)
        return context.get_dummy_value()

    return types.void(source, types.int64, target, types.int64), build


@intrinsic
def accumulate(_context, array, at, value):
    """A load, an addition and a store of one float64."""

    def build(context, builder, signature, values):
        array, at, value = values
        address = _address(context, builder, signature.args[0], array, at, ir.DoubleType())
        builder.store(builder.fadd(builder.load(address), value), address)
        return context.get_dummy_value()

    return types.void(array, types.int64, types.float64), build


@intrinsic
def atomic_add(_context, count, n):
    """An atomic addition to the first int64 of an array, without an order among other accesses."""

    def build(context, builder, signature, values):
        array, n = values
        number = ir.IntType(64)
        address = _address(context, builder, signature.args[0], array, number(0), number)
        return builder.atomic_rmw("add", address, n, "monotonic")

    return types.int64(count, types.int64), build


# --- constants and single numbers ---------------------------------------------------------------


@intrinsic
def splat(_context, value):
    """One float32, copied to all lanes."""
    return _VECTOR(types.float32), lambda _context, builder, _signature, values: _in_all_lanes(
        builder, *values
    )


@intrinsic
def lane_numbers(_context):
    """The constant vector 0 to 15."""
    return _VECTOR(), lambda *_: ir.Constant(_FLOATS, [float(i) for i in range(LANES)])


@intrinsic
def sum_of_lanes(_context, a):
    """15 additions, from the first lane to the last."""

    def build(_context, builder, _signature, values):
        total = builder.extract_element(*values, _INDEX(0))
        for lane in range(1, LANES):
            total = builder.fadd(total, builder.extract_element(*values, _INDEX(lane)))
        return total

    return types.float32(a), build


@intrinsic
def ge_mask(_context, a, b):
    """An ordered comparison, its 16 bits widened to an int64."""

    def build(_context, builder, _signature, values):
        lanes = builder.fcmp_ordered(">=", *values)
        return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(a, b), build


@intrinsic
def reach_mask(_context, array, at, limit):
    """A load of 16 int32, aligned to 4 bytes, and a comparison as in ``ge_mask``."""

    def build(context, builder, signature, values):
        array, at, limit = values
        numbers = builder.load(_address(context, builder, signature.args[0], array, at, _INDICES), align=4)
        lanes = builder.icmp_signed(">=", numbers, _in_all_lanes(builder, limit, _INDICES))
        return builder.zext(builder.bitcast(lanes, ir.IntType(LANES)), ir.IntType(64))

    return types.int64(array, types.int64, types.int32), build


@intrinsic
def count_trailing_zeros(_context, bits):
    """``cttz`` of an int64 that is not 0."""

    def build(_context, builder, _signature, values):
        return builder.cttz(*values, ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), build


# --- lane by lane -------------------------------------------------------------------------------


def _llvm_function(name: str, n_arguments: int) -> Any:
    """LLVM's own intrinsic ``llvm.<name>`` of one or three vectors."""

    def build(_context, builder, _signature, values):
        floats = values[0].type
        kind = ir.FunctionType(floats, [floats] * n_arguments)
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{floats.count}f32")
        return builder.call(function, values)

    if n_arguments == 1:
        return intrinsic(lambda _context, a: (a(a), build))
    return intrinsic(lambda _context, a, b, c: (a(a, b, c), build))


fma = _llvm_function("fma", 3)
absolute = _llvm_function("fabs", 1)
sqrt = _llvm_function("sqrt", 1)
trunc = _llvm_function("trunc", 1)
rint = _llvm_function("rint", 1)


def _chosen(comparison: str) -> Any:
    """The first vector's lanes where an ordered comparison holds, the second's elsewhere."""

    def build(_context, builder, _signature, values):
        return builder.select(builder.fcmp_ordered(comparison, *values), *values)

    return intrinsic(lambda _context, a, b: (a(a, b), build))


maximum, minimum = _chosen(">"), _chosen("<")


@intrinsic
def where_greater(_context, a, b, x, y):
    """An ordered comparison and a select."""

    def build(_context, builder, _signature, values):
        a, b, x, y = values
        return builder.select(builder.fcmp_ordered(">", a, b), x, y)

    return x(a, b, x, y), build


def _shuffle(order: list[int]) -> Any:
    """Sixteen lanes of two vectors in some order: of n lanes each, numbers from n on are the second one's."""

    def build(_context, builder, _signature, values):
        return builder.shuffle_vector(*values, ir.Constant(_INDICES, order))

    return intrinsic(lambda _context, a, b: (_VECTOR(a, b), build))


@intrinsic
def low_half(_context, a):
    """The first eight lanes."""

    def build(_context, builder, _signature, values):
        lanes = ir.Constant(ir.VectorType(_INDEX, HALF), list(range(HALF)))
        return builder.shuffle_vector(*values, *values, lanes)

    return _HALF(a), build


_ZIPPED = [i // 2 + i % 2 * LANES for i in range(2 * LANES)]
zip_low, zip_high = _shuffle(_ZIPPED[:LANES]), _shuffle(_ZIPPED[LANES:])
zip_halves = _shuffle([i // 2 + i % 2 * HALF for i in range(LANES)])
even_lanes, odd_lanes = _shuffle(list(range(0, 2 * LANES, 2))), _shuffle(list(range(1, 2 * LANES, 2)))


def _define(function: Callable[..., Any], name: str) -> None:
    """Let a Python operator on two vectors be the LLVM instruction of this name."""

    @intrinsic
    def compiled(_context, a, b):
        return a(a, b), lambda _context, builder, _signature, values: getattr(builder, name)(*values)

    @overload(function, inline="always")
    def of_vectors(a, b):
        if isinstance(a, _VectorType) and a == b:
            return lambda a, b: compiled(a, b)  # noqa: PLW0108 (Numba wants a function)
        return None


for _function, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    _define(_function, _name)

"""Sixteen float32 or float64 lanes as a number that numba kernels can use.

numba vectorises loops but keeps no tile of a matrix product in registers, and half the width of AVX-512 machines is
lost to LLVM's preference for 256 bits. Here a vector is an LLVM ``<16 x float>``: one register with AVX-512, two with
AVX, four with SSE or NEON. Arrays are one-dimensional and contiguous; offsets count elements. Every kernel is written
once: the precision of its arrays is that of its vectors.
"""

# mypy: disable-error-code="no-untyped-def"
# numba infers the types of its kernels.

import itertools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, overload, register_jitable, register_model

from amorph.machine.kernel_cache import provide_cache_folder
from amorph.machine.wide_vectors import vector_registers

# Every module with kernels of the engine imports this one before it defines them.
provide_cache_folder()

LANES = 16
ROWS = 6
"""Rows of one matrix product: its 6 × 64 sums are 24 of the 32 registers of AVX-512, which hold them all at once."""
COLUMNS = 64

ONE = np.float32(1)
MEAN = np.float32(1 / COLUMNS)
EPSILON = np.float32(1e-5)
"""The 1e-5 that a norm adds to its mean square, rounded to float32; `normed_product` has it in its own precision."""

_INT = ir.IntType(32)
_FLAGS = ("contract", "nsz")


class _VectorType(types.Type):
    """Sixteen lanes of one precision."""

    def __init__(self, lane: types.Float) -> None:
        super().__init__(name=f"{lane}x{LANES}")
        single = lane == types.float32
        self.lane = lane
        self.precision = np.float32 if single else np.float64
        self.itemsize = lane.bitwidth // 8
        self.llvm = ir.VectorType(ir.FloatType() if single else ir.DoubleType(), LANES)
        self.bits = ir.VectorType(ir.IntType(lane.bitwidth), LANES)
        self.mantissa, self.bias = (23, 127) if single else (52, 1023)

    def constant(self, value: float) -> ir.Constant:
        """Return one number in all lanes."""
        return ir.Constant(self.llvm, [float(self.precision(value))] * LANES)


_VECTORS = {lane: _VectorType(lane) for lane in (types.float32, types.float64)}


def _vector_of(kind: Any) -> _VectorType:
    """Return the vectors that a number or the elements of an array fill."""
    return _VECTORS[getattr(kind, "dtype", kind)]


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, fe_type.llvm)


def _call(builder: ir.IRBuilder, name: str, arguments: Sequence[Any]) -> Any:
    kind = arguments[0].type
    suffix = "f32" if kind.element == ir.FloatType() else "f64"
    function = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(kind, [argument.type for argument in arguments]),
        f"llvm.{name}.v{LANES}{suffix}",
    )
    return builder.call(function, arguments)


def _splat(builder: ir.IRBuilder, scalar: Any) -> Any:
    undefined = ir.Constant(ir.VectorType(scalar.type, LANES), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_INT, 0))
    return builder.shuffle_vector(first, undefined, _lanes([0] * LANES))


def _address(context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _binary(operation: Callable[[ir.IRBuilder, Any, Any], Any]) -> Any:
    @intrinsic
    def function(typing_context: Any, a: Any, b: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            sides = [
                value if isinstance(kind, _VectorType) else _splat(builder, value)
                for kind, value in zip(signature.args, arguments, strict=True)
            ]
            return operation(builder, *sides)

        vector = a if isinstance(a, _VectorType) else b
        kinds = [vector if isinstance(side, _VectorType) else vector.lane for side in (a, b)]
        return vector(*kinds), codegen

    return function


_add = _binary(lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS))
_subtract = _binary(lambda builder, a, b: builder.fsub(a, b, flags=_FLAGS))
_multiply = _binary(lambda builder, a, b: builder.fmul(a, b, flags=_FLAGS))
_divide = _binary(lambda builder, a, b: builder.fdiv(a, b, flags=_FLAGS))


def _overload(operation: Any, function: Any) -> None:
    @overload(operation)
    def implementation(a, b):  # numba compares the argument lists
        if isinstance(a, _VectorType) or isinstance(b, _VectorType):
            return lambda a, b: function(a, b)  # noqa: PLW0108 (numba wants a Python function)
        return None


_overload(operator.add, _add)
_overload(operator.sub, _subtract)
_overload(operator.mul, _multiply)
_overload(operator.truediv, _divide)


@intrinsic
def load(typing_context: Any, array: Any, offset: Any) -> Any:
    """Read 16 elements."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments)
        return builder.load(builder.bitcast(address, vector.llvm.as_pointer()), align=vector.itemsize)

    vector = _vector_of(array)
    return vector(array, types.intp), codegen


@intrinsic
def store(typing_context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write 16 elements."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], builder.bitcast(address, vector.llvm.as_pointer()), align=vector.itemsize)
        return context.get_dummy_value()

    vector = _vector_of(array)
    return types.void(array, types.intp, vector), codegen


@intrinsic
def stream(typing_context: Any, array: Any, offset: Any, value: Any) -> Any:
    """Write 16 elements past the caches, to a place that starts a cache line.

    Such writes may arrive late: a lock, as between two steps of work in threads, waits for them.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        address = _address(context, builder, signature.args[0], *arguments[:2])
        written = builder.store(arguments[2], builder.bitcast(address, vector.llvm.as_pointer()), align=64)
        written.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(_INT, 1)]))
        return context.get_dummy_value()

    vector = _vector_of(array)
    return types.void(array, types.intp, vector), codegen


@intrinsic
def splat(typing_context: Any, scalar: Any) -> Any:
    """Copy one number to all lanes."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return _vector_of(scalar)(scalar), codegen


@intrinsic
def zero(typing_context: Any, array: Any) -> Any:
    """Return zeros of the precision of an array."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return signature.return_type.constant(0.0)

    return _vector_of(array)(array), codegen


@intrinsic
def total(typing_context: Any, value: Any) -> Any:
    """Sum the lanes, always in the same order."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes, width = arguments[0], LANES
        while width > 1:
            width //= 2
            undefined = ir.Constant(lanes.type, ir.Undefined)
            low, high = (
                builder.shuffle_vector(
                    lanes, undefined, ir.Constant(ir.VectorType(_INT, width), list(range(start, start + width)))
                )
                for start in (0, width)
            )
            lanes = builder.fadd(low, high)
        return builder.extract_element(lanes, ir.Constant(_INT, 0))

    return value.lane(value), codegen


@intrinsic
def exp_minus(typing_context: Any, value: Any) -> Any:
    """Compute exp(−x), with x limited to ±30.

    2ⁿ·2ᶠ with |f| ≤ ½ and a polynomial for 2ᶠ; relative error 3e-7, in float64 1e-14.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        constant = value.constant
        x = _call(builder, "minnum", [arguments[0], constant(30.0)])
        x = _call(builder, "maxnum", [x, constant(-30.0)])
        scale = constant(-1.4426950408889634)
        # Added to a number this constant rounds it to an integer n and leaves n + bias in the low bits.
        rounding = constant(1.5 * 2**value.mantissa + value.bias)
        shifted = _call(builder, "fma", [x, scale, rounding])
        n = builder.fsub(shifted, rounding)
        f = _call(builder, "fma", [x, scale, builder.fneg(n)])
        *rest, last = _EXP2[value.precision]
        result = constant(last)
        for coefficient in rest[::-1]:
            result = _call(builder, "fma", [result, f, constant(coefficient)])
        places = ir.Constant(value.bits, [value.mantissa] * LANES)
        exponent = builder.shl(builder.bitcast(shifted, value.bits), places)
        return builder.fmul(result, builder.bitcast(exponent, value.llvm))

    return value(value), codegen


def _exp2_polynomial(degree: int) -> list[float]:
    """Fit 2ᶠ on [−½, ½] at Chebyshev nodes, weighted for relative error."""
    nodes = 0.5 * np.cos((2 * np.arange(64) + 1) * np.pi / 128)
    powers = np.vander(nodes, degree + 1, increasing=True)
    weights = 2.0**-nodes
    return list(map(float, np.linalg.lstsq(powers * weights[:, None], np.ones(64), rcond=None)[0]))


_EXP2 = {np.float32: _exp2_polynomial(5), np.float64: _exp2_polynomial(11)}


@register_jitable
def logistic(x: Any) -> Any:
    """Compute σ(x) = 1 / (1 + exp(−x)).

    Hidden layers reach x = −300, where silu is x σ(−30) = −3e-11: small enough to be no systematic error, and large
    enough that products of several σ stay clear of subnormal numbers, which processors multiply slowly.
    """
    return ONE / (exp_minus(x) + ONE)


@register_jitable
def tabulated(table: Any, place: Any, width: Any, x: Any) -> Any:
    """Evaluate 16 polynomials of degree 5 whose coefficients stand `width` apart."""
    value = load(table, place + 4 * width) + x * load(table, place + 5 * width)
    value = load(table, place + 3 * width) + x * value
    value = load(table, place + 2 * width) + x * value
    value = load(table, place + width) + x * value
    return load(table, place) + x * value


@register_jitable
def tabulated_slope(table: Any, place: Any, width: Any, x: Any) -> Any:
    """Evaluate the slopes of 16 polynomials of degree 5, per unit of x."""
    value = load(table, place + 4 * width) * np.float32(4) + x * (load(table, place + 5 * width) * np.float32(5))
    value = load(table, place + 3 * width) * np.float32(3) + x * value
    value = load(table, place + 2 * width) * np.float32(2) + x * value
    return load(table, place + width) + x * value


def _tile_product(context: Any, builder: Any, types_: Any, arguments: Any) -> list[list[Any]]:
    """Emit 6 × 64 sums that start at `d` and grow by the product of `a` and `b`; return them, in registers."""
    a_type, b_type, d_type = types_[0], types_[3], types_[7]
    a, a0, lda, b, b0, ldb, inner, d, d0, ldd = arguments
    width = COLUMNS // LANES
    integer = inner.type
    vector = _vector_of(d_type)

    def row_of(array_type: Any, array: Any, start: Any, stride: Any, row: int) -> Any:
        at = builder.add(start, builder.mul(stride, ir.Constant(integer, row)))
        return _address(context, builder, array_type, array, at)

    def vectors_at(pointer: Any, first: int = 0, count: int = width) -> list[Any]:
        places = (builder.gep(pointer, [ir.Constant(integer, LANES * (first + column))]) for column in range(count))
        return [
            builder.load(builder.bitcast(place, vector.llvm.as_pointer()), align=vector.itemsize) for place in places
        ]

    starts = [vectors_at(row_of(d_type, d, d0, ldd, row)) for row in range(ROWS)]
    sums = [[cgutils.alloca_once_value(builder, value) for value in row] for row in starts]
    a_rows = [row_of(a_type, a, a0, lda, row) for row in range(ROWS)]
    b_data = _address(context, builder, b_type, b, b0)
    height, breadth = _sums_in_registers(vector)
    for top, left in itertools.product(range(0, ROWS, height), range(0, width, breadth)):
        with cgutils.for_range(builder, inner) as loop:
            columns = vectors_at(builder.gep(b_data, [builder.mul(loop.index, ldb)]), left, breadth)
            for row in range(top, top + height):
                factor = _splat(builder, builder.load(builder.gep(a_rows[row], [loop.index])))
                for value, place in zip(columns, sums[row][left : left + breadth], strict=True):
                    builder.store(_call(builder, "fma", [factor, value, builder.load(place)]), place)
    return [[builder.load(place) for place in row] for row in sums]


def _sums_in_registers(vector: _VectorType) -> tuple[int, int]:
    """Return how many rows and vectors of a product's sums three quarters of this processor's registers hold.

    The others are for a row of `b` and a factor. What does not fit would go to memory and back with every term.
    """
    registers, width = vector_registers()
    each = max(1, LANES * vector.itemsize // width)
    return next(
        (rows, columns)
        for rows, columns in ((ROWS, 4), (ROWS, 2), (ROWS, 1), (3, 1), (1, 1))
        if 4 * rows * columns * each <= 3 * registers
    )


def _write_tile(context: Any, builder: Any, c_type: Any, place: Any, rows: list[list[Any]]) -> None:
    """Store 6 × 64 elements at `place`, an array, an offset and the distance of two rows."""
    c, c0, ldc = place
    for row, values in enumerate(rows):
        at = builder.add(c0, builder.mul(ldc, ir.Constant(ldc.type, row)))
        pointer = _address(context, builder, c_type, c, at)
        for column, value in enumerate(values):
            place = builder.gep(pointer, [ir.Constant(ldc.type, LANES * column)])
            builder.store(value, builder.bitcast(place, value.type.as_pointer()), align=_vector_of(c_type).itemsize)


@intrinsic
def product(
    typing_context: Any,
    a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, inner: Any, d: Any, d0: Any, ldd: Any,
    c: Any, c0: Any, ldc: Any,
) -> Any:  # fmt: skip
    """Write 6 × 64 elements c = d + a b, with 6 × `inner` of `a` and `inner` × 64 of `b`.

    With ldd = 0 one row of `d`, a bias, serves all. Each row's result is the same whatever the other rows hold.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        rows = _tile_product(context, builder, signature.args[:10], arguments[:10])
        _write_tile(context, builder, signature.args[10], arguments[10:], rows)
        return context.get_dummy_value()

    n = types.intp
    return types.void(a, n, n, b, n, n, n, d, n, n, c, n, n), codegen


@intrinsic
def normed_product(
    typing_context: Any,
    a: Any, a0: Any, lda: Any, b: Any, b0: Any, ldb: Any, d: Any, d0: Any, ldd: Any, c: Any, c0: Any, ldc: Any,
    inverses: Any, i0: Any,
) -> Any:  # fmt: skip
    """Write 6 × 64 elements c = z / rms(z) with z = d + a b, and 1 / rms(z) of the rows to `inverses`.

    rms(z) = √(mean(z²) + 1e-5) over the 64 elements of a row. Sixteen elements of `inverses` are written, six of which
    mean something.
    """

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        inner = ir.Constant(arguments[1].type, COLUMNS)
        kinds = (*signature.args[:6], types.intp, *signature.args[6:9])
        rows = _tile_product(context, builder, kinds, [*arguments[:6], inner, *arguments[6:9]])
        squares = []
        for row in rows:
            square = builder.fmul(row[0], row[0])
            for value in row[1:]:
                square = _call(builder, "fma", [value, value, square])
            squares.append(square)
        vector = _vector_of(c)
        mean = _call(builder, "fma", [_totals(builder, squares), vector.constant(1 / COLUMNS), vector.constant(1e-5)])
        inverse = builder.fdiv(vector.constant(1.0), _call(builder, "sqrt", [mean]))
        place = _address(context, builder, signature.args[12], *arguments[12:])
        builder.store(inverse, builder.bitcast(place, vector.llvm.as_pointer()), align=vector.itemsize)
        undefined = ir.Constant(vector.llvm, ir.Undefined)
        factors = [builder.shuffle_vector(inverse, undefined, _lanes([row] * LANES)) for row in range(ROWS)]
        normed = [[builder.fmul(value, factor) for value in row] for row, factor in zip(rows, factors, strict=True)]
        _write_tile(context, builder, signature.args[9], arguments[9:12], normed)
        return context.get_dummy_value()

    n = types.intp
    return types.void(a, n, n, b, n, n, d, n, n, c, n, n, inverses, n), codegen


def _lanes(numbers: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_INT, LANES), numbers)


def _totals(builder: Any, vectors: list[Any]) -> Any:
    """Return a vector whose lane k is the sum of the lanes of the k-th vector, always in the same order.

    Each round folds the groups of partial sums to half their width and puts the groups of two vectors into one.
    """
    width = LANES
    while width > 1:
        half = width // 2
        low = [first + lane for first in range(0, 2 * LANES, width) for lane in range(half)]
        folded = []
        for first in range(0, len(vectors), 2):
            pair = vectors[first], vectors[min(first + 1, len(vectors) - 1)]
            parts = [builder.shuffle_vector(*pair, _lanes([lane + shift for lane in low])) for shift in (0, half)]
            folded.append(builder.fadd(*parts))
        vectors, width = folded, half
    return vectors[0]

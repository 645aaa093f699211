"""Vectors of numbers for numba: the type and its arithmetic. See `lanes`, and for float32 `scan_modes` and `narrow`.

Every function takes a vector or a plain number and means the same for both; what is no product, sum, `fma` or `exponential` is for float64
alone. Both exist inside kernels only; in memory vectors are records, see `lanes.lane_array`, or stretches of an array. Written
with numba's low-level extension interface:
https://numba.readthedocs.io/en/stable/extending/low-level.html
"""

import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir  # type: ignore[import-untyped]
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, register_model


def intrinsic(generator: Callable[..., Any]) -> Any:
    """A function of kernels whose instructions are written out here; numba leaves its decorators untyped."""
    return extending.intrinsic(generator)


def overload(function: Any) -> Callable[[Callable[..., Any]], Any]:
    """What `function` does inside kernels with the types that a chooser accepts."""
    decorate: Any = extending.overload(function)
    return lambda chooser: decorate(chooser)


DOUBLE, SINGLE, WORD, BYTE = ir.DoubleType(), ir.FloatType(), ir.IntType(64), ir.IntType(8)
EXPONENT = 0x7FF << 52  # the bits of a float64 that hold its binary exponent
ONE = 1023 << 52  # the bits of 1.0
SHIFTED = 0x433 << 52  # the bits of 2⁵²: an integer below that, put in its low bits, is added to it


class Vector(types.Type):
    """`count` lanes in one value."""

    def __init__(self, count: int, number: Any = types.float64) -> None:
        self.count, self.number = count, number
        super().__init__(name=f"Vector({count}, {number})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """One LLVM vector."""

    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, shaped(kind, scalar_of(kind)))  # type: ignore[no-untyped-call]


def scalar_of(kind: Any) -> Any:
    """The LLVM type of the numbers of a lane value."""
    return SINGLE if (kind.number if isinstance(kind, Vector) else kind) == types.float32 else DOUBLE


def shaped(kind: Any, scalar: Any) -> Any:
    """The LLVM type of a lane value whose numbers are `scalar`."""
    return ir.VectorType(scalar, kind.count) if isinstance(kind, Vector) else scalar


def constant(kind: Any, scalar: Any, number: Any) -> Any:
    """The same number in all lanes."""
    many = [number] * kind.count if isinstance(kind, Vector) else number
    return ir.Constant(shaped(kind, scalar), many)


def _called(builder: Any, name: str, kind: Any, args: list[Any]) -> Any:
    """A function of LLVM on lane values of one type."""
    shape = shaped(kind, scalar_of(kind))
    suffix = "f32" if scalar_of(kind) is SINGLE else "f64"
    suffix = f"v{kind.count}{suffix}" if isinstance(kind, Vector) else suffix
    function = ir.FunctionType(shape, [shape] * len(args))
    return builder.call(cgutils.get_or_insert_function(builder.module, function, f"llvm.{name}.{suffix}"), args)  # type: ignore[no-untyped-call]


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x y + z, rounded once."""
    return x(x, x, x), lambda context, builder, signature, args: _called(builder, "fma", x, list(args))


@intrinsic
def fnma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """z - x y, rounded once."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _called(builder, "fma", x, [builder.fneg(args[0]), args[1], args[2]])

    return x(x, x, x), generate


@intrinsic
def root(typing: Any, x: Any) -> Any:
    """Square root."""
    return x(x), lambda context, builder, signature, args: _called(builder, "sqrt", x, list(args))


@intrinsic
def absolute(typing: Any, x: Any) -> Any:
    """|x|."""
    return x(x), lambda context, builder, signature, args: _called(builder, "fabs", x, list(args))


def polynomial(*coefficients: float) -> Any:
    """A function of kernels: Σ c_k x^k, halves added by powers of x (Estrin), so that no product waits for all others."""

    @intrinsic
    def evaluate(typing: Any, x: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            terms, power = [constant(x, DOUBLE, c) for c in coefficients], args[0]
            while len(terms) > 1:
                odd = terms[-1:] if len(terms) % 2 else []
                pairs = zip(terms[1::2], terms[::2], strict=False)
                terms = [_called(builder, "fma", x, [high, power, low]) for high, low in pairs] + odd
                power = builder.fmul(power, power)
            return terms[0]

        return x(x), generate

    return evaluate


class _Folded(NamedTuple):
    """Of e^x: the integers as wide as a number, bits of its fraction, x below which e^x is no normal number, log 2 as a number with zeros at its end and the
    rest, and the terms of the series."""

    word: Any
    bits: int
    least: float
    high: float
    low: float
    terms: int


_FOLDED = {
    SINGLE: _Folded(ir.IntType(32), 23, -87.0, 0.693359375, -2.12194440054690583e-4, 8),
    DOUBLE: _Folded(WORD, 52, -708.0, 0.693147180369123816490, 1.90821492927058770002e-10, 14),
}


@intrinsic
def exponential(typing: Any, x: Any) -> Any:
    """e^x, x ≤ 88, of float32 or float64: e^r 2^n with x = r + n log 2, |r| ≤ log(2)/2; 0 where it is no normal number. Relative error: two ε."""
    scalar = scalar_of(x)
    word, bits, least, high, low, terms = _FOLDED[scalar]
    magic = 1.5 * 2.0**bits  # what is added to it is rounded to an integer in its last bits

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        def fixed(number: float) -> Any:
            return constant(x, scalar, number)

        rounded = _called(builder, "fma", x, [args[0], fixed(1 / math.log(2)), fixed(magic)])
        n = builder.fneg(builder.fsub(rounded, fixed(magic)))
        r = _called(builder, "fma", x, [n, fixed(high), args[0]])
        r = _called(builder, "fma", x, [n, fixed(low), r])
        made = fixed(1.0 / math.factorial(terms - 1))
        for k in range(terms - 2, -1, -1):
            made = _called(builder, "fma", x, [made, r, fixed(1.0 / math.factorial(k))])
        power = builder.shl(builder.bitcast(rounded, shaped(x, word)), constant(x, word, bits))
        made = builder.bitcast(builder.add(builder.bitcast(made, shaped(x, word)), power), shaped(x, scalar))
        made = builder.select(builder.fcmp_ordered("<", args[0], fixed(least)), fixed(0.0), made)
        return builder.select(builder.fcmp_unordered("uno", args[0], args[0]), args[0], made)

    return x(x), generate


def _mask(builder: Any, kind: Any, truth: Any) -> Any:
    """1 where true, 0 elsewhere."""
    return builder.select(truth, constant(kind, DOUBLE, 1.0), constant(kind, DOUBLE, 0.0))


@intrinsic
def seen(typing: Any, x: Any) -> Any:
    """1 where x is a number, 0 where it is NaN."""
    return x(x), lambda context, builder, signature, args: _mask(
        builder, x, builder.fcmp_ordered("ord", args[0], args[0])
    )


@intrinsic
def above(typing: Any, x: Any, y: Any) -> Any:
    """1 where x > y, 0 elsewhere."""
    return x(x, x), lambda context, builder, signature, args: _mask(builder, x, builder.fcmp_ordered(">", *args))


@intrinsic
def same(typing: Any, x: Any, y: Any) -> Any:
    """1 where x = y, 0 elsewhere."""
    return x(x, y), lambda context, builder, signature, args: _mask(builder, x, builder.fcmp_ordered("==", *args))


@intrinsic
def pick(typing: Any, mask: Any, x: Any, y: Any) -> Any:
    """x where the mask is not 0, y elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        truth = builder.fcmp_unordered("!=", args[0], constant(x, DOUBLE, 0.0))
        return builder.select(truth, args[1], args[2])

    return x(x, x, x), generate


@intrinsic
def total(typing: Any, mask: Any) -> Any:
    """In how many lanes the mask is not 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        truth = builder.fcmp_unordered("!=", args[0], constant(mask, DOUBLE, 0.0))
        if isinstance(mask, Vector):
            bits = builder.bitcast(truth, ir.IntType(mask.count))
            truth = builder.ctpop(bits)
        return builder.zext(truth, WORD)

    return types.intp(mask), generate


@intrinsic
def some(typing: Any, mask: Any) -> Any:
    """Whether the mask is not 0 in any lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        truth = builder.fcmp_unordered("!=", args[0], constant(mask, DOUBLE, 0.0))
        if not isinstance(mask, Vector):
            return truth
        bits = ir.IntType(mask.count)
        return builder.icmp_unsigned("!=", builder.bitcast(truth, bits), ir.Constant(bits, 0))

    return types.boolean(mask), generate


@intrinsic
def mantissa(typing: Any, x: Any) -> Any:
    """x scaled by a power of two into 1 … 2; for x > 0."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.bitcast(args[0], shaped(x, WORD))
        bits = builder.and_(bits, constant(x, WORD, ~EXPONENT))
        return builder.bitcast(builder.or_(bits, constant(x, WORD, ONE)), shaped(x, DOUBLE))

    return x(x), generate


@intrinsic
def exponent(typing: Any, x: Any) -> Any:
    """That power: x = mantissa · 2^exponent."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        bits = builder.and_(builder.bitcast(args[0], shaped(x, WORD)), constant(x, WORD, EXPONENT))
        bits = builder.or_(builder.lshr(bits, constant(x, WORD, 52)), constant(x, WORD, SHIFTED))
        number = builder.bitcast(bits, shaped(x, DOUBLE))
        return builder.fsub(number, constant(x, DOUBLE, 2.0**52 + 1023.0))

    return x(x), generate


def _arithmetic(name: str) -> Callable[..., Any]:
    """An instruction of LLVM as the overload of an operator."""

    @intrinsic
    def instruction(typing: Any, x: Any, y: Any) -> Any:
        return x(x, y), lambda context, builder, signature, args: getattr(builder, name)(*args)

    def apply(x: Any, y: Any) -> Any:
        return instruction(x, y)

    def choose(x: Any, y: Any) -> Any:
        return apply if isinstance(x, Vector) and x == y else None

    return choose


for _operator, _name in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
    (operator.truediv, "fdiv"),
):
    overload(_operator)(_arithmetic(_name))

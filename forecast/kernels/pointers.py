"""Pointers for numba: where lane values, int64 numbers or bytes lie one after the other. See `lanes` and `vectors`.

An array that travels through a loop has its references counted, with an atomic instruction each time; a pointer owns
nothing and costs nothing. The memory belongs to arrays that the caller keeps alive. No index is checked.
"""

import operator
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import errors, types
from numba.extending import models, register_model

from forecast.kernels.vectors import (
    BYTE,
    DOUBLE,
    SINGLE,
    WORD,
    Vector,
    constant,
    intrinsic,
    overload,
    scalar_of,
    shaped,
)


class Pointer(types.Type):
    """Where lane values, integers or bytes lie one after the other: p[k], p[k] = x, p + k. It owns nothing: no
    reference is counted in a loop, and whoever passes the array keeps it."""

    def __init__(self, element: Any) -> None:
        self.element = element
        super().__init__(name=f"Pointer({element})")


@register_model(Pointer)
class PointerModel(models.PrimitiveModel):
    """One address."""

    def __init__(self, manager: Any, kind: Pointer) -> None:
        super().__init__(manager, kind, llvm(kind.element).as_pointer())  # type: ignore[no-untyped-call]


def llvm(kind: Any) -> Any:
    """The LLVM type of a value in memory."""
    return {types.int64: WORD, types.uint8: BYTE}.get(kind) or shaped(kind, scalar_of(kind))


@intrinsic
def pointer(typing: Any, array: Any) -> Any:
    """Where a contiguous array begins; any other is refused when the kernel is compiled for it."""
    if array.layout != "C":
        raise errors.TypingError(f"a pointer to {array}: contiguous arrays only")
    lanes = isinstance(array.dtype, types.Record)
    element = Vector(array.dtype.size // 8) if lanes else array.dtype

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.bitcast(data, llvm(element).as_pointer())

    return Pointer(element)(array), generate


def _at(element: Any) -> Any:
    """A function of kernels: elements at an address."""

    @intrinsic
    def at(typing: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.inttoptr(args[0], llvm(element).as_pointer())

        return Pointer(element)(types.intp), generate

    return at


numbers_at, floats_at = _at(types.float64), _at(types.float32)
integers_at, flags_at = _at(types.int64), _at(types.uint8)  # flags are bytes, to be written


@intrinsic
def lanes_at(typing: Any, like: Any, numbers: Any, index: Any) -> Any:
    """The float64 numbers from `index` on as elements of as many lanes as those at `like`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.gep(args[1], [args[2]]), llvm(like.element).as_pointer())

    return like(like, numbers, types.intp), generate


@intrinsic
def _shifted(typing: Any, where: Any, count: Any) -> Any:
    return where(where, types.intp), lambda context, builder, signature, args: builder.gep(args[0], [args[1]])


def _alignment(element: Any) -> int:
    """Bytes that an element begins at a multiple of."""
    return 1 if element == types.uint8 else 4 if scalar_of(element) is SINGLE else 8


@intrinsic
def _get(typing: Any, where: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = builder.load(builder.gep(args[0], [args[1]]))
        value.align = _alignment(where.element)
        return value

    return where.element(where, types.intp), generate


@intrinsic
def _set(typing: Any, where: Any, index: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], builder.gep(args[0], [args[1]])).align = _alignment(where.element)
        return context.get_dummy_value()

    return types.void(where, types.intp, where.element), generate


@overload(operator.getitem)
def _getitem(where: Any, index: Any) -> Any:
    def get(where: Any, index: Any) -> Any:
        return _get(where, index)

    return get if isinstance(where, Pointer) else None


@overload(operator.setitem)
def _setitem(where: Any, index: Any, value: Any) -> Any:
    def put(where: Any, index: Any, value: Any) -> Any:
        _set(where, index, value)

    return put if isinstance(where, Pointer) else None


@overload(operator.add)
def _add(where: Any, count: Any) -> Any:
    def shift(where: Any, count: Any) -> Any:
        return _shifted(where, count)

    return shift if isinstance(where, Pointer) else None


def _numbers(builder: Any, args: Any, kind: Any = DOUBLE) -> Any:
    """Where number args[2] of element args[1] lies."""
    first = builder.bitcast(builder.gep(args[0], [args[1]]), kind.as_pointer())
    return builder.gep(first, [args[2]])


@intrinsic
def peek(typing: Any, where: Any, index: Any, lane: Any) -> Any:
    """The number of one lane of an element."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_numbers(builder, args))

    return types.float64(where, types.intp, types.intp), generate


@intrinsic
def poke(typing: Any, where: Any, index: Any, lane: Any, number: Any) -> Any:
    """One lane of an element becomes `number`."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if scalar_of(where.element) is SINGLE:
            builder.store(builder.fptrunc(args[3], SINGLE), _numbers(builder, args, SINGLE))
        else:
            builder.store(args[3], _numbers(builder, args))
        return context.get_dummy_value()

    return types.void(where, types.intp, types.intp, types.float64), generate


def _loading(lane: Any, element: Any) -> Any:
    """Instructions that read a lane value from elements that lie side by side."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.gep(args[1], [args[2]])
        value = builder.load(builder.bitcast(first, shaped(lane, scalar_of(lane)).as_pointer()))
        value.align = _alignment(element)
        return value

    return generate


def _stored(builder: Any, value: Any, lane: Any, where: Any, index: Any, element: Any) -> None:
    """Write a lane value to elements that lie side by side."""
    place = builder.bitcast(builder.gep(where, [index]), shaped(lane, scalar_of(lane)).as_pointer())
    builder.store(value, place).align = _alignment(element)


@intrinsic
def read(typing: Any, like: Any, numbers: Any, index: Any) -> Any:
    """The float64 numbers that lie side by side from `index` on, as many as an element at `like` has lanes."""
    return like.element(like, numbers, types.intp), _loading(like.element, numbers.element)


@intrinsic
def write(typing: Any, numbers: Any, index: Any, value: Any) -> Any:
    """The way back."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _stored(builder, args[2], value, args[0], args[1], numbers.element)
        return context.get_dummy_value()

    return types.void(numbers, types.intp, value), generate


@intrinsic
def nothing(typing: Any, where: Any, size: Any) -> Any:
    """0 in as many lanes as fill `size` bytes, a literal, with numbers like those at `where`; in one where they fill no two."""
    if not isinstance(size, types.Literal):
        raise errors.RequireLiteralValue("the bytes of a lane value")
    count = size.literal_value * 8 // where.element.bitwidth
    lane = Vector(count, where.element) if count > 1 else where.element
    return lane(where, size), lambda *_: constant(lane, scalar_of(lane), 0.0)


@intrinsic
def take(typing: Any, like: Any, where: Any, index: Any) -> Any:
    """The numbers that lie side by side from `index` on, as many as `like` has lanes."""
    return like(like, where, types.intp), _loading(like, where.element)


@intrinsic
def give(typing: Any, value: Any, where: Any, index: Any) -> Any:
    """The way back."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _stored(builder, args[0], value, args[1], args[2], where.element)
        return context.get_dummy_value()

    return types.void(value, where, types.intp), generate


FOUR = Vector(4)


@intrinsic
def abreast(typing: Any, where: Any, index: Any) -> Any:
    """Four numbers of the first lane that lie side by side, as one vector; of use where there is one lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.gep(args[0], [args[1]])
        value = builder.load(builder.bitcast(first, shaped(FOUR, DOUBLE).as_pointer()))
        value.align = 8
        return value

    return FOUR(where, types.intp), generate


@intrinsic
def lay(typing: Any, where: Any, index: Any, value: Any) -> Any:
    """The way back."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first = builder.gep(args[0], [args[1]])
        builder.store(args[2], builder.bitcast(first, shaped(FOUR, DOUBLE).as_pointer())).align = 8
        return context.get_dummy_value()

    return types.void(where, types.intp, FOUR), generate


@intrinsic
def spread(typing: Any, where: Any, number: Any) -> Any:
    """A number four times; of a vector its first one."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        first, number = ir.Constant(ir.IntType(32), 0), args[1]
        if isinstance(where.element, Vector):
            number = builder.extract_element(number, first)
        blank = ir.Constant(shaped(FOUR, DOUBLE), ir.Undefined)
        one = builder.insert_element(blank, number, first)
        return builder.shuffle_vector(one, blank, constant(FOUR, ir.IntType(32), 0))

    return FOUR(where, where.element), generate


@intrinsic
def width(typing: Any, where: Any) -> Any:
    """Lanes of the elements there."""
    count = where.element.count if isinstance(where.element, Vector) else 1
    return types.intp(where), lambda *_: ir.Constant(WORD, count)


@intrinsic
def filled(typing: Any, like: Any, number: Any) -> Any:
    """A number in all lanes of a value, or of what a pointer points to."""
    lane = like.element if isinstance(like, Pointer) else like

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if not isinstance(lane, Vector):
            return args[1]
        blank = ir.Constant(shaped(lane, scalar_of(lane)), ir.Undefined)
        one = builder.insert_element(blank, args[1], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, blank, constant(lane, ir.IntType(32), 0))

    return lane(like, lane.number if isinstance(lane, Vector) else lane), generate


@intrinsic
def summed(typing: Any, value: Any) -> Any:
    """The sum of all lanes, a power of two: halves are added to each other."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        half = value.count // 2 if isinstance(value, Vector) else 0
        made = args[0]
        while half:
            low, high = (
                builder.shuffle_vector(made, made, ir.Constant(ir.VectorType(ir.IntType(32), half), list(part)))
                for part in (range(half), range(half, 2 * half))
            )
            made, half = builder.fadd(low, high), half // 2
        return builder.extract_element(made, ir.Constant(ir.IntType(32), 0)) if isinstance(value, Vector) else made

    return (value.number if isinstance(value, Vector) else value)(value), generate

"""Lanes in other numbers than float64: tables kept as float32, verdicts written as integers and bytes, lines fetched ahead.

A table in float32 has half the bytes where a kernel waits for memory, and twice as many numbers go into a register.
Numbers are read as float64 (`widened`). Which of a table's knots a value lies between is asked in float32, both rounded alike, so that a
value that stood in the table itself is never above it; the way from one knot to the next, a share of it, is float32 as they are.
"""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from forecast.kernels.pointers import Pointer, llvm
from forecast.kernels.vectors import BYTE, DOUBLE, SINGLE, WORD, Vector, constant, intrinsic, shaped


def _narrow(lane: Any) -> Any:
    return Vector(lane.count, types.float32) if isinstance(lane, Vector) else types.float32


@intrinsic
def narrowed(typing: Any, like: Any, where: Any, index: Any) -> Any:
    """What lies `index` elements behind `where`, as float32 elements of as many lanes as those at `like`."""
    made = Pointer(_narrow(like.element))

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.bitcast(builder.gep(args[1], [args[2]]), llvm(made.element).as_pointer())

    return made(like, where, types.intp), generate


@intrinsic
def widened(typing: Any, x: Any) -> Any:
    """float32 lanes as float64."""
    made = Vector(x.count) if isinstance(x, Vector) else types.float64

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.fpext(args[0], shaped(made, DOUBLE))

    return made(x), generate


@intrinsic
def bracket(typing: Any, x: Any, table: Any) -> Any:
    """How many steps x lies above the first of 16 rising knots, parts of a step too, and two masks: x above the first knot, above the last.

    Halving four times, without a branch: no lane waits for another one. Where it is not between two knots, the steps are no number.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _narrow(x)
        value, wide = builder.fptrunc(args[0], llvm(kind)), shaped(x, DOUBLE)
        knots = []
        for k in range(16):
            knots.append(builder.load(builder.gep(args[1], [ir.Constant(ir.IntType(64), k)])))
            knots[k].align = 4
        pick = builder.select
        low, high, steps = knots[0], knots[15], constant(kind, SINGLE, 0.0)
        inside, sides = builder.fcmp_ordered(">", value, low), list[Any]()
        for half in (8, 4, 2, 1):
            candidates = knots[half :: 2 * half]
            for side in reversed(sides):  # the last answer tells neighbours apart
                candidates = [
                    pick(side, upper, lower) for lower, upper in zip(candidates[::2], candidates[1::2], strict=True)
                ]
            more = builder.fcmp_ordered(">", value, candidates[0])
            low, high = pick(more, candidates[0], low), pick(more, high, candidates[0])
            steps = pick(more, builder.fadd(steps, constant(kind, SINGLE, float(half))), steps)
            sides.append(more)
        beyond = builder.fcmp_ordered(">", value, knots[15])
        masks = (pick(truth, constant(x, DOUBLE, 1.0), constant(x, DOUBLE, 0.0)) for truth in (inside, beyond))
        ceiling = builder.fpext(high, wide)
        above = builder.fsub(
            pick(builder.fcmp_ordered(">", args[0], ceiling), ceiling, args[0]), builder.fpext(low, wide)
        )
        part = builder.fdiv(builder.fptrunc(above, llvm(kind)), builder.fsub(high, low))
        return context.make_tuple(
            builder, signature.return_type, [builder.fpext(builder.fadd(steps, part), wide), *masks]
        )

    return types.UniTuple(x, 3)(x, table), generate  # type: ignore[no-untyped-call]


@intrinsic
def write_whole(typing: Any, where: Any, index: Any, value: Any) -> Any:
    """Lanes that hold whole numbers, as int64 from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place, kind = builder.gep(args[0], [args[1]]), shaped(value, WORD)
        builder.store(builder.fptosi(args[2], kind), builder.bitcast(place, kind.as_pointer())).align = 8
        return context.get_dummy_value()

    return types.void(where, types.intp, value), generate


@intrinsic
def write_reached(typing: Any, where: Any, index: Any, value: Any, bound: Any) -> Any:
    """Whether each lane has reached a bound, as bytes from `index` on."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        place, kind = builder.gep(args[0], [args[1]]), shaped(value, BYTE)
        reached = builder.zext(builder.fcmp_ordered(">=", args[2], args[3]), kind)
        builder.store(reached, builder.bitcast(place, kind.as_pointer())).align = 1
        return context.get_dummy_value()

    return types.void(where, types.intp, value, value), generate


@intrinsic
def fetch(typing: Any, address: Any) -> Any:
    """Have the cache line at an address brought nearer; nothing waits for it, and no address is wrong."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        number, byte = ir.IntType(32), BYTE.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
        read, second, data = (ir.Constant(number, k) for k in (0, 2, 1))
        builder.call(function, [builder.inttoptr(args[0], byte), read, second, data])
        return context.get_dummy_value()

    return types.void(types.intp), generate

"""Evidence to verdicts, row by row, a block of sensors at a time: statistics, their calibrated tails, and what they say together.

Per channel, with z the signed normal score in its calm unit and s the surprise (nats) of the row:
    spike      s
    shift      max of two CUSUMs  g± ← max(0, g± + clip(±z, -3, 3) - slack);  g > limit is an escape: widen, start again
    variance   |log w - its calm centre|,  w the moving mean of min(z², 9)
    drift      |moving mean of (y - loc)/spread| against a slow reference (loc moves by clipped deviations), in units that widen as
               a level that wanders as it did on calm rows leaves such a reference:  √(1 + wander · (1 - (1-a)^2h)/2a),  h rows on
    burst      moving mean of min(s, cap)
Per row, white the inverse Cholesky factor of the calm correlation:  together |white z|²,  state |white moving mean|².
A tail turns each into nats, -log P(as large on a calm row), an offset of its own following slow changes of its scale;
the largest one, channels less log C, goes through the last tail, and score = e / (e + threshold).
A run of repeated (missing) rows, n + 1 more than the longest calm one, has e = n · -log p, apart from the budget.

Shapes: y, z, s, expected (B T C); memory (B C MEMORY); offset (B C+1 WAYS); outputs (B T …). The arithmetic of one row stands in `judge`, a tail
in `tails`. What belongs to a sensor (the leaves of `LEAVES`, `sizes` numbers each) lies sensor by sensor, or S sensors together: (B/S size S).
Then a block is read from where it lies, otherwise it is copied. `plan` holds channels, sensors that lie together, and addresses.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import apart, exact, inner
from forecast.kernels.judge import (
    ADAPT,
    BEGUN,
    CLUSTER,
    DRIFT,
    ESCAPED,
    FROZEN,
    GROUPS,
    HELD,
    LAST,
    MEMORY,
    MISSING,
    PATTERN,
    RANGE,
    SEASON,
    SHIFT,
    SPIKE,
    TOGETHER,
    TREND,
    VARIANCE,
    WAYS,
    judge,
)
from forecast.kernels.lanes import floats_at, lanes_at, narrowed, numbers_at, peek, pointer, poke, width
from forecast.kernels.tails import KNOTS, TAIL, kept

CALIBRATION = ("tails", "group", "final", "unit", "loc", "spread", "wander", "centre", "white", "quality")
LEAVES = (*CALIBRATION, "memory", "offset")
TAILS = CALIBRATION[:3]
FIRST = 3  # entry of the plan where the leaves begin

__all__ = [
    "ADAPT",
    "BEGUN",
    "CLUSTER",
    "DRIFT",
    "ESCAPED",
    "FROZEN",
    "GROUPS",
    "HELD",
    "KNOTS",
    "LAST",
    "LEAVES",
    "MEMORY",
    "MISSING",
    "PATTERN",
    "RANGE",
    "SEASON",
    "SHIFT",
    "SPIKE",
    "TAIL",
    "TOGETHER",
    "TREND",
    "VARIANCE",
    "WAYS",
    "leaves_of",
    "plan_of",
    "room",
    "sizes",
    "watch",
]


def sizes(C: Any) -> Any:
    """Numbers of a sensor of C channels in each leaf."""
    return (C * WAYS * TAIL, GROUPS * TAIL, TAIL, C, C, C, C, C, GROUPS * C * C, 4 * C, C * MEMORY, (C + 1) * WAYS)


def _row(C: Any) -> Any:
    """Elements of a row, its verdict and scratch."""
    return 4 * C + 4 + 2 * C + C * WAYS + GROUPS + 3 * C


def room(C: int) -> int:
    """Elements of memory that one block needs."""
    found: int = _row(C) + sum(sizes(C))
    return found


_sizes = inner(sizes)


def leaves_of(calibration: Iterable[Any], memory: Any, offset: Any) -> list[NDArray[Any]]:
    """The leaves of `LEAVES` as kernels read them, of arrays (B …) each: tails as `kept`, units as what z is multiplied by."""
    leaves = dict(zip(LEAVES, [*calibration, memory, offset], strict=True))
    leaves |= {"unit": 1.0 / leaves["unit"], **{word: kept(leaves[word]) for word in TAILS}}
    return list(leaves.values())


def plan_of(
    channels: int, together: int, settings: NDArray[np.float64], leaves: list[NDArray[Any]]
) -> NDArray[np.int64]:
    """What a kernel is told; the arrays are kept alive by the caller."""
    addresses = [array.ctypes.data for array in (settings, *leaves)]
    return np.array([channels, together, *addresses], np.int64)


@inner
def cut_row(p: Any, C: Any) -> Any:
    """Readings, scores, surprises, expected; score, nats, kind, widen, blame, learn; work; what is left."""
    out = p + 4 * C
    work = out + (4 + 2 * C)
    rows = (p, p + C, p + 2 * C, p + 3 * C)
    return rows, (out, out + 1, out + 2, out + 3, out + 4, out + (4 + C)), work, work + (C * WAYS + GROUPS + 3 * C)


@apart
def gather(numbers: Any, size: Any, S: Any, block: Any, p: Any) -> Any:
    """The numbers of the block's sensors as lanes."""
    for l in range(width(p)):
        source = numbers + (block[l] // S * S * size + block[l] % S)
        for e in range(size):
            poke(p, e, l, source[e * S])


@apart
def scatter(p: Any, size: Any, S: Any, block: Any, full: Any, numbers: Any) -> Any:
    """The way back, for the first `full` lanes."""
    for l in range(full):
        target = numbers + (block[l] // S * S * size + block[l] % S)
        for e in range(size):
            target[e * S] = peek(p, e, l)


@inner
def _leaf(address: Any, size: Any, S: Any, block: Any, group: Any, p: Any) -> Any:
    """A leaf of the block's sensors as lanes: where it lies, all of one group, or copied to p."""
    numbers = numbers_at(address)
    if group >= 0:
        return lanes_at(p, numbers, group * S * size)
    gather(numbers, size, S, block, p)
    return p


@inner
def _tails(address: Any, size: Any, S: Any, block: Any, group: Any, p: Any) -> Any:
    """The same of tails, which are float32."""
    numbers = floats_at(address)
    if group >= 0:
        return narrowed(p, numbers, group * S * size)
    gather(numbers, size, S, block, narrowed(p, p, 0))
    return narrowed(p, p, 0)


@inner
def settle(plan: Any, block: Any, direct: Any, p: Any) -> Any:
    """Calibration, memory and offset of a block."""
    C, S, a = plan[0], plan[1], plan + FIRST
    n, g = _sizes(C), block[0] // S if direct else -1
    p1 = p + n[0]
    p2 = p1 + n[1]
    p3 = p2 + n[2]
    p4 = p3 + 5 * C
    p5 = p4 + n[8]
    p6 = p5 + n[9]
    cal = (
        _tails(a[0], n[0], S, block, g, p),
        _tails(a[1], n[1], S, block, g, p1),
        _tails(a[2], n[2], S, block, g, p2),
        _leaf(a[3], C, S, block, g, p3),
        _leaf(a[4], C, S, block, g, p3 + C),
        _leaf(a[5], C, S, block, g, p3 + 2 * C),
        _leaf(a[6], C, S, block, g, p3 + 3 * C),
        _leaf(a[7], C, S, block, g, p3 + 4 * C),
        _leaf(a[8], n[8], S, block, g, p4),
        _leaf(a[9], n[9], S, block, g, p5),
    )
    return cal, _leaf(a[10], n[10], S, block, g, p6), _leaf(a[11], n[11], S, block, g, p6 + n[10])


@inner
def unsettle(plan: Any, block: Any, full: Any, memory: Any, offset: Any) -> Any:
    """Memory and offset of a block that was copied, back to where they lie."""
    n = _sizes(plan[0])
    scatter(memory, n[10], plan[1], block, full, numbers_at(plan[FIRST + 10]))
    scatter(offset, n[11], plan[1], block, full, numbers_at(plan[FIRST + 11]))


@inner
def sensors_of(which: Any, count: Any, first: Any, W: Any, S: Any, block: Any) -> Any:
    """The sensors of the block that begins with which[first] of `count`; whether they are one group that lies together."""
    direct = W == S and first + W <= count and which[first] % S == 0
    for l in range(W):
        block[l] = which[first + l if first + l < count else count - 1]
        direct = direct and block[l] == block[0] + l
    return direct


@exact
def watch(memory: Any, whole: Any, plan: Any, rows: Any, which: Any, out: Any, raw: Any, raw_group: Any) -> Any:
    """Fill the outputs and move the memory; `raw` and `raw_group` take the bare statistics where they have rows.

    rows: y, z, s, expected; out: score (B T), nats (B T), blame (B T C), kind (B T), learn (B T C), widen (B T). Entry i of both belongs to
    sensor which[i] of the leaves. Answers whether a reading is held back (HELD), a level has escaped (ESCAPED), or both.
    """
    plan_, order, block, p = pointer(plan), pointer(which), pointer(whole), pointer(memory)
    T, C = rows[0].shape[1:]
    W, S, count, odd = width(p), plan_[1], which.shape[0], 0
    settings = numbers_at(plan_[2])
    score, nats, blame, kind, learn, widen = out
    sources = pointer(rows[0]), pointer(rows[1]), pointer(rows[2]), pointer(rows[3])
    row, made, work, p = cut_row(p, C)
    for s in range(0, count, W):
        full = min(W, count - s)
        direct = sensors_of(order, count, s, W, S, block)
        cal, own, offset = settle(plan_, block, direct, p)
        for t in range(T):
            for l in range(W):
                i = s + l if l < full else count - 1
                for c in range(C):
                    for k in range(4):
                        poke(row[k], c, l, sources[k][(i * T + t) * C + c])
            odd |= judge(C, row, cal, own, offset, settings, raw.shape[1] > 0, made, work)
            for l in range(full):
                i = s + l
                score[i, t], nats[i, t] = peek(made[0], 0, l), peek(made[1], 0, l)
                kind[i, t], widen[i, t] = int(peek(made[2], 0, l)), peek(made[3], 0, l)
                for c in range(C):
                    blame[i, t, c], learn[i, t, c] = peek(made[4], c, l), peek(made[5], c, l)
                    for k in range(WAYS if raw.shape[1] else 0):
                        raw[i, t, c, k] = peek(work, c * WAYS + k, l)
                for k in range(GROUPS if C > 1 and raw_group.shape[1] else 0):
                    raw_group[i, t, k] = peek(work, C * WAYS + k, l)
        if not direct:
            unsettle(plan_, block, full, own, offset)
    return odd

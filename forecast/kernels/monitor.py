"""One row of live sensors in one pass: the forecast made before it, the verdict on it, and the states after it.

What `live` (forecast), `surprise`, `watch` and `live` (step) do one after the other, to the last bit, but a block of sensors is read
and written once, and its transition is gone through once. A sensor whose level has escaped is not stepped: that is left to the caller,
who widens its belief first. Plans as in `live` and `watch`; the second one ends with the addresses of surprise and score (n C).
"""

from typing import Any

import numpy as np

from forecast.kernels.advance import note
from forecast.kernels.blocks import load_rows, load_symmetric, restart, store_rows
from forecast.kernels.elementary import under_normal
from forecast.kernels.few_states import (
    close_belief,
    few,
    foreseen,
    lay_down,
    learned,
    moved,
    noise_of,
    open_belief,
    taken_up,
)
from forecast.kernels.jit import exact, inner
from forecast.kernels.judge import judge
from forecast.kernels.kalman import cut_belief, cut_scratch, load_belief
from forecast.kernels.lanes import (
    above,
    filled,
    flags_at,
    integers_at,
    numbers_at,
    peek,
    pick,
    pointer,
    some,
    width,
    write,
    write_reached,
    write_whole,
)
from forecast.kernels.live import FROM, TOGETHER, approach, load_row, load_units, told, unfold
from forecast.kernels.row import absorb, forecast, store_belief
from forecast.kernels.two_states import settled
from forecast.kernels.update import rank_one
from forecast.kernels.watch import FIRST, LEAVES, cut_row, sensors_of, settle, unsettle
from forecast.kernels.watch import room as verdict_room

AHEAD = 64  # sensors whose readings are brought nearer
EVIDENCE = FIRST + len(LEAVES)  # entry of the plan where the addresses of surprise and score stand


def room(m: int, K: int, C: int) -> tuple[int, int]:
    """Elements of `memory` and of `whole`."""
    shared = (6 * m + m * m + 1) + (m + 2 * m * m) + 4
    return verdict_room(C) + shared + C * series_room(m, K), 64 + C * (64 + m)


def series_room(m: Any, K: Any) -> Any:
    """Elements of one channel."""
    return (K + 2) + m + 6 + (m + 2 * m * m)


_series_room = inner(series_room)


@inner
def cut_series(p: Any, K: Any, m: Any) -> Any:
    """Coefficients, loc and spread; M; tally; F; what is expected; the belief."""
    M = p + (K + 2)
    belief, _ = cut_belief(M + (m + 6), m)
    return p, M, M + m, M + (m + 4), M + (m + 5), belief


@inner
def in_order(count: Any, first: Any, W: Any, block: Any) -> Any:
    """As `sensors_of` where every sensor has a row."""
    direct = W == TOGETHER and first + W <= count
    for l in range(1 if direct else W):
        block[l] = first + l if first + l < count else count - 1
    return direct


@inner
def find(plan: Any, block: Any, W: Any, channel: Any, direct: Any, where: Any) -> Any:
    """Where the numbers of a channel of the block's sensors begin; whether they lie side by side."""
    S, shift, start = plan[7], plan[8], channel * plan[0]
    for l in range(1 if direct else W):
        b = start + block[l]
        where[l] = (b >> shift) * plan[9] * S + (b - (b >> shift << shift))
    return direct or W == 1


@inner
def begin(rest: Any, has_diffuse: Any, m: Any, S: Any, block: Any, together: Any, initial: Any) -> Any:
    """The belief before this row, once more."""
    load_rows(rest[0], m, S, block, together, initial[0])
    load_symmetric(rest[1], m, S, block, together, initial[1])
    if has_diffuse:
        load_symmetric(rest[2], m, S, block, together, initial[2])


@inner
def store_row(value: Any, C: Any, first: Any, full: Any, c: Any, numbers: Any, spare: Any) -> Any:
    """The way back."""
    if C == 1 and full == width(spare):
        write(numbers, first, value)
        return
    spare[0] = value
    for l in range(full):
        numbers[(first + l) * C + c] = peek(spare, 0, l)


@inner
def tell(made: Any, C: Any, first: Any, full: Any, count: Any, out: Any, kinds: Any, alarms: Any, spare: Any) -> Any:
    """Verdicts of a block: score, widen (n each), blame, learn (n C each) in `out`, kinds and alarms."""
    store_row(made[0][0], 1, first, full, 0, out, spare)
    store_row(made[3][0], 1, first, full, 0, out + count, spare)
    for c in range(C):
        store_row(made[4][c], C, first, full, c, out + 2 * count, spare)
        store_row(made[5][c], C, first, full, c, out + (2 + C) * count, spare)
    if full == width(spare):
        write_whole(kinds, first, made[2][0])
        write_reached(alarms, first, made[0][0], filled(spare, 0.5))
        return
    for l in range(full):
        kinds[first + l], alarms[first + l] = int(peek(made[2], 0, l)), np.uint8(out[first + l] >= 0.5)


@exact
def monitor(
    memory: Any,
    whole: Any,
    plan: Any,
    verdicts: Any,
    count: Any,
    dof: Any,
    values: Any,
    which: Any,
    out: Any,
    kinds: Any,
    alarms: Any,
) -> Any:
    """A row (count C) of the sensors which[…], of all where that is 0; the last five are addresses, see `tell`. HELD, ESCAPED, both or neither."""
    m, K, needs, has_diffuse, C, S = plan[1], plan[2], plan[4], plan[5] > 0, plan[6], plan[7]
    model, units, rest, after = unfold(plan)
    means, variances = numbers_at(plan[FROM + 1]), numbers_at(plan[FROM + 2])
    watched, order, readings = pointer(verdicts), integers_at(which), numbers_at(values)
    surprises, scores, settings = (
        numbers_at(watched[EVIDENCE]),
        numbers_at(watched[EVIDENCE + 1]),
        numbers_at(watched[2]),
    )
    row, made, work, p = cut_row(pointer(memory), C)
    scratch, p = cut_scratch(p, m)
    initial, p = cut_belief(p, m)
    before, p = p, p + 4
    W, size, one = width(p), _series_room(m, K), filled(p, 1.0)
    slots, small = pointer(whole), few(model) and not has_diffuse
    block, places, odd, together = slots + C * m, slots + (C * m + 64), 0, True
    for s in range(0, count, W):
        full = min(W, count - s)
        direct = in_order(count, s, W, block) if which == 0 else sensors_of(order, count, s, W, TOGETHER, block)
        cal, own, offset = settle(watched, block, direct, p + C * size)
        for c in range(C):
            coef, M, tally, F, expected, belief = cut_series(p + c * size, K, m)
            where, slot = places + 64 * c, slots + c * m
            together = find(plan, block, W, c, direct, where)
            load_units(units, K, S, where, together, coef)
            load_rows(rest[3], 4, S, where, together, tally)
            if small and together and settled(tally):
                now = moved(model, coef, open_belief(rest, m, S, where[0], p))
                ahead = foreseen(model, coef, now)
                lay_down(now, ahead, m, slot, belief, M)
                expected[0], F[0], variance = ahead[0], ahead[1], ahead[1]
            else:
                load_belief(rest, has_diffuse, 1, S, where, together, slot, m, belief, tally)
                expected[0], F[0], variance = forecast(model, coef, slot, belief, tally, scratch, M)
            if direct:
                approach(values + 8 * C * (s + AHEAD), 8 * W)
                approach(plan[FROM + 3] + 8 * (where[0] + plan[9] * S), 8 * plan[9] * S)
            row[0][c] = load_row(readings, C, s, full, c, before)
            row[3][c], variance = told(expected[0], variance, tally, needs, coef[K], coef[K + 1])
            row[2][c], row[1][c] = under_normal(row[0][c], row[3][c], variance)
            store_row(row[3][c], C, s, full, c, means, before)
            store_row(variance, C, s, full, c, variances, before)
            store_row(row[2][c], C, s, full, c, surprises, before)
            store_row(row[1][c], C, s, full, c, scores, before)
        odd |= judge(C, row, cal, own, offset, settings, False, made, work)
        wide = above(made[3][0], one) + above(one, made[3][0])
        for c in range(C):
            coef, M, tally, F, expected, belief = cut_series(p + c * size, K, m)
            where, slot = places + 64 * c, slots + c * m
            value = pick(made[5][c], (row[0][c] - coef[K]) / coef[K + 1], filled(p, np.nan))
            if small and together and not some(wide) and settled(tally):
                now, known = taken_up(belief, M, m)
                before[0] = value
                note(before, 0, 1, tally)
                ahead = (expected[0], F[0], known[0], known[1])
                close_belief(learned(now, ahead, noise_of(model, coef), value, dof), m, S, where[0], after)
                store_rows(tally, 4, where, together, full, after[3], S)
                continue
            if some(wide + (one - above(tally[0], one - one))):
                begin(rest, has_diffuse, m, S, where, together, initial)
                load_rows(rest[3], 4, S, where, together, before)
            left = absorb(model, coef, slot, belief, initial, tally, scratch, M, value, expected[0], F[0], dof)
            if some(wide):
                if left:
                    rank_one(belief[1], scratch[0], m)
                    left = False
                restart(wide, slot, m, belief, initial)
                for k in range(4):
                    tally[k] = pick(wide, before[k], tally[k])
            store_belief(belief, scratch[0], left, tally, has_diffuse, slot, m, S, where, together, full, after)
        tell(made, C, s, full, count, numbers_at(out), integers_at(kinds), flags_at(alarms), before)
        if not direct:
            unsettle(watched, block, full, own, offset)
    return odd

"""One row of live series, in place, in units of the data: what `filter_series` does with one row of one channel.

    forecast   loc + spread · Z a,  spread² · F,  the mean held within two ranges of the values seen; NaN before `needs`
    step       a row of values, NaN = missing
Handing over an array costs a tenth of a microsecond, and a row of one series takes less than one: all arrays are handed
over once, as the addresses in `plan`, in the order of `PLAN`. The caller keeps them alive. `record` (B/8 R 8) holds
eight series together, all their rows one after the other, so that a series is read from one place: mean, covariance,
tally, coefficients, loc, spread, and the diffuse part where there is one.
"""

from typing import Any

from forecast.kernels.advance import advance
from forecast.kernels.blocks import load_rows, restart, store_roles, store_rows, store_symmetric
from forecast.kernels.jit import exact, inner
from forecast.kernels.kalman import cut_belief, cut_scratch, keep_initial, load_belief
from forecast.kernels.lanes import above, filled, integers_at, numbers_at, peek, pointer, poke, some, width

SIZES = ("series", "states", "coefficients", "operations", "needs", "diffuse")
INTEGERS = ("ops", "reads", "first", "noise", "which", "whole")
NUMBERS = ("record", "values", "means", "variances")
TOGETHER = 8  # series of a record
PLAN = SIZES + INTEGERS + NUMBERS


@inner
def locate(which: Any, count: Any, first: Any, W: Any, R: Any, block: Any) -> Any:
    """Where the numbers of the block's series begin in `record`; whether they lie side by side."""
    together = first + W <= count and (W == 1 or which[first] % TOGETHER == 0)
    for l in range(W):
        b = which[first + l if first + l < count else count - 1]
        block[l] = b // TOGETHER * R * TOGETHER + b % TOGETHER
        together = together and b == which[first] + l
    return together


@exact
def live(memory: Any, plan: Any, count: Any, dof: Any, stepping: Any) -> Any:
    """The next row of the `count` series which[…]: stepped with values[…], or forecast into means and variances."""
    m, K, needs, diffuse = plan[1], plan[2], plan[4], plan[5] > 0
    n = m * (m + 1) // 2
    R = m + n + 4 + K + 2 + (n if diffuse else 0)
    first, which, whole = integers_at(plan[8]), integers_at(plan[10]), integers_at(plan[11])
    model = (m, 1, plan[3], integers_at(plan[6]), integers_at(plan[7]), first, integers_at(plan[9]))
    record, values = numbers_at(plan[12]), numbers_at(plan[13])
    means, variances = numbers_at(plan[14]), numbers_at(plan[15])
    coefs = record + TOGETHER * (m + n + 4)
    loc = coefs + TOGETHER * K
    spread = loc + TOGETHER
    rest = (record, record + TOGETHER * m, spread + TOGETHER, record + TOGETHER * (m + n))
    y = pointer(memory)
    W, one = width(y), filled(y, 1.0)
    coef = y + 3
    belief, p = cut_belief(coef + K, m)
    initial, p = cut_belief(p, m)
    scratch, tally = cut_scratch(p, m)
    block, began, flags = whole + m, whole + (m + 64), whole + (m + 128)
    keep = (y, y, y, y, y, y, y, whole, y, y, 0, flags, began)
    for s in range(0, count, W):
        full = min(W, count - s)
        together = locate(which, count, s, W, R, block)
        load_rows(coefs, K, TOGETHER, block, together, coef)
        load_belief(rest, diffuse, 1, TOGETHER, block, together, whole, m, belief, tally)
        for l in range(W):
            k = s + l if l < full else count - 1
            poke(y, 0, l, (values[k] - loc[block[l]]) / spread[block[l]] if stepping else float("nan"))
        fresh = one - above(tally[0], one - one)
        if some(fresh):
            keep_initial(m, belief, initial)
        advance(
            model, 1, y, coef, 0, y, False, dof, not stepping, whole, belief, initial, tally, keep, False, scratch,
            y + 1, y + 2, not stepping, tally + 4,
        )  # fmt: skip
        if stepping:
            fresh = one - above(tally[0], one - one)
            if some(fresh):
                restart(fresh, whole, m, belief, initial)
            store_roles(belief[0], whole, m, block, together, full, rest[0], TOGETHER)
            store_symmetric(belief[1], whole, m, block, together, full, rest[1], TOGETHER)
            if diffuse:
                store_symmetric(belief[2], whole, m, block, together, full, rest[2], TOGETHER)
            store_rows(tally, 4, block, together, full, rest[3], TOGETHER)
            continue
        for l in range(full):
            mean, variance, b = peek(y, 1, l), peek(y, 2, l), block[l]
            low, high, unit = peek(tally, 2, l), peek(tally, 3, l), spread[b]
            reach = (high - low) * 2.0
            mean = max(min(mean, high + reach), low - reach)
            known = peek(tally, 0, l) >= needs and variance < float("inf")
            means[s + l] = loc[b] + unit * mean if known else float("nan")
            variances[s + l] = variance * unit * unit if known else float("nan")

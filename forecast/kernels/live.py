"""One row of live series, in place, in units of the data: what `filter_series` does with one row.

    forecast   loc + spread · Z a,  spread² · F,  the mean held within two ranges of the values seen; NaN before `needs`
    step       a row of values (n C), NaN = missing
Handing over an array costs a tenth of a microsecond, and a row of one series takes less than one: all arrays are handed
over once, as the addresses in `plan`, in the order of `PLAN`. The caller keeps them alive. `record` (C B/8 R 8) holds
eight series together, all their rows one after the other, so that a series is read from one place: mean, covariance,
tally, coefficients, loc, spread, and the diffuse part where there is one. Channels are series of their own.
"""

from typing import Any

from forecast.kernels.advance import advance
from forecast.kernels.blocks import load_rows, restart, store_roles, store_rows, store_symmetric
from forecast.kernels.elementary import least, most
from forecast.kernels.jit import exact, inner
from forecast.kernels.kalman import cut_belief, cut_scratch, keep_initial, load_belief
from forecast.kernels.lanes import above, filled, integers_at, numbers_at, peek, pick, pointer, poke, some, width

SIZES = ("series", "states", "coefficients", "operations", "needs", "diffuse", "channels")
INTEGERS = ("ops", "reads", "first", "noise", "which", "whole")
NUMBERS = ("record", "values", "means", "variances")
TOGETHER = 8  # series of a record
PLAN = SIZES + INTEGERS + NUMBERS
AT = len(SIZES)


@inner
def unfold(plan: Any) -> Any:
    """Whether there is a diffuse part; the model as `advance` takes it; coefficients, loc, spread; the belief; rows of a record."""
    m, K, diffuse = plan[1], plan[2], plan[5] > 0
    n = m * (m + 1) // 2
    model = (
        m,
        1,
        plan[3],
        integers_at(plan[AT]),
        integers_at(plan[AT + 1]),
        integers_at(plan[AT + 2]),
        integers_at(plan[AT + 3]),
    )
    record = numbers_at(plan[AT + 6])
    coefs = record + TOGETHER * (m + n + 4)
    rest = (record, record + TOGETHER * m, coefs + TOGETHER * (K + 2), record + TOGETHER * (m + n))
    return diffuse, model, coefs, rest, m + n + 4 + K + 2 + (n if diffuse else 0)


@inner
def locate(which: Any, count: Any, first: Any, W: Any, start: Any, R: Any, block: Any) -> Any:
    """Where the numbers of the block's series begin in `record`, whose channel begins at the series `start`; whether they
    lie side by side."""
    together = first + W <= count and (W == 1 or which[first] % TOGETHER == 0)
    for l in range(W):
        b = which[first + l if first + l < count else count - 1]
        block[l] = (start + b) // TOGETHER * R * TOGETHER + b % TOGETHER
        together = together and b == which[first] + l
    return together


@inner
def told(mean: Any, variance: Any, tally: Any, needs: Any, loc: Any, spread: Any) -> Any:
    """A forecast in units of the data, NaN where there is none."""
    low, high, missing = tally[2], tally[3], filled(mean, float("nan"))
    reach = (high - low) * filled(mean, 2.0)
    mean = most(least(mean, high + reach), low - reach)
    known = above(tally[0], filled(mean, needs - 0.5)) * above(filled(mean, float("inf")), variance)
    return pick(known, loc + spread * mean, missing), pick(known, variance * spread * spread, missing)


@inner
def store_belief(
    belief: Any, tally: Any, diffuse: Any, slot: Any, m: Any, block: Any, together: Any, full: Any, rest: Any
) -> Any:
    """The belief of a block back to rest."""
    store_roles(belief[0], slot, m, block, together, full, rest[0], TOGETHER)
    store_symmetric(belief[1], slot, m, block, together, full, rest[1], TOGETHER)
    if diffuse:
        store_symmetric(belief[2], slot, m, block, together, full, rest[2], TOGETHER)
    store_rows(tally, 4, block, together, full, rest[3], TOGETHER)


@exact
def live(memory: Any, plan: Any, count: Any, dof: Any, stepping: Any) -> Any:
    """The next row of the `count` series which[…]: stepped with values[…], or forecast into means and variances."""
    m, K, needs, C = plan[1], plan[2], plan[4], plan[6]
    diffuse, model, coefs, rest, R = unfold(plan)
    which, whole = integers_at(plan[AT + 4]), integers_at(plan[AT + 5])
    values, means, variances = numbers_at(plan[AT + 7]), numbers_at(plan[AT + 8]), numbers_at(plan[AT + 9])
    y = pointer(memory)
    W, one = width(y), filled(y, 1.0)
    coef = y + 3
    belief, p = cut_belief(coef + K + 2, m)
    initial, p = cut_belief(p, m)
    scratch, tally = cut_scratch(p, m)
    block, began, flags = whole + m, whole + (m + 64), whole + (m + 128)
    keep = (y, y, y, y, y, y, y, whole, y, y, 0, flags, began)
    for c in range(C):
        for s in range(0, count, W):
            full = min(W, count - s)
            together = locate(which, count, s, W, c * plan[0], R, block)
            load_rows(coefs, K + 2, TOGETHER, block, together, coef)
            load_belief(rest, diffuse, 1, TOGETHER, block, together, whole, m, belief, tally)
            loc, spread = coef[K], coef[K + 1]
            for l in range(W):
                k = s + l if l < full else count - 1
                poke(y, 0, l, values[k * C + c] if stepping else float("nan"))
            y[0] = (y[0] - loc) / spread
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
                store_belief(belief, tally, diffuse, whole, m, block, together, full, rest)
                continue
            y[1], y[2] = told(y[1], y[2], tally, needs, loc, spread)
            for l in range(full):
                means[(s + l) * C + c], variances[(s + l) * C + c] = peek(y, 1, l), peek(y, 2, l)

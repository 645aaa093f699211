"""One row of live series, in place, in units of the data: what `filter_series` does with one row.

    forecast   loc + spread · Z a,  spread² · F,  the mean held within two ranges of the values seen; NaN before `needs`
    step       a row of values (n C), NaN = missing
Handing over an array costs a tenth of a microsecond, and a row of one series takes less than one: all arrays are handed
over as the addresses in `plan`, in the order of `PLAN`. The caller keeps them alive. Each holds rows of numbers, S series side by
side (S = `beside`), and begins anew after S series, `rows` rows further on: arrays (n B) where S = B, or one record (C B/S R S), so that a
series is read from one place. S is 2 to the power of `shift`; where all series lie side by side `shift` is `WHOLE`. The beliefs after the
row may lie where those before it lie. Channels are series of their own.
"""

from typing import Any

from forecast.kernels.advance import advance
from forecast.kernels.blocks import load_rows, restart, store_roles, store_rows, store_symmetric
from forecast.kernels.elementary import least, most
from forecast.kernels.jit import exact, inner
from forecast.kernels.kalman import cut_belief, cut_scratch, keep_initial, load_belief
from forecast.kernels.lanes import above, filled, integers_at, numbers_at, peek, pick, pointer, poke, read, some, width

SIZES = ("series", "states", "coefficients", "operations", "needs", "diffuse", "channels", "beside", "shift", "rows")
INTEGERS = ("ops", "reads", "first", "noise", "which", "whole")
BELIEF = ("mean", "covariance", "diffuse part", "tally")
AFTER = tuple(f"{leaf} after" for leaf in BELIEF)
NUMBERS = ("values", "means", "variances", *BELIEF, "coefficients", "loc", "spread", *AFTER)
TOGETHER = 16  # sensors of a record
WHOLE = 62
PLAN = SIZES + INTEGERS + NUMBERS
AT = len(SIZES)
FROM = AT + len(INTEGERS)


@inner
def unfold(plan: Any) -> Any:
    """The model as `advance` takes it; coefficients, loc, spread; the belief before the row and after it."""
    model = (
        plan[1],
        1,
        plan[3],
        integers_at(plan[AT]),
        integers_at(plan[AT + 1]),
        integers_at(plan[AT + 2]),
        integers_at(plan[AT + 3]),
    )
    k = FROM + 3
    rest = numbers_at(plan[k]), numbers_at(plan[k + 1]), numbers_at(plan[k + 2]), numbers_at(plan[k + 3])
    units = numbers_at(plan[k + 4]), numbers_at(plan[k + 5]), numbers_at(plan[k + 6])
    after = numbers_at(plan[k + 7]), numbers_at(plan[k + 8]), numbers_at(plan[k + 9]), numbers_at(plan[k + 10])
    return model, units, rest, after


@inner
def locate(plan: Any, which: Any, count: Any, first: Any, W: Any, channel: Any, block: Any) -> Any:
    """Where the numbers of a channel of the block's series begin; whether they lie side by side."""
    S, shift, start = plan[7], plan[8], channel * plan[0]
    lane = which[first] + start - ((which[first] + start) >> shift << shift)
    together = first + W <= count and lane + W <= S
    for l in range(W):
        b = which[first + l if first + l < count else count - 1]
        together = together and b == which[first] + l
        group = (start + b) >> shift
        block[l] = group * plan[9] * S + (start + b - (group << shift))
    return together


@inner
def load_units(units: Any, K: Any, S: Any, block: Any, together: Any, coef: Any) -> Any:
    """Coefficients, loc and spread as K + 2 elements."""
    load_rows(units[0], K, S, block, together, coef)
    load_rows(units[1], 1, S, block, together, coef + K)
    load_rows(units[2], 1, S, block, together, coef + (K + 1))


@inner
def load_row(numbers: Any, C: Any, first: Any, full: Any, c: Any, target: Any) -> Any:
    """Channel c of the rows (n C) of a block; lanes past the last sensor repeat it."""
    if C == 1 and full == width(target):
        return read(target, numbers, first)
    for l in range(width(target)):
        poke(target, 0, l, numbers[(first + (l if l < full else full - 1)) * C + c])
    return target[0]


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
    belief: Any, tally: Any, diffuse: Any, slot: Any, m: Any, S: Any, block: Any, together: Any, full: Any, rest: Any
) -> Any:
    """The belief of a block back to rest."""
    store_roles(belief[0], slot, m, block, together, full, rest[0], S)
    store_symmetric(belief[1], slot, m, block, together, full, rest[1], S)
    if diffuse:
        store_symmetric(belief[2], slot, m, block, together, full, rest[2], S)
    store_rows(tally, 4, block, together, full, rest[3], S)


@exact
def live(memory: Any, plan: Any, count: Any, dof: Any, stepping: Any) -> Any:
    """The next row of the `count` series which[…]: stepped with values[…], or forecast into means and variances."""
    m, K, needs, diffuse, C, S = plan[1], plan[2], plan[4], plan[5] > 0, plan[6], plan[7]
    model, units, rest, after = unfold(plan)
    which, whole = integers_at(plan[AT + 4]), integers_at(plan[AT + 5])
    values, means, variances = numbers_at(plan[FROM]), numbers_at(plan[FROM + 1]), numbers_at(plan[FROM + 2])
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
            together = locate(plan, which, count, s, W, c, block)
            load_units(units, K, S, block, together, coef)
            load_belief(rest, diffuse, 1, S, block, together, whole, m, belief, tally)
            loc, spread = coef[K], coef[K + 1]
            y[0] = (load_row(values, C, s, full, c, y) - loc) / spread if stepping else filled(y, float("nan"))
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
                store_belief(belief, tally, diffuse, whole, m, S, block, together, full, after)
                continue
            y[1], y[2] = told(y[1], y[2], tally, needs, loc, spread)
            for l in range(full):
                means[(s + l) * C + c], variances[(s + l) * C + c] = peek(y, 1, l), peek(y, 2, l)

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

from forecast.kernels.advance import note
from forecast.kernels.blocks import load_rows, store_rows
from forecast.kernels.elementary import least, most
from forecast.kernels.few_states import close_belief, few, foreseen, learned, moved, noise_of, open_belief
from forecast.kernels.jit import exact, inner
from forecast.kernels.kalman import cut_belief, cut_scratch, keep_initial, load_belief
from forecast.kernels.lanes import (
    above,
    fetch,
    filled,
    integers_at,
    numbers_at,
    peek,
    pick,
    pointer,
    poke,
    read,
    some,
    width,
)
from forecast.kernels.row import absorb, forecast, store_belief
from forecast.kernels.two_states import settled

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
    b = start + which[first]
    together, odd = first + W <= count and b - (b >> shift << shift) + W <= S, 0
    for l in range(W if together else 0):
        odd |= which[first + l] ^ (which[first] + l)
    together = together and odd == 0
    for l in range(1 if together else W):
        b = start + which[first + l if first + l < count else count - 1]
        group = b >> shift
        block[l] = group * plan[9] * S + (b - (group << shift))
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
def approach(address: Any, size: Any) -> Any:
    """Have so many bytes brought nearer."""
    for at in range(0, size, 64):
        fetch(address + at)


@inner
def fetch_rows(address: Any, rows: Any, S: Any, first: Any, W: Any) -> Any:
    """Have what so many rows hold of the block that begins with series `first` brought nearer."""
    for r in range(rows):
        approach(address + 8 * (r * S + first), 8 * W)


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
    block = whole + m
    small = few(model) and not diffuse
    spread_out = S > TOGETHER  # no rows of a record follow one another
    for c in range(C):
        for s in range(0, count, W):
            full = min(W, count - s)
            together = locate(plan, which, count, s, W, c, block)
            if spread_out and together:
                fetch_rows(plan[FROM + 3], m, S, block[0] + W, W)
                fetch_rows(plan[FROM + 4], m * (m + 1) // 2, S, block[0] + W, W)
                if stepping:
                    fetch_rows(plan[FROM + 10], m, S, block[0] + W, W)
                    fetch_rows(plan[FROM + 11], m * (m + 1) // 2, S, block[0] + W, W)
            load_units(units, K, S, block, together, coef)
            load_rows(rest[3], 4, S, block, together, tally)
            if stepping:
                y[0] = (load_row(values, C, s, full, c, y) - coef[K]) / coef[K + 1]
            if small and together and settled(tally):
                now = moved(model, coef, open_belief(rest, m, S, block[0], y))
                ahead = foreseen(model, coef, now)
                if stepping:
                    note(y, 0, 1, tally)
                    close_belief(learned(now, ahead, noise_of(model, coef), y[0], dof), m, S, block[0], after)
                    store_rows(tally, 4, block, together, full, after[3], S)
                    continue
                expected, variance = ahead[:2]
            else:
                load_belief(rest, diffuse, 1, S, block, together, whole, m, belief, tally)
                if some(one - above(tally[0], one - one)):
                    keep_initial(m, belief, initial)
                expected, F, variance = forecast(model, coef, whole, belief, tally, scratch, scratch[1])
                if stepping:
                    waiting = absorb(
                        model, coef, whole, belief, initial, tally, scratch, scratch[1], y[0], expected, F, dof
                    )
                    store_belief(belief, scratch[0], waiting, tally, diffuse, whole, m, S, block, together, full, after)
                    continue
            y[1], y[2] = told(expected, variance, tally, needs, coef[K], coef[K + 1])
            for l in range(full):
                means[(s + l) * C + c], variances[(s + l) * C + c] = peek(y, 1, l), peek(y, 2, l)

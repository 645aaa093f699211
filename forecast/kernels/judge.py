"""One row of a block of sensors: readings and their surprise to a verdict, the memory moved on. Formulas in `watch`.

Lane arrays (see `lanes`): calibration as in `CALIBRATION`, memory (C MEMORY), offset (C+1 WAYS). Each lane takes its own branch by masks, and
where no lane needs a branch it is not gone through, which changes no bit.
"""

from typing import Any

import numpy as np

from forecast.kernels.elementary import least, logarithm, most
from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import above, absolute, filled, fma, pick, root, same, seen, some, widened
from forecast.kernels.tails import TAIL, stretched
from forecast.kernels.tails import nats as nats_by

WAYS = 5  # spike, shift, variance, drift, burst
GROUPS = 2  # together, state
UP, DOWN, POWER, FAST, SLOW, BURST, LAST, SAME, SILENT, BEGUN, LEFT = range(11)
MEMORY = 11
(
    SLACK,
    LIMIT,
    POWER_RATE,
    FAST_RATE,
    SLOW_RATE,
    BURST_RATE,
    CAP,
    ADAPT,
    THRESHOLD,
    GUARD,
    LEAST,
    LEAST_RELATIVE,
    LOW,
    HIGH,
    JUMP,
    WIDEN,
    QUALITY,
) = range(17)
SPIKE, SHIFT, VARIANCE, DRIFT, CLUSTER, TOGETHER, FROZEN, MISSING, RANGE, PATTERN, SEASON, TREND = range(1, 13)
HELD, ESCAPED = 1, 2


@inner
def both(x: Any, y: Any) -> Any:
    """1 where both masks are."""
    return pick(x, y, filled(x, 0.0))


@inner
def clipped(x: Any, bound: Any) -> Any:
    """x within ± bound; NaN stays."""
    high = filled(x, bound)
    low = filled(x, -bound)
    return pick(above(x, high), high, pick(above(low, x), low, x))


@inner
def run_of(length: Any, p: Any, longest: Any) -> Any:
    """Nats of a run of rows beyond the longest calm one; a single row is no run."""
    one, zero = filled(length, 1.0), filled(length, 0.0)
    more = length - longest - one
    odd = above(more, zero)
    return pick(odd, more * (zero - logarithm(p)), zero) if some(odd) else zero


@inner
def moved(m: Any, set_: Any, wander: Any) -> Any:
    """The moving mean against the slow reference, in the unit of the rows gone since the calm ones began."""
    one, zero = filled(wander, 1.0), filled(wander, 0.0)
    wide = both(above(wander, zero), above(m[BEGUN], zero))
    if not some(wide):
        return m[FAST]
    grown = wander * (one - m[LEFT]) * filled(wander, 0.5 / set_[SLOW_RATE])
    return m[FAST] / root(one + pick(wide, grown, zero))


@inner
def asked_for(on: Any, tail: Any) -> Any:
    """Where a statistic counts: it was observed, and its tail has an end."""
    return both(on, above(filled(on, np.inf), widened(tail[0])))


@inner
def channel(
    on: Any,
    y: Any,
    z: Any,
    s: Any,
    m: Any,
    set_: Any,
    inverse: Any,
    loc: Any,
    spread: Any,
    wander: Any,
    tails: Any,
    bare: Any,
    way: Any,
) -> Any:
    """The statistics of observed readings (`on`) in `way`, their memory moved on; where the CUSUMs escape.

    Variance and drift, which cost the most, only where they count, or where the `bare` statistics are asked for.
    """
    one, zero = filled(y, 1.0), filled(y, 0.0)
    first = both(on, one - above(m[BEGUN], zero))
    if some(first):
        m[SLOW], m[POWER] = pick(first, loc, m[SLOW]), pick(first, one, m[POWER])
        m[BEGUN], m[LEFT] = pick(first, one, m[BEGUN]), pick(first, one, m[LEFT])
    zc, slack = clipped(z * inverse, 3.0), filled(y, set_[SLACK])
    up, down = most(m[UP] + zc - slack, zero), most(m[DOWN] - zc - slack, zero)
    power = fma(filled(y, set_[POWER_RATE]), zc * zc - m[POWER], m[POWER])
    r, slow = clipped((y - m[SLOW]) / spread, 30.0), filled(y, set_[SLOW_RATE])
    m[FAST] = pick(on, fma(filled(y, set_[FAST_RATE]), r - m[FAST], m[FAST]), m[FAST])
    m[SLOW] = pick(on, fma(slow * spread, clipped(r, 3.0), m[SLOW]), m[SLOW])
    m[BURST] = pick(on, fma(filled(y, set_[BURST_RATE]), least(s, filled(y, set_[CAP])) - m[BURST], m[BURST]), m[BURST])
    m[POWER] = pick(on, power, m[POWER])
    m[LEFT] = pick(on, m[LEFT] * ((one - slow) * (one - slow)), m[LEFT])
    highest = most(up, down)
    escaped = both(on, above(highest, filled(y, set_[LIMIT])))
    m[UP], m[DOWN] = pick(on, pick(escaped, zero, up), m[UP]), pick(on, pick(escaped, zero, down), m[DOWN])
    missing = filled(y, np.nan)
    way[0], way[1] = pick(on, s, missing), pick(on, highest, missing)
    way[4] = pick(on, m[BURST], missing)
    if bare or some(asked_for(on, tails + 2 * TAIL)):
        way[2] = pick(on, logarithm(m[POWER] + filled(y, 0.01)), missing)
    if bare or some(asked_for(on, tails + 3 * TAIL)):
        way[3] = pick(on, moved(m, set_, wander), missing)
    return escaped


@inner
def quality(y: Any, m: Any, calm: Any, set_: Any, trouble: Any, kind: Any) -> Any:
    """Runs of missing and of repeated readings, and limits: the worst of these so far, its kind, and what is out of range."""
    one, zero, there = filled(y, 1.0), filled(y, 0.0), seen(y)
    m[SILENT] = pick(there, zero, m[SILENT] + seen(m[LAST]))  # nothing is missing before the first reading
    m[SAME] = pick(there, pick(same(y, m[LAST]), m[SAME] + one, zero), m[SAME])
    silent = run_of(m[SILENT], calm[2], calm[3])
    frozen = pick(there, run_of(m[SAME], calm[0], calm[1]), zero)
    kind = pick(above(silent, trouble), filled(y, float(MISSING)), kind)
    trouble = most(silent, trouble)
    kind = pick(above(frozen, trouble), filled(y, float(FROZEN)), kind)
    trouble = most(frozen, trouble)
    jumped = both(above(m[BEGUN], zero), above(absolute(y - m[LAST]), filled(y, set_[JUMP])))
    out = above(filled(y, set_[LOW]), y) + above(y, filled(y, set_[HIGH])) + jumped
    if some(out):
        trouble = pick(out, most(trouble, filled(y, 2.0 * set_[THRESHOLD])), trouble)
        kind = pick(out, filled(y, float(RANGE)), kind)
    m[LAST] = pick(there, y, m[LAST])
    return trouble, kind, out


@apart
def mahalanobis(C: Any, white: Any, v: Any, share: Any) -> Any:
    """|white v|² and the share v_i (white'white v)_i of every channel in it."""
    total = filled(v, 0.0)
    for i in range(C):
        share[i] = filled(v, 0.0)
    for i in range(C):
        w = filled(v, 0.0)
        for j in range(i + 1):
            w = fma(white[i * C + j], v[j], w)
        total = fma(w, w, total)
        for j in range(i + 1):
            share[j] = fma(white[i * C + j] * w, v[j], share[j])
    return total


@apart
def judge(C: Any, rows: Any, cal: Any, memory: Any, offset: Any, set_: Any, bare: Any, out: Any, work: Any) -> Any:
    """The verdict on one row (C): out is score, nats, kind, widen (1 each), blame, learn (C each); HELD, ESCAPED or both.

    work: bare statistics (C WAYS and GROUPS), then 3 C elements. They are NaN where nothing was observed; of one channel they are whole only
    where they are asked for (`bare`).
    """
    tails, group, final, inverse, loc, spread, wander, centre, white, calm = cal
    readings, scores, surprises, expected = rows
    score, row_nats, kind, widen, blame, learn = out
    v = work + (C * WAYS + GROUPS)
    u, other = v + C, v + 2 * C
    zero, one = filled(readings, 0.0), filled(readings, 1.0)
    best, what, count, sharp, trouble, trouble_kind, wide = zero, zero, zero, zero, zero, zero, zero
    threshold, odd = filled(readings, set_[THRESHOLD]), 0
    several = logarithm(filled(readings, float(C))) if C > 1 else zero
    for c in range(C):
        m, y, z, s, way = memory + c * MEMORY, readings[c], scores[c], surprises[c], work + c * WAYS
        if C > 1:
            u[c] = moved(m, set_, wander[c])
        trouble, trouble_kind, held = quality(y, m, calm + 4 * c, set_, trouble, trouble_kind)
        on = both(seen(y), seen(s))
        count = count + on
        gap, some_of = absolute(y - expected[c]), filled(y, set_[LEAST_RELATIVE]) * absolute(expected[c])
        slight = above(filled(y, set_[LEAST]), gap) + above(some_of, gap)
        s, z = pick(slight, zero, s), pick(slight, zero, z)
        own = tails + c * WAYS * TAIL
        escaped = channel(on, y, z, s, m, set_, inverse[c], loc[c], spread[c], wander[c], own, bare or C > 1, way)
        share = zero
        if C > 1:
            v[c] = pick(on, z * inverse[c], zero)
            u[c] = pick(on, way[3], u[c])
        for k in range(WAYS):
            tail = own + k * TAIL
            asked = asked_for(on, tail)
            if not some(asked):
                continue
            x = way[k]
            x = absolute(x - centre[c]) if k == 2 else (absolute(x) if k == 3 else x)
            e = pick(asked, stretched(x, tail, offset + c * WAYS, k, set_[ADAPT], asked), zero)
            if k == 0:
                held = held + above(e, filled(y, set_[GUARD]))
                sharp = sharp + above(e, threshold + several)
            share = most(e, share)
            what = pick(above(e, best), filled(y, float(k + 1)), what)
            best = most(e, best)
        blame[c] = share
        learn[c] = pick(escaped, one, pick(held, zero, one))
        wide = wide + escaped
        if some(held):
            odd |= HELD
    if some(wide):
        odd |= ESCAPED
    widen[0] = pick(wide, filled(readings, set_[WIDEN]), one)
    if C > 1:
        for k in range(GROUPS):
            work[C * WAYS + k] = filled(readings, np.nan)
        best = most(best - logarithm(most(count, one)), zero)
        judged = above(count, zero)
        for k in range(GROUPS if some(judged) else 0):
            d = mahalanobis(C, white + k * C * C, v if k == 0 else u, other)
            work[C * WAYS + k] = pick(judged, d, filled(readings, np.nan))
            tail = group + k * TAIL
            asked = asked_for(judged, tail)
            e = pick(judged, stretched(d, tail, offset + C * WAYS, k, set_[ADAPT], asked), zero)
            better = above(e, best)
            what = pick(better, filled(readings, float(TOGETHER if k == 0 else DRIFT)), what)
            best = most(e, best)
            for c in range(C):
                blame[c] = pick(better, other[c], blame[c])
    what = pick(
        sharp, filled(readings, float(SPIKE)), what
    )  # what one row alone gives away, whatever moving means make of it
    row_nats[0] = pick(count, best, filled(readings, np.nan))
    e = pick(count, nats_by(best, final), zero)
    worse = both(above(trouble, threshold), above(trouble, e))
    if set_[QUALITY] > 0.0 and some(worse):
        e, what = pick(worse, trouble, e), pick(worse, trouble_kind, what)
    score[0], kind[0] = e / (e + threshold), what
    if C == 1:
        blame[0] = one
        return odd
    all_ = zero
    for c in range(C):
        all_ = all_ + most(blame[c], zero)
    for c in range(C):
        blame[c] = pick(all_, most(blame[c], zero) / all_, filled(readings, 1.0 / C))
    return odd

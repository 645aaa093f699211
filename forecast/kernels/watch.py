"""Evidence to verdicts, row by row and sensor by sensor: statistics, their calibrated tails, and what they say together.

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

Shapes: y, z, s, expected (B T C); memory (B C MEMORY); offset (B C+1 WAYS); outputs (B T …). A tail is KNOTS values at equal
steps in nats, then the nats of the last, and σ, ξ of the generalised Pareto law beyond it.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
KNOTS, TAIL = 16, 19
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
SPIKE, SHIFT, VARIANCE, DRIFT, CLUSTER, TOGETHER, FROZEN, MISSING, RANGE, PATTERN, SEASON = range(1, 12)
HELD, ESCAPED = 1, 2
TRACKED = 3.912023005428146  # nats of the 1 in 50 rows by which an offset follows
LOOSEST = 3.0  # log of the largest factor by which an offset stretches a tail


@jit
def nats(x: float, tail: Array) -> float:
    """-log P(X ≥ x) by a calibrated tail; 0 for what is missing."""
    if not x > tail[0]:
        return 0.0
    last, top = tail[KNOTS - 1], tail[KNOTS]
    if x > last:
        beyond, xi = (x - last) / tail[KNOTS + 1], tail[KNOTS + 2]
        more = math.log1p(xi * beyond) / xi if xi > 1e-9 else beyond
        return min(top + more, 1e300)
    j = 1
    while tail[j] < x:
        j += 1
    return top / (KNOTS - 1) * (j - 1 + (x - tail[j - 1]) / (tail[j] - tail[j - 1]))


@jit
def _stretched(x: float, tail: Array, offset: Array, way: int, adapt: float) -> float:
    """Nats under the tail as it has been stretched so far; the stretch follows the tracked quantile, one row late."""
    e = nats(x, tail)
    if offset[way] > 0.0:
        e *= math.exp(-offset[way])
    if adapt > 0.0 and tail[0] < np.inf:
        miss = 1.0 if e > TRACKED else 0.0
        offset[way] = min(max(offset[way] + adapt * (50.0 * miss - 1.0), 0.0), LOOSEST)
    return e


@jit
def _mahalanobis(white: Array, v: Array, share: Array) -> float:
    """|white v|² and the share v_i (white'white v)_i of every channel in it."""
    n = v.shape[0]
    total = 0.0
    for i in range(n):
        share[i] = 0.0
    for i in range(n):
        w = 0.0
        for j in range(i + 1):
            w += white[i, j] * v[j]
        total += w * w
        for j in range(i + 1):
            share[j] += white[i, j] * w * v[j]
    return total


@jit
def _run(length: float, p: float, longest: float) -> float:
    """Nats of a run of rows beyond the longest calm one; a single row is no run."""
    return (length - longest - 1.0) * -math.log(p) if length > longest + 1.0 else 0.0


@jit
def _moved(m: Array, set_: Array, wander: float) -> float:
    """The moving mean against the slow reference, in the unit of the rows gone since the calm ones began."""
    if wander == 0.0 or m[BEGUN] == 0.0:
        return m[FAST]
    return m[FAST] / math.sqrt(1.0 + wander * (1.0 - m[LEFT]) / (2.0 * set_[SLOW_RATE]))


@jit
def _channel(
    y: float,
    z: float,
    s: float,
    m: Array,
    set_: Array,
    unit: float,
    loc: float,
    spread: float,
    wander: float,
    way: Array,
) -> bool:
    """The statistics of one observed reading in `way`, the memory moved on; whether the CUSUMs escape."""
    if m[BEGUN] == 0.0:
        m[SLOW], m[POWER], m[BEGUN], m[LEFT] = loc, 1.0, 1.0, 1.0
    zc = min(max(z / unit, -3.0), 3.0)
    m[UP] = max(m[UP] + zc - set_[SLACK], 0.0)
    m[DOWN] = max(m[DOWN] - zc - set_[SLACK], 0.0)
    m[POWER] += set_[POWER_RATE] * (zc * zc - m[POWER])
    r = min(max((y - m[SLOW]) / spread, -30.0), 30.0)
    m[FAST] += set_[FAST_RATE] * (r - m[FAST])
    m[SLOW] += set_[SLOW_RATE] * spread * min(max(r, -3.0), 3.0)
    m[BURST] += set_[BURST_RATE] * (min(s, set_[CAP]) - m[BURST])
    way[0], way[1], way[2] = s, max(m[UP], m[DOWN]), math.log(m[POWER] + 0.01)
    m[LEFT] *= (1.0 - set_[SLOW_RATE]) * (1.0 - set_[SLOW_RATE])
    way[3], way[4] = _moved(m, set_, wander), m[BURST]
    if way[1] > set_[LIMIT]:
        m[UP], m[DOWN] = 0.0, 0.0
        return True
    return False


@jit
def watch(
    y: Array,
    z: Array,
    s: Array,
    expected: Array,
    cal: tuple[Any, ...],
    set_: Array,
    memory: Array,
    offset: Array,
    out: tuple[Any, ...],
    raw: Array,
    raw_group: Array,
    sensors: NDArray[np.int64],
) -> int:
    """Fill the outputs and move the memory; `raw` and `raw_group` take the bare statistics where they have rows.

    Entry i of the rows and outputs belongs to sensor sensors[i] of calibration and memory. Answers whether a reading is held
    back (HELD), a level has escaped (ESCAPED), or both.
    """
    odd = 0
    tails, group, final, unit, loc, spread, wander, centre, white, quality = cal
    score, e_row, blame, kind, learn, widen = out
    batch, rows, channels = y.shape
    way, share, other, v, u = (
        np.empty(WAYS),
        np.empty(channels),
        np.empty(channels),
        np.empty(channels),
        np.empty(channels),
    )
    for i in range(batch):
        b = sensors[i]
        for t in range(rows):
            best, what, seen, sharp = 0.0, 0, 0, False
            trouble, trouble_kind = 0.0, 0
            widen[i, t] = 1.0
            for c in range(channels):
                m, yy, ss, zz = memory[b, c], y[i, t, c], s[i, t, c], z[i, t, c]
                share[c], v[c], learn[i, t, c] = 0.0, 0.0, 1.0
                if channels > 1:
                    u[c] = _moved(m, set_, wander[b, c])
                if yy != yy:
                    m[SILENT] += 1.0 if m[LAST] == m[LAST] else 0.0  # nothing is missing before the first reading
                    e = _run(m[SILENT], quality[b, c, 2], quality[b, c, 3])
                    if e > trouble:
                        trouble, trouble_kind = e, MISSING
                    continue
                m[SAME] = m[SAME] + 1.0 if yy == m[LAST] else 0.0
                e = _run(m[SAME], quality[b, c, 0], quality[b, c, 1])
                if e > trouble:
                    trouble, trouble_kind = e, FROZEN
                if yy < set_[LOW] or yy > set_[HIGH] or (m[BEGUN] > 0.0 and abs(yy - m[LAST]) > set_[JUMP]):
                    trouble, trouble_kind = max(trouble, 2.0 * set_[THRESHOLD]), RANGE
                    learn[i, t, c] = 0.0
                    odd |= HELD
                m[SILENT], m[LAST] = 0.0, yy
                if ss != ss:
                    continue
                seen += 1
                gap = abs(yy - expected[i, t, c])
                if gap < set_[LEAST] or gap < set_[LEAST_RELATIVE] * abs(expected[i, t, c]):
                    ss, zz = 0.0, 0.0
                escape = _channel(yy, zz, ss, m, set_, unit[b, c], loc[b, c], spread[b, c], wander[b, c], way)
                v[c], u[c] = zz / unit[b, c], way[3]
                if raw.shape[1]:
                    raw[i, t, c] = way
                way[2], way[3] = abs(way[2] - centre[b, c]), abs(way[3])
                for k in range(WAYS):
                    if not tails[b, c, k, 0] < np.inf:  # not asked for
                        continue
                    e = _stretched(way[k], tails[b, c, k], offset[b, c], k, set_[ADAPT])
                    if k == 0 and e > set_[GUARD]:
                        learn[i, t, c] = 0.0
                        odd |= HELD
                    sharp = sharp or (k == 0 and e > set_[THRESHOLD] + math.log(channels))
                    share[c] = max(share[c], e)
                    if e > best:
                        best, what = e, k + 1
                if escape:
                    widen[i, t], learn[i, t, c] = set_[WIDEN], 1.0
                    odd |= ESCAPED
            if channels > 1:
                best = max(best - math.log(max(seen, 1)), 0.0)
            if channels > 1 and seen > 0:
                for k in range(GROUPS):
                    d = _mahalanobis(white[b, k], v if k == 0 else u, other)
                    if raw_group.shape[1]:
                        raw_group[i, t, k] = d
                    e = _stretched(d, group[b, k], offset[b, channels], k, set_[ADAPT])
                    if e > best:
                        best, what = e, (TOGETHER if k == 0 else DRIFT)
                        share[:] = other
            if sharp:  # what one row alone gives away is a spike, however the moving means take it
                what = SPIKE
            e_row[i, t] = best if seen > 0 else np.nan
            e = nats(best, final[b]) if seen > 0 else 0.0
            if set_[QUALITY] > 0.0 and trouble > set_[THRESHOLD] and trouble > e:
                e, what = trouble, trouble_kind
            score[i, t], kind[i, t] = e / (e + set_[THRESHOLD]), what
            total = 0.0
            for c in range(channels):
                share[c] = max(share[c], 0.0)
                total += share[c]
            for c in range(channels):
                blame[i, t, c] = share[c] / total if total > 0.0 else 1.0 / channels
    return odd

"""Each row among all rows before it: conformal tails of what was never seen, told once.

With r = (y - loc)/spread clipped to ±1,000, three statistics a row:
    extreme    r upwards and downwards from ORIGIN, the stranger of the two, of the strangest channel
    pattern    for m = 16 and 32: root mean square difference of the last m rows to the nearest m rows before them, among the last
               LAGS; by lag L the sum of squares is kept:  S_L ← S_L + |r_t - r_(t-L)|² - |r_(t-m) - r_(t-m-L)|²
Each has  e = -log((#{earlier x' ≥ x} + 1) / (n + 1)),  beyond every earlier one  log(n + 1) + log(1 + (x - max)/s),  s the mean step of
the upper 2 % in nats. Earlier values are kept as counts on a geometric grid, so memory is bounded and values of one bin count as
equal. For exchangeable rows P(e > x) ≤ e^-x whatever their law. Their mean times STEEPER is the row's nats: three that agree
are rarer than one (on clean simulated rows the mean's tail falls 1.3 to 2 times as fast as that of one).
Told once: after an alarm of e nats, rows below AGAIN · e are held under the boundary for `quiet` rows.

Shapes: y (B T C); loc, spread (B C); recent (B LAGS+32 C) newest first; sums (B 2 LAGS); counts (B C·2+2 BINS); largest (B C·2+2);
held (B 3): nats of the last alarm, rows since it, rows so far; outputs (B T …).
Sources: Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, ch. 2; Yeh et al. (2016), ICDM, the left matrix profile.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
BINS = 512
LOWEST, PER_E = 1e-4, 31.0  # the grid spans 1e-4 to 1,400 in steps of 3 %
FEW = 50  # earlier rows below which nothing is said
SHORT, LONG = 16, 32  # rows of a pattern
EARLY = 256  # rows before a pattern is judged: the first ones have few to be like
ORIGIN, FARTHEST = 4.0, 1000.0  # spreads
STEEPER = 1.8
AGAIN, BELOW = 1.2, 0.8
EXTREME, PATTERN = 0, 1


@jit
def _place(x: float) -> int:
    if x <= LOWEST:
        return 0
    return min(int(math.log(x / LOWEST) * PER_E) + 1, BINS - 1)


@jit
def _nats(x: float, counts: Array, largest: float, total: float) -> float:
    """Nats of x among the values counted."""
    if total < FEW:
        return 0.0
    if x <= largest:
        above = 0.0
        for i in range(_place(x), BINS):
            above += counts[i]
        return -math.log(min((max(above, 1.0) + 1.0) / (total + 1.0), 1.0))
    upper, i = 0.0, _place(largest)
    while i > 0 and upper < 0.02 * total:
        upper += counts[i]
        i -= 1
    start = LOWEST * math.exp(i / PER_E) if i > 0 else 0.0
    step = max((largest - start) / max(math.log(0.02 * total + 1.0), 1.0), 0.01 * largest + 1e-12)
    return math.log(total + 1.0) + math.log1p((x - largest) / step)


@jit
def _learned(x: float, counts: Array, largest: Array, way: int, total: float) -> float:
    """Nats of x, which is then counted."""
    e = _nats(x, counts[way], largest[way], total)
    counts[way, _place(x)] += 1.0
    largest[way] = max(largest[way], x)
    return e


@jit
def _nearest(r: Array, recent: Array, sums: Array, rows: int, size: int) -> tuple[float, int]:
    """Sums of squares by lag moved on by the row r; the least of those of whole patterns, and its lag (0: none yet)."""
    lags, channels = sums.shape[0], r.shape[0]
    most = min(lags, rows)
    for c in range(channels):
        now, gone = r[c], recent[size - 1, c]
        whole = min(most, max(rows - size, 0))
        for i in range(whole):
            come, went = now - recent[i, c], gone - recent[i + size, c]
            sums[i] += come * come - went * went
        for i in range(whole, most):
            come = now - recent[i, c]
            sums[i] += come * come
    best, lag = math.inf, 0
    for i in range(size - 1, min(most, rows - size + 1)):
        if sums[i] < best:
            best, lag = sums[i], i + 1
    return math.sqrt(max(best, 0.0) / (size * channels)) if lag else 0.0, lag


@jit
def history(
    y: Array,
    loc: Array,
    spread: Array,
    quiet: float,
    threshold: float,
    recent: Array,
    sums: Array,
    counts: Array,
    largest: Array,
    held: Array,
    e_row: Array,
    kind: NDArray[np.int64],
    blame: Array,
) -> None:
    """Fill the outputs row by row, each row counted after it has been judged."""
    batch, rows, channels = y.shape
    r, off = np.empty(channels), np.empty(channels)
    for b in range(batch):
        for t in range(rows):
            seen, extreme = 0, 0.0
            so_far = held[b, 2]
            for c in range(channels):
                missing = not y[b, t, c] == y[b, t, c]  # noqa: SIM201 - NaN
                r[c] = recent[b, 0, c] if missing else (y[b, t, c] - loc[b, c]) / spread[b, c]
                r[c] = min(max(r[c], -FARTHEST), FARTHEST)
                off[c] = 0.0
                if missing:
                    continue
                seen += 1
                up = _learned(max(ORIGIN + r[c], 0.0), counts[b], largest[b], 2 * c, so_far)
                down = _learned(max(ORIGIN - r[c], 0.0), counts[b], largest[b], 2 * c + 1, so_far)
                off[c] = max(up, down)
                extreme = max(extreme, off[c])
            if seen == 0:
                e_row[b, t], kind[b, t], blame[b, t] = np.nan, EXTREME, 1.0 / channels
                continue
            extreme = max(extreme - math.log(seen), 0.0)
            short, _ = _nearest(r, recent[b], sums[b, 0], int(so_far), SHORT)
            long, lag = _nearest(r, recent[b], sums[b, 1], int(so_far), LONG)
            first = 2 * channels
            e_short, e_long = 0.0, 0.0
            if so_far >= EARLY:
                e_short = _learned(short, counts[b], largest[b], first, so_far - EARLY)
                e_long = _learned(long, counts[b], largest[b], first + 1, so_far - EARLY)
            e = STEEPER * (extreme + e_short + e_long) / 3.0
            if lag and e_short + e_long > 2.0 * extreme:
                for c in range(channels):
                    off[c] = (r[c] - recent[b, lag - 1, c]) ** 2
            kind[b, t] = PATTERN if e_short + e_long > 2.0 * extreme else EXTREME
            held[b, 1] += 1.0
            if held[b, 1] > quiet:
                held[b, 0] = 0.0
            if e > AGAIN * held[b, 0]:
                held[b, 0], held[b, 1] = e, 0.0
            else:
                e = min(e, BELOW * threshold)
            e_row[b, t] = e
            total = off.sum()
            for c in range(channels):
                blame[b, t, c] = off[c] / total if total > 0.0 else 1.0 / channels
            for i in range(recent.shape[1] - 1, 0, -1):
                recent[b, i] = recent[b, i - 1]
            recent[b, 0] = r
            held[b, 2] += 1.0

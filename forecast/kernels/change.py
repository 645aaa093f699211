"""What has happened to a sensor, and since when: generalised likelihood ratios of its innovations over a window of candidates.

z are standardised innovations, white under no change. A change of size a that began at row k shows in them as a f(t), f the signature after what
the model has learned meanwhile, g(t) the share of row t's innovation that its level took on (0 where the row was held back):
    spike         f(k) = 1,   f(t+1) = (1-g(t)) f(t) - [t = k]        the value was off for one row; what was learned of it is unlearned
    level shift   f(k) = 1,   f(t+1) = (1-g(t)) f(t)
    trend change  f(k) = 1,   f(t+1) = (1-g(t)) f(t) + 1
    nats(k, t) = (Σ f z)² / 2 Σ f²
    variance      nats(k, t) = (Q - n - n log(Q/n)) / 2,  Q = Σ z², n ≥ LEAST rows
each the logarithm of the largest likelihood over that of no change. The candidates are the last WINDOW rows (window-limited: Lai 1995, J. R. Statist.
Soc. B 57(4)); the signatures are those of Willsky & Jones (1976, IEEE Trans. AC 21(1)) for a level. A step costs WINDOW updates, whatever came before.

g where a row was learned is the slope of the forecast's change on the innovation before it, over all rows so far; 1, 1/2, 1/3 … after the level was widened.
Shapes: z (B T C), NaN = missing; expected, y (B T C); learn (B T C), widen (B T); ring (B C WINDOW FIELDS); sums (B C SUMS); nats, ago (B T C KINDS).
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
WINDOW = 64
SPIKE, SHIFT, TREND, VARIANCE = range(4)
KINDS = 4
LEAST = 8  # rows of a change of variance
F, FZ, FF, Q, N = 0, 3, 6, 9, 10  # of a candidate: three signatures, Σ f z, Σ f², Σ z², rows; none where N is -1
FIELDS = 11
ZZ, COUNT, VV, VD, LAST_V, LAST_E, SINCE, HEAD = range(8)
SUMS = 8
PRIOR, CALM = 0.2, 50.0  # gain and rows that stand for nothing seen
CUT = 3.0  # of z in its unit


@jit
def _gain(s: Array, learned: bool) -> float:
    """Share of an innovation that the level takes on."""
    if not learned:
        return 0.0
    found = (s[VD] + PRIOR * CALM) / (s[VV] + CALM)
    return max(min(max(found, 0.0), 1.0), 1.0 / (s[SINCE] + 1.0))


@jit
def learned(s: Array, x: float, v: float, expected: float, learn: bool, widened: bool) -> tuple[float, float]:
    """A row of normal score x and deviation v to the running sums: the score in its unit, NaN where nothing was seen, and the share that the level took on."""
    seen = x == x and v == v
    d = expected - s[LAST_E]
    spread = (s[ZZ] + CALM) / (s[COUNT] + CALM)
    if s[LAST_V] == s[LAST_V] and d == d and seen and x * x < CUT * CUT * spread and v != 0.0:
        size = x * x / (v * v)  # to standard units
        s[VV] += s[LAST_V] * s[LAST_V] * size
        s[VD] += s[LAST_V] * d * size
    if widened:
        s[SINCE] = 0.0
    held, unit = not (seen and learn), np.sqrt(spread)
    gain = _gain(s, not held)
    if not held:
        s[ZZ] += min(x * x, CUT * CUT * spread)
        s[COUNT] += 1.0
    s[LAST_V] = v if not held and s[SINCE] > CUT and abs(x) < CUT * unit else np.nan
    s[LAST_E] = expected
    s[SINCE] += 0.0 if held else 1.0
    s[HEAD] += 1.0
    return (x / unit if seen else np.nan), gain


@jit
def _row(z: float, gain: float, ring: Array, nats: Array, ago: Array, now: int) -> None:
    """One row of a channel: every candidate moves on, and the best of each kind is told."""
    for age in range(WINDOW):
        m = ring[(now - age) % WINDOW]
        if m[N] < 0:
            continue
        if z == z:
            m[Q] += z * z
            m[N] += 1
        for k in range(3):
            if z == z:
                m[FZ + k] += m[F + k] * z
                m[FF + k] += m[F + k] * m[F + k]
            if m[FF + k] > 0:
                e = m[FZ + k] * m[FZ + k] / (2 * m[FF + k])
                if e > nats[k]:
                    nats[k], ago[k] = e, age
            m[F + k] *= 1 - gain
        m[F + SPIKE] -= 1.0 if age == 0 else 0.0
        m[F + TREND] += 1.0
        n, q = m[N], m[Q]
        if n >= LEAST and q > 0:
            e = (q - n - n * np.log(q / n)) / 2
            if e > nats[VARIANCE]:
                nats[VARIANCE], ago[VARIANCE] = e, age


@jit
def follow(
    z: Array, y: Array, expected: Array, learn: Array, widen: Array, ring: Array, sums: Array, nats: Array, ago: Array
) -> None:
    """Fill nats and ago, how many rows before its row the best candidate of each kind began, and move ring and sums."""
    batch, rows, channels = z.shape
    for b in range(batch):
        for c in range(channels):
            s = sums[b, c]
            for t in range(rows):
                now = int(s[HEAD]) % WINDOW
                v, taken = y[b, t, c] - expected[b, t, c], learn[b, t, c] > 0.0
                x, gain = learned(s, z[b, t, c], v, expected[b, t, c], taken, widen[b, t] != 1.0)
                ring[b, c, now] = 0.0
                ring[b, c, now, F : F + 3] = 1.0
                if x != x:
                    ring[b, c, now, N] = -1.0
                nats[b, t, c] = 0.0
                ago[b, t, c] = 0.0
                _row(x, gain, ring[b, c], nats[b, t, c], ago[b, t, c], now)

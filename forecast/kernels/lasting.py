"""Alarms that last as long as the state they tell: nats smoothed, and an end where the values have gone half of the way back.

    n ← n + a (min(nats, 3 threshold) - n)         f ← f + a (r - f)        a = 2/(smooth + 1), r the reading in calm units
    quiet      n below the threshold;  b ← b + 2/(slow + 1) (f - b), the level before
    lasting    from the first n at the threshold on;  m the mean of f over the last `slow` rows since then, the level in it
    over       after LEAST rows, where the way back is half gone:  (f - b)'(m - b) < HALF |m - b|².  n is held under the threshold, though the
               rows are still unlike the calm ones, until f goes to m again (HALF + MORE) or n to AGAIN of what it was in the SETTLING rows after the end
An end, or n below the threshold for LEAST rows, makes way for quiet; where that comes, the level after is the level before the next one.

Shapes: nats (B T), NaN where a row says nothing; r (B T C), NaN = missing; levels (B 3 C): f, b, m; memory (B MEMORY); smoothed (B T).
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
NATS, STAGE, ROWS, BELOW, HELD, BACK, SPREAD = range(7)
MEMORY = 7
QUIET, LASTING, OVER = range(3)
MOST = 3.0  # thresholds that one row counts at most
HALF, MORE, AGAIN = 0.5, 0.25, 1.5
LEAST, SETTLING = 20, 20  # rows
UNDER = 0.8  # of the threshold
FAINT = 1e-3  # least variance of the share of the way


@jit
def _moved(now: Array, before: Array, during: Array) -> float:
    """How much of the way from the level before to the level in it is left: 0 none, 1 all."""
    along, way = 0.0, 1e-300
    for c in range(now.shape[0]):
        if now[c] == now[c]:
            along += (now[c] - before[c]) * (during[c] - before[c])
            way += (during[c] - before[c]) * (during[c] - before[c])
    return along / way


@jit
def _back(m: Array, row: Array, before: Array, during: Array, threshold: float, slow: int) -> None:
    """Log odds that a row is of the level before, and the variance of such shares of the way in the state."""
    left = min(max(_moved(row, before, during), -1.0), 2.0)
    m[BACK] += min(max((HALF - left) / max(m[SPREAD], FAINT), -threshold), threshold)
    m[BACK] = min(max(m[BACK], -threshold), threshold)
    if m[STAGE] == LASTING:
        m[SPREAD] += ((left - 1.0) * (left - 1.0) - m[SPREAD]) / min(m[ROWS] + 1.0, slow)


@jit
def lasting(
    nats: Array, r: Array, smooth: int, slow: int, threshold: float, levels: Array, memory: Array, smoothed: Array
) -> None:
    """Fill the smoothed nats row by row."""
    batch, number, channels = r.shape
    rate, slowly = 2.0 / (smooth + 1), 2.0 / (slow + 1)
    for b in range(batch):
        m, now, before, during = memory[b], levels[b, 0], levels[b, 1], levels[b, 2]
        for t in range(number):
            if nats[b, t] != nats[b, t]:
                smoothed[b, t] = np.nan
                continue
            m[NATS] += rate * (min(nats[b, t], MOST * threshold) - m[NATS])
            for c in range(channels):
                if r[b, t, c] == r[b, t, c]:
                    now[c] += rate * (r[b, t, c] - now[c])
            hot, told = m[NATS] >= threshold, m[NATS]
            m[BELOW] = 0.0 if hot else m[BELOW] + 1.0
            m[ROWS] += 1.0
            if m[STAGE] != QUIET and m[BELOW] > LEAST:
                if m[STAGE] == OVER:
                    before[:] = now
                m[STAGE] = QUIET
            if m[STAGE] == QUIET and hot:
                m[STAGE], m[ROWS] = LASTING, 1.0
                m[BACK], m[SPREAD] = -threshold, 1.0
                during[:] = now
            elif m[STAGE] == QUIET:
                for c in range(channels):
                    before[c] += slowly * (now[c] - before[c])
            elif m[STAGE] == LASTING:
                for c in range(channels):
                    during[c] += (now[c] - during[c]) / min(m[ROWS], slow)
                _back(m, r[b, t], before, during, threshold, slow)
                if m[ROWS] >= LEAST and (m[BACK] >= threshold or _moved(now, before, during) < HALF):
                    m[STAGE], m[ROWS], m[HELD] = OVER, 0.0, threshold
            if m[STAGE] == OVER:
                m[HELD] = max(m[HELD], m[NATS]) if m[ROWS] < SETTLING else m[HELD]
                if m[ROWS] > 0:
                    _back(m, r[b, t], before, during, threshold, slow)
                again = m[BACK] < 0.0 and _moved(now, before, during) > HALF + MORE
                if again or m[NATS] > AGAIN * m[HELD]:
                    m[STAGE], m[ROWS] = LASTING, LEAST
                else:
                    told = min(told, UNDER * threshold)
            smoothed[b, t] = told

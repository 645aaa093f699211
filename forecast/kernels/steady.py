"""A bound on how often something new is told: nats against a threshold that rises once too many events have come, and falls with the rows.

    l = log(nats/threshold), at most log(MOST);  alarm where l ≥ a + s
    a = rise · max(w - allowance, 0)     w ← w + 1 with the end of an event,  w ← max(w - rate, 0) with any row outside of one
    s ← the largest l of the last rows (fading by 1/settle a row) where an event has lasted `settle` rows: the state is taken for the usual one;
        after that s follows that largest l down, and never rises
An event is open from an alarm until QUIET rows without one, or until it is settled; a and s stand still in it. Since none opens at a ≥ log(MOST),
events in N rows  ≤  rate · N + allowance + log(MOST)/rise + 2,  whatever the rows are: the argument of online conformal control
(Gibbs & Candès 2021, Adaptive conformal inference under distribution shift) for events in place of rows.

Shapes: nats (B T), NaN where a row says nothing; memory (B MEMORY); told (B T): nats/exp(a + s), NaN as these.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
EVENTS, SETTLED, LARGEST, SINCE, AGE = range(5)  # w, s, the largest l, rows without an alarm, rows of an open event (0: none)
MEMORY = 5
QUIET = 5  # rows
MOST = 1e3  # thresholds that count


@jit
def steady(
    nats: Array, threshold: float, rate: float, allowance: float, rise: float, settle: int, memory: Array, told: Array
) -> None:
    """Fill what the threshold has to be compared with, row by row."""
    for b in range(nats.shape[0]):
        m = memory[b]
        for t in range(nats.shape[1]):
            if nats[b, t] != nats[b, t]:
                told[b, t] = np.nan
                continue
            counted = min(nats[b, t], MOST * threshold)
            told[b, t] = counted * np.exp(-rise * max(m[EVENTS] - allowance, 0.0) - m[SETTLED])
            hot = told[b, t] >= threshold
            m[LARGEST] = max(np.log(max(counted / threshold, 1.0)), m[LARGEST] - 1.0 / settle)
            if not hot and m[AGE] == 0:
                m[EVENTS] = max(m[EVENTS] - rate, 0.0)
                m[SETTLED] = min(m[SETTLED], m[LARGEST])
                continue
            m[AGE] += 1.0
            m[SINCE] = 0.0 if hot else m[SINCE] + 1.0
            if m[AGE] >= settle:
                m[SETTLED] = m[LARGEST]
            if m[SINCE] >= QUIET or m[AGE] >= settle:
                m[EVENTS] += 1.0
                m[AGE], m[SINCE] = 0.0, 0.0

"""A bound on how often something new is told: nats against a threshold that rises once too many events have come, and falls with the rows.

    l = log(nats/threshold), at most log(MOST);  alarm where l ≥ a + s
    a = rise · max(w - allowance, 0)     w ← w + 1 with the end of an event,  w ← max(w - rate, 0) with any row outside of one
    s ← the largest l of the last rows (fading by 1/settle a row) where an event has lasted `settle` rows: the state is taken for the usual one;
        after that s follows that largest l down, and never rises
An event is open from an alarm until QUIET rows without one, or until it is settled; a and s stand still in it. Since none opens at a ≥ log(MOST),
events in N rows  ≤  rate · N + allowance + log(MOST)/rise + 2,  whatever the rows are: the argument of online conformal control
(Gibbs & Candès 2021, Adaptive conformal inference under distribution shift) for events in place of rows.

Shapes: score (B T), nats e as e/(e + threshold); kind (B T); alarm (B T); values (B T C); which (B): whose memory (N MEMORY) a row moves.
A row without values, or of a sensor in trouble, says nothing: it moves no memory, and is told if it is an alarm of trouble.
"""

from typing import Any

import numpy as np

from forecast.kernels.jit import exact, inner
from forecast.kernels.judge import FROZEN, MISSING, RANGE

EVENTS, SETTLED, LARGEST, SINCE, AGE = range(5)  # w, s, the largest l, rows without an alarm, rows of an open event (0: none)
MEMORY = 5
QUIET = 5  # rows
MOST = 1e3  # thresholds that count
LEAST = 1e-12  # of what is left to a score of 1


@exact
def steady(
    score: Any, alarm: Any, kind: Any, values: Any, which: Any, threshold: Any, rate: Any, allowance: Any, rise: Any, settle: Any, memory: Any
) -> None:
    """Scores and alarms become those that are told, row by row."""
    for i in range(which.shape[0]):
        m = memory[which[i]]
        for t in range(score.shape[1]):
            trouble = kind[i, t] == FROZEN or kind[i, t] == MISSING or kind[i, t] == RANGE
            if trouble and alarm[i, t]:
                continue
            there = False
            for c in range(values.shape[2]):
                there = there or values[i, t, c] == values[i, t, c]
            nats = threshold * score[i, t] / max(1.0 - score[i, t], LEAST)
            said = there and not trouble and nats == nats
            left = _left(nats, threshold, rate, allowance, rise, settle, m) if said else 0.0
            score[i, t] = left / (left + threshold)
            alarm[i, t] = score[i, t] >= 0.5


@inner
def _left(nats: Any, threshold: Any, rate: Any, allowance: Any, rise: Any, settle: Any, m: Any) -> Any:
    """What the threshold has to be compared with; the memory of the sensor after the row."""
    counted = min(nats, MOST * threshold)
    left = counted * np.exp(-rise * max(m[EVENTS] - allowance, 0.0) - m[SETTLED])
    hot = left >= threshold
    m[LARGEST] = max(np.log(max(counted / threshold, 1.0)), m[LARGEST] - 1.0 / settle)
    if not hot and m[AGE] == 0:
        m[EVENTS] = max(m[EVENTS] - rate, 0.0)
        m[SETTLED] = min(m[SETTLED], m[LARGEST])
        return left
    m[AGE] += 1.0
    m[SINCE] = 0.0 if hot else m[SINCE] + 1.0
    if m[AGE] >= settle:
        m[SETTLED] = m[LARGEST]
    if m[SINCE] >= QUIET or m[AGE] >= settle:
        m[EVENTS] += 1.0
        m[AGE], m[SINCE] = 0.0, 0.0
    return left

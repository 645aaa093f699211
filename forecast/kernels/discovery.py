"""Levels of tests by what was found so far, step after step. Formulas in `forecast.detect.discovery`.

Shapes: nats (N), NaN = no test; step (N), equal within a step; again, share, earned (K), earned is moved on; score (N), 0.5 at the boundary.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]


@jit
def follow(
    nats: Array,
    step: NDArray[np.int64],
    rate: float,
    kept: float,
    largest: float,
    again: Array,
    share: Array,
    earned: Array,
    score: Array,
) -> None:
    """Fill the scores and move what was earned."""
    low = 0
    while low < len(nats):
        high, tests = low, 0
        while high < len(nats) and step[high] == step[low]:
            tests += 1 if nats[high] == nats[high] else 0
            high += 1
        spent = 1 - kept
        for k in range(len(earned)):
            spent += share[k] * earned[k]
        threshold, alarms = -np.log(min(rate * spent / max(tests, 1), largest)), 0
        for i in range(low, high):
            score[i] = nats[i] / (nats[i] + threshold) if nats[i] < np.inf else 1.0
            if nats[i] != nats[i]:
                score[i] = np.nan
            elif score[i] >= 0.5:
                alarms += 1
        for k in range(len(earned)):
            earned[k] = kept * (again[k] * earned[k] + alarms)
        low = high

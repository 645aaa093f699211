"""Causal profile of a season: what each phase was like lately, how far a value lies from it, and whether such distances repeat.

    d = y_t - p_{t-M}   p_t = p_{t-M} + g clip(d, ±8 s)   ρ = Σ f^age x_t x_{t-M} / Σ f^age x_t²,  x = clip(d, ±8 s),  s² the mean of x²

M rows in a season, g the gain, f the fading; sums over the rows where both distances are known, ρ within ±1 and 0 while there are none.
A missing value leaves its phase as it was; a row without time and without a value is no row. At the first value of a phase d is missing.
Shapes: y, elapsed (S T); state (S 2M+4), changed in place: p and x of the last M rows, the next row's phase first, then the last value, weight,
Σ x x, Σ x²; distance, gate (S T); rows (S T+1): how many were rows so far; track (S M+T): p of the last M rows before and of each row.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
Index = NDArray[np.int64]
BOUND, TRUSTED = 8.0, 16.0  # typical distances that one moves the profile by at most; weight from which these are known


@jit
def advance(
    y: Array, elapsed: Array, season: int, gain: float, fade: float, state: Array, distance: Array, gate: Array,
    rows: Index, track: Array,
) -> None:  # fmt: skip
    """Fill distance, gate, rows and track, and move the state to the last row."""
    bounded = np.empty(season + y.shape[1])
    for s in range(y.shape[0]):
        track[s, :season], bounded[:season] = state[s, :season], state[s, season : 2 * season]
        last, weight, cross, square = state[s, 2 * season :]
        k = 0
        rows[s, 0] = 0
        for t in range(y.shape[1]):
            value = y[s, t]
            seen = not math.isnan(value)
            distance[s, t] = math.nan
            if seen or elapsed[s, t] > 0:
                old, before, x, new = track[s, k], bounded[k], math.nan, track[s, k]
                if seen:
                    last, new = value, value
                    if not math.isnan(old):
                        x = value - old
                        distance[s, t] = x
                        reach = BOUND * math.sqrt(square / weight) if weight >= TRUSTED else 0.0
                        if reach > 0:
                            x = min(max(x, -reach), reach)
                        new = old + gain * x
                        if not math.isnan(before):
                            weight, square, cross = fade * weight + 1, fade * square + x * x, fade * cross + x * before
                track[s, season + k], bounded[season + k] = new, x
                k += 1
            rows[s, t + 1] = k
            gate[s, t] = min(max(cross / square, -1.0), 1.0) if square > 0 else 0.0
        state[s, :season], state[s, season : 2 * season] = track[s, k : k + season], bounded[k : k + season]
        tail = state[s, 2 * season :]
        tail[0], tail[1], tail[2], tail[3] = last, weight, cross, square

"""Causal profile of a season: what each phase was like lately, how far a value lies from it, whether such distances repeat, and what was there
a longer season ago.

    d = y_t - p_{t-M}   p_t = p_{t-M} + g clip(d, ±8 s)   ρ = Σ f^age x_t x_{t-M} / Σ f^age x_t²,  x = clip(d, ±8 s),  s² the mean of x²
    v_t = y_t, where it is missing v_{t-L}                κ = Σ f^age x_t c_t / Σ f^age c_t²,  c = clip(v_{t-L} - p_{t-M}, ±24 s)
                                                          ω = log Σ f^age |clip(y_t - v_{t-L}, ±8 s)| / Σ f^age |x_t|

M rows in a season, L ≥ M in the longer one, g the gain, f the fading; sums over the rows where both distances are known (of ρ: from the profile, now and
a season ago; of κ and ω: from the profile and from v). ρ lies within ±1, κ within -1 … 1.5, ω within -1 … 2; each is 0 while there are none.
A missing value leaves its phase as it was; a row without time and without a value is no row. At the first value of a phase d is missing.
Shapes: y, elapsed (S T); state (S 2M+8+2L), changed in place: p and x of the last M rows, the next row's phase first, then the last value, weight,
Σ x x, Σ x², the two sums of κ and those of ω, and v of the last 2L rows; distance (S T); gate (S T+1 3): ρ, κ and ω after so many of the rows;
rows (S T+1): how many were rows so far; track (S M+T) and known (S 2L+T): p and v of the rows before and of each row; recent (S T+1): the last
value before the rows and after each.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
Index = NDArray[np.int64]
BOUND, TRUSTED = 8.0, 16.0  # typical distances that one moves the profile by at most; weight from which these are known
GATES = 3  # ρ, κ and ω
BESIDE = 8  # columns of a state between what it holds of the phases and v
WIDE = 3.0  # c is bounded so many times wider than x


@jit
def advance(
    y: Array, elapsed: Array, season: int, longer: int, gain: float, fade: float, state: Array, distance: Array, gate: Array,
    rows: Index, track: Array, known: Array, recent: Array,
) -> None:  # fmt: skip
    """Fill distance, gate, rows, track, known and recent, and move the state to the last row."""
    bounded = np.empty(season + y.shape[1])
    first = 2 * season + BESIDE
    for s in range(y.shape[0]):
        track[s, :season], bounded[:season] = state[s, :season], state[s, season : 2 * season]
        known[s, : 2 * longer] = state[s, first:]
        last, weight, cross, square, met, longed, far, near = state[s, 2 * season : first]
        k = 0
        rows[s, 0], recent[s, 0] = 0, last
        ratios(cross, square, met, longed, far, near, gate[s, 0])
        for t in range(y.shape[1]):
            value = y[s, t]
            seen = not math.isnan(value)
            distance[s, t] = math.nan
            if seen or elapsed[s, t] > 0:
                old, before, x, new, long_ago = track[s, k], bounded[k], math.nan, track[s, k], known[s, longer + k]
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
                        if not math.isnan(long_ago):
                            apart, c = abs(value - long_ago), long_ago - old
                            if reach > 0:
                                apart, c = min(apart, reach), min(max(c, -WIDE * reach), WIDE * reach)
                            met, longed = fade * met + x * c, fade * longed + c * c
                            far, near = fade * far + apart, fade * near + abs(x)
                track[s, season + k], bounded[season + k] = new, x
                known[s, 2 * longer + k] = value if seen else long_ago
                k += 1
            rows[s, t + 1], recent[s, t + 1] = k, last
            ratios(cross, square, met, longed, far, near, gate[s, t + 1])
        state[s, :season], state[s, season : 2 * season] = track[s, k : k + season], bounded[k : k + season]
        tail = state[s, 2 * season : first]
        tail[0], tail[1], tail[2], tail[3] = last, weight, cross, square
        tail[4], tail[5], tail[6], tail[7] = met, longed, far, near
        state[s, first:] = known[s, k : k + 2 * longer]


@jit
def ratios(cross: float, square: float, met: float, longed: float, far: float, near: float, out: Array) -> None:
    """ρ, κ and ω of their sums."""
    out[0] = min(max(cross / square, -1.0), 1.0) if square > 0 else 0.0
    out[1] = min(max(met / longed, -1.0), 1.5) if longed > 0 else 0.0
    out[2] = 0.0
    if far > 0 and near > 0:
        out[2] = min(max(math.log(far) - math.log(near), -1.0), 2.0)
    elif far > 0 or near > 0:
        out[2] = 2.0 if far > 0 else -1.0

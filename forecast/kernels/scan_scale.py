"""Causal location and spread of many sequences: exponentially weighted, bounded against outliers, with memory in elapsed time.

    g = 2^(-elapsed / half-life)   w' = g w + 1   d = clip(y - m, ±8 s)   m' = m + d / w'   v' = g v + d (d - d / w')   s² = v / w

Shapes: y, elapsed (S T); moments (S 9), updated in place, in the order of MOMENTS; units (S T 5), its last columns after each row.
The whole-life moments are the same recursion with g = 1; a missing value only lets the weight fade.
Source: West (1979), with the bound of a winsorised update.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
MOMENTS = ("weight", "square", "whole_mean", "whole_square", "mean", "spread", "lowest", "highest", "count")
UNITS = 5
BOUND = 8.0  # an update moves by no more spreads than that
TRUSTED = 16.0  # observed rows after which the spread may bound the next update


@jit
def _spread(weight: float, square: float, count: float, whole_square: float, floor: float) -> float:
    """Spread of the recent rows, at least the share `floor` of that of the whole life; 0 while nothing has varied."""
    recent = math.sqrt(square / weight) if weight > 0 else 0.0
    return max(recent, floor * math.sqrt(whole_square / count)) if count > 0 else 0.0


@jit
def advance(y: Array, elapsed: Array, half_life: float, floor: float, moments: Array, units: Array) -> None:
    """Fill the units after each row, and move the moments to the last row."""
    for s in range(y.shape[0]):
        weight, square, whole_mean, whole_square, mean, spread, lowest, highest, count = moments[s]
        for t in range(y.shape[1]):
            fade = 2.0 ** (-elapsed[s, t] / half_life)
            weight *= fade
            square *= fade
            value = y[s, t]
            if not math.isnan(value):
                if count == 0:
                    mean, whole_mean, lowest, highest = value, value, value, value
                step = value - mean
                reach = BOUND * _spread(weight, square, count, whole_square, floor)
                if count >= TRUSTED and reach > 0:
                    step = min(max(step, -reach), reach)
                whole_step = mean + step - whole_mean
                weight += 1.0
                count += 1.0
                mean += step / weight
                square += step * (step - step / weight)
                whole_mean += whole_step / count
                whole_square += whole_step * (whole_step - whole_step / count)
                lowest, highest = min(lowest, value), max(highest, value)
            if count > 0:
                # never below the rounding of the location: a constant series is divided by something
                spread = max(_spread(weight, square, count, whole_square, floor), 1e-15 * abs(mean), 1e-150)
            out = units[s, t]
            out[0], out[1], out[2], out[3], out[4] = mean, spread, lowest, highest, count
        last = moments[s]
        last[0], last[1], last[2], last[3], last[4] = weight, square, whole_mean, whole_square, mean
        last[5], last[6], last[7], last[8] = spread, lowest, highest, count

"""What a missing value is taken for: the usual course of the season at that row, and what was last left of it, fading.

    x̂_t = p_j + d e^{-age / fading},  j the row of the season        where x_t is known: d = x_t - p_j,  p_j' = p_j + max(g, 1/n) d

A profile p with one number for each row of the season; n the season that the series is in. Unlike the value a season ago it is no
single value with its noise, and unlike the value that is likeliest it is not drawn to 0, so that the oscillators which it is put into
keep their size. Rows that lie apart have rows between: of e units k = min(max(round(e) - 1, 0), most) are filled, one unit apart, up
to the row itself. Before the first known value there is nothing; a row that is missing and takes no time is none.
Shapes: value (L T), NaN where missing; elapsed (L T); deviation, age, clock (L) and profile (L S) change in place.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.floating]
Double = NDArray[np.float64]
Index = NDArray[np.int64]


@jit
def taken(
    s: int,
    value: float,
    gap: float,
    bend: tuple[float, float],
    deviation: Array,
    age: Double,
    clock: Double,
    profile: Array,
) -> float:
    """One row of lane s; bend: the least gain of the profile (0: there is no season) and how fast a deviation fades."""
    missing = math.isnan(value)
    if clock[s] < 0.0:
        if missing:
            return 0.0
        clock[s] = 0.0
    else:
        clock[s] += gap
        age[s] += gap
    slots = profile.shape[1]
    at = int(clock[s] + 0.5) % slots
    if missing:
        return profile[s, at] + deviation[s] * math.exp(-age[s] / bend[1]) if gap > 0.0 else 0.0
    deviation[s] = value - profile[s, at]
    age[s] = 0.0
    if bend[0] > 0.0:
        profile[s, at] += max(bend[0], 1.0 / (1.0 + math.floor(clock[s] / slots))) * deviation[s]
    return value


@jit
def fill(
    value: Array,
    elapsed: Double,
    bend: tuple[float, float],
    deviation: Array,
    age: Double,
    clock: Double,
    profile: Array,
) -> None:
    """Put what it is taken for in place of every missing value."""
    for s in range(value.shape[0]):
        for t in range(value.shape[1]):
            value[s, t] = taken(s, value[s, t], elapsed[s, t], bend, deviation, age, clock, profile)


def between(elapsed: Double, most: int) -> tuple[Index, Double]:
    """How many rows are filled before each row, and the time from the row before to the first of them, or to the row itself."""
    count = np.clip(np.rint(elapsed) - 1.0, 0.0, most)
    return count.astype(np.int64), elapsed - count


def laid_out(value: Array, elapsed: Double, most: int) -> tuple[Array, Double, Index]:
    """Rows (L T) with those between them, NaN there, and where (L T) the rows are; in front the shorter lanes have rows that are none."""
    count, first = between(elapsed, most)
    end = (count + 1).cumsum(1)
    total = end[:, -1:].max()
    place = end - 1 + total - end[:, -1:]
    wide, apart = np.full((len(value), total), np.nan, value.dtype), np.zeros((len(value), total))
    lane = np.arange(len(value))[:, None]
    apart[np.arange(total) >= total - end[:, -1:]] = 1.0
    wide[lane, place], apart[lane, place - count] = value, first
    return wide, apart, place

"""Patterns without their level and size: how unlike the last m rows are to their nearest like among the rows before.

With the windows of m rows that end at t and at t - L, dot_L = Σ y y' kept by lag,
    dot_L ← dot_L + y_t y_(t-L) - y_(t-m) y_(t-m-L),    r_L = (dot_L - m μ μ')/(m σ σ'),    d = √(1 - max over L ≥ m of r_L),
r_L the mean of the channels. A window that stands still is like one that does, and unlike any other. Several lengths are read at the
same first row: the statistic of row t is the mean of their d for the patterns that began `longest` - 1 rows before it.

Shapes: y (B T C), in calm units; lengths (B K); recent (B C M+P) newest first, P the longest pattern there is room for; dots (B K C M) by lag; mean, inverse
(B K C M) of the windows that ended L rows ago; late (B K P) the last d of each length; rows (B); statistic (B T), NaN until there
are two of the longest patterns. Sources: Yeh et al. (2016), ICDM, the left matrix profile; Zhu et al. (2016), ICDM, the recursion.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
FLAT = 1e-4  # deviation below which a window stands still, in calm units


@jit
def _pushed(values: Array, x: float) -> None:
    """All values one place on, x in the first."""
    for i in range(values.shape[0] - 1, 0, -1):
        values[i] = values[i - 1]
    values[0] = x


@jit
def _moments(recent: Array, size: int) -> tuple[float, float]:
    """Mean of the last rows, and one over their deviation; 0 where they stand still."""
    mean, square = 0.0, 0.0
    for j in range(size):
        mean += recent[j]
    mean /= size
    for j in range(size):
        square += (recent[j] - mean) * (recent[j] - mean)
    deviation = math.sqrt(square / size)
    return mean, 1.0 / deviation if deviation > FLAT else 0.0


@jit
def _products(dots: Array, recent: Array, size: int, most: int) -> None:
    """The products by lag moved on by the newest row."""
    come, went = recent[0], recent[size]
    for lag in range(most):
        dots[lag] += come * recent[lag] - went * recent[lag + size]


@jit
def _nearest(dots: Array, mean: Array, inverse: Array, size: int, most: int, like: Array) -> float:
    """√(1 - r) of the likest window that ended at least `size` rows ago; 1 where there is none that is like at all."""
    channels = dots.shape[0]
    like[size:most] = 0.0
    for c in range(channels):
        here, unit = mean[c, 0], inverse[c, 0]
        if unit == 0.0:
            for lag in range(size, most):
                like[lag] += 1.0 if inverse[c, lag] == 0.0 else 0.0
        else:
            for lag in range(size, most):
                like[lag] += (dots[c, lag] / size - here * mean[c, lag]) * unit * inverse[c, lag]
    best = 0.0
    for lag in range(size, most):
        best = max(best, like[lag])
    return math.sqrt(max(1.0 - best / channels, 0.0))


@jit
def discord(
    y: Array,
    lengths: NDArray[np.int64],
    recent: Array,
    dots: Array,
    mean: Array,
    inverse: Array,
    late: Array,
    rows: NDArray[np.int64],
    statistic: Array,
) -> None:
    """Fill the statistic row by row."""
    batch, number, channels = y.shape
    memory = dots.shape[3]
    like = np.empty(memory)
    for b in range(batch):
        longest = lengths[b].max()
        for t in range(number):
            statistic[b, t] = np.nan
            missing = 0
            for c in range(channels):
                missing += 1 if y[b, t, c] != y[b, t, c] else 0
            if missing == channels:
                continue
            for c in range(channels):
                gone = y[b, t, c] != y[b, t, c]
                _pushed(recent[b, c], recent[b, c, 0] if gone else y[b, t, c])
            rows[b] += 1
            total = 0.0
            for k in range(lengths.shape[1]):
                size = lengths[b, k]
                most = min(memory, rows[b] - size + 1)
                for c in range(channels):
                    _products(dots[b, k, c], recent[b, c], size, memory)
                    here, unit = _moments(recent[b, c], size)
                    _pushed(mean[b, k, c], here)
                    _pushed(inverse[b, k, c], unit)
                found = _nearest(dots[b, k], mean[b, k], inverse[b, k], size, most, like) if most > size else 0.0
                _pushed(late[b, k], found)
                total += late[b, k, longest - size]
            if rows[b] >= 2 * longest:
                statistic[b, t] = total / lengths.shape[1]

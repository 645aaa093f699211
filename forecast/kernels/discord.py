"""Patterns whatever their level: how unlike the last m rows are to their nearest like among the rows before.

With the windows of m rows that end at t and at t - L, μ, σ and μ', σ' their means and deviations, dot_L = Σ y y' kept by lag,
    dot_L ← dot_L + y_t y_(t-L) - y_(t-m) y_(t-m-L),    v_L = dot_L/m - μ μ',
    d² = min over L ≥ m of  (σ² + σ'² - 2 v_L) / ((σ + s)(σ' + s)),
the mean of the channels: their squared distance without their means, in units of the two windows' own sizes. With s = 0 it is
2(1 - r) + (σ - σ')²/(σσ'), so that a shape counts as much in a small wave as in a large one, and a size that never was counts too; s keeps
windows of noise alone from being unlike all others. Several lengths are read at the same first row: the statistic of row t is the mean of their
d for the patterns that began `longest` - 1 rows before it.

A row costs one pass over the lags for each length and channel, in vectors: six numbers read and one written a lag. What is kept by lag lies
newest first; within a call it grows downwards in a piece of memory with room for its rows, so that nothing is moved from row to row.

Shapes: y (B T C), in calm units; lengths (B K); least (B K C) the s; recent (B C M+P+1) newest first, P the longest pattern there is room
for; dots (B K C M) by lag; mean, square (B K C M), μ and σ² of the windows that ended L rows ago; late (B K P) the last d of each length; rows
(B); statistic (B T), NaN until there are two of the longest patterns. Sources: Yeh et al. (2016), ICDM, the left matrix profile; Zhu et al.
(2016), ICDM, the recursion.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
TOGETHER = 64  # numbers


@jit
def moments(recent: Array, size: int) -> tuple[float, float]:
    """Mean and variance of the last rows."""
    mean, square = 0.0, 0.0
    for j in range(size):
        mean += recent[j]
    mean /= size
    for j in range(size):
        square += (recent[j] - mean) * (recent[j] - mean)
    return mean, square / size


@jit
def product(recent: Array, lag: int, size: int) -> float:
    """Σ y y' of the last window and of that which ended `lag` rows before it."""
    total = 0.0
    for j in range(size):
        total += recent[j] * recent[j + lag]
    return total


@jit
def _alike(
    dot: Array, near: Array, far: Array, mean: Array, square: Array, weight: Array, newest: Array, like: Array
) -> None:
    """Products of one channel moved on by the newest row, lag by lag; minus their d² added to `like`."""
    come, went, size, own, power, scale = newest
    for j in range(like.shape[0]):
        moved = dot[j] + (come * near[j] - went * far[j])
        dot[j] = moved
        like[j] += (2.0 * (moved / size - own * mean[j]) - (power + square[j])) * (scale * weight[j])


@jit
def largest_of(x: Array) -> float:
    """The largest of x, by the maxima of every TOGETHER-th: one running maximum would wait for itself."""
    best, whole, top = np.full(TOGETHER, -np.inf), x.shape[0] // TOGETHER * TOGETHER, -np.inf
    for i in range(0, whole, TOGETHER):
        part = x[i : i + TOGETHER]
        for j in range(TOGETHER):
            best[j] = part[j] if part[j] > best[j] else best[j]
    for i in range(whole, x.shape[0]):
        top = max(top, x[i])
    for j in range(TOGETHER):
        top = max(top, best[j])
    return top


@jit
def nearest(
    dots: Array, recent: Array, mean: Array, square: Array, weight: Array, place: int, size: int, most: int, like: Array
) -> float:
    """d to the likest window that ended `size` to `most` - 1 rows ago; `place` is that of the newest row."""
    here, low, high = like[: most - size], place + size, place + most
    here[:] = 0.0
    newest = np.empty(6)
    for c in range(dots.shape[0]):
        newest[0], newest[1], newest[2] = recent[c, place], recent[c, place + size], size
        newest[3], newest[4], newest[5] = mean[c, place], square[c, place], weight[c, place]
        near, far = recent[c, low:high], recent[c, low + size : high + size]
        _alike(dots[c, size:most], near, far, mean[c, low:high], square[c, low:high], weight[c, low:high], newest, here)
    return math.sqrt(max(-largest_of(here) / dots.shape[0], 0.0))


@jit
def grown(kept: Array, rows: int) -> Array:
    """What is kept newest first (… M), behind room for more rows."""
    made = np.empty((kept.shape[0], kept.shape[1], rows + kept.shape[2]))
    made[:, :, rows:] = kept
    return made


@jit
def weights(square: Array, least: Array, rows: int) -> Array:
    """1/(σ + s) of the windows kept (K C M), behind room for more rows."""
    made = np.empty((square.shape[0], square.shape[1], rows + square.shape[2]))
    for k in range(square.shape[0]):
        for c in range(square.shape[1]):
            for lag in range(square.shape[2]):
                made[k, c, rows + lag] = 1.0 / (math.sqrt(square[k, c, lag]) + least[k, c])
    return made


@jit
def discord(
    y: Array,
    lengths: NDArray[np.int64],
    least: Array,
    recent: Array,
    dots: Array,
    mean: Array,
    square: Array,
    late: Array,
    rows: NDArray[np.int64],
    statistic: Array,
) -> None:
    """Fill the statistic row by row."""
    batch, number, channels = y.shape
    many, memory = lengths.shape[1], dots.shape[3]
    like = np.empty(memory)
    for b in range(batch):
        longest, place = lengths[b].max(), number
        seen, told = grown(recent[b : b + 1], number)[0], grown(late[b : b + 1], number)[0]
        centre, power = grown(mean[b], number), grown(square[b], number)
        weight = weights(square[b], least[b], number)
        for t in range(number):
            statistic[b, t] = np.nan
            missing = 0
            for c in range(channels):
                missing += 1 if y[b, t, c] != y[b, t, c] else 0
            if missing == channels:
                continue
            place -= 1
            for c in range(channels):
                seen[c, place] = seen[c, place + 1] if y[b, t, c] != y[b, t, c] else y[b, t, c]
            rows[b] += 1
            total = 0.0
            for k in range(many):
                size = lengths[b, k]
                lag = rows[b] - size  # of the first window of all
                for c in range(channels):
                    centre[k, c, place], power[k, c, place] = moments(seen[c, place:], size)
                    weight[k, c, place] = 1.0 / (math.sqrt(power[k, c, place]) + least[b, k, c])
                    if size <= lag < memory:
                        dots[b, k, c, lag] = product(seen[c, place + 1 :], lag, size)
                found, most = 0.0, min(memory, lag + 1)
                if most > size:
                    found = nearest(dots[b, k], seen, centre[k], power[k], weight[k], place, size, most, like)
                told[k, place] = found
                total += told[k, place + longest - size]
            if rows[b] >= 2 * longest:
                statistic[b, t] = total / many
        recent[b], late[b] = seen[:, place : place + recent.shape[2]], told[:, place : place + late.shape[2]]
        mean[b], square[b] = centre[:, :, place : place + memory], power[:, :, place : place + memory]

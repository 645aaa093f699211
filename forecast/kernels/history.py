"""Each row among all rows before it: conformal tails of values, of patterns and of sameness, told once.

With r = (y - loc)/spread clipped to ±1,000, statistics of a row among the last LAGS ones:
    value      for m of VALUES: root mean square difference of the last m rows to the nearest m rows before them; m = 1 is a value that never was
    shape      for m of SHAPES: distance of the last m rows to their likest ones in units of the two windows' own sizes (`forecast.kernels.discord`,
               s = `least`), so that neither a level nor a slow drift of it hides what the waves do
    repeats    for how many rows the reading has been the same
    stillness  1/(deviation of the last STILL rows + STILLEST)
the last two of each channel, that of the strangest less log of their number. Each has  e = -log((#{earlier x' ≥ x} + 1) / (n + 1)),  beyond every
earlier one  log(n + 1) + log(1 + (x - max)/s),  s the mean step of the upper 2 % in nats. Earlier values are kept as counts on a geometric grid, so
memory is bounded and values of one bin count as equal. For exchangeable rows P(e > x) ≤ e^-x whatever their law. Their mean times STEEPER
is the row's nats: several that agree are rarer than one (STEEPER is set on clean simulated rows, at one alarm in 1,000).
Told once: after an alarm of e nats, rows below AGAIN · e are held under the boundary for `quiet` rows.

Shapes: y (B T C); loc, spread, least (B C); recent (B C LAGS+LONG+1) newest first; dots, mean, square (B K C LAGS) of the K SHAPES; repeats (B C);
counts (B W BINS) and largest (B W), W = VALUES, SHAPES, repeats and stillness of each channel; held (B 3): nats of the last alarm, rows since
it, rows so far; outputs (B T …). Sources: Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, ch. 2; Yeh et al. (2016),
ICDM, the left matrix profile.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.discord import grown, largest_of, moments, nearest, product, weights
from forecast.kernels.jit import jit

Array = NDArray[np.float64]
BINS = 512
LOWEST, PER_E = 1e-4, 31.0  # the grid spans 1e-4 to 1,400 in steps of 3 %
FEW = 50  # earlier rows below which nothing is said
VALUES = (1, 2, 4)  # rows of a pattern of values
SHAPES = (64, 128)  # rows of a shape
WIDEST, LONG = VALUES[-1], SHAPES[-1]
STILL, STILLEST = 32, 1e-3
EARLY = 2 * LONG  # rows before patterns are judged: the first ones have few to be like
FARTHEST = 1000.0  # spreads
STEEPER = 3.1
AGAIN, BELOW = 1.2, 0.8
VALUE, PATTERN = 0, 1
TERMS = len(VALUES) + len(SHAPES) + 2


def ways(channels: int) -> int:
    """Statistics of a row that are counted."""
    return len(VALUES) + len(SHAPES) + 2 * channels


@jit
def _place(x: float) -> int:
    if x <= LOWEST:
        return 0
    return min(int(math.log(x / LOWEST) * PER_E) + 1, BINS - 1)


@jit
def _nats(x: float, counts: Array, largest: float, total: float) -> float:
    """Nats of x among the values counted."""
    if total < FEW:
        return 0.0
    if x <= largest:
        above = 0.0
        for i in range(_place(x), BINS):
            above += counts[i]
        return -math.log(min((max(above, 1.0) + 1.0) / (total + 1.0), 1.0))
    upper, i = 0.0, _place(largest)
    while i > 0 and upper < 0.02 * total:
        upper += counts[i]
        i -= 1
    start = LOWEST * math.exp(i / PER_E) if i > 0 else 0.0
    step = max((largest - start) / max(math.log(0.02 * total + 1.0), 1.0), 0.01 * largest + 1e-12)
    return math.log(total + 1.0) + math.log1p((x - largest) / step)


@jit
def _learned(x: float, counts: Array, largest: Array, way: int, total: float) -> float:
    """Nats of x, which is then counted."""
    e = _nats(x, counts[way], largest[way], total)
    counts[way, _place(x)] += 1.0
    largest[way] = max(largest[way], x)
    return e


@jit
def _unlike(seen: Array, place: int, rows: int, like: Array, found: Array) -> None:
    """Distances of the last VALUES rows to the nearest ones; `like` is minus the sum of squares of the widest, by lag less 1."""
    like[:] = 0.0
    lags, k = like.shape[0], 0
    for j in range(WIDEST):
        for c in range(seen.shape[0]):
            now, before = seen[c, place + j], seen[c, place + j + 1 : place + j + 1 + lags]
            for i in range(lags):
                like[i] -= (now - before[i]) * (now - before[i])
        if j + 1 == VALUES[k]:
            last = min(lags, rows - j - 1)  # of whole patterns
            best = largest_of(like[j:last]) if last > j else 0.0
            found[k] = math.sqrt(max(-best, 0.0) / ((j + 1) * seen.shape[0]))
            k += 1


@jit
def _blamed(seen: Array, place: int, like: Array, off: Array) -> None:
    """What each channel adds to the distance of the widest pattern of values."""
    lag = int(np.argmax(like[WIDEST - 1 :])) + WIDEST
    for c in range(seen.shape[0]):
        off[c] = 0.0
        for j in range(WIDEST):
            off[c] += (seen[c, place + j] - seen[c, place + j + lag]) ** 2


@jit
def _sameness(
    seen: Array, place: int, missing: Array, repeats: Array, counts: Array, largest: Array, total: float, same: Array
) -> None:
    """Nats of repeats and of stillness, those of the strangest channel each."""
    first, channels, present = len(VALUES) + len(SHAPES), seen.shape[0], 0
    same[:] = 0.0
    for c in range(channels):
        if missing[c] > 0.0:
            continue
        present += 1
        repeats[c] = repeats[c] + 1.0 if total > 0.0 and seen[c, place] == seen[c, place + 1] else 0.0
        same[0] = max(same[0], _learned(repeats[c], counts, largest, first + 2 * c, total))
        if total >= STILL:
            still = 1.0 / (math.sqrt(moments(seen[c, place:], STILL)[1]) + STILLEST)
            same[1] = max(same[1], _learned(still, counts, largest, first + 2 * c + 1, total - STILL))
    for k in range(2):
        same[k] = max(same[k] - math.log(present), 0.0)


@jit
def history(
    y: Array,
    loc: Array,
    spread: Array,
    least: Array,
    quiet: float,
    threshold: float,
    recent: Array,
    dots: Array,
    mean: Array,
    square: Array,
    repeats: Array,
    counts: Array,
    largest: Array,
    held: Array,
    e_row: Array,
    kind: NDArray[np.int64],
    blame: Array,
) -> None:
    """Fill the outputs row by row, each row counted after it has been judged."""
    batch, number, channels = y.shape
    lags, values, shapes = dots.shape[3], len(VALUES), len(SHAPES)
    missing, off, found, same = np.empty(channels), np.empty(channels), np.zeros(values), np.zeros(2)
    like, faint = np.empty(lags), np.empty((shapes, channels))
    for b in range(batch):
        place, own = number, grown(recent[b : b + 1], number)[0]
        centre, power = grown(mean[b], number), grown(square[b], number)
        faint[:] = least[b]
        weight = weights(square[b], faint, number)
        for t in range(number):
            for c in range(channels):
                missing[c] = 1.0 if y[b, t, c] != y[b, t, c] else 0.0
            if missing.sum() == channels:
                e_row[b, t], kind[b, t], blame[b, t] = np.nan, VALUE, 1.0 / channels
                continue
            place -= 1
            so_far = held[b, 2]
            for c in range(channels):
                r = own[c, place + 1] if missing[c] > 0.0 else (y[b, t, c] - loc[b, c]) / spread[b, c]
                own[c, place] = min(max(r, -FARTHEST), FARTHEST)
            rows = int(so_far) + 1
            behind = like[: min(lags, rows - 1)]
            _unlike(own, place, rows, behind, found)
            _sameness(own, place, missing, repeats[b], counts[b], largest[b], so_far, same)
            strange, first = same[0] + same[1], 0.0
            if so_far >= EARLY:
                first = _learned(found[0], counts[b], largest[b], 0, so_far - EARLY)
                strange += first
                for k in range(1, values):
                    strange += _learned(found[k], counts[b], largest[b], k, so_far - EARLY)
                if channels > 1:
                    _blamed(own, place, behind[: rows - WIDEST], off)
            for k in range(shapes):
                size = SHAPES[k]
                lag = rows - size  # of the first window of all
                for c in range(channels):
                    centre[k, c, place], power[k, c, place] = moments(own[c, place:], size)
                    weight[k, c, place] = 1.0 / (math.sqrt(power[k, c, place]) + least[b, c])
                    if size <= lag < lags:
                        dots[b, k, c, lag] = product(own[c, place + 1 :], lag, size)
                most = min(lags, lag + 1)
                if most > size:
                    unlike = nearest(dots[b, k], own, centre[k], power[k], weight[k], place, size, most, like)
                    if so_far >= EARLY:
                        strange += _learned(unlike, counts[b], largest[b], values + k, so_far - EARLY)
            e = STEEPER * strange / TERMS
            kind[b, t] = VALUE if first * TERMS > strange else PATTERN
            held[b, 1] += 1.0
            if held[b, 1] > quiet:
                held[b, 0] = 0.0
            if e > AGAIN * held[b, 0]:
                held[b, 0], held[b, 1] = e, 0.0
            else:
                e = min(e, BELOW * threshold)
            e_row[b, t] = e
            total = off.sum() if channels > 1 and so_far >= EARLY else 0.0
            for c in range(channels):
                blame[b, t, c] = off[c] / total if total > 0.0 else 1.0 / channels
            held[b, 2] += 1.0
        recent[b] = own[:, place : place + recent.shape[2]]
        mean[b], square[b] = centre[:, :, place : place + lags], power[:, :, place : place + lags]

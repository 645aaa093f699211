"""Season lengths of a panel: which lags repeat, judged on many series together.

    r(m) = correlation of z_t and z_{t-m},  z = y - centred mean of m rows of y

Taking out the mean over one season leaves neither trend nor slow wander, so r(m) is near zero for noise, trends and
random walks, and near one for a season of length m; a cycle of varying length, as that of the sunspots, still has its
peak. Lags come from the calendar (an hour, a day, a week, a year in rows of this clock); where none of these shows,
from peaks of the autocorrelation, and then they have to show more. r is the median over the series. A longer season
counts beside a shorter one if it shows in what the shorter one leaves, and more than the multiples of the shorter one
around it do: 168 beside 24, but not 48. At least three seasons must have been seen. The centred mean of two rows leaves
white noise with r(2) = 1/6, which a season of two rows has to show beside the rest.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.series.clock import DAY, Clock, Step
from forecast.series.panel import Panel

Values = NDArray[np.float64]
SERIES = 48  # looked at, evenly spread over the panel
ROWS = 1 << 18  # looked at, in all
CYCLES = 3  # a season must have been seen this often
CALENDAR, MULTIPLE, ANY = (
    0.1,
    0.25,
    0.4,
)  # correlation that a lag of the calendar, a multiple of a found lag and any other must show
PEAKS = 8  # lags taken from the autocorrelation
MOST = 2  # seasons that the calendar does not know
OF_TWO = 1 / 6  # r(2) of white noise: autocovariances of −1, 2, −1 at the lags 2 and 0


def seasons_of(panel: Panel, one: bool = False) -> tuple[int, ...]:
    """Season lengths in rows, the leading one first: the shortest of those that repeat nearly as well as the best.

    With `one`, chance is judged by the autocorrelation of what is left (Bartlett 1946) instead of by the number of
    seasons seen: fit for a single series of three weeks, at the price of a needless season now and then.
    """
    if panel.clock.kind == "irregular":
        return ()
    sample, series = _sample(panel)
    if not sample:
        return ()
    found = _among(sample, calendar_lags(panel.clock), CALENDAR, series, one)
    if not found:
        found = dict([*_among(sample, _peaks(sample), ANY, series).items()][:MOST])
    if not found:
        return ()
    best = max(found.values())
    leading = min(lag for lag, r in found.items() if r >= 0.7 * best)
    return (leading, *(lag for lag in found if lag != leading))


def _among(
    sample: list[Values], lags: tuple[int, ...], least: float, series: int, one: bool = False
) -> dict[int, float]:
    """Those of the lags, in rising order, that repeat beyond chance and beside the shorter ones, and r of each."""
    found: dict[int, float] = {}
    left = sample
    for lag in lags:
        cycles = max(np.median([len(y) for y in sample]) / lag - 1, 1)
        chance = 1.2 / np.sqrt(
            cycles * min(series, 9)
        )  # channels of one series are no further evidence, nor ever more series
        if one and found:
            chance = min(chance, max(map(_chance, left, [lag] * len(left))))
        needed = min(least, MULTIPLE) if any(lag % shorter == 0 for shorter in found) else least
        needed = max(needed, chance) + OF_TWO * (lag == 2)
        if _shown(left, lag, needed) and all(_beyond(left, lag, shorter) for shorter in found):
            found[lag] = _repeat(sample, lag)
            left = [_without(y, lag) for y in left]
    return found


def calendar_lags(clock: Clock) -> tuple[int, ...]:
    """An hour, a day, a week and a year in rows, where these are two rows or more."""
    if clock.kind != "time":
        return ()
    step = Step.of(str(clock.step))
    if step.family in ("month", "month end"):
        return (12 // step.size,) if 12 % step.size == 0 and step.size < 12 else ()
    if step.family == "business day":
        return (5, 261)
    if step.family == "other":
        return ()
    lags = {round(span / step.size) for span in (DAY / 24, DAY, 7 * DAY, 365.25 * DAY) if span / step.size >= 1.5}
    return tuple(sorted(lags))


def _sample(panel: Panel) -> tuple[list[Values], int]:
    """Target channels of some series, ready to be judged, without constant and mostly missing ones; how many series."""
    columns = np.flatnonzero(panel.target.numpy())
    long = np.flatnonzero(panel.lengths.numpy() >= 2 * CYCLES)
    if not len(long):
        return [], 0
    size = int(np.median(panel.lengths.numpy()[long]))
    room = max(min(SERIES, ROWS // size), 4)
    columns = _spread(columns, room)
    chosen = _spread(long, max(room // len(columns), 1))
    rows = ROWS // (len(chosen) * len(columns))
    out = []
    for series in chosen:
        values = panel.series(int(series))[-rows:].numpy()
        out += [y for column in columns if (y := _bridged(values[:, column])) is not None]
    return out, len(chosen)


def _spread(things: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of the things, evenly spread."""
    return np.asarray(things[np.unique(np.linspace(0, len(things) - 1, min(most, len(things))).astype(int))])


def _bridged(y: Values) -> Values | None:
    """Finite everywhere between the first and the last reading, within five spreads of the median, standardised."""
    there = np.flatnonzero(np.isfinite(y))
    if len(there) < max(2 * CYCLES, 0.5 * len(y)):
        return None
    y = np.interp(np.arange(there[0], there[-1] + 1), there, y[there])
    largest = np.abs(y).max()
    y = y / largest if largest > 0 else y
    low, middle, high = np.percentile(y, (25, 50, 75))
    if high > low:
        y = np.clip(y, middle - 5 * (high - low), middle + 5 * (high - low))
    spread = float(y.std())
    return np.asarray((y - y.mean()) / spread) if spread > 1e-12 else None


def _detrended(y: Values, lag: int) -> Values:
    """y less its centred mean over `lag` rows (half weights at the ends of an even one)."""
    total = np.concatenate([[0.0], np.cumsum(y)])
    mean = (total[lag:] - total[:-lag]) / lag
    if lag % 2 == 0:
        mean = (mean[1:] + mean[:-1]) / 2
    return np.asarray(y[lag // 2 : lag // 2 + len(mean)] - mean)


def _correlation(y: Values, lag: int) -> float:
    """r(lag) of one series; NaN where it is too short or nothing is left of it."""
    if len(y) < CYCLES * lag:
        return np.nan
    z = _detrended(y, lag)
    before, after = z[:-lag], z[lag:]
    size = np.sqrt((before @ before) * (after @ after))
    return float(before @ after / size) if size > 1e-12 * len(z) else np.nan


def _repeat(sample: list[Values], lag: int) -> float:
    """Median r(lag) over the series; -1 where fewer than half are long enough."""
    if lag < 2:
        return -1.0
    found = np.array([_correlation(y, lag) for y in sample])
    there = found[np.isfinite(found)]
    return float(np.median(there)) if 2 * len(there) >= len(sample) else -1.0


def _chance(y: Values, lag: int) -> float:
    """Two standard deviations of r(lag) where nothing repeats: as many rows as the autocorrelation up to lag/4 leaves."""
    if len(y) < CYCLES * lag:
        return np.inf
    z = _detrended(y, lag)
    short = _autocorrelation(z, lag // 4)
    free = max(len(z) - lag, 1) / (1 + 2 * float((short[1:] ** 2).sum()))
    return float(2 / np.sqrt(max(free, 1.0)))


def _shown(sample: list[Values], lag: int, least: float) -> bool:
    """Whether a lag repeats enough, and more than the lags around it."""
    r = _repeat(sample, lag)
    around = {lag + side * max(lag // part, 1) for part in (8, 4) for side in (-1, 1)}
    return bool(r >= least and all(r >= _repeat(sample, other) for other in around))


def _beyond(left: list[Values], lag: int, shorter: int) -> bool:
    """Whether a longer lag shows more than multiples of a shorter one around it, by a part of what a sine would."""
    times = round(lag / shorter)
    if abs(lag - times * shorter) > max(1.0, 0.05 * lag):
        return True
    margin = 0.25 * (1 - np.cos(2 * np.pi * shorter / lag))
    r = _repeat(left, lag)
    return all(r > _repeat(left, other) + margin * r for other in (lag - shorter, lag + shorter))


def _without(y: Values, season: int) -> Values:
    """y less the mean of each phase of a season."""
    inner, start = _detrended(y, season), season // 2
    phase = np.arange(len(y)) % season
    inside = phase[start : start + len(inner)]
    mean = np.bincount(inside, inner, season) / np.maximum(np.bincount(inside, minlength=season), 1)
    return y - mean[phase]


def _peaks(sample: list[Values]) -> tuple[int, ...]:
    """The highest peaks of the median autocorrelation of the series without their straight lines."""
    rows = int(np.median([len(y) for y in sample]))
    longest = rows // CYCLES
    curves = [_autocorrelation(y, longest) for y in sample if len(y) >= rows]
    pooled = np.median(curves, axis=0) if curves else np.zeros(0)
    inner = np.arange(2, len(pooled) - 1)
    tops = inner[(pooled[inner] > pooled[inner - 1]) & (pooled[inner] >= pooled[inner + 1]) & (pooled[inner] > 0.05)]
    best = tops[np.argsort(-pooled[tops], kind="stable")][:PEAKS]
    return tuple(sorted({int(lag) for lag in (*best, *tops[:2])}))


def _autocorrelation(y: Values, longest: int) -> Values:
    """Autocorrelation at the lags 0 … longest."""
    time = np.arange(len(y)) - (len(y) - 1) / 2
    y = y - time * (time @ y) / max(float(time @ time), 1.0)
    size = 1 << (2 * len(y) - 1).bit_length()
    spectrum = np.fft.rfft(y, size)
    curve = np.fft.irfft(spectrum * spectrum.conj(), size)[: longest + 1]
    return np.asarray(curve / max(curve[0], 1e-300) * (len(y) / (len(y) - np.arange(longest + 1))))

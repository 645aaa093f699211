"""The clocks of many series at once: for each series the most common gap, or the calendar that its times follow.

The most common gap and not the smallest: the smallest would take a row that is off the clock for a finer clock in
silence. A series is on a clock if nine of ten rows are; the others are off-clock rows, which the user decides about.
A series that is on none keeps its stamps. Short series, which fit several clocks, join one that others are sure of.
"""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.series.clock import (
    DAY,
    MONTHS,
    WEEKDAYS,
    Clock,
    Step,
    business_days,
    fixed_alias,
    month_days,
    months_of,
    stamp_of,
    time_of,
)

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
ON = 0.9  # share of a series' rows that are on its clock
SPARSE = 5  # rows on the common divisor of all gaps, per row there is
FIXED, DAYS, MONTH, MONTH_END, BUSINESS, IRREGULAR, UNKNOWN = range(7)
COARSE = 20 * DAY // 24  # gaps from here on may be days of a wall clock, which have 23 to 25 hours


@dataclass(frozen=True)
class Runs:
    """Rows of S series, end to end and in order of time within each: series s owns first[s] … first[s+1]-1."""

    stamps: Ints
    first: Ints

    @property
    def lengths(self) -> Ints:
        """Rows of each series."""
        return np.diff(self.first)

    @property
    def series(self) -> Ints:
        """The series of each row."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    def pick(self, chosen: Ints) -> "Runs":
        """The rows of some of the series."""
        return Runs(self.stamps[self.rows(chosen)], np.concatenate([[0], np.cumsum(self.lengths[chosen])]))

    def rows(self, chosen: Ints) -> Ints:
        """The rows that some of the series own."""
        lengths = self.lengths[chosen]
        return np.arange(lengths.sum()) + np.repeat(self.first[:-1][chosen] - np.cumsum(lengths) + lengths, lengths)

    def gaps(self) -> "Runs":
        """The gaps between the rows of each series."""
        inside = np.ones(max(len(self.stamps) - 1, 0), dtype=bool)
        edges = self.first[1:-1] - 1
        inside[edges[(edges >= 0) & (edges < len(inside))]] = False
        return Runs(np.diff(self.stamps)[inside], np.concatenate([[0], np.cumsum(np.maximum(self.lengths - 1, 0))]))

    def reduce(self, ufunc: np.ufunc, values: Ints | Flags) -> Ints:
        """`ufunc` over the values of each series' rows; 0 where it has none."""
        out = np.zeros(len(self.lengths), dtype=np.int64)
        full = self.lengths > 0
        if full.any():
            out[full] = ufunc.reduceat(values.astype(out.dtype), self.first[:-1][full])
        return out

    def common(self, values: Ints) -> tuple[Ints, Ints]:
        """The most common value of each series (the smallest of several) and how often it comes; 0, 0 without rows."""
        low, high = self.reduce(np.minimum, values), self.reduce(np.maximum, values)
        often = self.lengths.copy()
        mixed = np.flatnonzero(low != high)
        if len(mixed):
            rows = self.rows(mixed)
            series, values = np.repeat(mixed, self.lengths[mixed]), values[rows]
            order = np.lexsort((values, series))
            series, values = series[order], values[order]
            edge = np.flatnonzero(np.concatenate([[True], (np.diff(series) != 0) | (np.diff(values) != 0)]))
            times = np.diff([*edge, len(values)])
            best = np.lexsort((values[edge], -times, series[edge]))
            best = best[np.concatenate([[True], np.diff(series[edge][best]) != 0])]
            low[mixed], often[mixed] = values[edge][best], times[best]
        return low.astype(np.int64), often


@dataclass(frozen=True)
class Found:
    """Family, size and phase of the clock of each series, and whether its rows leave no doubt."""

    family: Ints
    size: Ints
    phase: Ints
    sure: Flags

    def put(
        self, where: Ints, family: int | Ints, size: int | Ints, phase: int | Ints, sure: Flags | bool = True
    ) -> None:
        """Set those of some series."""
        for mine, theirs in ((self.family, family), (self.size, size), (self.phase, phase), (self.sure, sure)):
            mine[where] = theirs


@dataclass(frozen=True)
class Stamps:
    """The rows of all series in UTC and on the wall clock, on which calendars are read; or plain numbers."""

    utc: Runs
    wall: Runs
    integer: bool
    timezone: str | None

    def on(self, family: int) -> Runs:
        """The stamps that a clock of this family counts."""
        return self.utc if family in (FIXED, IRREGULAR) else self.wall


def find(stamps: Stamps) -> Found:
    """The clock of each series."""
    found, gap = _fixed(stamps.utc, stamps.integer)
    if stamps.integer:
        return found
    coarse = np.flatnonzero(gap >= COARSE)
    local, gap = stamps.wall.pick(coarse), gap[coarse]
    days = Found(*(np.array(part[coarse]) for part in vars(found).values()))
    if stamps.timezone:
        days, gap = _fixed(local, False)
    days.family[(days.family == FIXED) & (days.size % DAY == 0)] = DAYS
    _months(local, days, np.flatnonzero(gap >= 28 * DAY))
    _business(local, days, np.flatnonzero((gap == DAY) & (local.lengths > 5)))
    calendar = np.isin(days.family, (DAYS, MONTH, MONTH_END, BUSINESS))
    found.put(coarse[calendar], *(part[calendar] for part in vars(days).values()))
    return found


def _fixed(runs: Runs, integer: bool) -> tuple[Found, Ints]:
    """The clock of each series by its most common gap, and that gap."""
    gaps = runs.gaps()
    gap, often = gaps.common(gaps.stamps)
    phase, on = runs.common(runs.stamps % np.repeat(np.maximum(gap, 1), runs.lengths))
    sure = (runs.lengths > 3) & (often * 2 >= gaps.lengths) & (on >= ON * runs.lengths)
    found = Found(np.where(gap > 0, FIXED, UNKNOWN), gap.copy(), phase, sure)
    _divide(runs, gaps, found, on, integer)
    return found, gap


def _divide(runs: Runs, gaps: Runs, found: Found, on: Ints, integer: bool) -> None:
    """Series that are off their most common gap may be on the common divisor of all gaps; else they are on no clock."""
    off = np.flatnonzero((on < ON * runs.lengths) & (runs.lengths > 1))
    if not len(off):
        return
    some, between = runs.pick(off), gaps.pick(off)
    divisor = np.maximum(between.reduce(np.gcd, between.stamps), 1).astype(np.int64)
    span = some.stamps[some.first[1:] - 1] - some.stamps[some.first[:-1]]
    sparse = np.where(divisor % DAY == 0, 10 * SPARSE, SPARSE)  # whole days are a clock, however few of them there are
    dense = (span // divisor < sparse * some.lengths) | integer
    start = some.stamps[some.first[:-1]] % divisor
    edges = zip(between.first[:-1], between.first[1:], strict=True)
    median = np.array([int(np.median(between.stamps[a:b])) for a, b in edges])
    found.put(
        off,
        np.where(dense, FIXED, IRREGULAR),
        np.where(dense, divisor, np.maximum(median, 1)),
        np.where(dense, start, 0),
        False,
    )


def _months(runs: Runs, found: Found, where: Ints) -> None:
    """Series on the first or last days of months."""
    some = runs.pick(where)
    if not len(where):
        return
    months, day, clock = months_of(some.stamps)
    same = clock == np.repeat(clock[some.first[:-1]], some.lengths)
    last = month_days(months + 1) - month_days(months) - 1 == day
    for family, flags in ((MONTH, same & (day == 0)), (MONTH_END, same & last)):
        hits = np.flatnonzero(some.reduce(np.add, flags) >= ON * some.lengths)
        if not len(hits):
            continue
        counted = Runs(months, some.first).pick(hits)
        between = counted.gaps()
        size, often = between.common(between.stamps)
        keep = size > 0
        hits, size, often = hits[keep], size[keep], often[keep]
        counted = Runs(months, some.first).pick(hits)
        residue, on = counted.common(counted.stamps % np.repeat(size, counted.lengths))
        good = on >= ON * counted.lengths
        sure = (counted.lengths > 3) & (often * 2 >= counted.lengths - 1)
        phase = residue * DAY + clock[some.first[:-1][hits]]
        found.put(where[hits[good]], family, size[good], phase[good], sure[good])


def _business(runs: Runs, found: Found, where: Ints) -> None:
    """Series of days without Saturdays and Sundays, most of the other days being there."""
    if not len(where):
        return
    some = runs.pick(where)
    days, clock = np.divmod(some.stamps, DAY)
    same = clock == np.repeat(clock[some.first[:-1]], some.lengths)
    week = some.reduce(np.logical_and, same & ((days - 4) % 7 < 5)) > 0
    first, last = days[some.first[:-1]], days[some.first[1:] - 1]
    span = business_days(last) - business_days(first) + 1
    hits = np.flatnonzero(week & (last - first >= span + 2) & (some.lengths >= 0.6 * span))
    found.put(where[hits], BUSINESS, np.ones(len(hits), dtype=np.int64), clock[some.first[:-1]][hits], True)


def adopt(stamps: Stamps, found: Found) -> None:
    """Give series that are not sure of their clock one that others are sure of and that all their rows are on."""
    unsure = np.flatnonzero(~found.sure)
    sure = found.sure if found.sure.any() else ~np.isin(found.family, (UNKNOWN, IRREGULAR))
    known, often = np.unique(np.stack([found.family, found.size, found.phase])[:, sure], axis=1, return_counts=True)
    for k in np.argsort(-often, kind="stable"):
        family, size, phase = (int(v) for v in known[:, k])
        if not len(unsure):
            break
        some = stamps.on(family).pick(unsure)
        positions, on = clock_of(family, size, phase, stamps, 0).positions(some.stamps)
        span = positions[some.first[1:] - 1] - positions[some.first[:-1]]
        hits = (some.reduce(np.logical_and, on) > 0) & (
            (found.family[unsure] != IRREGULAR) | (span < 4 * SPARSE * some.lengths)
        )
        found.put(unsure[hits], family, size, phase)
        unsure = unsure[~hits]


def clock_of(family: int, size: int, phase: int, stamps: Stamps, start: int) -> Clock:
    """The clock of this kind whose origin is its last tick at or before the stamp `start`."""
    if family == IRREGULAR:
        return Clock("irregular", pd.Timestamp(0).as_unit("us"), "", size, stamps.timezone)
    if stamps.integer:
        return Clock("integer", phase + (start - phase) // size * size, size)
    tick, alias = phase, fixed_alias(size, days=family == DAYS)
    if family == DAYS and size % (7 * DAY) == 0:
        alias = f"{'' if size == 7 * DAY else size // (7 * DAY)}W-{WEEKDAYS[(phase // DAY + 3) % 7]}"
    if family in (MONTH, MONTH_END):
        ends = family == MONTH_END
        alias = _month_alias(size, phase // DAY, ends)
        tick = int(month_days(np.array([phase // DAY + ends]))[0] - ends) * DAY + phase % DAY
    if family == BUSINESS:
        alias, tick = "B", 4 * DAY + phase
    return _from(Clock("time", time_of(tick), alias, timezone=stamps.timezone), start)


def _from(clock: Clock, start: int) -> Clock:
    """The same clock with its origin at the last tick at or before the stamp `start`."""
    position, _ = clock.positions(np.array([start]))
    return replace(clock, origin=time_of(int(clock.stamps(position)[0])))


def _month_alias(size: int, month: int, ends: bool) -> str:
    """The alias of so many months: MS, QS-JAN, YS-APR, 2MS; ME, QE-DEC, YE-MAR."""
    letter = "E" if ends else "S"
    if size == 3:
        return f"Q{letter}-{MONTHS[(month % 3) + 9 if ends and month % 3 == 2 else month % 3]}"
    if size == 12:
        return f"Y{letter}-{MONTHS[month % 12]}"
    return f"{'' if size == 1 else size}M{letter}"


def stated(stamps: Stamps, step: str) -> tuple[Clock, int]:
    """The clock with the user's step that most rows are on, and its family."""
    if step == "irregular":
        gaps = stamps.utc.gaps().stamps
        unit = int(np.median(gaps[gaps > 0])) if (gaps > 0).any() else 1
        return clock_of(IRREGULAR, unit, 0, stamps, 0), IRREGULAR
    if stamps.integer:
        return clock_of(FIXED, int(step), _phase(stamps.utc, int(step)), stamps, int(stamps.utc.stamps.min())), FIXED
    parts = Step.of(step)
    family = FIXED if not parts.calendar else DAYS if parts.family == "fixed" else MONTH
    runs = stamps.on(family)
    start = int(runs.stamps.min())
    if parts.family == "fixed" and "W" not in step:
        return clock_of(family, parts.size, _phase(runs, parts.size), stamps, start), family
    clock = Clock("time", time_of(0), step, timezone=stamps.timezone)
    first = clock.offset.rollback(time_of(start // DAY * DAY))
    return replace(clock, origin=time_of(stamp_of(first) + _phase(runs, DAY))), family


def _phase(runs: Runs, size: int) -> int:
    """The most common remainder of all rows."""
    return int(Runs(runs.stamps, np.array([0, len(runs.stamps)])).common(runs.stamps % size)[0][0])

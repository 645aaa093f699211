"""Clocks: from a row's position to its time and back.

A regular clock counts positions: row j of a series that starts at position p has the time `origin + (p + j)·step`,
where the step may be a calendar one (days, weeks, months, business days). An integer clock has plain numbers for
times. On an irregular clock every row has a stamp of its own (microseconds since 1970, UTC) and `unit` microseconds
are one unit of elapsed time. Times are UTC inside. Where a zone is set, calendar steps are counted on its wall clock
(a local day has 23 to 25 hours), the origin of such a clock is a wall time, and times are shown in the zone.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.tseries.frequencies import to_offset

Kind = Literal["time", "integer", "irregular"]
Family = Literal["fixed", "month", "month end", "business day", "other"]
DAY = 86_400_000_000  # microseconds
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True)
class Step:
    """The step of a time clock: so many microseconds, months or business days; `other` is left to pandas."""

    family: Family
    size: int
    calendar: bool  # counted in days of the wall clock or longer

    @classmethod
    @lru_cache(maxsize=256)
    def of(cls, alias: str) -> "Step":
        """The step that a pandas alias names; ValueError where it names none."""
        offset = to_offset(alias)
        if offset is None or offset.n < 1:
            raise ValueError(alias)
        if isinstance(offset, pd.offsets.Tick):
            if offset.nanos % 1000:
                raise ValueError(alias)
            return cls("fixed", offset.nanos // 1000, False)
        if isinstance(offset, (pd.offsets.Day, pd.offsets.Week)):
            return cls("fixed", offset.n * DAY * (7 if isinstance(offset, pd.offsets.Week) else 1), True)
        months = 3 if "Quarter" in type(offset).__name__ else 12 if "Year" in type(offset).__name__ else 1
        if isinstance(offset, (pd.offsets.MonthBegin, pd.offsets.QuarterBegin, pd.offsets.YearBegin)):
            return cls("month", offset.n * months, True)
        if isinstance(offset, (pd.offsets.MonthEnd, pd.offsets.QuarterEnd, pd.offsets.YearEnd)):
            return cls("month end", offset.n * months, True)
        if isinstance(offset, pd.offsets.BusinessDay) and offset.n == 1:
            return cls("business day", 1, True)
        return cls("other", offset.n, True)

    def describe(self, alias: str) -> str:
        """`every hour`, `every quarter`; the alias where there are no words for it."""
        if self.family == "fixed":
            return _every(self.size)
        if self.family in ("month", "month end"):
            words = {1: "every month", 3: "every quarter", 12: "every year"}
            return words.get(self.size, f"every {self.size} months")
        return "every business day" if self.family == "business day" else f"every {alias}"


def _every(microseconds: int) -> str:
    """`every 15 minutes`."""
    units = ((7 * DAY, "week"), (DAY, "day"), (DAY // 24, "hour"), (60_000_000, "minute"), (1_000_000, "second"))
    small = ((1000, "millisecond"), (1, "microsecond"))
    size, name = next((size, name) for size, name in (*units, *small) if microseconds % size == 0)
    count = microseconds // size
    return f"every {name}" if count == 1 else f"every {count} {name}s"


def stamp_of(moment: pd.Timestamp) -> int:
    """Microseconds since 1970."""
    return int(moment.as_unit("us").asm8.astype(np.int64))


def time_of(stamp: int) -> pd.Timestamp:
    """The time of so many microseconds since 1970."""
    return pd.Timestamp(np.datetime64(stamp, "us"))


def fixed_alias(microseconds: int, days: bool = True) -> str:
    """The alias of a fixed step: `15min`, `h`, `D`; `24h` where a day is 24 hours whatever the wall clock does."""
    names = ((DAY, "D"), (DAY // 24, "h"), (60_000_000, "min"), (1_000_000, "s"), (1000, "ms"), (1, "us"))
    unit, name = next((u, n) for u, n in names[not days :] if microseconds % u == 0)
    return name if microseconds == unit else f"{microseconds // unit}{name}"


def months_of(stamps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Months since January 1970, days since the first of the month and microseconds since midnight."""
    days = stamps // DAY
    months = days.astype("datetime64[D]").astype("datetime64[M]")
    first = months.astype("datetime64[D]").astype(np.int64)
    return months.astype(np.int64), days - first, stamps - days * DAY


def month_days(months: NDArray[np.int64]) -> NDArray[np.int64]:
    """Days since 1970 of the first day of these months."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def business_days(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """Weekdays since Monday 5 January 1970; Saturday and Sunday count as the Monday after them."""
    week, weekday = np.divmod(days - 4, 7)
    return week * 5 + np.minimum(weekday, 5)


@dataclass(frozen=True)
class Clock:
    """The common time index of the series of a panel."""

    kind: Kind
    origin: pd.Timestamp | int  # time of position 0
    step: str | int = 1  # pandas offset alias, or the integer step
    unit: int = 0  # irregular: microseconds in one unit of elapsed
    timezone: str | None = None  # zone in which times are shown and calendars read; stamps are UTC

    def times(self, positions: NDArray[np.int64]) -> pd.Index:
        """Times at these positions (regular) or stamps (irregular); naive UTC, or in `timezone` where one is set."""
        positions = np.asarray(positions, dtype=np.int64)
        if self.kind == "integer":
            return pd.Index(self.stamps(positions), name="ds")
        index = pd.DatetimeIndex(self.stamps(positions).astype("datetime64[us]"), name="ds")
        if self.timezone is None:
            return index
        if self.kind == "time" and self._step.calendar:
            standard = np.zeros(len(index), dtype=bool)
            return index.tz_localize(self.timezone, ambiguous=standard, nonexistent="shift_forward")
        return index.tz_localize("UTC").tz_convert(self.timezone)

    def positions(self, stamps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Position of the last tick at or before each stamp, and whether the stamp is that tick.

        Stamps are numbers on an integer clock, else microseconds since 1970: UTC, or wall times on a calendar
        clock with a zone.
        """
        stamps = np.asarray(stamps, dtype=np.int64)
        if self.kind == "irregular":
            return stamps, np.ones(len(stamps), dtype=bool)
        positions = (stamps - int(self.origin)) // int(self.step) if self.kind == "integer" else self._floor(stamps)
        return positions, self.stamps(positions) == stamps

    def until(self, cutoff: pd.Timestamp | int) -> int:
        """The first position (irregular: stamp) that is not before the time `cutoff`."""
        if self.kind == "integer":
            return -((int(self.origin) - int(cutoff)) // int(self.step))
        moment = pd.Timestamp(cutoff)
        if self.timezone is not None:
            moment = moment.tz_localize(self.timezone) if moment.tzinfo is None else moment.tz_convert(self.timezone)
            wall = self.kind == "time" and self._step.calendar
            moment = moment.tz_localize(None) if wall else moment.tz_convert(None)
        elif moment.tzinfo is not None:
            moment = moment.tz_convert(None)
        positions, on = self.positions(np.array([stamp_of(moment.ceil("us"))]))
        return int(positions[0]) + (not on[0])

    @property
    def _step(self) -> Step:
        return Step.of(str(self.step))

    @property
    def _origin(self) -> int:
        return stamp_of(pd.Timestamp(self.origin))

    def stamps(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """What `positions` takes: the stamps of these positions."""
        if self.kind == "irregular":
            return positions
        if self.kind == "integer":
            return int(self.origin) + positions * int(self.step)
        step, origin = self._step, self._origin
        if step.family == "fixed":
            return origin + positions * step.size
        month, _, clock = months_of(np.array([origin]))
        if step.family == "month":
            return month_days(month + positions * step.size) * DAY + clock
        if step.family == "month end":
            return (month_days(month + positions * step.size + 1) - 1) * DAY + clock
        if step.family == "business day":
            week, weekday = np.divmod(business_days(np.array([origin // DAY])) + positions, 5)
            return (week * 7 + weekday + 4) * DAY + clock
        return self._grid(int(positions.min(initial=0)), int(positions.max(initial=0)))[
            positions - int(positions.min(initial=0))
        ]

    def _floor(self, stamps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Position of the last tick at or before each stamp."""
        step, origin = self._step, self._origin
        if step.family == "fixed":
            return (stamps - origin) // step.size
        months, day, clock = months_of(np.append(stamps, origin))
        late = clock[:-1] >= clock[-1]
        if step.family == "month":
            return (months[:-1] - months[-1] - ~(late | (day[:-1] > 0))) // step.size
        if step.family == "month end":
            last = month_days(months[:-1] + 1) - 1 == stamps // DAY
            return (months[:-1] - months[-1] - ~(last & late)) // step.size
        if step.family == "business day":
            days = np.append(stamps // DAY, origin // DAY)
            weekend = (days[:-1] - 4) % 7 > 4
            counts = business_days(days)
            return counts[:-1] - counts[-1] - (weekend | ~late)
        periods = int((stamps.max(initial=origin) - stamps.min(initial=origin)) // DAY) + 2
        low = -periods if len(stamps) and stamps.min() < origin else 0
        return np.searchsorted(self._grid(low, periods), stamps, side="right") - 1 + low

    def _grid(self, low: int, high: int) -> NDArray[np.int64]:
        """Microseconds of the positions low … high of a step that only pandas knows."""
        first = pd.Timestamp(self.origin) + low * self.offset
        index = pd.date_range(first, periods=high - low + 1, freq=self.offset).as_unit("us")
        return index.to_numpy().astype(np.int64)

    @property
    def offset(self) -> pd.offsets.BaseOffset:
        """The step of a time clock."""
        return to_offset(str(self.step))

    @property
    def rows_per_day(self) -> float | None:
        """Rows a day, or None on an integer clock."""
        if self.kind == "integer":
            return None
        if self.kind == "irregular":
            return DAY / self.unit
        start = pd.Timestamp("2024-01-01")
        return 366 * DAY / ((start + 366 * self.offset - start) / pd.Timedelta(microseconds=1))

    @property
    def alias(self) -> str:
        """As the option data.clock takes it: `h`, `MS`, `irregular`."""
        return str(self.step) if self.kind != "irregular" else "irregular"

    def describe(self) -> str:
        """A few words for a person: `every hour`, `every 3 months`, `integer, step 1`, `irregular, mostly every 60 seconds`."""
        if self.kind == "integer":
            return f"integer, step {self.step}"
        if self.kind == "irregular":
            return f"irregular, mostly {_every(self.unit)}"
        return f"{self._step.describe(str(self.step))}{'' if self.timezone is None else f' ({self.timezone})'}"

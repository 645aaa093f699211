"""Wall times to UTC and back.

Where clocks go back an hour comes twice: within a series and a night, rows belong to the second pass from the first
of them that does not come after the one before it. Where clocks go forward an hour does not exist, and a row that
claims it is an error.
"""

import zoneinfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import unknown
from forecast.series.clock import DAY
from forecast.series.read.options import Notes, count, problem
from forecast.series.read.table import Table

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
NAT = np.iinfo(np.int64).min


def check_zone(timezone: str) -> None:
    """A zone by a name that exists."""
    if timezone not in zoneinfo.available_timezones():
        raise unknown(
            "data.timezone",
            timezone,
            zoneinfo.available_timezones() if len(timezone) > 3 else ["UTC", "Europe/Berlin", "America/New_York"],
        )


def wall(stamps: Ints, timezone: str) -> Ints:
    """What the wall clock shows at UTC stamps."""
    index = pd.DatetimeIndex(stamps.astype("datetime64[us]")).tz_localize("UTC").tz_convert(timezone)
    return index.tz_localize(None).to_numpy().astype(np.int64)


def to_utc(
    stamps: Ints, zoned: Flags, bad: Flags, codes: Ints, timezone: str | None, table: Table, notes: Notes
) -> tuple[Ints, Flags]:
    """UTC stamps, and which rows have none because their hour does not exist; without a zone wall times stay."""
    local = ~zoned & ~bad
    if timezone is None:
        if local.any() and zoned.any():
            what = f"a time without UTC offset ({count(int(local.sum()), 'row')}) where others have one"
            raise problem(table.at(int(local.argmax())), what, "data.timezone=UTC names the zone of those without")
        return stamps, bad
    check_zone(timezone)
    if not local.any():
        return stamps, bad
    index = pd.DatetimeIndex(np.where(local, stamps, 0).astype("datetime64[us]"))
    summer = _utc(index, timezone, True)
    winter = _utc(index, timezone, False)
    twice = np.flatnonzero(local & (summer != winter) & (summer != NAT))
    if len(twice):
        late = _second_pass(stamps, codes, twice, table, notes)
        summer[twice[late]] = winter[twice[late]]
    lost = local & (summer == NAT)
    return np.where(local & ~lost, summer, stamps), bad | lost


def _utc(index: pd.DatetimeIndex, timezone: str, summer: bool) -> Ints:
    there = index.tz_localize(timezone, ambiguous=np.full(len(index), summer), nonexistent="NaT")
    return there.tz_convert(None).as_unit("us").to_numpy().astype(np.int64)


def _second_pass(stamps: Ints, codes: Ints, twice: Ints, table: Table, notes: Notes) -> Flags:
    """Which of the rows `twice`, in hours that come twice, belong to the second pass."""
    order = twice if (np.diff(stamps) >= 0).mean() >= 0.5 else twice[::-1]
    order = order[np.lexsort((stamps[order] // DAY, codes[order]))]  # stable: within a night in the order of the file
    night = np.stack([codes[order], stamps[order] // DAY])
    fresh = np.ones(len(order), dtype=bool)
    fresh[1:] = (night[:, 1:] != night[:, :-1]).any(0)
    back = np.zeros(len(order), dtype=np.int64)
    back[1:] = (np.diff(stamps[order]) <= 0) & ~fresh[1:]
    starts = np.flatnonzero(fresh)
    passed = np.cumsum(back)
    second = passed - np.repeat(passed[starts], np.diff([*starts, len(order)])) > 0
    alone = np.logical_or.reduceat(second, starts)
    nights = int((~alone).sum())
    if nights:
        row = int(order[starts[~alone][0]])
        notes.repair(
            "clock change",
            nights,
            f"{table.at(row)}: an hour that came twice is there once, taken as summer time ({count(nights, 'night')})",
        )
    late = np.zeros(len(stamps), dtype=bool)
    late[order[second]] = True
    return late[twice]

"""Spans of time that come again every day or every week, by the clock of a zone.

    '02:00-03:30'  every day     'Sun 02:00-04:00'  every Sunday     'Mon-Fri 12:00-13:00'  five days     'Sat 22:00-Sun 04:00'  over midnight
An end that is not after its start is of the next day. An hour that the clock goes through twice is inside as a whole; of one that it leaves out
nothing is. Times here are microseconds since 1970, UTC.
"""

import re
from functools import lru_cache
from typing import NamedTuple, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.errors import InputError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY, _TIME = r"([a-z]{3})", r"(\d{1,2}):(\d\d)"
SHAPE = re.compile(rf"(?:{_DAY}(?:-{_DAY})? )?{_TIME} ?- ?(?:{_DAY} )?{_TIME}")
MINUTES, FIRST_DAY = 24 * 60, 3  # 1970 began on a Thursday
FIRST, LAST = 0, 47_482  # days since 1970 in which spans come again: to the end of 2099
DAY = MINUTES * 60_000_000


class Recurring(NamedTuple):
    """Some days of the week, and minutes since their midnight."""

    days: tuple[int, ...]  # 0 is Monday
    start: int
    end: int
    zone: str

    @classmethod
    def of(cls, word: str, zone: str, where: str) -> Self:
        """Read from a word."""
        found = SHAPE.fullmatch(word.strip().lower())
        parts = found.groups() if found else ()
        named = [part for part in (parts[0], parts[1], parts[4]) if part] if parts else []
        if not parts or not set(named) <= set(DAYS) or (parts[4] and (parts[1] or not parts[0])):
            raise InputError(
                f"{where}={word!r}: write 02:00-03:30, Sun 02:00-04:00, Mon-Fri 12:00-13:00 or Sat 22:00-Sun 04:00"
            )
        start, end = (60 * int(parts[k]) + int(parts[k + 1]) for k in (2, 5))
        if start >= MINUTES or end > MINUTES or int(parts[3]) > 59 or int(parts[6]) > 59:
            raise InputError(f"{where}={word!r} is no time of the day; write 22:00-24:00")
        if parts[4]:
            first = DAYS.index(parts[0])
            ahead = (DAYS.index(parts[4]) - first) % 7
            return cls((first,), start, end + MINUTES * (7 if ahead == 0 and end <= start else ahead), zone)
        end += MINUTES if end <= start else 0
        if not parts[0]:
            return cls(tuple(range(7)), start, end, zone)
        first = DAYS.index(parts[0])
        count = (DAYS.index(parts[1]) - first) % 7 + 1 if parts[1] else 1
        return cls(tuple(sorted((first + k) % 7 for k in range(count))), start, end, zone)

    def spans(self, first: int, last: int) -> NDArray[np.int64]:
        """Starts and ends (N 2) of the spans within first ≤ t < last, those at its edges cut."""
        every = _spans(self)
        low, high = np.searchsorted(every[:, 1], first, "right"), np.searchsorted(every[:, 0], last)
        return every[low:high].clip(first, last)


@lru_cache(maxsize=64)
def _spans(one: Recurring) -> NDArray[np.int64]:
    days = np.arange(FIRST, LAST)
    days = days[np.isin((days + FIRST_DAY) % 7, one.days)] * MINUTES
    edges = []
    for minute, twice in ((one.start, True), (one.end, False)):
        there = pd.DatetimeIndex(((days + minute) * 60_000_000).astype("datetime64[us]"))
        known = there.tz_localize(one.zone, ambiguous=np.full(len(days), twice), nonexistent="shift_forward")
        edges.append(known.tz_convert("UTC").as_unit("us").asi8)
    both = np.stack(edges, 1)
    return both[both[:, 0] < both[:, 1]]

"""Clocks: from a row's position to its time and back.

A regular clock counts positions: row j of a series that starts at position p has the time `origin + (p + j)·step`, where the step
may be a calendar one (months, business days). An integer clock has plain numbers for times. On an irregular clock every row has
a stamp of its own (microseconds since 1970, UTC) and `unit` microseconds are one unit of elapsed time.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["time", "integer", "irregular"]
DAY = 86_400_000_000  # microseconds


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
        if self.kind == "integer":
            return pd.Index(int(self.origin) + positions * int(self.step), name="ds")
        if self.kind == "irregular":
            return self._local(pd.DatetimeIndex(positions.astype("datetime64[us]"), name="ds"))
        if len(positions) == 0:
            return self._local(pd.DatetimeIndex([], dtype="datetime64[us]", name="ds"))
        low, high = int(positions.min()), int(positions.max())
        first = pd.Timestamp(self.origin) + low * self.offset
        index = pd.date_range(first, periods=high - low + 1, freq=self.offset).as_unit("us")
        return self._local(pd.DatetimeIndex(index[positions - low], name="ds", freq=None))

    def _local(self, index: pd.DatetimeIndex) -> pd.DatetimeIndex:
        return index if self.timezone is None else index.tz_localize("UTC").tz_convert(self.timezone)

    @property
    def offset(self) -> pd.DateOffset:
        """The step of a time clock."""
        return pd.tseries.frequencies.to_offset(str(self.step))

    @property
    def rows_per_day(self) -> float | None:
        """Rows a day, or None on an integer clock."""
        if self.kind == "integer":
            return None
        if self.kind == "irregular":
            return DAY / self.unit
        start = pd.Timestamp("2024-01-01")
        return 366 * DAY / ((start + 366 * self.offset - start) / pd.Timedelta(microseconds=1))

    def describe(self) -> str:
        """A few words for a person: `1 hour`, `step 1`, `irregular, mostly 60 s`."""
        if self.kind == "integer":
            return f"integer, step {self.step}"
        if self.kind == "irregular":
            return f"irregular, mostly {pd.Timedelta(microseconds=self.unit)}"
        return f"{self.offset.freqstr}{'' if self.timezone is None else f' ({self.timezone})'}"

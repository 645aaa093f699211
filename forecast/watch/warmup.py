"""When a sensor has seen enough to be scored, and which seasons its first rows show; pure functions of its own rows.

A season counts once three of it were seen. So the search is done again where a longer one of the calendar may come into sight:
after three days, and after three weeks where a day was found (what repeats daily as a rule rests on Sundays), as long as that
takes no more rows than `longest`. Scored earlier, every first weekend would be an alarm.
"""

import struct
from typing import NamedTuple, Self

import numpy as np
import torch

from forecast.series.clock import DAY, Clock, fixed_alias, time_of
from forecast.series.panel import panel_of
from forecast.series.season import CYCLES, calendar_lags, seasons_of
from forecast.watch.readings import Floats, Ints

SPARSE = 4  # grid points to a row, from which on rows are too irregular to have a season
SECOND = 1e6
NEAR = 0.05  # of a day: a season that short rows took for 47 half hours is one


PAIR = np.dtype([("time", "<i8"), ("value", "<f8")])
HEAD = struct.Struct("<qqdqqqqq")
SIZE = HEAD.size


class Plan(NamedTuple):
    """How long a sensor warms up."""

    rows: int = 300  # at least
    longest: int = 3072  # rows at most, where a longer season may come into sight
    season: int | None = None  # rows; None: found, 1: none


class Head(NamedTuple):
    """The beginning of a sensor's record: how far it is."""

    number: int  # of its bank; 0 while it warms up
    last: int  # time of its last row
    step: float  # usual distance of two rows, microseconds
    goal: int  # rows at which the next decision is due; once it is scored: its alarms of late (`forecast.watch.strain`)
    since: int  # time of the last row of the warm-up
    start: int  # place of that row in the stream
    kept: int = 0  # rows that were kept for refits, the warm-up's among them
    base: int = 0  # those of the warm-up

    @classmethod
    def of(cls, record: bytes) -> Self:
        """Read from a record."""
        return cls(*HEAD.unpack_from(record))


HEADS = np.dtype([(name, "<f8" if name == "step" else "<i8") for name in Head._fields])  # heads as records hold them


class Warming:
    """The rows of a sensor that warms up, and how many it takes until the next decision."""

    def __init__(self, goal: int, times: list[int] | None = None, values: list[float] | None = None) -> None:
        self.goal, self.times, self.values = goal, times or [], values or []

    def take(self, times: Ints, values: Floats) -> int:
        """Take rows up to the goal; answers how many."""
        count = min(len(times), self.goal - len(self.times))
        self.times += times[:count].tolist()
        self.values += values[:count].tolist()
        return count

    @property
    def full(self) -> bool:
        """Whether it is time to decide."""
        return len(self.times) >= self.goal

    def observed(self) -> int:
        """Rows that are not missing."""
        return sum(value == value for value in self.values)

    def packed(self) -> bytes:
        """The rows as bytes."""
        return np.array(list(zip(self.times, self.values, strict=True)), dtype=PAIR).tobytes()

    @classmethod
    def of(cls, goal: int, data: bytes) -> Self:
        """From the bytes of rows."""
        rows = np.frombuffer(data, dtype=PAIR)
        return cls(goal, rows["time"].tolist(), rows["value"].tolist())

    def go_on(self, goal: int, longest: int) -> None:
        """Take more rows, and let go of the oldest where they are too many."""
        spare = max(goal - longest, 0)
        del self.times[:spare], self.values[:spare]
        self.goal = goal - spare


def first_goal(plan: Plan) -> int:
    """Rows until the first decision."""
    return max(plan.rows, min(CYCLES * (plan.season or 1), plan.longest))


def step_of(times: Ints) -> float:
    """The usual distance of two rows, microseconds."""
    gaps = np.diff(times)
    return float(np.median(gaps)) if len(gaps) else SECOND


def found(times: Ints, values: Floats, plan: Plan) -> tuple[int, ...]:
    """The seasons of a sensor's rows, the leading one first."""
    if plan.season is not None:
        return (plan.season,) if plan.season > 1 else ()
    step = round(step_of(times))
    if step < 1:
        return ()
    at = np.round((times - times[0]) / step).astype(np.int64)
    if at[-1] >= SPARSE * len(at):
        return ()
    grid = np.full(at[-1] + 1, np.nan)
    grid[at] = values
    return seasons_of(panel_of([torch.from_numpy(grid[:, None])], _clock(times, step)), one=True)


def next_goal(times: Ints, seasons: tuple[int, ...], plan: Plan) -> int | None:
    """Rows after which the next longer season of the calendar would be seen; None where there is nothing to wait for."""
    step = round(step_of(times))
    if plan.season is not None or step < 1:
        return None
    for lag in calendar_lags(_clock(times, step)):
        if CYCLES * lag <= len(times):
            continue
        day = any(abs(season * step - DAY) < NEAR * DAY for season in seasons)
        worth = lag * step < 1.5 * DAY or (day and lag * step < 7.5 * DAY)
        return CYCLES * lag if worth and CYCLES * lag <= plan.longest else None
    return None


def _clock(times: Ints, step: int) -> Clock:
    return Clock("time", time_of(int(times[0])), fixed_alias(step))

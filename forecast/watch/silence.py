"""Sensors that say nothing while others go on, noticed in event time alone.

    stream time = the newest time among all rows so far;  mark of a sensor = stream time at its last row
    A source in parts (partitions of a topic) has a stream time for each part: one may be read far ahead of the others.
A sensor is silent once the stream is further than `limit` beyond its mark, and until its next row; time in which it is maintained and its alarms are
not told does not count (`due`). A stream that stands still makes
nobody silent, nor does a sensor whose clock is behind the others'. What is noticed depends on the rows and their order, and on
no batch: of every row it is known what the stream time was before it.
"""

from collections.abc import Callable

import numpy as np

from forecast.watch.arrival import Rows
from forecast.watch.events import Change, Event, Point, Told
from forecast.watch.moments import NONE
from forecast.watch.readings import Ints

NAN = float("nan")
KIND, SEVERITY = "silent", "major"


Due = Callable[[int, int, int], int]  # sensor, mark, limit → the moment from which on it is silent


def at_once(sensor: int, mark: int, limit: int) -> int:
    """Without any maintenance."""
    return mark + limit


class Silence:
    """The marks of all sensors."""

    def __init__(self, due: Due = at_once) -> None:
        self.due = due
        self.streams: dict[int, int] = {}  # part of the source → its newest time; 0 where it has no parts
        self.part = np.zeros(0, dtype=np.int64)  # of each sensor, by its last row
        self.mark = np.zeros(0, dtype=np.int64)
        self.silent = np.zeros(0, dtype=bool)

    def grow(self, count: int) -> None:
        """Room for `count` sensors."""
        more = count - len(self.mark)
        self.mark = np.concatenate([self.mark, np.full(more, NONE)])
        self.silent = np.concatenate([self.silent, np.zeros(more, dtype=bool)])
        self.part = np.concatenate([self.part, np.zeros(more, dtype=np.int64)])

    @property
    def stream(self) -> int:
        """The newest time of all parts; NONE before the first row."""
        return max(self.streams.values(), default=NONE)

    def notice(self, rows: Rows, limit: Ints, begun: Ints, part: int = 0) -> list[Told]:
        """Rows of one part as they came. `limit` (S) microseconds, 0 where none is known; `begun` (S): the row from which it counts."""
        if len(rows.who) == 0:
            return []
        top = np.maximum.accumulate(np.concatenate([[self.streams.get(part, NONE)], rows.time]))  # before row i: top[i]
        by = np.argsort(rows.who, kind="stable")
        who = rows.who[by]
        first = np.diff(who, prepend=-1) != 0
        before = np.where(first, self.mark[who], np.roll(top[by + 1], 1))
        known = np.where(first, begun[who] < rows.order[0], begun[who] <= np.roll(rows.order[by], 1))
        back = np.flatnonzero(first & self.silent[who]).tolist()
        out = [self._closed(int(who[i]), int(before[i]), int(limit[who[i]]), rows, top, int(by[i])) for i in back]
        counts = known & (limit[who] > 0) & (before != NONE) & ~(first & self.silent[who])
        gone = np.flatnonzero(counts & (_since(top[by], before) > limit[who]))
        for i in gone.tolist():
            sensor, mark = int(who[i]), int(before[i])
            if top[by[i]] > self.due(sensor, mark, int(limit[sensor])):
                out.append(self._opened(sensor, mark, int(limit[sensor]), rows, top))
                out.append(self._closed(sensor, mark, int(limit[sensor]), rows, top, int(by[i])))
        last = np.flatnonzero(np.append(first[1:], True))
        self.mark[who[last]] = top[by[last] + 1]
        self.silent[who], self.part[who], self.streams[part] = False, part, int(top[-1])
        return out + self._fallen_silent(rows, top, limit, part)

    def _fallen_silent(self, rows: Rows, top: Ints, limit: Ints, part: int) -> list[Told]:
        """Sensors of a part that are silent at the end of its rows, and were not before."""
        there = (limit > 0) & (self.mark != NONE) & ~self.silent & (self.part == part)
        long = np.flatnonzero(there & (_since(np.full(len(limit), top[-1]), self.mark) > limit)).tolist()
        gone = [s for s in long if top[-1] > self.due(s, int(self.mark[s]), int(limit[s]))]
        self.silent[gone] = True
        return [self._opened(sensor, int(self.mark[sensor]), int(limit[sensor]), rows, top) for sensor in gone]

    def _opened(self, sensor: int, mark: int, limit: int, rows: Rows, top: Ints) -> Told:
        due = self.due(sensor, mark, limit)
        row = max(int(np.searchsorted(top, due, "right")) - 1, 0)
        return Told(int(rows.order[row]), due, sensor, Change("open", _event(mark, due, 1)))

    def _closed(self, sensor: int, mark: int, limit: int, rows: Rows, top: Ints, at: int) -> Told:
        end = int(top[at + 1])
        event = _event(mark, self.due(sensor, mark, limit), 2)._replace(end=end)
        return Told(int(rows.order[at]), end, sensor, Change("closed", event))


def _since(now: Ints, mark: Ints) -> Ints:
    """Time since a mark; 0 where there is none."""
    return np.where(mark == NONE, 0, now - np.where(mark == NONE, 0, mark))


def _event(start: int, detected: int, revision: int) -> Event:
    """A silence since `start`."""
    nothing = Point(start, NAN, NAN, False, NAN, NAN, NAN, NAN, KIND)
    return Event(start, detected, detected, KIND, nothing, 0, 0, detected, SEVERITY, revision)

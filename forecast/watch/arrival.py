"""In which order readings count: event time, a watermark for every sensor, and what comes too late.

    watermark of a sensor = its newest time so far − allowed lateness
A reading at or before its sensor's watermark is late (or repeated, if that very time was taken lately) and put aside; all others
wait until the watermark reaches them and are released in the order of their times. Every decision depends on the sensor's own
rows in the order they came, and on nothing else: not on batches, not on other sensors.
"""

from bisect import bisect_right, insort
from collections import deque
from typing import NamedTuple

import numpy as np

from forecast.watch.moments import NONE
from forecast.watch.readings import Flags, Floats, Ints


class Rows(NamedTuple):
    """Readings by sensor number; `order` is the place in the stream of the row that released it."""

    who: Ints
    time: Ints
    value: Floats
    order: Ints

    def take(self, index: Ints | Flags) -> "Rows":
        """Some of the rows."""
        return Rows(self.who[index], self.time[index], self.value[index], self.order[index])


class Sorted(NamedTuple):
    """What became of rows: those that count, in order within each sensor, and the places of those that do not."""

    released: Rows
    late: Ints
    repeated: Ints


class Arrival:
    """The watermarks of all sensors and the rows that wait for them."""

    def __init__(self, lateness: int, memory: int) -> None:
        self.lateness, self.memory = lateness, memory
        self.newest = np.zeros(0, dtype=np.int64)
        self.taken = np.zeros((0, memory), dtype=np.int64)  # a ring of the last times of each sensor
        self.turn = np.zeros(0, dtype=np.int64)
        self.waiting: dict[int, list[tuple[int, float]]] = {}

    def grow(self, count: int) -> None:
        """Room for `count` sensors."""
        more = count - len(self.newest)
        self.newest = np.concatenate([self.newest, np.full(more, NONE)])
        self.taken = np.concatenate([self.taken, np.full((more, self.memory), NONE)])
        self.turn = np.concatenate([self.turn, np.zeros(more, dtype=np.int64)])

    def sort(self, rows: Rows) -> Sorted:
        """Take rows in the order they came."""
        if len(rows.who) == 0:
            return Sorted(rows, rows.order, rows.order)
        order = np.argsort(rows.who, kind="stable")
        mine = rows.take(order)
        late = np.zeros(len(order), dtype=bool)
        again = np.zeros(len(order), dtype=bool)
        starts = np.flatnonzero(np.diff(mine.who, prepend=-1))
        ends = np.append(starts[1:], len(order))
        heads = mine.who[starts]
        rising = np.ones(len(order), dtype=bool)
        rising[1:] = np.diff(mine.time) > 0
        rising[starts] = mine.time[starts] > self.newest[heads]
        steady = np.logical_and.reduceat(rising, starts)
        parts = []
        if self.lateness == 0:
            smooth = np.repeat(steady, ends - starts)
            for start, end in zip(starts[~steady].tolist(), ends[~steady].tolist(), strict=True):
                self._judge(mine, start, end, late, again)
            kept = mine.take(smooth | ~(late | again))
            self._note(kept)
            parts.append(kept)
        else:
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
                parts.append(self._wait(mine, start, end, late, again))
        return Sorted(_joined(parts), np.sort(order[late]), np.sort(order[again]))

    def _judge(self, rows: Rows, start: int, end: int, late: Flags, again: Flags) -> None:
        """Which rows of one sensor come too late, and which are repeated: among its last times, or among those that wait."""
        who = int(rows.who[start])
        newest, turn = int(self.newest[who]), int(self.turn[who])
        recent = deque(np.roll(self.taken[who], -(turn % self.memory) if self.memory else 0).tolist(), self.memory)
        waiting = {time for time, _ in self.waiting.get(who, [])}
        for i in range(start, end):
            time = int(rows.time[i])
            if newest != NONE and time <= newest - self.lateness:
                (again if time in recent else late)[i] = True
            elif time in waiting:
                again[i] = True
            else:
                recent.append(time)
                newest = max(newest, time)
                if self.lateness:
                    waiting = {other for other in waiting if other > newest - self.lateness} | {time}

    def _wait(self, rows: Rows, start: int, end: int, late: Flags, again: Flags) -> Rows:
        """Rows of one sensor into its queue; those that the watermark has reached come out."""
        self._judge(rows, start, end, late, again)
        fine = np.arange(start, end)[~(late | again)[start:end]]
        who = int(rows.who[start])
        queue, newest = self.waiting.pop(who, []), int(self.newest[who])
        self._note(rows.take(fine))
        out: list[tuple[int, float, int]] = []
        for i in fine.tolist():
            time = int(rows.time[i])
            insort(queue, (time, float(rows.value[i])), key=lambda pair: pair[0])
            if time > newest:
                newest = time
                reached = bisect_right(queue, newest - self.lateness, key=lambda pair: pair[0])
                out += [(*pair, int(rows.order[i])) for pair in queue[:reached]]
                del queue[:reached]
        if queue:
            self.waiting[who] = queue
        return _rows(who, out)

    def flush(self, order: int) -> Rows:
        """Everything that still waits: the source has come to its end."""
        parts = [_rows(who, [(*pair, order) for pair in queue]) for who, queue in sorted(self.waiting.items())]
        self.waiting = {}
        return _joined(parts)

    def _note(self, rows: Rows) -> None:
        """Remember the newest times of each sensor."""
        if not len(rows.who):
            return
        np.maximum.at(self.newest, rows.who, rows.time)
        if self.memory == 0:
            return
        starts = np.flatnonzero(np.diff(rows.who, prepend=-1))
        counts = np.diff(np.append(starts, len(rows.who)))
        rank = np.arange(len(rows.who)) - np.repeat(starts, counts)
        self.taken[rows.who, (self.turn[rows.who] + rank) % self.memory] = rows.time
        self.turn[rows.who[starts]] += counts


def _joined(parts: list[Rows]) -> Rows:
    """Rows one after the other."""
    if len(parts) == 1:
        return parts[0]
    return Rows(*(np.concatenate(columns) for columns in zip(*parts, strict=True))) if parts else _rows(0, [])


def _rows(who: int, out: list[tuple[int, float, int]]) -> Rows:
    times, values, orders = zip(*out, strict=True) if out else ((), (), ())
    return Rows(
        np.full(len(out), who, dtype=np.int64),
        np.array(times, dtype=np.int64),
        np.array(values, dtype=np.float64),
        np.array(orders, dtype=np.int64),
    )

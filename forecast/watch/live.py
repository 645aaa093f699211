"""Readings scored by a model and a detector: `forecast.detect.Monitor` over all sensors that have seen enough.

A sensor warms up on its own rows (`forecast.watch.warmup`): seasons, parameters and tails are estimated from these alone, and from
the next row on it is scored. Elapsed time is counted in the sensor's own usual step. Sensors of the same seasons and step share
a bank (`forecast.watch.bank`).

    record of a sensor:  bank + 1, 0 while it warms up · last time · step · rows to the next decision · time and place in the
                         stream of the row with which it became active (i64 i64 f64 3 × i64), then the rows of the warm-up, or
                         the moving leaves of its machine
What moves no more once it is estimated is kept apart, and written once.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from forecast.detect.detector import Detector
from forecast.detect.evidence import KINDS
from forecast.models.forecaster import Forecaster
from forecast.watch import warmup
from forecast.watch.arrival import Rows
from forecast.watch.bank import Bank, Key
from forecast.watch.readings import Floats, Ints
from forecast.watch.records import DamagedError
from forecast.watch.scorer import Scored, Scorer, missing
from forecast.watch.warmup import HEADS, SIZE, Head, Plan, Warming


class Ready(NamedTuple):
    """A sensor's warm-up, come to its end."""

    sensor: int
    since: int
    values: Floats
    elapsed: Floats
    key: Key


class Live(Scorer):
    """Scores of a forecaster and a detector."""

    kinds = KINDS

    def __init__(
        self,
        name: str,
        model: Callable[[tuple[int, ...]], Forecaster],  # for rows of these seasons
        detector: Callable[[float], Detector],  # for rows so many microseconds apart
        plan: Plan,
    ) -> None:
        self.name, self.model, self.detector = name, model, detector
        self.needs = model(()).needs
        self.plan = plan._replace(rows=max(plan.rows, self.needs + 2))
        self.banks: list[Bank] = []
        self.bank = np.zeros(0, dtype=np.int64)  # of each sensor, -1 while it warms up
        self.place = np.zeros(0, dtype=np.int64)  # in its bank
        self.last = np.zeros(0, dtype=np.int64)
        self.step = np.zeros(0, dtype=np.float64)  # microseconds
        self.since = np.zeros(0, dtype=np.int64)  # time of the last row of the warm-up
        self.start = np.zeros(0, dtype=np.int64)  # its place in the stream
        self.warming: dict[int, Warming] = {}
        self._fresh: list[int] = []  # sensors whose fixed part is not written yet
        self._all: set[int] = set()  # banks whose records have another shape than those that were written

    def grow(self, names: Sequence[str]) -> None:
        count = len(names)
        self.bank = np.concatenate([self.bank, np.full(count, -1)])
        self.place = np.concatenate([self.place, np.full(count, -1)])
        none = np.zeros(count, dtype=np.int64)
        self.last, self.since = np.concatenate([self.last, none]), np.concatenate([self.since, none])
        self.start = np.concatenate([self.start, none])
        self.step = np.concatenate([self.step, np.ones(count)])

    def observe(self, rows: Rows) -> Scored:
        out = missing(len(rows.who))
        left = np.arange(len(rows.who))
        if (self.bank[rows.who] < 0).any():
            left = self._warm_up(rows)
        if len(left):
            self._score(rows, left, out)
        return out

    def _warm_up(self, rows: Rows) -> Ints:
        """Rows of sensors that warm up, taken until they are ready; the places of all others."""
        waiting = self.bank[rows.who] < 0
        order = np.flatnonzero(waiting)
        order = order[np.argsort(rows.who[order], kind="stable")]
        starts = np.flatnonzero(np.diff(rows.who[order], prepend=-1))
        left, ready = [np.flatnonzero(~waiting)], []
        for mine in np.split(order, starts[1:]):
            taken, one = self._take(int(rows.who[mine[0]]), rows.time[mine], rows.value[mine])
            left.append(mine[taken:])
            if one is not None:
                ready.append((int(mine[taken - 1]), one))
        for at, one in sorted(ready, key=lambda pair: pair[0]):
            self._activate(one, int(rows.order[at]))
        return np.sort(np.concatenate(left))

    def _take(self, sensor: int, times: Ints, values: Floats) -> tuple[int, Ready | None]:
        """Rows into a sensor's warm-up: how many, and what it comes to if it ends."""
        warming = self.warming.setdefault(sensor, Warming(warmup.first_goal(self.plan)))
        taken = 0
        while True:
            taken += warming.take(times[taken:], values[taken:])
            if not warming.full:
                return taken, None
            one = self._decided(sensor, warming)
            if one is not None:
                del self.warming[sensor]
                return taken, one

    def _decided(self, sensor: int, warming: Warming) -> Ready | None:
        """At its goal: it is ready, or has a further goal."""
        rows, plan = len(warming.times), self.plan
        times, values = np.array(warming.times, dtype=np.int64), np.array(warming.values)
        least = max(self.needs, plan.rows // 2)
        goal: int | None = rows + max(plan.rows // 10, 1)
        if warming.observed() >= least:
            seasons = warmup.found(times, values, plan)
            goal = warmup.next_goal(times, seasons, plan)
            if goal is None:
                return self._ready(sensor, times, values, seasons)
        assert goal is not None
        warming.go_on(goal, max(plan.longest, plan.rows))
        return None

    def _ready(self, sensor: int, times: Ints, values: Floats, seasons: tuple[int, ...]) -> Ready:
        step = warmup.step_of(times)
        self.last[sensor], self.step[sensor] = times[-1], step
        elapsed = np.concatenate([[1.0], np.diff(times) / step])
        return Ready(sensor, int(times[-1]), values, elapsed, Key(seasons, float(f"{step:.1e}")))

    def _activate(self, one: Ready, order: int) -> None:
        """Estimate it, and give it a place."""
        number, sensor = self._number(one.key), one.sensor
        bank = self.banks[number]
        (self.place[sensor],) = bank.add([bank.prepare(one.values, one.elapsed)])
        self.bank[sensor], self.since[sensor], self.start[sensor] = number, one.since, order
        self._fresh.append(sensor)

    def _number(self, key: Key) -> int:
        """The bank of a key, made where there is none."""
        for number, bank in enumerate(self.banks):
            if bank.key == key:
                return number
        self.banks.append(Bank(key, self.model(key.seasons), self.detector(key.step)))
        return len(self.banks) - 1

    def _score(self, rows: Rows, left: Ints, out: Scored) -> None:
        """Rows of active sensors, as many at once as all of those at hand have."""
        order = left[np.argsort(rows.who[left], kind="stable")]
        starts = np.flatnonzero(np.diff(rows.who[order], prepend=-1))
        counts = np.diff(np.append(starts, len(order)))
        sensors = rows.who[order[starts]]
        before = self.last[sensors]
        done = 0
        for count in np.unique(counts).tolist():
            on = counts >= count
            grid = order[starts[on][:, None] + np.arange(done, count)]
            times = rows.time[grid]
            gaps = np.diff(times, axis=1, prepend=before[on][:, None])
            before[on] = times[:, -1]
            elapsed = gaps / self.step[sensors[on]][:, None]
            self._rows(sensors[on], rows.value[grid], elapsed, grid, out)
            done = count
        self.last[sensors] = before

    def _rows(self, sensors: Ints, values: Floats, elapsed: Floats, grid: Ints, out: Scored) -> None:
        """A block of sensors × rows, bank by bank."""
        banks = self.bank[sensors]
        for number in np.unique(banks).tolist():
            mine = slice(None) if (banks == number).all() else np.flatnonzero(banks == number)
            bank = self.banks[number]
            if bank.rows(self.place[sensors[mine]], values[mine], elapsed[mine], grid[mine], out):
                self._all.add(number)

    def steps(self, count: int) -> Floats:
        return np.where(self.bank >= 0, self.step, 0.0)

    def begun(self, count: int) -> Ints:
        return self.start

    def changed(self) -> Ints:
        every = np.flatnonzero(np.isin(self.bank, list(self._all)))
        self._all = set()
        self._fresh = [sensor for sensor in self._fresh if sensor not in set(every.tolist())] + every.tolist()
        return every

    def header(self) -> bytes | None:
        if not any(bank.news for bank in self.banks):
            return None
        for bank in self.banks:
            bank.news = False
        return b"".join(bank.header() for bank in self.banks)

    def take_header(self, header: bytes) -> None:
        while header:
            bank, length = Bank.of(header)
            self.banks.append(bank)
            header = header[length:]

    def records(self, who: Ints) -> list[bytes]:
        heads = np.zeros(len(who), dtype=HEADS)
        columns = (self.bank + 1, self.last, self.step, None, self.since, self.start)
        for name, column in zip(Head._fields, columns, strict=True):
            if column is not None:
                heads[name] = column[who]
        if self.warming:
            heads["goal"] = [self.warming[sensor].goal if sensor in self.warming else 0 for sensor in who.tolist()]
        data, rest = heads.tobytes(), self._machines(who, moving=True)
        for i in np.flatnonzero(self.bank[who] < 0).tolist():
            warming = self.warming.get(int(who[i]))
            rest[i] = b"" if warming is None else warming.packed()
        return [data[at : at + SIZE] + own for at, own in zip(range(0, len(data), SIZE), rest, strict=True)]

    def fixed(self) -> list[tuple[int, bytes]]:
        fresh, self._fresh = self._fresh, []
        return list(zip(fresh, self._machines(np.array(fresh, dtype=np.int64), moving=False), strict=True))

    def _machines(self, who: Ints, moving: bool) -> list[bytes]:
        """The leaves of these sensors that move, or those that do not; nothing of those that warm up."""
        out = [b""] * len(who)
        for number, bank in enumerate(self.banks):
            if (self.bank[who] == number).all():
                return bank.bytes_of(self.place[who], moving)
            mine = np.flatnonzero(self.bank[who] == number)
            for i, data in zip(mine.tolist(), bank.bytes_of(self.place[who[mine]], moving), strict=True):
                out[i] = data
        return out

    def restore(self, records: Sequence[bytes], fixed: dict[int, bytes]) -> None:
        mine: list[list[int]] = [[] for _ in self.banks]
        for sensor, record in enumerate(records):
            number, self.last[sensor], self.step[sensor], goal, self.since[sensor], self.start[sensor] = Head.of(record)
            if number > len(self.banks):
                raise DamagedError("the store has states of sensors but no header to read them by")
            self.bank[sensor] = number - 1
            if number:
                mine[number - 1].append(sensor)
            elif goal:
                self.warming[sensor] = Warming.of(goal, record[SIZE:])
        for bank, sensors in zip(self.banks, mine, strict=True):
            if sensors:
                bank.restore([records[s][SIZE:] for s in sensors], [fixed.get(s, b"") for s in sensors])
                self.place[sensors] = np.arange(len(sensors))

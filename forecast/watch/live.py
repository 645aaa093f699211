"""Readings scored by a model and a detector: `forecast.detect.Monitor` over all sensors that have seen enough.

A sensor warms up on its own rows (`forecast.watch.warmup`): seasons, parameters and tails are estimated from these alone, and from
the next row on it is scored. Elapsed time is counted in the sensor's own usual step. Sensors of the same seasons and step share
a bank (`forecast.watch.bank`).

    record of a sensor:  bank + 1, 0 while it warms up · last time · step · rows to the next decision · time and place in the
                         stream of the row with which it became active · rows for refits (`forecast.watch.warmup.Head`), then
                         the rows of the warm-up, or the moving leaves of its machine
What moves no more once it is estimated is kept apart, and written once.
"""

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from forecast.detect.detector import Detector
from forecast.detect.evidence import KINDS
from forecast.detect.monitor import Machines
from forecast.models.forecaster import Forecaster
from forecast.series.maintenance import LEARNED, NONE, STILL, Maintenance
from forecast.watch import warmup
from forecast.watch.arrival import Rows
from forecast.watch.bank import Bank, Key, followed, prepare
from forecast.watch.readings import Floats, Ints
from forecast.watch.records import DamagedError
from forecast.watch.refit import LAG, Refit, Refits
from forecast.watch.scorer import Scored, Scorer, missing
from forecast.watch.strain import Strain
from forecast.watch.warmup import HEADS, SIZE, Head, Plan, Warming

NEVER = Refit()
_log = logging.getLogger("forecast")


class Ready(NamedTuple):
    """A sensor's warm-up, come to its end."""

    sensor: int
    times: Ints  # on its own clock
    values: Floats
    step: float
    key: Key
    last: int  # time of its last row by the clock on the wall


class Live(Scorer):
    """Scores of a forecaster and a detector."""

    kinds = KINDS

    def __init__(
        self,
        name: str,
        model: Callable[[tuple[int, ...]], Forecaster],  # for rows of these seasons
        detector: Callable[[float], Detector],  # for rows so many microseconds apart
        plan: Plan,
        refit: Refit = NEVER,
        windows: Maintenance = NONE,
    ) -> None:
        self.name, self.model, self.detector, self.windows = name, model, detector, windows
        self.names: list[str] = []
        self.needs = model(()).needs
        self.plan = plan._replace(rows=max(plan.rows, self.needs + 2))
        self.refits = Refits(refit, self._estimated) if refit.every else None
        self.banks: list[Bank] = []
        self.bank = np.zeros(0, dtype=np.int64)  # of each sensor, -1 while it warms up
        self.place = np.zeros(0, dtype=np.int64)  # in its bank
        self.last = np.zeros(0, dtype=np.int64)
        self.step = np.zeros(0, dtype=np.float64)  # microseconds
        self.since = np.zeros(0, dtype=np.int64)  # time of the last row of the warm-up
        self.start = np.zeros(0, dtype=np.int64)  # its place in the stream
        self.strain = Strain(self.kinds)
        self.warming: dict[int, Warming] = {}
        self._fresh: list[int] = []  # sensors whose fixed part is not written yet
        self._all: set[int] = set()  # banks whose records have another shape than those that were written

    def grow(self, names: Sequence[str]) -> None:
        count = len(names)
        self.names += names
        self.bank = np.concatenate([self.bank, np.full(count, -1)])
        self.place = np.concatenate([self.place, np.full(count, -1)])
        none = np.zeros(count, dtype=np.int64)
        self.last, self.since = np.concatenate([self.last, none]), np.concatenate([self.since, none])
        self.start = np.concatenate([self.start, none])
        self.strain.grow(count)
        if self.refits is not None:
            self.refits.grow(names)
        self.step = np.concatenate([self.step, np.ones(count)])

    def observe(self, rows: Rows) -> Scored:
        out = missing(len(rows.who))
        left = np.arange(len(rows.who))
        codes = self.windows.codes(self.names, rows.who, rows.time)
        special = bool(codes.any())
        if (self.bank[rows.who] < 0).any():
            left = self._warm_up(rows, codes)
        while len(left):
            now, left = (left, left[:0]) if self.refits is None else _cut(rows.who, left, self.refits)
            if special:
                now, later = alike(rows.who, now, codes)
                left = np.sort(np.concatenate([later, left]))
            for code in np.unique(codes[now]).tolist() if special else (LEARNED,):
                self._score(rows, now[codes[now] == code] if special else now, out, code)
            learned = now[codes[now] == LEARNED] if special else now
            self.strain.count(rows.who[learned], out.alarm[learned], out.kind[learned])
            if self.refits is not None:
                self._keep(rows, now[codes[now] != STILL] if special else now, codes, out, self.refits)
        return out

    def _keep(self, rows: Rows, now: Ints, codes: Ints, out: Scored, refits: Refits) -> None:
        """Scored rows kept for refits, those that are not to be learned as missing. What is due is begun or taken."""
        value = np.where(codes == LEARNED, rows.value, np.nan)
        time = self.windows.clocks(self.names, rows.who, rows.time)
        order = now[np.argsort(rows.who[now], kind="stable")]
        starts = np.flatnonzero(np.diff(rows.who[order], prepend=-1))
        for mine in np.split(order, starts[1:]) if len(order) else ():
            sensor = int(rows.who[mine[0]])
            refits.take(sensor, time[mine], value[mine], out.alarm[mine] & (codes[mine] == LEARNED))
            if refits.due(sensor):
                self._swap(sensor, refits)

    def _swap(self, sensor: int, refits: Refits) -> None:
        """The new machine of a sensor in the place of the old one."""
        found = refits.result(sensor)
        if found is None:
            _log.warning("refit of sensor %d: too few of its last rows can be used, it goes on as it is", sensor)
            return
        key, step, machines = found
        number = self._number(key)
        bank = self.banks[number]
        rows = refits.last(sensor, LAG + 1)
        elapsed = np.diff(rows["time"]) / step
        machines = followed(bank.model, bank.detector, machines, rows["value"][1:].copy(), elapsed)
        if number == self.bank[sensor]:
            bank.replace(int(self.place[sensor]), machines)
        else:
            self.banks[self.bank[sensor]].free.append(int(self.place[sensor]))
            (self.place[sensor],) = bank.add([machines])
            self.bank[sensor] = number
        self.step[sensor], self.strain.packed[sensor] = step, 0
        self._fresh.append(sensor)
        _log.info("refit of sensor %d after %d rows; seasons %s", sensor, refits.count[sensor], key.seasons or "none")

    def _estimated(self, times: Ints, values: Floats) -> tuple[Key, float, Machines] | None:
        """A sensor from its last rows, with nobody else's state at hand: this runs in a thread."""
        observed = int(np.isfinite(values).sum())
        if observed < max(self.needs, self.plan.rows // 2) or (np.diff(times) <= 0).any():
            return None  # out of order where refit.rows was another one when they were kept
        seasons, step = warmup.found(times, values, self.plan), warmup.step_of(times)
        key = Key(seasons, float(f"{step:.1e}"))
        elapsed = np.concatenate([[1.0], np.diff(times) / step])
        return key, step, prepare(self.model(seasons).eval(), self.detector(key.step), values, elapsed)

    def _warm_up(self, rows: Rows, codes: Ints) -> Ints:
        """Rows of sensors that warm up, taken until they are ready; the places of all others.

        What is not to be learned is missing; where the clock stands still there are no rows.
        """
        waiting = self.bank[rows.who] < 0
        value = np.where(codes == LEARNED, rows.value, np.nan)
        order = np.flatnonzero(waiting)
        order = order[np.argsort(rows.who[order], kind="stable")]
        starts = np.flatnonzero(np.diff(rows.who[order], prepend=-1))
        left, ready = [np.flatnonzero(~waiting)], []
        for mine in np.split(order, starts[1:]):
            goes = mine[codes[mine] != STILL]
            taken, one = self._take(int(rows.who[mine[0]]), rows.time[goes], value[goes])
            if one is not None:
                left.append(mine[mine > goes[taken - 1]] if taken else mine)  # 0: its warm-up was whole before
                ready.append((int(goes[taken - 1] if len(goes) else mine[0]), one))
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
        times = self._own_times(sensor, times)
        least = max(self.needs, plan.rows // 2)
        goal: int | None = rows + max(plan.rows // 10, 1)
        if warming.observed() >= least:
            seasons = warmup.found(times, values, plan)
            goal = warmup.next_goal(times, seasons, plan)
            if goal is None:
                return self._ready(sensor, times, values, seasons, warming.times[-1])
        assert goal is not None
        warming.go_on(goal, max(plan.longest, plan.rows))
        return None

    def _own_times(self, sensor: int, times: Ints) -> Ints:
        """Times on the sensor's own clock, which stands still in some windows of maintenance."""
        return self.windows.of(self.names[sensor]).clock(times) if self.windows else times

    def _ready(self, sensor: int, times: Ints, values: Floats, seasons: tuple[int, ...], last: int) -> Ready:
        step = warmup.step_of(times)
        return Ready(sensor, times, values, step, Key(seasons, float(f"{step:.1e}")), last)

    def _activate(self, one: Ready, order: int) -> None:
        """Estimate it, and give it a place."""
        number, sensor = self._number(one.key), one.sensor
        bank = self.banks[number]
        elapsed = np.concatenate([[1.0], np.diff(one.times) / one.step])
        (self.place[sensor],) = bank.add([prepare(bank.model, bank.detector, one.values, elapsed)])
        self.bank[sensor], self.start[sensor], self.step[sensor] = number, order, one.step
        self.last[sensor] = self.since[sensor] = one.last
        self._fresh.append(sensor)
        if self.refits is not None:
            self.refits.begin(sensor, one.times, one.values)

    def _number(self, key: Key) -> int:
        """The bank of a key, made where there is none."""
        for number, bank in enumerate(self.banks):
            if bank.key == key:
                return number
        self.banks.append(Bank(key, self.model(key.seasons), self.detector(key.step)))
        return len(self.banks) - 1

    def _score(self, rows: Rows, left: Ints, out: Scored, code: int = LEARNED) -> None:
        """Rows of active sensors that are all learned or all not, as many at once as all of those at hand have."""
        order = left[np.argsort(rows.who[left], kind="stable")]
        starts = np.flatnonzero(np.diff(rows.who[order], prepend=-1))
        counts = np.diff(np.append(starts, len(order)))
        sensors = rows.who[order[starts]]
        every = self.windows.clocks(self.names, rows.who, rows.time)
        before, done = self.windows.clocks(self.names, sensors, self.last[sensors]), 0
        for count in np.unique(counts).tolist():
            on = counts >= count
            grid = order[starts[on][:, None] + np.arange(done, count)]
            times = every[grid]
            gaps = np.diff(times, axis=1, prepend=before[on][:, None])
            before[on] = times[:, -1]
            elapsed = gaps / self.step[sensors[on]][:, None] if code != STILL else np.ones(grid.shape)
            self._rows(sensors[on], rows.value[grid], elapsed, grid, out, code)
            done = count
        if code != STILL:
            self.last[sensors] = rows.time[order[starts + counts - 1]]

    def _rows(self, sensors: Ints, values: Floats, elapsed: Floats, grid: Ints, out: Scored, code: int) -> None:
        """A block of sensors × rows, bank by bank."""
        banks = self.bank[sensors]
        for number in np.unique(banks).tolist():
            mine = slice(None) if (banks == number).all() else np.flatnonzero(banks == number)
            bank = self.banks[number]
            if bank.rows(self.place[sensors[mine]], values[mine], elapsed[mine], grid[mine], out, code):
                self._all.add(number)

    def steps(self, count: int) -> Floats:
        return np.where(self.bank >= 0, self.step, 0.0)

    def begun(self, count: int) -> Ints:
        return self.start

    def begin(self) -> int:
        ready = self.bank >= 0
        self.since[ready] = self.last[ready]
        return int(ready.sum())

    def changed(self) -> Ints:
        if not self._all:
            return np.zeros(0, dtype=np.int64)
        every = np.flatnonzero(np.isin(self.bank, list(self._all)))
        self._all = set()
        self._fresh = np.union1d(self._fresh, every).astype(np.int64).tolist()
        return every

    def header(self) -> bytes | None:
        if not any(bank.news for bank in self.banks):
            return None
        for bank in self.banks:
            bank.news = False
        return b"".join(bank.header() for bank in sorted(self.banks, key=lambda bank: bank.key.number))

    def take_header(self, header: bytes) -> None:
        while header:
            bank, length = Bank.of(header)
            self.banks.append(bank)
            header = header[length:]

    def records(self, who: Ints) -> list[bytes]:
        none = np.zeros(len(self.bank), dtype=np.int64)
        goal = self.strain.packed.copy()
        for sensor in set(who.tolist()) & self.warming.keys():
            goal[sensor] = self.warming[sensor].goal
        kept = (none, none) if self.refits is None else (self.refits.count, self.refits.base)
        numbers = np.array([bank.key.number for bank in self.banks] + [0], dtype=np.int64)  # the last one for -1
        columns = (numbers[self.bank], self.last, self.step, goal, self.since, self.start, *kept)
        heads = np.empty(len(who), dtype=HEADS)
        for name, column in zip(Head._fields, columns, strict=True):
            heads[name] = column[who]
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
        known = {bank.key.number: i for i, bank in enumerate(self.banks)}
        mine: list[list[int]] = [[] for _ in self.banks]
        for sensor, record in enumerate(records):
            number, self.last[sensor], self.step[sensor], goal, self.since[sensor], self.start[sensor], *kept = Head.of(
                record
            )
            if self.refits is not None:
                self.refits.count[sensor], self.refits.base[sensor] = kept
            if number:
                self.strain.packed[sensor] = goal
                if number not in known:
                    raise DamagedError("the store has states of sensors but no header to read them by")
                self.bank[sensor] = known[number]
                mine[known[number]].append(sensor)
            elif goal:
                self.warming[sensor] = Warming.of(goal, record[SIZE:])
        for bank, sensors in zip(self.banks, mine, strict=True):
            if sensors:
                bank.restore([records[s][SIZE:] for s in sensors], [fixed.get(s, b"") for s in sensors])
                self.place[sensors] = np.arange(len(sensors))

    def recent(self) -> list[tuple[int, int, bytes]]:
        return [] if self.refits is None else self.refits.written()

    def take_recent(self, pages: Sequence[tuple[int, int, bytes]]) -> None:
        if self.refits is not None:
            self.refits.restore(pages)

    def close(self) -> None:
        if self.refits is not None:
            self.refits.close()


def alike(who: Ints, now: Ints, codes: Ints) -> tuple[Ints, Ints]:
    """Of each sensor the rows up to the first that is treated otherwise than its first one, and the rest."""
    order = now[np.argsort(who[now], kind="stable")]
    starts = np.flatnonzero(np.diff(who[order], prepend=-1))
    first = np.repeat(starts, np.diff(np.append(starts, len(order))))
    other = np.cumsum(codes[order] != codes[order[first]])
    same = other == other[first]
    return np.sort(order[same]), np.sort(order[~same])


def _cut(who: Ints, left: Ints, refits: Refits) -> tuple[Ints, Ints]:
    """Rows until something is due for their sensor, and the rest."""
    order = left[np.argsort(who[left], kind="stable")]
    starts = np.flatnonzero(np.diff(who[order], prepend=-1))
    rank = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    now = rank < refits.room(who[order])
    return np.sort(order[now]), np.sort(order[~now])

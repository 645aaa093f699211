"""Sensors estimated anew as time goes on: in the background, from their last rows, at row counts that are fixed.

    count c of a sensor: rows since the first of its warm-up;  due where c = k · every + phase(name)
    c            the last `rows` rows are handed to a thread, which searches seasons, estimates and calibrates
    c + LAG      the new machine follows the LAG rows that came meanwhile, and takes the place of the old one between two rows
Whoever is faster waits: what a row is scored by depends on its count alone, so that a kill changes no bit; a job that was
running is begun again from the stored rows. Rows that were alarms are left out, unless more than a fifth of them were: then they
are what is usual now. The rows are kept in pages of 64, a ring of them for each sensor; a commit writes the pages that were touched.
"""

import zlib
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecast.errors import InputError
from forecast.watch.readings import Flags, Floats, Ints

PAGE, LAG = 64, 64  # rows
USUAL = 0.2  # share of alarms from which on they are no exceptions
ROW = np.dtype([("time", "<i8"), ("value", "<f8"), ("alarm", "<i1")])
Job = Callable[[Ints, Floats], Any]


@dataclass(frozen=True)
class Refit:
    """How often, and from how many rows."""

    every: int = 0  # rows of a sensor from one refit to the next; 0: never
    rows: int = 2048  # its last rows, from which parameters, tails and seasons are estimated

    def __post_init__(self) -> None:
        if self.every and (self.every <= LAG or self.rows < LAG):
            raise InputError(f"refit: every={self.every}, rows={self.rows}: more than {LAG} of each")


class Refits:
    """The last rows of all sensors, and the jobs that are under way."""

    def __init__(self, plan: Refit, job: Job) -> None:
        self.plan, self.job = plan, job
        self.pages = (plan.rows + LAG) // PAGE + 2
        self.kept: dict[int, np.ndarray] = {}  # a ring of `pages` · PAGE rows
        self.count = np.zeros(0, dtype=np.int64)  # rows so far
        self.base = np.zeros(0, dtype=np.int64)  # of these, in the warm-up
        self.phase = np.zeros(0, dtype=np.int64)
        self.jobs: dict[int, Future[Any]] = {}
        self.workers = ThreadPoolExecutor(1, "refit")
        self._touched: set[tuple[int, int]] = set()  # sensor, page

    def grow(self, names: Iterable[str]) -> None:
        """More sensors; the phase of each is that of its name, so that not all are due at once."""
        phases = [zlib.crc32(name.encode()) % self.plan.every for name in names]
        none = np.zeros(len(phases), dtype=np.int64)
        self.count, self.base = np.concatenate([self.count, none]), np.concatenate([self.base, none])
        self.phase = np.concatenate([self.phase, np.array(phases, dtype=np.int64)])

    def begin(self, sensor: int, times: Ints, values: Floats) -> None:
        """A sensor that has come to the end of its warm-up."""
        self.take(sensor, times, values, np.zeros(len(times), dtype=bool))
        self.base[sensor] = self.count[sensor]

    def room(self, who: Ints) -> Ints:
        """Rows that these sensors may be given until one of theirs is due or over."""
        over = (self.count[who] - self.phase[who]) % self.plan.every
        running = (over < LAG) & (self.count[who] - over > self.base[who])
        return np.where(running, LAG - over, self.plan.every - over)

    def take(self, sensor: int, times: Ints, values: Floats, alarm: Flags) -> None:
        """Keep rows of a sensor."""
        size = self.pages * PAGE
        ring = self.kept.setdefault(sensor, np.zeros(size, dtype=ROW))
        first = int(self.count[sensor])
        self.count[sensor] = first + len(times)
        spare = max(len(times) - size, 0)
        places = np.arange(first + spare, first + len(times))
        for name, column in zip(ROW.names or (), (times, values, alarm), strict=True):
            ring[name][places % size] = column[spare:]
        self._touched |= {(sensor, page) for page in np.unique(places // PAGE % self.pages).tolist()}

    def due(self, sensor: int) -> bool:
        """Begin a job if this count is one for it; whether one is over, and its machine to be taken."""
        count = int(self.count[sensor])
        over = (count - int(self.phase[sensor])) % self.plan.every
        if over == 0 and count > self.base[sensor]:
            self._begin(sensor, count)
        return over == LAG and count - over > self.base[sensor]

    def result(self, sensor: int) -> Any:
        """What the job of a sensor came to, waited for."""
        return self.jobs.pop(sensor).result()

    def last(self, sensor: int, rows: int, before: int = 0) -> np.ndarray:
        """The last rows of a sensor, but for the very last `before`."""
        stop = int(self.count[sensor]) - before
        places = np.arange(max(stop - rows, 0), stop) % (self.pages * PAGE)
        return np.asarray(self.kept[sensor][places])

    def _begin(self, sensor: int, stop: int) -> None:
        rows = self.last(sensor, self.plan.rows, int(self.count[sensor]) - stop)
        exceptions = (rows["alarm"] > 0) & (rows["alarm"].mean() <= USUAL)
        values = np.where(exceptions, np.nan, rows["value"])
        self.jobs[sensor] = self.workers.submit(self.job, rows["time"].copy(), values)

    def written(self) -> list[tuple[int, int, bytes]]:
        """Pages that were touched since this was last asked: sensor, page, rows."""
        touched, self._touched = sorted(self._touched), set()
        return [(sensor, page, self._rows(sensor, page).tobytes()) for sensor, page in touched]

    def _rows(self, sensor: int, page: int) -> np.ndarray:
        """The rows of a page, of its last time around alone."""
        count = int(self.count[sensor])
        newest = (count - 1) // PAGE
        number = newest - (newest - page) % self.pages
        filled = max(min(count - number * PAGE, PAGE), 0)
        return self.kept[sensor][page * PAGE : page * PAGE + filled]

    def restore(self, pages: Iterable[tuple[int, int, bytes]]) -> None:
        """Pages as they were written; jobs that were under way are begun again."""
        for sensor, page, data in pages:
            ring = self.kept.setdefault(sensor, np.zeros(self.pages * PAGE, dtype=ROW))
            rows = np.frombuffer(data, dtype=ROW)
            if page < self.pages:
                ring[page * PAGE : page * PAGE + len(rows)] = rows
        for sensor in self.kept:
            over = (int(self.count[sensor]) - int(self.phase[sensor])) % self.plan.every
            if over < LAG and self.count[sensor] - over > self.base[sensor]:
                self._begin(sensor, int(self.count[sensor]) - over)

    def close(self) -> None:
        """Jobs that have not begun are let go; they are begun again by the next process."""
        self.workers.shutdown(wait=True, cancel_futures=True)

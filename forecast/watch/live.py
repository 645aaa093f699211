"""Readings scored by a model and a detector: `forecast.detect.Monitor` over all sensors that have seen enough.

A sensor warms up until it has `rows` rows (and enough of them observed): its parameters and tails are estimated from these alone,
and from the next row on it is scored. Elapsed time is counted in the sensor's own usual step. Members with kernels are followed
many rows at once; others are served in batches of one fixed shape, so that company changes no bit.

    record of a sensor:  life · last time · step (3 × f64/i64) · rows of the warm-up, or the moving leaves of its machine
What moves no more once it is estimated is kept apart, and written once.
"""

import math
import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast import artefact
from forecast.detect.detector import Detector
from forecast.detect.evidence import KINDS
from forecast.detect.monitor import Monitor, Seen
from forecast.models.forecaster import Forecaster
from forecast.types import Past, Row, join, leaves, take, tree_map
from forecast.watch.arrival import Rows
from forecast.watch.readings import Floats, Ints
from forecast.watch.records import DamagedError
from forecast.watch.scorer import Scored, Scorer, missing

HEAD = struct.Struct("<qqd")  # life, last time, step
PAIR = np.dtype([("time", "<i8"), ("value", "<f8")])
SHAPE = 64  # sensors in a batch of a member without kernels
LONGEST_WARM_UP = 4  # times the rows asked for, after which the oldest are let go
COVERAGE = 0.95  # of the interval that is kept and told
SECOND = 1e6


class Ready(NamedTuple):
    """A sensor's warm-up, come to its end."""

    sensor: int
    values: Floats
    elapsed: Floats
    step: float


class Live(Scorer):
    """Scores of a forecaster and a detector."""

    kinds = KINDS

    def __init__(self, name: str, model: Forecaster, detector: Callable[[float], Detector], rows: int) -> None:
        self.name, self.model, self.detector, self.rows = name, model.eval(), detector, max(rows, model.needs + 2)
        self.monitor: Monitor | None = None
        self.place = np.zeros(0, dtype=np.int64)  # row of each sensor in the monitor, -1 while it warms up
        self.last = np.zeros(0, dtype=np.int64)
        self.step = np.zeros(0, dtype=np.float64)  # microseconds
        self.warming: dict[int, list[tuple[int, float]]] = {}
        self.moving: list[bool] = []
        self._fresh: list[int] = []  # sensors whose fixed part is not written yet
        self._news = False

    def grow(self, names: Sequence[str]) -> None:
        count = len(names)
        self.place = np.concatenate([self.place, np.full(count, -1)])
        self.last = np.concatenate([self.last, np.zeros(count, dtype=np.int64)])
        self.step = np.concatenate([self.step, np.ones(count)])

    @torch.no_grad()
    def observe(self, rows: Rows) -> Scored:
        out = missing(len(rows.who))
        left = np.arange(len(rows.who))
        if (self.place[rows.who] < 0).any():
            left = self._warm_up(rows)
        if len(left):
            self._score(rows, left, out)
        return out

    def _warm_up(self, rows: Rows) -> Ints:
        """Rows of sensors that warm up, taken until they are ready; the places of all others."""
        ready: list[Ready] = []
        left = []
        for i, sensor in enumerate(rows.who.tolist()):
            if self.place[sensor] >= 0:
                left.append(i)
                continue
            kept = self.warming.setdefault(sensor, [])
            kept.append((int(rows.time[i]), float(rows.value[i])))
            if self._enough(kept):
                ready.append(self._came_to_its_end(sensor))
                self.place[sensor] = 0  # its next rows are scored; the place follows
            elif len(kept) > LONGEST_WARM_UP * self.rows:
                del kept[0]
        if ready:
            self._activate(ready)
        return np.array(left, dtype=np.int64)

    def _enough(self, kept: list[tuple[int, float]]) -> bool:
        if len(kept) < self.rows:
            return False
        observed = sum(value == value for _, value in kept)
        return observed >= max(self.model.needs, self.rows // 2)

    def _came_to_its_end(self, sensor: int) -> Ready:
        kept = self.warming.pop(sensor)
        times = np.array([time for time, _ in kept], dtype=np.int64)
        gaps = np.diff(times)
        step = float(np.median(gaps)) if len(gaps) else SECOND
        elapsed = np.concatenate([[1.0], gaps / step])
        self.last[sensor], self.step[sensor] = times[-1], step
        return Ready(sensor, np.array([value for _, value in kept]), elapsed, step)

    def _activate(self, ready: list[Ready]) -> None:
        """Estimate and calibrate each on its own: together, short warm-ups would share a tail, and company would matter."""
        detector = self.monitor.detector if self.monitor else self.detector(ready[0].step)
        made = []
        for one in ready:
            values, elapsed = torch.from_numpy(one.values)[None, :, None], torch.from_numpy(one.elapsed)[None]
            made.append(Monitor.ready(self.model, detector, Past.of(values, elapsed=elapsed)))
        start = len(self.monitor) if self.monitor else 0
        if self.monitor is None:
            self.monitor, self._news = made.pop(0), True
            self.moving = self.moving or [False] * len(leaves(self.monitor.machines))
        if made:
            self.monitor.append(join([one.machines for one in made]))
        self.monitor.machines = tree_map(torch.Tensor.contiguous, self.monitor.machines)
        self.place[[one.sensor for one in ready]] = start + np.arange(len(ready))
        self._fresh += [one.sensor for one in ready]

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
        """A block of sensors × rows."""
        past = Past.of(torch.from_numpy(values)[..., None], elapsed=torch.from_numpy(elapsed))
        where = torch.from_numpy(self.place[sensors])
        if "kernel" in self.model.traits:
            _write(self._follow(past, where), grid, out)
            return
        for low in range(0, len(sensors), SHAPE):
            part = slice(low, low + SHAPE)
            padded = torch.cat([where[part], where[part][:1].expand(max(SHAPE - len(where[part]), 0))])
            index = torch.cat([torch.arange(len(where))[part], torch.full((SHAPE - len(where[part]),), low)])
            for t in range(values.shape[1]):
                row = Row(past.values[index, t], past.inputs[index, t], past.elapsed[index, t])
                seen = self._one(row, padded, len(where[part]))
                _write(seen, grid[part, t : t + 1], out)

    def _follow(self, past: Past, where: Tensor) -> Seen:
        """Rows of a member with kernels."""
        assert self.monitor is not None
        whole = len(where) == len(self.monitor) and bool((where == torch.arange(len(where))).all())
        before = self.monitor.machines if whole else take(self.monitor.machines, where)
        some = Monitor(self.model, self.monitor.detector, before)
        if past.values.shape[1] == 1:
            some.observe(next(past.each()))
            assert some.seen is not None
            seen = some.seen
        else:
            seen = some.follow(past)
        self._put(where, before, some.machines, len(where), whole)
        return seen

    def _one(self, row: Row, padded: Tensor, count: int) -> Seen:
        assert self.monitor is not None
        before = take(self.monitor.machines, padded)
        some = Monitor(self.model, self.monitor.detector, before)
        some.observe(row)
        assert some.seen is not None
        self._put(padded[:count], before, some.machines, count, whole=False)
        return some.seen

    def _put(self, where: Tensor, before: object, after: object, count: int, whole: bool) -> None:
        """The leaves that have moved, back to where they belong."""
        assert self.monitor is not None
        moved = [new is not old for old, new in zip(leaves(before), leaves(after), strict=True)]
        if any(now and not then for now, then in zip(moved, self.moving, strict=True)):
            self.moving = [now or then for now, then in zip(moved, self.moving, strict=True)]
            self._news = True
            self._fresh = np.flatnonzero(self.place >= 0).tolist()
        if whole:
            self.monitor.machines = after  # type: ignore[assignment]
            return
        for leaf, piece, new in zip(leaves(self.monitor.machines), leaves(after), moved, strict=True):
            if new:
                leaf[where] = piece[:count]

    def header(self) -> bytes | None:
        if not self._news or self.monitor is None:
            return None
        self._news = False
        head = artefact.header(self.monitor)
        return struct.pack("<I", len(self.moving)) + bytes(self.moving) + head

    def take_header(self, header: bytes) -> None:
        (count,) = struct.unpack_from("<I", header)
        self.moving = [bool(flag) for flag in header[4 : 4 + count]]
        self.monitor = artefact.monitor_of(header[4 + count :], [], "the header of the store")
        self.model = self.monitor.model

    def records(self, who: Ints) -> list[bytes]:
        active = self.place[who] >= 0
        machines = iter(self._bytes(who[active], moving=True))
        out = []
        for sensor, on in zip(who.tolist(), active.tolist(), strict=True):
            head = HEAD.pack(int(on), int(self.last[sensor]), float(self.step[sensor]))
            out.append(head + (next(machines) if on else np.array(self.warming.get(sensor, []), dtype=PAIR).tobytes()))
        return out

    def fixed(self) -> list[tuple[int, bytes]]:
        fresh, self._fresh = self._fresh, []
        return list(zip(fresh, self._bytes(np.array(fresh, dtype=np.int64), moving=False), strict=True))

    def _bytes(self, who: Ints, moving: bool) -> list[bytes]:
        """The leaves that move, or those that do not, of some sensors."""
        if self.monitor is None or len(who) == 0:
            return []
        chosen = [
            leaf for leaf, moves in zip(leaves(self.monitor.machines), self.moving, strict=True) if moves == moving
        ]
        parts = [_raw(leaf[torch.from_numpy(self.place[who])]) for leaf in chosen]
        whole = np.concatenate([np.zeros((len(who), 0), dtype=np.uint8), *parts], 1)
        width, data = whole.shape[1], np.ascontiguousarray(whole).tobytes()
        return [data[i * width : (i + 1) * width] for i in range(len(who))]

    def restore(self, records: Sequence[bytes], fixed: dict[int, bytes]) -> None:
        moved: list[bytes] = []
        active: list[int] = []
        for sensor, record in enumerate(records):
            on, self.last[sensor], self.step[sensor] = HEAD.unpack_from(record)
            rest = record[HEAD.size :]
            if on:
                active.append(sensor)
                moved.append(rest)
            elif rest:
                self.warming[sensor] = [(int(t), float(v)) for t, v in np.frombuffer(rest, dtype=PAIR)]
        if not active:
            return
        if self.monitor is None:
            raise DamagedError("the store has states of sensors but no header to read them by")
        still = [fixed.get(sensor, b"") for sensor in active]
        self.monitor.machines = self.monitor.machines_of(self._interleaved(moved, still))
        self.place[active] = np.arange(len(active))

    def _interleaved(self, moved: list[bytes], still: list[bytes]) -> list[bytes]:
        """Records of the monitor, leaf by leaf, from the two kinds of parts."""
        assert self.monitor is not None
        sizes = [leaf.element_size() * math.prod(leaf.shape[1:]) for leaf in leaves(self.monitor.machines)]
        out = []
        for one, other in zip(moved, still, strict=True):
            at, parts = {True: 0, False: 0}, []
            for size, moves in zip(sizes, self.moving, strict=True):
                source = one if moves else other
                parts.append(source[at[moves] : at[moves] + size])
                at[moves] += size
            if at != {True: len(one), False: len(other)}:
                raise DamagedError("the state of a sensor does not fit its model")
            out.append(b"".join(parts))
        return out


def _raw(leaf: Tensor) -> np.ndarray:
    """The bytes of a leaf, a row for each sensor."""
    array = np.ascontiguousarray(leaf.detach().numpy())
    return array.reshape(len(array), -1).view(np.uint8)


def _write(seen: Seen, grid: Ints, out: Scored) -> None:
    """What was seen of a block of rows, to its places."""
    rows = grid.shape
    forecast, verdict = seen.forecast, seen.verdict
    lower, upper = forecast.interval(COVERAGE)
    count = rows[0]

    def of(leaf: Tensor) -> np.ndarray:
        return leaf[:count].reshape(rows).numpy()

    out.score[grid], out.alarm[grid], out.kind[grid] = of(verdict.score), of(verdict.alarm), of(verdict.kind)
    out.expected[grid] = of(seen.evidence.expected)
    out.lower[grid], out.upper[grid] = of(lower), of(upper)
    out.surprise[grid] = of(seen.evidence.joint)

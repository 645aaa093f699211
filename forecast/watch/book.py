"""What is kept for each sensor, as bytes: when it was last heard, what waits, its memory of alarms, its scorer's state.

    newest · turn · rows · alarms · mark · silent, + 2 × part of the source (6 × i64) · lengths of parts (4 × u32) · ring · waiting · memory · scorer · recent
Numbers are little-endian. Everything that decides about a sensor's next row is in its own record.
"""

import json
import struct
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from forecast.watch import events
from forecast.watch.arrival import Arrival
from forecast.watch.events import Memory
from forecast.watch.readings import Flags, Ints
from forecast.watch.recent import SIZE, Recent
from forecast.watch.records import DamagedError
from forecast.watch.scorer import Scorer
from forecast.watch.silence import Silence

HEAD = struct.Struct("<6q4I")
NUMBERS = 48  # bytes of the head before the lengths
PAIR = np.dtype([("time", "<i8"), ("value", "<f8")])


class Book:
    """Names, counts and memories of all sensors."""

    def __init__(self, arrival: Arrival, scorer: Scorer, recent: Recent | None = None) -> None:
        self.arrival, self.scorer, self.recent = arrival, scorer, recent
        self.names: list[str] = []
        self.number: dict[str, int] = {}
        self.rows = np.zeros(0, dtype=np.int64)
        self.alarms = np.zeros(0, dtype=np.int64)
        self.memory: dict[int, Memory] = {}
        self._labels: list[str] = []  # of the last readings, and the number of each, -1 where it is not known yet
        self._numbers = np.zeros(0, dtype=np.int64)
        self.silence = Silence()

    def numbers(self, names: Sequence[str]) -> Ints:
        """The numbers of sensors; new ones get the next."""
        fresh = [name for name in dict.fromkeys(names) if name not in self.number]
        if fresh:
            self._grow(fresh)
            self.scorer.grow(fresh)
        return np.array([self.number[name] for name in names], dtype=np.int64)

    def who(self, labels: list[str], code: Ints) -> Ints:
        """The sensors of readings labels[code]; new ones get the next numbers in the order in which they come."""
        if labels is not self._labels:
            self._labels, self._numbers = labels, np.zeros(0, dtype=np.int64)
        more = [self.number.get(label, -1) for label in labels[len(self._numbers) :]]
        self._numbers = np.concatenate([self._numbers, np.array(more, dtype=np.int64)])
        who = self._numbers[code]
        if (who < 0).any():
            fresh, first = np.unique(code[who < 0], return_index=True)
            fresh = fresh[np.argsort(first)]
            self._numbers[fresh] = self.numbers([labels[i] for i in fresh.tolist()])
            who = self._numbers[code]
        return who

    def count(self, who: Ints, alarm: Flags) -> None:
        """Scored rows of these sensors, and which were alarms."""
        self.rows += np.bincount(who, minlength=len(self.rows))
        self.alarms += np.bincount(who[alarm], minlength=len(self.alarms))

    def _grow(self, fresh: Sequence[str]) -> None:
        for name in fresh:
            self.number[name] = len(self.names)
            self.names.append(name)
        more = np.zeros(len(fresh), dtype=np.int64)
        self.rows, self.alarms = np.concatenate([self.rows, more]), np.concatenate([self.alarms, more])
        self.arrival.grow(len(self.names))
        self.silence.grow(len(self.names))
        if self.recent is not None:
            self.recent.grow(len(self.names))

    def records(self, who: Ints) -> list[bytes]:
        """The bytes of these sensors."""
        arrival, width = self.arrival, 8 * self.arrival.memory
        rest, more = self.scorer.records(who), self._recent(who)
        front = np.empty((len(who), HEAD.size + width), dtype=np.uint8)
        silent = self.silence.silent + 2 * self.silence.part
        columns = (arrival.newest, arrival.turn, self.rows, self.alarms, self.silence.mark, silent)
        front[:, :NUMBERS] = np.stack([column[who] for column in columns], 1).astype("<i8").view(np.uint8)
        lengths = np.zeros((len(who), 4), dtype="<u4")
        lengths[:, 0], lengths[:, 3] = width, [len(own) for own in rest]
        front[:, NUMBERS : HEAD.size] = lengths.view(np.uint8)
        front[:, HEAD.size :] = arrival.taken[who].astype("<i8").view(np.uint8)
        data, step = front.tobytes(), HEAD.size + width
        starts = range(0, len(data), step)
        out = [data[at : at + step] + own + last for at, own, last in zip(starts, rest, more, strict=True)]
        for i in np.flatnonzero(np.isin(who, [*arrival.waiting, *self.memory])).tolist():
            out[i] = self._longer(int(who[i]), out[i][:step], rest[i]) + more[i]
        return out

    def _recent(self, who: Ints) -> list[bytes]:
        """What the last rows of these sensors say, where that is kept."""
        if self.recent is None:
            return [b""] * len(who)
        data = self.recent.records(who).tobytes()
        return [data[at : at + SIZE] for at in range(0, len(data), SIZE)]

    def _longer(self, sensor: int, front: bytes, own: bytes) -> bytes:
        """The record of a sensor with rows that wait or alarms that it remembers."""
        queue, memory = self.arrival.waiting.get(sensor), self.memory.get(sensor)
        waiting = b"" if queue is None else np.array(queue, dtype=PAIR).tobytes()
        told = b"" if memory is None else json.dumps(events.plain(memory)).encode()
        ring = front[HEAD.size :]
        head = HEAD.pack(*HEAD.unpack_from(front)[:6], len(ring), len(waiting), len(told), len(own))
        return b"".join((head, ring, waiting, told, own))

    def restore(self, names: Sequence[str], records: Sequence[bytes], fixed: dict[int, bytes]) -> None:
        """Take up where these records were made."""
        self._grow(names)
        parts = [apart(record, name) for name, record in zip(names, records, strict=True)]
        for i, part in enumerate(parts):
            if len(part.ring) == 8 * self.arrival.memory:
                self.arrival.taken[i] = np.frombuffer(part.ring, dtype="<i8")
                self.arrival.turn[i] = part.turn
            self.arrival.newest[i], self.rows[i], self.alarms[i] = part.newest, part.rows, part.alarms
            self.silence.mark[i], self.silence.silent[i], self.silence.part[i] = part.mark, part.silent, part.part
            if part.waiting:
                self.arrival.waiting[i] = [(int(t), float(v)) for t, v in np.frombuffer(part.waiting, dtype=PAIR)]
            if part.memory:
                self.memory[i] = events.restored(json.loads(part.memory))
        self.scorer.grow(names)
        self.scorer.restore([part.own for part in parts], fixed)
        if self.recent is not None:
            self.recent.restore([part.recent for part in parts])


class Part(NamedTuple):
    """A record taken apart."""

    newest: int
    turn: int
    rows: int
    alarms: int
    mark: int
    quiet: int  # 1 where silent, and twice the part of the source that it comes from
    ring: bytes
    waiting: bytes
    memory: bytes
    own: bytes
    recent: bytes  # nothing in stores of format 2 and of a fleet

    @property
    def silent(self) -> bool:
        """Whether others go on and it does not."""
        return bool(self.quiet % 2)

    @property
    def part(self) -> int:
        """The part of the source that it comes from; 0 where it has no parts."""
        return self.quiet // 2


def apart(record: bytes, name: str) -> Part:
    """The parts of a record."""
    *numbers, a, b, c, d = HEAD.unpack_from(record)
    if HEAD.size + a + b + c + d not in (len(record), len(record) - SIZE):
        raise DamagedError(f"the state of sensor {name!r} is damaged")
    ends = [*np.cumsum([HEAD.size, a, b, c, d]).tolist(), len(record)]
    return Part(*numbers, *(record[low:high] for low, high in pairwise(ends)))

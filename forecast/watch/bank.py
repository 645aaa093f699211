"""One model and one detector over the sensors that share them: the same seasons, and so long from row to row.

Every sensor has a place. Members with kernels are followed many rows at once; others are served in batches of one fixed shape, so that
company changes no bit. Leaves that move with the rows are told from those that are estimated once and then stay.
"""

import hashlib
import json
import math
import struct
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from forecast import artefact
from forecast.detect.detector import Detector
from forecast.detect.monitor import Machines, Monitor, Seen
from forecast.models.forecaster import Forecaster
from forecast.series.maintenance import LEARNED, STILL
from forecast.types import Past, Row, join, leaves, put, take, tree_map
from forecast.watch.readings import Floats, Ints
from forecast.watch.records import DamagedError
from forecast.watch.scorer import GIVEN_UP, Scored

SHAPE = 64  # sensors in a batch of a member without kernels
BLOCK = 2048  # sensors of a member with kernels: where a row is not learned its block alone is gone through anew
COVERAGE = 0.95  # of the interval that is kept and told
SIZES = struct.Struct("<II")


class Key(NamedTuple):
    """What sensors of a bank have in common."""

    seasons: tuple[int, ...]
    step: float  # microseconds from row to row, to two digits: the budget of a day is shared by so many rows

    @property
    def number(self) -> int:
        """By which records name the bank, whichever was made first; never 0."""
        return int.from_bytes(hashlib.sha256(repr((self.seasons, self.step)).encode()).digest()[:7], "big") + 1


class Bank:
    """The machines of some sensors."""

    def __init__(self, key: Key, model: Forecaster, detector: Detector) -> None:
        self.key, self.model, self.detector = key, model.eval(), detector
        self.monitor: Monitor | None = None
        self.moving: list[bool] = []
        self.free: list[int] = []  # places whose sensor has left
        self.news = True  # whether the header is not written yet

    def replace(self, place: int, machines: Machines) -> None:
        """Another machine for a sensor."""
        assert self.monitor is not None
        self.monitor.machines = put(self.monitor.machines, torch.tensor([place]), machines)

    def add(self, made: list[Machines]) -> list[int]:
        """More sensors; answers their places."""
        places = []
        while made and self.monitor is not None and self.free:
            places.append(self.free.pop())
            self.monitor.machines = put(self.monitor.machines, torch.tensor([places[-1]]), made.pop(0))
        start = 0 if self.monitor is None else len(self.monitor)
        places += range(start, start + len(made))
        if made:
            whole = join(made if self.monitor is None else [self.monitor.machines, *made])
            self.monitor = Monitor(self.model, self.detector, whole)
            self.moving = self.moving or [False] * len(leaves(whole))
            self.monitor.machines = tree_map(torch.Tensor.contiguous, self.monitor.machines)
        return places

    def rows(self, where: Ints, values: Floats, elapsed: Floats, grid: Ints, out: Scored, code: int = LEARNED) -> bool:
        """Score a block of places × rows into `out` at `grid`; answers whether leaves move that did not before.

        Rows of another code than LEARNED are judged and not learned, see `forecast.series.maintenance`.
        """
        past = Past.of(torch.from_numpy(values)[..., None], elapsed=torch.from_numpy(elapsed))
        places, before = torch.from_numpy(where), list(self.moving)
        if "kernel" in self.model.traits:
            for low in range(0, len(places), BLOCK):
                part = slice(low, low + BLOCK)
                _write(self._follow(take(past, part), places[part], code), grid[part], out)
            return before != self.moving
        for low in range(0, len(places), SHAPE):
            part = slice(low, low + SHAPE)
            self._served(past, torch.arange(len(places))[part], places[part], grid[part], out, code)
        return before != self.moving

    def _follow(self, past: Past, where: Tensor, code: int) -> Seen:
        """Rows of a member with kernels."""
        assert self.monitor is not None
        whole = len(where) == len(self.monitor) and bool((where == torch.arange(len(where))).all())
        before = self.monitor.machines if whole else take(self.monitor.machines, where)
        some = Monitor(self.model, self.detector, before)
        if code != LEARNED:
            seen = some.aside(past, still=code == STILL)
        elif past.values.shape[1] == 1:
            some.observe(next(past.each()))
            assert some.seen is not None
            seen = some.seen
        else:
            seen = some.follow(past)
        self._put(where, before, some.machines, len(where), whole)
        return seen

    def _served(self, past: Past, index: Tensor, where: Tensor, grid: Ints, out: Scored, code: int) -> None:
        """Rows of up to SHAPE sensors, filled up to that number by the first of them."""
        assert self.monitor is not None
        count = len(where)
        padded, index = (torch.cat([part, part[:1].expand(SHAPE - count)]) for part in (where, index))
        before = take(self.monitor.machines, padded)
        some = Monitor(self.model, self.detector, before)
        for t in range(past.values.shape[1]):
            row = Row(past.values[index, t], past.inputs[index, t], past.elapsed[index, t])
            if code == LEARNED:
                some.observe(row)
            else:
                some.aside(row.past(), still=code == STILL)
            assert some.seen is not None
            _write(some.seen, grid[:, t : t + 1], out)
        self._put(where, before, some.machines, count, whole=False)

    def _put(self, where: Tensor, before: object, after: object, count: int, whole: bool) -> None:
        """The leaves that have moved, back to where they belong."""
        assert self.monitor is not None
        moved = [new is not old for old, new in zip(leaves(before), leaves(after), strict=True)]
        if any(now and not then for now, then in zip(moved, self.moving, strict=True)):
            self.moving = [now or then for now, then in zip(moved, self.moving, strict=True)]
            self.news = True
        if whole:
            self.monitor.machines = after  # type: ignore[assignment]
            return
        for leaf, piece, new in zip(leaves(self.monitor.machines), leaves(after), moved, strict=True):
            if new:
                leaf[where] = piece[:count]

    def bytes_of(self, where: Ints, moving: bool) -> list[bytes]:
        """The leaves that move, or those that do not, of some places."""
        if self.monitor is None or len(where) == 0:
            return []
        chosen = [
            leaf for leaf, moves in zip(leaves(self.monitor.machines), self.moving, strict=True) if moves == moving
        ]
        parts = [_raw(leaf[torch.from_numpy(where)]) for leaf in chosen]
        whole = np.concatenate([np.zeros((len(where), 0), dtype=np.uint8), *parts], 1)
        width, data = whole.shape[1], np.ascontiguousarray(whole).tobytes()
        return [data[i * width : (i + 1) * width] for i in range(len(where))]

    def restore(self, moved: list[bytes], still: list[bytes]) -> None:
        """Sensors at the places 0, 1, …, from what `bytes_of` gave."""
        if self.monitor is None:
            raise DamagedError("the store has states of sensors but no header to read them by")
        self.monitor.machines = self.monitor.machines_of(self._interleaved(moved, still))

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

    def header(self) -> bytes:
        """What its sensors share: the key and which leaves move, as JSON, then model and detector."""
        assert self.monitor is not None
        facts = json.dumps({"seasons": self.key.seasons, "step": self.key.step, "moving": self.moving}).encode()
        head = artefact.header(self.monitor)
        return SIZES.pack(len(facts), len(head)) + facts + head

    @classmethod
    def of(cls, header: bytes) -> tuple[Self, int]:
        """The bank of a header, without sensors, and how long that header is."""
        first, second = SIZES.unpack_from(header)
        start = SIZES.size + first
        facts = json.loads(header[SIZES.size : start])
        monitor = artefact.monitor_of(header[start : start + second], [], "the header of the store")
        bank = cls(Key(tuple(facts["seasons"]), facts["step"]), monitor.model, monitor.detector)
        bank.monitor, bank.moving, bank.news = monitor, facts["moving"], False
        return bank, start + second


@torch.no_grad()
def prepare(model: Forecaster, detector: Detector, values: Floats, elapsed: Floats) -> Machines:
    """A sensor estimated and calibrated on its rows (T), alone: together, short warm-ups would share a tail."""
    return Monitor.ready(model, detector, _past(values, elapsed)).machines


@torch.no_grad()
def followed(model: Forecaster, detector: Detector, machines: Machines, values: Floats, elapsed: Floats) -> Machines:
    """The machine of one sensor after these rows."""
    monitor = Monitor(model, detector, machines)
    monitor.follow(_past(values, elapsed))
    return monitor.machines


def _past(values: Floats, elapsed: Floats) -> Past:
    return Past.of(torch.from_numpy(values)[None, :, None], elapsed=torch.from_numpy(elapsed)[None])


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
    out.surprise[grid], out.z[grid] = of(seen.evidence.joint), of(seen.evidence.z)
    out.learn[grid] = np.where(of(verdict.widen) != 1.0, GIVEN_UP, of(verdict.learn) > 0.0)

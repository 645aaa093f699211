"""The loop of detection: forecast, evidence, verdict, and only then the row is learned.

The Monitor is the one mutable object. A reading with learn = 0 reaches the model as a missing one; after an escape the
model's belief widens first. At rest it is a header (see `forecast.artefact`) and one record of bytes a sensor.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict, evidence_of
from forecast.detect.live import Live
from forecast.distribution import Forecast
from forecast.errors import InputError
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past, Row, State, join, leaves, put, take, tree_map

PATIENCE = 3  # rows one after the other until the fast path is set up
LONGEST = 512  # rows that are tried at once
ESTIMATED = 1500  # of the calm rows the last ones, from which parameters are estimated


class Machines(NamedTuple):
    """What each sensor carries: the model's state and the detector's."""

    model: State
    detector: State


class Seen(NamedTuple):
    """Rows, what was expected of them, and what was decided: (B T …), for one row (B …)."""

    forecast: Forecast  # (B T C); of one row (B 1 C)
    evidence: Evidence
    verdict: Verdict


class Monitor:
    """A model and a detector over B sensors, row after row."""

    def __init__(self, model: Forecaster, detector: Detector, machines: Machines) -> None:
        self.model, self.detector = model, detector
        self._machines, self._rows = machines, 0
        self._live: Live | None = None
        self._seen: Seen | None = None

    @property
    def machines(self) -> Machines:
        """What every sensor carries now, at rest."""
        if self._live is not None:
            self._machines, self._live, self._seen = Machines(*self._live.machines), None, self.seen
        return self._machines

    @machines.setter
    def machines(self, machines: Machines) -> None:
        self._machines, self._live, self._rows = machines, None, 0

    @property
    def seen(self) -> Seen | None:
        """What the last call saw."""
        found = None if self._live is None else self._live.seen
        return self._seen if found is None else Seen(*found)

    @classmethod
    def ready(cls, model: Forecaster, detector: Detector, calm: Past) -> Self:
        """Estimated on the last of the calm rows, warmed up and calibrated on all; the next row is the one after them."""
        with torch.no_grad():
            rows = calm.values.shape[1]
            state = model.initial_state(model.estimate(calm.rows(max(rows - ESTIMATED, 0), rows)), calm.static)
            forecast, state = model.trace(state, calm, Future.of(calm, 1))
            evidence = evidence_of(_next_rows(forecast), calm)
            own = detector.initial_state(detector.calibrate(evidence))
            return cls(model, detector, Machines(state, detector.follow(own, evidence)[0]))

    def __len__(self) -> int:
        return len(leaves(self.machines)[0])

    def observe(self, row: Row, who: Tensor | None = None) -> Verdict:
        """The verdict on the next row (B' …) of the sensors `who` (B'), all of them by default.

        From the third row on by the fast path, where there is one: what is set up for it would not pay for one row.
        """
        self._rows += 1
        if self._live is None and self._rows == PATIENCE:
            self._live = Live.of(self.model, self.detector, *self._machines)
        if self._live is not None and self._live.takes(row):
            return self._live.observe(row, who)
        rows, every = self._rows, self.machines
        machines, self._seen = self._observe(every if who is None else take(every, who), row)
        self.machines = machines if who is None else put(every, who, machines)
        self._rows = rows
        return self._seen.verdict

    def follow(self, past: Past) -> Seen:
        """The same for many rows of every sensor, to the last bit for kernel models, in few calls.

        Rows are tried together as if all were learned; from the first one on that is not, they are taken anew. Of a detector
        that leaves what is learned to its guard, the guard alone does that, and the detector then sees all rows at once.
        """
        guard = self.detector.guarding
        if guard is None:
            self._seen = self._settled(past)
            return self._seen
        state = self.machines.detector
        pilot = Monitor(self.model, guard, Machines(self.machines.model, state.guarding))
        seen = pilot._settled(past)
        state, verdict = self.detector.follow(state, seen.evidence)
        self.machines, self._seen = Machines(pilot.machines.model, state), seen._replace(verdict=verdict)
        return self._seen

    def _settled(self, past: Past) -> Seen:
        """What every row of `past` shows, as if they had come one after the other."""
        made, low, length = [], 0, LONGEST
        rows = past.values.shape[1]
        while low < rows:
            piece = past.rows(low, min(low + length, rows))
            machines, seen = self._try(piece)
            stop = _first_held_back(seen.verdict, piece.values)
            if stop is None:
                self.machines, length = machines, min(2 * length, LONGEST)
                made.append(seen)
            else:
                length = max(stop // 2, 8)
                if stop:
                    self.machines, seen = self._try(piece.rows(0, stop))
                    made.append(seen)
                self.machines, one = self._observe(self.machines, next(piece.rows(stop, stop + 1).each()))
                made.append(_as_rows(one))
            low += piece.values.shape[1] if stop is None else stop + 1
        return together(made)

    def aside(self, past: Past, still: bool = False) -> Seen:
        """Rows (B T …) that are judged and teach nothing, each against a state that has seen none of them.

        To model and detector they are missing; where the clock stands `still` they are no rows at all.
        """
        machines, made = self.machines, []
        for row in past.each():
            seen = self._observe(machines, row)[1]
            learn, widen = torch.zeros_like(seen.verdict.learn), torch.ones_like(seen.verdict.widen)
            made.append(_as_rows(seen._replace(verdict=seen.verdict._replace(learn=learn, widen=widen))))
            if not still:
                machines, _ = self._observe(machines, row._replace(values=torch.full_like(row.values, torch.nan)))
        self.machines = machines
        self._seen = together(made)
        return self._seen

    def records(self, who: Sequence[int] | None = None) -> list[bytes]:
        """The bytes of each sensor."""
        arrays = [leaf.detach().contiguous().numpy() for leaf in leaves(self.machines)]
        chosen = range(len(self)) if who is None else who
        return [b"".join(array[i].tobytes() for array in arrays) for i in chosen]

    def put(self, who: Sequence[int], records: Sequence[bytes]) -> None:
        """Give the sensors `who` the machines of these records."""
        self.machines = put(self.machines, torch.tensor(list(who), dtype=torch.int64), self.machines_of(records))

    def append(self, machines: Machines) -> None:
        """More sensors behind those there are."""
        self.machines = join([self.machines, machines])

    def machines_of(self, records: Sequence[bytes]) -> Machines:
        """The machines of records that a monitor of this model and detector made."""
        arrays = [leaf[:0].detach().numpy() for leaf in leaves(self.machines)]
        sizes = [array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in arrays]
        for record in records:
            if len(record) != sum(sizes):
                raise InputError(
                    f"a record of {len(record)} bytes; this monitor has {sum(sizes)} a sensor: made by another one?"
                )
        ends = np.cumsum([0, *sizes])
        parts = iter(
            torch.from_numpy(
                np.frombuffer(b"".join(r[low:high] for r in records), array.dtype)
                .reshape(len(records), *array.shape[1:])
                .copy()
            )
            for array, low, high in zip(arrays, ends[:-1], ends[1:], strict=True)
        )
        return tree_map(lambda _: next(parts), self.machines)

    @torch.no_grad()
    def _observe(self, machines: Machines, row: Row) -> tuple[Machines, Seen]:
        forecast = self.model.predict(machines.model, Future(row.inputs[:, None], row.elapsed[:, None]))
        evidence = evidence_of(forecast, row)
        own, verdict = self.detector.step(machines.detector, evidence)
        state = machines.model
        if bool((verdict.widen != 1).any()):
            state = self.model.widen(state, verdict.widen)
        learned = torch.where(verdict.learn > 0, row.values, torch.nan)
        return Machines(self.model.step(state, row._replace(values=learned)), own), Seen(forecast, evidence, verdict)

    @torch.no_grad()
    def _try(self, past: Past) -> tuple[Machines, Seen]:
        """All rows learned."""
        forecast, state = self.model.trace(self.machines.model, past, Future.of(past, 1))
        forecast = _next_rows(forecast)
        evidence = evidence_of(forecast, past)
        own, verdict = self.detector.follow(self.machines.detector, evidence)
        return Machines(state, own), Seen(forecast, evidence, verdict)


def _next_rows(forecast: Forecast) -> Forecast:
    """A trace of one row each (B W 1 C) as rows (B W C)."""
    return forecast.rebuild(*[part[:, :, 0] for part in forecast.parts()])


def _first_held_back(verdict: Verdict, values: Tensor) -> int | None:
    """The first row that is not learned as it is."""
    odd = ((verdict.learn < 1) & values.isfinite()).any(-1) | (verdict.widen != 1)
    rows = odd.any(0).nonzero()
    return int(rows[0, 0]) if len(rows) else None


def _as_rows(one: Seen) -> Seen:
    return Seen(one.forecast, one.evidence.rows(), Verdict(*(leaf[:, None] for leaf in one.verdict)))


def together(made: list[Seen]) -> Seen:
    """What was seen of rows one after the other, as one."""
    first, others = made[0], made[1:]
    forecast = first.forecast.rebuild(
        *[torch.cat(parts, 1) for parts in zip(*(one.forecast.parts() for one in made), strict=True)]
    )
    if not others:
        return Seen(forecast, first.evidence, first.verdict)
    return Seen(
        forecast,
        tree_map(lambda *parts: torch.cat(parts, 1), first.evidence, *(one.evidence for one in others)),
        Verdict(*(torch.cat(parts, 1) for parts in zip(*(one.verdict for one in made), strict=True))),
    )

"""The work of a comparison, one piece at a time: estimate, warm up, predict, score; in this process or in a worker.

A piece is a model, some series and one or several cutoffs that share one estimate. Members whose `estimate` goes
through the series one by one get their pieces in worker processes, and every series a time cap of its own: it fails
alone and by name.
"""

import contextlib
import logging
import math
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import numpy as np
import psutil
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.distribution import Bounded, Forecast
from forecast.experiment import cells
from forecast.experiment.cells import Cell, Cost
from forecast.experiment.members import Facts, Member
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Parameters, Past, leaves

Array = NDArray[np.float64]
logger = logging.getLogger("forecast")


class TimeCapError(Exception):
    """A series took more CPU-seconds than it may."""


class Bounds(NamedTuple):
    """What the target can be; every forecast and sample keeps to it."""

    minimum: float | None = None
    maximum: float | None = None
    integer: bool = False

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "Bounds":
        """As a configuration states them."""
        return cls(options.get("minimum"), options.get("maximum"), bool(options.get("integer")))

    def keep(self, forecast: Forecast) -> Forecast:
        """The forecast inside the bounds; itself where there are none."""
        if self == NO_BOUNDS:
            return forecast
        low = -math.inf if self.minimum is None else self.minimum
        high = math.inf if self.maximum is None else self.maximum
        return Bounded(forecast, low, high, self.integer)


NO_BOUNDS = Bounds()


@dataclass(frozen=True)
class Cut:
    """One cutoff of a piece, as arrays that travel between processes by value."""

    past: tuple[Array, Array, Array, Array]
    future: tuple[Array, Array]
    actual: Array  # (S H C)
    naive: tuple[Array, Array]  # (S C) each
    usable: NDArray[np.bool_]  # (S): the series has this cutoff
    path: Path


@dataclass(frozen=True)
class Fitted:
    """The weights of a trained member, what they cost and what is to be said of them."""

    weights: dict[str, Array] = field(default_factory=dict)
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    note: str = ""


@dataclass(frozen=True)
class Piece:
    """What one worker does in one go; the first cutoff's past gives the parameters for all."""

    member: Member
    facts: Facts
    horizon: int
    cuts: tuple[Cut, ...]
    metrics: tuple[str, ...]
    time_cap: float
    fingerprint: str
    seed: int
    bounds: Bounds
    fitted: Fitted


def run(piece: Piece) -> int:
    """Do a piece, write its cells, and say how many series failed."""
    torch.set_num_threads(1)
    torch.manual_seed(piece.seed)
    model = build(piece)
    with torch.no_grad():
        done = _together(piece, model) if model.batched else _one_by_one(piece, model)
    for cut, cell in zip(piece.cuts, done, strict=True):
        cells.write(cut.path, cell, piece.fingerprint)
    return sum(len(cell.failed) for cell in done)


def build(piece: Piece) -> Forecaster:
    """The model of a piece, with its weights where it is a trained one."""
    model = piece.member.build(horizon=piece.horizon, facts=piece.facts)
    if piece.fitted.weights:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in piece.fitted.weights.items()})
    return model.eval()


def _together(piece: Piece, model: Forecaster) -> list[Cell]:
    """All series at once: whatever goes wrong goes wrong for all of them."""
    done: list[Cell] = []
    parameters: Parameters = ()
    for index, cut in enumerate(piece.cuts):
        actual = torch.from_numpy(cut.actual)
        try:
            with measured() as clock:
                if index == 0:
                    parameters = model.estimate(_past(cut))
                clock.lap()
                cell = _predicted(piece, model, parameters, cut)
            cost = clock.cost(model, parameters)
            if index == 0:  # the weights' cost stands with the first cutoff that uses them
                cost = cost._replace(
                    fit_cpu_s=cost.fit_cpu_s + piece.fitted.cpu_s, peak_mb=max(cost.peak_mb, piece.fitted.peak_mb)
                )
            done.append(_with_failures(cell, cut, cost)._replace(note=piece.fitted.note))
        except Exception as error:
            logger.debug("%s failed", piece.member.label, exc_info=True)
            done.append(cells.empty(actual, piece.metrics, dict.fromkeys(range(len(actual)), _reason(error))))
    return done


def _one_by_one(piece: Piece, model: Forecaster) -> list[Cell]:
    """Every series alone, under its time cap."""
    columns: list[list[Cell]] = [[] for _ in piece.cuts]
    for series in range(len(piece.cuts[0].actual)):
        parameters: Parameters | None = None
        for column, cut in zip(columns, piece.cuts, strict=True):
            one = _only(cut, series)
            try:
                with measured() as clock, _capped(piece.time_cap):
                    parameters = model.estimate(_past(one)) if parameters is None else parameters
                    clock.lap()
                    cell = _predicted(piece, model, parameters, one)
                column.append(_with_failures(cell, one, clock.cost(model, parameters)))
            except Exception as error:
                logger.debug("%s failed on series %d", piece.member.label, series, exc_info=True)
                failed = {0: _reason(error)} if cut.usable[series] else {}
                column.append(
                    cells.empty(torch.from_numpy(one.actual), piece.metrics, failed)._replace(
                        cost=clock.cost(model, ())
                    )
                )
    return [cells.merge(column) for column in columns]


def _predicted(piece: Piece, model: Forecaster, parameters: Parameters, cut: Cut) -> Cell:
    forecast = forecast_from(model, parameters, _past(cut), Future(*map(torch.from_numpy, cut.future)))
    naive = torch.from_numpy(cut.naive[0]), torch.from_numpy(cut.naive[1])
    return cells.score(piece.bounds.keep(forecast), torch.from_numpy(cut.actual), naive, piece.metrics)


def forecast_from(model: Forecaster, parameters: Parameters, past: Past, future: Future) -> Forecast:
    """Warm a fresh state up on the past and ask it for the future."""
    return model.predict(model.warm_up(model.initial_state(parameters, past.static), past), future)


def _with_failures(cell: Cell, cut: Cut, cost: Cost) -> Cell:
    """Name the series that should have a forecast and have none."""
    gone = cell.quantiles.isnan().flatten(1).any(1)
    failed = {
        s: "no forecast: too few observed rows, or its parameters could not be estimated"
        for s in range(len(gone))
        if gone[s] and cut.usable[s]
    }
    return cell._replace(failed=failed, cost=cost)


def _past(cut: Cut) -> Past:
    return Past(*map(torch.from_numpy, cut.past))


def _only(cut: Cut, series: int) -> Cut:
    """One series of a cut, without the padding in front of it."""
    pick = slice(series, series + 1)
    values, inputs, elapsed, static = (part[pick] for part in cut.past)
    seen = np.flatnonzero(np.isfinite(values[0]).any(-1))
    start = int(seen[0]) if len(seen) else max(values.shape[1] - 1, 0)
    past = (values[:, start:], inputs[:, start:], elapsed[:, start:], static)
    return Cut(
        past,
        (cut.future[0][pick], cut.future[1][pick]),
        cut.actual[pick],
        (cut.naive[0][pick], cut.naive[1][pick]),
        cut.usable[pick],
        cut.path,
    )


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"[:200]


def leave_with_parent() -> None:
    """In a worker: end when the process that started it is gone, killed or not; else it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextlib.contextmanager
def _capped(seconds: float) -> Iterator[None]:
    """Raise TimeCapError after so many CPU-seconds: what is stopped must not hang on how busy the machine is.

    Only the main thread of a process can be interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(signum: int, frame: FrameType | None) -> None:
        raise TimeCapError(f"stopped after the time cap of {seconds:g} CPU-s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


class Clock:
    """CPU seconds before and after the lap, and the most memory held above that at the start.

    The system keeps one high-water mark per process: a piece that stays below an earlier one's is known only at its looks.
    """

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.memory = self.peak = self.process.memory_info().rss
        self.mark = _high_water()
        self.start = self.middle = time.process_time()
        self.stop = self.start

    def lap(self) -> None:
        self.middle = time.process_time()
        self.look()

    def look(self) -> None:
        mark = _high_water()
        self.peak = max(self.peak, self.process.memory_info().rss, mark if mark > self.mark else 0)
        self.stop = time.process_time()

    def cost(self, model: Forecaster, parameters: Parameters) -> Cost:
        weights = sum(p.numel() for p in model.parameters())
        own = sum(leaf[0].numel() for leaf in leaves(parameters) if len(leaf))
        return Cost(self.middle - self.start, self.stop - self.middle, (self.peak - self.memory) / 2**20, weights + own)


def _high_water() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@contextlib.contextmanager
def measured() -> Iterator[Clock]:
    clock = Clock()
    try:
        yield clock
    finally:
        clock.look()


def arrays(tensors: Sequence[Tensor]) -> tuple[Array, ...]:
    """As NumPy, to travel by value."""
    return tuple(tensor.detach().cpu().contiguous().numpy() for tensor in tensors)

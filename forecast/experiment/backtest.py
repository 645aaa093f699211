"""Rolling cutoffs: every model forecasts every series from the same cutoffs, and never sees a row at or after one.

`ends[k, s]` is the number of rows of series s before cutoff k (-1: the series does not have that cutoff). Parameters
are estimated anew every `refit` cutoffs; weights of trained members are fitted once, on the rows before the first
cutoff. Finished pieces are kept on disk under a fingerprint of data, cutoffs, member and code, so that a killed run
goes on where it stopped.
"""

import contextlib
import hashlib
import json
import logging
import multiprocessing
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import forecast
from forecast.experiment import cells
from forecast.experiment.cells import Cell
from forecast.experiment.members import Member, facts_of
from forecast.experiment.work import NO_BOUNDS, Bounds, Cut, Fitted, Piece, arrays, leave_with_parent, run
from forecast.metrics import naive_errors
from forecast.metrics.independence import BLOCKS, SERIES
from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel

logger = logging.getLogger("forecast")
Fit = Callable[[Member, Forecaster, Panel, NDArray[np.int64]], Fitted]
Progress = Callable[[int, int, str], None]
SHARD = 24  # series in a piece of a member that goes one by one
DENSE = 1 << 24  # cells of a dense batch of a local member


@dataclass(frozen=True)
class Plan:
    """What every model of a comparison is asked for."""

    panel: Panel
    ends: NDArray[np.int64]  # (K S)
    horizon: int
    metrics: tuple[str, ...]
    context: int | None = None  # sliding window: at most so many rows; None: expanding
    refit: int = 1
    time_cap: float = 60.0
    processes: int = 1
    seed: int = 0
    bounds: Bounds = NO_BOUNDS


def usual_cutoffs(panel: Panel, horizon: int, step: int | None = None) -> int:
    """Five; of fewer than 20 series as many as it takes to judge chance, where half of the shortest series has room."""
    gap = step or horizon
    enough = BLOCKS * -(-horizon // gap)
    room = horizon + gap * (enough - 1) <= int(panel.lengths.min()) // 2
    return max(enough, 5) if len(panel) < SERIES and room else 5


def backtest(
    plan: Plan, members: Sequence[Member], folder: Path, fit: Fit, progress: Progress = lambda done, total, what: None
) -> dict[str, list[Cell]]:
    """Cells (S series each) per model and cutoff, finished ones read back from `folder`."""
    here: list[Job] = []
    away: list[Job] = []
    shared = _digest_of_data(plan)
    for member in members:
        model = member.build(horizon=plan.horizon, facts=facts_of(plan.panel))
        for group, shard in _shards(plan, model):
            (here if model.batched else away).append(
                (member, group, shard, f"{shared}-{_digest(repr((member.path, sorted(member.parameters.items()))))}")
            )
    todo = [job for job in here + away if not _finished(plan, job, folder)]
    total = len(here) + len(away)
    logger.info("%d of %d pieces are finished already", total - len(todo), total)
    count = total - len(todo)
    progress(count, total, "")
    for label in _all_run(
        plan, [job for job in todo if job in away], [job for job in todo if job in here], folder, fit
    ):
        count += 1
        progress(count, total, label)
    return {member.label: _gather(plan, [job for job in here + away if job[0] is member], folder) for member in members}


Job = tuple[Member, tuple[int, ...], tuple[int, ...], str]  # member, cutoffs, series, fingerprint


def _shards(plan: Plan, model: Forecaster) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Groups of cutoffs that share an estimate × shares of the series that may be estimated apart."""
    cutoffs, count = range(len(plan.ends)), len(plan.panel)
    every = plan.refit or len(plan.ends)
    longest = max(int(plan.ends.max()), 1)
    size = SHARD if not model.batched else max(DENSE // (longest * len(plan.panel.channels)), 1)
    if model.traits & {"panel", "trained"}:
        size = count
    for start in range(0, len(cutoffs), every):
        for first in range(0, count, size):
            yield tuple(cutoffs[start : start + every]), tuple(range(first, min(first + size, count)))


def _path(folder: Path, job: Job, cutoff: int) -> Path:
    member, _, shard, fingerprint = job
    return folder / member.label / f"{_digest(fingerprint)}-{cutoff:04d}-{shard[0]:06d}.safetensors"


def _finished(plan: Plan, job: Job, folder: Path) -> bool:
    return all(cells.read(_path(folder, job, cutoff), job[3]) is not None for cutoff in job[1])


def _all_run(plan: Plan, away: list[Job], here: list[Job], folder: Path, fit: Fit) -> Iterator[str]:
    """Pieces of one-by-one members run in workers while the batched ones run here; yields a label per finished piece."""
    done: queue.SimpleQueue[str | BaseException | None] = queue.SimpleQueue()
    feeder = threading.Thread(target=_feed, args=(plan, away, folder, done), daemon=True)
    feeder.start()
    trained: dict[str, Fitted] = {}
    for job in here:
        member = job[0]
        if member.label not in trained:
            model = member.build(horizon=plan.horizon, facts=facts_of(plan.panel))
            trained[member.label] = (
                fit(member, model, plan.panel, plan.ends[0]) if "trained" in model.traits else Fitted()
            )
        run(_piece(plan, job, folder, trained[member.label]))
        yield member.label
    while (label := done.get()) is not None:
        if isinstance(label, BaseException):
            raise label
        yield label


def _feed(plan: Plan, jobs: list[Job], folder: Path, done: "queue.SimpleQueue[str | BaseException | None]") -> None:
    """Keep the workers busy, two pieces each in hand at most; None at the end."""
    try:
        left, waiting = list(reversed(jobs)), dict[Future[int], str]()
        with (
            ProcessPoolExecutor(plan.processes, multiprocessing.get_context("spawn"), leave_with_parent)
            if jobs
            else contextlib.nullcontext() as pool
        ):
            while pool is not None and (left or waiting):
                while left and len(waiting) < 2 * plan.processes:
                    job = left.pop()
                    waiting[pool.submit(run, _piece(plan, job, folder, Fitted()))] = job[0].label
                for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                    future.result()
                    done.put(waiting.pop(future))
        done.put(None)
    except BaseException as error:
        done.put(error)


def _piece(plan: Plan, job: Job, folder: Path, fitted: Fitted) -> Piece:
    member, cutoffs, shard, fingerprint = job
    cuts = tuple(_cut(plan, cutoff, shard, _path(folder, job, cutoff)) for cutoff in cutoffs)
    return Piece(
        member,
        facts_of(plan.panel),
        plan.horizon,
        cuts,
        plan.metrics,
        plan.time_cap,
        fingerprint,
        plan.seed,
        plan.bounds,
        fitted,
    )


def _cut(plan: Plan, cutoff: int, shard: Sequence[int], path: Path) -> Cut:
    ends = plan.ends[cutoff, list(shard)]
    rows = [max(int(end), 0) for end in ends]
    past = plan.panel.past(rows, shard, plan.context)
    future = plan.panel.future(rows, plan.horizon, shard)
    actual = plan.panel.actual(rows, plan.horizon, shard)
    actual[torch.from_numpy(ends < 0)] = torch.nan
    naive = naive_errors(plan.panel.past(rows, shard).values, plan.panel.season)  # all rows, whatever the models see
    usable = (ends >= 0) & np.asarray(actual.isfinite().flatten(1).any(1))
    one, two = arrays(naive)
    values, inputs, elapsed, static = arrays(past)
    return Cut((values, inputs, elapsed, static), arrays(future)[:2], actual.numpy(), (one, two), usable, path)  # type: ignore[arg-type]


def _gather(plan: Plan, jobs: list[Job], folder: Path) -> list[Cell]:
    """One cell of all series per cutoff."""
    gathered = []
    for cutoff in range(len(plan.ends)):
        mine = sorted((job for job in jobs if cutoff in job[1]), key=lambda job: job[2][0])
        pieces = [cells.read(_path(folder, job, cutoff), job[3]) for job in mine]
        gathered.append(cells.merge([piece for piece in pieces if piece is not None]))
    return gathered


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _digest_of_data(plan: Plan) -> str:
    """Data, cutoffs, settings and the code that works on them."""
    digest = hashlib.sha256()
    tensors = [plan.panel.values, plan.panel.first, plan.panel.known.own, plan.panel.known.shared, plan.panel.static]
    for tensor in tensors + ([] if plan.panel.stamps is None else [plan.panel.stamps]):
        digest.update(tensor.contiguous().numpy().tobytes())
    settings = [
        plan.horizon,
        plan.metrics,
        plan.context,
        plan.refit,
        plan.time_cap,
        plan.seed,
        plan.bounds,
        plan.panel.seasons,
        plan.panel.known.shared_start,
    ]
    digest.update(plan.ends.tobytes() + json.dumps(settings).encode())
    for source in sorted(Path(forecast.__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]

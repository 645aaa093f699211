"""`forecast benchmark=gaps`: what missing rows cost, told by the model's own way and by three ways of filling in before it.

    chance     every reading missing by itself            stretches   one and a half seasons of a channel, again and again
    rows       whole rows dropped, the time between the others kept: the model's own way sees fewer rows, further apart

The model is fitted once, on complete training rows. Gaps are made in all rows that it sees before a cutoff, never in those that it is
scored on; a fill knows the rows before the cutoff alone, so that a straight line ends at the last known value and goes on from there
level. MSE is that of `benchmark=ltsf`, at every so many cutoffs, mean over the horizons.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import InputError, unknown
from forecast.experiment import config as configs
from forecast.experiment import data
from forecast.experiment.benchmark import Results, options
from forecast.experiment.members import Member, facts_of, member
from forecast.experiment.training import train
from forecast.models.forecaster import Forecaster
from forecast.models.gaps import interpolated
from forecast.report import missing, speed
from forecast.series import catalogue
from forecast.series.protocol import Dataset, training_scale
from forecast.types import Future, Past, State

KINDS, FILLS = ("chance", "stretches", "rows"), ("native", "last", "linear", "season")
BEFORE = 4096  # rows before the first cutoff
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Choice:
    """The keys of conf/benchmark/gaps.yaml."""

    sets: tuple[str, ...]
    kinds: tuple[str, ...]
    shares: tuple[float, ...]
    fills: tuple[str, ...]
    horizons: tuple[int, ...]
    every: int
    rows: str


class Rows(NamedTuple):
    """What a model is given of a series (T C)."""

    closed: Numbers  # as it is known once the next readings have come
    held: Numbers  # as it is known at a row
    since: NDArray[np.int64]  # (T+1): before a cutoff, the rows up to here are closed
    kept: NDArray[np.bool_]  # (T): the others are dropped, and the time between is kept


def run(config: configs.Benchmark, out: Path) -> int:
    """Every kind, share and fill; the table and the picture."""
    torch.set_num_threads(1)
    chosen = options(Choice, config)
    for words, known, what in ((chosen.kinds, KINDS, "kind"), (chosen.fills, FILLS, "fill")):
        for word in words:
            if word not in known:
                raise unknown(what, word, known)
    if chosen.rows not in ("test", "validation"):
        raise unknown("rows", chosen.rows, ("test", "validation"))
    if not all(0 < share < 1 for share in chosen.shares):
        raise InputError("benchmark.shares: a share of missing readings lies between 0 and 1; pass shares like 0.3")
    made = Results(out, "gaps")
    for name in chosen.sets:
        found = catalogue.load(name, data.folders(), raw=True)
        if len(found) != 1 or len(found[0].panel) != 1 or not found[0].protocol.standardise:
            raise InputError(f"benchmark.sets: {name} has no long-horizon protocol; choose sets like etth1 or weather")
        for one in config.models or (member("lti"),):
            _fill_in(made, one, found[0], config, chosen, out)
    (out / "gaps.png").write_bytes(speed.png(missing.shares(made.frame)))
    print(f"Table: {made.file}")
    return 0


def _fill_in(
    made: Results, one: Member, dataset: Dataset, config: configs.Benchmark, chosen: Choice, out: Path
) -> None:
    """The figures of one model on one set that are not made yet."""
    horizon, values = max(chosen.horizons), dataset.panel.series(0).double().numpy()
    cases = [(kind, share) for kind in chosen.kinds for share in chosen.shares]
    if all(made.has(f"{dataset.name}/{kind}/{share:g}", f"{one.label}/{how}") for kind, share in cases for how in chosen.fills):
        return
    model = one.build(horizon=horizon, facts=facts_of(dataset.panel))
    ends = dataset.borders.validation.numpy()
    if "trained" in model.traits:
        place = out / "models" / f"{dataset.name}-{one.label}"
        cut = dataset.borders.train.numpy()
        train(model, dataset.panel.head(ends), ends, horizon, config.trainer, config.seed, place, False, cut)
    begin, end = (dataset.borders.validation, dataset.borders.test)
    if chosen.rows == "validation":
        begin, end = dataset.borders.train, dataset.borders.validation
    cutoffs = list(range(int(begin[0]), int(end[0]) - horizon + 1, chosen.every))
    _, spread = training_scale(dataset.panel, dataset.borders.train)
    season, scale = max(dataset.panel.season, 2), spread[0].numpy()
    with torch.no_grad():
        parameters = model.estimate(dataset.panel.past([int(dataset.borders.train[0])]))
        for kind, share in [("complete", 0.0), *cases]:
            seen = pattern(kind, values.shape, share, season, config.seed)
            for how in chosen.fills if share else ("native",):
                case, subject = f"{dataset.name}/{kind}/{share:g}", f"{one.label}/{how}"
                if made.has(case, subject):
                    continue
                rows = as_given(values, seen, how, season, kind == "rows" and how == "native")
                state = model.initial_state(parameters, torch.zeros(1, 0, dtype=torch.float64))
                mse = _error(model, state, rows, values, cutoffs, chosen.horizons, scale)
                made.add(case, subject, mse=mse)
                print(f"{case:28} {subject:24} {mse:.4f}", flush=True)


def pattern(kind: str, shape: tuple[int, ...], share: float, season: int, seed: int) -> NDArray[np.bool_]:
    """Which readings (T C) there are."""
    generator = np.random.default_rng(seed)
    if kind in ("chance", "complete"):
        return generator.random(shape) >= share
    if kind == "rows":
        return np.broadcast_to(generator.random((shape[0], 1)) >= share, shape)
    gap = season + season // 2
    period = round(gap / share)
    place = np.arange(shape[0])[:, None] + generator.integers(0, period, shape[1])
    seen: NDArray[np.bool_] = place % period >= gap
    return seen


def as_given(values: Numbers, seen: NDArray[np.bool_], how: str, season: int, drop: bool) -> Rows:
    """The rows (T C) as one of the FILLS leaves them."""
    there, rows = np.where(seen, values, np.nan), np.arange(len(values) + 1)
    every: NDArray[np.bool_] = np.ones(len(values), bool)
    if how == "native":
        return Rows(there, there, rows, np.asarray(seen.any(1)) if drop else every)
    held = pd.DataFrame(there).ffill().to_numpy()
    closed, since = held, rows
    if how == "season":
        closed = there.copy()
        for t in range(len(values)):
            before = np.where(np.isnan(closed[t - season]), held[t], closed[t - season]) if t >= season else held[t]
            closed[t] = np.where(seen[t], values[t], before)
        held = closed
    elif how == "linear":
        closed = interpolated(torch.from_numpy(there.T.copy())).numpy().T
        last = np.maximum.accumulate(np.where(seen, rows[:-1, None], -1), 0).min(1) + 1
        since = np.concatenate([[0], last])
    return Rows(closed, held, since, every)


def walk(model: Forecaster, state: State, rows: Rows, cutoffs: list[int]) -> Iterator[tuple[State, int]]:
    """The state before each cutoff, and the time from the last row to it."""
    done = max(cutoffs[0] - BEFORE, 0)
    last = done - 1

    def on(state: State, values: Numbers, low: int, high: int, last: int) -> tuple[State, int]:
        index = low + np.flatnonzero(rows.kept[low:high])
        if not len(index):
            return state, last
        elapsed = torch.from_numpy(np.diff(index, prepend=last).astype(np.float64))[None]
        return model.warm_up(state, Past.of(torch.from_numpy(values[index])[None], elapsed=elapsed)), int(index[-1])

    for cutoff in cutoffs:
        edge = max(int(rows.since[cutoff]), done)
        state, last = on(state, rows.closed, done, edge, last)
        done = edge
        now, end = on(state, rows.held, edge, cutoff, last)
        yield now, cutoff - end


def _error(
    model: Forecaster, state: State, rows: Rows, values: Numbers, cutoffs: list[int], horizons: tuple[int, ...], scale: Numbers
) -> float:
    """Mean over the horizons of the mean squared error at the cutoffs, in units of the scale."""
    longest, each = max(horizons), []
    inputs = torch.zeros(1, longest, 0, dtype=torch.float64)
    for (now, apart), cutoff in zip(walk(model, state, rows, cutoffs), cutoffs, strict=True):
        elapsed = torch.ones(1, longest, dtype=torch.float64)
        elapsed[0, 0] = apart
        median: Tensor = model.predict(now, Future(inputs, elapsed)).median[0]
        square = ((median.double().numpy() - values[cutoff : cutoff + longest]) / scale) ** 2
        each.append([square[:horizon].mean() for horizon in horizons])
    return float(np.mean(each))

"""From cells to a leaderboard: pooled figures with intervals, verdicts against seasonal naive and against the best, and one sentence.

All averages are over the cells that every listed model forecast; what that leaves out is counted and said.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.distribution import LEVELS
from forecast.experiment.backtest import Plan
from forecast.experiment.cells import Cell
from forecast.experiment.tables import Cells, identities, targets
from forecast.metrics import METRICS, Metric, Tally
from forecast.metrics.bootstrap import Difference, Draws, difference, draws, figures, interval
from forecast.metrics.pooling import by_cell, by_lead, common, pooled, stack
from forecast.metrics.relative import owa

REFERENCE = "seasonal_naive"


@dataclass(frozen=True)
class Standing:
    """One model in one metric."""

    value: float
    low: float
    high: float
    against_reference: Difference | None
    against_best: Difference | None


@dataclass(frozen=True)
class Leaderboard:
    """Standings by metric and model, the models from best to worst by the first metric."""

    metrics: tuple[str, ...]
    order: tuple[str, ...]
    standings: dict[str, dict[str, Standing]]  # metric → model
    tallies: dict[str, dict[str, Tally]]  # metric → model, on common cells
    lost: int  # cells that some model has and not all
    undefined: int  # observed outcomes at which the first metric is undefined, whatever is forecast
    plan: Draws | None

    @property
    def best(self) -> str:
        """The first model."""
        return self.order[0]


def stand_in(cells: Cells, other: str) -> dict[str, list[Cell]]:
    """Failed series of every model take the forecasts and scores of the model `other`; they stay listed as failed."""

    def filled(cell: Cell, spare: Cell) -> Cell:
        rows = [s for s in cell.failed if s not in spare.failed]
        if not rows:
            return cell
        index = torch.tensor(rows)

        def swap(mine: Tensor, theirs: Tensor) -> Tensor:
            return mine.index_copy(0, index, theirs[index])

        tallies = {
            word: Tally(*(swap(a, b) for a, b in zip(tally, spare.tallies[word], strict=True)))
            for word, tally in cell.tallies.items()
        }
        return cell._replace(
            mean=swap(cell.mean, spare.mean), quantiles=swap(cell.quantiles, spare.quantiles), tallies=tallies
        )

    return {
        model: [filled(cell, spare) for cell, spare in zip(made, cells[other], strict=True)]
        for model, made in cells.items()
    }


def leaderboard(plan: Plan, cells: Cells, seed: int = 0) -> Leaderboard:
    """Rank the models by the first metric of the plan."""
    columns = targets(plan.panel)
    plan_of_draws = draws(len(plan.panel), len(plan.ends), plan.horizon, step_of(plan), seed)
    tallies: dict[str, dict[str, Tally]] = {}
    lost = undefined = 0
    for word in plan.metrics:
        every = {
            model: stack([_channels(cell.tallies[word], columns) for cell in made]) for model, made in cells.items()
        }
        if word == plan.metrics[0]:
            undefined = _undefined(plan, cells, every)
        tallies[word], gone = common(every)
        lost = max(lost, gone)
    first = METRICS[plan.metrics[0]]
    values = {model: pooled(first, tally) for model, tally in tallies[first.word].items()}
    best = first.best if first.best is not None else 0.0
    order = tuple(sorted(values, key=lambda model: (math.isnan(values[model]), abs(values[model] - best))))
    standings = {word: _standings(METRICS[word], tallies[word], order[0], plan_of_draws) for word in plan.metrics}
    return Leaderboard(plan.metrics, order, standings, tallies, lost, undefined, plan_of_draws)


def step_of(plan: Plan) -> int:
    """Rows from one cutoff to the next, at least one; the horizon where there is one cutoff."""
    shared = plan.ends[plan.ends.min(1) >= 0]
    return max(int(np.diff(shared, axis=0).min()), 1) if len(shared) > 1 else plan.horizon


def _undefined(plan: Plan, cells: Cells, tallies: Mapping[str, Tally]) -> int:
    """Observed outcomes at which the metric is defined for no model, as MASE is on a constant series."""
    actual = torch.stack([cell.actual[..., targets(plan.panel)] for cell in next(iter(cells.values()))], 1)
    return int((actual.isfinite() & ~torch.stack([tally.weight > 0 for tally in tallies.values()]).any(0)).sum())


def _channels(tally: Tally, columns: Sequence[int]) -> Tally:
    return Tally(tally.total[..., list(columns)], tally.weight[..., list(columns)])


def _standings(metric: Metric, tallies: Mapping[str, Tally], best: str, plan: Draws | None) -> dict[str, Standing]:
    values = {model: pooled(metric, tally) for model, tally in tallies.items()}

    def against(model: str, other: str) -> Difference | None:
        if other not in values or model == other:
            return None
        return difference(metric, tallies[model], tallies[other], plan, values[model], values[other])

    bounds = {
        model: (math.nan, math.nan) if plan is None else interval(figures(metric, tally, plan))
        for model, tally in tallies.items()
    }
    return {
        model: Standing(values[model], *bounds[model], against(model, REFERENCE), against(model, best))
        for model in values
    }


def table(board: Leaderboard) -> pd.DataFrame:
    """model, metric, value, low, high, versus_seasonal_naive, versus_best."""
    rows = []
    for word in board.metrics:
        for model in board.order:
            one = board.standings[word][model]
            words = ["" if d is None else d.word for d in (one.against_reference, one.against_best)]
            rows.append((model, word, one.value, one.low, one.high, *words))
    rows += [(model, "owa", value, math.nan, math.nan, "", "") for model, value in owa_of(board).items()]
    return pd.DataFrame(
        rows, columns=["model", "metric", "value", "low", "high", "versus_seasonal_naive", "versus_best"]
    )


def owa_of(board: Leaderboard) -> dict[str, float]:
    """M4's overall weighted average by model, where Naive2 and both of its metrics are there; it has no interval."""
    if "naive2" not in board.order or not {"smape", "mase"} <= set(board.metrics):
        return {}
    smape, mase = ({m: board.standings[word][m].value for m in board.order} for word in ("smape", "mase"))
    return owa(smape, mase)


def leads(board: Leaderboard) -> pd.DataFrame:
    """model, metric, lead, value."""
    frames = []
    for word in board.metrics:
        for model in board.order:
            curve = by_lead(METRICS[word], board.tallies[word][model])
            frames.append(
                pd.DataFrame(
                    {"model": model, "metric": word, "lead": np.arange(1, len(curve) + 1), "value": curve.numpy()}
                )
            )
    return pd.concat(frames, ignore_index=True)


def scores(plan: Plan, board: Leaderboard) -> pd.DataFrame:
    """model, unique_id, cutoff, metric, value: one figure per series, channel and cutoff."""
    names, columns, rows = identities(plan.panel), targets(plan.panel), []
    starts = [
        [plan.panel.times(s)[e] if 0 <= e < int(plan.panel.lengths[s]) else None for s, e in enumerate(ends)]
        for ends in plan.ends
    ]
    for word in board.metrics:
        for model in board.order:
            values = by_cell(METRICS[word], board.tallies[word][model])
            for s, k, c in values.isfinite().nonzero().tolist():
                rows.append((model, names[s][columns[c]], starts[k][s], word, float(values[s, k, c])))
    return pd.DataFrame(rows, columns=["model", "unique_id", "cutoff", "metric", "value"])


def calibration(plan: Plan, cells: Cells) -> pd.DataFrame:
    """model, level, below, count: the share of outcomes at or below each quantile."""
    columns, rows = targets(plan.panel), []
    for model, made in cells.items():
        actual = torch.stack([cell.actual[..., columns] for cell in made])
        quantiles = torch.stack([cell.quantiles[:, :, columns] for cell in made])
        seen = actual.isfinite() & quantiles[..., 0].isfinite()
        for q, level in enumerate(LEVELS):
            below = (actual <= quantiles[..., q])[seen].to(torch.float64)
            rows.append((model, level, float(below.mean()), int(seen.sum())))
    return pd.DataFrame(rows, columns=["model", "level", "below", "count"])


def scope(plan: Plan) -> str:
    """`12 channels over 8 cutoffs`."""
    series, channels, cutoffs = len(plan.panel), len(targets(plan.panel)), len(plan.ends)
    what = (
        f"{series} series" if channels == 1 else f"{channels} channels" + (f" of {series} series" if series > 1 else "")
    )
    return f"{what} over {cutoffs} cutoff{'' if cutoffs == 1 else 's'}"


def verdict(plan: Plan, board: Leaderboard) -> tuple[str, list[str]]:
    """The sentence that a reader sees first, and what else has to be said."""
    word = board.metrics[0]
    best, metric = board.standings[word][board.best], METRICS[word]
    where = f"On {scope(plan)}"
    alike = [
        m
        for m in board.order[1:]
        if m != REFERENCE and (d := board.standings[word][m].against_best) is not None and d.word == "cannot tell"
    ]
    tail = f"; nor can it be told from {_listed(alike)}" if alike and board.plan is not None else ""
    naive = best.against_reference
    if board.plan is None and len(board.order) > 1:
        tail = ", but there are too few independent cutoffs to tell whether that is chance; ask for more with cutoffs=8 or more"
    if naive is None:
        claim = f"{board.best} comes first" if board.best != REFERENCE else "no model beats seasonal_naive"
    elif board.plan is None:
        claim = f"{board.best} has the smallest {metric.title} ({best.value:.3g}, {_percent(naive.skill)} against seasonal_naive)"
    elif naive.word == "better":
        tail = tail.replace("nor can it be", "it cannot be")
        claim = f"{board.best} beats seasonal_naive by {100 * naive.skill:.0f} % (95 % interval {100 * naive.low:.0f} to {100 * naive.high:.0f} %)"
    else:
        claim = f"{board.best} has the smallest {metric.title}, and cannot be told from seasonal_naive"
    return f"{where}, {claim}{tail}.", _details(plan, board, metric)


def _details(plan: Plan, board: Leaderboard, metric: Metric) -> list[str]:
    cells = int((board.tallies[metric.word][board.best].weight > 0).sum())
    lines = [f"Averages are over the {cells:,} outcomes that every model forecast."]
    if board.lost:
        lines.append(f"{board.lost:,} outcomes are left out for all models, because one of them has no forecast there.")
    if board.undefined:
        lines.append(
            f"{metric.title} is undefined at {board.undefined:,} outcomes, whatever is forecast; they count for no model."
        )
    if board.plan is not None:
        what = (
            f"{len(plan.panel)} series" if board.plan.axis == 0 else f"{board.plan.counts.shape[1]} blocks of cutoffs"
        )
        lines.append(f"Intervals come from {board.plan.counts.shape[0]:,} bootstrap draws of {what}.")
    return lines


def _listed(models: Sequence[str]) -> str:
    shown = list(models[:3]) + ([f"{len(models) - 3} more"] if len(models) > 3 else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _percent(share: float) -> str:
    return f"{abs(100 * share):.0f} % {'less' if share >= 0 else 'more'}"

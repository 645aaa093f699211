"""Pooling: the one place where cells become figures.

A tally holds a total and a weight per cell. Three ways to pool them over leads, channels, cutoffs and series:

    mean      mean over series of the series' own Σ total / Σ weight           (MASE, sMAPE of M4, coverage)
    points    Σ total / Σ weight over everything                               (MAE, sMAPE of M3, wMAPE, WQL)
    root      mean over series of √(Σ total / Σ weight)                        (RMSSE); `root of points` for RMSE

A series is a series and channel of the panel: channels are averaged only where the cell is in no unit or scaled. Cells without weight
count nowhere; `common` takes the cells that every model has, so that all are pooled over the same ones.
Shapes: totals and weights (S K H C): series, cutoffs, leads, channels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from forecast.metrics.outcome import Outcome, Tally
from forecast.metrics.point import bias, mae, mape, mase, mse, rmsse, smape, wmape
from forecast.metrics.probabilistic import coverage, crps, msis, pinball_deciles, pit, scaled_crps, width, wql

Pool = Literal["mean", "points", "root", "root of points"]


@dataclass(frozen=True)
class Metric:
    """A metric: how a cell is tallied, how tallies are pooled, and which values are good."""

    word: str
    title: str
    tally: Callable[[Outcome], Tally]
    pool: Pool
    unit: str = ""  # "" = none, "y" = that of the data, "%"
    best: float | None = 0.0  # the value to be near; None: no order


METRICS: dict[str, Metric] = {
    metric.word: metric
    for metric in (
        Metric("mase", "MASE", mase, "mean"),
        Metric("rmsse", "RMSSE", rmsse, "root"),
        Metric("smape", "sMAPE", smape, "mean", "%"),
        Metric("smape_points", "sMAPE over points", smape, "points", "%"),
        Metric("mape", "MAPE", mape, "mean", "%"),
        Metric("wmape", "wMAPE", wmape, "points"),
        Metric("mae", "MAE", mae, "points", "y"),
        Metric("mse", "MSE", mse, "points", "y²"),
        Metric("rmse", "RMSE", mse, "root of points", "y"),
        Metric("bias", "Bias", bias, "points", "y"),
        Metric("crps", "CRPS", crps, "points", "y"),
        Metric("scaled_crps", "Scaled CRPS", scaled_crps, "mean"),
        Metric("wql", "WQL", wql, "points"),
        Metric("pinball", "Pinball loss", pinball_deciles, "points", "y"),
        Metric("coverage", "Coverage of 90 % intervals", coverage, "mean", best=0.9),
        Metric("width", "Width of 90 % intervals", width, "mean", best=None),
        Metric("msis", "MSIS", msis, "mean"),
        Metric("pit", "Mean PIT", pit, "mean", best=0.5),
    )
}


def stack(cells: Sequence[Tally]) -> Tally:
    """Tallies of several cutoffs (S H C each) as one (S K H C)."""
    return Tally(torch.stack([cell.total for cell in cells], 1), torch.stack([cell.weight for cell in cells], 1))


def common(tallies: Mapping[str, Tally]) -> tuple[dict[str, Tally], int]:
    """The same tallies on the cells that all models have, and how many cells some had and not all.

    A model that has no cell at all is left out of this: it would take everybody's cells away.
    """
    # A cell of weight 0 may still have a total: an error where the actual is zero counts in a ratio of sums.
    defined = {name: (tally.weight > 0) | (tally.total != 0) for name, tally in tallies.items()}
    there = torch.stack([cells for cells in defined.values() if bool(cells.any())] or list(defined.values()))
    shared, some = there.all(0), there.any(0)
    kept = {
        name: Tally(torch.where(shared & defined[name], t.total, 0.0), torch.where(shared & defined[name], t.weight, 0.0)) for name, t in tallies.items()
    }
    return kept, int((some & ~shared).sum())


def pooled(metric: Metric, tally: Tally) -> float:
    """One figure for a model (NaN where nothing is defined)."""
    if metric.pool in ("points", "root of points"):
        value = ratio(tally, (0, 1, 2, 3))
        return float(value.sqrt() if metric.pool == "root of points" else value)
    return float(by_series(metric, tally).nanmean())


def by_series(metric: Metric, tally: Tally) -> Tensor:
    """(S C): a figure per series and channel."""
    return _finish(metric, ratio(tally, (1, 2)))


def by_cell(metric: Metric, tally: Tally) -> Tensor:
    """(S K C): a figure per series, cutoff and channel."""
    return _finish(metric, ratio(tally, (2,)))


def by_lead(metric: Metric, tally: Tally) -> Tensor:
    """(H): a figure per lead, pooled the metric's way over everything else."""
    if metric.pool in ("points", "root of points"):
        value = ratio(tally, (0, 1, 3))
        return value.sqrt() if metric.pool == "root of points" else value
    return _finish(metric, ratio(tally, (1,))).nanmean((0, 2))


def ratio(tally: Tally, axes: tuple[int, ...]) -> Tensor:
    """Σ total / Σ weight over some axes; NaN where there is no weight."""
    total, weight = tally.total.sum(axes), tally.weight.sum(axes)
    return torch.where(weight > 0, total / weight, torch.nan)


def _finish(metric: Metric, value: Tensor) -> Tensor:
    return value.sqrt() if metric.pool in ("root", "root of points") else value


def naive_errors(values: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """Mean |y_t - y_{t-m}| and its square's mean (B C) over all rows (B T C) before a cutoff; NaN where there is no such pair.

    A series with no pair m rows apart is scaled by its one-step errors, as M4's code does for yearly data (m = 1).
    """
    first, square = _lagged(values, season)
    plain, plain_square = (first, square) if season == 1 else _lagged(values, 1)
    return torch.where(first.isnan(), plain, first), torch.where(square.isnan(), plain_square, square)


def _lagged(values: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    gap = values[:, lag:] - values[:, :-lag] if values.shape[1] > lag else values[:, :0]
    return gap.abs().nanmean(1), gap.square().nanmean(1)

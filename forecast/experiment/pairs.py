"""Model against model on the metric that ranks: win rates, Diebold-Mariano series by series, ranks over independent units.

The leaderboard's verdicts are bootstrap intervals of pooled figures; here stands what else its readers ask for.
"""

import math
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from forecast.experiment.backtest import Plan
from forecast.experiment.leaderboard import Leaderboard, step_of
from forecast.metrics import METRICS
from forecast.metrics.independence import per_unit, units
from forecast.metrics.pooling import by_cell
from forecast.metrics.relative import win_rate
from forecast.metrics.significance import CriticalDifference, critical_difference, diebold_mariano

LEVEL = 0.05


def losses_of(board: Leaderboard) -> Tensor:
    """Distance from the ideal (M S K C) of every model by the leading metric, models in the board's order."""
    metric = METRICS[board.metrics[0]]
    figures = torch.stack([by_cell(metric, board.tallies[metric.word][model]) for model in board.order])
    return (figures - (metric.best or 0.0)).abs()


def table(plan: Plan, board: Leaderboard) -> pd.DataFrame:
    """model, against, win_rate, tested, better, worse: of the series that Diebold-Mariano can test, the share of false
    discoveries held at 5 %, how many the first model forecasts better, and how many worse.
    """
    losses = losses_of(board)
    wins = win_rate(losses.flatten(1))
    lanes = losses.transpose(2, 3).flatten(1, 2)  # (M S·C K)
    overlap = -(-plan.horizon // step_of(plan))
    rows: list[tuple[Any, ...]] = []
    for i, model in enumerate(board.order):
        for j, other in enumerate(board.order):
            if i != j:
                test = diebold_mariano(lanes[i], lanes[j], overlap)
                sure = test.adjusted < LEVEL
                counts = [
                    np.isfinite(test.p).sum(),
                    (sure & (test.statistic < 0)).sum(),
                    (sure & (test.statistic > 0)).sum(),
                ]
                rows.append((model, other, float(wins[i, j]), *map(int, counts)))
    return pd.DataFrame(rows, columns=["model", "against", "win_rate", "tested", "better", "worse"])


def ranks(plan: Plan, board: Leaderboard) -> tuple[pd.DataFrame, dict[str, Any]]:
    """model, rank: the mean rank over independent units; and what its reader needs: Friedman's p, Nemenyi's distance, units."""
    losses = losses_of(board).nanmean(3)
    there = losses.isfinite().flatten(1).any(1)  # a model without any forecast would leave no shared unit
    of = units(len(plan.panel), len(plan.ends), plan.horizon, step_of(plan))
    found = critical_difference(per_unit(losses[there], of), LEVEL)
    names = [model for model, has in zip(board.order, there.tolist(), strict=True) if has]
    frame = pd.DataFrame({"model": names, "rank": found.ranks.numpy()}).sort_values("rank", ignore_index=True)
    return frame, _words(found, names, of.count, "series" if of.axis == 0 else "blocks of cutoffs")


def _words(found: CriticalDifference, names: list[str], count: int, what: str) -> dict[str, Any]:
    told = math.isfinite(found.distance)
    return {
        "p": found.p if told else None,
        "distance": found.distance if told else None,
        "groups": [[names[i] for i in group] for group in found.groups] if told else [],
        "units": count,
        "of": what,
    }

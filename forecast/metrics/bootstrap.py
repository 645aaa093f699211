"""How sure: bootstrap of pooled figures and of their differences, over what is independent and nothing else.

Independent units (`forecast.metrics.independence`) are drawn with replacement; every draw pools anew the metric's own
way, and two models are compared on the same draws. With too few units there are no draws, no interval, and nothing
can be told.
Source: Efron & Tibshirani (1993), An Introduction to the Bootstrap, ch. 13 (percentile interval).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from forecast.metrics import pooling
from forecast.metrics.independence import Units, units
from forecast.metrics.outcome import Tally
from forecast.metrics.registry import Metric

Word = Literal["better", "worse", "cannot tell"]
DRAWS = 2000
NOTHING = (float("nan"), float("nan"))


@dataclass(frozen=True)
class Draws:
    """The units drawn and how often: draw d takes unit u counts[d, u] times."""

    units: Units
    counts: Tensor  # (D U)

    @property
    def axis(self) -> Literal[0, 1]:
        """0 where series are drawn, 1 where blocks of cutoffs are."""
        return self.units.axis


@dataclass(frozen=True)
class Difference:
    """One model against another on the same cells, with 95 % intervals; NaN where nothing can be told."""

    word: Word
    skill: float  # 1 - mine/theirs: positive where mine has the smaller error
    low: float
    high: float
    gap: float  # mine - theirs in the metric's own unit
    gap_low: float
    gap_high: float


def draws(series: int, cutoffs: int, horizon: int, step: int, seed: int, number: int = DRAWS) -> Draws | None:
    """The draws for a comparison of this size, or None where there are too few independent units."""
    of = units(series, cutoffs, horizon, step)
    if not of.enough:
        return None
    picks = torch.randint(of.count, (number, of.count), generator=torch.Generator().manual_seed(seed))
    counts = torch.zeros(number, of.count, dtype=torch.float64)
    return Draws(of, counts.scatter_add_(1, picks, torch.ones_like(picks, dtype=torch.float64)))


def figures(metric: Metric, tally: Tally, plan: Draws) -> Tensor:
    """The pooled figure in every draw (D)."""
    if plan.axis == 0:
        return pooling.figures(metric, tally, series=plan.counts)
    cutoffs = plan.counts.repeat_interleave(plan.units.block, 1)
    spare = plan.units.first(tally.total.shape[1])
    return pooling.figures(metric, tally, cutoffs=torch.nn.functional.pad(cutoffs, (spare, 0)))


def interval(values: Tensor, coverage: float = 0.95) -> tuple[float, float]:
    """Percentile interval of drawn figures."""
    seen = values[values.isfinite()]
    if len(seen) < 2:
        return NOTHING
    bounds = torch.quantile(seen, torch.tensor([(1 - coverage) / 2, (1 + coverage) / 2], dtype=seen.dtype))
    return float(bounds[0]), float(bounds[1])


def difference(
    metric: Metric, mine: Tally, theirs: Tally, plan: Draws | None, value: float, other: float
) -> Difference:
    """Verdict of `mine` (pooled: `value`) against `theirs` (`other`) on the same cells; nearness to `best` decides."""
    best = metric.best or 0.0
    skill = 1 - abs(value - best) / abs(other - best) if other != best else float("nan")
    if plan is None:
        return Difference("cannot tell", skill, *NOTHING, value - other, *NOTHING)
    a, b = (figures(metric, tally, plan) for tally in (mine, theirs))
    low, high = interval(1 - (a - best).abs() / (b - best).abs())
    word: Word = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    return Difference(
        word if metric.best is not None else "cannot tell", skill, low, high, value - other, *interval(a - b)
    )

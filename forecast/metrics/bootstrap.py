"""How sure: bootstrap of pooled figures and of their differences, over what is independent and nothing else.

With 20 series or more, series are drawn (with all their cutoffs and channels). With fewer, blocks of neighbouring cutoffs are drawn that
together span at least one horizon, so that overlapping outcomes stay together. Fewer than 8 blocks: nothing can be told, and no
interval is drawn. Every draw pools anew the metric's own way; two models are compared on the same draws.
Shapes: tallies (S K H C), multiplicities (D U): how often draw d takes unit u.
Source: Efron & Tibshirani (1993), ch. 13 (percentile interval); Lahiri (2003), ch. 2 (non-overlapping blocks).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from forecast.metrics.outcome import Tally
from forecast.metrics.pooling import Metric

Word = Literal["better", "worse", "cannot tell"]
SERIES, BLOCKS, DRAWS = 20, 8, 2000


@dataclass(frozen=True)
class Draws:
    """What is drawn and how often: `axis` 0 for series, 1 for blocks of `block` cutoffs."""

    axis: Literal[0, 1]
    block: int
    counts: Tensor  # (D U)


@dataclass(frozen=True)
class Difference:
    """One model against another on the same cells."""

    word: Word
    skill: float  # 1 - mine/theirs: positive where mine has the smaller error
    low: float  # 95 % interval of the skill; NaN where nothing can be told
    high: float


def draws(series: int, cutoffs: int, horizon: int, step: int, seed: int, number: int = DRAWS) -> Draws | None:
    """The draws for a comparison of this size, or None where there are too few independent blocks."""
    block = 1 if series >= SERIES else -(-horizon // max(step, 1))
    units = series if series >= SERIES else cutoffs // block
    if units < BLOCKS:
        return None
    generator = torch.Generator().manual_seed(seed)
    picks = torch.randint(units, (number, units), generator=generator)
    counts = torch.zeros(number, units, dtype=torch.float64).scatter_add_(1, picks, torch.ones(number, units, dtype=torch.float64))
    return Draws(0 if series >= SERIES else 1, block, counts)


def figures(metric: Metric, tally: Tally, plan: Draws) -> Tensor:
    """The pooled figure in every draw (D)."""
    total, weight = _units(tally, plan)
    if plan.axis == 0:
        if metric.pool in ("points", "root of points"):
            value = (plan.counts @ total.sum(1)) / (plan.counts @ weight.sum(1))
            return value.sqrt() if metric.pool == "root of points" else value
        own = _root(metric, torch.where(weight > 0, total / weight, torch.nan))
        there = own.isfinite().to(total.dtype)
        return (plan.counts @ own.nan_to_num().sum(1)) / (plan.counts @ there.sum(1))
    drawn, size = torch.einsum("du,scu->dsc", plan.counts, total), torch.einsum("du,scu->dsc", plan.counts, weight)
    if metric.pool in ("points", "root of points"):
        value = drawn.sum((1, 2)) / size.sum((1, 2))
        return value.sqrt() if metric.pool == "root of points" else value
    return _root(metric, torch.where(size > 0, drawn / size, torch.nan)).flatten(1).nanmean(1)


def _units(tally: Tally, plan: Draws) -> tuple[Tensor, Tensor]:
    """Totals and weights per unit: (S C) for series, (S C U) for blocks of cutoffs."""
    parts = [part.sum(2) for part in tally]
    if plan.axis == 0:
        return parts[0].sum(1), parts[1].sum(1)
    units = plan.counts.shape[1]
    last = parts[0].shape[1] - units * plan.block  # the oldest cutoffs that fill no block are left out
    shape = (len(parts[0]), units, plan.block, parts[0].shape[2])
    one, two = (part[:, last:].reshape(shape).sum(2).transpose(1, 2) for part in parts)
    return one, two


def _root(metric: Metric, value: Tensor) -> Tensor:
    return value.sqrt() if metric.pool in ("root", "root of points") else value


def interval(values: Tensor, coverage: float = 0.95) -> tuple[float, float]:
    """Percentile interval of drawn figures."""
    seen = values[values.isfinite()]
    if len(seen) < 2:
        return float("nan"), float("nan")
    bounds = torch.quantile(seen, torch.tensor([(1 - coverage) / 2, (1 + coverage) / 2], dtype=seen.dtype))
    return float(bounds[0]), float(bounds[1])


def difference(metric: Metric, mine: Tally, theirs: Tally, plan: Draws | None, value: float, other: float) -> Difference:
    """Verdict of `mine` (pooled figure `value`) against `theirs` (`other`) on the same cells; nearness to `best` decides."""
    best = metric.best or 0.0
    skill = 1 - abs(value - best) / abs(other - best) if other != best else float("nan")
    if plan is None or metric.best is None:
        return Difference("cannot tell", skill, float("nan"), float("nan"))
    a, b = (figures(metric, tally, plan) for tally in (mine, theirs))
    low, high = interval(1 - (a - best).abs() / (b - best).abs())
    word: Word = "better" if low > 0 else "worse" if high < 0 else "cannot tell"
    return Difference(word, skill, low, high)

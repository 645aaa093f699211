"""Pooling: the one place where cells become figures.

A tally holds a total and a weight per cell; a figure is made from ratios Σ total / Σ weight:

    mean            mean over series of each series' own ratio        (MASE, MSIS, sMAPE as M4 pools it)
    root            mean over series of the root of it                (RMSSE)
    points          one ratio over all series                         (MAE, wMAPE, WQL, sMAPE as M3 pools it)
    root of points  the root of that                                  (RMSE)
    levels          one ratio per quantile level τ of 1{F(y) ≤ τ}, then the mean distance from τ   (calibration error)

Values in units of the data are never added over channels: a channel has a ratio of its own, the mean over channels is
taken only of figures without a unit, and a figure with a unit is NaN where there are several channels. Cells without
weight count nowhere; `common` keeps the cells that every model has, so that all are pooled over the same ones.
Shapes: totals and weights (S K H C): series, cutoffs, leads, channels; multiplicities of a bootstrap (D S) or (D K).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from forecast.distribution import LEVELS
from forecast.metrics.outcome import FAINT, Tally
from forecast.metrics.registry import Metric

DRAWS_AT_ONCE = 256


def stack(cells: Sequence[Tally]) -> Tally:
    """Tallies of several cutoffs (S H C each) as one (S K H C)."""
    return Tally(torch.stack([cell.total for cell in cells], 1), torch.stack([cell.weight for cell in cells], 1))


def common(tallies: Mapping[str, Tally]) -> tuple[dict[str, Tally], int]:
    """The same tallies on the cells that all models have, and how many cells some had and not all.

    A model that has no cell at all is left out of this: it would take everybody's cells away.
    """
    defined = [tally.weight > 0 for tally in tallies.values()]
    there = torch.stack([cells for cells in defined if bool(cells.any())] or defined)
    shared = there.all(0)
    kept = {name: Tally(*(torch.where(shared, part, 0.0) for part in tally)) for name, tally in tallies.items()}
    return kept, int((there.any(0) & ~shared).sum())


def pooled(metric: Metric, tally: Tally) -> float:
    """One figure for a model; NaN where nothing is defined."""
    return float(figures(metric, tally)[0])


def figures(metric: Metric, tally: Tally, series: Tensor | None = None, cutoffs: Tensor | None = None) -> Tensor:
    """The figure (D) for all multiplicities of series (D S) or of cutoffs (D K), or for the data as they are (1)."""
    total, weight = _levelled(metric, tally)
    total, weight = total.sum(3), weight.sum(3)  # (Q S K C)
    if cutoffs is not None:
        chunks = torch.split(cutoffs, DRAWS_AT_ONCE)
        return torch.cat([_over_series(metric, _drawn(total, c), _drawn(weight, c), None) for c in chunks])
    return _over_series(metric, total.sum(2)[:, None], weight.sum(2)[:, None], series)


def by_series(metric: Metric, tally: Tally) -> Tensor:
    """(S C): a figure per series and channel."""
    return _own(metric, tally, (2, 3))


def by_cell(metric: Metric, tally: Tally) -> Tensor:
    """(S K C): a figure per series, cutoff and channel."""
    return _own(metric, tally, (3,))


def by_lead(metric: Metric, tally: Tally) -> Tensor:
    """(H): a figure per lead, pooled the metric's way over everything else."""
    leads = zip(tally.total.unbind(2), tally.weight.unbind(2), strict=True)
    return torch.cat([figures(metric, Tally(total[:, :, None], weight[:, :, None])) for total, weight in leads])


def _own(metric: Metric, tally: Tally, axes: tuple[int, ...]) -> Tensor:
    total, weight = _levelled(metric, tally)
    return _finish(metric, _ratio(total.sum(axes), weight.sum(axes)))


def _drawn(part: Tensor, cutoffs: Tensor) -> Tensor:
    """Sums over cutoffs (Q D S C) with their multiplicities."""
    return torch.einsum("dk,qskc->qdsc", cutoffs, part)


def _over_series(metric: Metric, total: Tensor, weight: Tensor, series: Tensor | None) -> Tensor:
    """Figures (D) from sums per series (Q D S C), or (Q 1 S C) where `series` (D S) says how often each is drawn."""
    if metric.pool in ("points", "root of points", "levels"):
        by_channel = _finish(metric, _ratio(_times(total, series), _times(weight, series)))  # (D C)
        several = by_channel.shape[1] > 1 and metric.in_data_units
        return by_channel.mean(1) * torch.nan if several else by_channel.nanmean(1)
    own = _finish(metric, _ratio(total, weight))[None]
    return _ratio(_times(own.nan_to_num(), series).sum(-1), _times(own.isfinite().double(), series).sum(-1))[0]


def _times(part: Tensor, series: Tensor | None) -> Tensor:
    """Sums over series (Q D C)."""
    return part.sum(2) if series is None else series @ part[:, 0]


def _levelled(metric: Metric, tally: Tally) -> tuple[Tensor, Tensor]:
    """Totals (Q S K H C) and weights (1 S K H C); Q = 1 but for `levels`, where the total is F(y)."""
    if metric.pool != "levels":
        return tally.total[None], tally.weight[None]
    below = [torch.where(tally.total <= level, tally.weight, 0.0) for level in LEVELS]
    return torch.stack(below), tally.weight[None]


def _ratio(total: Tensor, weight: Tensor) -> Tensor:
    """Σ total / Σ weight; NaN where there is no weight, or none but faint ones."""
    return torch.where(weight > FAINT * 1e100, total / weight, torch.nan)


def _finish(metric: Metric, value: Tensor) -> Tensor:
    """What becomes of a ratio (Q …) in the end."""
    if metric.pool == "levels":
        levels = torch.tensor(LEVELS, dtype=value.dtype).reshape(-1, *[1] * (value.ndim - 1))
        return (value - levels).abs().mean(0)
    return value[0].sqrt() if metric.pool in ("root", "root of points") else value[0]

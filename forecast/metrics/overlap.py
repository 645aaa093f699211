"""How sure a difference is over overlapping windows of one long series, in which neighbours share most of their rows.

    gap = mean over horizons of the mean over windows of d_{h,w}     d_{h,w} = loss of one model less that of the other

Circular moving blocks of windows are drawn with replacement until there are as many windows as before; the horizons of a draw are those of the same
windows. A block is two horizons long (one horizon alone cuts off a third of the variance), or one where four do not fit; the longest counts.
The 95 % interval is that of the percentiles, its distance from the gap times t √(k/(k-1)) / 1.96 for the few blocks: k of them fill the series once,
t is the 97.5 % point of Student's t with k-1 degrees of freedom.
Shapes: losses (W) of each horizon, window w being the one after the first w rows; longer horizons have fewer windows.
Source: Politis & Romano (1992), A circular block-resampling procedure for stationary data; the widening is ours.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from scipy import stats
from torch import Tensor

from forecast.metrics.bootstrap import DRAWS, interval

LONG, ROOM = 2, 4  # horizons in a block, and in a series that is long enough for that
USUAL = float(stats.norm.ppf(0.975))


class Gap(NamedTuple):
    """A mean difference with its 95 % interval (NaN where not two blocks fit), the windows in a block, and the blocks that fit."""

    gap: float
    low: float
    high: float
    block: int
    blocks: int


def gap(differences: Sequence[Tensor], horizon: int, seed: int = 0, number: int = DRAWS) -> Gap:
    """The difference of two models from those of their windows, one tensor (W) for each horizon, `horizon` the longest."""
    windows = max(len(each) for each in differences)
    fill = [(0, windows - len(each)) for each in differences]
    laid = torch.stack([torch.nn.functional.pad(d, f, value=math.nan) for d, f in zip(differences, fill, strict=True)])
    found, block = float(laid.nanmean(1).mean()), horizon * (LONG if windows >= ROOM * horizon else 1)
    fit = windows // block
    if fit < 2:
        return Gap(found, math.nan, math.nan, block, fit)
    low, high = interval(_drawn(laid, block, seed, number))
    wider = float(stats.t.ppf(0.975, fit - 1)) / USUAL * math.sqrt(fit / (fit - 1))
    return Gap(found, found + (low - found) * wider, found + (high - found) * wider, block, fit)


def _drawn(laid: Tensor, block: int, seed: int, number: int) -> Tensor:
    """The figure in every draw (D), from sums over the block that begins at each window."""
    windows = laid.shape[1]
    around = torch.cat([laid, laid[:, :block]], 1)
    there = ~around.isnan()
    totals = [torch.nn.functional.pad(part.cumsum(1), (1, 0)) for part in (around.nan_to_num(nan=0.0), there.double())]
    sums, counts = (part[:, block : block + windows] - part[:, :windows] for part in totals)
    starts = torch.randint(windows, (number, round(windows / block)), generator=torch.Generator().manual_seed(seed))
    return (sums[:, starts].sum(2) / counts[:, starts].sum(2)).mean(0)

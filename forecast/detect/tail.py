"""Calibrated tails: from a statistic on calm rows to  e(x) = -log P(X ≥ x).

Up to the 1 - p quantile u the empirical distribution, at equal steps in nats; beyond it a generalised Pareto law
    P(X > u + y) = p (1 + ξ y/σ)^(-1/ξ),
fitted to the excesses by Zhang & Stephens (2009), Technometrics 51(3): the posterior mean over a grid of θ = ξ/σ, no iteration.
p = 200/n between 2 % and 10 %, and of more than 100,000 rows 2000/n down to 0.2 %; ξ is drawn towards 0.1 as if by ten more
excesses, and never below 0: no statistic is taken to have an end. Shapes: statistic (L N), NaN = missing; tail (L TAIL) as `forecast.kernels.tails` reads it.
"""

import math

import torch
from torch import Tensor

from forecast.kernels.tails import KNOTS, TAIL

LEAST = 100  # rows from which a sensor has a tail of its own
EXCESSES = 200
SHARE = (0.02, 0.1)
MANY, RAREST = 2000, 0.002  # excesses that are enough where rows are many, and the least share of those
PRIOR, WEIGHT = 0.1, 10.0
GRID = 40
CELLS = 20_000_000  # numbers held at once
STEEPEST = 1.0  # largest ξ
NARROWEST = 0.05  # least σ, in units of a statistic


def exponential(lanes: int) -> Tensor:
    """The tail of a surprise that is what it says: e(x) = x."""
    top = -math.log(SHARE[0])
    return torch.tensor([*(top * j / (KNOTS - 1) for j in range(KNOTS)), top, 1.0, 0.0], dtype=torch.float64).repeat(
        lanes, 1
    )


def absent(lanes: int) -> Tensor:
    """The tail of a statistic that does not count: e(x) = 0."""
    return torch.full((lanes, TAIL), math.inf, dtype=torch.float64)


def fit(statistic: Tensor, default: Tensor) -> Tensor:
    """Tails (L TAIL) of each lane; lanes with fewer than LEAST rows take that of `default` (L TAIL)."""
    count = statistic.isfinite().sum(1)
    tails = default.clone()
    many = (count >= LEAST).nonzero()[:, 0]
    room = max(CELLS // max(int(statistic.shape[1] * SHARE[1] * GRID), 1), 1)
    for rows in many.split(room):
        if len(rows):  # an empty tensor splits into one empty piece
            tails[rows] = _fit(statistic[rows], count[rows])
    return tails


def _fit(statistic: Tensor, count: Tensor) -> Tensor:
    ordered = torch.where(statistic.isfinite(), statistic, math.nan).sort(1).values.double()
    share = torch.minimum((EXCESSES / count).clamp(*SHARE), (MANY / count).clamp(min=RAREST)).double()
    top = -share.log()
    steps = torch.arange(KNOTS, dtype=torch.float64) / (KNOTS - 1)
    place = (1 - (-top[:, None] * steps).exp()) * (count[:, None] - 1)
    low = place.floor().long()
    high = torch.minimum(low + 1, count[:, None] - 1)
    below, above = ordered.gather(1, low), ordered.gather(1, high)
    knots = below + (above - below) * (place - low)
    most = int((count * share).max()) + 2
    index = (count[:, None] - 1 - torch.arange(most)).clamp(min=0)
    excess = ordered.gather(1, index) - knots[:, -1:]
    sigma, xi = pareto(torch.where(excess > 0, excess, math.nan))
    xi = (xi + 1 / spells(statistic > knots[:, -1:], most).clamp(min=1.0)).clamp(max=STEEPEST)
    return torch.cat([knots, top[:, None], sigma[:, None], xi[:, None]], 1)


def spells(beyond: Tensor, most: int) -> Tensor:
    """Independent spells (L) among at most `most` flagged rows (L N): their number times the extremal index (intervals estimator)."""
    rows = torch.where(beyond, torch.arange(beyond.shape[1]), beyond.shape[1]).sort(1).values[:, :most]
    gap = rows.diff(dim=1).double()
    gap = torch.where(rows[:, 1:] < beyond.shape[1], gap, math.nan)
    count = beyond.sum(1).double()
    near = gap.nan_to_num(0.0).amax(1) <= 2
    first = torch.where(near[:, None], gap, gap - 1).nansum(1)
    second = torch.where(near[:, None], gap * gap, (gap - 1) * (gap - 2)).nansum(1)
    index = 2 * first.square() / ((count - 1).clamp(min=1) * second.clamp(min=1e-9))
    return count * torch.where(second > 0, index, 1.0).clamp(max=1.0)


def pareto(excess: Tensor) -> tuple[Tensor, Tensor]:
    """σ and ξ of excesses (L E), NaN where there are none; in descending order."""
    seen = excess.isfinite()
    count = seen.sum(1)
    y = torch.where(seen, excess, 0.0)
    mean = y.sum(1) / count.clamp(min=1)
    largest = y.amax(1)
    quarter = y.gather(1, (count - (count / 4 + 0.5).long().clamp(min=1)).clamp(min=0)[:, None])[:, 0]
    usable = (count >= 5) & (quarter > 0)
    grid = 1 - (GRID / (torch.arange(1, GRID + 1, dtype=y.dtype) - 0.5)).sqrt()
    b = grid / (3 * torch.where(usable, quarter, 1.0))[:, None] + 1 / torch.where(usable, largest, 1.0)[:, None]
    k = _mean_log(b, y, seen, count)
    fit = count[:, None] * ((-(b / k)).log() - k - 1)
    weight = torch.softmax(fit.nan_to_num(-math.inf), 1)
    b = (weight * b).sum(1)
    xi = _mean_log(b[:, None], y, seen, count)[:, 0]
    sigma = -xi / b
    xi = (xi * count + PRIOR * WEIGHT) / (count + WEIGHT)
    flat = ~usable | ~sigma.isfinite() | (xi <= 0)
    sigma, xi = torch.where(flat, mean, sigma), torch.where(flat, 0.0, xi)
    return sigma.clamp(min=NARROWEST), xi.clamp(max=STEEPEST)


def _mean_log(b: Tensor, y: Tensor, seen: Tensor, count: Tensor) -> Tensor:
    """Mean of log(1 - b y) over the excesses, for b (L G)."""
    each = torch.log1p((-b[:, :, None] * y[:, None]).clamp(min=-1 + 1e-12))
    return (each * seen[:, None]).sum(2) / count[:, None].clamp(min=1)

"""Noise that grows with the level, and the logarithm under which days of many and of few are alike.

In PARTS parts of the season, level l the median of a part's calm readings above their 0.5 % quantile `low`, spread s the median |y_t - y_(t - season)|
of the part: where log s rises with log l by more than SLOPE, at a correlation above CLEAR, over levels a factor e apart or more, readings are
    sign(r - low) log(1 + |r - low|/bend) - centre,    bend = SHARE of what the calm median lies above `low`,
and otherwise stay as they are (bend = ∞). Shapes: r (B T C) in calm units; season (B) rows; low, bend, centre (B C).
Source: Bartlett (1947), Biometrics 3(1), transformations that steady a variance.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.kernels.season import PARTS

SLOPE, CLEAR, SPAN = 0.5, 0.9, 1.0
SHARE, LOWEST = 0.02, 0.005
KNOWN = 8  # parts that it takes
FAINT = 1e-9


class Bend(NamedTuple):
    """How readings are bent."""

    low: Tensor  # (B C)
    bend: Tensor  # (B C)
    centre: Tensor  # (B C)


def straight(r: Tensor) -> Bend:
    """All as they are."""
    zero = torch.zeros_like(r[:, 0]) if r.shape[1] else r.new_zeros(r.shape[0], r.shape[2])
    return Bend(zero, zero + math.inf, zero)


def bend_of(r: Tensor, season: Tensor) -> Bend:
    """The bend that calm rows ask for."""
    if r.shape[1] == 0:
        return straight(r)
    low = r.nanquantile(LOWEST, 1)
    share = SHARE * (r.nanmedian(1).values - low)
    grows = torch.stack([_grows(one, below, int(rows)) for one, below, rows in zip(r, low, season, strict=True)])
    grows &= share > FAINT
    bare = Bend(low.nan_to_num(0.0), torch.where(grows, share, math.inf), torch.zeros_like(low))
    return bare._replace(centre=torch.where(grows, bent(r, bare).nanmean(1), 0.0))


def bent(r: Tensor, by: Bend) -> Tensor:
    """Readings (B T C) under the bend."""
    off = r - by.low[:, None]
    compressed = off.sign() * (off.abs() / by.bend[:, None]).log1p() - by.centre[:, None]
    return torch.where(by.bend[:, None].isfinite(), compressed, r).contiguous()


def _grows(r: Tensor, low: Tensor, season: int) -> Tensor:
    """Whether the spread of r (T C) grows with its level (C)."""
    none = torch.zeros(r.shape[1], dtype=torch.bool)
    if season < KNOWN or len(r) < 2 * season:
        return none
    part = torch.arange(len(r)) % season * PARTS // season
    apart = (r[season:] - r[:-season]).abs()
    points = []
    for p in part.unique():
        level, spread = r[part == p].nanmedian(0).values - low, apart[part[season:] == p].nanmedian(0).values
        points.append(torch.stack([level.clamp(min=FAINT), spread.clamp(min=FAINT)]).log())
    if len(points) < KNOWN:
        return none
    x, y = torch.stack(points, 1)
    span = x.amax(0) - x.amin(0)
    x, y = x - x.mean(0), y - y.mean(0)
    both, own, other = (x * y).sum(0), (x * x).sum(0), (y * y).sum(0)
    return (both > SLOPE * own) & (both > CLEAR * (own * other).sqrt()) & (span > SPAN)

"""A distribution from its quantiles: linear between the levels, exponential tails that join with equal density.

Between two levels the quantile function is linear. Below the lowest level τ₁ with value q₁
    F(y) = τ₁ exp((y - q₁)/β),   β = τ₁ (q₂ - q₁)/(τ₂ - τ₁),
and above the highest one the mirror image. So log F is linear outside: surprise grows strictly, however far y lies.
Shapes: values (… H C Q); they are sorted, which mends crossing ones (Chernozhukov et al. 2010, Econometrica 78(3)).
CRPS = ∫ (F(x) - 1{x ≥ y})² dx, exactly, piece by piece.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from forecast.distribution.forecast import LEVELS, Forecast, alike, bounded_below, shape_of

SAME = 1e-12  # levels that differ by less are one: (1 - 0.95) / 2 is 0.025
NARROW = 1e-6  # a tail is never shorter than this part of the distance between the outermost quantiles


@dataclass(frozen=True, eq=False)
class Quantiles(Forecast):
    """Piecewise linear distribution through quantiles, with exponential tails."""

    values: Tensor
    levels: tuple[float, ...] = LEVELS

    def __post_init__(self) -> None:
        missing = self.values.isnan().any(-1, keepdim=True)
        object.__setattr__(self, "values", torch.where(missing, math.nan, self.values.sort(-1).values))

    @property
    def shape(self) -> torch.Size:
        return self.values.shape[:-1]

    @property
    def tails(self) -> tuple[Tensor, Tensor]:
        """Lengths β of the lower and the upper tail."""
        q, low, high = self.values, self.levels[0], 1 - self.levels[-1]
        floor = (NARROW * (q[..., -1] - q[..., 0])).clamp(min=torch.finfo(q.dtype).tiny)
        below = low / (self.levels[1] - low) * (q[..., 1] - q[..., 0])
        above = high / (self.levels[-1] - self.levels[-2]) * (q[..., -1] - q[..., -2])
        return torch.maximum(below, floor), torch.maximum(above, floor)

    def quantile(self, level: float | Tensor) -> Tensor:
        if isinstance(level, float):
            known = next((i for i, own in enumerate(self.levels) if abs(level - own) < SAME), None)
            if known is not None:
                return self.values[..., known]
        grid = self._grid(torch.float64)
        u = torch.as_tensor(level, dtype=torch.float64, device=grid.device)
        index = torch.searchsorted(grid, u.contiguous(), right=True).clamp(1, len(grid) - 1)
        part = (
            ((u - grid.take(index - 1)) / (grid.take(index) - grid.take(index - 1))).clamp(0, 1).to(self.values.dtype)
        )
        left, right = _pick(self.values, index - 1), _pick(self.values, index)
        inside = left + part * (right - left)
        below, above = self.tails
        lower = below * (u / grid[0]).clamp(max=1).log().to(inside.dtype)
        upper = -above * ((1 - u) / (1 - grid[-1])).clamp(max=1).log().to(inside.dtype)
        inside = torch.where(u > grid[-1], self.values[..., -1] + upper, inside)
        return torch.where(u < grid[0], self.values[..., 0] + lower, inside)

    def cdf(self, y: Tensor) -> Tensor:
        return self.log_tails(y)[0].exp()

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        y, first, last = alike(y, self.values[..., 0], self.values[..., -1])
        below, above = self.tails
        lower = self._within(y, right=True).log()
        upper = (1 - self._within(y, right=False)).log()
        deep = bounded_below(math.log(self.levels[0]) + ((y - first) / below).clamp(max=0))
        high = bounded_below(math.log1p(-self.levels[-1]) - ((y - last) / above).clamp(min=0))
        lower = torch.where(y < first, deep, torch.where(y > last, torch.log1p(-high.exp()), lower))
        upper = torch.where(y > last, high, torch.where(y < first, torch.log1p(-deep.exp()), upper))
        missing = y.isnan() | first.isnan()
        return torch.where(missing, math.nan, lower), torch.where(missing, math.nan, upper)

    def crps(self, y: Tensor) -> Tensor:
        q, tau = self.values, self._grid(self.values.dtype)
        low, high, width = tau[:-1], tau[1:], q.diff(dim=-1)
        cut = torch.minimum(torch.maximum(y[..., None], q[..., :-1]), q[..., 1:])
        part = torch.where(width > 0, (cut - q[..., :-1]) / torch.where(width > 0, width, 1.0), 0.0)
        middle = low + part * (high - low)
        left = (cut - q[..., :-1]) * (low.square() + low * middle + middle.square()) / 3
        right = (q[..., 1:] - cut) * ((1 - middle).square() + (1 - middle) * (1 - high) + (1 - high).square()) / 3
        below, above = self.tails
        outer = _tail_crps(q[..., 0] - y, below, self.levels[0])
        outer = outer + _tail_crps(y - q[..., -1], above, 1 - self.levels[-1])
        return (left + right).sum(-1) + outer

    @property
    def mean(self) -> Tensor:
        q, tau = self.values, self._grid(self.values.dtype)
        below, above = self.tails
        inside = (tau.diff() * (q[..., :-1] + q[..., 1:]) / 2).sum(-1)
        return inside + tau[0] * (q[..., 0] - below) + (1 - tau[-1]) * (q[..., -1] + above)

    def parts(self) -> tuple[Tensor, ...]:
        return (self.values,)

    def rebuild(self, *parts: Tensor) -> Self:
        return type(self)(parts[0], self.levels)

    def affine(self, loc: Tensor, spread: Tensor) -> "Quantiles":
        return Quantiles(loc[..., None] + spread[..., None] * self.values, self.levels)

    def _grid(self, dtype: torch.dtype) -> Tensor:
        return torch.tensor(self.levels, dtype=dtype, device=self.values.device)

    def _within(self, y: Tensor, right: bool) -> Tensor:
        """P(Y ≤ y), or P(Y < y) if not `right`, for y between the outermost quantiles."""
        grid = self._grid(y.dtype)
        values = self.values.expand(*y.shape, len(grid)).to(y.dtype).contiguous()
        index = torch.searchsorted(values, y[..., None].contiguous(), right=right).clamp(1, len(grid) - 1)
        left, right_end = values.gather(-1, index - 1)[..., 0], values.gather(-1, index)[..., 0]
        width, index = right_end - left, index[..., 0]
        step = torch.full_like(width, float(right))  # a tie: all of its mass or none
        part = torch.where(width > 0, (y - left) / torch.where(width > 0, width, 1.0), step).clamp(0, 1)
        return grid[index - 1] + part * (grid[index] - grid[index - 1])


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """values[…, index] for an index that may have axes of its own in front."""
    shape = shape_of(values[..., 0], index)
    return values.expand(*shape, values.shape[-1]).gather(-1, index.expand(shape)[..., None])[..., 0]


def _tail_crps(beyond: Tensor, length: Tensor, mass: float) -> Tensor:
    """∫ (F - 1{x ≥ y})² over one tail of the given mass, y lying `beyond` past its joint (negative: inside)."""
    outside = beyond.clamp(min=0)
    share = -torch.expm1(-outside / length)  # of the tail's mass between the joint and y
    crossed = outside - 2 * mass * length * share + mass**2 * length / 2 * share * (2 - share)
    return crossed + mass**2 * length / 2 * (1 - share).square()

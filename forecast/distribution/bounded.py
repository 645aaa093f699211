"""A forecast kept inside what the target can be: between bounds, and whole numbers.

Y = X clipped to [minimum, maximum], after rounding where `integer`: the mass beyond a bound sits on it. With atoms
P(Y ≤ y) + P(Y ≥ y) > 1, and surprise is 0 at an atom that holds half of the mass. A value beyond a bound, which cannot
be, keeps the surprise that the unbounded forecast gives it. The mean leaves rounding out (less than ½).
CRPS of whole numbers: the sum of (F(k) - 1{k ≥ y})² over k, up to WIDE of them; wider forecasts as if not rounded.
"""

import math
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from forecast.distribution.forecast import Forecast
from forecast.distribution.quadrature import crps_of, mean_of
from forecast.distribution.transformed import Affine, Transformed

WIDE = 256
SLACK = 1e-3  # a reading so near to a whole number is meant to be it
RARE = 1e-8  # the sum over whole numbers runs over levels RARE … 1 - RARE


@dataclass(frozen=True, eq=False)
class Bounded(Forecast):
    """A forecast clipped to bounds and rounded to whole numbers."""

    inner: Forecast
    minimum: float = -math.inf
    maximum: float = math.inf
    integer: bool = False

    @property
    def shape(self) -> torch.Size:
        return self.inner.shape

    @property
    def mean(self) -> Tensor:
        if self.integer:
            return replace(self, integer=False).mean
        return self.inner.mean if self._free() else mean_of(self, *self._kinks())

    def quantile(self, level: float | Tensor) -> Tensor:
        return self._bound(self.inner.quantile(level))

    def cdf(self, y: Tensor) -> Tensor:
        inside = self.log_tails(y)[0].exp()
        return torch.where(y < self.minimum, torch.zeros_like(inside) * inside, inside)

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        at_most, at_least = ((y + SLACK).floor(), (y - SLACK).ceil()) if self.integer else (y, y)
        half = 0.5 if self.integer else 0.0
        lower, upper = self.inner.log_tails(at_most + half)[0], self.inner.log_tails(at_least - half)[1]
        certain = 0 * lower  # log 1, but missing where the forecast is
        lower = torch.where(at_most >= self.maximum, certain, lower)
        return lower, torch.where(at_least <= self.minimum, certain, upper)

    def crps(self, y: Tensor) -> Tensor:
        if not self.integer:
            return self.inner.crps(y) if self._free() else crps_of(self, y, *self._kinks())
        low, high = self.quantile(RARE), self.quantile(1 - RARE) + 1
        smooth = replace(self, integer=False).crps(y)
        return torch.where(high - low > WIDE, smooth, self._sum(y, low, high))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self._bound(self.inner.sample(n, generator))

    def parts(self) -> tuple[Tensor, ...]:
        return self.inner.parts()

    def rebuild(self, *parts: Tensor) -> Self:
        return replace(self, inner=self.inner.rebuild(*parts))

    def affine(self, loc: Tensor, spread: Tensor) -> Transformed:
        return Transformed(self, Affine(loc, spread))

    def _bound(self, value: Tensor) -> Tensor:
        return ((value + 0.5).floor() if self.integer else value).clamp(self.minimum, self.maximum)

    def _free(self) -> bool:
        return self.minimum == -math.inf and self.maximum == math.inf

    def _kinks(self) -> list[Tensor]:
        """Levels at which the bounds are reached."""
        median = self.inner.median
        return [
            self.inner.cdf(torch.full_like(median, bound))
            for bound in (self.minimum, self.maximum)
            if math.isfinite(bound)
        ]

    def _sum(self, y: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """∫ (F - 1{x ≥ y})² over unit steps from `low` to `high`, F being 0 before and 1 after."""
        total = (low - y).clamp(min=0) + (y - high).clamp(min=0)
        steps = (high - low).nan_to_num(nan=0.0).clamp(max=WIDE)
        for i in range(int(steps.max()) if steps.numel() else 0):
            left = low + i
            below = (y - left).clamp(0, 1)  # part of the step before y
            f = self.cdf(left)
            total = total + torch.where(left < high, below * f.square() + (1 - below) * (1 - f).square(), 0.0)
        return total

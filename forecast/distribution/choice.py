"""One of two forecasts in every cell: where a condition holds the first, elsewhere the second."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from forecast.distribution.forecast import Forecast


@dataclass(frozen=True, eq=False)
class Choice(Forecast):
    """`a` where `first` (bool, broadcast to … H C) holds, `b` elsewhere."""

    first: Tensor
    a: Forecast
    b: Forecast

    @property
    def shape(self) -> torch.Size:
        return self.a.shape

    @property
    def mean(self) -> Tensor:
        return torch.where(self.first, self.a.mean, self.b.mean)

    def quantile(self, level: float | Tensor) -> Tensor:
        return torch.where(self.first, self.a.quantile(level), self.b.quantile(level))

    def cdf(self, y: Tensor) -> Tensor:
        return torch.where(self.first, self.a.cdf(y), self.b.cdf(y))

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        (low, high), (other_low, other_high) = self.a.log_tails(y), self.b.log_tails(y)
        return torch.where(self.first, low, other_low), torch.where(self.first, high, other_high)

    def crps(self, y: Tensor) -> Tensor:
        return torch.where(self.first, self.a.crps(y), self.b.crps(y))

    def joint_surprise(self, y: Tensor) -> Tensor:
        whole = self.first.expand(self.shape)
        mixed = torch.where(whole.any(-1), super().joint_surprise(y), self.b.joint_surprise(y))
        return torch.where(whole.all(-1), self.a.joint_surprise(y), mixed)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return torch.where(self.first, self.a.sample(n, generator), self.b.sample(n, generator))

    def parts(self) -> tuple[Tensor, ...]:
        return (self.first.expand(self.shape), *self.a.parts(), *self.b.parts())

    def rebuild(self, *parts: Tensor) -> Self:
        split = 1 + len(self.a.parts())
        return type(self)(parts[0], self.a.rebuild(*parts[1:split]), self.b.rebuild(*parts[split:]))

    def affine(self, loc: Tensor, spread: Tensor) -> "Choice":
        return Choice(self.first, self.a.affine(loc, spread), self.b.affine(loc, spread))

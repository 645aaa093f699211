"""The distribution of Y = T⁻¹(X) for a rising transform T and a forecast of X.

Levels carry over as they are: q_Y(τ) = T⁻¹(q_X(τ)), F_Y(y) = F_X(T(y)), and so do surprise, joint surprise and samples;
no Jacobian enters. Mean and CRPS are integrals over levels: a log model answers with the mean, not with exp(mean).
Shapes: the tensors of a transform broadcast against those of the forecast (… H C).
Box-Cox with an offset: T(y) = ((y + offset)^λ - 1)/λ, log(y + offset) at λ = 0 (Box & Cox 1964, JRSS B 26(2)).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeAlias

import torch
from torch import Tensor

from forecast.distribution.forecast import Forecast
from forecast.distribution.quadrature import crps_of, mean_of


class BoxCox(NamedTuple):
    """Power transform of y + offset > 0; the logarithm where the power is 0."""

    power: Tensor
    offset: Tensor

    def forward(self, y: Tensor) -> Tensor:
        """T(y); below the support the value at its edge."""
        log = (y + self.offset).clamp(min=torch.finfo(y.dtype).tiny).log()
        power = torch.where(self.power == 0, 1.0, self.power)
        return torch.where(self.power == 0, log, torch.expm1(power * log) / power)

    def inverse(self, x: Tensor) -> Tensor:
        """T⁻¹(x); beyond the range of T the edge of the support, kept finite."""
        limits = torch.finfo(x.dtype)
        power = torch.where(self.power == 0, 1.0, self.power)
        log = torch.log1p((power * x).clamp(min=limits.eps - 1)) / power
        return torch.where(self.power == 0, x, log).clamp(max=math.log(limits.max) - 1).exp() - self.offset


class Power(NamedTuple):
    """sign(y) |y|^λ, which is y at λ = 1; the logarithm at λ = 0; cell by cell.

    A positive power rises over all numbers, so that a normal on its scale has no lump at 0 (Bickel & Doksum 1981, JASA 76).
    """

    power: Tensor

    def forward(self, y: Tensor) -> Tensor:
        """T(y); below the support of a logarithm the value at its edge."""
        log = y.clamp(min=torch.finfo(y.dtype).tiny).log()
        return torch.where(self.power == 0, log, _signed(y, torch.where(self.power == 0, 1.0, self.power)))

    def inverse(self, x: Tensor) -> Tensor:
        """T⁻¹(x), kept finite."""
        most = torch.finfo(x.dtype).max
        power = torch.where(self.power == 0, 1.0, self.power)
        raised = _signed(x, 1 / power).clamp(-most, most)
        return torch.where(self.power == 0, x.clamp(max=math.log(most) - 1).exp(), raised)


class Affine(NamedTuple):
    """T(y) = (y - loc) / spread."""

    loc: Tensor
    spread: Tensor

    def forward(self, y: Tensor) -> Tensor:
        """T(y)."""
        return (y - self.loc) / self.spread

    def inverse(self, x: Tensor) -> Tensor:
        """T⁻¹(x)."""
        return self.loc + self.spread * x


Transform: TypeAlias = BoxCox | Power | Affine


def _signed(y: Tensor, power: Tensor) -> Tensor:
    """sign(y) |y|^power, y itself at 1."""
    return torch.where(power == 1, y, y.sign() * y.abs() ** power)


@dataclass(frozen=True, eq=False)
class Transformed(Forecast):
    """A forecast made on another scale, in the units of the data."""

    inner: Forecast
    transform: Transform

    @property
    def shape(self) -> torch.Size:
        return self.inner.shape

    @property
    def joint(self) -> bool:
        return self.inner.joint

    @property
    def mean(self) -> Tensor:
        return self.transform.inverse(self.inner.mean) if isinstance(self.transform, Affine) else mean_of(self)

    def quantile(self, level: float | Tensor) -> Tensor:
        return self.transform.inverse(self.inner.quantile(level))

    def cdf(self, y: Tensor) -> Tensor:
        return self.inner.cdf(self.transform.forward(y))

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        return self.inner.log_tails(self.transform.forward(y))

    def crps(self, y: Tensor) -> Tensor:
        if isinstance(self.transform, Affine):
            return self.transform.spread * self.inner.crps(self.transform.forward(y))
        return crps_of(self, y)

    def joint_surprise(self, y: Tensor) -> Tensor:
        return self.inner.joint_surprise(self.transform.forward(y))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        return self.transform.inverse(self.inner.sample(n, generator))

    def parts(self) -> tuple[Tensor, ...]:
        return (*self.inner.parts(), *[part.expand(self.shape) for part in self.transform])

    def rebuild(self, *parts: Tensor) -> Self:
        own = len(self.transform)
        return type(self)(self.inner.rebuild(*parts[:-own]), type(self.transform)(*parts[-own:]))

    def affine(self, loc: Tensor, spread: Tensor) -> "Transformed":
        return Transformed(self, Affine(loc, spread))

"""Student's t:  Y = loc + scale · T  with `df` degrees of freedom.

Shapes: loc, scale, df (… H C), broadcast against each other. Mean and CRPS exist for df > 1 only and are NaN elsewhere.
CRPS: Jordan, Krüger & Lerch (2019), J. Stat. Softw. 90(12), appendix A.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from forecast.distribution.forecast import Forecast, alike, bounded_below, shape_of
from forecast.distribution.tails import gamma_ratio, log_student_density, log_student_tail, student_quantile


@dataclass(frozen=True, eq=False)
class StudentT(Forecast):
    """Student's t distribution of each cell."""

    loc: Tensor
    scale: Tensor
    df: Tensor

    @property
    def shape(self) -> torch.Size:
        return shape_of(self.loc, self.scale, self.df)

    @property
    def mean(self) -> Tensor:
        return torch.where(self.df > 1, self.loc, math.nan).expand(self.shape)

    @property
    def median(self) -> Tensor:
        return self.loc.expand(self.shape)

    def quantile(self, level: float | Tensor) -> Tensor:
        level = torch.as_tensor(level, dtype=torch.float64, device=self.loc.device)
        log_p = torch.minimum(level, 1 - level).log()
        if level.ndim:
            z = student_quantile(log_p, self.df)
        else:  # one level for all cells: solve once for cells of the same df
            kinds, kind = torch.unique(self.df, return_inverse=True)
            z = student_quantile(log_p, kinds)[kind]
        signed = torch.where(level < 0.5, -z, z).to(self.loc.dtype)
        return self.loc + self.scale * signed

    def cdf(self, y: Tensor) -> Tensor:
        return self.log_tails(y)[0].exp()

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        z = self._standardise(y)
        tail = log_student_tail(z.abs(), self.df)
        rest = torch.log1p(-tail.exp())
        tail, rest = bounded_below(tail.to(z.dtype)), rest.to(z.dtype)
        return torch.where(z < 0, tail, rest), torch.where(z < 0, rest, tail)

    def crps(self, y: Tensor) -> Tensor:
        error, z, df = y - self.loc, self._standardise(y).double().clamp(-1e150, 1e150), self.df.double()
        growth = torch.log1p((z / df.sqrt()).square())
        slope = 2 * df / (df - 1) * (log_student_density(z, df) + growth).exp()
        # B(½, ν-½) / B(½, ν/2)² = Γ(ν-½) / Γ(ν) · (Γ((ν+1)/2) / Γ(ν/2))² / √π
        beta = gamma_ratio(df / 2).square() / gamma_ratio(df - 0.5) / math.sqrt(math.pi)
        spread = 2 * df.sqrt() / (df - 1) * beta
        outside = 1 - 2 * log_student_tail(z.abs(), df).exp()
        crps = error.abs() * outside.to(error.dtype) + self.scale * (slope - spread).to(error.dtype)
        return torch.where(self.df > 1, crps, math.nan)

    def parts(self) -> tuple[Tensor, ...]:
        return tuple(alike(self.loc, self.scale, self.df))

    def rebuild(self, *parts: Tensor) -> Self:
        return type(self)(*parts)

    def affine(self, loc: Tensor, spread: Tensor) -> "StudentT":
        return StudentT(loc + spread * self.loc, spread * self.scale, self.df)

    def _standardise(self, y: Tensor) -> Tensor:
        return (y - self.loc) / self.scale.clamp(min=torch.finfo(self.scale.dtype).tiny)

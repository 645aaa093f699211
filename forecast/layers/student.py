"""From features to a Student t of every lead, through the same basis of functions of the lead as the quantiles.

    y_h ~ loc_h + σ_h T_ν     log σ_h = Σ_j b_j φ_j(h) + log c      loc as the median of `forecast.layers.heads`, ν one for all

Trained by -log density; the scales start from the errors of the validation rows, lead by lead, and ν from their likelihood, the scale
of each ν being the one at which its mean weight is 1:  σ² = mean of (ν + 1) e² / (ν + e²/σ²).
Shapes: what the head says (… C H 2): loc and log σ.
Source of the fixed point: Lange, Little & Taylor (1989), J. Am. Stat. Assoc. 84(408), §3.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from forecast.distribution import Forecast, StudentT
from forecast.layers.heads import QuantileHead
from forecast.layers.scale import Units

LEAST = 2.0  # degrees of freedom are more: there is a variance
TRIED = (2.5, 3.0, 4.0, 5.0, 7.0, 10.0, 15.0, 30.0, 100.0)
ROUNDS = 30  # of the fixed point


class StudentHead(QuantileHead):
    """Location and scale of each lead, degrees of freedom of all."""

    def __init__(self, *parts: Any, **options: Any) -> None:
        super().__init__(*parts, **options)
        trained = self.median is not None
        self.excess = nn.Parameter(torch.tensor(math.log(math.expm1(8.0 - LEAST))), requires_grad=trained)

    @property
    def df(self) -> Tensor:
        """ν."""
        return LEAST + nn.functional.softplus(self.excess.double())

    def _offset(self) -> Tensor:
        return torch.zeros(1, dtype=torch.float64)

    def forward(self, features: Tensor, lead: Tensor, inputs: Tensor) -> Tensor:
        """loc and log σ (… C H 2)."""
        loc, widths = self._said(features, lead, inputs)
        return torch.stack([loc, widths[..., 0] + self.stretch.log().mean()], -1)

    def loss(self, said: Tensor, target: Tensor) -> Tensor:
        return -log_density(target, said[..., 0], said[..., 1], self.df.to(said.dtype))

    def quantiles(self, said: Tensor) -> Tensor:
        standard = StudentT(*(torch.tensor([each], dtype=torch.float64) for each in (0.0, 1.0, float(self.df.detach()))))
        return said[..., :1] + said[..., 1:].exp() * standard.quantiles(self.levels)[0].to(said)

    def forecast(self, said: Tensor, units: Units, reach: tuple[float, float], seen: Tensor, kind: torch.dtype) -> Forecast:
        loc = units.restore(said[..., :1], 0, reach)[..., 0]
        scale = (units.spread * said[..., 1].double().exp()).expand(loc.shape)
        loc, scale = (torch.where(seen, part, math.nan).to(kind) for part in (loc, scale))
        return StudentT(loc, scale, self.df.detach().to(kind).expand(loc.shape))

    def fit_widths(self, errors: Tensor, phi: Tensor) -> None:
        """Take scales and ν from errors (n H) about the median."""
        if not bool(errors.isfinite().any()):
            return
        found = [(df, _scale(errors.double(), df)) for df in TRIED]
        likely = [float(log_density(errors.double(), 0.0, s.log(), torch.tensor(df, dtype=torch.float64)).nanmean()) for df, s in found]
        df, scale = found[likely.index(max(likely))]
        self.shape.copy_((scale.log()[None] @ phi / self.basis.horizon).float())
        self.excess.data.fill_(math.log(math.expm1(df - LEAST)))


def log_density(y: Tensor, loc: Tensor | float, log_scale: Tensor, df: Tensor) -> Tensor:
    """log of the density of loc + σ T_ν at y."""
    z = (y - loc) * (-log_scale).exp()
    constant = torch.lgamma((df + 1) / 2) - torch.lgamma(df / 2) - 0.5 * (df * math.pi).log()
    return constant - log_scale - (df + 1) / 2 * torch.log1p(z.square() / df)


def _scale(errors: Tensor, df: float) -> Tensor:
    """Scale (H) of each lead at so many degrees of freedom."""
    square = errors.square()
    scale = square.nanmean(0).clamp(min=1e-8).nan_to_num(nan=1.0)
    for _ in range(ROUNDS):
        scale = ((df + 1) * square / (df + square / scale)).nanmean(0).clamp(min=1e-8).nan_to_num(nan=1.0)
    return scale.sqrt()

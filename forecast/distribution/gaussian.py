"""Normal distribution of each cell, joint over the channels of a row where a covariance is given.

Shapes: mean, variance (… H C), covariance (… H C C) with the variance on its diagonal.
Joint surprise of a row: -log P(χ²_k > d²), d² = e' S⁻¹ e over its k observed channels, e their error, S its covariance.
CRPS: Gneiting & Raftery (2007), eq. 21. A variance of 0 is a point mass.
"""

import math
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from forecast.distribution.forecast import Forecast, alike, bounded_below, shape_of
from forecast.distribution.tails import log_chi2_tail


@dataclass(frozen=True, eq=False)
class Gaussian(Forecast):
    """Normal distribution of each cell, correlated within a row where `covariance` is given."""

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None = None

    @property
    def shape(self) -> torch.Size:
        return shape_of(self.mean, self.variance)

    @property
    def joint(self) -> bool:
        return self.covariance is not None

    @property
    def deviation(self) -> Tensor:
        """Standard deviation."""
        return self.variance.sqrt()

    @property
    def median(self) -> Tensor:
        return torch.where(self.variance.isnan(), math.nan, self.mean)

    def quantile(self, level: float | Tensor) -> Tensor:
        level = torch.as_tensor(level, dtype=torch.float64, device=self.mean.device)
        z: Tensor = torch.special.ndtri(level)
        return self.mean + self.deviation * z.to(self.mean.dtype)

    def cdf(self, y: Tensor) -> Tensor:
        probability: Tensor = torch.special.ndtr(self._standardise(y))
        return probability

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        z = self._standardise(y)
        return bounded_below(torch.special.log_ndtr(z)), bounded_below(torch.special.log_ndtr(-z))

    def crps(self, y: Tensor) -> Tensor:
        z = self._standardise(y)
        density = (-z.square() / 2).exp() / math.sqrt(2 * math.pi)
        inside = torch.erf(z.abs() / math.sqrt(2))  # P(|Z| < |z|)
        return (y - self.mean).abs() * inside + self.deviation * (2 * density - 1 / math.sqrt(math.pi))

    def joint_surprise(self, y: Tensor) -> Tensor:
        if self.covariance is None:
            return super().joint_surprise(y)
        z = self._standardise(y)
        seen = ~z.isnan()
        bound = torch.finfo(z.dtype).max ** 0.4  # its square stays in range
        error = torch.where(seen, z, 0.0).clamp(-bound, bound)
        white = torch.linalg.solve_triangular(
            _factor(self._correlation(self.covariance), seen), error[..., None], upper=False
        )
        count = seen.sum(-1)
        surprise = -log_chi2_tail(white.square().sum((-2, -1)), count.clamp(min=1)).to(z.dtype)
        return torch.where(count > 0, -bounded_below(-surprise), math.nan)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        noise = torch.randn((n, *self.shape), generator=generator, dtype=self.mean.dtype, device=self.mean.device)
        if self.covariance is not None:
            factor = _factor(self._correlation(self.covariance), self.covariance.diagonal(dim1=-2, dim2=-1).isfinite())
            noise = (factor @ noise[..., None])[..., 0]
        return self.mean + self.deviation * noise

    def parts(self) -> tuple[Tensor, ...]:
        marginal = tuple(alike(self.mean, self.variance))
        return marginal if self.covariance is None else (*marginal, self.covariance)

    def rebuild(self, *parts: Tensor) -> Self:
        return type(self)(*parts)

    def affine(self, loc: Tensor, spread: Tensor) -> "Gaussian":
        both = None
        if self.covariance is not None:
            spread = spread.expand(self.shape)
            both = self.covariance * spread[..., :, None] * spread[..., None, :]
        return Gaussian(loc + spread * self.mean, spread.square() * self.variance, both)

    def _standardise(self, y: Tensor) -> Tensor:
        return (y - self.mean) / self.deviation.clamp(min=torch.finfo(self.variance.dtype).tiny)

    def _correlation(self, covariance: Tensor) -> Tensor:
        inverse = 1 / self.deviation.clamp(min=torch.finfo(self.variance.dtype).tiny)
        return covariance * inverse[..., :, None] * inverse[..., None, :]


def _factor(correlation: Tensor, seen: Tensor) -> Tensor:
    """Lower Cholesky factor over the channels seen; the others stand alone with variance 1."""
    identity = torch.eye(correlation.shape[-1], dtype=correlation.dtype, device=correlation.device)
    pair = seen[..., :, None] & seen[..., None, :] & correlation.isfinite()
    off = torch.where(pair, correlation, 0.0) * (1 - identity)
    factor: Tensor
    factor, info = torch.linalg.cholesky_ex(off + identity)
    if not bool((info > 0).any()):
        return factor
    # channels that say the same thing: shrink the correlations of those rows until they differ
    shrink = 1 - torch.finfo(correlation.dtype).eps ** 0.5
    return torch.where((info > 0)[..., None, None], torch.linalg.cholesky_ex(off * shrink + identity)[0], factor)

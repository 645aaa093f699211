"""Integrals over probability levels, for kinds without a closed form.

    E Y = ∫₀¹ q(τ) dτ        CRPS = 2 ∫₀¹ (1{q(τ) > y} - τ) (q(τ) - y) dτ

Each piece between two edges by the double exponential rule, which bears singular ends: τ = 1/(1 + e^-w), w = π sinh t,
on a grid in t (Takahasi & Mori 1974, Publ. RIMS 9). CRPS over levels: Laio & Tamea (2007), HESS 11, eq. 8.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from forecast.distribution.forecast import Forecast, alike

STEP = 0.125
_T = [STEP * i for i in range(-24, 25)]
SHARES = torch.tensor([1 / (1 + math.exp(-math.pi * math.sinh(t))) for t in _T], dtype=torch.float64)
WEIGHTS = STEP * math.pi * torch.tensor([math.cosh(t) for t in _T], dtype=torch.float64) * SHARES * (1 - SHARES)
AT_ONCE = 1 << 17  # cells × nodes


def over_levels(function: Callable[[Tensor], Tensor], edges: Tensor) -> Tensor:
    """∫ function(τ) dτ from 0 to 1, with its kinks at the edges (… H C n)."""
    edges = edges.double().sort(-1).values
    bounds = torch.nn.functional.pad(torch.nn.functional.pad(edges, (1, 0)), (0, 1), value=1.0)
    nodes = max(1, AT_ONCE // max(bounds[..., 0].numel(), 1))
    total = torch.zeros_like(bounds[..., 0])
    for low, high in pairwise(bounds.unbind(-1)):
        for share, weight in zip(torch.split(SHARES, nodes), torch.split(WEIGHTS, nodes), strict=True):
            v, w = (part.to(edges.device).reshape(-1, *[1] * low.ndim) for part in (share, weight))
            level = (low + (high - low) * v).clamp(1e-300, 1 - 2**-53)
            total = total + (high - low) * (w * function(level)).sum(0)
    return total


def mean_of(forecast: Forecast, *kinks: Tensor) -> Tensor:
    """Expected value; `kinks`: levels at which the quantile function has a corner."""
    median = forecast.median
    edges = torch.stack(kinks, -1) if kinks else median.new_zeros((*forecast.shape, 0))
    return over_levels(forecast.quantile, edges).to(median.dtype)


def crps_of(forecast: Forecast, y: Tensor, *kinks: Tensor) -> Tensor:
    """Continuous ranked probability score of y; `kinks` as for the mean."""

    def integrand(level: Tensor) -> Tensor:
        quantile = forecast.quantile(level)
        return 2 * ((quantile > y).to(level.dtype) - level) * (quantile - y)

    return over_levels(integrand, torch.stack(alike(forecast.cdf(y), *kinks), -1)).to(y.dtype)

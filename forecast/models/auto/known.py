"""Known inputs of a form: regressors in such units that a coefficient of 1 moves the series by as much as it varies.

    z = model + spread · Σ x_k β_k,   x_k = (u_k - loc_k) / spread_k,   spread_k = sd(u_k) · spread / sd(z),   β_k ~ N(0, 1)
sd: over the observed rows of the lane. An input that never changes, or one of a series that does not, has no effect.
Shapes: inputs (n T K), their units (n 2 K): location and spread.
"""

import math

import torch
from torch import Tensor


def input_units(inputs: Tensor, z: Tensor, spread: Tensor) -> Tensor:
    """Units (n 2 K) of the inputs of values (n T) on a form's scale, whose spread (n) is the unit of the model."""
    seen = z.isfinite()
    count = seen.sum(1).clamp(min=1)
    loc, size = _moments(inputs, seen[..., None], count[:, None])
    varies = _moments(z[..., None], seen[..., None], count[:, None])[1] / spread[:, None]
    known = (size > 1e-12 * loc.abs()) & (varies > 0)
    return torch.stack([loc, torch.where(known, size / torch.where(known, varies, 1.0), math.inf)], 1)


def regressors(units: Tensor, inputs: Tensor) -> Tensor:
    """What the coefficients multiply (n T K)."""
    return (inputs - units[:, :1]) / units[:, 1:]


def _moments(values: Tensor, seen: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (n K) of what has been seen."""
    loc = torch.where(seen, values, 0.0).sum(1) / count
    size = torch.where(seen, values - loc[:, None], 0.0).square().sum(1) / count
    return loc, size.sqrt()

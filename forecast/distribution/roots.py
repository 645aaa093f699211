"""A root of a monotone function between two bounds, cell by cell.

Chandrupatla's rule (1997, Adv. Eng. Softw. 28(3)): inverse quadratic interpolation where the last three points allow
it, halving elsewhere, so that it is never much slower than bisection.
"""

from collections.abc import Callable

import torch
from torch import Tensor

LIMIT = 64


def between(function: Callable[[Tensor], Tensor], low: Tensor, high: Tensor) -> Tensor:
    """Where `function` changes its sign between `low` and `high`; one of them where it does not."""
    x1, x2, f1, f2 = high, low, function(high), function(low)
    x3, f3, part = x2, f2, torch.full_like(x1, 0.5)
    for _ in range(LIMIT):
        x = x1 + part * (x2 - x1)
        f = function(x)
        same = f.sign() == f1.sign()
        x3, f3 = torch.where(same, x1, x2), torch.where(same, f1, f2)
        x2, f2 = torch.where(same, x2, x1), torch.where(same, f2, f1)
        x1, f1 = x, f
        width = (x2 - x1).abs()
        least = torch.finfo(x.dtype).eps * torch.minimum(x1.abs(), x2.abs()) / width  # half of the tolerance
        if not bool(((least < 0.25) & (f1 != 0)).any()):
            break
        part = _next(x1, x2, x3, f1, f2, f3).clamp(least, 1 - least)
    return torch.where(f1.abs() < f2.abs(), x1, x2)


def _next(x1: Tensor, x2: Tensor, x3: Tensor, f1: Tensor, f2: Tensor, f3: Tensor) -> Tensor:
    """Part of the way from x1 to x2 for the next point."""
    xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    smooth = (phi.square() < xi) & ((1 - phi).square() < 1 - xi)
    curved = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    return torch.where(smooth & curved.isfinite(), curved, 0.5)

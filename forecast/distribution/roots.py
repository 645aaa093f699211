"""A root of a monotone function between two bounds, cell by cell.

Chandrupatla's rule (1997, Adv. Eng. Softw. 28(3)): inverse quadratic interpolation where the last three points allow
it, halving elsewhere, so that it is never much slower than bisection. Most cells need seven turns, some thirty: cells that are
done leave.
"""

from collections.abc import Callable

import torch
from torch import Tensor

LIMIT = 64
LEFT = 0.7  # share of the cells that still move, below which the others are left out

Function = Callable[[Tensor], Tensor]


def between(function_of: Callable[[Tensor], Function], low: Tensor, high: Tensor) -> Tensor:
    """Where a function changes its sign between `low` and `high` (n …); one of them where it does not.

    `function_of` answers with the function of some cells alone, by their places (k) on the first axis.
    """
    places = torch.arange(len(low), device=low.device)
    function = function_of(places)
    x1, x2, f1, f2 = high, low, function(high), function(low)
    x3, f3, part = x2, f2, torch.full_like(x1, 0.5)
    found = torch.empty_like(low)
    for _ in range(LIMIT):
        x = x1 + part * (x2 - x1)
        f = function(x)
        same = f.sign() == f1.sign()
        x3, f3 = torch.where(same, x1, x2), torch.where(same, f1, f2)
        x2, f2 = torch.where(same, x2, x1), torch.where(same, f2, f1)
        x1, f1 = x, f
        width = (x2 - x1).abs()
        least = torch.finfo(x.dtype).eps * torch.minimum(x1.abs(), x2.abs()) / width  # half of the tolerance
        open_ = ((least < 0.25) & (f1 != 0)).flatten(1).any(1)
        left = int(open_.sum())
        if not left:
            break
        part = _next(x1, x2, x3, f1, f2, f3).clamp(least, 1 - least)
        if left < LEFT * len(open_):
            found[places] = _nearer(x1, x2, f1, f2)
            places = places[open_]
            function = function_of(places)
            x1, x2, x3, f1, f2, f3, part = (each[open_] for each in (x1, x2, x3, f1, f2, f3, part))
    found[places] = _nearer(x1, x2, f1, f2)
    return found


def _nearer(x1: Tensor, x2: Tensor, f1: Tensor, f2: Tensor) -> Tensor:
    return torch.where(f1.abs() < f2.abs(), x1, x2)


def _next(x1: Tensor, x2: Tensor, x3: Tensor, f1: Tensor, f2: Tensor, f3: Tensor) -> Tensor:
    """Part of the way from x1 to x2 for the next point."""
    xi, phi = (x1 - x2) / (x3 - x2), (f1 - f2) / (f3 - f2)
    smooth = (phi.square() < xi) & ((1 - phi).square() < 1 - xi)
    curved = f1 / (f2 - f1) * f3 / (f2 - f3) + (x3 - x1) / (x2 - x1) * f1 / (f3 - f1) * f2 / (f3 - f2)
    return torch.where(smooth & curved.isfinite(), curved, 0.5)

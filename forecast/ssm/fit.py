"""Batched BFGS: one minimisation per series, all series at once, each with its own step and its own end.

    d = -B g,  x' = x + α d,  B' = V B V' + ρ s s',  V = I - ρ s y',  ρ = 1 / s'y     (Nocedal & Wright 2006, §6.1)
Box bounds by projection: a parameter that its gradient presses against its bound takes no part in the step. α is halved
(0.35) until Armijo's condition holds. Series that have come to an end leave the batch.
Shapes: x (B P); an objective answers value (n) and gradient (n P) for the rows it is asked for.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (x (n P), rows (n)) -> (value, gradient)


class Optimum(NamedTuple):
    """Where each series' minimisation ended."""

    x: Tensor
    value: Tensor
    evaluations: int  # of single series, in all


def minimise(
    objective: Objective,
    start: Tensor,
    low: Tensor,
    high: Tensor,
    iterations: int = 100,
    tolerance: float = 1e-9,
    longest: float = 2.0,
) -> Optimum:
    """The minimum of each series' objective from `start`, within the box low … high (P)."""
    x = start.clamp(low, high)
    rows = torch.arange(len(x), device=x.device)
    value, g = objective(x, rows)
    best, ends = value.clone(), x.clone()
    used = len(x)
    B = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).repeat(len(x), 1, 1)
    virgin = torch.ones(len(x), dtype=torch.bool, device=x.device)
    for turn in range(iterations):
        d, slope = _direction(x, g, B, low, high, longest if turn else min(longest, 1.0))
        new, f, h, moved, asked = _line_search(objective, rows, x, value, d, slope, low, high)
        used += asked
        s, y = new - x, h - g
        B, virgin = _update(B, s, y, virgin)
        gained = value - f
        ends[rows], best[rows] = new, f
        go_on = moved & (gained > tolerance * (1 + f.abs()))
        rows, x, value, g, B, virgin = rows[go_on], new[go_on], f[go_on], h[go_on], B[go_on], virgin[go_on]
        if len(rows) == 0:
            break
    return Optimum(ends, best, used)


def _direction(x: Tensor, g: Tensor, B: Tensor, low: Tensor, high: Tensor, longest: float) -> tuple[Tensor, Tensor]:
    """A descent direction (n P), and the slope along it (n)."""
    free = ~(((x <= low) & (g > 0)) | ((x >= high) & (g < 0)))
    pull = g * free
    d = -(B @ pull[..., None])[..., 0] * free
    slope = (d * pull).sum(-1)
    d = torch.where((slope < 0)[:, None], d, -pull)
    d = d * (longest / d.abs().amax(-1).clamp(min=longest))[:, None]
    return d, (d * pull).sum(-1)


def _line_search(
    objective: Objective, rows: Tensor, x: Tensor, value: Tensor, d: Tensor, slope: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor, int]:
    """Points, values, gradients, which series moved, and evaluations used."""
    new, f, g = x.clone(), value.clone(), torch.zeros_like(x)
    step = torch.ones_like(value)
    open_ = torch.arange(len(rows), device=x.device)
    used = 0
    for _ in range(12):
        at = (x[open_] + step[open_, None] * d[open_]).clamp(low, high)
        got, slope_at = objective(at, rows[open_])
        used += len(open_)
        enough = got <= value[open_] + 1e-4 * step[open_] * slope[open_]
        done = open_[enough]
        new[done], f[done], g[done] = at[enough], got[enough], slope_at[enough]
        open_ = open_[~enough]
        if len(open_) == 0:
            break
        step[open_] *= 0.35
    moved = torch.ones(len(rows), dtype=torch.bool, device=x.device)
    moved[open_] = False
    return new, f, g, moved, used


def _update(B: Tensor, s: Tensor, y: Tensor, virgin: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse Hessian after a step; the first one is scaled to s'y / y'y before it."""
    sy = (s * y).sum(-1)
    curved = sy > 1e-12
    unit = torch.eye(s.shape[1], dtype=s.dtype, device=s.device)
    scale = sy / (y * y).sum(-1).clamp(min=1e-300)
    B = torch.where((curved & virgin)[:, None, None], scale[:, None, None] * unit, B)
    rho = torch.where(curved, 1 / torch.where(curved, sy, 1.0), 0.0)[:, None, None]
    V = unit - rho * s[:, :, None] * y[:, None, :]
    after = V @ B @ V.mT + rho * s[:, :, None] * s[:, None, :]
    return torch.where(curved[:, None, None], after, B), virgin & ~curved

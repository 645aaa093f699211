"""Batched BFGS: one minimisation per series, all series at once, each with its own step and its own end.

    d = -B g,  x' = x + α d,  B' = V B V' + ρ s s',  V = I - ρ s y',  ρ = 1 / s'y     (Nocedal & Wright 2006, §6.1)
Box bounds by projection: a parameter that its gradient presses against its bound takes no part in the step. α is halved
(0.35) until Armijo's condition holds. Series that have come to an end leave the batch.
Shapes: x (B P); an objective answers value (n) and gradient (n P) for the rows it is asked for. The steps are numpy: on so
few numbers a tensor costs more than its arithmetic.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # (x (n P), rows (n)) -> (value, gradient)
Array = NDArray[Any]


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
    used = 0

    def ask(x: Array, rows: Array) -> tuple[Array, Array]:
        nonlocal used
        used += len(rows)
        value, gradient = objective(torch.from_numpy(x).to(start), torch.from_numpy(rows).to(start.device))
        return value.detach().cpu().double().numpy(), gradient.detach().cpu().double().numpy()

    bounds = low.cpu().double().numpy(), high.cpu().double().numpy()
    x = start.detach().cpu().double().numpy().clip(*bounds)
    rows = np.arange(len(x))
    value, g = ask(x, rows)
    best, ends = value.copy(), x.copy()
    B = np.tile(np.eye(x.shape[1]), (len(x), 1, 1))
    virgin = np.ones(len(x), bool)
    for turn in range(iterations):
        d, slope = _direction(x, g, B, *bounds, longest if turn else min(longest, 1.0))
        new, f, h, moved = _line_search(ask, rows, x, value, d, slope, *bounds)
        ends[rows], best[rows] = new, f
        go_on = moved & (value - f > tolerance * (1 + np.abs(f)))
        B, virgin = _update(B[go_on], (new - x)[go_on], (h - g)[go_on], virgin[go_on])
        rows, x, value, g = rows[go_on], new[go_on], f[go_on], h[go_on]
        if len(rows) == 0:
            break
    return Optimum(torch.from_numpy(ends).to(start), torch.from_numpy(best).to(start), used)


def _direction(x: Array, g: Array, B: Array, low: Array, high: Array, longest: float) -> tuple[Array, Array]:
    """A descent direction (n P), and the slope along it (n)."""
    free = ~(((x <= low) & (g > 0)) | ((x >= high) & (g < 0)))
    pull = g * free
    d = -(B * pull[:, None]).sum(-1) * free
    d = np.where(((d * pull).sum(-1) < 0)[:, None], d, -pull)
    d = d * (longest / np.abs(d).max(-1).clip(longest))[:, None]
    return d, (d * pull).sum(-1)


def _line_search(
    ask: Callable[[Array, Array], tuple[Array, Array]],
    rows: Array,
    x: Array,
    value: Array,
    d: Array,
    slope: Array,
    low: Array,
    high: Array,
) -> tuple[Array, Array, Array, Array]:
    """Points, values, gradients, and which series moved."""
    new, f, g = x.copy(), value.copy(), np.zeros_like(x)
    step = np.ones_like(value)
    open_ = np.arange(len(rows))
    for _ in range(12):
        at = (x[open_] + step[open_, None] * d[open_]).clip(low, high)
        got, slope_at = ask(at, rows[open_])
        enough = got <= value[open_] + 1e-4 * step[open_] * slope[open_]
        done = open_[enough]
        new[done], f[done], g[done] = at[enough], got[enough], slope_at[enough]
        open_ = open_[~enough]
        if len(open_) == 0:
            break
        step[open_] *= 0.35
    moved = np.ones(len(rows), bool)
    moved[open_] = False
    return new, f, g, moved


def _update(B: Array, s: Array, y: Array, virgin: Array) -> tuple[Array, Array]:
    """The inverse Hessian after a step; the first one is scaled to s'y / y'y before it."""
    sy = (s * y).sum(-1)
    curved = sy > 1e-12
    unit = np.eye(s.shape[1])
    scale = sy / (y * y).sum(-1).clip(1e-300)
    B = np.where((curved & virgin)[:, None, None], scale[:, None, None] * unit, B)
    rho = np.divide(1.0, sy, out=np.zeros_like(sy), where=curved)
    By = (B * y[:, None]).sum(-1)
    both = (By * rho[:, None])[:, :, None] * s[:, None]
    square = (rho * (1 + rho * (y * By).sum(-1)))[:, None, None] * s[:, :, None] * s[:, None]
    return np.where(curved[:, None, None], B - both - both.transpose(0, 2, 1) + square, B), virgin & ~curved

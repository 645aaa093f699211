"""The numba engine: a program's filter, likelihood and score on NumPy views of tensors."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.jit import LANES
from forecast.kernels.kalman import filter_series
from forecast.kernels.score import score_series
from forecast.ssm.belief import Belief
from forecast.ssm.program import Program

Array = NDArray[Any]


def rows_first(coefs: Tensor) -> Array:
    """Coefficients (B K) or (B T K) as the kernels read them: (1 or T, K, B)."""
    array: Array = (coefs.T[None] if coefs.dim() == 2 else coefs.permute(1, 2, 0)).contiguous().numpy()
    return array


def _columns(leaf: Tensor) -> Array:
    array: Array = leaf.T.contiguous().numpy()
    return array


def lanes(batch: int, widest: int) -> int:
    """Lanes per block: a multiple of LANES, no wider than the batch needs."""
    return min(widest, -(-batch // LANES) * LANES)


def filter_rows(
    program: Program, coefs: Tensor, belief: Belief, values: Tensor, drive: Tensor, dof: float, forecasts: bool
) -> tuple[Belief, Tensor, Tensor, Tensor]:
    """The belief after all rows, the likelihood (B), and means and variances (B T C) of each row's forecast."""
    batch, rows, channels = values.shape
    exhausted = not bool((belief.tally[:, 1] > 0).any())
    start = [_columns(leaf) for leaf in belief]
    if exhausted:
        start[2] = np.empty((0, batch))
    end = [np.empty(leaf.shape) for leaf in start]
    loglik = np.empty(batch)
    shape = (batch, rows if forecasts else 0, channels)
    mean, variance = np.empty(shape), np.empty(shape)
    if not forecasts:
        mean, variance = np.empty((0, 0, 0)), np.empty((0, 0, 0))
    push = rows_first(drive) if drive.numel() else np.empty((0, program.size, batch))
    filter_series(
        values.contiguous().numpy(), rows_first(coefs), push,
        program.operations, program.reads, program.first, program.noise, dof, lanes(batch, 128),
        tuple(start), tuple(end), loglik, mean, variance,
    )  # fmt: skip
    after = [torch.from_numpy(leaf).T for leaf in end]
    if exhausted:
        after[2] = belief.diffuse
    return Belief(*after), torch.from_numpy(loglik), torch.from_numpy(mean), torch.from_numpy(variance)


class Likelihood(torch.autograd.Function):
    """Log-likelihood (B) from a fresh belief; its gradient is the exact score of one backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        program: Program,
        coefs: Tensor,
        mean: Tensor,
        covariance: Tensor,
        diffuse: Tensor,
        tally: Tensor,
        values: Tensor,
        drive: Tensor,
    ) -> Tensor:
        if not any(ctx.needs_input_grad):
            return filter_rows(program, coefs, Belief(mean, covariance, diffuse, tally), values, drive, 0.0, False)[1]
        batch, m = len(values), program.size
        numbers = rows_first(coefs)
        push = rows_first(drive) if drive.numel() else np.empty((0, m, batch))
        start = tuple(_columns(leaf) for leaf in (mean, covariance, diffuse, tally))
        loglik, grad, grad_y, grad_drive = (
            np.empty(batch),
            np.empty(numbers.shape),
            np.empty(values.shape),
            np.empty(push.shape),
        )
        r, S = np.empty((m, batch)), np.empty((m * (m + 1) // 2, batch))
        score_series(
            values.contiguous().numpy(), numbers, push, program.operations, program.reads, program.first, program.noise,
            program.tapes, lanes(batch, 64), start, loglik, grad, grad_y, grad_drive, r, S,
        )  # fmt: skip
        i, j = torch.triu_indices(m, m)
        twice = torch.where(i == j, 1.0, 2.0).to(mean.dtype)
        found = torch.from_numpy(grad)
        ctx.save_for_backward(
            found[0].T if coefs.dim() == 2 else found.permute(2, 0, 1), torch.from_numpy(r).T, torch.from_numpy(S).T *
            twice, torch.from_numpy(grad_y), torch.from_numpy(grad_drive).permute(2, 0, 1),
        )  # fmt: skip
        return torch.from_numpy(loglik)

    @staticmethod
    def backward(ctx: Any, out: Tensor) -> tuple[Tensor | None, ...]:
        coefs, r, S, y, drive = ctx.saved_tensors
        push = drive * out[:, None, None] if drive.numel() else None
        return (
            None,
            coefs * out.reshape(-1, *[1] * (coefs.dim() - 1)),
            r * out[:, None],
            S * out[:, None],
            None,
            None,
            y * out[:, None, None],
            push,
        )

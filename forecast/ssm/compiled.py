"""The numba engine: a program's filter, likelihood and score on NumPy views of tensors."""

import threading
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels.kalman import filter_series, room
from forecast.kernels.lanes import WIDEST, WIDTH, lane_array
from forecast.kernels.live import PLAN, WHOLE, live
from forecast.kernels.score import room as score_room
from forecast.kernels.score import score_series
from forecast.ssm.belief import Belief
from forecast.ssm.program import Program
from forecast.ssm.shared import groups_of, likelihoods

Array = NDArray[Any]
NONE = np.empty((0, 0, 0))


def rows_first(coefs: Tensor) -> Array:
    """Coefficients (B K) or (B T K) as the kernels read them: (1 or T, K, B)."""
    array: Array = (coefs.T[None] if coefs.dim() == 2 else coefs.permute(1, 2, 0)).contiguous().numpy()
    return array


def _columns(leaf: Tensor) -> Array:
    array: Array = leaf.T.contiguous().numpy()
    return array


def memory(batch: int, room: tuple[int, int]) -> tuple[Array, Array]:
    """Working memory of a kernel: its type says how many series advance together, one alone or a vector of them."""
    lanes, whole = room
    return lane_array(lanes, batch > 1, WIDEST if batch >= WIDEST else WIDTH), np.zeros(whole, np.int64)


def filter_rows(
    program: Program, coefs: Tensor, belief: Belief, values: Tensor, drive: Tensor, dof: float, forecasts: bool
) -> tuple[Belief, Tensor, Tensor, Tensor]:
    """The belief after all rows, the likelihood (B), and means and variances (B T C) of each row's forecast."""
    batch, rows, channels = values.shape
    start = _start(belief)
    end = tuple(np.empty(leaf.shape) for leaf in start)
    shape = (batch, rows, channels) if forecasts else (0, 0, 0)
    loglik, mean, variance = np.empty(batch), np.empty(shape), np.empty(shape)
    numbers, pushes = rows_first(coefs), _pushes(drive, program.size, batch)
    filter_series(
        *memory(batch, room(program.size, rows, channels, numbers.shape[0] * numbers.shape[1], len(pushes))),
        values.contiguous().numpy(), numbers, pushes, program.kernel, dof, False, np.arange(batch), start, end, loglik, mean, variance,
    )  # fmt: skip
    after = [torch.from_numpy(leaf).T for leaf in end]
    if len(start[2]) == 0:
        after[2] = belief.diffuse
    return Belief(*after), torch.from_numpy(loglik), torch.from_numpy(mean), torch.from_numpy(variance)


def step_row(
    program: Program, coefs: Tensor, belief: Sequence[Tensor], values: Tensor, loc: Tensor, spread: Tensor, dof: float
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The belief (B C …) after one row (B C) of series with one channel each, as `filter_rows` gives it for (values - loc) / spread.

    Without detours: tensors are handed over as addresses. What is no longer diffuse is the same leaf.
    """
    many, m, K = values.numel(), program.size, coefs.shape[2]
    open_, tally = belief[2], belief[3]
    diffuse = bool(np.count_nonzero(tally.cpu().numpy()[..., 1]))
    given = (values, *belief[:2], open_ if diffuse else open_[..., :0], tally, coefs, loc, spread)
    rest = given if many == 1 and all(map(_plain, given)) else [_resting(leaf) for leaf in given]
    mean, covariance, spent, tally = rest[1:5]
    spent = torch.empty_like(spent) if diffuse else open_
    after = torch.empty_like(mean), torch.empty_like(covariance), spent, torch.empty_like(tally)
    scratch = _scratch(m, K, many)
    value, *start = [leaf.data_ptr() for leaf in rest]
    sizes = (many, m, K, len(program.operations), 0, diffuse, 1, many, WHOLE, 0)
    end = [leaf.data_ptr() for leaf in after]
    scratch.plan[:] = (*sizes, *program.addresses, *scratch.addresses, value, 0, 0, *start, *end)
    live(scratch.memory, scratch.plan, many, float(dof), True)
    return after


def _plain(leaf: Tensor) -> bool:
    """Whether its memory can be handed over as it is, where there is one series."""
    return leaf.dtype is torch.float64 and leaf.is_cpu and leaf.is_contiguous()


def _resting(leaf: Tensor) -> Tensor:
    """The same (B C n), or (B C), with memory of float64 that lies like (n B C)."""
    leaf = leaf.cpu().double()
    return leaf.contiguous() if leaf.dim() == 2 else leaf.permute(2, 0, 1).contiguous().permute(1, 2, 0)


class Scratch:
    """What one row of so many series needs beside its tensors; each thread has its own."""

    def __init__(self, m: int, K: int, many: int) -> None:
        lanes, whole = room(m, 1, 1, K + 2, 0)
        width = WIDEST if many >= WIDEST else WIDTH
        self.memory, integers, which = lane_array(lanes, many > 1, width), np.zeros(whole, np.int64), np.arange(many)
        self.plan = np.empty(len(PLAN), np.int64)
        self.addresses, self._kept = (which.ctypes.data, integers.ctypes.data), (which, integers)


_own = threading.local()


def _scratch(m: int, K: int, many: int) -> Scratch:
    """That of the last row where it was one of the same sizes."""
    sizes = m, K, many
    if getattr(_own, "sizes", None) != sizes:
        _own.sizes, _own.scratch = sizes, Scratch(*sizes)
    found: Scratch = _own.scratch
    return found


def likelihood(program: Program, coefs: Tensor, belief: Belief, values: Tensor, drive: Tensor) -> Tensor:
    """The likelihood alone (B)."""
    batch, rows, channels = values.shape
    start, loglik, y = _start(belief), np.empty(batch), values.contiguous().numpy()
    numbers, pushes = rows_first(coefs), _pushes(drive, program.size, batch)
    groups, alone = groups_of(coefs, belief, values, drive)
    for group in groups:
        likelihoods(program, numbers, start, y, group, loglik)
    if len(alone):
        filter_series(
            *memory(len(alone), room(program.size, rows, channels, numbers.shape[0] * numbers.shape[1], len(pushes))),
            y, numbers, pushes, program.kernel, 0.0, True, alone, start, start, loglik, NONE, NONE,
        )  # fmt: skip
    return torch.from_numpy(loglik)


def _start(belief: Belief) -> tuple[Array, ...]:
    """A belief as the kernels read it; no diffuse part where none is left."""
    open_ = bool((belief.tally[:, 1] > 0).any())
    none = np.empty((0, len(belief.tally)))
    return tuple(_columns(leaf) if open_ or k != 2 else none for k, leaf in enumerate(belief))


def _pushes(drive: Tensor, size: int, batch: int) -> Array:
    """Drives as the kernels read them: (T m B), or of no rows."""
    return rows_first(drive) if drive.numel() else np.empty((0, size, batch))


def score(program: Program, coefs: Tensor, belief: Belief, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-likelihood (B), and its derivatives by coefficients (B K) or (B T K) and by the covariance (B N) of a fresh belief."""
    made = _scored(program, coefs, belief, values, values.new_zeros(len(values), 0, program.size))
    loglik, grad, _, S, _, _ = map(torch.from_numpy, made)
    by_coefs = grad[0].T if coefs.dim() == 2 else grad.permute(2, 0, 1)
    return loglik, by_coefs, S.T * _twice(program.size)


@lru_cache(maxsize=64)
def _twice(m: int) -> Tensor:
    """How often each number of a triangle of m rows stands in its matrix."""
    i, j = torch.triu_indices(m, m)
    return torch.where(i == j, 1.0, 2.0).double()


def _scored(program: Program, coefs: Tensor, belief: Belief, values: Tensor, drive: Tensor) -> tuple[Array, ...]:
    """Likelihood (B), and derivatives by coefficients (1 or T, K, B), mean (m B), covariance (N B), values (B T C) and drives (T m B)."""
    (batch, rows, channels), m = values.shape, program.size
    numbers, push = rows_first(coefs), _pushes(drive, m, batch)
    start = tuple(_columns(leaf) for leaf in belief)
    made = (
        np.empty(batch), np.empty(numbers.shape), np.empty(values.shape), np.empty(push.shape), np.empty((m, batch)),
        np.empty((m * (m + 1) // 2, batch)),
    )  # fmt: skip
    coefficients = numbers.shape[0] * numbers.shape[1]
    score_series(
        *memory(batch, score_room(m, rows, channels, coefficients, len(push), program.tapes)),
        values.contiguous().numpy(), numbers, push, program.kernel, program.tapes, np.arange(batch), start, *made,
    )  # fmt: skip
    loglik, grad, grad_y, grad_drive, r, S = made
    return loglik, grad, r, S, grad_y, grad_drive


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
            return likelihood(program, coefs, Belief(mean, covariance, diffuse, tally), values, drive)
        found = _scored(program, coefs, Belief(mean, covariance, diffuse, tally), values, drive)
        loglik, grad, r, S, grad_y, grad_drive = map(torch.from_numpy, found)
        ctx.save_for_backward(
            grad[0].T if coefs.dim() == 2 else grad.permute(2, 0, 1), r.T, S.T * _twice(program.size), grad_y,
            grad_drive.permute(2, 0, 1),
        )  # fmt: skip
        return loglik

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

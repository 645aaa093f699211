"""The selective scan of Mamba-1.

    h_t = e^{Δ_t e_t A} h_{t-1} + Δ_t B_t x_t        y_t = C_tᵀ h_t

Shapes: x, dt (B T D); time = dt · elapsed (B T D); A (D N), negative; B, C (B T N); state (B D N). On the CPU it goes row by row in a kernel, and so does
its adjoint. Else in two levels: with c ≈ √T positions in each of r chunks, one loop runs over the positions of all chunks at once and one over
the chunks: only products of numbers below 1.
Source: Gu & Dao (2023) Mamba, eq. 2 with the discretisation of §3.6 (B̄ = Δ B).
"""

import math
from typing import Any

import torch
from torch import Tensor

from forecast.kernels import scan_select
from forecast.ssm.modes import room_for_marks, usable


def selective_scan(
    x: Tensor, dt: Tensor, time: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """(y, state after the last row)."""
    return (recur if usable(x) else in_two_levels)(x, dt, time, a, b, c, state)


def recur(
    x: Tensor, dt: Tensor, time: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """The numba form."""
    parts = dt * x, time, a.mT, b, c, state.mT
    y, after = _Scan.apply(*(part.to(x.dtype) for part in parts))  # type: ignore[no-untyped-call]
    return y, after.mT.contiguous()


class _Scan(torch.autograd.Function):
    """The numba recurrence with its exact adjoint; A (N D), state (B N D)."""

    @staticmethod
    def forward(
        ctx: Any, put: Tensor, time: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        put, time, a, b, c = (part.contiguous() for part in (put, time, a, b, c))
        after, y = state.clone(memory_format=torch.contiguous_format), torch.empty_like(put)
        marks = room_for_marks(ctx, put, scan_select.STRETCH, a.shape)
        scan_select.advance(*(part.detach().numpy() for part in (put, time, a, b, c, after, y, marks)))
        ctx.save_for_backward(put, time, a, b, c, marks)
        return y, after

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        put, time, a, b, c, marks = ctx.saved_tensors
        gy, gstate = grads[0].contiguous(), grads[1].clone(memory_format=torch.contiguous_format)
        gput, gtime, gb, gc = (torch.empty_like(part) for part in (put, time, b, c))
        ga = torch.zeros_like(a)
        parts = (put, time, a, b, c, marks, gy, gstate, gput, gtime, ga, gb, gc)
        scan_select.adjoint(*(part.detach().numpy() for part in parts))
        return gput, gtime, ga, gb, gc, gstate


def in_two_levels(
    x: Tensor, dt: Tensor, time: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """The torch form."""
    rows = x.shape[1]
    if rows == 1:
        state = torch.exp(time[:, 0, :, None] * a) * state + (dt * x)[:, 0, :, None] * b
        return (state @ c.mT).mT, state
    size = max(1, math.isqrt(rows))
    put, time, b, c = (_chunks(part, size) for part in (dt * x, time, b, c))
    local, parts = put.new_zeros(*put.shape[:2], *a.shape), []
    columns = [part.unbind(2) for part in (put, time, b, c)]
    for added, gap, inward, outward in zip(*columns, strict=True):
        local = torch.exp(gap[..., None] * a) * local + added[..., None] * inward[..., None, :]
        parts.append((local * outward[..., None, :]).sum(-1))
    total = time.to(torch.float64).cumsum(2).to(time.dtype)
    entering = []
    for fade, added in zip(torch.exp(total[:, :, -1, :, None] * a).unbind(1), local.unbind(1), strict=True):
        entering.append(state)
        state = fade * state + added
    start = torch.stack(entering, 1)
    old = [
        (torch.exp(since[..., None] * a) * start * out[..., None, :]).sum(-1)
        for since, out in zip(total.unbind(2), columns[3], strict=True)
    ]
    y = torch.stack(parts, 2) + torch.stack(old, 2)
    return y.flatten(1, 2)[:, :rows], state


def _chunks(part: Tensor, size: int) -> Tensor:
    """(B T …) as (B r c …), filled up with rows of no time and no input."""
    short = -part.shape[1] % size
    return torch.cat([part, part.new_zeros(part.shape[0], short, *part.shape[2:])], 1).unflatten(1, (-1, size))

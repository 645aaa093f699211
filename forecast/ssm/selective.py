"""The selective scan of Mamba-1 in two levels.

    h_t = e^{Δ_t e_t A} h_{t-1} + Δ_t B_t x_t        y_t = C_tᵀ h_t

Shapes: x, dt (B T D); time = dt · elapsed (B T D); A (D N), negative; B, C (B T N); state (B D N). With c ≈ √T positions in each of
r chunks, one loop runs over the positions of all chunks at once and one over the chunks: only products of numbers below 1.
Source: Gu & Dao (2023) Mamba, eq. 2 with the discretisation of §3.6 (B̄ = Δ B).
"""

import math

import torch
from torch import Tensor


def selective_scan(
    x: Tensor, dt: Tensor, time: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor
) -> tuple[Tensor, Tensor]:
    """(y, state after the last row)."""
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

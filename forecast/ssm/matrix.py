"""Matrix-valued states: linear recurrences whose state is an outer-product memory, in chunks.

    decayed sum:       S_t = e^{a_t} S_{t-1} + k_t v_tᵀ                                    y_t = S_tᵀ q_t
    gated delta rule:  S_t = e^{a_t} (I - b_t k_t k_tᵀ) S_{t-1} + b_t k_t v_tᵀ              y_t = S_tᵀ q_t

Shapes: q, k (B T H K), of the decayed sum (B T 1 K) where all heads share them; v, y (B T H V); a, b (B T H), a ≤ 0; state (B H K V).
Rows are cut in chunks: products inside a chunk are matrix products under the mask e^{cs_i - cs_j} (cs = cumulative a, differences in
float64, -inf and cast before the exponential), states pass from chunk to chunk. The last chunk is filled up with rows of no decay
and no input, which leave the state as it is. On the CPU the decayed sum goes row by row in a kernel, and so does its adjoint.
Sources: Dao & Gu (2024) Mamba-2, Listing 1; Yang et al. (2025) Gated DeltaNet, eq. 10 and the WY form of its §3.3.
"""

from typing import Any

import torch
from torch import Tensor

from forecast.kernels import scan_matrix
from forecast.ssm.modes import room_for_marks, usable

CHUNK = 32


def _chunks(part: Tensor, size: int) -> Tensor:
    """(B T H …) as (B n H size …), filled up with zeros."""
    short = -part.shape[1] % size
    if short:
        part = torch.cat([part, part.new_zeros(part.shape[0], short, *part.shape[2:])], 1)
    return part.unflatten(1, (-1, size)).transpose(2, 3)


def _rows(chunks: Tensor, rows: int) -> Tensor:
    """The way back."""
    return chunks.transpose(2, 3).flatten(1, 2)[:, :rows]


def _decays(a: Tensor, kind: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Within chunks (… c c), from the start of the chunk (… c), to its end (… c)."""
    total, exact = a.to(torch.float64).cumsum(-1), torch.promote_types(kind, torch.float32)
    size = a.shape[-1]
    later = torch.ones(size, size, dtype=torch.bool, device=a.device).triu(1)
    between = (total[..., :, None] - total[..., None, :]).to(exact).masked_fill(later, -torch.inf)
    within, start, end = (torch.exp(part.to(exact)).to(kind) for part in (between, total, total[..., -1:] - total))
    return within, start, end


def decayed_sum(q: Tensor, k: Tensor, v: Tensor, a: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
    """(y, state after the last row) of the decayed sum; without a nothing fades."""
    if usable(v):
        return recur(q, k, v, a, state)
    return sum_in_chunks(q, k, v, a, state)


def sum_in_chunks(q: Tensor, k: Tensor, v: Tensor, a: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
    """The torch form."""
    rows, size = q.shape[1], min(CHUNK, q.shape[1])
    a = v.new_zeros(v.shape[:3]) if a is None else a
    q, k, v, a = (_chunks(part, size) for part in (q, k, v, a))
    within, start, end = _decays(a, q.dtype)
    y = ((q @ k.mT) * within) @ v
    put = (k * end[..., None]).mT @ v
    entering = []
    for added, fade in zip(put.unbind(1), start[..., -1].unbind(1), strict=True):
        entering.append(state)
        state = fade[..., None, None] * state + added
    y = y + (q * start[..., None]) @ torch.stack(entering, 1)
    return _rows(y, rows), state


def recur(q: Tensor, k: Tensor, v: Tensor, a: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
    """The numba form."""
    kind = v.dtype
    exact = torch.promote_types(kind, torch.float32)
    fade = v.new_ones(v.shape[:3]) if a is None else torch.exp(a.to(exact)).to(kind)
    y, after = _Sum.apply(*(part.to(kind) for part in (q, k, v, fade, state)))  # type: ignore[no-untyped-call]
    return y, after


class _Sum(torch.autograd.Function):
    """The numba recurrence with its exact adjoint."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, fade: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        q, k, v, fade = (part.contiguous() for part in (q, k, v, fade))
        after, y = state.clone(memory_format=torch.contiguous_format), v.new_empty(v.shape)
        marks = room_for_marks(ctx, v, scan_matrix.STRETCH, state.shape[1:])
        scan_matrix.advance(*(part.detach().numpy() for part in (q, k, v, fade, after, y, marks)))
        ctx.save_for_backward(q, k, v, fade, marks)
        return y, after

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, fade, marks = ctx.saved_tensors
        gy, gstate = grads[0].contiguous(), grads[1].clone(memory_format=torch.contiguous_format)
        gq, gk, gfade, gv = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(fade), torch.empty_like(v)
        parts = (q, k, v, fade, marks, gy, gstate, gq, gk, gv, gfade)
        scan_matrix.adjoint(*(part.detach().numpy() for part in parts))
        return gq, gk, gv, gfade, gstate


def gated_delta(q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """(y, state after the last row) of the gated delta rule."""
    rows, size = q.shape[1], min(CHUNK, q.shape[1])
    q, k, v, a, b = (_chunks(part, size) for part in (q, k, v, a, b))
    within, start, end = _decays(a, q.dtype)
    # what a row writes depends on what the rows before it in the chunk wrote: a unit triangular system
    system = torch.tril(b[..., None] * (k @ k.mT) * within, -1)
    right = torch.cat([b[..., None] * v, (b * start)[..., None] * k], -1)
    solved = torch.linalg.solve_triangular(system, right, upper=False, unitriangular=True)
    fresh, read = solved.split([v.shape[-1], k.shape[-1]], -1)
    inside, reach, keep = (q @ k.mT) * within, q * start[..., None], k * end[..., None]
    out = []
    for parts in zip(*(part.unbind(1) for part in (fresh, read, inside, reach, keep, start[..., -1])), strict=True):
        new, old, near, far, kept, fade = parts
        written = new - old @ state
        out.append(far @ state + near @ written)
        state = fade[..., None, None] * state + kept.mT @ written
    return _rows(torch.stack(out, 1), rows), state

"""The response of D channels of N complex modes to real rows, in its three forms.

    x_t = λ^{e_t} x_{t-1} + u_t        y_t = Re Σ_n c_n x_t,n + d u_t      λ = exp(log λ), e_t the elapsed time of the row

Shapes: u, y (B T D); log λ and c as real and imaginary part (N D), d (D), in float64; elapsed (B T); state (B 2 N D).
Forms: a numba recurrence on the CPU, the same kernel for a whole past and for one row, so equal bit for bit; else a convolution
by FFT where every elapsed is the same, with the kernel built from two factors, l = i·c + j: K = Re Σ_n (c_n λ_n^{ic}) λ_n^j; else
a loop over the rows. Kernels and powers are made in float64 and cast: in float32 a pole near 1 loses its time constant.
Source: Gu et al. (2022) S4D, §3; the two-level kernel is Vandermonde = outer product of two short ones.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from forecast.kernels import jit, scan_modes

TABLE = 1 << 22  # numbers in a table of powers; longer irregular pasts are cut


class Modes(NamedTuple):
    """Poles, readout and way around them of D channels with N modes each, float64."""

    log_r: Tensor  # (N D), ≤ 0
    log_i: Tensor  # (N D), within ±π
    c_r: Tensor  # (N D)
    c_i: Tensor  # (N D)
    direct: Tensor  # (D)

    def power(self, exponent: Tensor) -> tuple[Tensor, Tensor]:
        """λ^e for exponents (E): (E N D) real and imaginary."""
        e = exponent.to(torch.float64)[:, None, None]
        size = torch.exp(e * self.log_r)
        return size * torch.cos(e * self.log_i), size * torch.sin(e * self.log_i)


class Ready(NamedTuple):
    """Modes as the kernel takes them for a row one unit after the last."""

    table: Tensor  # (1 2 N D)
    readout: Tensor  # (2 N D)
    direct: Tensor  # (D)

    @classmethod
    def of(cls, modes: Modes, kind: torch.dtype) -> "Ready":
        """In this precision."""
        one = torch.ones(1, dtype=torch.float64, device=modes.log_r.device)
        table = torch.stack(modes.power(one), 1).to(kind)
        return cls(table, torch.stack([modes.c_r, modes.c_i]).to(kind), modes.direct.to(kind))


def one_more(ready: Ready, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel on one row (B D) without gradients: bit-equal to `recur`."""
    after, y = state.to(u.dtype, copy=True, memory_format=torch.contiguous_format), torch.empty_like(u)
    gap, marks = torch.zeros(len(u), 1, dtype=torch.int64), u.new_empty(len(u), 0, *state.shape[1:])
    parts = (u.contiguous()[:, None], *ready, gap, after, y[:, None], marks)
    scan_modes.advance(*(part.detach().numpy() for part in parts))
    return y, after


def usable(u: Tensor) -> bool:
    """Whether the kernel can work on this tensor: compiled, on the CPU, in single or double precision."""
    return jit.AVAILABLE and u.device.type == "cpu" and u.dtype in (torch.float32, torch.float64)


def room_for_marks(ctx: Any, u: Tensor, stretch: int, state: tuple[int, ...]) -> Tensor:
    """Room for the states before every stretch of the rows of u (B T …): (B M …), none where no gradient is asked for."""
    count = max(1, -(-u.shape[1] // stretch)) if any(ctx.needs_input_grad) else 0
    return u.new_empty(u.shape[0], count, *state)


def is_regular(elapsed: Tensor) -> bool:
    """Whether every row is one nominal row after the last; on a device without values it is taken for granted."""
    return elapsed.is_meta or bool((elapsed == 1).all())


def respond(modes: Modes, u: Tensor, elapsed: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """(y, state after the last row) in the form that suits the device and the clock."""
    if usable(u):
        return recur(modes, u, elapsed, state)
    if is_regular(elapsed) and u.shape[1] > 1:
        return convolve(modes, u, state)
    return loop(modes, u, elapsed, state)


def recur(modes: Modes, u: Tensor, elapsed: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The numba form."""
    rows = u.shape[1]
    if is_regular(elapsed):
        gap = torch.zeros(elapsed.shape, dtype=torch.int64)
        return _recur(modes, u, elapsed.new_ones(1), gap, state)
    longest = max(1, TABLE // (u.shape[0] * modes.log_r.numel()))
    parts = []
    for low in range(0, rows, longest):
        piece = slice(low, min(low + longest, rows))
        gaps, gap = elapsed[:, piece].unique(return_inverse=True)
        y, state = _recur(modes, u[:, piece], gaps, gap, state)
        parts.append(y)
    return torch.cat(parts, 1), state


def _recur(modes: Modes, u: Tensor, gaps: Tensor, gap: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    table = torch.stack(modes.power(gaps), 1).to(u.dtype)
    readout = torch.stack([modes.c_r, modes.c_i]).to(u.dtype)
    y, after = _Recurrence.apply(u, table, readout, modes.direct.to(u.dtype), gap, state.to(u.dtype))  # type: ignore[no-untyped-call]
    return y, after


class _Recurrence(torch.autograd.Function):
    """The numba recurrence with its exact adjoint."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, table: Tensor, readout: Tensor, direct: Tensor, gap: Tensor, state: Tensor
    ) -> tuple[Tensor, Tensor]:
        u, gap, after = u.contiguous(), gap.contiguous(), state.clone(memory_format=torch.contiguous_format)
        y, marks = torch.empty_like(u), room_for_marks(ctx, u, scan_modes.STRETCH, state.shape[1:])
        scan_modes.advance(*(part.detach().numpy() for part in (u, table, readout, direct, gap, after, y, marks)))
        ctx.save_for_backward(u, table, readout, direct, gap, marks)
        return y, after

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        u, table, readout, direct, gap, marks = ctx.saved_tensors
        gy, gstate = grads[0].contiguous(), grads[1].clone(memory_format=torch.contiguous_format)
        gu, gtable, gc, gd = torch.empty_like(u), *(torch.zeros_like(part) for part in (table, readout, direct))
        parts = (u, table, readout, direct, gap, marks, gy, gstate, gu, gtable, gc, gd)
        scan_modes.adjoint(*(part.detach().numpy() for part in parts))
        return gu, gtable, gc, gd, None, gstate


def impulse_response(modes: Modes, rows: int) -> Tensor:
    """K (D T) with K_l = Re Σ_n c_n λ_n^l, in float64."""
    short = 1 << max(0, (rows - 1).bit_length() // 2)
    long = -(-rows // short)
    device = modes.log_r.device
    ar, ai = modes.power(torch.arange(long, device=device, dtype=torch.float64) * short)
    br, bi = modes.power(torch.arange(short, device=device, dtype=torch.float64))
    left = torch.cat([modes.c_r * ar - modes.c_i * ai, -(modes.c_r * ai + modes.c_i * ar)], 1)  # (long 2N D)
    right = torch.cat([br, bi], 1)  # (short 2N D)
    return (left.permute(2, 0, 1) @ right.permute(2, 1, 0)).reshape(-1, long * short)[:, :rows]


def convolve(modes: Modes, u: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The FFT form on a regular clock; float32 at least, for there is no FFT in fewer bits at every length."""
    kind = u.dtype if u.element_size() >= 4 else torch.float32
    rows, v = u.shape[1], u.to(kind).transpose(1, 2)
    length = 2 * rows
    kernel = torch.fft.rfft(impulse_response(modes, rows).to(kind), n=length)
    y = torch.fft.irfft(torch.fft.rfft(v, n=length) * kernel, n=length)[..., :rows].transpose(1, 2)
    pr, pi = (part.to(kind) for part in modes.power(torch.arange(1, rows + 1, device=u.device)))  # λ^1 … λ^T, (T N D)
    s_r, s_i = state[:, 0].to(kind), state[:, 1].to(kind)
    c_r, c_i = modes.c_r.to(kind), modes.c_i.to(kind)
    # the state before the first row answers with Re c λ^{t+1} x
    z_r, z_i = c_r * s_r - c_i * s_i, c_r * s_i + c_i * s_r
    y = y + modes.direct.to(kind) * u.to(kind)
    y = y + torch.einsum("tnd,bnd->btd", pr, z_r) - torch.einsum("tnd,bnd->btd", pi, z_i)
    ends = [
        torch.cat([torch.ones_like(pr[:1]), pr[:-1]]).flip(0),
        torch.cat([torch.zeros_like(pi[:1]), pi[:-1]]).flip(0),
    ]
    after_r, after_i = (torch.einsum("tnd,btd->bnd", end, u.to(kind)) for end in ends)
    after = torch.stack([after_r + pr[-1] * s_r - pi[-1] * s_i, after_i + pr[-1] * s_i + pi[-1] * s_r], 1)
    return y.to(u.dtype), after


def loop(modes: Modes, u: Tensor, elapsed: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Row by row in torch: any clock, any device."""
    kind = u.dtype if u.element_size() >= 4 else torch.float32
    x_r, x_i = state[:, 0].to(kind), state[:, 1].to(kind)
    c_r, c_i, direct = (part.to(kind) for part in modes[2:])
    rows = []
    for row, gap in zip(u.to(kind).unbind(1), elapsed.unbind(1), strict=True):
        l_r, l_i = (part.to(kind) for part in modes.power(gap))
        x_r, x_i = l_r * x_r - l_i * x_i + row[:, None], l_r * x_i + l_i * x_r
        rows.append((c_r * x_r - c_i * x_i).sum(1) + direct * row)
    return torch.stack(rows, 1).to(u.dtype), torch.stack([x_r, x_i], 1)

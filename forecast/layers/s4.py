"""S4: HiPPO-LegS as normal plus low rank, one model per channel, discretised by the bilinear rule.

    A = diag(λ) - P P*,   Ā(e) = (I - eΔA/2)⁻¹ (I + eΔA/2),   B̄ = (I - ΔA/2)⁻¹ Δ B,   x_t = Ā(e_t) x_{t-1} + B̄ u_t,   y_t = C x_t + D u_t

Shapes: u, y (B T D); N conjugate pairs as 2N real numbers; A (D 2N 2N); state (B D 2N). P P* couples the halves of a pair, so the
model is real and small: its matrices are dense, the kernel is K_{ic+j} = (C Ā^{ic})(Ā^j B̄), and convolution and recurrence share
every parameter. The response at the Cauchy nodes of the original gives the same kernel.
Source: Gu, Goel & Ré (2022), Theorem 1 and §2.3.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.sequence import SequenceLayer, blank, one_row
from forecast.ssm.hippo import legs_normal
from forecast.ssm.modes import is_regular


class S4State(NamedTuple):
    """2N real numbers per channel."""

    modes: Tensor  # (B D 2N)


class S4(SequenceLayer[S4State]):
    """Normal plus low rank state space of every channel."""

    def __init__(self, width: int, state: int = 8) -> None:
        super().__init__()
        start = legs_normal(state)
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(1e-3), math.log(1e-1)))
        self.log_decay = nn.Parameter(start.poles.real.neg().log().float().expand(width, -1).contiguous())
        self.frequency = nn.Parameter(start.poles.imag.float().expand(width, -1).contiguous())
        self.low_rank = nn.Parameter(_pairs(start.low_rank).expand(width, -1).contiguous())
        self.inward = nn.Parameter(_pairs(start.inward).expand(width, -1).contiguous())
        self.outward = nn.Parameter(torch.randn(width, 2 * state) * math.sqrt(0.5))
        self.direct = nn.Parameter(torch.randn(width))

    def continuous(self) -> Tensor:
        """A (D 2N 2N) in float64: rotations on the pairs, less the low rank part, for 2 Re over the kept halves."""
        decay, frequency, p = self.log_decay.double().exp(), self.frequency.double(), self.low_rank.double()
        normal = torch.cat(
            [
                torch.cat([torch.diag_embed(-decay), torch.diag_embed(-frequency)], -1),
                torch.cat([torch.diag_embed(frequency), torch.diag_embed(-decay)], -1),
            ],
            -2,
        )
        return normal - 2 * p[:, :, None] * p[:, None, :]

    def transitions(self, gaps: Tensor) -> Tensor:
        """Ā (G D 2N 2N) for these elapsed times."""
        half = (gaps.double()[:, None] * self.log_step.double().exp() / 2)[..., None, None] * self.continuous()
        unit = torch.eye(half.shape[-1], dtype=torch.float64, device=half.device)
        return torch.linalg.solve(unit - half, unit + half)

    def put(self) -> Tensor:
        """B̄ (D 2N)."""
        step = self.log_step.double().exp()[:, None]
        unit = torch.eye(self.inward.shape[1], dtype=torch.float64, device=step.device)
        return torch.linalg.solve(unit - step[..., None] / 2 * self.continuous(), step * self.inward.double())

    def initial_state(self, batch: int) -> S4State:
        return S4State(self.outward.new_zeros(batch, *self.outward.shape))

    def forward(self, u: Tensor, state: S4State, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S4State]:
        u = torch.where(observed[..., None], u, torch.zeros_like(u))
        form = self._convolve if u.shape[1] > 1 and is_regular(elapsed) else self._loop
        y, modes = form(u, state.modes, elapsed)
        return y + self.direct * u, S4State(modes)

    def _loop(self, u: Tensor, x: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor]:
        put, out, rows = self.put().to(u.dtype), 2 * self.outward, []
        for row, gap in zip(u.unbind(1), elapsed.unbind(1), strict=True):
            gaps, which = (
                (gap[:1], torch.zeros_like(gap, dtype=torch.int64))
                if is_regular(gap)
                else gap.unique(return_inverse=True)
            )
            power = self.transitions(gaps).to(u.dtype)[which]
            x = (power @ x[..., None])[..., 0] + put * row[..., None]
            rows.append((out * x).sum(-1))
        return torch.stack(rows, 1), x

    def _convolve(self, u: Tensor, x: Tensor, elapsed: Tensor) -> tuple[Tensor, Tensor]:
        """On a regular clock: FFT with the two-level kernel; powers of Ā by doubling."""
        rows, kind = u.shape[1], u.dtype
        short = max(1, math.isqrt(rows))
        step = self.transitions(elapsed.new_ones(1))[0]
        near = _powers(step, self.put(), short)  # (D short 2N): Ā^j B̄
        leap = torch.linalg.matrix_power(step, short)
        long = -(-rows // short)
        far = _powers(leap.mT, 2 * self.outward.double(), long)  # (D long 2N): C Ā^{ic}
        kernel = (far @ near.mT).flatten(1)[:, :rows].to(kind)
        spectrum = torch.fft.rfft(u.transpose(1, 2), n=2 * rows) * torch.fft.rfft(kernel, n=2 * rows)
        y = torch.fft.irfft(spectrum, n=2 * rows)[..., :rows].transpose(1, 2)
        after = _ends(leap, near.to(kind), u)
        if not (x.is_meta or x.requires_grad or bool(x.any())):
            return y, after
        inner = _powers(step.mT, 2 * self.outward.double(), short + 1)[:, 1:]  # C Ā^{j+1}
        starts = _states(leap, x, long)  # (B D long 2N): Ā^{ic} x₀
        old = (starts @ inner.to(kind).mT).flatten(2)[..., :rows].transpose(1, 2)
        return y + old, after + torch.einsum("dmn,bdn->bdm", torch.linalg.matrix_power(step, rows).to(kind), x)

    def step(self, u: Tensor, state: S4State, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S4State]:
        if torch.is_grad_enabled() or u.is_meta or not is_regular(elapsed):
            return one_row(self, u, state, elapsed, observed)
        turn, put, out = self.remembered(self._ready)
        u = blank(u, observed)
        x = torch.bmm(state.modes.to(u.dtype).transpose(0, 1), turn)  # channel by channel, all series at once
        x = x.baddbmm_(u.T[..., None], put)
        y = torch.bmm(x, out)[..., 0].T
        return torch.addcmul(y, self.direct, u), S4State(x.transpose(0, 1).contiguous())

    def _ready(self) -> tuple[Tensor, Tensor, Tensor]:
        """For a row one unit after the last, channel by channel: the transpose of Ā (D 2N 2N), B̄ (D 1 2N) and 2 C (D 2N 1)."""
        kind, one = self.direct.dtype, torch.ones(1, device=self.direct.device)
        turn = self.transitions(one)[0].mT.to(kind).contiguous()
        return turn, self.put().to(kind)[:, None], 2 * self.outward[..., None]


def _pairs(z: Tensor) -> Tensor:
    """N complex numbers as 2N real ones: all real parts, then all imaginary ones."""
    return torch.cat([z.real, z.imag]).float()


def _powers(matrix: Tensor, vector: Tensor, count: int) -> Tensor:
    """(D count M): vector, M vector, M² vector … by doubling."""
    found = vector[:, None]
    while found.shape[1] < count:
        more = found @ matrix.mT
        found, matrix = torch.cat([found, more], 1), matrix @ matrix
    return found[:, :count]


def _ends(leap: Tensor, near: Tensor, u: Tensor) -> Tensor:
    """(B D M): Σ Ā^{T-1-t} B̄ u_t, from Ā^j B̄ (D c M) and Ā^c: first within stretches of c rows, then neighbours joined."""
    short = near.shape[1]
    count = 1 << max(0, (-(-u.shape[1] // short) - 1).bit_length())
    rows = torch.nn.functional.pad(u, (0, 0, count * short - u.shape[1], 0)).unflatten(1, (count, short))
    parts = torch.einsum("dcm,bicd->bdim", near.flip(1), rows)
    while parts.shape[2] > 1:
        parts = parts[:, :, ::2] @ leap.mT.to(u.dtype) + parts[:, :, 1::2]
        leap = leap @ leap
    return parts[:, :, 0]


def _states(matrix: Tensor, x: Tensor, count: int) -> Tensor:
    """(B D count M): x, M x, M² x … by doubling, in the precision of x."""
    found = x[:, :, None]
    while found.shape[2] < count:
        more = found @ matrix.mT.to(x.dtype)
        found, matrix = torch.cat([found, more], 2), matrix @ matrix
    return found[:, :, :count]

"""S5: one state-space model of P complex modes for all channels together.

    x_t = λ^{e_t} x_{t-1} + B̄ u_t,   y_t = 2 Re C x_t + D u_t,   λ = e^{ΔA},  B̄ = diag((λ - 1)/A) B,  step size Δ per mode

Shapes: u, y (B T D); B (P D) and C (D P) dense; A from the normal part of HiPPO-LegS; state (B 2 1 4P). The scan is that of `ssm.modes`
with one mode per channel: for real and imaginary input, each read out by 1 and by -i.
Source: Smith, Warrington & Linderman (2023) S5, §3.1-3.2 and Appendix B.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.sequence import SequenceLayer, blank, one_row
from forecast.ssm.hippo import legs_normal
from forecast.ssm.modes import Modes, Ready, is_regular, one_more, respond, usable


class S5State(NamedTuple):
    """The modes for real and imaginary input, each twice."""

    modes: Tensor  # (B 2 1 4P)


class S5(SequenceLayer[S5State]):
    """Diagonal MIMO state space."""

    def __init__(self, width: int, state: int | None = None) -> None:
        super().__init__()
        count = state or width
        poles = legs_normal(count).poles
        self.log_step = nn.Parameter(torch.empty(count).uniform_(math.log(1e-3), math.log(1e-1)))
        self.log_decay = nn.Parameter(poles.real.neg().log().float())
        self.frequency = nn.Parameter(poles.imag.float())
        self.inward = nn.Parameter(torch.randn(2, width, count) / math.sqrt(width))
        self.outward = nn.Parameter(torch.randn(2, count, width) / math.sqrt(count))
        self.direct = nn.Parameter(torch.randn(width))

    def initial_state(self, batch: int) -> S5State:
        return S5State(self.direct.new_zeros(batch, 2, 1, 4 * self.log_step.shape[0]))

    def modes(self) -> tuple[Modes, Tensor]:
        """The modes as `ssm.modes` takes them, and the gain (λ - 1)/A of each (P), complex."""
        step, a_r = self.log_step.double().exp(), -self.log_decay.double().exp()
        z_r, z_i = step * a_r, (step * self.frequency.double()).clamp(-math.pi, math.pi)
        one, none = torch.ones_like(z_r), torch.zeros_like(z_r)
        lanes = [z_r] * 4, [z_i] * 4, [one, none, one, none], [none, -one, none, -one]
        log_r, log_i, c_r, c_i = (torch.cat(part)[None] for part in lanes)
        modes = Modes(log_r, log_i, c_r, c_i, torch.cat([none] * 4))
        return modes, (torch.polar(torch.exp(z_r), z_i) - 1) / torch.complex(a_r, z_i / step)

    def forward(self, u: Tensor, state: S5State, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S5State]:
        u = torch.where(observed[..., None], u, torch.zeros_like(u))
        modes, gain = self.modes()
        g_r, g_i = gain.real.to(u.dtype), gain.imag.to(u.dtype)
        v_r, v_i = u @ self.inward[0], u @ self.inward[1]
        v_r, v_i = g_r * v_r - g_i * v_i, g_r * v_i + g_i * v_r
        out, after = respond(modes, torch.cat([v_r, v_r, v_i, v_i], -1), elapsed, state.modes)
        rr, ri, ir, ii = out.chunk(4, -1)
        y = 2 * ((rr - ii) @ self.outward[0] - (ri + ir) @ self.outward[1])
        return y + self.direct * u, S5State(after)

    def step(self, u: Tensor, state: S5State, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S5State]:
        if torch.is_grad_enabled() or not usable(u) or not is_regular(elapsed):
            return one_row(self, u, state, elapsed, observed)
        ready, inward, outward = self.remembered(self._ready)
        u = blank(u, observed)
        out, after = one_more(ready, u @ inward, state.modes)
        return torch.addcmul(out @ outward, self.direct, u), S5State(after)

    def _ready(self) -> tuple[Ready, Tensor, Tensor]:
        """For a row one unit after the last: the modes, and both maps with gains, signs and doubled columns (D 4P), (4P D)."""
        modes, gain = self.modes()
        inward = torch.complex(*self.inward.double()) * gain
        v_r, v_i = inward.real, inward.imag
        c_r, c_i = 2 * self.outward
        put, out = torch.cat([v_r, v_r, v_i, v_i], 1), torch.cat([c_r, -c_i, -c_i, -c_r])
        return Ready.of(modes, self.direct.dtype), put.to(self.direct.dtype), out

"""S4D: a diagonal state-space model for every channel.

    x' = A x + B u, y = Re C x + D u;  A = diag(-e^a + iω), B = 1, step size Δ per channel
    zero-order hold:  λ = e^{ΔA},  B̄ = (λ - 1) / A        bilinear:  λ = (1 + ΔA/2) / (1 - ΔA/2),  B̄ = Δ / (1 - ΔA/2)

Shapes: u, y (B T D), N conjugate pairs per channel, state (B 2 N D) in real pairs. A row `elapsed` nominal rows after the last one
is reached by λ^elapsed. With pairs the readout is 2 Re C x; the 2 and B̄ are folded into C.
Source: Gu, Gupta, Goel & Ré (2022), On the Parameterization and Initialization of Diagonal State Space Models.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.errors import unknown
from forecast.layers.sequence import SequenceLayer, blank, one_row
from forecast.ssm.hippo import diagonal_poles
from forecast.ssm.modes import Modes, Ready, is_regular, one_more, respond, usable


class S4DState(NamedTuple):
    """Modes of every channel."""

    modes: Tensor  # (B 2 N D)


class S4D(SequenceLayer[S4DState]):
    """Every channel through its own bank of N damped oscillators."""

    def __init__(
        self,
        width: int,
        state: int = 16,
        start: str = "lin",
        hold: str = "zoh",
        step_low: float = 1e-3,
        step_high: float = 1e-1,
    ) -> None:
        super().__init__()
        if hold not in ("zoh", "bilinear"):
            raise unknown("discretisation", hold, ("zoh", "bilinear"))
        self.hold = hold
        poles = diagonal_poles(start, state)[:, None].expand(state, width)
        self.log_step = nn.Parameter(torch.empty(width).uniform_(math.log(step_low), math.log(step_high)))
        self.log_decay = nn.Parameter(poles.real.neg().log().float().contiguous())
        self.frequency = nn.Parameter(poles.imag.float().contiguous())
        self.readout = nn.Parameter(torch.randn(2, state, width) * math.sqrt(0.5))
        self.direct = nn.Parameter(torch.randn(width))

    def modes(self) -> Modes:
        """Discrete poles, readout and D in float64."""
        step = self.log_step.double().exp()
        a_r, a_i = -self.log_decay.double().exp(), self.frequency.double()
        c_r, c_i = self.readout.double()
        if self.hold == "zoh":
            # a mode faster than the clock would fold into another frequency: it is held at the clock's own
            z_r, z_i = step * a_r, (step * a_i).clamp(-math.pi, math.pi)
            grow_r, grow_i = torch.exp(z_r) * torch.cos(z_i) - 1, torch.exp(z_r) * torch.sin(z_i)
            b_r, b_i = _divide(grow_r, grow_i, a_r, z_i / step)
        else:
            z_r, z_i = 0.5 * step * a_r, 0.5 * step * a_i
            b_r, b_i = _divide(step, torch.zeros_like(step), 1 - z_r, -z_i)
            l_r, l_i = _divide(1 + z_r, z_i, 1 - z_r, -z_i)
            z_r, z_i = 0.5 * torch.log(l_r.square() + l_i.square()), torch.atan2(l_i, l_r)
        out_r, out_i = 2 * (c_r * b_r - c_i * b_i), 2 * (c_r * b_i + c_i * b_r)
        return Modes(z_r, z_i, out_r, out_i, self.direct.double())

    def initial_state(self, batch: int) -> S4DState:
        return S4DState(self.readout.new_zeros(batch, *self.readout.shape))

    def forward(self, u: Tensor, state: S4DState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S4DState]:
        u = blank(u, observed)
        y, modes = respond(self.modes(), u, elapsed, state.modes)
        return y, S4DState(modes)

    def step(self, u: Tensor, state: S4DState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S4DState]:
        if torch.is_grad_enabled() or not usable(u) or not is_regular(elapsed):
            return one_row(self, u, state, elapsed, observed)
        u = blank(u, observed)
        y, modes = one_more(self.remembered(lambda: Ready.of(self.modes(), u.dtype)), u, state.modes)
        return y, S4DState(modes)


def _divide(a_r: Tensor, a_i: Tensor, b_r: Tensor, b_i: Tensor) -> tuple[Tensor, Tensor]:
    """a / b in real pairs."""
    size = b_r.square() + b_i.square()
    return (a_r * b_r + a_i * b_i) / size, (a_i * b_r - a_r * b_i) / size

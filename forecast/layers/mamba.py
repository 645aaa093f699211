"""Mamba-1: a diagonal state-space model whose input, output and step size depend on the row.

    h_t = e^{Δ_t e_t A} h_{t-1} + Δ_t B_t x_t,   y_t = C_tᵀ h_t + D x_t,   out = W (y ⊙ silu(z)),   Δ_t = softplus(W_Δ x + b)

Shapes: u, y (B T D); inner width 2 D; N states per channel; state (B 2D N). A row that is not observed has x = 0 and ages by its Δ at
x = 0. The short convolution of the original is left out: it mixes neighbouring rows, whatever time lies between them.
Source: Gu & Dao (2023), Algorithm 2.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.sequence import SequenceLayer, one_row
from forecast.ssm.selective import selective_scan


class MambaState(NamedTuple):
    """N numbers per inner channel."""

    memory: Tensor  # (B 2D N)


class Mamba(SequenceLayer[MambaState]):
    """The selective state space of Mamba-1."""

    def __init__(self, width: int, state: int = 16, expand: int = 2) -> None:
        super().__init__()
        inner, rank = expand * width, max(1, math.ceil(width / 16))
        self.enter, self.gate, self.out = (
            nn.Linear(width, inner, bias=False),
            nn.Linear(width, inner, bias=False),
            nn.Linear(inner, width, bias=False),
        )
        self.select = nn.Linear(inner, rank + 2 * state, bias=False)
        self.rate = nn.Linear(rank, inner)
        start = torch.exp(torch.empty(inner).uniform_(math.log(1e-3), math.log(1e-1)))
        self.rate.bias.data = torch.log(torch.expm1(start))
        self.log_decay = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).expand(inner, state).contiguous())
        self.direct = nn.Parameter(torch.ones(inner))
        self.rank, self.states = rank, state

    def initial_state(self, batch: int) -> MambaState:
        return MambaState(self.log_decay.new_zeros(batch, *self.log_decay.shape))

    def forward(self, u: Tensor, state: MambaState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, MambaState]:
        asked = nn.functional.silu(self.enter(u))
        x = torch.where(observed[..., None], asked, torch.zeros_like(asked))
        low, b, _ = self.select(x).split([self.rank, self.states, self.states], -1)
        c = self.select(asked)[..., -self.states :]
        dt = nn.functional.softplus(self.rate(low))
        time = dt * elapsed[..., None].to(dt.dtype)
        y, memory = selective_scan(x, dt, time, -self.log_decay.exp(), b, c, state.memory)
        return self.out((y + self.direct * x) * nn.functional.silu(self.gate(u))), MambaState(memory)

    def step(self, u: Tensor, state: MambaState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, MambaState]:
        return one_row(self, u, state, elapsed, observed)

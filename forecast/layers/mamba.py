"""Mamba-1: a diagonal state-space model whose input, output and step size depend on the row.

    h_t = e^{Δ_t e_t A} h_{t-1} + Δ_t B_t x_t,   y_t = C_tᵀ h_t + D x_t,   out = W (y ⊙ silu(z)),   Δ_t = softplus(W_Δ x + b)

Shapes: u, y (B T D); inner width 2 D; N states per channel; state (B 2D N). A row that is not observed has x = 0 and ages by its Δ at
x = 0. The short convolution of the original is an option: x and what is asked mix with the rows before (`layers.convolution`).
Source: Gu & Dao (2023), Algorithm 2 and §3.4.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.convolution import ShortConvolution
from forecast.layers.linear import Linear
from forecast.layers.sequence import SequenceLayer, one_row
from forecast.ssm.selective import selective_scan


class MambaState(NamedTuple):
    """N numbers per inner channel."""

    memory: Tensor  # (B 2D N)


class MambaRows(NamedTuple):
    """The same, and the rows that the convolution looks back at."""

    memory: Tensor  # (B 2D N)
    rows: Tensor  # (B K-1 2D)


class Mamba(SequenceLayer[MambaState | MambaRows]):
    """The selective state space of Mamba-1; `convolution`: places of its short convolution, 0 for none."""

    def __init__(self, width: int, state: int = 16, expand: int = 2, convolution: int = 0) -> None:
        super().__init__()
        inner, rank = expand * width, max(1, math.ceil(width / 16))
        self.enter, self.gate, self.out = (
            Linear(width, inner, bias=False),
            Linear(width, inner, bias=False),
            Linear(inner, width, bias=False),
        )
        self.select = nn.Linear(inner, rank + 2 * state, bias=False)
        self.rate = nn.Linear(rank, inner)
        start = torch.exp(torch.empty(inner).uniform_(math.log(1e-3), math.log(1e-1)))
        self.rate.bias.data = torch.log(torch.expm1(start))
        self.log_decay = nn.Parameter(torch.log(torch.arange(1.0, state + 1)).expand(inner, state).contiguous())
        self.direct = nn.Parameter(torch.ones(inner))
        self.rank, self.states = rank, state

        self.short = ShortConvolution(inner, convolution) if convolution else None

    def initial_state(self, batch: int) -> MambaState | MambaRows:
        memory = self.log_decay.new_zeros(batch, *self.log_decay.shape)
        return MambaRows(memory, self.short.initial_rows(batch)) if self.short else MambaState(memory)

    def forward(
        self, u: Tensor, state: MambaState | MambaRows, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, MambaState | MambaRows]:
        asked = self.enter(u)
        rows: list[Tensor] = []
        if self.short and isinstance(state, MambaRows):
            asked, *rows = self.short(asked, state.rows, elapsed, observed)
        asked = nn.functional.silu(asked)
        x = torch.where(observed[..., None], asked, torch.zeros_like(asked))
        low, b, _ = self.select(x).split([self.rank, self.states, self.states], -1)
        c = self.select(asked)[..., -self.states :]
        dt = nn.functional.softplus(self.rate(low))
        time = dt * elapsed[..., None].to(dt.dtype)
        y, memory = selective_scan(x, dt, time, -self.log_decay.exp(), b, c, state.memory)
        return self.out((y + self.direct * x) * nn.functional.silu(self.gate(u))), type(state)(memory, *rows)

    def step(
        self, u: Tensor, state: MambaState | MambaRows, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, MambaState | MambaRows]:
        return one_row(self, u, state, elapsed, observed)

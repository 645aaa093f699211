"""Layers whose state is a matrix per head: Mamba-2 (SSD), gated delta rule, linear attention, Performer.

    ssd:       k = B u, q = C u, v = Δ x, a = -Δ e^{A} elapsed, Δ = softplus(w u + b)
    delta:     k, q of unit length, a = -softplus(w u + b) elapsed, write strength 2 σ(β u)
    linear:    φ(q)ᵀ Σ φ(k) vᵀ / φ(q)ᵀ Σ φ(k), φ = elu + 1;   Performer: φ(x) = e^{Wx - |x|²/2} / √m, W orthogonal Gaussian rows

Shapes: u, y (B T D); H heads of K; state (B H K V). What a row puts in and how fast it fades comes from the row with unobserved
ones at 0; what it asks for comes from the row as it is. SSD may have Mamba's short convolution of k, q, v (`layers.convolution`).
Sources: Dao & Gu (2024); Yang et al. (2025); Katharopoulos et al. (2020), eq. 18-20; Choromanski et al. (2021), Lemma 1 and §3.2.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.convolution import ShortConvolution
from forecast.layers.linear import Linear
from forecast.layers.sequence import SequenceLayer, one_row
from forecast.ssm.matrix import decayed_sum, gated_delta


class MatrixState(NamedTuple):
    """The memory of every head."""

    memory: Tensor  # (B H K V)


class MatrixRows(NamedTuple):
    """The same, and the rows that the convolution looks back at."""

    memory: Tensor  # (B H K V)
    rows: Tensor  # (B K'-1 V·H + 2K)


class MatrixLayer(SequenceLayer[MatrixState]):
    """Heads with a matrix memory; the parallel form serves one row too."""

    def __init__(self, width: int, heads: int, key: int, value: int) -> None:
        super().__init__()
        self.shape = (heads, key, value)
        self.ask, self.put = nn.Linear(width, heads * key, bias=False), nn.Linear(width, heads * key, bias=False)

    def initial_state(self, batch: int) -> MatrixState:
        return MatrixState(self.ask.weight.new_zeros(batch, *self.shape))

    def step(self, u: Tensor, state: MatrixState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, MatrixState]:
        return one_row(self, u, state, elapsed, observed)

    def _split(self, rows: Tensor) -> Tensor:
        """(B T H·X) as (B T H X)."""
        return rows.unflatten(-1, (self.shape[0], -1))


class SSD(SequenceLayer[MatrixState | MatrixRows]):
    """Mamba-2: one decay per head and row, keys and queries shared by the heads; `convolution` as in `Mamba`."""

    def __init__(self, width: int, state: int = 16, convolution: int = 0) -> None:
        super().__init__()
        heads = heads_of(width)
        self.shape = (heads, state, width // heads)
        self.ask, self.put = nn.Linear(width, state, bias=False), nn.Linear(width, state, bias=False)
        self.value, self.gate, self.out = (Linear(width, width, bias=False) for _ in range(3))
        self.rate = nn.Linear(width, heads)
        self.rate.bias.data = _softplus_inverse(torch.logspace(-3, -1, heads))
        self.log_decay = nn.Parameter(torch.log(torch.linspace(1, 16, heads)))
        self.direct = nn.Parameter(torch.ones(heads, 1))
        self.short = ShortConvolution(width + 2 * state, convolution) if convolution else None

    def initial_state(self, batch: int) -> MatrixState | MatrixRows:
        memory = self.ask.weight.new_zeros(batch, *self.shape)
        return MatrixRows(memory, self.short.initial_rows(batch)) if self.short else MatrixState(memory)

    def forward(
        self, u: Tensor, state: MatrixState | MatrixRows, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, MatrixState | MatrixRows]:
        seen = torch.where(observed[..., None], u, torch.zeros_like(u))
        rows: list[Tensor] = []
        if self.short and isinstance(state, MatrixRows):
            entered = torch.cat([self.value(u), self.put(u), self.ask(u)], -1)
            mixed, *rows = self.short(entered, state.rows, elapsed, observed)
            mixed = nn.functional.silu(mixed)
            v, k, q = mixed.split([u.shape[-1], self.shape[1], self.shape[1]], -1)
            v, k = (torch.where(observed[..., None], part, torch.zeros_like(part)) for part in (v, k))
        else:
            v, k, q = self.value(seen), self.put(seen), self.ask(u)
        x, dt = v.unflatten(-1, (self.shape[0], -1)), nn.functional.softplus(self.rate(seen))
        a = -(dt * self.log_decay.exp()).to(torch.float64) * elapsed[..., None]
        y, memory = decayed_sum(q[:, :, None], k[:, :, None], dt[..., None] * x, a, state.memory)
        y = (y + self.direct * x).flatten(-2)
        gated = nn.functional.rms_norm(y * nn.functional.silu(self.gate(u)), y.shape[-1:], eps=1e-6)
        return self.out(gated), type(state)(memory, *rows)

    def step(
        self, u: Tensor, state: MatrixState | MatrixRows, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, MatrixState | MatrixRows]:
        return one_row(self, u, state, elapsed, observed)


class GatedDelta(MatrixLayer):
    """A memory that is corrected by what it answers wrongly."""

    def __init__(self, width: int) -> None:
        heads = heads_of(width)
        super().__init__(width, heads, width // heads, width // heads)
        self.value, self.gate, self.out = (Linear(width, width, bias=False) for _ in range(3))
        self.rate, self.strength = nn.Linear(width, heads), nn.Linear(width, heads)
        nn.init.constant_(self.rate.bias, -3.0)

    def forward(self, u: Tensor, state: MatrixState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, MatrixState]:
        seen = torch.where(observed[..., None], u, torch.zeros_like(u))
        q, k = (nn.functional.normalize(self._split(part), dim=-1, eps=1e-6) for part in (self.ask(u), self.put(seen)))
        a = -nn.functional.softplus(self.rate(seen)).to(torch.float64) * elapsed[..., None]
        b = 2 * torch.sigmoid(self.strength(seen)) * observed[..., None]
        y, memory = gated_delta(q, k, self._split(self.value(seen)), a, b, state.memory)
        y = nn.functional.rms_norm(y, y.shape[-1:], eps=1e-6).flatten(-2)
        return self.out(y * torch.sigmoid(self.gate(u))), MatrixState(memory)


class LinearAttention(MatrixLayer):
    """Attention with a kernel of finite dimension: sums of keys and of keys by values; nothing fades."""

    def __init__(self, width: int, features: int | None = None) -> None:
        heads = heads_of(width)
        head = width // heads
        super().__init__(width, heads, features or head, head + 1)
        self.ask, self.put = Linear(width, width, bias=False), Linear(width, width, bias=False)
        self.value, self.out = Linear(width, width, bias=False), Linear(width, width, bias=False)

    def forward(self, u: Tensor, state: MatrixState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, MatrixState]:
        q, k = (self.features(self._split(part)) for part in (self.ask(u), self.put(u)))
        k = k * observed[..., None, None]
        v = self._split(self.value(u))
        v = torch.cat([v, torch.ones_like(v[..., :1])], -1)  # the last column sums the keys
        y, memory = decayed_sum(q, k, v, None, state.memory)
        return self.out((y[..., :-1] / y[..., -1:].clamp(min=1e-6)).flatten(-2)), MatrixState(memory)

    def features(self, rows: Tensor) -> Tensor:
        """φ."""
        return nn.functional.elu(rows) + 1


class Performer(LinearAttention):
    """Linear attention whose kernel estimates that of softmax by positive orthogonal random features."""

    directions: Tensor

    def __init__(self, width: int, features: int = 64) -> None:
        super().__init__(width, features)
        self.register_buffer("directions", orthogonal_gaussian(features, width // heads_of(width)))

    def features(self, rows: Tensor) -> Tensor:
        scaled = rows / rows.shape[-1] ** 0.25
        return torch.exp(scaled @ self.directions.mT - scaled.square().sum(-1, keepdim=True) / 2) / math.sqrt(
            len(self.directions)
        )


def orthogonal_gaussian(count: int, size: int) -> Tensor:
    """Rows with the lengths of Gaussian vectors, orthogonal within each block of `size`."""
    blocks = [torch.linalg.qr(torch.randn(size, size))[0] for _ in range(-(-count // size))]
    return torch.cat(blocks)[:count] * torch.randn(count, size).norm(dim=1, keepdim=True)


def heads_of(width: int) -> int:
    """Heads of 32 channels, or one."""
    return width // 32 if width % 32 == 0 else 1


def _softplus_inverse(x: Tensor) -> Tensor:
    return torch.log(torch.expm1(x))

"""The hybrid: a bank of oscillators on every row, a linear head on its states, deep blocks on every P-th of them.

    causal scale → f_t = bank(x)_t;   h = blocks(f at every P-th row), held in between;   quantiles_h = W₀ f_t + W₁ h_t on a basis of leads

W₀ and W₁ start at 0. The first stage of training has the bank and W₀ alone, a strong linear forecaster; the second adds the deep
path, which so begins as a correction of nothing. Blocks are words of `forecast.layers.blocks`: the hybrid is declared as data.
"""

from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from forecast.layers.bank import Bank, BankState
from forecast.layers.blocks import Stack
from forecast.layers.heads import LeadBasis, QuantileHead
from forecast.layers.sampled import Sampled, SampledState
from forecast.layers.scale import CausalScale
from forecast.layers.sequence import SequenceLayer
from forecast.models.deep import ROW, DeepForecaster
from forecast.models.recipe import Recipe


class HybridState(NamedTuple):
    """Both paths."""

    bank: BankState
    deep: SampledState


class HybridEncoder(SequenceLayer[HybridState]):
    """The bank's features beside what the deep path last said."""

    def __init__(self, bank: Bank, deep: Sampled) -> None:
        super().__init__()
        self.bank, self.deep = bank, deep
        self.use_deep = True  # false in the first stage: the deep path rests, its weights in the head are 0

    def initial_state(self, batch: int) -> HybridState:
        return HybridState(self.bank.initial_state(batch), self.deep.initial_state(batch))

    def forward(self, u: Tensor, state: HybridState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, HybridState]:
        features, bank = self.bank(u, state.bank, elapsed, observed)
        if not self.use_deep:
            return torch.cat([features, features.new_zeros(*u.shape[:2], self.deep.width)], -1), HybridState(
                bank, state.deep
            )
        said, deep = self.deep(features, state.deep, elapsed, observed)
        return torch.cat([features, said], -1), HybridState(bank, deep)

    def step(self, u: Tensor, state: HybridState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, HybridState]:
        features, bank = self.bank.step(u, state.bank, elapsed, observed)
        said, deep = self.deep.step(features, state.deep, elapsed, observed)
        return torch.cat([features, said], -1), HybridState(bank, deep)


class HybridForecaster(DeepForecaster):
    """Bank, linear head, and deep blocks on sampled states."""

    def __init__(
        self,
        blocks: tuple[str, ...] = ("s4d", "s4d"),
        every: int = 8,
        width: int = 64,
        dropout: float = 0.3,
        half_life: float = 168.0,
        learning_rate: float = 3e-3,
        first_stage: float = 0.6,
        horizon: int = 24,
        seasons: tuple[int, ...] = (),
        channels: int = 1,
        inputs: int = 0,
        static: int = 0,
    ) -> None:
        bank = Bank(seasons)
        features = bank.size + ROW + inputs + static
        head = QuantileHead(features + width, LeadBasis(horizon, seasons), inputs)
        nn.init.zeros_(head.median.weight)
        nn.init.zeros_(head.median.bias)
        encoder: SequenceLayer[Any] = HybridEncoder(
            bank, Sampled(Stack(features, tuple(blocks), width, dropout), width, every)
        )
        super().__init__(
            encoder, head, CausalScale(half_life), channels, Recipe(learning_rate, first_stage=first_stage)
        )
        self.blocks, self.every, self.width, self.dropout, self.half_life = blocks, every, width, dropout, half_life
        self.learning_rate, self.first_stage = learning_rate, first_stage
        self.horizon, self.seasons, self.inputs, self.static = horizon, seasons, inputs, static

    @classmethod
    def example(cls) -> Self:
        return cls(every=3, width=8, horizon=6, seasons=(4,), channels=2, inputs=1, static=1)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        progress = self.global_step / self.trainer.estimated_stepping_batches
        self.encoder.use_deep = progress >= self.first_stage  # type: ignore[assignment]

    def on_train_end(self) -> None:
        self.encoder.use_deep = True  # type: ignore[assignment]

"""Two paths side by side: a bank of oscillators on every row, and a deep path on every P-th of its rows.

    f_t = [bank(x)_t, h_t]      h = layers(bank rows at every P-th row), held in between

Shapes: rows (B T F) → features (B T linear + D); the first `linear` are linear in the values. Without layers there is no h.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from forecast.layers.bank import Bank, BankState
from forecast.layers.sampled import Sampled
from forecast.layers.sequence import SequenceLayer


class TwoPathsState(NamedTuple):
    """Both paths; the deep one is () where there is none."""

    bank: BankState
    deep: Any


class TwoPaths(SequenceLayer[TwoPathsState]):
    """The bank's features beside what the deep path last said."""

    def __init__(self, bank: Bank, deep: Sampled | None) -> None:
        super().__init__()
        self.bank, self.deep = bank, deep

    def initial_state(self, batch: int) -> TwoPathsState:
        return TwoPathsState(
            self.bank.initial_state(batch), () if self.deep is None else self.deep.initial_state(batch)
        )

    def forward(
        self, u: Tensor, state: TwoPathsState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, TwoPathsState]:
        rows, bank = self.bank(u, state.bank, elapsed, observed)
        linear = rows[..., : self.bank.linear]
        if self.deep is None:
            return linear, TwoPathsState(bank, ())
        said, deep = self.deep(rows, state.deep, elapsed, observed)
        return torch.cat([linear, said], -1), TwoPathsState(bank, deep)

    def at(
        self, u: Tensor, state: TwoPathsState, elapsed: Tensor, observed: Tensor, made: Tensor
    ) -> Tensor:
        """Features after the rows `made` (P, ascending) alone (B P …): what `forward` says there."""
        if self.deep is not None:
            places = self.deep.places(state.deep, elapsed, observed)
            found = self.bank.at(u, state.bank, elapsed, observed, places.at, made)
            if found is not None:
                said, _ = self.deep.say(found[0], state.deep, places)
                newest = places.newest[:, made, None].expand(-1, -1, said.shape[2])
                return torch.cat([found[1], said.gather(1, newest)], -1)
        return self.forward(u, state, elapsed, observed)[0][:, made]

    def step(self, u: Tensor, state: TwoPathsState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, TwoPathsState]:
        rows, bank = self.bank.step(u, state.bank, elapsed, observed)
        linear = rows[..., : self.bank.linear]
        if self.deep is None:
            return linear, TwoPathsState(bank, ())
        said, deep = self.deep.step(rows, state.deep, elapsed, observed)
        return torch.cat([linear, said], -1), TwoPathsState(bank, deep)

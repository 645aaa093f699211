"""A bank of damped oscillators that every value passes through: the linear memory of a sequence.

    z_t = λ^{e_t} z_{t-1} + x_t,   λ = e^{-a + iω},   features f_t = [(1 - e^{-a}) Re z_t, (1 - e^{-a}) Im z_t, x_t, …]

Shapes: rows (B T F) with the value in the first column; features (B T 2K + F); state (B 2 1 2K). The gain makes a constant
come out as itself where ω = 0. Periods start at the harmonics of the seasons, memories at a half, 3 and 14 seasons; real decays
cover short and long memories; without seasons the periods are powers of two. Frequencies and decays are learned.
Real and imaginary part are two channels of `ssm.modes` with one mode each, read out by 1 and by -i.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.sequence import SequenceLayer, one_row
from forecast.ssm.modes import Modes, respond

MEMORIES = (2.0, 6.0, 24.0, 96.0, 336.0)  # rows, of the real decays
HARMONICS, LONGEST = 6, 2  # harmonics of a season; seasons that get their own


class BankState(NamedTuple):
    """The oscillators, twice: once for each part that is read out."""

    modes: Tensor  # (B 2 1 2K)


class Bank(SequenceLayer[BankState]):
    """Oscillators at the seasons' harmonics, beside the rows themselves."""

    def __init__(self, seasons: Sequence[int]) -> None:
        super().__init__()
        poles = oscillators(seasons)
        self.frequency = nn.Parameter(torch.tensor([2 * math.pi / period if period else 0.0 for period, _ in poles]))
        self.log_decay = nn.Parameter(torch.tensor([-math.log(memory) for _, memory in poles]))

    @property
    def size(self) -> int:
        """Features beside the row's own."""
        return 2 * len(self.frequency)

    def modes(self) -> Modes:
        """Each oscillator once for its real and once for its imaginary part."""
        decay, frequency = self.log_decay.double().exp(), self.frequency.double()
        gain, none = -torch.expm1(-decay), torch.zeros_like(decay)
        twice = [
            torch.cat(pair)[None] for pair in ((-decay, -decay), (frequency, frequency), (gain, none), (none, -gain))
        ]
        return Modes(*twice)

    def initial_state(self, batch: int) -> BankState:
        return BankState(self.frequency.new_zeros(batch, 2, 1, self.size))

    def forward(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, BankState]:
        value = torch.where(observed, u[..., 0], torch.zeros_like(u[..., 0]))
        y, modes = respond(self.modes(), value[..., None].expand(*value.shape, self.size), elapsed, state.modes)
        return torch.cat([y, u], -1), BankState(modes)

    def step(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, BankState]:
        return one_row(self, u, state, elapsed, observed)


def oscillators(seasons: Sequence[int]) -> list[tuple[float, float]]:
    """(period, memory) in rows; period 0 is a real decay."""
    found = {(0.0, memory) for memory in MEMORIES}
    for season in [s for s in seasons if s > 1][:LONGEST]:
        for k in range(1, min(HARMONICS, season // 2) + 1):
            found |= {(season / k, season * share) for share in (0.5, 3.0, 14.0)}
    if not any(s > 1 for s in seasons):
        found |= {(2.0**k, 2.0 ** (k + 1)) for k in range(1, 9)}
    return sorted(found)

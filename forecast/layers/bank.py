"""A bank of damped oscillators that every value passes through: the linear memory of a sequence.

    z_t = λ^{e_t} z_{t-1} + x_t,   λ = e^{-a + iω},   features f_t = [(1 - e^{-a}) Re z_t, (1 - e^{-a}) Im z_t, x_t] / spread, …

A missing value is taken for the last one, faded by e^{-age/h} with h an eighth of the season: nothing at all would shrink every
oscillator by the share of what is missing, and the last one unfaded would fill a long gap with whatever came before it.
Shapes: rows (B T F) with the value in the first column; features (B T linear + F - 1); state (B 2 1 2K). The gain makes a constant
come out as itself where ω = 0. Periods are the harmonics of the seasons, memories 3 and 30 of the leading season and 3 of the next;
real decays cover short and long memories; without seasons the periods are powers of two. Nothing here is trained: a forecast
linear in the features has a closed form (`forecast.models.closed_form`), and training can start from any row of a series.
Real and imaginary part are two channels of `ssm.modes` with one mode each, read out by 1 and by -i.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.layers.sequence import SequenceLayer, one_row
from forecast.ssm.modes import Modes, is_regular, respond

MEMORIES = (2.0, 6.0, 24.0, 96.0)  # rows, of the real decays
SEASONS = (1.0, 4.0, 14.0)  # seasons, of more real decays
LONGEST = 1500.0  # rows, of any memory
FEW, EIGHTH = 24, 8  # rows of a season where there is none; its share in which a held value fades
LEADING, NEXT = 12, 6  # harmonics of the leading season and of the next
BESIDE = 3  # harmonics of the next season on either side of each of the leading one's: a day's course that differs by weekday


class BankState(NamedTuple):
    """The oscillators, twice: once for each part that is read out."""

    modes: Tensor  # (B 2 1 2K)
    last: Tensor  # (B): the last observed value, 0 before there is one
    age: Tensor  # (B) float64: time since then


class Bank(SequenceLayer[BankState]):
    """Oscillators at the seasons' harmonics, beside the rows themselves."""

    frequency: Tensor
    decay: Tensor
    kept: Tensor
    spread: Tensor
    extra: Tensor

    def __init__(self, seasons: Sequence[int]) -> None:
        super().__init__()
        self.fading = max(next((s for s in seasons if s > 1), FEW) / EIGHTH, 1.0)
        poles, second = oscillators(seasons), next_season(seasons)
        poles += [pole for pole in second if pole not in poles]
        frequency = torch.tensor([2 * math.pi / period if period else 0.0 for period, _ in poles], dtype=torch.float64)
        self.register_buffer("frequency", frequency, persistent=False)
        self.register_buffer("decay", torch.tensor([1 / memory for _, memory in poles]).double(), persistent=False)
        turning = (frequency > 0) & (frequency < math.pi - 1e-9)  # the others have no imaginary part
        kept = torch.cat([torch.ones(len(poles), dtype=torch.bool), turning])
        self.register_buffer("kept", kept.nonzero()[:, 0], persistent=False)
        of_next = torch.tensor([pole in second for pole in poles]).repeat(2)[kept]
        self.register_buffer("extra", torch.cat([of_next, torch.zeros(1, dtype=torch.bool)]), persistent=False)
        self.register_buffer("spread", torch.ones(len(self.extra)))
        self._tables: dict[torch.dtype, tuple[Tensor, Tensor]] = {}  # of the poles, which never change

    @property
    def linear(self) -> int:
        """Features that are linear in the values: the oscillators and the value itself, the last of them."""
        return len(self.extra)

    def modes(self) -> Modes:
        """Each oscillator once for its real and once for its imaginary part."""
        decay, frequency = self.decay.double(), self.frequency.double()
        gain, none = -torch.expm1(-decay), torch.zeros_like(decay)
        pairs = ((-decay, -decay), (frequency, frequency), (gain, none), (none, -gain))
        return Modes(*[torch.cat(pair)[None] for pair in pairs])

    def tables(self) -> tuple[Tensor, Tensor]:
        """Powers of the poles for a row one unit after the last (1 2 2K), and the readout (2 2K), in the precision of the bank."""
        kind = self.spread.dtype
        if kind not in self._tables:
            modes = self.modes()
            powers = torch.stack(modes.power(torch.ones(1)), 1)[:, :, 0].to(kind).contiguous()
            self._tables[kind] = powers, torch.stack([modes.c_r[0], modes.c_i[0]]).to(kind)
        return self._tables[kind]

    def initial_state(self, batch: int) -> BankState:
        none = self.spread.new_zeros(batch)
        return BankState(self.spread.new_zeros(batch, 2, 1, 2 * len(self.frequency)), none, none.double())

    def forward(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, BankState]:
        value, last, age = self._filled(u[..., 0], state, elapsed, observed)
        lanes = value[..., None].expand(*value.shape, 2 * len(self.frequency))
        y, modes = respond(self.modes(), lanes, elapsed, state.modes)
        linear = torch.cat([y[..., self.kept], value[..., None]], -1) / self.spread
        return torch.cat([linear, u[..., 1:]], -1), BankState(modes, last, age)

    def _filled(
        self, value: Tensor, state: BankState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Values (B T) without gaps, and the last one with its age."""
        clock, row = elapsed.double().cumsum(1), torch.arange(value.shape[1], device=value.device)
        at = torch.where(observed, row, -1).cummax(1).values
        known, at = at >= 0, at.clamp(min=0)
        last = torch.where(known, value.gather(1, at), state.last[:, None])
        age = torch.where(known, clock - clock.gather(1, at), state.age[:, None] + clock)
        faded = last * torch.exp(-age / self.fading).to(value.dtype) * (elapsed > 0)
        return torch.where(observed, value, faded), last[:, -1], age[:, -1]

    def after(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> BankState:
        """The state alone after rows before which there were none: on a regular clock one product with the powers of the poles."""
        if not (u.shape[1] and is_regular(elapsed)):
            return self.forward(u, state, elapsed, observed)[1] if u.shape[1] else state
        value, last, age = self._filled(u[..., 0], state, elapsed, observed)
        back = torch.arange(u.shape[1] - 1, -1, -1, device=u.device)
        powers = torch.stack(self.modes().power(back)).to(u.dtype)  # (2 T 1 2K)
        return BankState(torch.einsum("bt,rtnk->brnk", value, powers), last, age)

    def step(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, BankState]:
        return one_row(self, u, state, elapsed, observed)


def oscillators(seasons: Sequence[int]) -> list[tuple[float, float]]:
    """(period, memory) in rows, of the leading season; period 0 is a real decay."""
    lead = next((s for s in seasons if s > 1), 0)
    found = {(0.0, memory) for memory in MEMORIES} | {(0.0, min(lead * share, LONGEST)) for share in SEASONS if lead}
    if not lead:
        return sorted(found | {(2.0**k, 2.0 ** (k + 1)) for k in range(1, 9)} | {(0.0, 336.0)})
    return sorted(found | harmonics(lead, LEADING, (3.0, 30.0)))


def next_season(seasons: Sequence[int]) -> list[tuple[float, float]]:
    """Those of the season after the leading one: its first harmonics, and those beside the harmonics of the leading season."""
    known = [s for s in seasons if s > 1]
    if len(known) < 2:
        return []
    lead, season = known[:2]
    orders = set(range(1, NEXT + 1))
    for k in range(1, min(LEADING, lead // 2) + 1):
        middle = round(k * season / lead)
        orders |= set(range(middle - BESIDE, middle + BESIDE + 1))
    new = (j for j in orders if 0 < j <= season // 2 and j * lead % season)  # the others are the leading season's own
    return sorted((season / j, min(season * 3.0, max(LONGEST, 3.0 * season))) for j in new)


def harmonics(season: int, count: int, shares: Sequence[float]) -> set[tuple[float, float]]:
    """The harmonics of a season, with memories in seasons."""
    return {
        (season / k, min(season * share, max(LONGEST, 3.0 * season)))
        for k in range(1, min(count, season // 2) + 1)
        for share in shares
    }

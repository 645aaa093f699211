"""A bank of damped oscillators that every value passes through: the linear memory of a sequence.

    z_t = λ^{e_t} z_{t-1} + x_t,   λ = e^{-a + iω},   features f_t = [(1 - e^{-a}) Re z_t, (1 - e^{-a}) Im z_t, x_t] / spread, …

A missing value is taken for the season's usual course and a fading rest of the last deviation from it (`kernels.fill`), also in rows
that would lie between two that lie apart: nothing at all would shrink every oscillator by the share of what is missing.
Shapes: rows (B T F) with the value in the first column; features (B T linear + F - 1); state (B 2 1 2K). The gain makes a constant
come out as itself where ω = 0. Periods are the harmonics of the seasons, memories 3 and 30 of the leading season and 3 of the next;
real decays cover short and long memories; without seasons the periods are powers of two. Nothing here is trained: a forecast
linear in the features has a closed form (`forecast.models.closed_form`), and training can start from any row of a series.
Real and imaginary part are two channels of `ssm.modes` with one mode each, read out by 1 and by -i.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels import fill, picked
from forecast.layers.sequence import SequenceLayer, one_row
from forecast.ssm.modes import Modes, is_regular, respond, usable

Array: TypeAlias = NDArray[Any]

MEMORIES = (2.0, 6.0, 24.0, 96.0)  # rows, of the real decays
SEASONS = (1.0, 4.0, 14.0)  # seasons, of more real decays
LONGEST = 1500.0  # rows, of any memory
GAIN, FADING = 0.25, 4  # of the usual course of a season; seasons in which a deviation from it fades
FEW, SOON = 24, 3.0  # where there is no season: rows filled in a gap at most, and in which the last value fades
LAID_OUT = 1 << 14  # rows laid out at once, with those between them
LEADING, NEXT = 12, 6  # harmonics of the leading season and of the next
BESIDE = 3  # harmonics of the next season on either side of each of the leading one's: a day's course that differs by weekday


class BankState(NamedTuple):
    """The oscillators, twice: once for each part that is read out."""

    modes: Tensor  # (B 2 1 2K)
    deviation: Tensor  # (B): of the last observed value from the usual course
    age: Tensor  # (B) float64: time since then
    clock: Tensor  # (B) float64: time since the first observed value, -1 before it
    profile: Tensor  # (B S): the usual course of the season, its first row that of the first observed value


class Bank(SequenceLayer[BankState]):
    """Oscillators at the seasons' harmonics, beside the rows themselves."""

    frequency: Tensor
    decay: Tensor
    kept: Tensor
    spread: Tensor
    extra: Tensor
    beside: Tensor

    def __init__(self, seasons: Sequence[int]) -> None:
        super().__init__()
        self.season = next((s for s in seasons if s > 1), 1)
        self.bend = (GAIN, float(FADING * self.season)) if self.season > 1 else (0.0, SOON)
        self.most = FADING * self.season if self.season > 1 else FEW
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
        longest = max([s for s in seasons if s > 1][1:2], default=1)
        quick = (frequency * longest > 2 * math.pi * (NEXT + 0.5)).repeat(2)[kept]  # of the next season all but its first harmonics
        self.register_buffer("beside", self.extra & torch.cat([quick, quick[:0].new_zeros(1)]), persistent=False)
        self.register_buffer("spread", torch.ones(len(self.extra)))
        self._tables: tuple[Tensor, int, tuple[Array, Array, Array, Array]] | None = None

    @property
    def linear(self) -> int:
        """Features that are linear in the values: the oscillators and the value itself, the last of them."""
        return len(self.extra)

    def modes(self) -> Modes:
        """Each oscillator once for its real and once for its imaginary part."""
        decay, frequency = self.decay.double(), self.frequency.double()
        gain, none = -torch.expm1(-decay), torch.zeros_like(decay)
        pairs = ((-decay, -decay), (frequency, frequency), (gain, none), (none, -gain))
        log_r, log_i, c_r, c_i = (torch.cat(pair)[None] for pair in pairs)
        return Modes(log_r, log_i, c_r, c_i, torch.cat([none, none]))

    def tables(self) -> tuple[Array, Array, Array, Array]:
        """As the kernel of a live row takes them, in the precision of the bank: powers of the poles for a row one unit after the last
        (1 2 2K), the readout (2 2K), which of the lanes are features, and the spread of all features."""
        spread = self.spread
        found = self._tables
        if found is None or found[0] is not spread or found[1] != spread.data_ptr():
            modes, kind = self.modes(), spread.dtype
            powers = torch.stack(modes.power(torch.ones(1)), 1)[:, :, 0].to(kind).contiguous()
            readout = torch.stack([modes.c_r[0], modes.c_i[0]]).to(kind)
            arrays = (powers.numpy(), readout.numpy(), self.kept.numpy(), spread.numpy())
            self._tables = found = spread, spread.data_ptr(), arrays
        return found[2]

    def initial_state(self, batch: int) -> BankState:
        none, lanes = self.spread.new_zeros(batch), 2 * len(self.frequency)
        profile = self.spread.new_zeros(batch, self.season)
        return BankState(self.spread.new_zeros(batch, 2, 1, lanes), none, none.double(), none.double() - 1, profile)

    def forward(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, BankState]:
        made = []
        for low, high in self._pieces(elapsed):
            rows, state = self._piece(u[:, low:high, 0], state, elapsed[:, low:high], observed[:, low:high])
            made.append(rows)
        linear = torch.cat(made, 1) if made else u[..., :0].expand(-1, -1, self.linear)
        return torch.cat([linear, u[..., 1:]], -1), state

    def _pieces(self, elapsed: Tensor) -> list[tuple[int, int]]:
        """Stretches of the rows that are laid out at once."""
        if is_regular(elapsed):
            return [(0, elapsed.shape[1])] if elapsed.shape[1] else []
        count, _ = fill.between(elapsed.detach().double().cpu().numpy(), self.most)
        part = (count.max(0) + 1).cumsum() // LAID_OUT
        ends = [*(np.flatnonzero(np.diff(part)) + 1).tolist(), len(part)]
        return list(pairwise([0, *ends]))

    def _piece(self, value: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, BankState]:
        """Linear features (B T linear) of some rows."""
        value, elapsed, place, after = self._filled(value, state, elapsed, observed)
        lanes = value[..., None].expand(*value.shape, 2 * len(self.frequency))
        y, modes = respond(self.modes(), lanes, elapsed, state.modes)
        features = torch.cat([y[..., self.kept], value[..., None]], -1) / self.spread
        if place is not None:
            features = features.gather(1, place[..., None].expand(-1, -1, features.shape[2]))
        return features, after._replace(modes=modes)

    def _filled(
        self, value: Tensor, state: BankState, elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None, BankState]:
        """Values and times (B T') without gaps, where (B T) the rows are if there are more, and the state but for the modes.

        It runs as a kernel on the CPU whatever the device of the data: a few numbers per row, and no gradient passes through it.
        """
        if value.is_meta:
            return value, elapsed, None, state
        device, kind, rows, place = value.device, value.dtype, elapsed.detach().double().cpu().numpy(), None
        exact = torch.promote_types(kind, torch.float32)
        known = torch.where(observed, value.detach(), torch.nan).to("cpu", exact).numpy()
        if not is_regular(elapsed):
            known, rows, where = fill.laid_out(known, rows, self.most)
            place, elapsed = torch.from_numpy(where).to(device), torch.from_numpy(rows).to(device)
        rest = [part.detach().cpu().clone(memory_format=torch.contiguous_format) for part in state[1:]]
        fill.fill(known, rows, self.bend, *(part.numpy() for part in rest))
        return torch.from_numpy(known).to(device, kind), elapsed, place, BankState(state.modes, *(p.to(device) for p in rest))

    def after(self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor) -> BankState:
        """The state alone after rows before which there were none: on a regular clock one product with the powers of the poles."""
        if not (u.shape[1] and is_regular(elapsed)):
            return self.forward(u, state, elapsed, observed)[1] if u.shape[1] else state
        value, _, _, after = self._filled(u[..., 0], state, elapsed, observed)
        back = torch.arange(u.shape[1] - 1, -1, -1, device=u.device)
        powers = torch.stack(self.modes().power(back)).to(u.dtype)  # (2 T 1 2K)
        return after._replace(modes=torch.einsum("bt,rtnk->brnk", value, powers))

    def at(
        self, u: Tensor, state: BankState, elapsed: Tensor, observed: Tensor, own: Tensor, common: Tensor
    ) -> tuple[Tensor, Tensor] | None:
        """Features after rows of each lane's own (B S) and after some that all have in common (P), both ascending: (B S linear + F - 1) and
        (B P linear). Not everywhere: None means that `forward` has to say all rows."""
        if not (usable(u) and usable(self.spread) and is_regular(elapsed)):
            return None
        value, _, _, _ = self._filled(u[..., 0], state, elapsed, observed)
        modes, count = self.modes(), len(self.frequency)
        power, readout = torch.stack(modes.power(torch.ones(1)), 1)[0, :, 0], torch.stack([modes.c_r[0], modes.c_i[0]])
        samples, said = u.new_empty(*own.shape, self.linear + u.shape[2] - 1), u.new_empty(len(u), len(common), self.linear)
        parts = (
            value, power.to(u), readout.to(u), self.kept, self.spread.to(u),
            state.modes[:, :, 0, :count].to(u.dtype, copy=True), own, common, samples, said,
        )  # fmt: skip
        picked.advance(*(part.detach().contiguous().numpy() for part in parts))
        samples[..., self.linear :] = u[..., 1:].gather(1, own[..., None].expand(-1, -1, u.shape[2] - 1))
        return samples, said

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

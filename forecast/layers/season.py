"""A causal profile of the season of every channel: what a forecast starts from, and how far each value lay from it.

    origin of lead h after row t = p at the last row of the same phase,  the last value where that phase has none
    recalled, less the origin: the values at the last row of the same phase of the season (y), of the longer one (w), one longer season before w, and
    one before y; a value that is not there is taken for the one before it in this list, y for the origin, the last one for y

Shapes: values (B T C); elapsed (B T); profile (B C 2M+8+2L) in float64, as in `kernels.scan_season`, which is the recursion. Phases count rows: a
season has a number of rows. It runs on the CPU whatever the device of the data, as the scale does.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast.kernels.scan_season import BESIDE, GATES, advance

RECALLED = 4  # values of earlier seasons


class Track(NamedTuple):
    """The profile along some rows."""

    distance: Tensor  # (B T C): of each value from the profile before it; NaN where there is none
    gate: Tensor  # (B T+1 C 3): before the rows and after each, ρ, κ and ω, see `kernels.scan_season`
    phases: Tensor  # (B C M+T): profile at the last M rows before, and at each
    rows: Tensor  # (B C T+1): how many of the rows so far were rows
    known: Tensor  # (B C 2L+T): values at the last 2L rows before, and at each
    last: Tensor  # (B T+1 C): the last value, before the rows and after each
    profile: Tensor  # (B C 2M+8+2L): after the last row

    def origins(self, after: Tensor, horizon: int) -> Tensor:
        """What the leads 1 … H start from (B P H C), after so many rows (P)."""
        lead = torch.arange(horizon, device=after.device)
        return self._at(self.phases, after, lead % self.season, self.last[:, after, None])

    def recalled(self, after: Tensor, horizon: int, origin: Tensor) -> Tensor:
        """Distances of the values of earlier seasons from the origins of the leads (B P H C 4)."""
        longer, lead = (self.known.shape[2] - self.rows.shape[2] + 1) // 2, torch.arange(horizon, device=after.device)
        last, long_ago = 2 * longer - self.season + lead % self.season, longer + lead % longer
        y = self._at(self.known, after, last, origin)
        w = self._at(self.known, after, long_ago, y)
        older = self._at(self.known, after, long_ago - longer, w), self._at(self.known, after, last - longer, y)
        return torch.stack([y, w, *older], -1) - origin[..., None]

    @property
    def season(self) -> int:
        """M."""
        return self.phases.shape[2] - self.rows.shape[2] + 1

    def _at(self, held: Tensor, after: Tensor, place: Tensor, instead: Tensor) -> Tensor:
        """What is held (B C N+T) at some places of the N that there are after so many rows (P), something else where nothing is: (B P H C)."""
        at = self.rows[:, :, after, None] + place
        found = held.gather(2, at.flatten(2)).view(at.shape).movedim(1, 3)
        return torch.where(found.isnan(), instead, found)


class SeasonalProfile(NamedTuple):
    """Rows of a season and of a longer one, the share of a distance that the profile learns, and the half-life in rows of what is known of repeats."""

    season: int
    longer: int
    gain: float
    half_life: float

    def initial(self, batch: int, channels: int, device: torch.device) -> Tensor:
        """Before the first row."""
        first, size = 2 * self.season, 2 * self.season + BESIDE + 2 * self.longer
        profile = torch.full((batch, channels, size), torch.nan, dtype=torch.float64, device=device)
        profile[..., first + 1 : first + BESIDE] = 0.0
        return profile

    def one(self, values: Tensor, elapsed: Tensor, profile: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distance and ρ of one more row (B C), and the profile after it: those of `run`, without what other leads need."""
        if values.is_meta or values.device.type != "cpu":
            track = self.run(values[:, None], elapsed[:, None], profile)
            return track.distance[:, 0], track.gate[:, 1, :, 0], track.profile
        fold, after = values.shape, profile.detach().numpy().copy()
        state = after.reshape(-1, profile.shape[-1])
        gap = elapsed.detach().double().numpy().repeat(fold[1])[:, None]
        y, many = values.detach().double().numpy().reshape(-1, 1), len(state)
        distance, gate, rows = np.empty((many, 1)), np.empty((many, 2, GATES)), np.empty((many, 2), np.int64)
        along = (np.empty((many, count + 1)) for count in (self.season, 2 * self.longer, 1))
        advance(
            y, gap, self.season, self.longer, self.gain, 0.5 ** (1 / self.half_life), state, distance, gate, rows, *along
        )
        repeats = np.ascontiguousarray(gate[:, 1, 0])
        return torch.from_numpy(distance.reshape(fold)), torch.from_numpy(repeats.reshape(fold)), torch.from_numpy(after)

    def run(self, values: Tensor, elapsed: Tensor, profile: Tensor) -> Track:
        """Distances, gates and origins along rows."""
        batch, count, channels = values.shape
        made = values.new_empty(batch * channels, count, dtype=torch.float64)
        rows = torch.zeros(batch * channels, count + 1, dtype=torch.int64, device=values.device)
        track = values.new_empty(batch * channels, self.season + count, dtype=torch.float64)
        gate = values.new_zeros(batch * channels, count + 1, GATES, dtype=torch.float64)
        known = values.new_empty(batch * channels, 2 * self.longer + count, dtype=torch.float64)
        recent = values.new_empty(batch * channels, count + 1, dtype=torch.float64)
        parts = [made, gate, rows, track, known, recent]
        if not values.is_meta:
            y, gaps = (part.detach().to("cpu", torch.float64) for part in (values, elapsed))
            gaps = gaps[:, None].expand(batch, channels, count).reshape(batch * channels, count)
            parts, profile = [part.cpu() for part in parts], profile.detach().to("cpu", copy=True)
            state = profile.flatten(0, 1)
            advance(
                y.transpose(1, 2).reshape(batch * channels, count).contiguous().numpy(), gaps.contiguous().numpy(), self.season,
                self.longer, self.gain, 0.5 ** (1 / self.half_life), state.numpy(), *(part.numpy() for part in parts),
            )  # fmt: skip
            profile = state.view_as(profile)
        distance, gate, rows, track, known, recent = (part.to(values.device).unflatten(0, (batch, channels)) for part in parts)
        return Track(
            distance.transpose(1, 2), gate.transpose(1, 2), track, rows, known, recent.transpose(1, 2), profile.to(values.device)
        )

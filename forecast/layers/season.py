"""A causal profile of the season of every channel: what a forecast starts from, and how far each value lay from it.

    origin of lead h after row t = p at the last row of the same phase,  the last value where that phase has none

Shapes: values (B T C); elapsed (B T); profile (B C 2M+4) in float64, as in `kernels.scan_season`, which is the recursion. Phases count rows: a
season has a number of rows. It runs on the CPU whatever the device of the data, as the scale does.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast.kernels.scan_season import advance

BESIDE = 4  # columns of a profile after those of the phases: last value, weight, and two sums


class Track(NamedTuple):
    """The profile along some rows."""

    distance: Tensor  # (B T C): of each value from the profile before it; NaN where there is none
    gate: Tensor  # (B T C): how far distances repeat after a season, in -1 … 1
    phases: Tensor  # (B C M+T): profile at the last M rows before, and at each
    rows: Tensor  # (B C T+1): how many of the rows so far were rows
    last: Tensor  # (B T+1 C): the last value, before the rows and after each
    profile: Tensor  # (B C 2M+4): after the last row

    def origins(self, after: Tensor, horizon: int) -> Tensor:
        """What the leads 1 … H start from (B P H C), after so many rows (P)."""
        season = self.phases.shape[2] - self.rows.shape[2] + 1
        lead = torch.arange(horizon, device=after.device) % season
        at = self.rows[:, :, after, None] + lead
        found = self.phases.gather(2, at.flatten(2)).view(at.shape).movedim(1, 3)
        return torch.where(found.isnan(), self.last[:, after, None], found)


class SeasonalProfile(NamedTuple):
    """Rows of a season, the share of a distance that the profile learns, and the half-life in rows of what is known of repeats."""

    season: int
    gain: float
    half_life: float

    def initial(self, batch: int, channels: int, device: torch.device) -> Tensor:
        """Before the first row."""
        profile = torch.full((batch, channels, 2 * self.season + BESIDE), torch.nan, dtype=torch.float64, device=device)
        profile[..., 1 - BESIDE :] = 0.0
        return profile

    def one(self, values: Tensor, elapsed: Tensor, profile: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Distance and gate of one more row (B C), and the profile after it: those of `run`, without what other leads need."""
        if values.is_meta or values.device.type != "cpu":
            track = self.run(values[:, None], elapsed[:, None], profile)
            return track.distance[:, 0], track.gate[:, 0], track.profile
        fold, after = values.shape, profile.detach().numpy().copy()
        state = after.reshape(-1, profile.shape[-1])
        gap = elapsed.detach().double().numpy().repeat(fold[1])[:, None]
        made, rows = np.empty((2, len(state), 1)), np.empty((len(state), 2), np.int64)
        y, along = values.detach().double().numpy().reshape(-1, 1), np.empty((len(state), self.season + 1))
        advance(y, gap, self.season, self.gain, 0.5 ** (1 / self.half_life), state, made[0], made[1], rows, along)
        distance, gate = torch.from_numpy(made.reshape(2, *fold)).unbind()
        return distance, gate, torch.from_numpy(after)

    def run(self, values: Tensor, elapsed: Tensor, profile: Tensor) -> Track:
        """Distances, gates and origins along rows."""
        batch, count, channels = values.shape
        made = values.new_empty(batch * channels, count, dtype=torch.float64)
        rows = torch.zeros(batch * channels, count + 1, dtype=torch.int64, device=values.device)
        track = values.new_empty(batch * channels, self.season + count, dtype=torch.float64)
        last = torch.cat([profile[:, None, :, -BESIDE], values.to(torch.float64)], 1)
        at = torch.where(last.isnan(), 0, torch.arange(count + 1, device=values.device)[:, None]).cummax(1).values
        parts = [made, torch.empty_like(made), rows, track]
        if not values.is_meta:
            y, gaps = (part.detach().to("cpu", torch.float64) for part in (values, elapsed))
            gaps = gaps[:, None].expand(batch, channels, count).reshape(batch * channels, count)
            parts, profile = [part.cpu() for part in parts], profile.detach().to("cpu", copy=True)
            state = profile.flatten(0, 1)
            advance(
                y.transpose(1, 2).reshape(batch * channels, count).contiguous().numpy(), gaps.contiguous().numpy(), self.season,
                self.gain, 0.5 ** (1 / self.half_life), state.numpy(), parts[0].numpy(), parts[1].numpy(), parts[2].numpy(),
                parts[3].numpy(),
            )  # fmt: skip
            profile = state.view_as(profile)
        distance, gate, rows, track = (part.to(values.device).unflatten(0, (batch, channels)) for part in parts)
        return Track(
            distance.transpose(1, 2), gate.transpose(1, 2), track, rows, last.gather(1, at), profile.to(values.device)
        )

"""Forecasters whose parallel form follows a path along many rows, off which every state and every forecast is read.

The recurrent form is the same code on one row, a forecast from a state the same code on no row.
Shapes: past (B T C), starts (W) among the rows 0 … T, forecasts (B W H C).
"""

from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Forecast
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past, Row, State


class Ahead(NamedTuple):
    """What is known of the leads 1 … H from each of the rows `starts`."""

    starts: Tensor  # (W): a forecast is made before each of these rows
    clock: Tensor  # (B ≥T+H+1): time before the first row and after each
    inputs: Tensor  # (B T+H K)
    horizon: int

    def rows(self) -> Tensor:
        """Row of each start and lead (W H)."""
        return self.starts[:, None] + torch.arange(self.horizon, device=self.starts.device)


class Follower(Forecaster):
    """A member that is defined by its path."""

    channels: int

    @abstractmethod
    def follow(self, state: State, past: Past) -> Any:
        """The path along the rows of `past`."""

    @abstractmethod
    def state_at(self, path: Any, row: int) -> State:
        """The state before row `row` of the path."""

    @abstractmethod
    def forecast(self, path: Any, ahead: Ahead) -> Forecast:
        """Forecasts (B W H C) in float64."""

    def warm_up(self, state: State, past: Past) -> State:
        return self.state_at(self.follow(state, past), past.values.shape[1])

    def step(self, state: State, row: Row) -> State:
        return self.warm_up(state, row.past())

    def predict(self, state: State, future: Future) -> Forecast:
        batch, horizon, inputs = future.inputs.shape
        nothing = Past.of(future.inputs.new_zeros(batch, 0, self.channels), future.inputs.new_zeros(batch, 0, inputs))
        made, _ = self.trace(state, nothing, future, horizon)
        return made.rebuild(*[part[:, 0] for part in made.parts()])

    def trace(
        self, state: State, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Forecast, State]:
        rows = past.values.shape[1]
        starts = torch.arange(0, max(rows, 1), every, device=past.values.device)
        short = max(0, rows + horizon - past.elapsed.shape[1] - future.elapsed.shape[1])
        elapsed = torch.nn.functional.pad(torch.cat([past.elapsed, future.elapsed], 1), (0, short), value=1.0)
        inputs = torch.nn.functional.pad(torch.cat([past.inputs, future.inputs], 1).double(), (0, 0, 0, short))
        path = self.follow(state, past)
        made = self.forecast(path, Ahead(starts, time_after(elapsed), inputs, horizon))
        return made.to(future.elapsed.dtype), self.state_at(path, rows)


def time_after(elapsed: Tensor) -> Tensor:
    """Time at the start and after each row: (B T) → (B T+1)."""
    return torch.nn.functional.pad(elapsed.double().cumsum(1), (1, 0))


def so_far(values: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest observed value before each row (B T+1 C), going on from `low` and `high` (B C)."""
    seen = values.isfinite()
    lows = torch.cat([low[:, None], torch.where(seen, values.double(), torch.inf)], 1)
    highs = torch.cat([high[:, None], torch.where(seen, values.double(), -torch.inf)], 1)
    return lows.cummin(1).values, highs.cummax(1).values


def within_reach(mean: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """A forecast (… H C) held within `lead` ranges of the least and largest value so far (… 1 C)."""
    room = torch.arange(1, mean.shape[-2] + 1, device=mean.device)[:, None] * (high - low)
    return torch.where(mean.isfinite(), mean.clamp(low - room, high + room), torch.nan)

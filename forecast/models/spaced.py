"""Members on a clock of whole units: rows further apart are rows between in which everything is missing.

Rows move the state by the whole number of units nearest to their distance; the first row of a series moves nothing.
Such a member says what a run of rows one unit apart does, and is asked for nothing else.
"""

from abc import abstractmethod

import torch
from torch import Tensor

from forecast.distribution import Forecast
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past, Row, State, join, take

FARTHEST = 100_000  # units of the clock that one row may lie after the one before


class SpacedForecaster(Forecaster):
    """A member whose rows are one unit of its clock apart."""

    channels: int

    @abstractmethod
    def follow(self, state: State, past: Past, each: bool) -> tuple[State, Forecast]:
        """The state after rows one unit apart, and their forecast, made before the first row or (each) before its own."""

    @abstractmethod
    def fresh(self, state: State) -> Tensor:
        """Which series (B) have had no observed row yet."""

    def warm_up(self, state: State, past: Past) -> State:
        return self._spaced(state, past)[0]

    def step(self, state: State, row: Row) -> State:
        return self.warm_up(state, row.past())

    def predict(self, state: State, future: Future) -> Forecast:
        missing = future.elapsed.new_full((*future.elapsed.shape, self.channels), torch.nan)
        return self._spaced(state, Past(missing, future.inputs, future.elapsed, missing[:, 0, :0]))[1]

    def trace(
        self, state: State, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Forecast, State]:
        if (horizon, every) != (1, 1):
            return super().trace(state, past, future, horizon, every)
        after, made = self._spaced(state, past, each=True)
        return made.rebuild(*[part[:, :, None] for part in made.parts()]), after

    def _spaced(self, state: State, past: Past, each: bool = False) -> tuple[State, Forecast]:
        """The state after all rows, and the forecast of every one of them."""
        apart = past.elapsed.round().clamp(1, FARTHEST).to(torch.int64)
        if bool((apart == 1).all()):
            return self.follow(state, past, each)
        patterns, which = torch.unique(apart, dim=0, return_inverse=True)
        parts = [(which == k).nonzero()[:, 0] for k in range(len(patterns))]
        made = [self._apart(take(state, rows), take(past, rows), patterns[k], each) for k, rows in enumerate(parts)]
        return _together(made, parts)

    def _apart(self, state: State, past: Past, units: Tensor, each: bool) -> tuple[State, Forecast]:
        """Rows of the same spacing: the units between them are rows in which everything is missing."""
        fresh = self.fresh(state)
        if bool(fresh.any()) and not bool(fresh.all()):
            parts = [fresh.nonzero()[:, 0], (~fresh).nonzero()[:, 0]]
            return _together([self._apart(take(state, rows), take(past, rows), units, each) for rows in parts], parts)
        at = units.cumsum(0) - 1
        total = int(at[-1]) + 1
        values = past.values.new_full((past.values.shape[0], total, self.channels), torch.nan)
        values[:, at] = past.values
        inputs = past.inputs.repeat_interleave(units, 1)
        whole = Past(values, inputs, values[..., 0].new_ones(values.shape[:2]), past.static)
        after, forecast = self.follow(state, whole, each)
        return after, forecast.rebuild(*[part[:, at] for part in forecast.parts()])


def _together(made: list[tuple[State, Forecast]], parts: list[Tensor]) -> tuple[State, Forecast]:
    """States and forecasts of some series each, in the order of all."""
    order = torch.cat(parts).argsort()
    after = take(join([state for state, _ in made]), order)
    return after, made[0][1].join([forecast for _, forecast in made[1:]]).rows(order)

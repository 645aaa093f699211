"""A small correct member and one broken variant per law: each breaks that law and nothing that it needs to break others.

The correct one is an exponentially weighted level: m' = m + a (y - m), with the squared one-step errors for its variance.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.distribution import Forecast, Gaussian
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Past, Row, tree_map


class Level(NamedTuple):
    level: Tensor  # (B C); NaN before the first observed value
    square: Tensor  # (B C): sum of squared one-step errors
    count: Tensor  # (B C): of errors


class Smooth(Forecaster):
    """The correct one."""

    needs = 2
    traits = frozenset({"scale", "shift"})
    channels = 1

    @classmethod
    def example(cls) -> Self:
        return cls()

    def initial_state(self, parameters: tuple[()], static: Tensor) -> Level:
        blank = static.new_zeros(static.shape[0], self.channels)
        return Level(blank + math.nan, blank, blank)

    def step(self, state: Level, row: Row) -> Level:
        seen, known = row.values.isfinite(), state.level.isfinite()
        error = torch.where(seen & known, row.values - state.level, torch.zeros_like(row.values))
        level = torch.where(known, state.level + 0.3 * error, torch.where(seen, row.values, state.level))
        return Level(level, state.square + error**2, state.count + (seen & known))

    def predict(self, state: Level, future: Future) -> Forecast:
        lead = torch.arange(1, future.inputs.shape[1] + 1, dtype=state.level.dtype)[None, :, None]
        variance = (state.square / state.count)[:, None].clamp(min=1e-24)
        return Gaussian(state.level[:, None] + 0 * lead + 0 * variance, variance * (1 + 0.09 * (lead - 1)))


class WarmsUpDifferently(Smooth):  # L1
    def warm_up(self, state: Level, past: Past) -> Level:
        return super().warm_up(state, past)._replace(level=past.values.nanmean(1))


class LooksAhead(Smooth):  # L2
    def trace(
        self, state: Level, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Forecast, Level]:
        forecast, end = super().trace(state, past, future, horizon, every)
        return forecast.affine(0.01 * past.values.nanmean(1)[:, None, None], torch.tensor(1.0)), end


class HasAUnit(Smooth):  # L3 scale
    def predict(self, state: Level, future: Future) -> Forecast:
        forecast = super().predict(state, future)
        return Gaussian(forecast.mean, forecast.variance + 1.0)


class HasAnOrigin(Smooth):  # L3 shift
    def predict(self, state: Level, future: Future) -> Forecast:
        return super().predict(state._replace(level=0.9 * state.level), future)


class ReadsGapsAsZero(Smooth):  # L4
    def step(self, state: Level, row: Row) -> Level:
        return super().step(state, row._replace(values=row.values.nan_to_num()))


class CountsPadding(Smooth):  # L4
    def step(self, state: Level, row: Row) -> Level:
        after = super().step(state, row)
        return after._replace(count=after.count + ~row.values.isfinite())


class CountsRows(Smooth):  # L4 continuous
    traits = Smooth.traits | {"continuous"}

    def step(self, state: Level, row: Row) -> Level:
        after = super().step(state, row)
        return after._replace(square=after.square + 1.0)


class SharesAMean(Smooth):  # L5
    def step(self, state: Level, row: Row) -> Level:
        after = super().step(state, row)
        return after._replace(level=after.level + 0.01 * (after.level.nanmean(0) - after.level))


class Crosses(Smooth):  # L5 quantiles
    def predict(self, state: Level, future: Future) -> Forecast:
        forecast = super().predict(state, future)

        class Upside(Gaussian):
            def quantiles(self, levels: object = None) -> Tensor:  # type: ignore[override]
                return Gaussian(self.mean, self.variance).quantiles((0.9, 0.5, 0.1))

        return Upside(forecast.mean, forecast.variance)


class Widens32(Smooth):  # L6
    def predict(self, state: Level, future: Future) -> Forecast:
        return super().predict(state, future).to(torch.float64)


class StaysBehind(Smooth):  # L6 device
    traits = Smooth.traits | {"trained"}

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))
        self.loose = torch.full((1,), 0.3)  # neither a parameter nor a buffer: `to` leaves it where it is

    def step(self, state: Level, row: Row) -> Level:
        after = super().step(state, row)
        return after._replace(level=after.level + torch.cat([self.loose.to(after.level.dtype)] * 2)[:1] * 0)


class Forgets(Smooth):  # L8
    def __init__(self) -> None:
        super().__init__()
        self.shift = float(torch.rand(()))  # neither a constructor parameter nor a weight: lost by save

    def predict(self, state: Level, future: Future) -> Forecast:
        return super().predict(state, future).affine(torch.tensor(self.shift), torch.tensor(1.0))


class Overconfident(Smooth):  # L7 generative
    traits = Smooth.traits | {"generative"}

    def predict(self, state: Level, future: Future) -> Forecast:
        forecast = super().predict(state, future)
        lead = torch.arange(forecast.mean.shape[1], dtype=forecast.mean.dtype)[None, :, None]
        return Gaussian(forecast.mean, forecast.variance / (1 + lead))


class WrongTails(Smooth):  # L7 closed form
    def predict(self, state: Level, future: Future) -> Forecast:
        forecast = super().predict(state, future)

        class Skewed(Gaussian):
            def cdf(self, y: Tensor) -> Tensor:
                return super().cdf(y) ** 1.01

        return Skewed(forecast.mean, forecast.variance)


class Explodes(Smooth):  # L9
    def predict(self, state: Level, future: Future) -> Forecast:
        forecast = super().predict(state, future)
        return Gaussian(forecast.mean * 1e300, forecast.variance * 1e300)


class AlwaysAnswers(Smooth):  # L9
    def predict(self, state: Level, future: Future) -> Forecast:
        forecast = super().predict(state, future)
        return Gaussian(forecast.mean.nan_to_num(), forecast.variance.nan_to_num(nan=1.0))


class Long(NamedTuple):
    inner: Level
    rows: Tensor  # (B R C): grows for ever


class Hoards(Smooth):  # L10
    def initial_state(self, parameters: tuple[()], static: Tensor) -> Long:  # type: ignore[override]
        return Long(super().initial_state(parameters, static), static.new_zeros(static.shape[0], 0, 1))

    def step(self, state: Long, row: Row) -> Long:  # type: ignore[override]
        return Long(super().step(state.inner, row), torch.cat([state.rows, row.values[:, None]], 1))

    def predict(self, state: Long, future: Future) -> Forecast:  # type: ignore[override]
        return super().predict(state.inner, future)


class Scribbles(Smooth):  # L10
    def step(self, state: Level, row: Row) -> Level:
        after = super().step(state, row)
        return tree_map(lambda old, new: old.copy_(new), state, after)

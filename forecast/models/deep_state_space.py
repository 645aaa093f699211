"""A network that reads a series and emits the parameters of its Kalman model: one network for all series, trained by their likelihood.

    θ = θ₀ + network(what the series is like),   then the exact filter of `kalman` with θ
What a series is like: autocorrelations of its changes at one, two and a season's rows, how large its changes over a season and its range are
in units of those from row to row, how their size changes and how heavy their tails are, how many rows there are. None of it moves with units.
The loss is -log-likelihood per observed value of a window, by the same engine, its exact score handed on to the network. A new series
costs no optimisation: one pass of the network.
Source: Rangapuram et al. (2018), Deep state space models for time series forecasting, NeurIPS; here parameters are constant over a series.
"""

import math
from typing import Self

import torch
from torch import Tensor, nn

from forecast.models.kalman import Kalman
from forecast.models.recipe import Recipe
from forecast.types import Past

FEATURES = 9


class DeepStateSpace(Kalman):
    """Structural model of each channel whose parameters a shared network emits."""

    traits = frozenset({"scale", "shift", "kernel", "generative", "covariates", "trained"})

    def __init__(
        self,
        trend: str = "damped",
        season: int = 1,
        seasons: tuple[int, ...] = (),
        harmonics: int = 0,
        width: int = 32,
        learning_rate: float = 3e-3,
        channels: int = 1,
        inputs: int = 0,
        engine: str | None = None,
    ) -> None:
        super().__init__(trend, season, seasons, harmonics, channels, inputs, 0.0, engine)
        self.lag, self.width, self.learning_rate = max([season, *seasons]), width, learning_rate
        self.recipe = Recipe(learning_rate=learning_rate)
        last = nn.Linear(width, self.model.parameters, dtype=torch.float64)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(
            nn.Linear(FEATURES, width, dtype=torch.float64), nn.GELU(),
            nn.Linear(width, width, dtype=torch.float64), nn.GELU(), last,
        )  # fmt: skip

    @classmethod
    def example(cls) -> Self:
        return cls(trend="damped", season=4, width=8, channels=2)

    def _fit(self, values: Tensor, regressors: Tensor) -> Tensor:
        low, high = self.model.bounds(values)
        start = self.model.starts(len(values), values)[0]
        emitted: Tensor = self.network(described(values, self.lag))
        return torch.maximum(torch.minimum(start + emitted, high), low)

    def training_loss(self, batch: Past, step: int) -> Tensor:
        return self.validation_loss(batch)

    def validation_loss(self, batch: Past) -> Tensor:
        """-log-likelihood per observed value, in units of each series."""
        seen = self.seen(batch)
        if not len(seen.usable):
            return sum(weight.sum() for weight in self.network.parameters()) * torch.zeros(())
        theta = self._fit(seen.values, seen.regressors)
        return -self.likelihood(theta, seen.values, seen.regressors).mean()


def described(values: Tensor, season: int) -> Tensor:
    """What series (n T) in units of their changes are like: (n FEATURES), finite whatever is missing."""
    change = values[:, 1:] - values[:, :-1]
    over = values[:, season:] - values[:, :-season] if values.shape[1] > season else values[:, :0]
    there = change.isfinite()
    number = there.sum(1).clamp(min=1)
    late = there.cumsum(1) * 2 > number[:, None]  # the second half of what was observed
    size = _power(change)
    ratio = (_power(change.where(late, math.nan)) / _power(change.where(~late, math.nan))).log()
    level = (values - values.nanmean(1, keepdim=True).nan_to_num(0.0)).square()
    absolute = change.abs().nanmean(1).nan_to_num(1.0).clamp(min=1e-3)
    parts = [
        _correlation(change, 1), _correlation(change, 2), _correlation(change, season),
        (_power(over) / size).log() / 4, (_power_of(level) / size).log() / 4, ratio / 4,
        (absolute.square() / size).log(), (values.isfinite().sum(1).to(values.dtype) / 100).clamp(min=0.01).log() / 4,
        (change == 0).sum(1) / number,
    ]  # fmt: skip
    return torch.stack(parts, 1).nan_to_num(0.0).clamp(-5, 5)


def _power(parts: Tensor) -> Tensor:
    """Mean square (n) of what is there of (n T), at least 1e-6."""
    return _power_of(parts.square())


def _power_of(squares: Tensor) -> Tensor:
    return squares.nanmean(1).nan_to_num(0.0).clamp(min=1e-6) if squares.shape[1] else squares.new_ones(len(squares))


def _correlation(change: Tensor, lag: int) -> Tensor:
    """Autocorrelation (n) of changes (n T) at a lag, 0 where there is none."""
    if change.shape[1] <= lag:
        return change.new_zeros(len(change))
    product = (change[:, lag:] * change[:, :-lag]).nanmean(1).nan_to_num(0.0)
    return product / _power(change)

"""Naive forecasts: the last observed value, and the last one of the same season position.

    naive            mean ℓ, variance σ² age
    seasonal naive   mean ℓ of the season position, variance σ² age/m

Levels, ages and σ² are those of `forecast.models.walk`. Source: Hyndman & Athanasopoulos, FPP3, §5.2 and §5.5.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.models.follower import Ahead
from forecast.models.walk import Path, Walk, Walker, random_walk
from forecast.types import Parameters, Past


class Naive(Walker):
    """Repeats the last observed value."""

    needs = 2
    traits = Walker.traits | {"continuous"}

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.channels = channels

    @classmethod
    def example(cls) -> Self:
        return cls(channels=2)

    def initial_state(self, parameters: Parameters, static: Tensor) -> Walk:
        return Walk.start(static, 1, self.channels)

    def follow(self, state: Walk, past: Past) -> Path:
        return random_walk(state, past.values, past.elapsed)

    def state_at(self, path: Path, row: int) -> Walk:
        return path.at(row)

    def moments(self, path: Path, ahead: Ahead) -> tuple[Tensor, Tensor]:
        level, age = path.ahead(ahead)
        return level, path.variance(ahead.starts) * age


class Season(NamedTuple):
    """State of the seasonal naive: the walk by season position, and the plain one for positions never observed."""

    season: Walk
    last: Walk


class SeasonPath(NamedTuple):
    """Both walks along T rows."""

    season: Path
    last: Path


class SeasonalNaive(Walker):
    """Repeats the last observed value of the same season position, or the last value where that position has none.

    Until a season has been repeated once, the variance is that of the plain random walk.
    """

    needs = 2

    def __init__(self, season: int = 1, channels: int = 1) -> None:
        super().__init__()
        self.season, self.channels = season, channels

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, channels=2)

    def initial_state(self, parameters: Parameters, static: Tensor) -> Season:
        return Season(Walk.start(static, self.season, self.channels), Walk.start(static, 1, self.channels))

    def follow(self, state: Season, past: Past) -> SeasonPath:
        return SeasonPath(*[random_walk(walk, past.values, past.elapsed) for walk in state])

    def state_at(self, path: SeasonPath, row: int) -> Season:
        return Season(path.season.at(row), path.last.at(row))

    def moments(self, path: SeasonPath, ahead: Ahead) -> tuple[Tensor, Tensor]:
        level, age = path.season.ahead(ahead)
        last, last_age = path.last.ahead(ahead)
        known = level.isfinite()
        plain = path.last.variance(ahead.starts) * torch.where(known, age, last_age)
        seasonal = path.season.variance(ahead.starts) * age / self.season
        return torch.where(known, level, last), torch.where(known & seasonal.isfinite(), seasonal, plain)

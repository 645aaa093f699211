"""Walks: a level ℓ observed `age` units of time ago, and the errors of forecasts made from it, accumulated causally.

With m the season length, the random walk by season position forecasts y = ℓ with the variance

    σ² age/m,   σ² = Σ e² (m/age) / n   over the n errors made so far.

On a regular clock without gaps age/m is k + 1, the number of seasons ahead, as in the textbook; with gaps `age` counts
the missing rows too. Shapes: values (B T C); levels (B m C), slot j holds what lead j + 1 repeats (unrotated: the state
needs no phase). The parallel form follows a walk along T rows at once; the recurrent form is the same code on one row.
Source: Hyndman & Athanasopoulos, Forecasting: Principles and Practice (3rd ed.), §5.2 and table 5.2.
"""

from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from forecast.distribution import Gaussian
from forecast.models.follower import Ahead, Follower, time_after


class Walk(NamedTuple):
    """Last observed values by season position, their ages, and the errors made so far."""

    level: Tensor  # (B m C); NaN = not observed yet
    age: Tensor  # (B m C): time since that observation; 0 where there is none
    square: Tensor  # (B C): sum of normalised squared errors
    errors: Tensor  # (B C): number of them

    @classmethod
    def start(cls, static: Tensor, season: int, channels: int) -> Self:
        """Nothing observed."""
        level = static.new_full((static.shape[0], season, channels), torch.nan, dtype=torch.float64)
        return cls(level, torch.zeros_like(level), torch.zeros_like(level[:, 0]), torch.zeros_like(level[:, 0]))


class Path(NamedTuple):
    """A walk along T rows; what it was before row t stands at t."""

    level: Tensor  # (B m+T C): state after t rows: t … t+m-1
    stamp: Tensor  # (B m+T C): time of that observation, the chunk starting at 0
    clock: Tensor  # (B T+1)
    square: Tensor  # (B T+1 C)
    errors: Tensor  # (B T+1 C)

    @property
    def season(self) -> int:
        """Season length of the walk."""
        return self.level.shape[1] - self.clock.shape[1] + 1

    def at(self, row: int) -> Walk:
        """The walk before row `row`."""
        level = self.level[:, row : row + self.season]
        age = self.clock[:, row, None, None] - self.stamp[:, row : row + self.season]
        return Walk(level, torch.where(level.isfinite(), age, 0.0), self.square[:, row], self.errors[:, row])

    def ahead(self, ahead: Ahead) -> tuple[Tensor, Tensor]:
        """Levels and their ages (B W H C) at every lead."""
        rows = ahead.rows()
        source = ahead.starts[:, None] + (rows - ahead.starts[:, None]) % self.season
        return self.level[:, source], ahead.clock[:, rows + 1, None] - self.stamp[:, source]

    def variance(self, starts: Tensor) -> Tensor:
        """Mean normalised squared error (B W 1 C) before each of the rows `starts`; NaN where there is none."""
        return (self.square[:, starts] / self.errors[:, starts])[:, :, None]


def follow(walk: Walk, values: Tensor, elapsed: Tensor) -> Path:
    """A walk along the rows of `values` (B T C), its errors still those before the first row."""
    clock = time_after(elapsed)
    level = torch.cat([walk.level, values.double()], 1)
    stamp = torch.cat([-walk.age, clock[:, 1:, None].expand_as(values)], 1)
    source = latest(level.isfinite(), walk.level.shape[1])
    same = (walk.square[:, None].expand(-1, clock.shape[1], -1), walk.errors[:, None].expand(-1, clock.shape[1], -1))
    return Path(level.gather(1, source), stamp.gather(1, source), clock, *same)


def with_errors(path: Path, square: Tensor) -> Path:
    """The path with the normalised squared error (B T C) of each row counted; NaN and infinite ones are none."""
    made = square.isfinite()
    total = torch.nn.functional.pad(torch.where(made, square, 0.0).cumsum(1), (0, 0, 1, 0))
    return path._replace(
        square=path.square + total,
        errors=path.errors + torch.nn.functional.pad(made.double().cumsum(1), (0, 0, 1, 0)),
    )


def random_walk(walk: Walk, values: Tensor, elapsed: Tensor) -> Path:
    """The (seasonal) random walk along `values`, with its errors per season of age."""
    path = follow(walk, values, elapsed)
    rows = values.shape[1]
    age = path.clock[:, 1:, None] - path.stamp[:, :rows]
    return with_errors(path, (values.double() - path.level[:, :rows]).square() * path.season / age)


def latest(seen: Tensor, season: int) -> Tensor:
    """Index of the latest seen row at or before each row at the same season position; its own where there is none."""
    batch, rows, channels = seen.shape
    own = torch.arange(rows, device=seen.device)[:, None].expand_as(seen)
    index = torch.nn.functional.pad(torch.where(seen, own, -1), (0, 0, 0, -rows % season), value=-1)
    latest = index.reshape(batch, -1, season, channels).cummax(1).values.reshape(batch, -1, channels)[:, :rows]
    return torch.where(latest < 0, own, latest)


class Walker(Follower):
    """A member of the naive family: a Gaussian forecast from its path."""

    traits: ClassVar[frozenset[str]] = frozenset({"scale", "shift"})

    @abstractmethod
    def moments(self, path: Any, ahead: Ahead) -> tuple[Tensor, Tensor]:
        """Mean and variance (B W H C)."""

    def forecast(self, path: Any, ahead: Ahead) -> Gaussian:
        mean, variance = self.moments(path, ahead)
        return Gaussian(torch.where(variance.isnan(), torch.nan, mean), variance)

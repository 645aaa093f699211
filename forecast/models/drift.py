"""Drift: on along the line from the first observed value to the last.

    mean ℓ + (ℓ - first) age/W,   variance σ² age (1 + age/W),   σ² = Σ (e²/age) W/(W + age) / n

with W the time from the first to the last observation and e the errors of these forecasts one observation ahead; the
weight W/(W + age) makes the sum that of the squared residuals about the final slope (Welford): σ² is the textbook's,
divided by T - 2. Shapes: values (B T C). Source: Hyndman & Athanasopoulos, FPP3, §5.2 and table 5.2.
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.models.follower import Ahead
from forecast.models.walk import Path, Walk, Walker, follow, with_errors
from forecast.types import Parameters, Past


class Trend(NamedTuple):
    """State of the drift method."""

    walk: Walk
    first: Tensor  # (B C): first observed value; NaN = none yet
    since: Tensor  # (B C): time since it was observed


class TrendPath(NamedTuple):
    """The drift method along T rows."""

    walk: Path
    first: Tensor  # (B C)
    origin: Tensor  # (B C): time of the first observation, the chunk starting at 0

    def span(self) -> Tensor:
        """Time from the first to the latest observation before each row (B T+1 C)."""
        return self.walk.stamp - self.origin[:, None]


class Drift(Walker):
    """Goes on along the line from the first observed value to the last."""

    needs = 3
    traits = Walker.traits | {"continuous"}

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.channels = channels

    @classmethod
    def example(cls) -> Self:
        return cls(channels=2)

    def initial_state(self, parameters: Parameters, static: Tensor) -> Trend:
        walk = Walk.start(static, 1, self.channels)
        return Trend(walk, walk.level[:, 0], walk.age[:, 0])

    def follow(self, state: Trend, past: Past) -> TrendPath:
        walk = follow(state.walk, past.values, past.elapsed)
        values = torch.cat([state.first[:, None], past.values.double()], 1)
        stamp = torch.cat([-state.since[:, None], walk.clock[:, 1:, None].expand_as(past.values)], 1)
        earliest = values.isfinite().to(torch.int8).argmax(1, keepdim=True)
        path = TrendPath(walk, values.gather(1, earliest)[:, 0], stamp.gather(1, earliest)[:, 0])
        span = path.span()[:, :-1]
        age = walk.clock[:, 1:, None] - walk.stamp[:, :-1]
        line = walk.level[:, :-1] + (walk.level[:, :-1] - path.first[:, None]) * age / span
        square = (past.values.double() - line).square() / age * span / (span + age)
        return path._replace(walk=with_errors(walk, square))

    def state_at(self, path: TrendPath, row: int) -> Trend:
        walk = path.walk.at(row)
        begun = walk.level[:, 0].isfinite()
        since = path.walk.clock[:, row, None] - path.origin
        return Trend(walk, torch.where(begun, path.first, torch.nan), torch.where(begun, since, 0.0))

    def moments(self, path: TrendPath, ahead: Ahead) -> tuple[Tensor, Tensor]:
        level, age = path.walk.ahead(ahead)
        part = age / path.span()[:, ahead.starts][:, :, None]
        lead = torch.arange(1, ahead.horizon + 1, device=level.device, dtype=level.dtype)[:, None]
        # After a long gap the line would run away: at most the whole rise so far times the lead.
        rise = (level - path.first[:, None, None]) * torch.minimum(part, lead)
        return level + rise, path.walk.variance(ahead.starts) * age * (1 + part)

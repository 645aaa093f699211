"""Window average: the mean of the last w observed values.

    mean m = mean(last w observed),   variance σ² g_h,   σ² = Σ e² / n

e are the errors one observation ahead, g_h = mean (y_{t+h} - m_t)² / mean (y_{t+1} - m_t)² along the rows that `estimate` is given:
a mean of the past knows nothing of how far the next rows can wander, its own errors do. A lead with fewer than 10 errors has the
growth of the lead before it. Missing rows are skipped, however many. Shapes: values (B T C), window (B w C), oldest first.
Source: Hyndman & Athanasopoulos, FPP3, §5.2 and §5.5 (the mean method, on a window).
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.models.follower import Ahead
from forecast.models.walk import Walk, Walker
from forecast.types import Parameters, Past

ENOUGH = 10  # errors at a lead that say how large they are


class Growth(NamedTuple):
    """Parameters."""

    by_lead: Tensor  # (B H C): the variance in units of that at lead 1


class Window(NamedTuple):
    """State of the window average."""

    growth: Growth
    values: Tensor  # (B w C): the last observed values, oldest first; NaN = none yet
    square: Tensor  # (B C)
    errors: Tensor  # (B C)


class WindowPath(NamedTuple):
    """The observed values end to end, and what was known after each number of them."""

    growth: Growth
    values: Tensor  # (B w+T C)
    start: Tensor  # (B T+1 C): where the window before row t begins
    mean: Tensor  # (B T+1 C), square and count too: by the begin of the window
    square: Tensor
    errors: Tensor


class WindowAverage(Walker):
    """Mean of the last `window` observed values, of one season and at least 12 rows unless told."""

    needs = 2
    traits = Walker.traits | {"continuous"}

    def __init__(self, season: int = 1, window: int | None = None, channels: int = 1, horizon: int = 1) -> None:
        super().__init__()
        self.season, self.window, self.channels, self.horizon = season, window, channels, horizon
        self.length = max(season, 12) if window is None else window

    @classmethod
    def example(cls) -> Self:
        return cls(window=3, channels=2, horizon=4)

    def estimate(self, past: Past) -> Growth:
        values = past.values.double()
        flat = values.new_ones(len(values), self.horizon, self.channels)
        path = self.follow(self.initial_state(Growth(flat), past.static), past)
        mean = path.mean.gather(1, path.start)[:, :-1]
        growth: list[Tensor] = []
        for lead in range(min(self.horizon, values.shape[1])):
            square = (values[:, lead:] - mean[:, : values.shape[1] - lead]).square()
            seen = square.isfinite()
            count = seen.sum(1)
            level = torch.where(seen, square, 0.0).sum(1) / count
            growth.append(torch.where((count < ENOUGH) & bool(growth), growth[-1] if growth else level, level))
        by_lead = torch.stack(growth + [growth[-1]] * (self.horizon - len(growth)), 1) if growth else flat
        ratio = by_lead / by_lead[:, :1]
        return Growth(torch.where(ratio.isfinite() & (ratio > 0), ratio, 1.0))

    def initial_state(self, parameters: Parameters, static: Tensor) -> Window:
        walk = Walk.start(static, self.length, self.channels)
        return Window(parameters, walk.level, walk.square, walk.errors)

    def follow(self, state: Window, past: Past) -> WindowPath:
        values = torch.cat([state.values, past.values.double()], 1)
        seen = values.isfinite()
        order = seen.to(torch.int8).argsort(dim=1, stable=True)  # missing ones first, observed ones in their order
        values = values.gather(1, order)
        known = values.isfinite()
        total = torch.where(known, values, 0.0).unfold(1, self.length, 1).sum(-1)
        mean = total / known.unfold(1, self.length, 1).sum(-1)
        pad = torch.nn.functional.pad
        after = pad(seen[:, self.length :].flip(1).long().cumsum(1).flip(1), (0, 0, 0, 1))  # observed from row t on
        start = past.values.shape[1] - after
        square = (values[:, self.length :] - mean[:, :-1]).square()
        new = torch.arange(square.shape[1], device=start.device)[:, None] >= start[:, :1]  # not counted yet
        made = square.isfinite() & new
        total, number = (pad(part.cumsum(1), (0, 0, 1, 0)) for part in (torch.where(made, square, 0.0), made.double()))
        return WindowPath(
            state.growth, values, start, mean, state.square[:, None] + total, state.errors[:, None] + number
        )

    def state_at(self, path: WindowPath, row: int) -> Window:
        start = path.start[:, row : row + 1]
        slots = start + torch.arange(self.length, device=start.device)[:, None]
        square, errors = (part.gather(1, start)[:, 0] for part in (path.square, path.errors))
        return Window(path.growth, path.values.gather(1, slots), square, errors)

    def moments(self, path: WindowPath, ahead: Ahead) -> tuple[Tensor, Tensor]:
        start = path.start[:, ahead.starts]
        mean, square, errors = (part.gather(1, start)[:, :, None] for part in path[3:])
        lead = torch.arange(ahead.horizon, device=start.device).clamp(max=self.horizon - 1)
        return mean.expand(-1, -1, ahead.horizon, -1), square / errors * path.growth.by_lead[:, None, lead]

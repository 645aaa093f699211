"""Window average: the mean of the last w observed values.

    mean m = mean(last w observed),   variance σ² = Σ e² / n   for every lead, e the errors one observation ahead

Missing rows are skipped, however many. Shapes: values (B T C), window (B w C), oldest first.
Source: Hyndman & Athanasopoulos, FPP3, §5.2 and §5.5 (the mean method, on a window).
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.models.follower import Ahead
from forecast.models.walk import Walk, Walker
from forecast.types import Parameters, Past


class Window(NamedTuple):
    """State of the window average."""

    values: Tensor  # (B w C): the last observed values, oldest first; NaN = none yet
    square: Tensor  # (B C)
    errors: Tensor  # (B C)


class WindowPath(NamedTuple):
    """The observed values end to end, and what was known after each number of them."""

    values: Tensor  # (B w+T C)
    start: Tensor  # (B T+1 C): where the window before row t begins
    mean: Tensor  # (B T+1 C), square and count too: by the begin of the window
    square: Tensor
    errors: Tensor


class WindowAverage(Walker):
    """Mean of the last `window` observed values, of one season and at least 12 rows unless told."""

    needs = 2
    traits = Walker.traits | {"continuous"}

    def __init__(self, season: int = 1, window: int | None = None, channels: int = 1) -> None:
        super().__init__()
        self.season, self.window, self.channels = season, window, channels
        self.length = max(season, 12) if window is None else window

    @classmethod
    def example(cls) -> Self:
        return cls(window=3, channels=2)

    def initial_state(self, parameters: Parameters, static: Tensor) -> Window:
        walk = Walk.start(static, self.length, self.channels)
        return Window(walk.level, walk.square, walk.errors)

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
        return WindowPath(values, start, mean, state.square[:, None] + total, state.errors[:, None] + number)

    def state_at(self, path: WindowPath, row: int) -> Window:
        start = path.start[:, row : row + 1]
        slots = start + torch.arange(self.length, device=start.device)[:, None]
        square, errors = (part.gather(1, start)[:, 0] for part in (path.square, path.errors))
        return Window(path.values.gather(1, slots), square, errors)

    def moments(self, path: WindowPath, ahead: Ahead) -> tuple[Tensor, Tensor]:
        start = path.start[:, ahead.starts]
        mean, square, errors = (part.gather(1, start)[:, :, None] for part in path[2:])
        return mean.expand(-1, -1, ahead.horizon, -1), (square / errors).expand(-1, -1, ahead.horizon, -1)

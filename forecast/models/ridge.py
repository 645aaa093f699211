"""Ridge: the closed-form linear map from the last L values to the next H, one map for every series and channel.

    x = (y_{t-L+1} - y_t, …, y_{t-1} - y_t, 0)     median of y_{t+h} = y_t + W_h x     W = (X'X + λ μ I)⁻¹ X'Y

(the last value subtracted: NLinear), fitted by `forecast.models.normal_equations` on the windows of all lanes, a lane
being one channel of one series. λ is the one with the least squared error on the last `validation` share of the rows;
W is then fitted on all of them. Intervals: quantiles by lead of |error| / s on those validation rows, made with the
map that has not seen them, times s_t = √(mean squared difference of successive values up to t).
Known inputs u act through z = y - β u, β lane by lane from `forecast.models.effects`; the map acts on z.
A missing value is held at the last one. Shapes: W (B L H), rows (B L C).
Sources: Zeng et al. (2023), arXiv 2205.13504 (NLinear); Toner & Darlow (2024), arXiv 2403.14587 (the closed form).
"""

import logging
import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.distribution import Quantiles
from forecast.errors import InputError
from forecast.models.effects import effects_of
from forecast.models.follower import Ahead, Follower, so_far, within_reach
from forecast.models.normal_equations import Windows
from forecast.models.walk import Path, Walk, random_walk
from forecast.types import Parameters, Past


class Map(NamedTuple):
    """Parameters: the map and the error quantiles are those of all series, the effects of inputs each series' own."""

    weight: Tensor  # (B L H)
    errors: Tensor  # (B H Q): in units of s
    effects: Tensor  # (B C K)

    def explained(self, inputs: Tensor) -> Tensor:
        """β u (B … C) of inputs (B … K)."""
        return torch.einsum("bck,b...k->b...c", self.effects, inputs.double())


class Held(NamedTuple):
    """State: the last rows of z with gaps filled, its scale, and the range of y so far."""

    map: Map
    rows: Tensor  # (B L C); NaN before the first observed value
    walk: Walk
    low: Tensor  # (B C): infinite where nothing is observed
    high: Tensor


class HeldPath(NamedTuple):
    """The same along T rows."""

    map: Map
    rows: Tensor  # (B L+T C)
    walk: Path
    low: Tensor  # (B T+1 C)
    high: Tensor


class Ridge(Follower):
    """Linear map from the last `context` rows, fitted in closed form over all series."""

    needs = 2
    traits = frozenset({"scale", "shift", "panel", "covariates"})

    def __init__(
        self,
        context: int = 336,
        horizon: int = 24,
        channels: int = 1,
        inputs: int = 0,
        validation: float = 0.2,
        penalties: tuple[float, ...] = (1e-3, 1e-2, 1e-1),
    ) -> None:
        super().__init__()
        self.context, self.horizon, self.channels, self.inputs = context, horizon, channels, inputs
        self.validation, self.penalties = validation, penalties

    @classmethod
    def example(cls) -> Self:
        return cls(context=8, horizon=4, channels=2, inputs=1)

    def estimate(self, past: Past) -> Map:
        blank = past.values.new_zeros(past.values.shape[0], 0, 0, dtype=torch.float64)
        start = Map(blank, blank, effects_of(past))
        z = past.values.double() - start.explained(past.inputs)
        path = random_walk(Walk.start(past.static, 1, self.channels), z, past.elapsed)
        lanes, held, unit = (
            part.transpose(1, 2).flatten(0, 1) for part in (z, path.level[:, 1:], (path.square / path.errors).sqrt())
        )
        windows = Windows.of(lanes, held, unit, int(self.context or 1), self.horizon, self.validation)
        weight, errors = windows.fit(self.penalties)
        if bool(weight.isnan().any()):
            logging.getLogger("forecast").warning("ridge: the series are too short for horizon %d", self.horizon)
        batch = past.values.shape[0]
        return start._replace(weight=weight.expand(batch, -1, -1), errors=errors.expand(batch, -1, -1))

    def initial_state(self, parameters: Parameters, static: Tensor) -> Held:
        walk = Walk.start(static, 1, self.channels)
        rows = walk.level.expand(-1, parameters.weight.shape[1], -1)
        none = torch.full_like(walk.square, math.inf)
        return Held(parameters, rows, walk, none, -none)

    def follow(self, state: Held, past: Past) -> HeldPath:
        walk = random_walk(state.walk, past.values.double() - state.map.explained(past.inputs), past.elapsed)
        rows = torch.cat([state.rows, walk.level[:, 1:]], 1)
        return HeldPath(state.map, rows, walk, *so_far(past.values, state.low, state.high))

    def state_at(self, path: HeldPath, row: int) -> Held:
        held = path.rows[:, row : row + path.map.weight.shape[1]]
        return Held(path.map, held, path.walk.at(row), path.low[:, row], path.high[:, row])

    def forecast(self, path: HeldPath, ahead: Ahead) -> Quantiles:
        if ahead.horizon > self.horizon:
            asked = f"{ahead.horizon} are asked; fit it with horizon={ahead.horizon}"
            raise InputError(f"ridge was fitted for {self.horizon} leads, {asked}")
        weight, errors = (part[..., : ahead.horizon] for part in (path.map.weight, path.map.errors.transpose(1, 2)))
        last = path.walk.level[:, ahead.starts]
        windows = path.rows.unfold(1, weight.shape[1], 1)[:, ahead.starts]
        point = last[..., None] + _times((windows - last[..., None]).nan_to_num(nan=0.0), weight)
        point = point.transpose(2, 3) + path.map.explained(ahead.inputs[:, ahead.rows()])
        point = within_reach(point, path.low[:, ahead.starts, None], path.high[:, ahead.starts, None])
        unit = path.walk.variance(ahead.starts).sqrt()
        return Quantiles(point[..., None] + unit[..., None] * errors.transpose(1, 2)[:, None, :, None])


def _times(windows: Tensor, weight: Tensor) -> Tensor:
    """(B W C L) times (B L H): one product where all series share the map."""
    if weight.shape[0] == 1 or weight.stride(0) == 0:
        return windows.matmul(weight[0])
    return windows.flatten(1, 2).matmul(weight).reshape(*windows.shape[:3], -1)

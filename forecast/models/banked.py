"""Members that give every lane a few forms of a bank, each an exact machine, and mix what these forecast.

A form is a univariate linear-Gaussian model on a scale (`forecast.models.auto.run`). Which forms a lane has, their weights and
their parameters are what a member estimates; everything after that is here. The forecast is the mixture of the forms' exact normal
distributions, those on another scale transformed back: its median is the point forecast. Medians stay within h + 1 ranges of the observed values.
Shapes: a lane is one channel of one series (n = B C), K slots a lane; leaves of the state are (B C K …).
"""

import logging
import math
from abc import abstractmethod
from typing import Any, NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Gaussian, Mixture
from forecast.distribution.transformed import Power, Transformed
from forecast.models.auto.choose import Chosen
from forecast.models.auto.fit import Kind
from forecast.models.auto.run import Run, Slots, follow, start
from forecast.models.follower import so_far
from forecast.models.spaced import SpacedForecaster
from forecast.types import Parameters, Past, tree_map

_log = logging.getLogger("forecast")


class State(NamedTuple):
    """Parameters and beliefs (B C …), and what has been seen of each lane."""

    chosen: Chosen
    slots: Slots
    position: Tensor  # (B C) int64: rows since the first observed value, -1 before it
    observed: Tensor  # (B C) int64: observed values
    low: Tensor  # (B C) of them; infinite where there is none
    high: Tensor


class BankedForecaster(SpacedForecaster):
    """Forms of a bank, chosen for each lane."""

    needs = 4
    bank: tuple[Kind, ...]
    horizon: int
    robust: float

    @abstractmethod
    def choose(self, lanes: Tensor, inputs: Tensor) -> Chosen:
        """Forms and parameters of lanes (n T) with inputs (n T K), of which those with fewer than `needs` values are all missing."""

    def estimate(self, past: Past) -> Parameters:
        lanes = past.values.double().mT.flatten(0, 1)
        enough = lanes.isfinite().sum(1) >= self.needs
        chosen = self.choose(torch.where(enough[:, None], lanes, math.nan), self.inputs_of(past))
        if not bool(enough.all()):
            name = type(self).__name__
            _log.info("%s: %d of %d series have too few observed rows", name, int((~enough).sum()), len(lanes))
        return _by_series(chosen, self.channels)

    def inputs_of(self, past: Past) -> Tensor:
        """Those of every lane (n T K)."""
        return past.inputs.double().repeat_interleave(self.channels, 0)

    def initial_state(self, parameters: Parameters, static: Tensor) -> State:
        flat: Chosen = by_lane(parameters)
        none = flat.weight.new_full((len(flat.form),), math.inf)
        zero = torch.zeros(len(none), dtype=torch.int64)
        return State(parameters, *_by_series((start(self.bank, flat), zero - 1, zero, none, -none), self.channels))

    def fresh(self, state: State) -> Tensor:
        return state.position.amax(-1) < 0

    def widen(self, state: State, factor: Tensor) -> State:
        covariance = state.slots.covariance.clone()
        covariance[..., 0] = covariance[..., 0] * factor[:, None, None]
        return state._replace(slots=state.slots._replace(covariance=covariance))

    def follow(self, state: State, past: Past, each: bool) -> tuple[State, Mixture]:
        flat: State = by_lane(state)
        y = past.values.double().mT.flatten(0, 1)
        seen = y.isfinite()
        begun = (seen.long().cumsum(1) > 0) | (flat.position >= 0)[:, None]
        path = torch.cat([flat.position[:, None], flat.position[:, None] + begun.long().cumsum(1)], 1)
        at = (path[:, :-1] + 1).clamp(min=0)
        slots, run = follow(self.bank, flat.chosen, flat.slots, y, at, self.inputs_of(past), self.robust)
        counts = torch.cat([flat.observed[:, None], flat.observed[:, None] + seen.long().cumsum(1)], 1)
        lows, highs = so_far(y[..., None], flat.low[:, None], flat.high[:, None])
        after = State(flat.chosen, slots, path[:, -1], counts[:, -1], lows[:, -1, 0], highs[:, -1, 0])
        rows = slice(None, -1) if each else slice(1)
        known = (counts[:, rows] >= self.needs)[:, None]
        lead = torch.ones(1, dtype=torch.int64) if each else torch.arange(1, y.shape[1] + 1)
        made = self._mixture(flat.chosen, run, known, lead, lows[:, rows, 0], highs[:, rows, 0])
        forecast = made.rebuild(
            *[part.unflatten(0, (-1, self.channels)).mT.to(past.elapsed.dtype) for part in made.parts()]
        )
        return State(*_by_series(after, self.channels)), forecast

    def _mixture(self, chosen: Chosen, run: Run, known: Tensor, lead: Tensor, low: Tensor, high: Tensor) -> Mixture:
        """Forecasts (n T) of all slots together, from what was known (n 1 or T) and at which lead (1 or T)."""
        far = (lead - 1).clamp(max=self.horizon - 1) / max(self.horizon - 1, 1)
        wider = chosen.widen[:, :1] + far * (chosen.widen[:, 1:] - chosen.widen[:, :1])
        room = lead * (high - low)
        scale = Power(run.power)
        bounds = [scale.forward(bound[:, None]) for bound in (low - room, high + room)]
        mean = torch.where(known, torch.maximum(torch.minimum(run.mean, bounds[1]), bounds[0]), math.nan)
        variance = torch.where(known & run.variance.isfinite(), run.variance * wider[:, None].square(), math.nan)
        mean, variance, power = torch.broadcast_tensors(mean, variance, run.power)
        weight = torch.where(mean.isfinite() & variance.isfinite(), chosen.weight[..., None], 0.0)
        parts = zip(mean.unbind(1), variance.unbind(1), power.unbind(1), strict=True)
        members = tuple(Transformed(Gaussian(m, v), Power(p)) for m, v, p in parts)
        return Mixture(members, weight.movedim(1, 0))


def by_lane(state: Any) -> Any:
    """Leaves (B C …) as (n …)."""
    return tree_map(lambda leaf: leaf.flatten(0, 1), state)


def _by_series(state: Any, channels: int) -> Any:
    """Leaves (n …) as (B C …)."""
    return tree_map(lambda leaf: leaf.unflatten(0, (-1, channels)), state)

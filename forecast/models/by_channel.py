"""Members that see every channel as a series of its own: a univariate linear-Gaussian model, fitted and filtered exactly.

    y = loc + spread · (model),  parameters of every channel of every series at once: batched BFGS on the exact score, from the
    model's two starts, the better end kept
Rows further apart than one unit of the clock move the belief by the whole number of units nearest to their distance; the first
row of a series moves nothing. Medians are held within h + 1 ranges of the observed values around them: a trend is never
extrapolated into the absurd. Shapes: n series, T rows, P parameters, X regressors, m states.
"""

import logging
import math
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from forecast.distribution import Forecast, Gaussian
from forecast.models.forecaster import Chosen, Machine
from forecast.models.spaced import SpacedForecaster
from forecast.models.units import input_units, units
from forecast.ssm.belief import Belief, series_innermost
from forecast.ssm.compiled import step_row
from forecast.ssm.fit import Objective, minimise
from forecast.ssm.kalman import Filtered, advance, engine_for, loglik
from forecast.ssm.live import Live
from forecast.ssm.program import Program
from forecast.types import Parameters, Past, Row, take, tree_map

_log = logging.getLogger("forecast")


class Fitted(NamedTuple):
    """Parameters of each series."""

    theta: Tensor  # (B C P); (B P) where the channels share them
    loc: Tensor  # (B C)
    spread: Tensor  # (B C)
    input_loc: Tensor  # (B K)
    input_spread: Tensor  # (B K)


class State(NamedTuple):
    """Parameters and belief."""

    fitted: Fitted
    coefs: Tensor  # (B C Kc): what the kernels read, made of theta
    mean: Tensor  # (B C m)
    covariance: Tensor  # (B C n)
    diffuse: Tensor  # (B C n)
    tally: Tensor  # (B C 4)


class Seen(NamedTuple):
    """Lanes in the units of the model, those with rows enough for it."""

    values: Tensor  # (n T)
    regressors: Tensor  # (n T X)
    usable: Tensor  # (n): which of all lanes
    loc: Tensor  # (B·C)
    spread: Tensor  # (B·C)
    of_inputs: tuple[Tensor, Tensor]  # location and spread (B K)


@runtime_checkable
class Univariate(Protocol):
    """A model of one channel as a program and what its numbers are made of; see `forecast.ssm.structural`."""

    @property
    def program(self) -> Program: ...

    @property
    def parameters(self) -> int: ...

    @property
    def rank(self) -> int: ...

    @property
    def regressors(self) -> int: ...

    def coefficients(self, theta: Tensor) -> Tensor: ...

    def with_regressors(self, coefs: Tensor, regressors: Tensor) -> Tensor: ...

    def start(self, batch: int, like: Tensor, theta: Tensor) -> Belief: ...

    def starts(self, batch: int, like: Tensor) -> list[Tensor]: ...

    def bounds(self, like: Tensor) -> tuple[Tensor, Tensor]: ...


class ChannelForecaster(SpacedForecaster):
    """A univariate model of each channel, fitted by maximum likelihood."""

    traits = frozenset({"scale", "shift", "kernel", "generative", "covariates"})

    def __init__(
        self, model: Univariate, channels: int, inputs: int, robust: float, engine: str | None, spare: int = 0
    ) -> None:
        super().__init__()
        self.model, self.program = model, model.program
        self.channels, self.inputs, self.robust, self.engine = channels, inputs, robust, engine
        self.needs = model.rank + model.parameters + spare

    def estimate(self, past: Past) -> Parameters:
        seen = self.seen(past)
        theta = seen.loc.new_full((len(seen.loc), self.model.parameters), math.nan)
        if len(seen.usable):
            theta[seen.usable] = self._fit(seen.values, seen.regressors)
        lost = int(theta.isnan().any(-1).sum())
        if lost:
            name = type(self).__name__.lower()
            _log.info("%s: %d of %d series have too few observed rows (needs %d)", name, lost, len(theta), self.needs)
        shape = past.values.shape[0], self.channels
        made = Fitted(theta.reshape(*shape, -1), seen.loc.reshape(shape), seen.spread.reshape(shape), *seen.of_inputs)
        return tree_map(lambda leaf: leaf.to(past.values.dtype), made)

    def seen(self, past: Past) -> Seen:
        """The lanes of a past as the model sees them, in float64 whatever the precision of the data."""
        past = tree_map(Tensor.double, past)
        values = by_channel(past.values)
        loc, spread = units(values)
        enough = values.isfinite().sum(-1) >= self.needs
        usable = (enough & spread.isfinite()).nonzero()[:, 0]
        of_inputs = input_units(past.inputs, past.values)
        regressors = ((past.inputs - of_inputs[0][:, None]) / of_inputs[1][:, None]).repeat_interleave(self.channels, 0)
        scaled = (values[usable] - loc[usable, None]) / spread[usable, None]
        return Seen(scaled, regressors[usable], usable, loc, spread, of_inputs)

    def likelihood(self, theta: Tensor, values: Tensor, regressors: Tensor) -> Tensor:
        """Log-likelihood per observed value (n) of scaled values (n T) at parameters (n P)."""
        coefs = self.model.with_regressors(self.model.coefficients(theta), regressors)
        belief = self.model.start(len(values), values, theta)
        found = loglik(self.program, coefs, belief, values[..., None], engine=self.engine)
        return found / values.isfinite().sum(-1)

    def objective(self, values: Tensor, regressors: Tensor) -> Objective:
        """What a fit makes least, of scaled values (n T): minus the log-likelihood per observed value, and its slope by autograd."""

        def ask(theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            theta = theta.detach().requires_grad_()
            with torch.enable_grad():
                value = -self.likelihood(theta, values[rows], regressors[rows])
                (slope,) = torch.autograd.grad(value.sum(), theta)
            return value.detach(), slope

        return ask

    def _fit(self, values: Tensor, regressors: Tensor) -> Tensor:
        """Maximum-likelihood parameters (n P) of scaled values (n T): the better end of two climbs."""
        model, objective = self.model, self.objective(values, regressors)
        low, high = model.bounds(values)
        ends = [minimise(objective, start, low, high) for start in model.starts(len(values), values)]
        best = torch.stack([end.value.nan_to_num(math.inf) for end in ends]).argmin(0)
        return torch.stack([end.x for end in ends])[best, torch.arange(len(values))]

    def initial_state(self, parameters: Parameters, static: Tensor) -> State:
        flat = parameters.theta.flatten(0, 1)
        belief = self.model.start(len(flat), flat, flat)
        leaves = [
            _of_channels(series_innermost(leaf), self.channels) for leaf in (self.model.coefficients(flat), *belief)
        ]
        return State(parameters, *leaves)

    def step(self, state: State, row: Row) -> State:
        step = row.elapsed
        if not (step.item() < 1.5 if step.numel() == 1 else bool((step < 1.5).all())):
            return super().step(state, row)
        if self.inputs or engine_for(self.engine, row.values) != "numba":
            return _proper(state, self._advance(state, row.past())[0])
        fitted, leaves = state.fitted, (state.mean, state.covariance, state.diffuse, state.tally)
        after = step_row(self.program, state.coefs, leaves, row.values, fitted.loc, fitted.spread, self.robust)
        return State(fitted, state.coefs, *after)

    def _spaced(self, state: State, past: Past, each: bool = False) -> tuple[State, Forecast]:
        after, made = super()._spaced(state, past, each)
        return _proper(state, after), made

    def fresh(self, state: State) -> Tensor:
        return state.tally[..., 0].amax(-1) == 0

    def follow(self, state: State, past: Past, each: bool) -> tuple[State, Gaussian]:
        after, done = self._advance(state, past)
        return after, self._forecast(state, done, past.values, each)

    def machine(self, state: State) -> Machine | None:
        if self.inputs or engine_for(self.engine, state.mean) != "numba" or not len(state.mean):
            return None
        return Kept(self, state)

    def widen(self, state: State, factor: Tensor) -> State:
        covariance = state.covariance.clone()
        covariance[..., 0] = covariance[..., 0] * factor[:, None]
        return state._replace(covariance=covariance)

    def _advance(self, state: State, past: Past) -> tuple[State, Filtered]:
        """The state after rows one unit apart, and their forecasts in units of the model."""
        fitted = state.fitted
        values = by_channel((past.values - fitted.loc[:, None]) / fitted.spread[:, None])
        coefs = state.coefs.flatten(0, 1)
        if self.inputs:
            regressors = (past.inputs - fitted.input_loc[:, None]) / fitted.input_spread[:, None]
            coefs = self.model.with_regressors(coefs, regressors.repeat_interleave(self.channels, 0))
        done = advance(self.program, coefs, flat(state), values[..., None], dof=self.robust, engine=self.engine)
        return State(fitted, state.coefs, *[_of_channels(leaf, self.channels) for leaf in done.belief]), done

    def _forecast(self, state: State, done: Filtered, values: Tensor, each: bool) -> Gaussian:
        """In the units of the data; missing where too little has been observed."""
        shape = values.shape[0], self.channels, values.shape[1]
        mean, variance = [part[..., 0].reshape(shape).mT for part in (done.mean, done.variance)]
        before = state.tally[:, :, 0][:, None]
        seen = before + (values.isfinite().cumsum(1) - values.isfinite().to(torch.int64)) if each else before
        scaled = (values - state.fitted.loc[:, None]) / state.fitted.spread[:, None]
        low, high, lead = reach(scaled, state.tally[:, None, :, 2], state.tally[:, None, :, 3], each)
        room = (high - low) * (lead + 1)
        mean = torch.maximum(torch.minimum(mean, high + room), low - room)
        known = (seen >= self.needs) & variance.isfinite()
        spread = state.fitted.spread[:, None]
        mean = torch.where(known, state.fitted.loc[:, None] + spread * mean, math.nan)
        return Gaussian(mean, torch.where(known, variance * spread * spread, math.nan))


def reach(values: Tensor, low: Tensor, high: Tensor, each: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest and largest of the values (B T C) and of what was before (B 1 C), seen before each forecast, and its lead."""
    if not each:
        return low, high, torch.arange(1, values.shape[1] + 1, dtype=values.dtype)[None, :, None]
    lows = torch.cat([low, values.nan_to_num(math.inf)], 1).cummin(1).values[:, :-1]
    highs = torch.cat([high, values.nan_to_num(-math.inf)], 1).cummax(1).values[:, :-1]
    return lows, highs, values.new_ones(1, 1, 1)


def _proper(state: State, after: State) -> State:
    """What no row changes is the same leaf, so that whoever keeps states need not write it again; a diffuse part that is gone stays gone."""
    after = after._replace(fitted=state.fitted, coefs=state.coefs)
    return after if state.diffuse.any() else after._replace(diffuse=state.diffuse)


class Kept(Live):
    """Live states of all series."""

    def __init__(self, model: ChannelForecaster, state: State) -> None:
        loc, spread = state.fitted.loc.flatten(), state.fitted.spread.flatten()
        coefs, belief = state.coefs.flatten(0, 1), flat(state)
        super().__init__(model.program, coefs, belief, loc, spread, model.needs, model.robust, model.channels)

    def put(self, state: State, which: Chosen | None) -> None:
        self.place(flat(state), which)

    def state(self, like: State, which: Chosen | None = None) -> State:
        if which is not None:
            like = take(like, torch.from_numpy(which))
        return State(like.fitted, like.coefs, *[_of_channels(leaf, self._channels) for leaf in self.belief(which)])


def flat(state: State) -> Belief:
    """The belief of every channel of every series."""
    return Belief(*[leaf.flatten(0, 1) for leaf in state[2:]])


def _of_channels(leaf: Tensor, channels: int) -> Tensor:
    """(B·C …) as (B C …), the memory as it is."""
    parts: Tensor = leaf.unflatten(0, (-1, channels))
    return parts


def by_channel(values: Tensor) -> Tensor:
    """(B T C) as (B·C T): each channel a series."""
    return values.mT.flatten(0, 1)

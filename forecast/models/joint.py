"""Members whose channels share one linear-Gaussian state: estimated by likelihood, filtered exactly, channel by channel.

    y = loc + spread · (H x + D u + v),   x' = G x + B u + w     (u: inputs of the row that x belongs to; one program for all series, numbers of each its own)
Parameters θ (B P) maximise the exact likelihood less (θ - θ₀)² / 20, where θ₀ is what the member makes of the data in closed
form: a short series stays where it started. Location and spread are each channel's mean and standard deviation, inputs are
standardised. A channel that is missing in a row leaves the others to speak for it.
Medians are held within h + 1 ranges of the observed values around them.
Shapes: B series, T rows, C channels, K inputs, P parameters, m states.
"""

import logging
import math
from abc import abstractmethod
from typing import NamedTuple, cast

import torch
from torch import Tensor

from forecast.distribution import Gaussian
from forecast.models.by_channel import Fitted, reach
from forecast.models.decomposition import LEVEL, Components, last_rows, nothing, shared_parts
from forecast.models.spaced import SpacedForecaster
from forecast.models.units import input_units, units
from forecast.ssm.belief import Belief, series_innermost
from forecast.ssm.fit import minimise
from forecast.ssm.kalman import Filtered, advance, foreseen, loglik
from forecast.ssm.program import Program
from forecast.types import Parameters, Past, tree_map

PRIOR = 0.1  # precision of θ around θ₀

_log = logging.getLogger("forecast")


class State(NamedTuple):
    """Parameters and belief."""

    fitted: Fitted
    coefs: Tensor  # (B Kc): what the kernels read, made of theta
    mean: Tensor  # (B m)
    covariance: Tensor  # (B n)
    diffuse: Tensor  # (B n)
    tally: Tensor  # (B 2+2C)
    pushed: Tensor  # (B m): what the inputs so far add to the state of the next row


class Driven(NamedTuple):
    """What the inputs of a row add: to the state of the row after it (B T m), and to its values (B T C)."""

    state: Tensor
    values: Tensor


class JointForecaster(SpacedForecaster):
    """A member that says how its numbers are made of θ, and where the climb starts."""

    traits = frozenset({"scale", "shift", "kernel", "generative", "covariates"})
    channels: int
    inputs: int
    engine: str | None
    program: Program
    prior = PRIOR
    effort = (60, 1e-7)  # of the climb: most steps, and the relative gain that ends it

    @abstractmethod
    def coefficients(self, theta: Tensor) -> Tensor:
        """What the kernels read (B Kc) of parameters (B P)."""

    @abstractmethod
    def belief(self, theta: Tensor) -> Belief:
        """What is known before the first row: the stationary distribution."""

    @abstractmethod
    def driven(self, theta: Tensor, inputs: Tensor) -> Driven:
        """What standardised inputs (B T K) add."""

    @abstractmethod
    def closed_form(self, values: Tensor, inputs: Tensor) -> Tensor:
        """θ₀ (P) of one series: standardised values (T C) without a gap, standardised inputs (T K)."""

    def starts(self, theta: Tensor) -> list[Tensor]:
        """Where climbs begin, of θ₀ (B P): there alone, if the likelihood has one maximum. θ stays drawn to θ₀; the best end is kept."""
        return [theta]

    def settle(self, theta: Tensor) -> Tensor:
        """Parameters (B P) at the end of the climb; as they are, if the member knows no better."""
        return theta

    def estimate(self, past: Past) -> Parameters:
        values = past.values.double()
        loc, spread = _moments(values)
        input_loc, input_spread = input_units(past.inputs.double(), values)
        scaled = (values - loc[:, None]) / spread[:, None]
        inputs = (past.inputs.double() - input_loc[:, None]) / input_spread[:, None]
        usable = (values.isfinite().any(-1).sum(1) >= self.needs).nonzero()[:, 0]
        starts = [self.closed_form(_filled(scaled[b]), inputs[b]) for b in usable.tolist()]
        theta = values.new_full((len(values), self._size()), math.nan)
        if starts:
            theta[usable] = self._climb(torch.stack(starts), scaled[usable], inputs[usable])
        lost = len(values) - len(usable)
        if lost:
            _log.info(
                "%s: %d of %d series have too few observed rows (needs %d)",
                type(self).__name__,
                lost,
                len(values),
                self.needs,
            )
        made = Fitted(theta, loc, spread, input_loc, input_spread)
        return Fitted(*(leaf.to(past.values.dtype) for leaf in made))

    def _size(self) -> int:
        """Parameters P."""
        blank = torch.zeros(self.needs, self.channels, dtype=torch.float64)
        return len(self.closed_form(blank, blank.new_zeros(self.needs, self.inputs)))

    def _climb(self, start: Tensor, values: Tensor, inputs: Tensor) -> Tensor:
        count = values.isfinite().sum((1, 2)).clamp(min=1)
        begun = values.isfinite().any(-1).cummax(1).values

        def objective(theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
            theta = theta.detach().requires_grad_()
            with torch.enable_grad():
                added = self.driven(theta, inputs[rows])
                push = _late(added.state, begun[rows], theta.new_zeros(len(rows), self.program.size))[0]
                y, coefs = values[rows] - added.values, self.coefficients(theta)
                found = loglik(self.program, coefs, self.belief(theta), y, push, engine=self.engine)
                value = (self.prior * (theta - start[rows]).square().sum(-1) / 2 - found) / count[rows]
                (slope,) = torch.autograd.grad(value.sum(), theta)
            return value.detach(), slope

        reach = start.new_full((start.shape[1],), 30.0)
        ends = [minimise(objective, at, -reach, reach, *self.effort, longest=0.5) for at in self.starts(start)]
        best = torch.stack([end.value.nan_to_num(math.inf) for end in ends]).argmin(0)
        return self.settle(torch.stack([end.x for end in ends])[best, torch.arange(len(start))])

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        """What each channel is the sum of; none where the member has no names for its states."""
        if not self.groups:
            return []
        fitted = cast(Fitted, tree_map(Tensor.double, parameters))
        values, found = past.values.double(), []
        scaled = (values - fitted.loc[:, None]) / fitted.spread[:, None]
        inputs = (past.inputs.double() - fitted.input_loc[:, None]) / fitted.input_spread[:, None]
        for b, theta in enumerate(fitted.theta):
            if bool(theta.isfinite().all()):
                found += self._of_series(theta[None], fitted.loc[b], fitted.spread[b], scaled[b : b + 1], inputs[b : b + 1])
            else:
                found += [nothing(values[b, :, c]) for c in range(self.channels)]
        return found

    def _of_series(self, theta: Tensor, loc: Tensor, spread: Tensor, y: Tensor, inputs: Tensor) -> list[Components]:
        """Those of each channel of one series (1 T C) in standardised units, told in units of the data."""
        last = last_rows(self.program)
        given, y = self.driven(theta, inputs).values[:, last], y[:, last]
        parts = shared_parts(self.program, self.coefficients(theta), self.belief(theta), y - given, self.groups)
        names, found, none = parts.names, [], torch.full_like(y[0, :, 0], math.nan)
        for c in range(self.channels):
            mean, deviation = spread[c] * parts.mean[:, c], spread[c] * parts.deviation[:, c]
            if names[0] == LEVEL:
                mean = torch.cat([mean[:, :1] + loc[c], mean[:, 1:]], 1)
            if self.inputs:
                mean = torch.cat([mean, spread[c] * given[0, :, c, None]], 1)
                deviation = torch.cat([deviation, 0 * deviation[:, :1]], 1)
            state = self.level_of(c)
            level = none if state is None else parts.process_residual[:, state]
            all_names = (*names, *["inputs"] * bool(self.inputs))
            said = self.told(theta, c, spread[c])
            found.append(Components("", all_names, mean, deviation, parts.innovation[:, c], none, level, said))
        return found

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        """Parts of every channel, and the states that each is read from; those that wander first."""
        return []

    def level_of(self, channel: int) -> int | None:
        """The state that is a channel's own level."""
        return None

    def told(self, theta: Tensor, channel: int, spread: Tensor) -> tuple[tuple[str, str], ...]:
        """What was estimated (1 P) of a channel, in words."""
        return ()

    def initial_state(self, parameters: Parameters, static: Tensor) -> State:
        belief = self.belief(parameters.theta)
        coefs, *leaves = [series_innermost(leaf) for leaf in (self.coefficients(parameters.theta), *belief)]
        return State(parameters, coefs, *Belief(*leaves), pushed=torch.zeros_like(belief.mean))

    def fresh(self, state: State) -> Tensor:
        return state.tally[:, 0] == 0

    def follow(self, state: State, past: Past, each: bool) -> tuple[State, Gaussian]:
        fitted = state.fitted
        inputs = (past.inputs - fitted.input_loc[:, None]) / fitted.input_spread[:, None]
        added = self.driven(fitted.theta, inputs)
        scaled = (past.values - fitted.loc[:, None]) / fitted.spread[:, None]
        begun = scaled.isfinite().any(-1).cummax(1).values | ~self.fresh(state)[:, None]
        push, pushed = _late(added.state, begun, state.pushed)
        belief = Belief(*state[2:6])
        run = foreseen if each else advance
        done = run(self.program, state.coefs, belief, scaled - added.values, push, engine=self.engine)
        after = State(fitted, state.coefs, *done.belief, pushed=pushed)
        return after, self._forecast(state, done, added, scaled, each)

    def widen(self, state: State, factor: Tensor) -> State:
        return state._replace(covariance=state.covariance * factor[:, None])

    def _forecast(self, state: State, done: Filtered, added: Driven, scaled: Tensor, each: bool) -> Gaussian:
        """In the units of the data; missing where too little has been observed."""
        observed = scaled.isfinite()
        low, high = (part[:, None] for part in state.tally[:, 2:].split(self.channels, 1))
        seen = state.tally[:, :1]
        if each:
            rows = observed.any(-1).to(scaled.dtype)
            seen = seen + rows.cumsum(1) - rows
        low, high, lead = reach(scaled - added.values, low, high, each)
        room = (high - low) * lead
        mean = torch.maximum(torch.minimum(done.mean, high + room), low - room) + added.values
        known = (seen >= self.needs)[..., None] & done.variance.isfinite() & (low <= high)
        spread = state.fitted.spread[:, None]
        mean = torch.where(known, state.fitted.loc[:, None] + spread * mean, math.nan)
        return Gaussian(mean, torch.where(known, done.variance.clamp(min=0) * spread * spread, math.nan))


def _late(added: Tensor, begun: Tensor, first: Tensor) -> tuple[Tensor, Tensor]:
    """What each row is given by the row before it (B T m), nothing before a series begins; and what is left for the next."""
    if not added.shape[1]:
        return added, first
    given = torch.cat([first[:, None], torch.where(begun[..., None], added, 0.0)], 1)
    return given[:, :-1], given[:, -1]


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B C) of each channel; a channel that never changes has the spread of `units`."""
    series, channels = values.shape[0], values.shape[2]
    flat = values.mT.flatten(0, 1)
    loc, unit = units(flat)
    scaled = (flat - loc[:, None]) / unit[:, None]
    mean = scaled.nanmean(1)
    deviation = (scaled - mean[:, None]).square().nanmean(1).sqrt()
    deviation = torch.where(deviation > 1e-9, deviation, 1.0)
    return (loc + unit * mean).reshape(series, channels), (unit * deviation).reshape(series, channels)


def _filled(values: Tensor) -> Tensor:
    """Rows (T C) from the first observed one on, gaps bridged by straight lines; 0 where a channel has no value."""
    seen = values.isfinite()
    rows = torch.arange(len(values))
    begin = int(seen.any(1).to(torch.int64).argmax())
    last = torch.where(seen, rows[:, None], -1).cummax(0).values
    later = torch.where(seen, rows[:, None], len(values)).flip(0).cummin(0).values.flip(0)
    before, after = last >= 0, later < len(values)
    left = torch.where(before, last, later.clamp(max=len(values) - 1))
    right = torch.where(after, later, last.clamp(min=0))
    share = (rows[:, None] - left) / (right - left).clamp(min=1)
    bridged = values.gather(0, left) * (1 - share) + values.gather(0, right) * share
    return torch.where(before | after, bridged, 0.0).nan_to_num(0.0)[begin:]

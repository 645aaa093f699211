"""Linear Gaussian models that statsmodels estimates and filters; what they hold are their last `context` rows.

    z = (T(y) - β x - loc)/spread,   z_t = Z a_t + ε,   a_{t+1} = c + T a_t + R η
    lead h from row t:   mean Z a, variance Z P Z' + H;   a ← c + T a, P ← T P T' + R Q R'   from the predicted a_t, P_t

x are the inputs and the harmonics of a season too long to be states, β from `forecast.models.effects`; T(y) is log y
where it is asked for and a lane is positive. `predict` filters the held rows at the estimated parameters; it never
estimates. A forecast exists once the diffuse part of the state is resolved.
Shapes: a lane's values (T); coefficients (B C N), padded with NaN; forecasts (B H C).
Source: Durbin & Koopman (2012), §4.3, §4.11 and chapter 5; statsmodels.tsa.statespace.
"""

import math
import warnings
from abc import abstractmethod
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.distribution import Forecast, Gaussian, Transformed
from forecast.distribution.transformed import BoxCox
from forecast.models.effects import effects_of
from forecast.models.follower import so_far, within_reach
from forecast.models.forecaster import Forecaster
from forecast.models.held_rows import Rows
from forecast.models.statsmodels.lanes import Lane, Vector, each_lane
from forecast.types import Future, Parameters, Past, Row

Matrix = NDArray[np.float64]
RESOLVED = 1e-9  # a diffuse covariance that rounding leaves behind
FLAT = -1.0  # spec of a lane whose values are all the same


class Found(NamedTuple):
    """What is estimated for one lane."""

    spec: tuple[float, ...]  # which model it is
    coefficients: Vector  # of that model, in statsmodels' order
    loc: float
    spread: float


class Estimates(NamedTuple):
    """The same of all lanes."""

    spec: Tensor  # (B C S); NaN where the lane could not be estimated
    coefficients: Tensor  # (B C N)
    loc: Tensor  # (B C)
    spread: Tensor  # (B C)
    effects: Tensor  # (B C X)
    log: Tensor  # (B C): 1 where the logarithm is modelled


class Filtered(NamedTuple):
    """State: parameters and rows."""

    estimates: Estimates
    rows: Rows


class FilteredForecaster(Forecaster):
    """A state-space model of statsmodels, estimated lane by lane."""

    batched = False
    needs = 8
    channels: int
    inputs: int
    season: int
    logarithm: bool = False
    sizes: tuple[int, int]  # S and N

    @abstractmethod
    def fit(self, z: Vector) -> tuple[tuple[float, ...], Vector]:
        """Spec and coefficients of a lane of standardised values (T)."""

    @abstractmethod
    def model(self, spec: tuple[float, ...], z: Vector) -> Any:
        """statsmodels' model of standardised values (T)."""

    def harmonics(self) -> int:
        """Sine and cosine pairs among the regressors."""
        return 0

    def estimate(self, past: Past) -> Estimates:
        rows = Rows.none(past.static, 0, self.channels, self.inputs).then(past)
        log = (rows.values.nan_to_num(nan=1.0).amin(1) > 0) & self.logarithm
        x, logged = self._regressors(rows.inputs, rows.position), _logged(rows.values, log)
        effects = effects_of(Past.of(logged, x))
        rest = Past.of(logged - _explained(effects, x))
        found = each_lane(rest, self.needs, self._found, type(self).__name__.lower())
        batch = past.values.shape[0]
        spec, coefficients = (torch.full((batch, self.channels, size), math.nan).double() for size in self.sizes)
        loc, spread = torch.full((2, batch, self.channels), math.nan).double()
        for b, row in enumerate(found):
            for c, lane in enumerate(row):
                if lane is not None:
                    spec[b, c] = torch.tensor(lane.spec)
                    coefficients[b, c, : len(lane.coefficients)] = torch.from_numpy(lane.coefficients)
                    loc[b, c], spread[b, c] = lane.loc, lane.spread
        return Estimates(spec, coefficients, loc, spread, effects, log.double())

    def _found(self, lane: Lane) -> Found:
        loc, spread = float(np.nanmean(lane.values)), float(np.nanstd(lane.values))
        if spread <= 1e-14 * abs(loc):
            return Found((FLAT,) * self.sizes[0], np.zeros(0), loc, 0.0)
        return Found(*self.fit((lane.values - loc) / spread), loc, spread)

    def initial_state(self, parameters: Parameters, static: Tensor) -> Filtered:
        return Filtered(parameters, Rows.none(static, int(self.context or 1), self.channels, self.inputs))

    def warm_up(self, state: Filtered, past: Past) -> Filtered:
        return state._replace(rows=state.rows.then(past).last(int(self.context or 1)))

    def step(self, state: Filtered, row: Row) -> Filtered:
        return self.warm_up(state, row.past())

    def predict(self, state: Filtered, future: Future) -> Forecast:
        end = state.rows.values.shape[1]
        made = self._forecast(state.estimates, state.rows, future.inputs, [end], future.inputs.shape[1])
        return made.rebuild(*[part[:, 0] for part in made.parts()]).to(future.elapsed.dtype)

    def trace(
        self, state: Filtered, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Forecast, Filtered]:
        length, held = past.values.shape[1], state.rows.values.shape[1]
        if bool((state.rows.position + length > held).any()):
            return super().trace(state, past, future, horizon, every)  # rows would drop out on the way
        rows, end = state.rows.then(past), self.warm_up(state, past)
        starts = [held + start for start in range(0, length, every)]
        short = max(0, starts[-1] + horizon - held - length - future.inputs.shape[1])
        inputs = torch.nn.functional.pad(future.inputs, (0, 0, 0, short))
        return self._forecast(state.estimates, rows, inputs, starts, horizon).to(future.elapsed.dtype), end

    def _forecast(self, p: Estimates, rows: Rows, inputs: Tensor, starts: list[int], horizon: int) -> Forecast:
        """Forecasts (B W H C) made before each of the rows `starts`; `inputs` (B H K) are those after the last row."""
        batch, length, channels = rows.values.shape
        x = self._regressors(torch.cat([rows.inputs, inputs.double()], 1), rows.position + inputs.shape[1])
        explained = _explained(p.effects, x) + p.loc[:, None]
        z = (_logged(rows.values, p.log > 0) - explained[:, :length]) / p.spread[:, None]
        moments = np.full((2, batch, len(starts), horizon, channels), math.nan)
        for b in range(batch):
            for c in range(channels):
                moments[:, b, :, :, c] = self._moments(_lane(p, b, c), z[b, :, c].numpy(), starts, horizon)
        made, variance = torch.from_numpy(moments)
        target = torch.tensor(starts)[:, None] + torch.arange(horizon)
        mean = explained[:, target] + p.spread[:, None, None] * made
        low, high = (part[:, starts, None] for part in so_far(rows.values, *_unbounded(p.loc)))
        return _bounded(mean, p.spread.square()[:, None, None] * variance, low, high, p.log if self.logarithm else None)

    def _moments(self, found: Found | None, z: Vector, starts: list[int], horizon: int) -> Matrix:
        """Means and variances (2 W H) of z from the rows `starts`."""
        seen = np.flatnonzero(np.isfinite(z)) if found is None or found.spec[0] != FLAT else np.zeros(1, dtype=np.int64)
        if found is None or len(seen) == 0:
            return np.full((2, len(starts), horizon), math.nan)
        if found.spec[0] == FLAT:
            return np.zeros((2, len(starts), horizon))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = self.model(found.spec, z[seen[0] :])
            model.update(found.coefficients)
            result = model.ssm.filter()
        at = (np.array(starts) - seen[0]).clip(0, None)
        diffuse = result.predicted_diffuse_state_cov
        resolved = np.ones(len(at)) if diffuse is None else np.abs(diffuse.T[at]).max((1, 2)) < RESOLVED
        moments = _ahead(model.ssm, result.predicted_state.T[at], result.predicted_state_cov.T[at], horizon)
        return np.where(((at > 0) & (resolved > 0))[:, None], moments, math.nan)

    def _regressors(self, inputs: Tensor, position: Tensor) -> Tensor:
        """Inputs (B R K) and harmonics of a long season; the row after the last one has the position `position` (B)."""
        pairs = self.harmonics()
        row = position[:, None] - inputs.shape[1] + torch.arange(inputs.shape[1])
        angle = 2 * math.pi / self.season * (row % self.season)[..., None] * torch.arange(1, pairs + 1)
        return torch.cat([inputs, angle.double().sin(), angle.double().cos()], -1)


def _lane(p: Estimates, b: int, c: int) -> Found | None:
    """The estimates of one lane; None where it could not be estimated."""
    if bool(p.spec[b, c].isnan().any()):
        return None
    coefficients = p.coefficients[b, c].numpy()
    return Found(tuple(p.spec[b, c].tolist()), coefficients[np.isfinite(coefficients)], 0.0, 1.0)


def _ahead(ssm: Any, mean: Matrix, variance: Matrix, horizon: int) -> Matrix:
    """Means and variances (2 W H) of the leads, from predicted states (W N) and their covariances (W N N)."""
    design, move = ssm["design"], ssm["transition"]
    shift = ssm["state_intercept"].reshape(len(move), -1)[:, 0]  # the same in every row
    noise = ssm["selection"] @ ssm["state_cov"] @ ssm["selection"].T
    moments = np.empty((2, len(mean), horizon))
    for lead in range(horizon):
        moments[0, :, lead] = (mean @ design.T)[:, 0]
        moments[1, :, lead] = np.einsum("i,wij,j->w", design[0], variance, design[0]) + ssm["obs_cov"][0, 0]
        mean, variance = mean @ move.T + shift, move @ variance @ move.T + noise
    return moments


def _logged(values: Tensor, log: Tensor) -> Tensor:
    """log of the lanes (B T C) where `log` (B C) says so."""
    return torch.where(log[:, None], values.clamp(min=torch.finfo(values.dtype).tiny).log(), values)


def _explained(effects: Tensor, x: Tensor) -> Tensor:
    """β x (B R C)."""
    return torch.einsum("bcx,brx->brc", effects, x)


def _unbounded(like: Tensor) -> tuple[Tensor, Tensor]:
    """Least and largest of nothing."""
    return torch.full_like(like, math.inf), torch.full_like(like, -math.inf)


def _bounded(mean: Tensor, variance: Tensor, low: Tensor, high: Tensor, log: Tensor | None) -> Forecast:
    """The forecast (B W H C) of y, its median within reach of the values so far (B W 1 C)."""
    mean = torch.where(variance.isnan(), math.nan, mean)
    if log is None:
        return Gaussian(within_reach(mean, low, high), variance)
    transform = BoxCox(1 - log[:, None, None], 1 - log[:, None, None])  # the identity is (y + 1)^1 - 1
    median = within_reach(transform.inverse(mean), low, high)
    return Transformed(Gaussian(torch.where(median.isnan(), math.nan, transform.forward(median)), variance), transform)

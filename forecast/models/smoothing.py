"""Exponential smoothing in innovations form, as a machine with a state; parameters come from the members that use it.

    z = (y - loc) / spread                     seasonal indices fixed by `estimate` (0 and 1 where the member has none)
    forecast  μ = l + φ b,  ẑ = μ + s  or  μ s;   e = z - ẑ   (0 for a missing row: the machine only moves on)
    additive season         l' = μ + α e      b' = φ b + β e      s' = s + γ e
    multiplicative season   l' = μ + α e/s    b' = φ b + β e/s    s' = s + γ e/l'

(statsmodels' form; the book has e/μ in the last one), for additive and for relative errors ε = e/ẑ alike.
Variance at lead h, with c_j = α + β φ_j + γ [m divides j] and φ_j = φ + … + φʲ
    additive errors         σ² (1 + Σ_{j<h} c_j²)
    relative errors         (1 + σ²) θ_h - ẑ_h²,  θ_h = ẑ_h² + σ² Σ_{j<h} c_j² θ_{h-j}
    a multiplied season     s² ((1 + σ²)(1 + γ² σ²)^k θ_h - μ_h²),  k = ⌊(h-1)/m⌋, γ left out of c_j
The machine starts at a series' first observed value. Shapes: levels (B C), values (B T C), season (B m C), its slot j
being that of lead j + 1.
Source: Hyndman, Koehler, Ord & Snyder (2008), Forecasting with Exponential Smoothing, tables 2.2-2.3, 6.1 and §6.3-6.4.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Gaussian
from forecast.models.follower import Ahead, Follower, so_far, within_reach
from forecast.types import Parameters, Past


class Smoothing(NamedTuple):
    """Parameters of each lane, a channel of a series (B C), and the state before its first observed value."""

    alpha: Tensor
    beta: Tensor
    gamma: Tensor
    phi: Tensor
    sigma2: Tensor  # of e, or of ε where the errors are relative
    relative: Tensor  # 1 where the errors are relative
    multiplied: Tensor  # 1 where the season is multiplicative
    level: Tensor
    trend: Tensor
    season: Tensor  # (B m C)
    loc: Tensor  # (B M C): indices by position, counted from the first observed value
    spread: Tensor  # (B M C)


class Smoothed(NamedTuple):
    """State of the machine."""

    parameters: Smoothing
    level: Tensor  # (B C)
    trend: Tensor  # (B C)
    season: Tensor  # (B m C)
    position: Tensor  # (B C) int64: rows since the first observed value, modulo M; -1 before it
    low: Tensor  # (B C): of the observed values; infinite where there is none
    high: Tensor


class SmoothedPath(NamedTuple):
    """The machine along T rows; what it was before row t stands at t."""

    parameters: Smoothing
    level: Tensor  # (B T+1 C)
    trend: Tensor  # (B T+1 C)
    season: Tensor  # (B m+T C): before row t: t … t+m-1
    position: Tensor  # (B T+1 C)
    low: Tensor  # (B T+1 C)
    high: Tensor


class SmoothingForecaster(Follower):
    """A member whose forecasts are those of exponential smoothing; it has only to estimate."""

    def initial_state(self, parameters: Parameters, static: Tensor) -> Smoothed:
        level = parameters.level
        none = torch.full_like(level, math.inf)
        before = torch.full_like(level, -1, dtype=torch.int64)
        return Smoothed(parameters, level, parameters.trend, parameters.season, before, none, -none)

    def follow(self, state: Smoothed, past: Past) -> SmoothedPath:
        values = past.values.double()
        begun = values.isfinite().cummax(1).values | (state.position >= 0)[:, None]
        period = state.parameters.loc.shape[1]
        position = torch.nn.functional.pad(begun.long().cumsum(1), (0, 0, 1, 0)) + state.position[:, None]
        position = torch.where(position >= 0, position % period, -1)
        loc, spread = (_at(index, position[:, 1:].clamp(min=0)) for index in state.parameters[-2:])
        levels, trends, season = _smoothed(state, (values - loc) / spread, begun)
        return SmoothedPath(state.parameters, levels, trends, season, position, *so_far(values, state.low, state.high))

    def state_at(self, path: SmoothedPath, row: int) -> Smoothed:
        held = path.parameters.season.shape[1]
        begun = path.position[:, row] >= 0
        season = torch.where(begun[:, None], path.season[:, row : row + held], path.parameters.season)
        level, trend, position, low, high = (part[:, row] for part in path[1:3] + path[4:])
        return Smoothed(path.parameters, level, trend, season, position, low, high)

    def forecast(self, path: SmoothedPath, ahead: Ahead) -> Gaussian:
        p, starts = path.parameters, ahead.starts
        lead = torch.arange(ahead.horizon, device=starts.device)
        season = path.season[:, starts[:, None] + lead % p.season.shape[1]]
        position = path.position[:, starts, None] + 1 + lead[:, None]
        loc, spread = (_at(index, position % index.shape[1]) for index in (p.loc, p.spread))
        sums = p.phi[:, None].pow(lead[:, None] + 1).cumsum(1)  # φ_h (B H C)
        plain = path.level[:, starts, None] + sums[:, None] * path.trend[:, starts, None]
        multiplied = p.multiplied[:, None, None] > 0
        mean = loc + spread * torch.where(multiplied, plain * season, plain + season)
        variance = spread.square() * _variance(p, plain, season, sums)
        seen = position > lead[:, None]
        mean = within_reach(mean, path.low[:, starts, None], path.high[:, starts, None])
        return Gaussian(torch.where(seen, mean, math.nan), torch.where(seen, variance, math.nan))

    def with_variance(self, parameters: Smoothing, past: Past, fitted: Tensor) -> Smoothing:
        """The parameters with σ² = Σ e²/(n - k), n errors of one-step forecasts along `past`, k fitted (B C)."""
        path = self.follow(self.initial_state(parameters, past.static), past)
        rows = past.values.shape[1]
        position = path.position[:, 1:].clamp(min=0)
        loc, spread = (_at(index, position) for index in (parameters.loc, parameters.spread))
        plain, season = path.level[:, :rows] + parameters.phi[:, None] * path.trend[:, :rows], path.season[:, :rows]
        made = torch.where(parameters.multiplied[:, None] > 0, plain * season, plain + season)
        error = (past.values.double() - loc) / spread - made
        square = torch.where(parameters.relative[:, None] > 0, _ratio(error, made), error).square()
        count = square.isfinite().sum(1) - fitted
        total = torch.where(square.isfinite(), square, 0.0).sum(1)
        return parameters._replace(sigma2=torch.where(count > 0, total / count, math.nan))


def _at(index: Tensor, position: Tensor) -> Tensor:
    """Values (B … C) of an index by position (B M C) at positions (B … C)."""
    return index.gather(1, position.flatten(1, -2)).reshape(position.shape)


def _smoothed(state: Smoothed, values: Tensor, begun: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Levels and trends (B T+1 C) and seasons (B m+T C) along standardised values (B T C)."""
    p = state.parameters
    level, trend = state.level, state.trend
    season = list(_turned(state, begun).unbind(1))
    multiplied, levels, trends = p.multiplied > 0, [level], [trend]
    for row, (value, on) in enumerate(zip(values.unbind(1), begun.unbind(1), strict=True)):
        mean, now = level + p.phi * trend, season[row]
        error = value - torch.where(multiplied, mean * now, mean + now)
        error = torch.where(error.isfinite(), error, 0.0)
        by_level = torch.where(multiplied, _ratio(error, now), error)
        level = torch.where(on, mean + p.alpha * by_level, level)
        by_season = torch.where(multiplied, _ratio(error, level), error)
        trend = torch.where(on, p.phi * trend + p.beta * by_level, trend)
        season.append(torch.where(on, now + p.gamma * by_season, now))
        levels.append(level)
        trends.append(trend)
    return torch.stack(levels, 1), torch.stack(trends, 1), torch.stack(season, 1)


def _turned(state: Smoothed, begun: Tensor) -> Tensor:
    """The season (B m C) of lanes that begin in this chunk, turned so that its first slot meets their first row."""
    held = state.season.shape[1]
    late = (~begun).sum(1, keepdim=True)
    slot = torch.arange(held, device=late.device)[:, None]
    return state.season.gather(1, (slot - late) % held)


def _ratio(error: Tensor, by: Tensor) -> Tensor:
    """error / by, and 0 where `by` is 0."""
    return torch.where(by == 0, 0.0, error / by)


def _variance(p: Smoothing, plain: Tensor, season: Tensor, sums: Tensor) -> Tensor:
    """Variances (B W H C) of the forecasts of z."""
    horizon, held = sums.shape[1], p.season.shape[1]
    lead = torch.arange(1, horizon + 1, device=sums.device)[:, None]
    weight = p.alpha[:, None] + p.beta[:, None] * sums  # c_j (B H C) but for the season
    seasonal = weight + p.gamma[:, None] * (lead % held == 0)
    before = torch.nn.functional.pad(seasonal.square().cumsum(1)[:, :-1], (0, 0, 1, 0))
    additive = (p.sigma2[:, None] * (1 + before))[:, None].expand_as(plain)
    if not bool((p.relative > 0).any()):
        return additive
    sigma2, multiplied = p.sigma2[:, None, None], p.multiplied[:, None, None] > 0
    mean = torch.where(multiplied, plain, plain + season)
    theta = _theta(mean, sigma2 * torch.where(multiplied, weight[:, None], seasonal[:, None]).square())
    grown = torch.where(multiplied, (1 + p.gamma[:, None, None].square() * sigma2) ** ((lead - 1) // held), 1.0)
    factor = torch.where(multiplied, season.square(), 1.0)
    relative = factor * ((1 + sigma2) * grown * theta - mean.square()).clamp(min=0)
    return torch.where(p.relative[:, None, None] > 0, relative, additive)


def _theta(mean: Tensor, weight: Tensor) -> Tensor:
    """θ_h = mean_h² + Σ_{j<h} weight_j θ_{h-j}, lead by lead (B W H C)."""
    theta: list[Tensor] = []
    square, weights = mean.square().unbind(2), weight.unbind(2)
    for lead, now in enumerate(square):
        theta.append(now + sum((weights[j] * theta[lead - 1 - j] for j in range(lead)), torch.zeros_like(now)))
    return torch.stack(theta, 2)

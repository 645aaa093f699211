"""Naive2 of the M competitions: the naive forecast of the seasonally adjusted series, seasonality put back.

    seasonal  ⇔  |r_m| > 1.645 √((1 + 2 Σ_{k<m} r_k²) / n),  n ≥ 3 m  and  m ≤ ⌊10 log₁₀ n⌋ (the lags that R computes)
    index_j   =  mean over cycles of  y / trend  at season position j, divided by the mean of all m of them
    forecast  =  (last y / index of its position) · index of the target's position

with the trend a centred moving average over one season (2 × m for even m). Where a series has values ≤ 0 the
decomposition is additive, with differences for ratios. Missing values are left out of the correlations and the indices;
the trend runs over linearly interpolated values. Season positions count from a series' first observed value.
Shapes: indices (B m C). Variance: that of the random walk of the adjusted series times the squared index of the target.
Source: the organisers' R script (M4-methods, `Benchmarks and Evaluation.R`, SeasonalityTest) and R's `decompose`.
"""

import math
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.models.follower import Ahead, so_far, within_reach
from forecast.models.gaps import interpolated, left_aligned
from forecast.models.walk import Path, Walk, Walker, random_walk
from forecast.types import Parameters, Past

CRITICAL = 1.645  # two-sided 90 %


class Indices(NamedTuple):
    """Seasonal indices by position: adjusted = (y - loc) / spread."""

    loc: Tensor  # (B m C)
    spread: Tensor  # (B m C)


class Adjusted(NamedTuple):
    """State of Naive2."""

    indices: Indices
    walk: Walk  # of the adjusted series
    position: Tensor  # (B C) int64: season position of the next row; 0 until a value is observed
    low: Tensor  # (B C): least and largest value so far; infinite where there is none
    high: Tensor


class AdjustedPath(NamedTuple):
    """Naive2 along T rows."""

    indices: Indices
    walk: Path
    position: Tensor  # (B T+1 C)
    low: Tensor  # (B T+1 C)
    high: Tensor


class Naive2(Walker):
    """Seasonally adjusted naive forecast, the benchmark of the M competitions."""

    needs = 2
    traits = frozenset({"scale"})

    def __init__(self, season: int = 1, channels: int = 1) -> None:
        super().__init__()
        self.season, self.channels = season, channels

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, channels=2)

    def estimate(self, past: Past) -> Indices:
        values = past.values.double()
        batch, _, channels = values.shape
        loc, spread = seasonal_indices(values.transpose(1, 2).reshape(batch * channels, -1), self.season)
        return Indices(*(part.reshape(batch, channels, self.season).transpose(1, 2) for part in (loc, spread)))

    def initial_state(self, parameters: Parameters, static: Tensor) -> Adjusted:
        walk = Walk.start(static, 1, self.channels)
        none = torch.full_like(walk.square, math.inf)
        return Adjusted(parameters, walk, torch.zeros_like(walk.square, dtype=torch.int64), none, -none)

    def follow(self, state: Adjusted, past: Past) -> AdjustedPath:
        values = past.values.double()
        seen = values.isfinite()
        begun = (state.walk.level.isfinite() | (seen.cumsum(1) > 0)).long()
        position = torch.nn.functional.pad(begun.cumsum(1), (0, 0, 1, 0)) + state.position[:, None]
        loc, spread = (index.gather(1, position[:, :-1] % self.season) for index in state.indices)
        walk = random_walk(state.walk, (values - loc) / spread, past.elapsed)
        return AdjustedPath(state.indices, walk, position % self.season, *so_far(values, state.low, state.high))

    def state_at(self, path: AdjustedPath, row: int) -> Adjusted:
        return Adjusted(path.indices, path.walk.at(row), path.position[:, row], path.low[:, row], path.high[:, row])

    def moments(self, path: AdjustedPath, ahead: Ahead) -> tuple[Tensor, Tensor]:
        level, age = path.walk.ahead(ahead)
        lead = torch.arange(ahead.horizon, device=level.device)[:, None]
        position = (path.position[:, ahead.starts, None] + lead) % self.season
        loc, spread = (index.gather(1, position.flatten(1, 2)).reshape(position.shape) for index in path.indices)
        # A tiny index of the last row's position must not blow the others up.
        mean = within_reach(loc + spread * level, path.low[:, ahead.starts, None], path.high[:, ahead.starts, None])
        return mean, path.walk.variance(ahead.starts) * age * spread.square()


def seasonal_indices(values: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """Location and spread (L m) of each season position of the lanes `values` (L T); 0 and 1 without seasonality."""
    loc, spread = values.new_zeros(len(values), season), values.new_ones(len(values), season)
    values, length = left_aligned(values)
    tested = (length >= 3 * season) & (length > 0) if season > 1 else torch.zeros_like(length, dtype=torch.bool)
    seasonal = tested.nonzero()[:, 0]
    seasonal = seasonal[_is_seasonal(values[seasonal], length[seasonal], season)]
    if len(seasonal) == 0:
        return loc, spread
    values = values[seasonal]
    trend = _trend(values, length[seasonal], season)
    positive = torch.where(values.isnan(), 1.0, values).amin(1) > 0
    ratio = _by_position(values / trend, season)
    ratio = ratio / ratio.mean(1, keepdim=True)
    difference = _by_position(values - trend, season)
    difference = difference - difference.mean(1, keepdim=True)
    known = difference.isfinite().all(1)
    loc[seasonal] = torch.where((known & ~positive)[:, None], difference, 0.0)
    spread[seasonal] = torch.where((known & positive & (ratio > 0).all(1))[:, None], ratio, 1.0)
    return loc, spread


def _is_seasonal(values: Tensor, length: Tensor, season: int) -> Tensor:
    """The 90 % test of the autocorrelation at the season's lag (L); lanes left-aligned, `length` rows long."""
    seen = values.isfinite()
    count = seen.sum(1)
    centred = torch.where(seen, values - values.nanmean(1, keepdim=True), 0.0)
    scale = centred.abs().amax(1, keepdim=True)  # squares of huge and of tiny values stay in range
    centred = torch.where(scale > 0, centred / scale, 0.0)
    rows = values.shape[1]
    lags = [(centred[:, lag:] * centred[:, : rows - lag]).sum(1) for lag in range(season + 1)]
    correlation = torch.stack(lags, 1) / lags[0][:, None]
    limit = CRITICAL * ((1 + 2 * correlation[:, 1:season].square().sum(1)) / count).sqrt()
    reach = (10 * length.double().log10()).floor() >= season
    return reach & (correlation[:, season].abs() > limit)


def _trend(values: Tensor, length: Tensor, season: int) -> Tensor:
    """Centred moving average (L T) of one season; NaN at the ends, `length` rows being the end."""
    weight = values.new_ones(season + 1 - season % 2)
    if season % 2 == 0:
        weight[0] = weight[-1] = 0.5
    half = len(weight) // 2
    trend = torch.nn.functional.conv1d(interpolated(values)[:, None], (weight / season)[None, None])[:, 0]
    trend = torch.nn.functional.pad(trend, (half, half), value=torch.nan)
    row = torch.arange(values.shape[1], device=values.device)
    return torch.where(row < length[:, None] - half, trend, torch.nan)


def _by_position(values: Tensor, season: int) -> Tensor:
    """Mean over cycles (L m) of lanes (L T)."""
    padded = torch.nn.functional.pad(values, (0, -values.shape[1] % season), value=torch.nan)
    return padded.reshape(len(values), -1, season).nanmean(1)

"""Theta: simple exponential smoothing of the seasonally adjusted series plus half the slope of its line.

    forecast = l + (b/2) (h - 1 + 1/α - (1-α)ⁿ/α),   l the smoothed level, b the slope of the least-squares line

which is smoothing with the constant trend b/2 from the initial level y₁ - b/2 (Hyndman & Billah 2003): it is run by
`forecast.models.smoothing`. Seasonality is tested and taken out as in the M4 competition, see `forecast.models.naive2`.
Source: Assimakopoulos & Nikolopoulos (2000); statsmodels.tsa.forecasting.theta.ThetaModel (α and b).
"""

from typing import Self

import numpy as np
import torch

from forecast.models.naive2 import seasonal_indices
from forecast.models.smoothing import Smoothing, SmoothingForecaster
from forecast.models.statsmodels.lanes import Lane, Vector, each_lane
from forecast.types import Past

FITTED = 2  # α and b


class Theta(SmoothingForecaster):
    """The Theta method with the M4 competition's seasonal adjustment."""

    batched = False
    needs = 4
    traits = frozenset({"scale"})

    def __init__(self, season: int = 1, channels: int = 1) -> None:
        super().__init__()
        self.season, self.channels = season, channels

    @classmethod
    def example(cls) -> Self:
        return cls(season=4)

    def estimate(self, past: Past) -> Smoothing:
        batch, _, channels = past.values.shape
        lanes = past.values.double().transpose(1, 2).flatten(0, 1)
        indices = [part.reshape(batch, channels, -1).transpose(1, 2) for part in seasonal_indices(lanes, self.season)]
        found = each_lane(_adjusted(past, *indices), self.needs, _fitted, "theta")
        none = np.full(3, np.nan)
        table = torch.from_numpy(np.array([[none if fit is None else fit for fit in row] for row in found]))
        alpha, level, slope = table.unbind(-1)
        zero = torch.zeros_like(alpha)
        rest = zero[:, None], *indices
        parameters = Smoothing(alpha, zero, zero, zero + 1, zero, zero, zero, level, slope, *rest)
        return self.with_variance(parameters, past, zero + FITTED)


def _adjusted(past: Past, loc: torch.Tensor, spread: torch.Tensor) -> Past:
    """The past with the seasonal indices (B m C) taken out, positions counted from the first observed value."""
    begun = past.values.isfinite().cummax(1).values
    position = (begun.long().cumsum(1) - 1).clamp(min=0) % loc.shape[1]
    return past._replace(values=(past.values.double() - loc.gather(1, position)) / spread.gather(1, position))


def _fitted(lane: Lane) -> Vector:
    """α, the level before the first value, and the trend."""
    from statsmodels.tsa.forecasting.theta import ThetaModel

    y = lane.filled
    spread = max(float(np.ptp(y)), np.finfo(float).tiny)
    slope, alpha = ThetaModel((y - y[0]) / spread, period=1, deseasonalize=False).fit().params
    half = slope * spread / 2
    return np.array([alpha, y[0] - half, half])

"""Long-horizon tables: every window of the test rows, errors in units of the training rows' spread.

    MSE = mean over windows, leads and channels of ((y - f)/s)²,  MAE = mean of |y - f|/s,  f the median

The scale s belongs to the protocol and is applied to the outcome, never to the model. No window is dropped. Forecasts are traced
along the test rows, so a model sees for every window the rows before it and nothing else.
Source: thuml/Time-Series-Library, data_provider/data_loader.py; Zeng et al. (2023), Are Transformers effective for time series forecasting?
"""

from typing import NamedTuple

import torch

from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.series.protocol import Protocol, training_scale
from forecast.types import Future, Parameters

CELLS = 20_000_000  # forecast cells held at once


class Score(NamedTuple):
    """One cell of a long-horizon table."""

    mse: float
    mae: float
    windows: int


def evaluate(model: Forecaster, parameters: Parameters, panel: Panel, protocol: Protocol, horizon: int) -> Score:
    """Score all test windows of a panel of one series, channel by channel of equal weight."""
    borders = protocol.split.borders(panel.lengths)
    start, stop = int(borders.validation[0]), int(borders.test[0])
    windows = stop - start - horizon + 1
    _, spread = training_scale(panel, borders.train)
    values = panel.series(0)
    square, absolute = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    chunk = max(CELLS // (horizon * values.shape[1]), 1)
    with torch.no_grad():
        past = panel.past([start])
        state = model.warm_up(model.initial_state(parameters, past.static), past)
        for low in range(start, start + windows, chunk):
            high = min(low + chunk, start + windows)
            rows, ahead = panel.past([high], context=high - low), panel.future([high], horizon)
            forecast, state = model.trace(state, rows, Future(ahead.inputs, ahead.elapsed), horizon)
            actual = values[low : high + horizon - 1].unfold(0, horizon, 1).transpose(1, 2)
            error = (forecast.median[0] - actual) / spread[0]
            square += error.square().sum()
            absolute += error.abs().sum()
    count = windows * horizon * values.shape[1]
    return Score(float(square) / count, float(absolute) / count, windows)

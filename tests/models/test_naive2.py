"""Naive2 against the R script as a loop, statsmodels' decomposition, the official forecasts and published scores."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from statsmodels.tsa.seasonal import seasonal_decompose
from statsmodels.tsa.stattools import acf

from forecast.models.naive2 import Naive2, seasonal_indices
from forecast.types import Future, Past
from tests.models.mcomp import m3, m4, mase, medians, smape


def r_script(y: NDArray[np.float64], season: int, horizon: int) -> NDArray[np.float64]:
    """The organisers' Naive2 of one complete positive series."""
    index = np.ones(season)
    if len(y) >= 3 * season and season <= math.floor(10 * math.log10(len(y))):
        r = acf(y, nlags=season, fft=False)
        if abs(r[season]) > 1.645 * np.sqrt((1 + 2 * np.sum(r[1:season] ** 2)) / len(y)):
            index = seasonal_decompose(y, "multiplicative", period=season).seasonal[:season]
    adjusted = y[-1] / index[(len(y) - 1) % season]
    return adjusted * index[(len(y) + np.arange(horizon)) % season]


def forecast_of(model: Naive2, values: NDArray[np.float64]) -> NDArray[np.float64]:
    past = Past.of(torch.from_numpy(values)[None, :, None])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    return model.predict(state, Future.of(past, 9)).median[0, :, 0].numpy()


SIZES = [(4, 11), (4, 12), (4, 57), (7, 60), (12, 40), (12, 131), (24, 200), (24, 300)]


@pytest.mark.parametrize(("season", "length"), SIZES)
@pytest.mark.parametrize("strength", [0.0, 0.1, 0.6])
def test_is_the_r_script(season: int, length: int, strength: float) -> None:
    for seed in range(5):
        draw = np.random.default_rng(seed)
        pattern = 1 + strength * draw.uniform(-1, 1, season)
        y = 100 * np.exp(0.02 * draw.normal(size=length).cumsum()) * pattern[np.arange(length) % season]
        y *= np.exp(0.05 * draw.normal(size=length))
        np.testing.assert_allclose(forecast_of(Naive2(season), y), r_script(y, season, 9), rtol=1e-10)


def test_a_series_with_values_below_zero_is_decomposed_additively() -> None:
    pattern = np.array([-5.0, 2.0, 0.0, 3.0])
    y = pattern[np.arange(40) % 4] + 0.1 * np.arange(40)
    loc, spread = seasonal_indices(torch.from_numpy(y)[None], 4)
    np.testing.assert_allclose(loc[0], pattern - pattern.mean(), atol=1e-12)
    np.testing.assert_allclose(spread[0], 1)


def test_gaps_leave_the_indices_near() -> None:
    draw = np.random.default_rng(0)
    pattern = np.array([0.5, 1.2, 0.9, 1.4])
    y = 100 * pattern[np.arange(200) % 4] * np.exp(0.01 * draw.normal(size=200))
    y[draw.random(200) < 0.1] = np.nan
    y[0] = 50.0
    _, spread = seasonal_indices(torch.from_numpy(y)[None], 4)
    np.testing.assert_allclose(spread[0], pattern, rtol=0.02)


def test_a_tiny_index_of_the_last_row_does_not_blow_up_the_others() -> None:
    y = np.tile([1e-6, 10.0, 20.0, 10.0], 12)
    y = np.append(y, 5.0)  # the position whose index is about 1e-7
    forecast = forecast_of(Naive2(4), y)
    leads = np.arange(1, 10)
    assert np.all(forecast <= y.max() + leads * np.ptp(y))


M4 = {"hourly": (24, ("18.383", "2.395")), "weekly": (1, ("9.161", "2.777"))}


@pytest.mark.parametrize("word", M4)
def test_m4_scores_and_official_forecasts(real_data: Path, word: str) -> None:
    season, published = M4[word]
    data = m4(real_data, word, season)
    forecast = medians(Naive2(season), data)
    assert (f"{float(smape(data, forecast).mean()):.3f}", f"{float(mase(data, forecast).mean()):.3f}") == published
    official = pd.read_csv(real_data / "m4" / "m4_official_benchmark_forecasts.csv.gz")
    table = official[official.file == f"m4_{word}"].pivot(index="unique_id", columns="h", values="Naive2")
    np.testing.assert_allclose(forecast, table.loc[data.names].to_numpy(), rtol=1e-8)


# The M3's own Naive2 used another seasonal adjustment, which no source spells out: equal without one, near else.
M3 = {
    "Yearly": (1, 18.020, 3.105, 1e-4),
    "Other": (1, 6.877, 3.320, 1e-4),
    "Quarterly": (4, 9.084, 1.221, 0.012),
    "Monthly": (12, 17.530, 1.085, 0.006),
}


@pytest.mark.parametrize("period", M3)
def test_m3_scores_are_near_the_stored_forecasts(real_data: Path, period: str) -> None:
    season, percent, scaled, tolerance = M3[period]
    data = m3(real_data, period, season)
    forecast = medians(Naive2(season), data)
    assert float(smape(data, forecast).mean()) == pytest.approx(percent, rel=tolerance)
    assert float(mase(data, forecast).mean()) == pytest.approx(scaled, rel=tolerance)

"""Seasonal ARIMA and unobserved components: published values, statsmodels' own forecasts, gaps, inputs, the search."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents
from statsmodels.tsa.statespace.tests.results.results_sarimax import wpi1_data
from statsmodels.tsa.stattools import kpss as theirs

from forecast.distribution import Forecast
from forecast.models.differencing import differences, kpss
from forecast.models.statsmodels.filtered import FilteredForecaster
from forecast.models.statsmodels.sarimax import (
    Sarimax,
    _differenced,
    neighbours,
    stationary_covariance,
    strength,
)
from forecast.models.statsmodels.ucm import Ucm
from forecast.types import Future, Past


def forecast_of(model: FilteredForecaster, y: NDArray[np.float64], horizon: int) -> Forecast:
    past = Past.of(torch.from_numpy(y)[None, :, None])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    return model.predict(state, Future.of(past, horizon))


def passengers(folder: Path) -> NDArray[np.float64]:
    return pd.read_csv(folder / "classic" / "air_passengers.csv.gz").iloc[:, 1].to_numpy(np.float64)


def seasonal(length: int = 120, seed: int = 0) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    walk = 0.5 * draw.normal(size=length).cumsum() + draw.normal(size=length)
    return 30 + 4 * np.sin(2 * np.pi * np.arange(length) / 4) + walk


def test_the_airline_model_is_the_published_one(real_data: Path) -> None:
    model = Sarimax(12, order=(0, 1, 1), seasonal_order=(0, 1, 1), constant=False, logarithm=True)
    y = passengers(real_data)
    found = model.estimate(Past.of(torch.from_numpy(y)[None, :, None]))
    theta, seasonal_theta, variance = found.coefficients[0, 0, :3].tolist()
    assert (theta, seasonal_theta) == pytest.approx((-0.4018123, -0.5569471), abs=2e-3)
    assert math.sqrt(variance) * float(found.spread) == pytest.approx(0.0367167, rel=2e-3)
    assert forecast_of(model, y, 3).median[0, :, 0].tolist() == pytest.approx([450.42, 425.72, 479.00], rel=1e-3)


def test_wholesale_prices_are_the_published_fit() -> None:
    y = np.asarray(wpi1_data, dtype=np.float64)
    found = Sarimax(order=(1, 1, 1), constant=True).estimate(Past.of(torch.from_numpy(y)[None, :, None]))
    constant, phi, theta, variance = found.coefficients[0, 0, :4].tolist()
    spread = float(found.spread)
    assert (phi, theta) == pytest.approx((0.8742288, -0.4120458), abs=2e-3)
    assert spread * constant / (1 - phi) == pytest.approx(0.7498197, rel=5e-3)
    assert spread * math.sqrt(variance) == pytest.approx(0.7250436, rel=1e-3)


ORDERS = [((1, 0, 1), (0, 0, 0)), ((2, 1, 0), (1, 0, 0)), ((0, 1, 1), (0, 1, 1)), ((1, 0, 0), (0, 1, 0))]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("gaps", [0.0, 0.1])
def test_forecasts_are_statsmodels_at_the_same_parameters(order: tuple[tuple[int, ...], ...], gaps: float) -> None:
    y = seasonal()
    y[1:-1][np.random.default_rng(1).random(118) < gaps] = np.nan
    model = Sarimax(4, order=order[0], seasonal_order=order[1])
    found = model.estimate(Past.of(torch.from_numpy(y)[None, :, None]))
    made = forecast_of(model, y, 9)
    loc, spread = float(found.loc), float(found.spread)
    coefficients = found.coefficients[0, 0][found.coefficients[0, 0].isfinite()].numpy()
    theirs = SARIMAX(
        (y - loc) / spread, order=order[0], seasonal_order=(*order[1], 4),
        trend="c" if order[0][1] + order[1][1] == 0 else "n", use_exact_diffuse=True,
    ).filter(coefficients).get_forecast(9)  # fmt: skip
    np.testing.assert_allclose(made.mean[0, :, 0], loc + spread * theirs.predicted_mean, rtol=1e-9)
    np.testing.assert_allclose(made.parts()[1][0, :, 0], spread**2 * theirs.var_pred_mean, rtol=1e-8)


@pytest.mark.parametrize("level", ["llevel", "lltrend", "strend"])
@pytest.mark.parametrize("season", [4, 16])
def test_structural_forecasts_are_those_of_statsmodels(level: str, season: int) -> None:
    y = seasonal()
    y[50:55] = np.nan
    made = forecast_of(Ucm(season, levels=(level,)), y, 9)
    kind = {"seasonal": 4} if season == 4 else {"freq_seasonal": [{"period": 16, "harmonics": 4}]}
    z = (y - np.nanmean(y)) / np.nanstd(y)
    fit = UnobservedComponents(z, level, use_exact_diffuse=True, **kind).fit(disp=False, maxiter=200)
    theirs = fit.get_forecast(9)
    np.testing.assert_allclose(made.mean[0, :, 0], np.nanmean(y) + np.nanstd(y) * theirs.predicted_mean, rtol=1e-7)
    np.testing.assert_allclose(made.parts()[1][0, :, 0], np.nanvar(y) * theirs.var_pred_mean, rtol=1e-6)


def test_the_search_finds_what_made_the_series() -> None:
    draw = np.random.default_rng(3)
    noise = draw.normal(size=400)
    autoregressive = np.zeros(400)
    for t in range(2, 400):
        autoregressive[t] = 1.2 * autoregressive[t - 1] - 0.5 * autoregressive[t - 2] + noise[t]
    walk = np.convolve(noise, [1, 0.6])[:400].cumsum()
    past = Past.of(torch.from_numpy(np.stack([autoregressive, walk]))[:, :, None])
    spec = Sarimax(tries=8).estimate(past).spec[:, 0, :3]
    assert spec[0, 0] >= 2 and spec[0, 1] == 0
    assert spec[1].tolist() == [0, 1, 1]


def test_season_and_trend_decide_the_differences() -> None:
    draw = np.random.default_rng(0)
    noise = draw.normal(size=200)
    assert differences(noise, 2) == 0
    assert differences(noise.cumsum(), 2) == 1
    assert differences(noise.cumsum().cumsum(), 2) == 2
    wave = np.sin(2 * np.pi * np.arange(200) / 4)
    assert strength(3 * wave + noise, 4) > 0.64 > strength(0.3 * wave + noise, 4)


@pytest.mark.filterwarnings("ignore")  # statsmodels warns of its table and of its next release
@pytest.mark.parametrize("lags", [0, 3, 9])
def test_the_kpss_statistic_is_statsmodels(lags: int) -> None:
    for seed in range(3):
        z = np.random.default_rng(seed).normal(size=150).cumsum()
        assert kpss(z, lags) == pytest.approx(theirs(z, "c", nlags=lags)[0], rel=1e-10)


def test_neighbours_stay_inside() -> None:
    near = neighbours((0, 1, 3, 0, 1, 1, 0), seasonal=True)
    assert all((d, D, c) == (1, 1, 0) and {P, Q} <= {0, 1} for _, d, _, P, D, Q, c in near)
    assert all(0 <= p <= 3 and 0 <= q <= 3 for p, _, q, *_ in near)
    assert (0, 1, 2, 0, 1, 1, 0) in near and len(near) == len(set(near))


@pytest.mark.parametrize("model", [Sarimax(order=(1, 0, 0), inputs=1), Ucm(inputs=1, levels=("llevel",))])
def test_known_inputs_are_used(model: FilteredForecaster) -> None:
    draw = np.random.default_rng(0)
    inputs = torch.from_numpy(draw.normal(size=(1, 110, 1)))
    values = 3 * inputs + torch.from_numpy(0.1 * draw.normal(size=(1, 110, 1)))
    past = Past.of(values[:, :100], inputs[:, :100])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    made = model.predict(state, Future(inputs[:, 100:], torch.ones(1, 10))).median
    assert float((made - values[:, 100:]).abs().max()) < 0.5


def test_a_long_season_enters_as_harmonics() -> None:
    time = np.arange(300)
    wave = 5 * np.sin(2 * np.pi * time / 24) + 2 * np.cos(4 * np.pi * time / 24)
    y = wave + 0.1 * np.random.default_rng(0).normal(size=300)
    made = forecast_of(Sarimax(24, order=(1, 0, 0)), y[:270], 30)
    assert float(np.abs(made.median[0, :, 0].numpy() - y[270:]).max()) < 0.6


def test_only_the_last_rows_are_held() -> None:
    y = seasonal(200)
    model = Sarimax(4, order=(1, 0, 0), context=50)
    found = model.estimate(Past.of(torch.from_numpy(y)[None, :, None]))
    whole, tail = (Past.of(torch.from_numpy(part)[None, :, None]) for part in (y, y[-50:]))
    states = [model.warm_up(model.initial_state(found, past.static), past) for past in (whole, tail)]
    made = [model.predict(state, Future.of(whole, 5)).median for state in states]
    torch.testing.assert_close(made[0], made[1])


def test_a_lane_that_cannot_be_fitted_is_named(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Ucm, z: NDArray[np.float64]) -> None:
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(Ucm, "fit", refuse)
    made = forecast_of(Ucm(), seasonal(40), 3)
    assert bool(made.median.isnan().all())
    assert "ucm: series 0 of 1, channel 0 could not be fitted: singular" in caplog.text


def test_the_stationary_start_is_that_of_statsmodels() -> None:
    move = np.array([[1.2, 1.0, 0.0], [-0.5, 0.0, 1.0], [0.0, 0.0, 0.0]])
    noise = np.outer([1.0, 0.4, 0.1], [1.0, 0.4, 0.1])
    total = stationary_covariance(move, noise)
    np.testing.assert_allclose(total, move @ total @ move.T + noise, rtol=1e-12)
    y = seasonal()
    z = (y - y.mean()) / y.std()
    options = {"order": (1, 1, 1), "seasonal_order": (1, 0, 1, 4), "trend": "c", "simple_differencing": True}
    params = np.array([0.1, 0.5, -0.3, 0.6, 0.2, 0.4])
    assert _differenced()(z, **options).loglike(params) == pytest.approx(
        SARIMAX(z, **options).loglike(params), rel=1e-10
    )

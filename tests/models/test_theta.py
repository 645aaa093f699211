"""Theta and STL + ETS against statsmodels' own forecasts, and Theta against the M4 competition's published scores."""

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from statsmodels.tsa.exponential_smoothing.ets import ETSModel
from statsmodels.tsa.forecasting.stl import STLForecast
from statsmodels.tsa.forecasting.theta import ThetaModel

from forecast.distribution import Gaussian
from forecast.models.smoothing import SmoothingForecaster
from forecast.models.statsmodels.stl_ets import StlEts
from forecast.models.statsmodels.theta import Theta
from forecast.types import Future, Past
from tests.models.mcomp import m4, mase, medians, smape


def forecast_of(model: SmoothingForecaster, y: NDArray[np.float64], horizon: int) -> Gaussian:
    past = Past.of(torch.from_numpy(y)[None, :, None])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    return model.predict(state, Future.of(past, horizon))  # type: ignore[return-value]


def walk(length: int, seed: int) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    return 80 + 0.4 * np.arange(length) + draw.normal(size=length).cumsum() + 2 * draw.normal(size=length)


@pytest.mark.parametrize("length", [12, 50, 300])
@pytest.mark.parametrize("seed", range(3))
def test_theta_is_statsmodels(length: int, seed: int) -> None:
    y = walk(length, seed)
    expected = ThetaModel(y, period=1, deseasonalize=False).fit().forecast(9)
    np.testing.assert_allclose(forecast_of(Theta(), y, 9).mean[0, :, 0], expected, rtol=2e-4)


def test_theta_with_a_season_is_statsmodels_with_the_same_indices() -> None:
    pattern = np.array([0.7, 1.1, 0.9, 1.3])
    y = walk(121, 5) * pattern[np.arange(121) % 4]
    expected = ThetaModel(y, period=4, deseasonalize=True, use_test=False, method="multiplicative").fit().forecast(9)
    np.testing.assert_allclose(forecast_of(Theta(4), y, 9).mean[0, :, 0], expected, rtol=1e-3)


def test_theta_spreads_like_an_integrated_moving_average() -> None:
    made = forecast_of(Theta(), walk(200, 1), 30)
    past = Past.of(torch.from_numpy(walk(200, 1))[None, :, None])
    found = Theta().estimate(past)
    expected = found.sigma2[0, 0] * (1 + found.alpha[0, 0] ** 2 * torch.arange(30))
    torch.testing.assert_close(made.variance[0, :, 0], expected)


@pytest.mark.parametrize("form", ["ANN", "AAN", "AAdN"])
def test_stl_ets_is_statsmodels(form: str) -> None:
    y = walk(118, 2) + 6 * np.sin(2 * np.pi * np.arange(118) / 12)
    kind = {"error": "add", "trend": "add" if form[1] == "A" else None, "damped_trend": "d" in form}
    theirs = STLForecast((y - y.mean()) / y.std(), ETSModel, model_kwargs=kind, period=12)
    expected = y.mean() + y.std() * theirs.fit(fit_kwargs={"disp": False, "maxiter": 1000}).forecast(24)
    made = forecast_of(StlEts(12, forms=(form,)), y, 24).mean[0, :, 0]
    # Ours takes the last cycle's pattern out of earlier cycles too: the level it fits differs by little.
    np.testing.assert_allclose(made, expected, atol=0.12 * y.std())
    seasonal = made[12:] - made[:12] if form == "ANN" else made[:12] - made[:12].mean()
    reference = expected[12:] - expected[:12] if form == "ANN" else expected[:12] - expected[:12].mean()
    np.testing.assert_allclose(seasonal, reference, atol=0.05 * y.std())


M4 = {"hourly": (24, 18.138, 2.455), "weekly": (1, 9.093, 2.637)}


@pytest.mark.slow
@pytest.mark.parametrize("word", M4)
def test_m4_theta(real_data: Path, word: str) -> None:
    season, percent, scaled = M4[word]
    data = m4(real_data, word, season)
    forecast = medians(Theta(season), data)
    assert float(smape(data, forecast).mean()) == pytest.approx(percent, rel=0.01)
    assert float(mase(data, forecast).mean()) == pytest.approx(scaled, rel=0.01)

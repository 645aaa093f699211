"""auto_sarima: the search's AICc against statsmodels', what it finds, and what it does with too little."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from statsmodels.tsa.statespace.sarimax import SARIMAX
from torch import Tensor

from forecast.errors import InputError
from forecast.models.auto import orders
from forecast.models.auto.bank import standardised
from forecast.models.auto_sarima import AutoSarima
from forecast.models.differencing import differenced, strength
from forecast.ssm.arima import stationary
from forecast.types import Future, Past

D = torch.float64


def lanes(rows: int, *seeds: int) -> Tensor:
    """Walks with a season of four."""
    draws = [torch.randn(rows, dtype=D, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    return torch.stack([20 + draw.cumsum(0) + 4 * torch.sin(torch.arange(rows) * math.pi / 2) for draw in draws])


def passengers(folder: Path) -> Tensor:
    table = pd.read_csv(folder / "classic" / "air_passengers.csv.gz")
    return torch.from_numpy(table.iloc[:, 1].to_numpy(np.float64))[None]


def run(model: AutoSarima, y: Tensor, horizon: int = 4):  # type: ignore[no-untyped-def]
    past = Past.of(y[..., None])
    parameters = model.estimate(past)
    state = model.warm_up(model.initial_state(parameters, past.static), past)
    return parameters, model.predict(state, Future.of(past, horizon))


def theirs(lags: orders.Lags, theta: Tensor, w: np.ndarray, season: int) -> float:
    """AICc of statsmodels at the same parameters."""
    p, q, P, Q, c = lags
    ar, seasonal_ar, ma, seasonal_ma = theta[None, 1 : 1 + p + P + q + Q].split([p, P, q, Q], 1)
    phi, Phi = stationary(ar), stationary(seasonal_ar)
    mean = theta[-1:] * (1 - phi.sum()) * (1 - Phi.sum()) if c else theta[:0]
    parts = [mean, phi[0], -stationary(ma)[0], Phi[0], -stationary(seasonal_ma)[0], theta[:1].exp()]
    seasonal = (P, 0, Q, season) if P + Q else (0, 0, 0, 0)
    model = SARIMAX(w, order=(p, 0, q), seasonal_order=seasonal, trend="c" if c else "n")
    return float(model.filter(torch.cat(parts).numpy()).aicc)


def test_the_criterion_of_every_order_tried_is_that_of_statsmodels() -> None:
    y = lanes(70, 1, 2)
    group = next(orders._groups(y, 4))
    known = orders.searched(group, 4, (2, 2, 1, 1))
    for lane, tried in enumerate(known):
        assert len(tried) > 10
        w = group.w[lane][group.w[lane].isfinite()].numpy()
        for lags, sketch in tried.items():
            assert sketch.aicc == pytest.approx(theirs(lags, sketch.theta, w, 4), rel=1e-7, abs=1e-6), lags


def test_the_model_of_the_values_has_the_likelihood_of_their_differences() -> None:
    """The diffuse start takes ½ log 2π for each difference, and nothing else."""
    y = standardised(lanes(60, 3))[0]
    lags, d, seasons = (1, 1, 0, 1, 1), 0, 1
    theta = torch.tensor([[-0.2, 0.7, 0.4, 0.5, 0.3]], dtype=D)
    whole = orders.likelihood(orders.arima(lags, d, seasons, 4), theta, y)
    part = orders.likelihood(orders.arima(lags, 0, 0, 4), theta, differenced(y, d, seasons, 4))
    assert float(whole) == pytest.approx(float(part) - 4 * 0.5 * math.log(2 * math.pi), rel=1e-10)


def test_the_airline_series_is_differenced_once_and_by_the_year(real_data: Path) -> None:
    model = AutoSarima(season=12)
    parameters, _ = run(model, passengers(real_data))
    assert model.bank[int(parameters.form)].word.startswith(("(2, 1, 1)(0, 1, 0)[12]", "(2, 1, 1)(0, 1, 1)[12]"))
    logs = AutoSarima(season=12, power=0.0)
    parameters, made = run(logs, passengers(real_data))
    assert logs.bank[int(parameters.form)].power == 0
    assert float(made.median[0, 0, 0]) == pytest.approx(450, rel=0.02)


def test_orders_of_simulated_series_are_found() -> None:
    """Of forty series of 300 rows most get the differences they were made with, and their memory."""
    draw = np.random.default_rng(5)
    noise = draw.normal(size=(40, 301))
    moving = torch.from_numpy(noise[:, 1:] - 0.6 * noise[:, :-1]).cumsum(1)  # (0, 1, 1)
    model = AutoSarima()
    parameters, _ = run(model, moving)
    words = [model.bank[k].word.removesuffix(" with a mean") for k in parameters.form.flatten().tolist()]
    assert sum(word == "(0, 1, 1)" for word in words) >= 22, words
    assert sum(word.split(", ")[1] == "1" for word in words) >= 36, words


def test_few_rows_constants_and_gaps() -> None:
    y = lanes(40, 1, 2, 3, 4, 5)
    y[0, :-5] = math.nan
    y[1] = 7.0
    y[2, ::3] = math.nan
    y[3, :-3] = math.nan
    y[4, 5:39] = math.nan
    parameters, made = run(AutoSarima(season=4), y)
    assert bool(made.median[[0, 1, 2, 4]].isfinite().all()) and bool(made.median[3].isnan().all())
    torch.testing.assert_close(made.median[1], torch.full_like(made.median[1], 7.0), rtol=1e-6, atol=0)
    low, high = made.interval(0.9)
    assert bool((high[[0, 2, 4]] > low[[0, 2, 4]]).all())
    assert int(parameters.form[3]) == -1


def test_a_series_that_is_not_positive_keeps_its_scale() -> None:
    y = lanes(50, 1, 2)
    y[1] -= 40
    model = AutoSarima(season=4, power=0.5)
    parameters, made = run(model, y)
    assert [model.bank[k].power for k in parameters.form.flatten().tolist()] == [0.5, 1.0]
    assert bool(made.median.isfinite().all())


def test_a_strong_season_is_told_from_a_weak_one() -> None:
    wave = torch.sin(torch.arange(80) * math.pi / 2)
    noise = torch.randn(80, dtype=D, generator=torch.Generator().manual_seed(0))
    found = strength(torch.stack([3 * wave + noise, 0.3 * wave + noise]), 4)
    assert float(found[0]) > 0.64 > float(found[1])


def test_powers_are_checked() -> None:
    with pytest.raises(InputError, match="powers lie between 0, the logarithm, and 1"):
        AutoSarima(power=2.0)

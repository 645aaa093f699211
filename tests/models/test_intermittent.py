"""Croston and TSB against plain loops, and their predictive distribution against simulated demand."""

import itertools
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from forecast.distribution import Forecast
from forecast.models.intermittent import Croston, Intermittent, Tsb
from forecast.types import Future, Past

BUYS = np.array([0, 0, 4, 0, 0, 0, 7, 2, 0, 5, 0, 0], dtype=np.float64)


def forecast_of(model: Intermittent, y: NDArray[np.float64], horizon: int = 3) -> Forecast:
    past = Past.of(torch.from_numpy(y)[None, :, None])
    return model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, horizon))


def croston(y: NDArray[np.float64], alpha: float) -> tuple[float, float]:
    """Size and interval."""
    at = np.flatnonzero(y)
    size, interval = y[at[0]], float(at[0] + 1)
    for before, now in itertools.pairwise(at):
        size += alpha * (y[now] - size)
        interval += alpha * (now - before - interval)
    return size, interval


def tsb(y: NDArray[np.float64], alpha: float, beta: float) -> tuple[float, float]:
    """Size and chance."""
    first = int(np.flatnonzero(y)[0])
    size, chance = y[first], 1 / (first + 1)
    for value in y[first + 1 :]:
        chance += beta * ((value != 0) - chance)
        size += alpha * (value - size) if value else 0.0
    return size, chance


def test_croston_is_the_loop() -> None:
    size, interval = croston(BUYS, 0.2)
    made = forecast_of(Croston(alpha=0.2), BUYS)
    np.testing.assert_allclose(made.mean[0, :, 0], size / interval, rtol=1e-6)
    none = made.cdf(torch.full((1, 3, 1), 1e-9, dtype=torch.float64))
    np.testing.assert_allclose(none[0, :, 0], 1 - 1 / interval, rtol=1e-6)
    debiased = forecast_of(Croston(alpha=0.2, debiased=True), BUYS)
    np.testing.assert_allclose(debiased.mean / made.mean, 0.9, rtol=1e-6)


def test_tsb_is_the_loop_and_its_chance_falls_without_demand() -> None:
    size, chance = tsb(BUYS, 0.3, 0.1)
    made = forecast_of(Tsb(alpha=0.3, beta=0.1), BUYS)
    np.testing.assert_allclose(made.mean[0, :, 0], size * chance, rtol=1e-6)
    idle = forecast_of(Tsb(alpha=0.3, beta=0.1), np.append(BUYS, np.zeros(5)))
    np.testing.assert_allclose(idle.mean / made.mean, 0.9**5, rtol=1e-6)
    same = forecast_of(Croston(alpha=0.3), np.append(BUYS, np.zeros(5))).mean
    torch.testing.assert_close(same, forecast_of(Croston(alpha=0.3), BUYS).mean)


@pytest.mark.parametrize("model", [Croston(), Tsb()])
def test_a_missing_row_is_skipped(model: Intermittent) -> None:
    torch.testing.assert_close(
        forecast_of(model, np.insert(BUYS, [2, 5, 12], math.nan)).quantiles(), forecast_of(model, BUYS).quantiles()
    )


@pytest.mark.parametrize("model", [Croston(), Tsb()])
def test_nothing_but_zeros_is_forecast_as_zero(model: Intermittent) -> None:
    made = forecast_of(model, np.zeros(20))
    assert made.median.tolist() == made.quantile(0.99).tolist() == [[[0.0]] * 3]


@pytest.mark.parametrize("model", [Croston(alpha=0.005), Tsb(alpha=0.005, beta=0.005)])
def test_its_quantiles_are_those_of_the_demand(model: Intermittent) -> None:
    draw = np.random.default_rng(0)
    sizes, buys = draw.lognormal(2.0, 0.4, size=4000), draw.random(4000) < 0.3
    made = forecast_of(model, np.where(buys, sizes, 0.0), 1)
    assert made.quantile(0.6).item() == pytest.approx(0.0, abs=1e-6)
    for level in (0.8, 0.9, 0.97):
        assert made.quantile(level).item() == pytest.approx(np.quantile(np.where(buys, sizes, 0.0), level), rel=0.1)

"""The naive family against plain loops over the textbook's formulas, and against published values."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from forecast.distribution import Gaussian
from forecast.models.drift import Drift
from forecast.models.forecaster import Forecaster
from forecast.models.naive import Naive, SeasonalNaive
from forecast.models.window_average import WindowAverage
from forecast.types import Future, Past
from tests.models.mcomp import m4, mase, medians, smape

HORIZON = 7


def forecast_of(model: Forecaster, values: NDArray[np.float64]) -> Gaussian:
    past = Past.of(torch.from_numpy(values)[None, :, None])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    forecast = model.predict(state, Future.of(past, HORIZON))
    assert isinstance(forecast, Gaussian)
    return forecast


def series(length: int = 41, gaps: float = 0.0, seed: int = 0) -> NDArray[np.float64]:
    draw = np.random.default_rng(seed)
    values = 50 + 0.3 * np.arange(length) + 5 * np.sin(np.arange(length) * 2 * np.pi / 5) + draw.normal(size=length)
    values[draw.random(length) < gaps] = np.nan
    return values


def assert_is(forecast: Gaussian, mean: list[float], variance: list[float]) -> None:
    np.testing.assert_allclose(forecast.mean[0, :, 0], mean, rtol=1e-12)
    np.testing.assert_allclose(forecast.variance[0, :, 0], variance, rtol=1e-10)


def test_naive_is_the_textbooks() -> None:
    y = series()
    sigma = np.mean(np.diff(y) ** 2)
    assert_is(forecast_of(Naive(), y), [y[-1]] * HORIZON, [sigma * h for h in range(1, HORIZON + 1)])


@pytest.mark.parametrize("season", [2, 5, 40])
def test_seasonal_naive_is_the_textbooks(season: int) -> None:
    y = series()
    sigma = np.mean((y[season:] - y[:-season]) ** 2)
    mean = [y[len(y) - season + h % season] for h in range(HORIZON)]
    assert_is(forecast_of(SeasonalNaive(season), y), mean, [sigma * (h // season + 1) for h in range(HORIZON)])


def test_drift_is_the_textbooks() -> None:
    y = series()
    n = len(y)
    slope = (y[-1] - y[0]) / (n - 1)
    sigma = np.sum((np.diff(y) - slope) ** 2) / (n - 2)
    leads = np.arange(1, HORIZON + 1)
    assert_is(forecast_of(Drift(), y), list(y[-1] + slope * leads), list(sigma * leads * (1 + leads / (n - 1))))


def test_window_average_is_the_mean_with_its_own_errors() -> None:
    y = series(gaps=0.2, seed=3)
    y = y[~np.isnan(y)]
    errors = [y[i] - y[max(0, i - 4) : i].mean() for i in range(1, len(y))]
    with_gaps = np.insert(y, [3, 3, 20], np.nan)
    variance = float(np.mean(np.square(errors)))
    assert_is(forecast_of(WindowAverage(window=4), with_gaps), [y[-4:].mean()] * HORIZON, [variance] * HORIZON)


def test_naive_over_gaps_is_a_random_walk_in_time() -> None:
    y = series(gaps=0.3, seed=1)
    y[-2:] = np.nan
    seen = np.flatnonzero(~np.isnan(y))
    sigma = np.mean(np.diff(y[seen]) ** 2 / np.diff(seen))
    since = len(y) - 1 - seen[-1]
    assert_is(forecast_of(Naive(), y), [y[seen[-1]]] * HORIZON, [sigma * (since + h) for h in range(1, HORIZON + 1)])


def test_seasonal_naive_over_gaps_takes_the_last_value_of_the_position() -> None:
    y = series(gaps=0.3, seed=2)
    n, season = len(y), 5
    held: dict[int, int] = {}
    errors = []
    for t, value in enumerate(y):
        if not np.isnan(value):
            if t % season in held:
                errors.append((value - y[held[t % season]]) ** 2 * season / (t - held[t % season]))
            held[t % season] = t
    rows = [held[(n + h) % season] for h in range(HORIZON)]
    variance = [np.mean(errors) * (n + h - row) / season for h, row in enumerate(rows)]
    assert_is(forecast_of(SeasonalNaive(season), y), [y[row] for row in rows], variance)


def test_seasonal_naive_shorter_than_a_season_repeats_the_last_value() -> None:
    forecast = forecast_of(SeasonalNaive(12), np.array([3.0, 5.0, 4.0]))
    assert_is(forecast, [4.0] * 7, [2.5 * h for h in range(1, 8)])
    assert bool(forecast_of(SeasonalNaive(12), np.array([3.0])).mean.isnan().all())


def test_a_line_is_continued_by_the_drift_without_error() -> None:
    forecast = forecast_of(Drift(), 4 - 2.5 * np.arange(10.0))
    assert_is(forecast, [4 - 2.5 * t for t in range(10, 17)], [0.0] * 7)


def test_the_drift_after_a_long_gap_stays_near() -> None:
    past = Past.of(torch.tensor([0.0, 1.0, 3.0] + [math.nan] * 100, dtype=torch.float64)[None, :, None])
    model = Drift()
    state = model.warm_up(model.initial_state((), past.static), past)
    assert model.predict(state, Future.of(past, 2)).median[0, :, 0].tolist() == [3 + 1 * 3, 3 + 2 * 3]


@pytest.mark.parametrize("elapsed", [0.5, 3.0])
def test_variance_grows_with_time_not_with_rows(elapsed: float) -> None:
    past = Past.of(torch.from_numpy(series())[None, :, None])
    even = past._replace(elapsed=torch.full_like(past.elapsed, elapsed))
    future = Future.of(past, 3)
    model = Naive()
    plain, slow = (
        model.predict(model.warm_up(model.initial_state((), p.static), p), future._replace(elapsed=f))
        for p, f in ((past, future.elapsed), (even, future.elapsed * elapsed))
    )
    torch.testing.assert_close(plain.quantiles(), slow.quantiles())


def test_m4_hourly_seasonal_naive(real_data: Path) -> None:
    data = m4(real_data, "hourly", 24)
    forecast = medians(SeasonalNaive(24), data)
    assert f"{float(smape(data, forecast).mean()):.3f}" == "13.912"
    assert f"{float(mase(data, forecast).mean()):.3f}" == "1.193"


def test_the_window_averages_intervals_grow_as_its_own_errors_do() -> None:
    """A random walk wanders off a mean of the past: at lead 12 its intervals must be wider, and hold nine in ten."""
    generator = torch.Generator().manual_seed(0)
    walk = torch.randn(400, 212, 1, generator=generator, dtype=torch.float64).cumsum(1)
    model = WindowAverage(window=12, horizon=12)
    past = Past.of(walk[:, :200])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    low, high = model.predict(state, Future.of(past, 12)).interval(0.9)
    inside = ((walk[:, 200:] >= low) & (walk[:, 200:] <= high)).double().mean((0, 2))
    assert bool((high - low)[:, 11].mean() > 1.5 * (high - low)[:, 0].mean())
    assert float(inside.mean()) == pytest.approx(0.9, abs=0.03) and float(inside[11]) > 0.83

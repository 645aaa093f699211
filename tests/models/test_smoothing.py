"""Exponential smoothing against R's forecasts at R's parameters, and against statsmodels' variances and simulations.

Data: oildata and austourists of the R package fpp2 (GPL-3 package, figures of BP and of Tourism Research Australia), as
statsmodels' tests hold them; R's parameters and forecasts from the same place.
"""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from forecast.distribution import Gaussian
from forecast.models.smoothing import Smoothed, Smoothing
from forecast.models.statsmodels.ets import Ets
from forecast.types import Future, Past

OIL = np.array(
    [
        111.0091346, 130.8284341, 141.2870879, 154.2277747, 162.7408654, 192.1664835, 240.7997253, 304.2173901,
        384.0045673, 429.6621566, 359.3169299, 437.2518544, 468.4007898, 424.4353365, 487.9794299, 509.8284478,
        506.3472527, 340.1842374, 240.258921, 219.0327876, 172.0746632, 252.5900922, 221.0710774, 276.5187735,
        271.1479517, 342.6186005, 428.3558357, 442.3945534, 432.7851482, 437.2497186, 437.2091599, 445.3640981,
        453.1950104, 454.409641, 422.3789058, 456.0371217, 440.3866047, 425.1943725, 486.2051735, 500.4290861,
        521.2759092, 508.947617, 488.8888577, 509.870575, 456.7229123, 473.8166029, 525.9508706, 549.8338076,
        542.3404698,
    ]
)  # fmt: skip
TOURISTS = np.array(
    [
        30.052513, 19.148496, 25.317692, 27.591437, 32.076456, 23.487961, 28.47594, 35.123753, 36.838485, 25.007017,
        30.72223, 28.693759, 36.640986, 23.824609, 29.311683, 31.770309, 35.177877, 19.775244, 29.60175, 34.538842,
        41.273599, 26.655862, 28.279859, 35.191153, 42.20566386, 24.64917133, 32.66733514, 37.25735401, 45.24246027,
        29.35048127, 36.34420728, 41.78208136, 49.27659843, 31.27540139, 37.85062549, 38.83704413, 51.23690034,
        31.83855162, 41.32342126, 42.79900337, 55.70835836, 33.40714492, 42.31663797, 45.15712257, 59.57607996,
        34.83733016, 44.84168072, 46.9712496, 60.01903094, 38.37117851, 46.97586413, 50.73379646, 61.64687319,
        39.29956937, 52.67120908, 54.33231689, 66.83435838, 40.87118847, 51.82853579, 57.49190993, 65.25146985,
        43.06120822, 54.76075713, 59.83447494, 73.25702747, 47.69662373, 61.09776802, 66.05576122,
    ]
)  # fmt: skip


class R(dict[str, list[float]]):
    """What R's `ets` found: α β γ φ, the initial level, trend and season (latest first), σ², its forecasts."""


FOUND = {
    "oil AAdN": R(
        smoothing=[0.99989969, 0.11886985, 0, 0.80000197], start=[36.46466837, 34.72584983], season=[0.0],
        sigma2=[2524.87915822], forecast=[545.35213563, 547.76044926, 549.68710489, 551.22843318],
    ),
    "oil AAN": R(
        smoothing=[0.99770564, 0.0001001, 0, 1], start=[21.3150686, 11.71213626], season=[0.0],
        sigma2=[2571.94347286], forecast=[554.09126495, 565.79806815, 577.50487134, 589.21167453],
    ),
    "tourists AAA": R(
        smoothing=[0.20281952, 0.00016979, 0.4645238, 1], start=[23.06996036, 0.57786622],
        season=[1.65451693, -1.17750326, -8.97988612, 8.50287244],
        sigma2=[6.20560506], forecast=[75.34454396, 50.75845291, 63.05022495, 67.48394643],
    ),
    "tourists AAdA": R(
        smoothing=[0.35445427, 0.03200749, 0.39993387, 0.97999997], start=[24.01278357, 0.97770147],
        season=[1.76951063, -0.50735902, -6.61171798, 5.34956637],
        sigma2=[6.0830734], forecast=[76.07768073, 51.61741109, 63.96457729, 68.27886241],
    ),
    "tourists MAM": R(
        smoothing=[0.31562139, 0.00010001, 0.00010005, 1], start=[24.74993982, 0.51242558],
        season=[1.03713388, 0.95960345, 0.77017133, 1.23309134],
        sigma2=[0.00346044], forecast=[77.58807372, 48.8558019, 61.36513172, 66.85524201],
    ),
}  # fmt: skip


def parameters(smoothing: list[float], start: list[float], season: list[float], form: str) -> Smoothing:
    cell = lambda value: torch.full((1, 1), float(value), dtype=torch.float64)  # noqa: E731
    rest = cell(form[0] == "M"), cell(form[-1] == "M"), cell(start[0]), cell(start[1])
    pattern = torch.tensor(season[::-1], dtype=torch.float64)[None, :, None]
    return Smoothing(*map(cell, smoothing), cell(1), *rest, pattern, torch.zeros(1, 1, 1), torch.ones(1, 1, 1))


def warmed(model: Ets, given: Smoothing, y: NDArray[np.float64]) -> Smoothed:
    past = Past.of(torch.from_numpy(y)[None, :, None])
    state = model.warm_up(model.initial_state(given, past.static), past)
    assert isinstance(state, Smoothed)
    return state


def forecast_of(model: Ets, y: NDArray[np.float64], horizon: int, given: Smoothing | None = None) -> Gaussian:
    past = Past.of(torch.from_numpy(y)[None, :, None])
    state = warmed(model, model.estimate(past) if given is None else given, y)
    made = model.predict(state, Future.of(past, horizon))
    assert isinstance(made, Gaussian)
    return made


@pytest.mark.parametrize("case", FOUND)
def test_at_rs_parameters_the_forecasts_are_rs(case: str) -> None:
    y, form, r = OIL if case.startswith("oil") else TOURISTS, case.split()[1], FOUND[case]
    given = parameters(r["smoothing"], r["start"], r["season"], form)
    model = Ets(season=len(r["season"]))
    mean = forecast_of(model, y, 4, given).mean[0, :, 0]
    np.testing.assert_allclose(mean, r["forecast"], rtol=1e-6 if form[-1] != "M" else 1e-4)
    k = sum(value != 0 for value in r["smoothing"]) - (r["smoothing"][3] == 1) + 2 + (len(r["season"]) > 1) * 3
    again = model.with_variance(given, Past.of(torch.from_numpy(y)[None, :, None]), torch.full((1, 1), float(k)))
    np.testing.assert_allclose(again.sigma2, r["sigma2"][0], rtol=1e-4)


@pytest.mark.parametrize("form", ["ANN", "AAN", "AAdN", "ANA", "AAA", "AAdA"])
def test_additive_forms_are_statsmodels_forecasts_and_variances(form: str) -> None:
    y, season = (OIL, 1) if form[-1] == "N" else (TOURISTS, 4)
    mine = forecast_of(Ets(season, forms=(form,)), y, 11)
    names = {"A": "add", "N": None}
    z = pd.Series((y - y.mean()) / y.std())
    theirs = ETSModel(z, trend=names[form[1]], damped_trend="d" in form, seasonal=names[form[-1]],
                      seasonal_periods=season if season > 1 else None).fit(disp=False, maxiter=1000)  # fmt: skip
    made = theirs.get_prediction(len(y), len(y) + 10)
    np.testing.assert_allclose(mine.mean[0, :, 0], y.mean() + y.std() * made.predicted_mean, rtol=1e-8)
    growth = mine.variance[0, :, 0] / mine.variance[0, 0, 0]
    np.testing.assert_allclose(growth, np.asarray(made.forecast_variance) / made.forecast_variance[0], rtol=1e-8)


@pytest.mark.parametrize(("form", "tolerance"), [("MAN", 0.02), ("MAdN", 0.02), ("MNM", 0.02), ("MAM", 0.02)])
def test_relative_forms_spread_like_statsmodels_simulations(form: str, tolerance: float) -> None:
    y, season = (OIL, 1) if form[-1] == "N" else (TOURISTS, 4)
    model = Ets(season, forms=(form,))
    mine = forecast_of(model, y, 9)
    trend, season_kind, period = ("add" if form[1] == "A" else None), *(("mul", season) if season > 1 else (None, None))
    fit = ETSModel(
        y / y.mean(), error="mul", trend=trend, damped_trend="d" in form, seasonal=season_kind, seasonal_periods=period
    ).fit(disp=False, maxiter=1000)
    drawn = fit.simulate(9, anchor="end", repetitions=20_000, rng=np.random.default_rng(1))
    k = len(fit.params) - (season > 1)  # the level and a common factor of the season are one
    np.testing.assert_allclose(mine.mean[0, :, 0], y.mean() * fit.forecast(9), rtol=1e-3)
    spread = y.mean() * np.asarray(drawn).std(1) * np.sqrt(len(y) / (len(y) - k))
    np.testing.assert_allclose(mine.deviation[0, :, 0], spread, rtol=tolerance)


# Our own fits against R's: the optimisers differ, and R's damping has other bounds.
@pytest.mark.parametrize(
    ("data", "form", "expected", "tolerance"),
    [
        (OIL, "ANN", [542.34121919] * 4, 1e-3),
        (OIL, "AAdN", FOUND["oil AAdN"]["forecast"], 4e-3),
        (TOURISTS, "AAA", FOUND["tourists AAA"]["forecast"], 0.03),
        (TOURISTS, "MAM", FOUND["tourists MAM"]["forecast"], 0.03),
    ],
)
def test_fitted_forms_forecast_like_r(
    data: NDArray[np.float64], form: str, expected: list[float], tolerance: float
) -> None:
    made = forecast_of(Ets(4 if form[-1] != "N" else 1, forms=(form,)), data, 4).mean[0, :, 0]
    np.testing.assert_allclose(made, expected, rtol=tolerance)


def test_the_form_is_the_one_with_the_least_aicc() -> None:
    draw = np.random.default_rng(0)
    time = np.arange(120)
    season = 1 + 0.4 * np.sin(2 * np.pi * time / 4)
    growing = 100 * np.exp(0.01 * time) * season * np.exp(0.02 * draw.normal(size=120))
    flat = 50 + np.random.default_rng(1).normal(size=120)
    past = Past.of(torch.from_numpy(np.stack([growing, flat]))[:, :, None])
    found = Ets(4).estimate(past)
    assert found.multiplied[:, 0].tolist() == [1.0, 0.0]
    assert float(found.alpha[1, 0]) < 0.2 and float(found.gamma[1, 0]) == 0.0


def test_a_gap_moves_the_machine_on_and_teaches_it_nothing() -> None:
    given = parameters([0.5, 0.1, 0.0, 0.9], [10.0, 1.0], [0.0], "AAN")
    model = Ets()
    plain = warmed(model, given, np.array([11.0, 12.0]))
    gap = warmed(model, given, np.array([11.0, 12.0, np.nan]))
    torch.testing.assert_close(gap.level, plain.level + 0.9 * plain.trend)
    torch.testing.assert_close(gap.trend, 0.9 * plain.trend)


def test_a_series_that_is_too_short_fails_alone() -> None:
    short = np.full(40, np.nan)
    short[-3:] = [1.0, 2.0, 3.0]
    past = Past.of(torch.from_numpy(np.stack([short, np.arange(40.0) % 7]))[:, :, None])
    model = Ets(forms=("ANN", "AAN"))
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    made = model.predict(state, Future.of(past, 3)).median
    assert bool(made[0].isnan().all()) and bool(made[1].isfinite().all())

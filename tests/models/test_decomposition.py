"""Components, innovations and auxiliary residuals against published values and statsmodels."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.models.auto_sarima import AutoSarima
from forecast.models.auto_ssm import AutoSsm
from forecast.models.by_channel import Fitted
from forecast.models.decomposition import Components, lags_of
from forecast.models.dynamic_factor import DynamicFactor
from forecast.models.kalman import Kalman
from forecast.models.sarima import Sarima
from forecast.ssm.arima import Arima, stationary
from forecast.types import Past

D = torch.float64


def nile() -> Tensor:
    return torch.tensor(sm.datasets.nile.load_pandas().data.volume.to_numpy(dtype=float))


@pytest.fixture(scope="module")
def level() -> Components:
    """The local level at Durbin and Koopman's variances."""
    one = torch.ones(1, 1, dtype=D)
    theta = torch.tensor([[[math.log(15099.0), math.log(1469.1)]]], dtype=D)
    fitted = Fitted(theta, 0 * one, one, one[:, :0], one[:, :0])
    return Kalman(trend="none").components(fitted, Past.of(nile()[None, :, None]))[0]


def test_the_level_of_the_nile(level: Components) -> None:
    """Durbin & Koopman (2012), §2.4: smoothed state 1111.668 with variance 4032.158 in 1871, 999.585 in 1898."""
    assert level.names == ("level",)
    assert float(level.mean[0, 0]) == pytest.approx(1111.6683191, abs=1e-6)
    assert float(level.deviation[0, 0]) ** 2 == pytest.approx(4032.15794, abs=1e-4)
    assert float(level.mean[27, 0]) == pytest.approx(999.5852187, abs=1e-6)


def test_residuals_are_those_of_statsmodels(level: Components) -> None:
    model = UnobservedComponents(nile().numpy(), "llevel", use_exact_diffuse=True)
    found = model.smooth([15099.0, 1469.1])
    theirs = found.filter_results.standardized_forecasts_error[0]
    np.testing.assert_allclose(level.innovation[1:].numpy(), theirs[1:], rtol=1e-8)
    smoothed = found.smoother_results
    noise = smoothed.smoothed_measurement_disturbance[0] / np.sqrt(
        15099.0 - smoothed.smoothed_measurement_disturbance_cov[0, 0]
    )
    np.testing.assert_allclose(level.observation.numpy(), noise, rtol=1e-7)
    spread = np.sqrt(1469.1 - smoothed.smoothed_state_disturbance_cov[0, 0, :-1])
    shift = smoothed.smoothed_state_disturbance[0, :-1] / spread  # theirs leads out of a row, ours into it
    np.testing.assert_allclose(level.level[1:].numpy(), shift, rtol=1e-7)


def test_the_dam_is_the_largest_shift_of_the_level(level: Components) -> None:
    assert 1871 + int(level.level.nan_to_num(0.0).abs().argmax()) == 1899
    assert 1871 + int(level.observation.nan_to_num(0.0).abs().argmax()) == 1913, "the driest year"


def test_components_add_up_to_the_series_but_for_its_noise() -> None:
    """A season of dummies and of harmonics: y less its parts is what the observation noise is expected to be."""
    rows = torch.arange(72, dtype=D)
    noise = torch.randn(72, dtype=D, generator=torch.Generator().manual_seed(0))
    y = 20 + 0.1 * rows + 3 * torch.sin(rows * math.pi / 6) + 0.3 * noise
    for harmonics in (0, 2):
        model = Kalman(trend="full", season=12, harmonics=harmonics)
        past = Past.of(y[None, :, None])
        made = model.components(model.estimate(past), past)[0]
        assert made.names == ("level", "season 12", "slope")
        rest = y - made.mean[:, 0] - made.mean[:, 1]
        assert float(rest.std()) < 0.45 and abs(float(rest.mean())) < 0.1
        assert float(made.mean[-1, 2]) == pytest.approx(0.1, abs=0.06)


def test_auto_ssm_shows_its_heaviest_form() -> None:
    past = Past.of(nile()[None, :, None])
    model = AutoSsm()
    parameters = model.estimate(past)
    made = model.components(parameters, past)[0]
    best = model.bank[int(parameters.form[0, 0][parameters.weight[0, 0].argmax()])]
    assert made.scale == ("logarithm" if best.power == 0 else "")
    assert made.facts[0][0] == best.word
    weights = [float(value.removeprefix("weight ")) for _, value in made.facts if value.startswith("weight")]
    assert sum(weights) == pytest.approx(1, abs=0.03) and weights == sorted(weights, reverse=True)


def test_a_series_without_a_form_has_no_components() -> None:
    past = Past.of(torch.full((1, 30, 1), math.nan, dtype=D))
    model = AutoSsm(trends=("none",), memory=False, powers=(1.0,))
    assert model.components(model.estimate(past), past)[0].names == ()


def test_an_arima_is_told_by_its_polynomials_and_what_it_expected() -> None:
    """Expected values, their deviations and innovations are those of statsmodels at the same parameters."""
    rows = torch.arange(60, dtype=D)
    noise = torch.randn(60, dtype=D, generator=torch.Generator().manual_seed(3))
    y = (noise.cumsum(0) + 2 * torch.sin(rows * math.pi / 2))[None, :, None]
    y[0, 20:23] = math.nan
    inputs = torch.randn(1, 60, 1, dtype=D, generator=torch.Generator().manual_seed(4))
    model = Sarima(order=(2, 1, 1), seasonal=(0, 1, 1), season=4)
    past = Past.of(y)
    fitted = model.estimate(past)
    made = model.components(fitted, past)[0]
    theta, loc, spread = fitted.theta[0, 0], float(fitted.loc), float(fitted.spread)
    numbers = [*stationary(theta[None, 1:3])[0], -stationary(theta[None, 3:4])[0, 0], -stationary(theta[None, 4:5])[0, 0], theta[0].exp()]
    reference = SARIMAX((y[0, :, 0].numpy() - loc) / spread, order=(2, 1, 1), seasonal_order=(0, 1, 1, 4), use_exact_diffuse=True)
    found = reference.filter([float(x) for x in numbers])
    late = slice(8, None)
    np.testing.assert_allclose(made.mean[late, 0].numpy(), loc + spread * found.fittedvalues[late], rtol=1e-7)
    scale = np.sqrt(found.forecasts_error_cov[0, 0, late])
    np.testing.assert_allclose(made.deviation[late, 0].numpy(), spread * scale, rtol=1e-7)
    innovations = made.innovation[late].nan_to_num(0.0)  # theirs are 0 where a row is missing
    np.testing.assert_allclose(innovations.numpy(), found.standardized_forecasts_error[0, late], rtol=1e-6, atol=1e-7)
    said = dict(made.facts)
    assert said["order"] == "(2, 1, 1)(0, 1, 1)[4]" and said["Θ, lags of 4 rows"].startswith(("0.", "−0.", "1", "−1"))
    given = Sarima(order=(1, 0, 0), seasonal=(0, 0, 0), inputs=1)
    past = Past.of(y, inputs)
    assert given.components(given.estimate(past), past)[0].innovation.isfinite().sum() > 50


def test_roots_that_turn_have_a_period() -> None:
    """φ = 1.2, -0.81: inverse roots of size 0.9 that come back after 2π / acos(2/3) = 7.47 rows."""
    partial = torch.tensor([1.2 / 1.81, -0.81], dtype=D)
    theta = torch.cat([torch.zeros(1, dtype=D), partial / (1 - partial.square()).sqrt()])
    said = dict(lags_of(Arima((2, 0, 0)), theta))
    assert said["φ"] == "1.2, −0.81"
    assert said["inverse roots of φ"] == "0.6 ± 0.6708i (half-life 6.58 rows, period 7.47 rows)"


def test_auto_sarima_tells_its_order() -> None:
    noise = torch.randn(2, 80, dtype=D, generator=torch.Generator().manual_seed(1))
    noise[1] = math.nan
    model, past = AutoSarima(most=(1, 1, 0, 0)), Past.of(noise.cumsum(1)[..., None])
    parameters = model.estimate(past)
    told, nothing = model.components(parameters, past)
    assert dict(told.facts)["order"] == model.bank[int(parameters.form[0, 0])].word
    assert told.names == ("one row ahead",) and nothing.names == ()


def test_parts_of_channels_add_up() -> None:
    """Factors, season, level and a disturbance of its own, and what inputs add: together they are the channel."""
    rows = torch.arange(60, dtype=D)
    noise = torch.randn(60, 4, dtype=D, generator=torch.Generator().manual_seed(2))
    inputs = torch.randn(1, 60, 1, dtype=D, generator=torch.Generator().manual_seed(5))
    y = (noise[:, :1].cumsum(0) + 0.3 * noise[:, 1:] + torch.sin(rows * math.pi / 2)[:, None])[None] + inputs
    model, past = DynamicFactor(factors=1, season=4, channels=3, inputs=1), Past.of(y, inputs)
    made = model.components(model.estimate(past), past)
    assert len(made) == 3 and made[0].names == ("level", "factor 1", "season 4", "own", "inputs")
    for c, one in enumerate(made):
        torch.testing.assert_close(one.mean.sum(-1), y[0, :, c], rtol=1e-6, atol=1e-6)
        assert 0.6 < float(one.innovation.square().nanmean()) < 1.5

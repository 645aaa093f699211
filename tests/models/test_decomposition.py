"""Components, innovations and auxiliary residuals against published values and statsmodels."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
import torch
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.models.auto_ssm import AutoSsm
from forecast.models.by_channel import Fitted
from forecast.models.decomposition import Components
from forecast.models.kalman import Kalman
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

"""Residuals and draws of the smoother, and the robust update."""

import math

import numpy as np
import statsmodels.api as sm
import torch

from forecast.ssm import kalman
from forecast.ssm.belief import Belief
from forecast.ssm.season import Season
from forecast.ssm.smoother import simulate, simulate_smoothed, smooth
from forecast.ssm.structural import Structural
from tests.ssm.test_nile import DIFFUSE, PROGRAM, VARIANCES, nile

D = torch.float64


def test_auxiliary_residuals_are_those_of_statsmodels() -> None:
    peer = sm.tsa.UnobservedComponents(nile()[0, :, 0].numpy(), "llevel", use_exact_diffuse=True)
    theirs = peer.ssm
    peer.update(VARIANCES[0].numpy())
    theirs.tolerance = 0.0
    done = theirs.smooth()
    made = smooth(PROGRAM, VARIANCES, DIFFUSE, nile())
    spread = np.sqrt(VARIANCES[0, 0].item() - done.smoothed_measurement_disturbance_cov[0, 0])
    np.testing.assert_allclose(
        made.observation_residual[0, :, 0], done.smoothed_measurement_disturbance[0] / spread, rtol=1e-8
    )
    spread = np.sqrt(VARIANCES[0, 1].item() - done.smoothed_state_disturbance_cov[0, 0, :-1])
    np.testing.assert_allclose(
        made.process_residual[0, 1:, 0], done.smoothed_state_disturbance[0, :-1] / spread, rtol=1e-7
    )


def test_smoothed_draws_have_the_smoothed_moments() -> None:
    generator = torch.Generator().manual_seed(5)
    y = nile()
    y[:, 20:40] = math.nan
    exact = smooth(PROGRAM, VARIANCES, DIFFUSE, y)
    draws = simulate_smoothed(PROGRAM, VARIANCES, DIFFUSE, y, 4000, generator=generator)[:, 0, :, 0]
    deviation = exact.covariance[0, :, 0, 0].sqrt()
    assert ((draws.mean(0) - exact.mean[0, :, 0]) / deviation).abs().max() < 5 / math.sqrt(4000)
    assert (draws.var(0) / deviation**2 - 1).abs().max() < 5 * math.sqrt(2 / 4000)


def test_forecasts_of_simulated_data_cover_at_every_lead() -> None:
    model = Structural("damped", (Season(4),))
    theta = torch.tensor([[0.0, -1.0, -3.0, -2.0, 1.0]], dtype=D).expand(4000, -1)
    coefs, start = model.coefficients(theta), model.start(4000, theta)
    generator = torch.Generator().manual_seed(6)
    _, y = simulate(model.program, coefs, start, torch.zeros(4000, 40, 1, dtype=D), generator=generator)
    belief = kalman.advance(model.program, coefs, start, y[:, :34]).belief
    mean, variance = kalman.ahead(model.program, coefs, belief, 6)
    inside = ((y[:, 34:] - mean).abs() < 1.6448536 * variance.sqrt()).to(D).mean((0, 2))
    assert (inside - 0.9).abs().max() < 3.3 * math.sqrt(0.09 / 4000)


def test_a_robust_row_moves_less_and_an_ordinary_one_the_same() -> None:
    def after(value: float, dof: float, engine: str) -> Belief:
        y = nile()
        y[0, -1, 0] = value
        return kalman.advance(PROGRAM, VARIANCES, DIFFUSE, y, dof=dof, engine=engine).belief

    for engine in kalman.ENGINES:
        moved = [float(after(9000.0, dof, engine).mean) for dof in (0.0, 4.0)]
        assert 798.4 < moved[1] < moved[0] - 1000
    one, other = (after(9000.0, 4.0, engine) for engine in kalman.ENGINES)
    torch.testing.assert_close(one.mean, other.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(one.covariance, other.covariance, rtol=1e-12, atol=0)

"""Dynamic factor model: likelihood and forecasts of statsmodels, factors found again, neighbours that fill gaps."""

import math

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.dynamic_factor import DynamicFactor as Reference
from torch import Tensor

from forecast.models.by_channel import Fitted
from forecast.models.dynamic_factor import LEAST, LONGEST, DynamicFactor
from forecast.ssm.kalman import loglik
from forecast.types import Future, Past


def simulated(rows: int, channels: int, seed: int) -> Tensor:
    """Two factors (0.95, 0.6), own disturbances with memory 0.4; (1 T C)."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, 2 + channels, generator=generator, dtype=torch.float64)
    rho = torch.tensor([0.95, 0.6] + [0.4] * channels, dtype=torch.float64)
    states = [torch.zeros_like(noise[0])]
    for row in noise:
        states.append(rho * states[-1] + (1 - rho.square()).sqrt() * row)
    path = torch.stack(states[1:])
    load = torch.randn(channels, 2, generator=generator, dtype=torch.float64)
    load[0, 0] = 2.0
    return (path[:, :2] @ load.T + 0.5 * path[:, 2:])[None]


@pytest.mark.parametrize("factors", [1, 2])
def test_statsmodels_at_the_same_parameters(factors: int) -> None:
    y = simulated(80, 4, 1)
    y[0, 10:14, 1] = math.nan
    y[0, 30] = math.nan
    model = DynamicFactor(factors=factors, channels=4, levels=False)
    theta = model.closed_form(y[0].nan_to_num(0.0), y[0, :, :0])[None]
    to_rho, _, to_phi, log_variance, _, loadings, _ = model._parts(theta)
    rho, phi = LONGEST * to_rho.tanh()[0], LONGEST * to_phi.tanh()[0]
    sizes = loadings.reshape(4, factors) * (1 - rho.square()).sqrt()
    reference = Reference(y[0].numpy(), k_factors=factors, factor_order=1, error_order=1)
    transition = torch.diag(rho).flatten()
    numbers = torch.cat([sizes.flatten(), LEAST + log_variance[0].exp(), transition, phi]).numpy()
    found = loglik(model.program, model.coefficients(theta), model.belief(theta), y)
    result = reference.smooth(numbers)
    assert float(found[0]) == pytest.approx(result.llf, rel=1e-10)
    one = torch.ones(1, 4, dtype=torch.float64)
    fitted = Fitted(theta, 0 * one, one, one[:, :0], one[:, :0])
    past = Past.of(y)
    state = model.warm_up(model.initial_state(fitted, past.static), past)
    made, expected = model.predict(state, Future.of(past, 6)), result.get_forecast(6)
    np.testing.assert_allclose(made.mean[0].numpy(), expected.predicted_mean, rtol=1e-8, atol=1e-12)
    np.testing.assert_allclose(made.variance[0].sqrt().numpy(), expected.se_mean, rtol=1e-8)


def test_the_climb_finds_a_likelihood_as_good_as_statsmodels() -> None:
    y = simulated(300, 4, 2)
    model = DynamicFactor(factors=1, channels=4, levels=False)
    with torch.no_grad():
        fitted = model.estimate(Past.of(y))
    scaled = (y - fitted.loc[:, None]) / fitted.spread[:, None]
    ours = loglik(model.program, model.coefficients(fitted.theta), model.belief(fitted.theta), scaled)
    theirs = Reference(scaled[0].numpy(), k_factors=1, factor_order=1, error_order=1).fit(disp=False, maxiter=300)
    assert float(ours[0]) > theirs.llf - 0.5  # ours has a prior


def test_a_channel_that_is_away_is_told_by_its_neighbours() -> None:
    y = simulated(400, 6, 3)
    model = DynamicFactor(factors=2, channels=6)
    hidden = y.clone()
    hidden[0, 360:, 0] = math.nan
    past = Past.of(hidden)
    with torch.no_grad():
        fitted = model.estimate(Past.of(y[:, :360]))
        made, _ = model.trace(model.initial_state(fitted, past.static), past, Future.of(past, 1))
        alone = y.clone()
        alone[0, 360:] = math.nan
        blind, _ = model.trace(model.initial_state(fitted, past.static), Past.of(alone), Future.of(past, 1))
    error = (made.mean[0, 360:, 0, 0] - y[0, 360:, 0]).square().mean()
    unaided = (blind.mean[0, 360:, 0, 0] - y[0, 360:, 0]).square().mean()
    assert float(error) < 0.7 * float(unaided)


def test_a_common_season_and_inputs() -> None:
    generator = torch.Generator().manual_seed(5)
    time = torch.arange(240, dtype=torch.float64)
    inputs = torch.randn(1, 240, 1, generator=generator, dtype=torch.float64)
    wave = torch.stack(
        [torch.sin(2 * math.pi * time / 12 + c) + 0.5 * torch.cos(4 * math.pi * time / 12) for c in range(3)], 1
    )
    y = wave[None] + inputs * torch.tensor([1.0, -1.0, 0.5], dtype=torch.float64)
    y = y + 0.1 * torch.randn(y.shape, generator=generator, dtype=torch.float64)
    model = DynamicFactor(factors=1, season=12, channels=3, inputs=1)
    past, future = Past.of(y[:, :228], inputs[:, :228]), Future(inputs[:, 228:], torch.ones(1, 12, dtype=torch.float64))
    with torch.no_grad():
        state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
        made = model.predict(state, future)
    assert float((made.mean - y[:, 228:]).square().mean().sqrt()) < 0.15


def test_a_channel_never_seen_has_no_forecast() -> None:
    y = simulated(100, 3, 4)
    y[..., 1] = math.nan
    model = DynamicFactor(factors=1, channels=3)
    past = Past.of(y)
    with torch.no_grad():
        made = model.predict(
            model.warm_up(model.initial_state(model.estimate(past), past.static), past), Future.of(past, 3)
        )
    assert bool(made.mean[..., 1].isnan().all()) and bool(made.mean[..., [0, 2]].isfinite().all())

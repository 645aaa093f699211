"""System identification: a known system is found again, the innovations form is an ARMA, inputs act one row late."""

import math

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.varmax import VARMAX
from torch import Tensor

from forecast.models.by_channel import Fitted
from forecast.models.subspace import Subspace, System, canonical_variates
from forecast.ssm.kalman import loglik
from forecast.types import Future, Past

TRUE = System(
    torch.tensor([[0.9, 0.3], [-0.3, 0.9]], dtype=torch.float64) * 0.95,
    torch.tensor([[0.4, 0.1], [0.0, 0.3]], dtype=torch.float64),
    torch.tensor([[1.0, 0.0], [0.5, 1.0]], dtype=torch.float64),
    torch.tensor([[0.5, 0.0], [0.1, 0.4]], dtype=torch.float64),
    torch.tensor([[1.0], [-0.5]], dtype=torch.float64),
    torch.tensor([[0.0], [0.7]], dtype=torch.float64),
)


def simulated(rows: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Values (1 T 2) and inputs (1 T 1) of the true system."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(rows, 2, generator=generator, dtype=torch.float64) @ TRUE.root.T
    u = torch.randn(rows, 1, generator=generator, dtype=torch.float64)
    x, made = torch.zeros(2, dtype=torch.float64), []
    for e, push in zip(noise, u, strict=True):
        made.append(TRUE.C @ x + TRUE.D @ push + e)
        x = TRUE.A @ x + TRUE.B @ push + TRUE.K @ e
    return torch.stack(made)[None], u[None]


def moments(system: System, lags: int = 5) -> list[Tensor]:
    """Impulse responses to inputs and innovations: what no change of coordinates moves."""
    power, found = torch.eye(system.A.shape[0], dtype=torch.float64), []
    for _ in range(lags):
        found += [system.C @ power @ system.B, system.C @ power @ system.K]
        power = system.A @ power
    return found


def test_canonical_variates_find_the_system() -> None:
    values, inputs = simulated(8000)
    found = canonical_variates(values[0], inputs[0], 6)
    assert found.A.shape == (2, 2)
    expected = torch.linalg.eigvals(TRUE.A).abs()
    torch.testing.assert_close(torch.linalg.eigvals(found.A).abs(), expected, atol=0.02, rtol=0)
    for one, other in zip(moments(found), moments(TRUE), strict=True):
        torch.testing.assert_close(one, other, atol=0.06, rtol=0)
    torch.testing.assert_close(found.D, TRUE.D, atol=0.03, rtol=0)


def test_an_arma_in_innovations_form_has_the_likelihood_of_statsmodels() -> None:
    """ARMA(1,1): A = φ, K = φ + θ, C = 1; statsmodels starts from the stationary distribution, which is forgotten."""
    phi, theta, variance = 0.7, 0.4, 1.5
    y = torch.tensor(np.random.default_rng(0).normal(size=400))
    y[50:53] = math.nan
    model = Subspace(order=1)
    numbers = torch.tensor([[phi, phi + theta, 1.0, math.log(math.sqrt(variance))]], dtype=torch.float64)
    reference = SARIMAX(y.numpy(), order=(1, 0, 1)).filter([phi, theta, variance])
    whole = loglik(model.program, model.coefficients(numbers), model.belief(numbers), y[None, :, None])
    start = loglik(model.program, model.coefficients(numbers), model.belief(numbers), y[None, :40, None])
    late = reference.llf_obs[40:].sum()
    assert float(whole - start) == pytest.approx(late, rel=1e-9)
    one = torch.ones(1, 1, dtype=torch.float64)
    past = Past.of(y[None, :, None])
    state = model.warm_up(model.initial_state(Fitted(numbers, 0 * one, one, one[:, :0], one[:, :0]), past.static), past)
    made, expected = model.predict(state, Future.of(past, 5)), reference.get_forecast(5)
    room = made.mean[0, :, 0] - torch.tensor(expected.predicted_mean)
    assert float(room.abs().max()) < 1e-9
    np.testing.assert_allclose(made.variance[0, :, 0].sqrt(), expected.se_mean, rtol=1e-9)


def test_forecasts_with_inputs_are_nearly_those_of_the_true_system() -> None:
    values, inputs = simulated(1200, seed=3)
    past, future = Past.of(values[:, :800], inputs[:, :800]), Past.of(values[:, 800:], inputs[:, 800:])
    model = Subspace(order=4, channels=2, inputs=1)
    with torch.no_grad():
        state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
        made, _ = model.trace(state, future, Future.of(future, 1, future.inputs[:, :1]))
    error = (made.mean[0, :, 0] - future.values[0]).square().mean(0)
    floor = (TRUE.root @ TRUE.root.T).diagonal()
    assert bool((error < 1.25 * floor).all()), (error, floor)
    low, high = made.interval(0.9)
    inside = ((future.values[0] >= low[0, :, 0]) & (future.values[0] <= high[0, :, 0])).double().mean()
    assert 0.86 < float(inside) < 0.94


def test_the_climb_gains_on_its_start() -> None:
    values, inputs = simulated(300, seed=5)
    model = Subspace(order=2, channels=2, inputs=1)
    past = Past.of(values, inputs)
    with torch.no_grad():
        fitted = model.estimate(past)
    y, u = (
        (values - fitted.loc[:, None]) / fitted.spread[:, None],
        (inputs - fitted.input_loc[:, None]) / fitted.input_spread[:, None],
    )
    start = model.closed_form(y[0], u[0])[None]

    def likelihood(theta: Tensor) -> float:
        state = model.initial_state(fitted._replace(theta=theta), past.static)
        _, forecast = model.follow(state, past, each=True)
        z = (values - forecast.mean) / forecast.variance.sqrt()
        return float(-(z.square() / 2 + forecast.variance.log() / 2)[:, model.needs :].sum())

    assert likelihood(fitted.theta) > likelihood(start)
    assert float(torch.linalg.eigvals(model.system(fitted.theta).A).abs().max()) <= 0.9999 + 1e-9


def test_a_vector_autoregression_is_a_case_of_it() -> None:
    """VAR(1): A = K = Φ, C = I; likelihood late enough for the start to be forgotten, and forecasts, of statsmodels' VARMAX."""
    y = torch.tensor(np.random.default_rng(1).normal(size=(300, 2)))
    y[40:43, 0] = math.nan
    reference = VARMAX(y.numpy(), order=(1, 0), trend="n")
    result = reference.filter([0.5, 0.2, -0.3, 0.4, 1.1, 0.3, 0.8])
    phi, noise = torch.tensor(reference["transition"]), torch.tensor(reference["state_cov"])
    root = torch.linalg.cholesky(noise)
    triangle = torch.tensor([root[0, 0].log(), root[1, 0], root[1, 1].log()], dtype=torch.float64)
    model, one = Subspace(order=2, channels=2), torch.eye(2, dtype=torch.float64)
    theta = torch.cat([phi.flatten(), phi.flatten(), one.flatten(), triangle])[None]
    whole, start = [
        loglik(model.program, model.coefficients(theta), model.belief(theta), y[None, :rows]) for rows in (300, 100)
    ]
    assert float(whole - start) == pytest.approx(result.llf_obs[100:].sum(), rel=1e-9)
    unit, past = torch.ones(1, 2, dtype=torch.float64), Past.of(y[None])
    fitted = Fitted(theta, 0 * unit, unit, unit[:, :0], unit[:, :0])
    made = model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 4))
    expected = result.get_forecast(4)
    np.testing.assert_allclose(made.mean[0].numpy(), expected.predicted_mean, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(made.variance[0].sqrt().numpy(), expected.se_mean, rtol=1e-8)

"""auto_ssm with known inputs: its likelihood, forecasts and components against statsmodels, coefficients found again, inputs left alone."""

import math

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.initialization import Initialization
from statsmodels.tsa.statespace.structural import UnobservedComponents, UnobservedComponentsResults
from torch import Tensor

from forecast.models.auto.bank import Form, bank, driven
from forecast.models.auto.fit import Job, fits, objective_of, tried
from forecast.models.auto.known import input_units, regressors
from forecast.models.auto_ssm import AutoSsm
from forecast.models.decomposition import Components, parts_of
from forecast.models.kalman import Kalman
from forecast.ssm.kalman import advance
from forecast.ssm.structural import LONGEST, Structural
from forecast.types import Future, Past

D = torch.float64
ROWS, HORIZON = 80, 6
NUMBERS = (0.7, 0.2, 0.9, 0.6)  # variances of observation, level and memory, and ρ
FORM = Form(Structural("none", memory=True, regressors=2))


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=D, generator=torch.Generator().manual_seed(seed))


def world(lanes: int = 1, effects: tuple[float, float] = (2.0, 0.0), seed: int = 0) -> tuple[Tensor, Tensor]:
    """A level that wanders, noise and two inputs, in steps and smooth, with these effects: (n T), (n T 2), the horizon among them."""
    rows = ROWS + HORIZON
    u = torch.stack([(draw(lanes, rows, seed=seed) > 1).to(D), 15 + 3 * draw(lanes, rows, seed=seed + 1)], 2)
    y = 100 + draw(lanes, rows, seed=seed + 2) + 0.3 * draw(lanes, rows, seed=seed + 3).cumsum(1)
    return y + u @ torch.tensor(effects, dtype=D), u


def theta() -> Tensor:
    noise, level, short, rho = NUMBERS
    return torch.tensor([[math.log(noise), math.log(level), math.log(short), math.atanh(rho / LONGEST)]], dtype=D)


def reference(x: Tensor, r: Tensor) -> UnobservedComponentsResults:
    """statsmodels with the coefficients in the state, N(0, 1) before the first row."""
    model = UnobservedComponents(x[0].numpy(), "llevel", exog=r[0].numpy(), autoregressive=1, mle_regression=False)
    start = Initialization(4)
    start.set(0, "diffuse")
    start.set(1, "stationary")
    start.set((2, 4), "known", constant=[0, 0], stationary_cov=np.eye(2))
    model.ssm.initialize(start)
    model.ssm.loglikelihood_burn = 0
    noise, level, short, rho = NUMBERS
    return model.smooth([noise, level, short, rho], transformed=True)


def forecast(model: AutoSsm, y: Tensor, u: Tensor) -> Tensor:
    """Medians (n H) after the first ROWS rows."""
    past = Past.of(y[:, :ROWS, None], u[:, :ROWS])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    return model.predict(state, Future.of(past, HORIZON, u[:, ROWS:])).median[..., 0]


def test_likelihood_forecasts_and_components_are_those_of_statsmodels() -> None:
    """At the same parameters, with a gap: exact diffuse level, stationary memory, coefficients with their prior."""
    y, u = world()
    y[0, 20:23] = math.nan
    fit = fits([Job(FORM, y[:, :ROWS], theta(), u[:, :ROWS])], steps=0)[0]._replace(theta=theta())
    x, r = (y - fit.loc[:, None]) / fit.spread[:, None], regressors(fit.inputs, u)
    found = reference(x[:, :ROWS], r[:, :ROWS])
    count = x[:, :ROWS].isfinite().sum(1)
    value = objective_of(FORM.model, x[:, :ROWS], count, x.new_zeros(1), r[:, :ROWS])(theta(), torch.zeros(1, dtype=torch.int64))[0]
    assert -float(value * count) == pytest.approx(found.llf, rel=1e-9)
    made = tried(FORM, fit, y, [ROWS], HORIZON, u)
    ahead = found.get_forecast(HORIZON, exog=r[0, ROWS:].numpy())
    loc, spread = float(fit.loc), float(fit.spread)
    np.testing.assert_allclose(made.mean[0, 0].numpy(), loc + spread * ahead.predicted_mean, rtol=1e-9)
    np.testing.assert_allclose(made.variance[0, 0].numpy(), spread**2 * ahead.var_pred_mean, rtol=1e-8)
    coefs, belief = FORM.begin(theta(), x.new_zeros(1))
    parts, effects = parts_of(FORM.model, belief, x[:, :ROWS], fit.loc[0], fit.spread[0], coefs, r[:, :ROWS])
    states, about = found.smoothed_state, found.smoothed_state_cov
    np.testing.assert_allclose(parts[0][:, 0].numpy(), loc + spread * states[0], rtol=1e-8)
    np.testing.assert_allclose(parts[0][:, -1].numpy(), spread * (r[0, :ROWS].numpy() * states[2:].T).sum(1), atol=1e-7)
    told = np.einsum("tk,kjt,tj->t", r[0, :ROWS], about[2:, 2:], r[0, :ROWS])
    np.testing.assert_allclose(parts[1][:, -1].numpy(), spread * np.sqrt(told), rtol=1e-6)
    np.testing.assert_allclose(effects[:, 0].numpy(), spread * states[2:, -1], rtol=1e-7)
    np.testing.assert_allclose(effects[:, 1].numpy(), spread * np.sqrt(np.diag(about[2:, 2:, -1])), rtol=1e-7)


def test_the_slope_of_the_likelihood_is_its_derivative() -> None:
    """Against differences of the values, of lanes with regressors of their own."""
    y, u = world(3)
    r = regressors(input_units(u, y, y.new_ones(3)), u)
    objective = objective_of(FORM.model, y - 100, y.isfinite().sum(1), y.new_zeros(3), r)
    at, rows, step = theta().repeat(2, 1), torch.tensor([2, 0]), 1e-5
    for p, unit in enumerate(torch.eye(4, dtype=D) * step):
        by_hand = (objective(at + unit, rows)[0] - objective(at - unit, rows)[0]) / (2 * step)
        assert torch.allclose(objective(at, rows)[1][:, p], by_hand, atol=1e-8)


def test_known_coefficients_are_found_with_intervals_that_hold() -> None:
    """Of 300 series 84 to 96 % have each coefficient inside its 90 % interval, and the mean of what was found is the truth."""
    y, u = world(300, (2.0, -0.5))
    form = Form(Structural("none", regressors=2))
    fit = fits([Job(form, y, None, u)])[0]
    coefs, belief = form.begin(fit.theta, fit.drift)
    x = (y - fit.loc[:, None]) / fit.spread[:, None]
    numbers = form.model.with_regressors(coefs, regressors(fit.inputs, u))
    after = advance(form.model.program, numbers, belief, x[..., None]).belief
    unit = fit.spread[:, None] / fit.inputs[:, 1]
    found, deviation = after.mean[:, 1:] * unit, after.covariance[:, [3, 5]].sqrt() * unit
    truth = torch.tensor([2.0, -0.5], dtype=D)
    inside = ((found - truth).abs() < 1.645 * deviation).to(D).mean(0)
    assert bool(((inside > 0.84) & (inside < 0.96)).all()), inside
    assert torch.allclose(found.mean(0), truth, atol=float(4 * deviation.max()) / math.sqrt(300))


def test_inputs_that_drive_a_series_are_used_and_others_left_alone() -> None:
    for effects, least, most in (((8.0, 1.0), 0.0, 0.5), ((0.0, 0.0), 0.9, 1.05)):
        y, u = world(12, effects)
        error = [(forecast(AutoSsm(horizon=HORIZON, inputs=k), y, u[..., :k]) - y[:, ROWS:]).abs().mean() for k in (2, 0)]
        assert least <= float(error[0] / error[1]) <= most, (effects, error)


def test_units_of_the_inputs_do_not_matter() -> None:
    y, u = world(2, (8.0, 1.0))
    model = AutoSsm(horizon=HORIZON, inputs=2)
    moved = u * torch.tensor([1e5, -1e-4], dtype=D) + torch.tensor([-7e5, 3.0], dtype=D)
    assert torch.allclose(forecast(model, y, moved), forecast(model, y, u), rtol=1e-6)


def test_an_input_that_never_changed_has_no_effect() -> None:
    """Whatever it will be."""
    y, u = world(2, (8.0, 0.0))
    u[:, :, 1] = 5.0
    model, later = AutoSsm(horizon=HORIZON, inputs=2), u.clone()
    later[:, ROWS:, 1] = 1e6
    assert torch.equal(forecast(model, y, later), forecast(model, y, u))


def test_rows_without_a_value_say_nothing_of_the_inputs() -> None:
    """Inputs before the first value, and where values are missing, change no forecast."""
    y, u = world(2, (8.0, 1.0))
    y[:, :9] = y[:, 40:44] = math.nan
    model, other = AutoSsm(horizon=HORIZON, inputs=2), u.clone()
    other[:, :9] = other[:, 40:44] = 77.0
    assert torch.equal(forecast(model, y, other), forecast(model, y, u))


def test_without_inputs_the_bank_is_what_it_was() -> None:
    """Saved models know forms by their place."""
    assert AutoSsm(season=12).bank == bank((12,)) and driven(bank(), 0) == ()
    forms, count = AutoSsm(season=12, inputs=3).bank, len(bank((12,)))
    assert forms[:count] == bank((12,)) and all(form.model.regressors == 3 for form in forms[count:])
    assert len({*forms}) == len(forms) > 2 * count


@pytest.mark.parametrize("model", [AutoSsm(trends=("none",), powers=(1.0,), memory=False, inputs=2), Kalman("damped", inputs=2)])
def test_the_contribution_of_the_inputs_is_told(model: AutoSsm | Kalman) -> None:
    """A component with its deviation, and what one unit of each input adds."""
    y, u = world(2, (8.0, 1.0))
    past = Past.of(y[..., None], u)
    for lane, made in enumerate(model.components(model.estimate(past), past)):
        assert isinstance(made, Components) and made.names[-1] == "inputs" and made.effects is not None
        found, deviation = made.effects.unbind(1)
        assert bool(((found - torch.tensor([8.0, 1.0], dtype=D)).abs() < 4 * deviation).all())
        known = ((u[lane] - u[lane].mean(0)) * found).sum(1)
        assert torch.allclose(made.mean[:, -1], known, atol=1e-6)

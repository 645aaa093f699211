"""tbats: seasons together against statsmodels, its criterion against the smoother, what it finds and how it foresees."""

import math

import pytest
import torch
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.errors import InputError
from forecast.models.auto.bank import Form
from forecast.models.auto.fit import fit
from forecast.models.tbats import Tbats, gain
from forecast.ssm.kalman import loglik
from forecast.ssm.season import Season
from forecast.ssm.smoother import smooth
from forecast.ssm.structural import Structural
from forecast.types import Future, Past

D = torch.float64


def two_seasons(rows: int = 700, scale: float = 1.0) -> Tensor:
    """A day of 24 rows with two harmonics and a week of 168 with its first and third, without noise."""
    time = torch.arange(rows, dtype=D)
    day, week = 2 * math.pi * time / 24, 2 * math.pi * time / 168
    return 50 + scale * (4 * day.sin() + 2 * (2 * day).cos() + 3 * week.sin() + 1.5 * (3 * week).cos())


def noise(rows: int, seed: int) -> Tensor:
    return torch.randn(rows, dtype=D, generator=torch.Generator().manual_seed(seed))


def run(model: Tbats, y: Tensor, horizon: int):  # type: ignore[no-untyped-def]
    past = Past.of(y[..., None])
    parameters = model.estimate(past)
    state = model.warm_up(model.initial_state(parameters, past.static), past)
    return parameters, model.predict(state, Future.of(past, horizon))


def test_two_trigonometric_seasons_have_the_likelihood_of_statsmodels() -> None:
    y = two_seasons(90) + noise(90, 1).cumsum(0)
    y[30:33] = math.nan
    model = Structural("none", (Season(6, 2), Season(20, 3)), memory=True)
    sizes, rho = {"irregular": 0.7, "level": 0.2, "6(2)": 0.05, "20(3)": 0.01, "ar": 0.4}, 0.5
    theta = torch.tensor([[*[math.log(v) for v in sizes.values()], math.atanh(rho / 0.98)]], dtype=D)
    start = model.start(1, theta, theta)
    ours = float(loglik(model.program, model.coefficients(theta), start, y[None, :, None]))
    theirs = UnobservedComponents(
        y.numpy(), level="llevel", autoregressive=1, use_exact_diffuse=True,
        freq_seasonal=[{"period": 6, "harmonics": 2}, {"period": 20, "harmonics": 3}],
    )  # fmt: skip
    named = {f"sigma2.freq_seasonal_{word}": v for word, v in sizes.items() if "(" in word}
    named |= {f"sigma2.{word}": v for word, v in sizes.items() if "(" not in word} | {"ar.L1": rho}
    theirs.ssm.loglikelihood_burn = 0
    assert ours == pytest.approx(theirs.loglike([named[name] for name in theirs.param_names]), rel=1e-9)


@pytest.mark.parametrize("trend", ["none", "damped"])
def test_the_likelihood_at_the_likely_start_is_that_of_the_smoother(trend: str) -> None:
    """log p(y | x̂) = log p(y) + log p(x̂ | y) - log p(x̂): mean and covariance of the start given all rows are the smoother's."""
    y = two_seasons(200)[None] + noise(200, 2)
    y[0, 50:60] = math.nan
    form = Form(Structural(trend, (Season(24, 2, 900.0), Season(60, 1, 900.0)), memory=True))
    found = fit(form, y)
    x = ((y - found.loc[:, None]) / found.spread[:, None])[..., None]
    coefs, belief = form.begin(found.theta, found.drift)
    made = smooth(form.model.program, coefs, belief, x)
    block = slice(1 + form.model.sloped, 1 + form.model.sloped + 6)
    mean, covariance = made.mean[0, 0, block], made.covariance[0, 0, block, block]
    expected = 0.5 * (6 * math.log(900.0) - torch.logdet(covariance) + mean.square().sum() / 900.0)
    assert float(gain(form, found, y)) == pytest.approx(float(expected), rel=1e-6)


def test_both_seasons_are_found_and_foreseen() -> None:
    y = two_seasons()[None] + torch.stack([noise(700, 3), noise(700, 4) + 0.05 * noise(700, 5).cumsum(0)])
    model = Tbats(seasons=(24, 168), harmonics=6)
    parameters, made = run(model, y[:, :652], 48)
    seasons = [[(one.length, one.harmonics) for one in model.forms[k].model.seasons] for k in parameters.form.flatten().tolist()]
    assert all(found[0] in ((24, 2), (24, 3)) and found[1] in ((168, 3), (168, 4)) for found in seasons), seasons
    error, naive = (made.median[..., 0] - y[:, 652:]).abs().mean(1), (y[:, 484:532] - y[:, 652:]).abs().mean(1)
    assert bool((error < naive).all()), "better than the values of a week ago"
    assert float((made.median[0, :, 0] - two_seasons()[652:]).abs().mean()) < 0.4


def test_the_ladder_ends_at_the_most_harmonics_that_a_season_has() -> None:
    model = Tbats(seasons=(12, 168), harmonics=9)
    assert model.ladders == ([0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 6, 8, 9])


def test_no_season_is_no_harmonic() -> None:
    model = Tbats(season=12)
    parameters, _ = run(model, torch.stack([noise(200, k).cumsum(0) for k in range(4)]), 3)
    counts = [sum(one.harmonics for one in model.forms[k].model.seasons) for k in parameters.form.flatten().tolist()]
    assert sum(counts) <= 2, counts


def test_a_season_in_proportion_is_on_the_logarithm() -> None:
    time = torch.arange(240, dtype=D)
    y = torch.exp(4 + 0.015 * time + 0.4 * torch.sin(2 * math.pi * time / 12) + 0.05 * noise(240, 6))
    model = Tbats(season=12, powers=(1.0, 0.5, 0.0))
    parameters, made = run(model, torch.stack([y, y - 60]), 12)
    powers = [model.forms[k].power for k in parameters.form.flatten().tolist()]
    assert powers[0] == 0.0 and powers[1] == 1.0, "a series that is not positive has no logarithm"
    assert bool(made.median.isfinite().all())


def test_short_constant_and_missing_series() -> None:
    y = two_seasons(60).repeat(4, 1) + noise(240, 7).reshape(4, 60)
    y[0, :-6], y[1], y[2, ::2], y[3] = math.nan, 3.0, math.nan, math.nan
    _, made = run(Tbats(seasons=(6, 24), harmonics=2), y, 3)
    assert bool(made.median[:3].isfinite().all()) and bool(made.median[3].isnan().all())
    torch.testing.assert_close(made.median[1], torch.full_like(made.median[1], 3.0), rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"trends": ("full",)}, "unknown trend 'full'"), ({"harmonics": 40}, "1 … 36"), ({"powers": ()}, "powers lie between")],
)
def test_options_are_checked(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Tbats(**options)  # type: ignore[arg-type]

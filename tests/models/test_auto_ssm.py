"""auto_ssm: its forms against statsmodels, what it chooses, what it combines, and what it refuses."""

import math

import pytest
import statsmodels.api as sm
import torch
from statsmodels.tsa.statespace.sarimax import SARIMAX
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.errors import InputError
from forecast.models.auto.bank import (
    CALENDAR,
    FEW,
    Form,
    bank,
    drift_of,
    log_slope,
    off_scale,
    on_scale,
    own_season,
    profile_of,
    turning,
    usable,
)
from forecast.models.auto.choose import SLOTS, choose
from forecast.models.auto.fit import Job, fit, fits, objective_of, tried
from forecast.models.auto_ssm import AutoSsm
from forecast.ssm import kalman
from forecast.ssm.kalman import loglik
from forecast.ssm.season import Season
from forecast.ssm.structural import DRIFT, LONGEST, MEAN, Structural
from forecast.types import Future, Past

D = torch.float64


def series(rows: int, seed: int = 0) -> Tensor:
    return torch.randn(rows, dtype=D, generator=torch.Generator().manual_seed(seed))


def forecast(model: AutoSsm, y: Tensor, horizon: int):  # type: ignore[no-untyped-def]
    past = Past.of(y[..., None])
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    return model.predict(state, Future.of(past, horizon))


@pytest.mark.parametrize("season", [1, 4])
def test_a_short_memory_has_the_likelihood_of_statsmodels(season: int) -> None:
    """Level, season and AR(1) at the same parameters, exact diffuse where it is diffuse, with a gap."""
    y = 10 + series(60).cumsum(0) + 2 * torch.sin(torch.arange(60, dtype=D) * math.pi / 2)
    y[20:23] = math.nan
    model = Structural("none", (Season(season),) if season > 1 else (), memory=True)
    noise, level, cycle, short, rho = 0.7, 0.2, 0.05, 0.9, 0.6
    logs = [math.log(v) for v in (noise, level, *[cycle] * (season > 1), short)]
    theta = torch.tensor([[*logs, math.atanh(rho / LONGEST)]], dtype=D)
    start = model.start(1, theta, theta)
    ours = float(loglik(model.program, model.coefficients(theta), start, y[None, :, None]))
    kind = {"irregular": True, "level": True, "stochastic_level": True, "autoregressive": 1}
    theirs = UnobservedComponents(y.numpy(), seasonal=season if season > 1 else None, use_exact_diffuse=True, **kind)
    values = {
        "sigma2.irregular": noise,
        "sigma2.level": level,
        "sigma2.seasonal": cycle,
        "sigma2.ar": short,
        "ar.L1": rho,
    }
    theirs.ssm.loglikelihood_burn = 0
    assert ours == pytest.approx(theirs.loglike([values[name] for name in theirs.param_names]), rel=1e-9)


def test_the_score_of_a_memory_is_that_of_finite_differences() -> None:
    y = series(40).cumsum(0)[None]
    model = Structural("damped", memory=True)
    theta = model.starts(1, y)[0].clone().requires_grad_()

    def value(x: Tensor) -> Tensor:
        return loglik(model.program, model.coefficients(x), model.start(1, y, x), y[..., None])

    (slope,) = torch.autograd.grad(value(theta).sum(), theta)
    for p in range(theta.shape[1]):
        step = torch.zeros_like(theta)
        step[0, p] = 1e-5
        with torch.no_grad():
            numeric = (value(theta + step) - value(theta - step)) / 2e-5
        assert float(slope[0, p]) == pytest.approx(float(numeric), rel=1e-6, abs=1e-7)


def test_a_season_that_walks_is_a_seasonal_moving_average() -> None:
    """y = s + v, s_{t+4} = s_t + w: its seasonal differences are w + v_t - v_{t-4}, statsmodels' (0,0,0)(0,0,1)4."""
    y = series(48).cumsum(0)
    model = Structural(MEAN, (Season(4, walk=True),))
    noise, step = 0.8, 0.3
    theta = torch.tensor([[math.log(noise), math.log(step)]], dtype=D)
    ours = float(loglik(model.program, model.coefficients(theta), model.start(1, theta), y[None, :, None]))
    total = step + 2 * noise
    variance = (total + math.sqrt(total**2 - 4 * noise**2)) / 2
    theirs = SARIMAX((y[4:] - y[:-4]).numpy(), order=(0, 0, 0), seasonal_order=(0, 0, 1, 4), trend="n")
    theirs.ssm.loglikelihood_burn = 0
    expected = theirs.loglike([-noise / variance, variance])
    assert ours == pytest.approx(expected - 4 * 0.5 * math.log(2 * math.pi), rel=1e-9)


def test_a_season_that_grows_is_the_dense_model() -> None:
    """γ_{t+6} = γ_t + c_t + a_t + w, the common part damped and a pair that rotates: likelihood by one joint normal."""
    season, rows, kept = 6, 40, 0.9
    model = Structural(MEAN, (Season(season, walk=True, growth=3, kept=kept),))
    noise, step, grow = 0.5, 0.2, 0.05
    theta = torch.tensor([[math.log(v) for v in (noise, step, grow)]], dtype=D)
    y = series(rows).cumsum(0)
    ours = float(loglik(model.program, model.coefficients(theta), model.start(1, theta), y[None, :, None]))
    # every row as a sum of shocks: seasons of the start free, the rest with known variances
    phi, angle = kept ** (1 / season), 2 * math.pi / season
    names = [("v", t) for t in range(rows)] + [("w", t) for t in range(1, rows)]
    names += [(kind, t) for kind in ("c", "a", "b") for t in range(1, rows)]
    size = {"v": noise, "w": step, "c": grow, "a": grow, "b": grow}
    shocks = torch.zeros(rows, len(names), dtype=D)
    for k, (kind, at) in enumerate(names):
        for t in range(at, rows):
            if kind == "v":
                shocks[t, k] = t == at
            elif kind == "w":
                shocks[t, k] = (t - at) % season == 0
            else:  # what the shock at row `at` has added to row t by the additions at t - s, t - 2s, …
                turned = {
                    "c": lambda lag: 1.0,
                    "a": lambda lag: math.cos(angle * lag),
                    "b": lambda lag: math.sin(angle * lag),
                }
                shocks[t, k] = sum(phi ** (u - at) * turned[kind](u - at) for u in range(t - season, at - 1, -season))
    covariance = shocks @ torch.diag(torch.tensor([size[kind] for kind, _ in names], dtype=D)) @ shocks.T
    free = torch.eye(season, dtype=D).repeat(rows // season + 1, 1)[:rows]
    inverse = torch.linalg.inv(covariance)
    between = free.T @ inverse @ free
    rest = inverse - inverse @ free @ torch.linalg.solve(between, free.T @ inverse)
    expected = -0.5 * (rows * math.log(2 * math.pi) + torch.logdet(covariance) + torch.logdet(between) + y @ rest @ y)
    assert ours == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize(
    "model",
    [
        Structural("damped", (Season(4),), memory=True),
        Structural(MEAN, (Season(4, walk=True, growth=3),), memory=True),
        Structural(DRIFT, (Season(30, 2, 900.0),)),
    ],
)
def test_the_slope_by_hand_is_that_of_autograd(model: Structural) -> None:
    y = torch.stack([series(60, seed).cumsum(0) for seed in (1, 2)])
    y[1, :9] = math.nan
    theta = (model.starts(2, y)[0] + 0.3 * series(2 * model.parameters).reshape(2, -1)).requires_grad_()
    drift, count = torch.tensor([0.1, -0.2], dtype=D), y.isfinite().sum(1)
    start = model.start(2, y, theta, drift)
    value = -loglik(model.program, model.coefficients(theta), start, y[..., None]) / count
    (slope,) = torch.autograd.grad(value.sum(), theta)
    found, by_hand = objective_of(model, y, count, drift)(theta.detach(), torch.arange(2))
    torch.testing.assert_close(found, value.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(by_hand, slope, rtol=1e-9, atol=1e-12)


def test_fits_of_many_forms_together_are_those_of_each_alone() -> None:
    y = 50 + torch.stack([series(70, seed).cumsum(0) for seed in (1, 2)])
    jobs = [
        Job(Form(Structural("none")), y),
        Job(Form(Structural("none"), 0.0), y[:, 20:]),
        Job(Form(Structural("damped")), y),
    ]
    for job, found in zip(jobs, fits(jobs), strict=True):
        alone = fit(job.form, job.y)
        torch.testing.assert_close(found.loglik, alone.loglik, rtol=1e-9, atol=0)
        torch.testing.assert_close(found.theta, alone.theta, rtol=1e-6, atol=1e-6)


def test_a_series_that_keeps_another_time_than_its_panel() -> None:
    """Days of 23 rows among days of 24: each gets its own season, and is foreseen a day and a half ahead."""
    rows = torch.arange(420, dtype=D)
    y = torch.stack([10 + 5 * torch.sin(2 * math.pi * rows / length) for length in (23, 24)]) + 0.05 * torch.stack(
        [series(420, 1), series(420, 2)]
    )
    assert own_season(y[:, :384], 24).tolist() == [23, 24]
    made = forecast(AutoSsm(season=24, seasons=(24, 168), horizon=36), y[:, :384], 36).median[..., 0]
    assert float((made - y[:, 384:]).abs().mean(1).max()) < 0.25


def test_a_peak_of_the_spectrum_is_a_cycle_and_a_walk_has_none() -> None:
    """Sunspots turn in ten to eleven years; walks and noise show a peak in fewer than one of fifty."""
    sunspots = torch.tensor(sm.datasets.sunspots.load_pandas().data["SUNACTIVITY"].to_numpy())[None]
    assert 9.5 < float(turning(sunspots)) < 11.5
    assert float(turning(torch.cat([sunspots.new_full((1, 40), math.nan), sunspots], 1))) == pytest.approx(10.5, abs=1)
    walks = torch.stack([series(150, seed).cumsum(0) for seed in range(100)])
    assert float((turning(walks) > 0).double().mean()) < 0.02 and not bool(turning(walks.diff(dim=1)).any())
    assert not bool(turning(walks[:, :10]).any()) and not bool(turning(0 * walks).any())


def test_a_cycle_is_tried_where_it_is_asked_for() -> None:
    """Turns of 13 rows, no calendar's season: foreseen a turn ahead with a cycle, not without; other series get the same forms as ever."""
    assert bank(cycle=True)[: len(bank())] == bank() and not any(form.model.cycle for form in bank())
    assert not any(form.model.cycle for form in bank((4,), cycle=True))
    y = torch.stack([5 * torch.sin(2 * math.pi * torch.arange(160, dtype=D) / 13) + 0.3 * series(160), series(160, 1).cumsum(0)])
    with_it, without = (forecast(AutoSsm(horizon=13, cycle=cycle), y[:, :147], 13).median[..., 0] for cycle in (True, False))
    error = [(made[0] - y[0, 147:]).abs().mean() for made in (with_it, without)]
    assert float(error[0]) < 1 < float(error[1]), "amplitude 5"
    torch.testing.assert_close(with_it[1], without[1], rtol=0, atol=0)


def test_a_drift_goes_up_by_half_the_slope_of_the_line() -> None:
    """Theta: exponential smoothing with half the slope of the least-squares line (Hyndman & Billah 2003)."""
    y = (5 + 0.8 * torch.arange(40, dtype=D) + series(40))[None]
    form = Form(Structural(DRIFT))
    found = fit(form, y)
    made = tried(form, found, y, [40], 6).mean[0, 0]
    slope = float(torch.tensor(sm.OLS(y[0].numpy(), sm.add_constant(range(40))).fit().params[1]))
    assert float(drift_of(y)) == pytest.approx(slope / 2)
    torch.testing.assert_close(made.diff(), torch.full((5,), slope / 2, dtype=D), rtol=1e-9, atol=0)


def test_few_rows_without_a_season_have_forms_of_their_own() -> None:
    """Undamped and steep below FEW rows, in place of a memory and of level and damped trend on the logarithm; with a season none of it."""
    y = 50 + series(FEW).cumsum(0)[None]
    short = {form.word for form in bank() if bool(usable(form, y[:, 1:]))}
    assert short == {"level", "damped trend", "trend", "drift", "logarithm: drift", "logarithm: steep drift"}
    long = {form.word for form in bank() if bool(usable(form, y))}
    assert long == {form.word for form in bank() if not form.sought and form.most == 0}
    assert not any(form.most or form.least for season in ((4,), (24, 168)) for form in bank(season))
    assert not any(form.most or form.least for form in bank(trends=("none",))), "what is asked for is tried on all series"


def test_a_short_series_that_rises_goes_on_rising() -> None:
    """A line with noise, 20 rows: most of its slope is kept; half of it, as Theta does, would be too little."""
    y = 20 + 2 * torch.arange(26, dtype=D) + torch.stack([series(26, seed) for seed in range(8)])
    made = forecast(AutoSsm(horizon=6), y[:, :20], 6).median[..., 0]
    slope = (made[:, -1] - made[:, 0]) / 5
    assert 1.6 < float(slope.mean()) < 2.2, slope
    assert float((made - y[:, 20:]).abs().mean()) < 1.6


def test_a_steep_drift_goes_up_by_three_quarters_of_the_line() -> None:
    y = (5 + 0.1 * torch.arange(30, dtype=D) + 0.05 * series(30))[None].exp()
    form = next(form for form in bank() if form.share > 0.5)
    made = tried(form, fit(form, y), y, [30], 4).mean[0, 0]
    torch.testing.assert_close(made.diff(), (1.5 * drift_of(y.log())).expand(3), rtol=1e-9, atol=0)


def test_the_score_of_either_engine_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Structural("damped", memory=True)
    y = torch.stack([series(40, seed).cumsum(0) for seed in (1, 2)])
    theta = model.starts(2, y)[0]
    given = model.program, model.coefficients(theta), model.start(2, y, theta), y[..., None]
    ours = kalman.score(*given)
    monkeypatch.setattr(kalman, "engine_for", lambda *_: "torch")
    for one, other in zip(ours, kalman.score(*given), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_a_profile_is_the_weekly_deviation_from_the_day() -> None:
    day = 3 * torch.sin(torch.arange(24, dtype=D) * 2 * math.pi / 24)
    week = torch.zeros(168, dtype=D)
    week[120:] = -4.0  # two days of seven
    y = (day.repeat(35) + week.repeat(5) + 0.1 * series(840))[None]
    form = Form(Structural("none", (Season(24),)), 1.0, 168, 24)
    found = profile_of(form, y)[0]
    expected = week - week.reshape(7, 24).mean(0).repeat(7)
    assert float((found - expected).abs().max()) < 0.6 and float((found - expected).abs().mean()) < 0.15
    noise = profile_of(form, series(840)[None])
    assert float(noise.abs().max()) < 0.5, "a profile that does not repeat is shrunk"


def test_forms_on_the_logarithm_are_for_positive_series() -> None:
    y = torch.stack([series(60).abs() + 1, series(60)])
    form = Form(Structural("none"), 0.0)
    assert usable(form, y).tolist() == [True, False]
    assert form.word == "logarithm: level"


@pytest.mark.parametrize("power", [0.0, 0.5, 0.3])
def test_likelihoods_on_a_scale_are_those_of_the_values(power: float) -> None:
    """Σ log dz/dy by autograd; missing values count nothing."""
    y = (20 + series(60)).requires_grad_()
    form = Form(Structural("none"), power)
    (slope,) = torch.autograd.grad(on_scale(form, y[None]).sum(), y)
    gaps = y.detach().clone()
    gaps[5:9] = math.nan
    found = log_slope(form, torch.stack([y.detach(), gaps]))
    assert float(found[0]) == pytest.approx(float(slope.log().sum()))
    assert float(found[1]) == pytest.approx(float(slope.log().sum() - slope[5:9].log().sum()))
    torch.testing.assert_close(off_scale(form, on_scale(form, y)), y, rtol=1e-12, atol=0)


def test_a_square_of_a_walk_is_seen_by_its_root() -> None:
    """y = z², z a walk with noise: the root has most of the weight, and quantiles are the squares of those of z."""
    walks = torch.stack([40 + (2 * series(300, seed)).cumsum(0) * 0.5 for seed in range(6)])
    walks = walks - walks.amin(1, keepdim=True) + 3
    chosen = choose((Form(Structural("none")), Form(Structural("none"), 0.5), Form(Structural("none"), 0.0)), walks.square(), 12, ())
    weight = torch.stack([torch.where(chosen.form == k, chosen.weight, 0.0).sum(1) for k in range(3)])
    assert int((weight[1] > torch.maximum(weight[0], weight[2])).sum()) >= 5, weight
    roots = AutoSsm(powers=(0.5,), trends=("none",), memory=False, horizon=4)
    plain = AutoSsm(powers=(1.0,), trends=("none",), memory=False, horizon=4)
    for level in (0.05, 0.5, 0.9):
        squared = forecast(roots, walks.square(), 4).quantile(level)
        assert float((squared.sqrt() / forecast(plain, walks, 4).quantile(level) - 1).abs().max()) < 0.15


def test_powers_are_checked() -> None:
    with pytest.raises(InputError, match=r"model.powers=\[2.0\]: powers lie between 0"):
        AutoSsm(powers=(2.0,))


def test_a_random_walk_has_a_level_and_a_stationary_series_has_not() -> None:
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(2, 400, dtype=D, generator=generator)
    forms = (Form(Structural("none")), Form(Structural(MEAN)))
    y = torch.stack([noise[0].cumsum(0), noise[1]])
    chosen = choose(forms, y, 12, ())
    assert int(chosen.form[0, 0]) == 0 and float(chosen.weight[0, 0]) > 0.9
    still = [fit(form, y[1:]).loglik for form in forms]
    assert float(still[1]) == pytest.approx(float(still[0]), abs=2.0), "a level that need not move costs nothing"


def test_growth_in_proportion_is_found_and_foreseen() -> None:
    """Monthly, growing 1 % a month with a season in proportion: the forecast is within a few per cent a year ahead."""
    time = torch.arange(132, dtype=D)
    truth = 100 * torch.exp(0.01 * time + 0.3 * torch.sin(2 * math.pi * time / 12))
    y = truth[:120] * torch.exp(0.01 * series(120))
    made = forecast(AutoSsm(season=12, horizon=12), y[None], 12)
    error = (made.median[0, :, 0] / truth[120:] - 1).abs()
    assert float(error.max()) < 0.06, error


def test_weights_add_up_and_slots_without_a_form_have_none() -> None:
    y = torch.stack([series(50).cumsum(0), torch.full((50,), math.nan, dtype=D)])
    y[1, -3:] = torch.tensor([1.0, 2.0, 3.0], dtype=D)
    chosen = AutoSsm().estimate(Past.of(y[..., None]))
    assert chosen.form.shape == (2, 1, SLOTS)
    assert float(chosen.weight[0].sum()) == pytest.approx(1)
    assert bool((chosen.weight[chosen.form < 0].nan_to_num(0) == 0).all())
    assert bool((chosen.form[1] == -1).all()), "three values: nothing can be chosen"


def test_a_trend_that_would_explode_gets_no_weight() -> None:
    """The last rows double each time: a trend on the logarithm would leave everything ever seen."""
    y = torch.cat([10 + series(60), 10 * 1.35 ** torch.arange(8, dtype=D)])
    made = forecast(AutoSsm(horizon=24), y.clamp(min=1)[None], 24)
    assert float(made.median.max()) < 4 * 10 * 1.35**7


def test_one_wild_reading_moves_a_forecast_little() -> None:
    y = 50 + series(100, 3)
    wild = y.clone()
    wild[-4] = 500.0
    made = [
        float(forecast(AutoSsm(trends=("none",), memory=False, robust=dof), wild[None], 1).median) for dof in (0.0, 8.0)
    ]
    assert abs(made[1] - 50) < 5 and abs(made[1] - 50) <= abs(made[0] - 50) + 1e-9


def test_words_are_checked() -> None:
    with pytest.raises(InputError, match="unknown trend 'dampd'; did you mean 'damped'"):
        AutoSsm(trends=("dampd",))


def test_the_bank_follows_the_seasons() -> None:
    assert len(bank((12,))) < len(bank((24, 168)))
    assert {form.profile for form in bank((24, 168))} == {0, 168}
    assert {form.short for form in bank() if form.sought} == set(CALENDAR)
    assert not any(form.sought for form in bank((12,)))


def test_a_season_that_nobody_stated_is_sought_where_it_shows() -> None:
    """Weekly rows: a year of 52 in the first series, none in the second, too few rows in the third."""
    rows = torch.arange(220, dtype=D)
    y = torch.stack([series(220, seed).cumsum(0) for seed in (1, 2, 3)])
    y[0] = 0.3 * y[0] + 8 * torch.sin(2 * math.pi * rows / 52)
    y[2, :-50] = math.nan
    year = next(form for form in bank() if form.short == 52 and form.power == 1)
    assert usable(year, y).tolist() == [True, False, False]
    made = forecast(AutoSsm(horizon=13), y[:1, :200], 13)
    error = (made.median[0, :, 0] - y[0, 200:213]).abs().mean()
    assert float(error) < 0.5 * float((y[0, 199] - y[0, 200:213]).abs().mean()), "far better than the last value"

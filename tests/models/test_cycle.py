"""A cycle among the components: against statsmodels at the same parameters, its score, what it finds, the laws."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from statsmodels.tsa.statespace.initialization import Initialization
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.errors import InputError
from forecast.models.auto.fit import objective_of
from forecast.models.by_channel import Fitted
from forecast.models.decomposition import Components
from forecast.models.kalman import Kalman
from forecast.ssm import kalman
from forecast.ssm.cycle import KEPT, Cycle
from forecast.ssm.season import Season
from forecast.ssm.smoother import smooth
from forecast.ssm.structural import Structural
from forecast.types import Past
from tests.laws.laws import LAWS, NEEDS, SPARES

D = torch.float64
BOUNDS = (3.0, 40.0)


class Cyclical(Kalman):
    """The member with a cycle, for the laws."""

    @classmethod
    def example(cls) -> Kalman:  # type: ignore[override]
        return Kalman(trend="none", season=4, channels=2, cycle=True, cycle_periods=(5.0, 20.0))


def simulated(period: float, rho: float = 0.97, rows: int = 400, seed: int = 0) -> Tensor:
    """A level that hardly moves, a cycle and noise."""
    rng = np.random.default_rng(seed)
    turn = rho * np.exp(-2j * math.pi / period)
    z, y = 0j, []
    for shock in rng.normal(size=(rows + 200, 4)):
        z = turn * z + complex(*shock[:2])
        y.append(z.real + 0.5 * shock[2])
    return torch.tensor(np.array(y[200:])) + torch.tensor(0.02 * rng.normal(size=rows).cumsum())


def gapped(seed: int, rows: int = 90) -> Tensor:
    y = simulated(11.0, rows=rows, seed=seed).clone()
    y[6:][torch.rand(rows - 6, generator=torch.Generator().manual_seed(seed)) < 0.15] = math.nan
    y[40:47] = math.nan
    return y


def parameters(rho: float, period: float, variances: list[float], bounds: tuple[float, float] = BOUNDS) -> Tensor:
    """θ (1 P) of a local level with perhaps a season, and a cycle."""
    share = math.log(bounds[1] / period) / math.log(bounds[1] / bounds[0])
    shapes = [math.log(rho / (KEPT - rho)), math.log(share / (1 - share))]
    return torch.tensor([[math.log(v) for v in variances] + shapes], dtype=D)


def peer(y: Tensor, season: int = 0) -> Any:
    """Theirs starts the cycle diffuse; here it is told to start from its stationary distribution."""
    options: dict[str, Any] = {"seasonal": season} if season else {}
    model = UnobservedComponents(
        y.numpy(), "llevel", cycle=True, stochastic_cycle=True, damped_cycle=True, use_exact_diffuse=True, **options
    )
    start = Initialization(model.k_states)
    start.set((0, model.k_states - 2), "diffuse")
    start.set((model.k_states - 2, model.k_states), "stationary")
    model.ssm.initialization = start
    model.ssm.loglikelihood_burn, model.ssm.tolerance = 0, 0.0
    return model


def theirs(y: Tensor, season: int, rho: float, period: float, variances: list[float]) -> Any:
    return peer(y, season).smooth([*variances, 2 * math.pi / period, rho])


@pytest.mark.parametrize("season", [0, 4])
@pytest.mark.parametrize(("rho", "period"), [(0.6, 4.0), (0.9, 11.0), (0.99, 25.0)])
def test_likelihood_filter_and_smoother_are_those_of_statsmodels(season: int, rho: float, period: float) -> None:
    variances = [0.4, 0.05, *([0.02] if season else []), 0.8]
    y = gapped(season)
    model = Structural("none", (Season(season),) if season else (), cycle=Cycle(*BOUNDS))
    theta = parameters(rho, period, variances)
    start, coefs = model.start(1, theta, theta), model.coefficients(theta)
    found = theirs(y, season, rho, period, variances)
    for engine in kalman.ENGINES:
        done = kalman.advance(model.program, coefs, start, y[None, :, None], engine=engine)
        assert float(done.loglik[0]) == pytest.approx(found.llf_obs.sum(), rel=1e-10)
        late = slice(12, None)  # past the exact diffuse rows
        np.testing.assert_allclose(done.mean[0, late, 0], found.filter_results.forecasts[0, late], rtol=0, atol=1e-8)
        np.testing.assert_allclose(
            done.variance[0, late, 0], found.filter_results.forecasts_error_cov[0, 0, late], rtol=1e-8
        )
    made, states = smooth(model.program, coefs, start, y[None, :, None]), dict(model.components)
    at = states["cycle"][0]
    np.testing.assert_allclose(made.mean[0, :, at], found.cycle.smoothed, atol=1e-8)
    np.testing.assert_allclose(made.covariance[0, :, at, at], found.cycle.smoothed_cov, rtol=1e-7)
    np.testing.assert_allclose(made.mean[0, :, 0], found.level.smoothed, atol=1e-8)


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("trend", ["none", "damped"])
def test_the_chain_rule_is_autograd_is_finite_differences(trend: str, memory: bool) -> None:
    model = Structural(trend, (Season(4),), memory=memory, cycle=Cycle(*BOUNDS))
    y = gapped(3)[None]
    count, rows = y.isfinite().sum(1), torch.zeros(1, dtype=torch.int64)
    objective = objective_of(model, y, count, y.new_zeros(1))
    theta = 0.3 * torch.randn(1, model.parameters, dtype=D, generator=torch.Generator().manual_seed(1))
    value, slope = objective(theta.clone(), rows)
    free = theta.clone().requires_grad_()
    belief = model.start(1, y, free)
    other = -kalman.loglik(model.program, model.coefficients(free), belief, y[..., None]).sum() / float(count)
    (taped,) = torch.autograd.grad(other, free)
    torch.testing.assert_close(value[0], other.detach(), rtol=1e-12, atol=0)
    torch.testing.assert_close(slope, taped, rtol=1e-9, atol=1e-11)
    for p in range(model.parameters):
        step = torch.zeros_like(theta)
        step[0, p] = 1e-5
        up, down = objective(theta + step, rows)[0], objective(theta - step, rows)[0]
        assert float(slope[0, p]) == pytest.approx(float(up - down) / 2e-5, rel=1e-6, abs=1e-9)


@pytest.fixture(scope="module")
def told() -> list[Components]:
    """Three simulated cycles, of 5, 11 and 25 rows, and what a fit says of them."""
    past = Past.of(torch.stack([simulated(period, seed=int(period)) for period in (5.0, 11.0, 25.0)])[..., None])
    model = Kalman(trend="none", cycle=True)
    return model.components(model.estimate(past), past)


def test_a_fit_finds_the_period(told: list[Components]) -> None:
    """Within three standard errors of an autoregression's root: √((1 - ρ²) / rows), of the frequency as of ρ."""
    error = 3 * math.sqrt((1 - 0.97**2) / 400)
    for period, one in zip((5.0, 11.0, 25.0), told, strict=True):
        facts = dict(one.facts)
        assert one.names == ("level", "cycle")
        found = float(facts["period of the cycle"].removesuffix(" rows"))
        assert 2 * math.pi / found == pytest.approx(2 * math.pi / period, abs=error)
        rho, half = facts["damping ρ of the cycle"].split(", half-life ")
        assert float(rho) == pytest.approx(0.97, abs=error)
        assert float(half.removesuffix(" rows")) == pytest.approx(math.log(0.5) / math.log(float(rho)), rel=0.02)


def test_no_start_of_statsmodels_climbs_higher_on_sunspots() -> None:
    """Its maximum from the frequency of 11 years, in the same units, is not above ours."""
    table = pd.read_csv(Path(__file__).parents[2] / "data" / "sunspots.csv")
    y = torch.tensor(table.iloc[:, -1].to_numpy(dtype=float))
    model = Kalman(trend="none", cycle=True)
    fitted = model.estimate(Past.of(y[None, :, None]))
    seen = model.seen(Past.of(y[None, :, None]))
    ours = float(model.likelihood(fitted.theta[0], seen.values, seen.regressors)) * len(y)
    best = peer(seen.values[0]).fit([0.05, 0.05, 0.5, 2 * math.pi / 11, 0.9], disp=False, maxiter=500)
    assert ours >= best.llf - 0.01
    period = float(2 * math.pi / model.model.cycle.held(model.model.of_cycle(fitted.theta[0]))[1])  # type: ignore[union-attr]
    assert period == pytest.approx(2 * math.pi / best.params[3], rel=0.02) and 10 < period < 12


def test_without_a_cycle_nothing_is_other() -> None:
    plain, told = Kalman(trend="full", season=4), Structural("full", (Season(4),))
    assert plain.model == told and plain.model.cycle is None and told.parameters == 4 and told.places == []
    assert len(told.starts(1, torch.zeros(1, 1, dtype=D))) == 2


def test_components_need_the_start_of_the_cycle() -> None:
    """At the parameters of the simulation the smoothed cycle is that of statsmodels, from the first row on."""
    y, variances = gapped(5), [0.4, 0.05, 0.8]
    one = torch.ones(1, 1, dtype=D)
    fitted = Fitted(parameters(0.9, 11.0, variances)[None], 0 * one, one, one[:, :0], one[:, :0])
    made = Kalman(trend="none", cycle=True, cycle_periods=BOUNDS).components(fitted, Past.of(y[None, :, None]))[0]
    found = theirs(y, 0, 0.9, 11.0, variances)
    np.testing.assert_allclose(made.mean[:, 1], found.cycle.smoothed, atol=1e-8)
    np.testing.assert_allclose(made.deviation[:, 1] ** 2, found.cycle.smoothed_cov, rtol=1e-7)


@pytest.mark.parametrize("periods", [(1.5, 12.0), (12.0, 12.0), (3.0, math.inf), (math.nan, 12.0)])
def test_bounds_that_cannot_be_are_said(periods: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="the least is 2 or more, the most is larger"):
        Kalman(cycle=True, cycle_periods=periods)


BOUND = [law for law in LAWS if NEEDS.get(law) is None or (NEEDS[law] in Cyclical.traits and SPARES[law] not in Cyclical.traits)]


@pytest.mark.parametrize("law", BOUND)
def test_law(law: str) -> None:
    with torch.no_grad():
        LAWS[law](Cyclical)

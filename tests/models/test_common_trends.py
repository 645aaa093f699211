"""Common trends: likelihood and forecasts of statsmodels' exact diffuse filter, shared roots found again, errors that do not part."""

import math

import numpy as np
import pytest
import torch
from statsmodels.tsa.statespace.initialization import Initialization
from statsmodels.tsa.statespace.mlemodel import MLEModel
from torch import Tensor

from forecast.errors import InputError
from forecast.models.by_channel import Fitted
from forecast.models.common_trends import CommonTrends
from forecast.models.dynamic_factor import DynamicFactor
from forecast.ssm.kalman import loglik
from forecast.ssm.program import matrices
from forecast.types import Future, Past

D = torch.float64


def simulated(
    rows: int,
    trends: int,
    channels: int,
    seed: int,
    drift: float = 0.5,
    own: float = 1.0,
    first: float = 1.0,
    phi: float = 0.4,
) -> Tensor:
    """Random walks with drift that channels share, and disturbances with a memory (1 T C)."""
    generator = torch.Generator().manual_seed(seed)
    walks = (drift + torch.randn(rows, trends, generator=generator, dtype=D)).cumsum(0)
    load = torch.randn(channels, trends, generator=generator, dtype=D) + first * torch.eye(channels, trends, dtype=D)
    noise, state = torch.randn(rows, channels, generator=generator, dtype=D), torch.zeros(channels, dtype=D)
    path = []
    for row in noise:
        state = phi * state + own * row
        path.append(state)
    return (walks @ load.T + torch.stack(path))[None]


@pytest.mark.parametrize(("trends", "slope"), [(1, "drift"), (2, "none"), (2, "full")])
def test_statsmodels_at_the_same_parameters(trends: int, slope: str) -> None:
    y = simulated(60, trends, 3, 1) / 10
    y[0, 10:14, 1], y[0, 30], y[0, 0, 2] = math.nan, math.nan, math.nan
    model = CommonTrends(trends=trends, slope=slope, season=4, harmonics=1, channels=3)
    theta = model.closed_form(y[0].nan_to_num(0.0), y[0, :, :0])[None]
    belief = model.belief(theta)
    F, Q, H, R = (part[0].numpy() for part in matrices(model.program, model.coefficients(theta)))
    m = model.program.size
    reference = MLEModel(y[0].numpy(), k_states=m, k_posdef=m)
    reference["design"], reference["transition"], reference["state_cov"], reference["selection"] = H, F, Q, np.eye(m)
    reference["obs_cov"] = np.diag(R)
    start, ends = Initialization(m), m - 3
    known = np.diag(np.diagonal(np.asarray(_dense(belief.covariance[0], m)))[:ends])
    start.set((0, ends), "known", constant=np.zeros(ends), stationary_cov=known)
    start.set((ends, m), "diffuse")
    reference.ssm.initialization = start
    reference.ssm.filter_univariate = True
    result = reference.ssm.filter()
    found = loglik(model.program, model.coefficients(theta), belief, y)
    assert float(found[0]) == pytest.approx(float(result.llf_obs.sum()), rel=1e-9)
    one = torch.ones(1, 3, dtype=D)
    fitted = Fitted(theta, 0 * one, one, one[:, :0], one[:, :0])
    past = Past.of(y)
    made = model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 6))
    a, P = result.predicted_state[:, -1], result.predicted_state_cov[:, :, -1]
    for lead in range(6):
        np.testing.assert_allclose(made.mean[0, lead].numpy(), H @ a, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(made.variance[0, lead].numpy(), np.diagonal(H @ P @ H.T), rtol=1e-7)
        a, P = F @ a, F @ P @ F.T + Q


def _dense(triangle: Tensor, m: int) -> Tensor:
    i, j = torch.triu_indices(m, m)
    full = torch.zeros(m, m, dtype=triangle.dtype)
    full[i, j] = triangle
    return full


def test_loadings_are_found_and_what_is_shared_does_not_part() -> None:
    """One trend in four channels: ratios of loadings, and the spread of a difference without a trend, that does not grow."""
    generator = torch.Generator().manual_seed(3)
    walk = (0.3 + torch.randn(300, 1, generator=generator, dtype=D)).cumsum(0)
    load = torch.tensor([[1.0, 2.0, -1.0, 0.5]], dtype=D)
    y = (walk * load + torch.randn(300, 4, generator=generator, dtype=D))[None]
    model, past = CommonTrends(channels=4), Past.of(y)
    with torch.no_grad():
        fitted = model.estimate(past)
        made = model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 60))
    _, _, phi, _, read, _ = model._parts(fitted.theta)
    sizes = read[0] * fitted.spread[0]
    torch.testing.assert_close(sizes / sizes[0], load[0], rtol=0.1, atol=0)
    assert float(phi.abs().max()) < 0.3
    slope = float((made.mean[0, -1, 0] - made.mean[0, 0, 0]) / 59)
    assert slope == pytest.approx(float((walk[-1] - walk[0]) / 299), abs=0.02)
    assert float(made.variance[0, -1, 0] / made.variance[0, 0, 0]) > 10
    apart = made.mean[0, :, 1] - 2 * made.mean[0, :, 0]
    assert float((apart - apart[0]).abs().max()) < 0.5, "the combination without a trend stays"


def test_the_climb_is_not_left_below_the_truth() -> None:
    y = simulated(250, 2, 4, 4, drift=0.0, own=0.5)
    model, past = CommonTrends(trends=2, slope="none", channels=4), Past.of(y)
    with torch.no_grad():
        fitted = model.estimate(past)
    scaled = (y - fitted.loc[:, None]) / fitted.spread[:, None]
    start = model.closed_form(scaled[0], scaled[0, :, :0])[None]
    value = [float(loglik(model.program, model.coefficients(t), model.belief(t), scaled)) for t in (fitted.theta, start)]
    assert value[0] > value[1] + 1


def test_the_better_end_of_two_climbs_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three trends in five channels: from the closed form the climb ends 14 nats below where it ends from disturbances without a memory."""
    y = simulated(120, 3, 5, 1, drift=0.0, first=0.0, phi=0.5)
    model, past = CommonTrends(trends=3, slope="none", channels=5), Past.of(y)

    def height() -> float:
        with torch.no_grad():
            fitted = model.estimate(past)
        scaled = (y - fitted.loc[:, None]) / fitted.spread[:, None]
        begin = model.closed_form(scaled[0], scaled[0, :, :0])
        found = loglik(model.program, model.coefficients(fitted.theta), model.belief(fitted.theta), scaled)
        return float(found[0] - model.prior * (fitted.theta[0] - begin).square().sum() / 2)

    both, starts = height(), CommonTrends.starts
    alone = []
    for k in range(2):
        monkeypatch.setattr(CommonTrends, "starts", lambda self, theta, k=k: starts(self, theta)[k : k + 1])
        alone.append(height())
    assert alone[1] > alone[0] + 5 and both == pytest.approx(max(alone), rel=1e-9)


def test_a_neighbour_tells_a_trend_that_is_not_seen() -> None:
    y = simulated(200, 1, 3, 5, own=0.3)
    hidden = y.clone()
    hidden[0, 160:, 0] = math.nan
    model, past = CommonTrends(channels=3), Past.of(hidden)
    with torch.no_grad():
        state = model.initial_state(model.estimate(Past.of(y[:, :160])), past.static)
        made, _ = model.trace(state, past, Future.of(past, 1))
    error = (made.mean[0, 160:, 0, 0] - y[0, 160:, 0]).square().mean().sqrt()
    assert float(error) < 0.25 * float((y[0, 160:, 0] - y[0, 159, 0]).square().mean().sqrt())


def test_a_channel_that_comes_late_or_never() -> None:
    y = simulated(120, 1, 3, 6)
    y[0, :, 0], y[0, :60, 2] = math.nan, math.nan
    model, past = CommonTrends(channels=3), Past.of(y)
    with torch.no_grad():
        made = model.predict(model.warm_up(model.initial_state(model.estimate(past), past.static), past), Future.of(past, 3))
    assert bool(made.mean[..., 0].isnan().all()) and bool(made.mean[..., 1:].isfinite().all())


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="unknown slope 'fixed'"):
        CommonTrends(slope="fixed", channels=2)
    with pytest.raises(InputError, match="at least one common trend"):
        CommonTrends(trends=0, channels=2)
    assert CommonTrends(trends=5, channels=2).trends == 2
    assert isinstance(CommonTrends(channels=2), DynamicFactor)

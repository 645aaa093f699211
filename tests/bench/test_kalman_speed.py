"""Speed of the Kalman engine: updates per CPU-second on one thread, the peer statsmodels beside it. No time is
asserted.

Model: level, slope, dummy season (state 2, 13, 25 as statsmodels counts), own parameters per series, 10 % missing.
Run alone: python -m pytest tests/bench/test_kalman_speed.py -q -s
"""

import math
import time
from collections.abc import Callable

import pytest
import torch
from statsmodels.tsa.statespace.structural import UnobservedComponents
from torch import Tensor

from forecast.models.kalman import Kalman
from forecast.ssm import kalman
from forecast.ssm.fit import minimise
from forecast.ssm.structural import Season, Structural
from forecast.types import Past, take

pytestmark = pytest.mark.slow
D = torch.float64


def cpu(work: Callable[[], object], rounds: int = 3) -> float:
    """Least CPU-seconds of a few rounds, after one that compiles."""
    work()
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return min(spent)


def series(count: int, rows: int, season: int, missing: float = 0.1) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    y = torch.randn(count, rows, dtype=D, generator=generator).cumsum(1) + torch.randn(
        count, rows, dtype=D, generator=generator
    )
    phase = torch.rand(count, 1, dtype=D, generator=generator) * 2 * math.pi
    y = y + 3 * torch.sin(torch.arange(rows, dtype=D) * 2 * math.pi / max(season, 2) + phase)
    y[torch.rand(y.shape, generator=generator) < missing] = math.nan
    return y[..., None]


def structural(season: int) -> Structural:
    return Structural("full", (Season(season),) if season else ())


def theta(model: Structural, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    start = torch.tensor([[1.0, 0.5, 0.01, 0.1][: model.parameters]], dtype=D).log()
    return start + 0.3 * torch.randn(count, model.parameters, dtype=D, generator=generator)


@pytest.mark.parametrize("season", [0, 12, 24])
def test_likelihood_and_score(season: int, record_property: Callable[[str, object], None]) -> None:
    model, y = structural(season), series(1000, 500, season)
    at, start = theta(model, 1000), model.start(1000, y)
    updates = y.shape[0] * y.shape[1] / 1e6
    rate = updates / cpu(lambda: kalman.loglik(model.program, model.coefficients(at), start, y))

    def score() -> None:
        free = at.clone().requires_grad_()
        torch.autograd.grad(kalman.loglik(model.program, model.coefficients(free), start, y).sum(), free)

    with_score = updates / cpu(score)
    peer = UnobservedComponents(y[0, :, 0].numpy(), "lltrend", seasonal=season or None)
    peer_rate = y.shape[1] / 1e6 / cpu(lambda: peer.loglike(at[0].exp().numpy()), 5)
    state = 2 + max(season - 1, 0)
    print(
        f"\nstate {state}: likelihood {rate:.1f} M updates/CPU-s, with score {with_score:.1f}, "
        f"statsmodels {peer_rate:.3f}, x{rate / peer_rate:.0f}"
    )
    record_property("likelihood_M_per_cpu_s", rate)
    record_property("score_M_per_cpu_s", with_score)


@pytest.mark.parametrize("season", [0, 12])
def test_one_long_series(season: int, record_property: Callable[[str, object], None]) -> None:
    model, y = structural(season), series(1, 100_000, season)
    at, start = theta(model, 1), model.start(1, y)
    rate = 0.1 / cpu(lambda: kalman.loglik(model.program, model.coefficients(at), start, y))
    print(f"\none series of 100,000, season {season}: {rate:.2f} M updates/CPU-s")
    record_property("likelihood_M_per_cpu_s", rate)


def test_fit(record_property: Callable[[str, object], None]) -> None:
    model, y = structural(12), series(1000, 200, 12)
    start, seen = model.start(1000, y), y.isfinite().sum((1, 2))

    def objective(x: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        x = x.detach().requires_grad_()
        value = -kalman.loglik(model.program, model.coefficients(x), take(start, rows), y[rows]) / seen[rows]
        (slope,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), slope

    low, high = model.bounds(y)
    begin = time.process_time()
    end = minimise(objective, model.starts(1000, y)[0], low, high)
    spent = time.process_time() - begin
    gaps = []
    for s in range(4):
        peer = UnobservedComponents(y[s, :, 0].numpy(), "lltrend", seasonal=12, use_exact_diffuse=True)
        peer.ssm.loglikelihood_burn = 0
        gaps.append(float(-end.value[s] * seen[s]) - peer.fit(disp=False, maxiter=200).llf)
    print(
        f"\nfit 1000 x 200, state 13: {spent:.2f} CPU-s, {end.evaluations / 1000:.1f} evaluations, "
        f"llf less statsmodels' {[round(float(gap), 5) for gap in gaps]}"
    )
    record_property("cpu_s", spent)


@pytest.mark.parametrize("season", [1, 12])
@pytest.mark.parametrize("count", [1, 10_000])
def test_live_step(season: int, count: int, record_property: Callable[[str, object], None]) -> None:
    model, y = Kalman("full", season), series(count, 60, season)
    few = model.estimate(Past.of(y[:1]))
    past = Past.of(y)
    fitted = take(few, torch.zeros(count, dtype=torch.int64))
    state = model.warm_up(model.initial_state(fitted, past.static), past)
    row = next(past.rows(59, 60).each())
    spent = cpu(lambda: [model.step(state, row) for _ in range(10)], 5) / 10
    print(f"\nstep of {count} series, season {season}: {spent * 1e3:.3f} ms")
    record_property("ms", spent * 1e3)

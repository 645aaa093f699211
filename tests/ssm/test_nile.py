"""The Nile by every stated convention, and Koopman's ten points: published and measured values.

Sources: Durbin & Koopman (2012), §2.2 and §7.2.5; statsmodels' own tests (Stata, KFAS 1.3.1); Koopman (1997).
"""

import math

import pytest
import statsmodels.api as sm
import torch
from torch import Tensor

from forecast.ssm import kalman
from forecast.ssm.belief import fresh
from forecast.ssm.program import Builder, Program
from forecast.ssm.smoother import smooth

D = torch.float64


def local_level() -> Program:
    b = Builder()
    level = b.states()
    noise, drift = b.numbers(), b.numbers()
    b.noise(level, level, drift)
    b.read(level)
    b.observation_noise(noise)
    return b.program()


def nile() -> Tensor:
    return torch.tensor(sm.datasets.nile.load_pandas().data.volume.to_numpy(dtype=float))[None, :, None]


PROGRAM, VARIANCES = local_level(), torch.tensor([[15099.0, 1469.1]], dtype=D)
ZERO, ONE = torch.zeros(1, 1, 1, dtype=D), torch.ones(1, 1, dtype=D)
DIFFUSE = fresh(torch.zeros(1, 1, dtype=D), ZERO, ONE)


@pytest.fixture(params=kalman.ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def known(variance: float):  # type: ignore[no-untyped-def]
    return fresh(torch.zeros(1, 1, dtype=D), ZERO + variance, 0 * ONE)


def test_exact_diffuse_counts_the_constant_of_every_observation(engine: str) -> None:
    loglik = float(kalman.loglik(PROGRAM, VARIANCES, DIFFUSE, nile(), engine=engine))
    assert loglik == pytest.approx(-633.4645636, abs=5e-8)
    assert loglik + 0.5 * math.log(2 * math.pi) == pytest.approx(
        -632.5456251, abs=5e-8
    )  # KFAS leaves the diffuse one out


@pytest.mark.parametrize(("variance", "expected"), [(1e7, -641.5855785), (1e9, -643.8268), (1e15, -650.7340)])
def test_a_large_first_variance_gives_another_number_for_each_variance(
    engine: str, variance: float, expected: float
) -> None:
    loglik = float(kalman.loglik(PROGRAM, VARIANCES, known(variance), nile(), engine=engine))
    assert loglik == pytest.approx(expected, abs=6e-8 if variance == 1e7 else 6e-5)


def test_a_first_state_before_the_first_row(engine: str) -> None:
    """R's dlm: C₀ = 1e7 at row 0; its 549.6917895 is -LL without n/2 log 2π. MARSS: x₀ estimated, 1111.79 at row 0."""
    loglik = float(kalman.loglik(PROGRAM, VARIANCES, known(1e7 + 1469.1), nile(), engine=engine))
    assert -loglik - 50 * math.log(2 * math.pi) == pytest.approx(549.6917895, abs=6e-8)
    start = fresh(torch.full((1, 1), 1111.79, dtype=D), ZERO + 1381.15, 0 * ONE)
    variances = torch.tensor([[15135.8, 1381.15]], dtype=D)
    assert float(kalman.loglik(PROGRAM, variances, start, nile(), engine=engine)) == pytest.approx(-637.7569, abs=5e-5)


def test_filtered_and_forecast(engine: str) -> None:
    belief = kalman.advance(PROGRAM, VARIANCES, DIFFUSE, nile(), engine=engine).belief
    assert float(belief.mean) == pytest.approx(798.3702926, abs=5e-8)
    assert float(belief.covariance) == pytest.approx(4032.1579418, abs=5e-8)
    mean, variance = kalman.ahead(PROGRAM, VARIANCES, belief, 10, engine=engine)
    assert (mean - 798.3702926).abs().max() < 5e-8
    assert float(variance[0, 0].sqrt()) == pytest.approx(143.5279, abs=5e-5)
    assert float(variance[0, 9].sqrt()) == pytest.approx(183.9080, abs=5e-5)


def test_smoothed() -> None:
    made = smooth(PROGRAM, VARIANCES, DIFFUSE, nile())
    assert float(made.mean[0, 0]) == pytest.approx(1111.6683191, abs=5e-8)
    assert float(made.covariance[0, 0]) == pytest.approx(4032.15794, abs=5e-6)
    assert float(made.mean[0, 27]) == pytest.approx(999.5852187, abs=5e-8)
    assert float(made.covariance[0, 27]) == pytest.approx(2326.7569581, abs=5e-8)


def test_gaps(engine: str) -> None:
    y = nile()
    y[:, 20:40] = y[:, 60:80] = math.nan
    assert float(kalman.loglik(PROGRAM, VARIANCES, DIFFUSE, y, engine=engine)) == pytest.approx(-381.5060013, abs=5e-8)
    made = smooth(PROGRAM, VARIANCES, DIFFUSE, y)
    assert float(made.mean[0, 29]) == pytest.approx(903.4211, abs=5e-5)
    assert float(made.covariance[0, 29]) == pytest.approx(9715.0059, abs=5e-5)
    assert float(made.mean[0, 69]) == pytest.approx(837.1773, abs=5e-5)


def test_koopman_ten_points(engine: str) -> None:
    """KFAS 1.3.1 says -23.0163218509, without the constant of the diffuse observation."""
    y = torch.ones(1, 10, 1, dtype=D)
    y[0, 0] = 10.2394
    variances = torch.tensor([[1.993, 8.253]], dtype=D)
    assert float(kalman.loglik(PROGRAM, variances, DIFFUSE, y, engine=engine)) == pytest.approx(
        -23.0163218509366 - 0.5 * math.log(2 * math.pi), abs=5e-9
    )
    ahead = kalman.advance(PROGRAM, variances, DIFFUSE, y[:, :2], engine=engine)
    assert float(ahead.variance[0, 1]) == pytest.approx(10.246 + 1.993, abs=1e-12)


def test_maximum_of_the_first_derivatives() -> None:
    """At the published variances the score of the log variances is zero to the accuracy of their digits."""
    theta = VARIANCES.log().requires_grad_()
    (score,) = torch.autograd.grad(kalman.loglik(PROGRAM, theta.exp(), DIFFUSE, nile(), engine="numba").sum(), theta)
    assert score.abs().max() < 2e-3

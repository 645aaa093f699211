"""Extended and unscented filter: exact where the model is linear, and the discretisation against its definition."""

import math

import pytest
import torch
from scipy.integrate import quad_vec

from forecast.ssm import general, kalman
from forecast.ssm.belief import fresh, unpack
from forecast.ssm.continuous import discretise, discretise_input
from forecast.ssm.nonlinear import Approximation, Model, Moments, filter_rows, linearised, unscented

D = torch.float64
pytestmark = pytest.mark.filterwarnings(
    "ignore:.*torch.jit.script:DeprecationWarning"
)  # torch's own, on first use of jacfwd


@pytest.mark.parametrize("by", [linearised, unscented])
def test_a_linear_model_is_the_kalman_filter(by: Approximation) -> None:
    generator = torch.Generator().manual_seed(1)
    m, channels = 4, 2
    F = 0.4 * torch.randn(m, m, dtype=D, generator=generator)
    H = torch.randn(channels, m, dtype=D, generator=generator)
    G = torch.randn(m, 2, dtype=D, generator=generator)
    R = torch.tensor([[1.0, 0.4], [0.4, 0.8]], dtype=D)
    y = torch.randn(3, 25, channels, dtype=D, generator=generator)
    y[torch.rand(y.shape, generator=generator) < 0.2] = math.nan
    model = Model(lambda x: F @ x, lambda x: H @ x, G @ G.T, R)
    eye = torch.eye(m, dtype=D).expand(3, m, m)
    belief, loglik = filter_rows(model, Moments(torch.zeros(3, m, dtype=D), eye), y, by)
    plain = general.decorrelate(y, H.expand(3, -1, -1), R.expand(3, -1, -1))
    rows = [x.expand(3, 25, m, m) for x in (F, G @ G.T)]
    coefs = general.coefficients(*rows, plain.H, plain.R)
    start = fresh(torch.zeros(3, m, dtype=D), eye.clone(), torch.zeros(m, m, dtype=D), channels)
    done = kalman.advance(general.program_of(m, channels), coefs, start, plain.values, engine="torch")
    torch.testing.assert_close(loglik, done.loglik, rtol=1e-10, atol=0)
    torch.testing.assert_close(belief.mean, done.belief.mean, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(belief.factor @ belief.factor.mT, unpack(done.belief.covariance), rtol=1e-9, atol=1e-12)


def test_unscented_moments_of_a_square() -> None:
    """x ~ N(1, 4): E x² = 5; the extended filter says 1."""
    belief = Moments(torch.ones(1, 1, dtype=D), torch.full((1, 1, 1), 2.0, dtype=D))
    assert float(unscented(lambda x: x**2, belief)[0]) == pytest.approx(5.0, abs=1e-12)
    assert float(linearised(lambda x: x**2, belief)[0]) == 1.0


def test_discretisation_is_its_integral() -> None:
    generator = torch.Generator().manual_seed(2)
    A = torch.randn(3, 3, dtype=D, generator=generator)
    G = torch.randn(3, 2, dtype=D, generator=generator)
    B = torch.randn(3, 2, dtype=D, generator=generator)
    span = 0.7
    F, Q = discretise(A, G @ G.T, torch.tensor(span, dtype=D))

    def grown(s: float) -> torch.Tensor:
        return torch.matrix_exp(A * s)

    exact, _ = quad_vec(lambda s: (grown(s) @ G @ G.T @ grown(s).T).numpy(), 0, span, epsabs=1e-13)
    held, _ = quad_vec(lambda s: (grown(s) @ B).numpy(), 0, span, epsabs=1e-13)
    torch.testing.assert_close(F, grown(span))
    torch.testing.assert_close(Q, torch.from_numpy(exact), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(
        discretise_input(A, B, torch.tensor(span, dtype=D))[1], torch.from_numpy(held), rtol=1e-10, atol=1e-12
    )


def test_two_spans_are_one_long_span() -> None:
    A = torch.tensor([[0.0, 1.0], [-0.3, -0.2]], dtype=D)
    density = torch.diag(torch.tensor([0.0, 0.5], dtype=D))
    spans = torch.tensor([0.4, 1.3, 1.7], dtype=D)
    F, Q = discretise(A.expand(3, 2, 2), density.expand(3, 2, 2), spans)
    torch.testing.assert_close(F[1] @ F[0], F[2])
    torch.testing.assert_close(F[1] @ Q[0] @ F[1].T + Q[1], Q[2])

"""Log tails against mpmath's incomplete beta and gamma functions, and against scipy."""

import math

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

from forecast.distribution.tails import (
    gamma_ratio,
    log_chi2_tail,
    log_student_density,
    log_student_tail,
    student_quantile,
)


def number(value: float) -> torch.Tensor:
    return torch.tensor(value, dtype=torch.float64)


def exact_student(z: float, df: float) -> float:
    with mpmath.workdps(40):
        x = mpmath.mpf(df) / (df + mpmath.mpf(z) ** 2)
        return float(mpmath.log(mpmath.betainc(mpmath.mpf(df) / 2, mpmath.mpf("0.5"), 0, x, regularized=True) / 2))


@pytest.mark.parametrize("df", [0.3, 0.7, 1.0, 2.0, 4.5, 10.0, 29.0, 30.0, 31.0, 100.0, 1e3])
def test_student_tail_is_exact_to_1e30(df: float) -> None:
    for z in (0.0, 1e-8, 0.01, 0.5, 1.0, 1.7, 2.0, 3.0, 5.0, 8.0, 20.0, 100.0, 1e4, 1e10, 1e30):
        truth = exact_student(z, df)
        assert float(log_student_tail(number(z), number(df))) == pytest.approx(truth, rel=1e-13, abs=1e-15)


def test_student_tail_becomes_normal() -> None:
    z = torch.linspace(0, 30, 61, dtype=torch.float64)
    assert torch.allclose(log_student_tail(z, number(1e12)), torch.special.log_ndtr(-z), rtol=1e-6)
    assert torch.equal(log_student_tail(z, number(math.inf)), log_student_tail(z, number(1e12)))


@pytest.mark.parametrize("df", [0.3, 1.0, 3.0, 12.0, 200.0, 1e6])
def test_student_density_and_quantile_match_scipy(df: float) -> None:
    z = torch.linspace(-40, 40, 161, dtype=torch.float64)
    assert np.allclose(log_student_density(z, number(df)), stats.t.logpdf(z.numpy(), df), rtol=1e-11, atol=1e-11)
    p = np.array([0.5, 0.49, 0.3, 0.1, 1e-3, 1e-8, 1e-15])
    assert np.allclose(student_quantile(torch.from_numpy(np.log(p)), number(df)), stats.t.isf(p, df), rtol=1e-11)


@pytest.mark.parametrize("df", [0.5, 1.0, 2.5, 40.0, 1e4, 1e9])
def test_student_quantile_inverts_the_tail_far_out(df: float) -> None:
    log_p = torch.tensor([-0.7, -1.0, -5.0, -12.0, -40.0, -80.0], dtype=torch.float64)
    assert torch.allclose(log_student_tail(student_quantile(log_p, number(df)), number(df)), log_p, rtol=1e-12)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 50, 300])
def test_chi2_tail(count: int) -> None:
    for square in (0.0, 0.1, 1.0, count / 1.0, count * 1.5 + 30, 2 * count + 100.0, 3 * count + 1e3, 1e5):
        with mpmath.workdps(40):
            truth = float(mpmath.log(mpmath.gammainc(mpmath.mpf(count) / 2, mpmath.mpf(square) / 2, regularized=True)))
        assert float(log_chi2_tail(number(square), number(count))) == pytest.approx(truth, rel=5e-9, abs=1e-12)
    assert float(log_chi2_tail(number(1e60), number(count))) == pytest.approx(-5e59)


def test_gamma_ratio() -> None:
    a = np.array([0.01, 0.5, 3.0, 14.9, 15.1, 1e3, 1e8])
    with mpmath.workdps(40):
        truth = [float(mpmath.gamma(mpmath.mpf(x) + 0.5) / mpmath.gamma(mpmath.mpf(x))) for x in a]
    assert np.allclose(gamma_ratio(torch.from_numpy(a)), truth, rtol=1e-13)

"""Closed forms against scoringrules and scipy, kind by kind."""

import numpy as np
import scoringrules
import torch
from scipy import special, stats

from forecast.distribution import Bounded, BoxCox, Choice, Gaussian, Mixture, Quantiles, StudentT, Transformed
from forecast.distribution.transformed import Power
from tests.distribution.kinds import draw, gaussian, quantiles, student

N = (400,)
Y = 10 + 4 * draw(N, 40)


def test_gaussian_and_student_crps() -> None:
    g, t = gaussian(N), student(N)
    assert np.allclose(
        g.crps(Y), scoringrules.crps_normal(Y.numpy(), g.mean.numpy(), g.deviation.numpy()), rtol=1e-12, atol=1e-13
    )
    truth = scoringrules.crps_t(Y.numpy(), t.df.numpy(), t.loc.numpy(), t.scale.numpy())
    assert np.allclose(t.crps(Y), truth, rtol=1e-10, atol=1e-12)


def test_student_of_many_degrees_of_freedom_is_gaussian() -> None:
    g = gaussian(N)
    t = StudentT(g.mean, g.deviation, torch.full(N, 1e9, dtype=torch.float64))
    assert torch.allclose(t.crps(Y), g.crps(Y), rtol=1e-7)
    assert torch.allclose(t.quantile(0.01), g.quantile(0.01), rtol=1e-8)


def test_log_normal() -> None:
    loc, scale = 0.3 * draw(N, 41), 0.2 + draw(N, 42).square()
    zero = torch.zeros(N, dtype=torch.float64)
    forecast = Transformed(Gaussian(loc, scale.square()), BoxCox(zero, zero))
    truth = stats.lognorm(scale.numpy(), scale=np.exp(loc.numpy()))
    narrow = scale < 1.5  # the mean of a wide one lies where levels have no more bits
    y = truth.rvs(random_state=1)
    assert np.allclose(forecast.quantile(0.03), truth.ppf(0.03))
    assert np.allclose(forecast.cdf(torch.from_numpy(y)), truth.cdf(y))
    assert np.allclose(forecast.mean[narrow], truth.mean()[narrow], rtol=1e-7)
    crps = scoringrules.crps_lognormal(y, loc.numpy(), scale.numpy())
    assert np.allclose(forecast.crps(torch.from_numpy(y))[narrow], crps[narrow], rtol=1e-7)


def test_box_cox_is_scipys() -> None:
    y = np.array([0.01, 0.5, 1.0, 7.0, 300.0])
    for power in (-1.0, -0.3, 0.0, 0.5, 1.0, 2.0):
        transform = BoxCox(torch.tensor(power, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
        there = transform.forward(torch.from_numpy(y))
        assert np.allclose(there, special.boxcox(y, power))
        assert np.allclose(transform.inverse(there), y)


def test_box_cox_stays_finite_outside_its_range() -> None:
    x = torch.tensor([-1e30, -1e3, 1e3, 1e30], dtype=torch.float64)
    for power in (-0.5, 0.0, 0.5):
        transform = BoxCox(torch.tensor(power, dtype=torch.float64), torch.tensor(2.0, dtype=torch.float64))
        assert bool(transform.inverse(x).isfinite().all()) and bool(transform.forward(x).isfinite().all())
        assert bool((transform.inverse(x).diff() >= 0).all())


def test_signed_powers() -> None:
    """sign(y) |y|^λ there and back, the logarithm at 0, rising and finite at the ends of the numbers."""
    y = torch.tensor([-1e30, -7.0, -0.01, 0.0, 0.5, 300.0, 1e30], dtype=torch.float64)
    for power in (0.25, 0.5, 1.0):
        transform = Power(torch.tensor(power, dtype=torch.float64))
        there = transform.forward(y)
        assert np.allclose(there, np.sign(y.numpy()) * np.abs(y.numpy()) ** power)
        assert torch.allclose(transform.inverse(there), y, rtol=1e-12) and bool((there.diff() > 0).all())
        assert bool(transform.inverse(torch.tensor([-1e300, 1e300], dtype=torch.float64)).isfinite().all())
    logarithm = Power(torch.tensor(0.0, dtype=torch.float64))
    assert torch.equal(logarithm.forward(y[4:]), y[4:].log())
    loc, scale = torch.tensor(3.0, dtype=torch.float64), torch.tensor(0.4, dtype=torch.float64)
    root = Transformed(Gaussian(loc.expand(1, 1), scale.square().expand(1, 1)), Power(torch.full((1, 1), 0.5, dtype=torch.float64)))
    truth = stats.ncx2(1, (loc / scale).item() ** 2, scale=scale.item() ** 2)  # the square of a normal that is nearly never negative
    assert np.allclose(float(root.quantile(0.1)), truth.ppf(0.1)) and np.allclose(float(root.mean), truth.mean(), rtol=1e-6)


def test_clipped_normal() -> None:
    g = gaussian(N)
    forecast = Bounded(g, minimum=9.0, maximum=12.0)
    y = Y.clamp(9.0, 12.0)
    sd = g.deviation.numpy()
    truth = scoringrules.crps_cnormal(y.numpy(), lower=9.0, upper=12.0, location=g.mean.numpy(), scale=sd)
    assert np.allclose(forecast.crps(y), truth, rtol=1e-6, atol=1e-9)
    a, b = (9.0 - g.mean.numpy()) / sd, (12.0 - g.mean.numpy()) / sd
    inside = stats.norm.cdf(b) - stats.norm.cdf(a)
    mean = (
        9 * stats.norm.cdf(a)
        + 12 * stats.norm.sf(b)
        + g.mean.numpy() * inside
        + sd * (stats.norm.pdf(a) - stats.norm.pdf(b))
    )
    assert np.allclose(forecast.mean, mean, rtol=1e-8)


def test_whole_numbers_sum_to_their_own_crps() -> None:
    """A rounded, clipped normal is a discrete distribution: its CRPS by brute force over its probabilities."""
    g = Gaussian(torch.tensor([0.3, 2.7, 8.0]).double(), torch.tensor([0.5, 4.0, 9.0]).double())
    forecast = Bounded(g, minimum=0.0, integer=True)
    k = np.arange(200)
    upper = stats.norm.cdf(k[:, None] + 0.5, g.mean.numpy(), g.deviation.numpy())
    for y in (0.0, 3.0, 60.0):
        truth = ((upper - (k[:, None] >= y)) ** 2).sum(0)
        assert np.allclose(forecast.crps(torch.full((3,), y, dtype=torch.float64)), truth, rtol=1e-6)
    assert torch.equal(forecast.quantile(0.5), torch.tensor([0.0, 3.0, 8.0], dtype=torch.float64))


def test_surprise_at_and_beyond_a_bound() -> None:
    g = Gaussian(torch.tensor([-1.0]).double(), torch.tensor([0.25]).double())
    forecast = Bounded(g, minimum=0.0)
    at, below = torch.tensor([0.0]).double(), torch.tensor([-5.0]).double()
    assert float(forecast.surprise(at)) == 0  # nearly all of the mass is clipped to it
    assert float(forecast.surprise(below)) == float(g.surprise(below))
    assert float(forecast.cdf(below)) == 0


def test_mixture_of_normals() -> None:
    means, variances = [draw(N, s) * 3 + 10 for s in (43, 44, 45)], [draw(N, s).exp() for s in (46, 47, 48)]
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    forecast = Mixture(tuple(map(Gaussian, means, variances)), weights)
    m, s = (torch.stack(part, -1).numpy() for part in (means, [v.sqrt() for v in variances]))
    truth = scoringrules.crps_mixnorm(Y.numpy(), m, s, np.broadcast_to(weights.numpy(), m.shape))
    assert np.allclose(forecast.crps(Y), truth, rtol=1e-6, atol=1e-8)
    assert np.allclose(forecast.mean, m @ weights.numpy())
    assert np.allclose(forecast.cdf(Y), (stats.norm.cdf(Y.numpy()[:, None], m, s) * weights.numpy()).sum(-1))
    for level in (1e-15, 1e-3, 0.5, 1 - 1e-6):
        assert torch.allclose(
            forecast.cdf(forecast.quantile(level)), torch.tensor(level, dtype=torch.float64), rtol=1e-9
        )


def test_quantiles_of_a_mixture_are_those_of_each_cell_alone() -> None:
    """Cells leave the search at different turns; levels go through together, near ones by probability, far ones by its logarithm."""
    parts = [(10 + 3 * draw((5, 4, 2), seed), (2 * draw((5, 4, 2), seed + 9)).exp()) for seed in (61, 62)]
    forecast = Mixture(tuple(Gaussian(*part) for part in parts), torch.tensor([0.7, 0.3], dtype=torch.float64))
    levels = (1e-9, 0.01, 0.2, 0.5, 0.99, 1 - 1e-9)
    found = forecast.quantiles(levels)
    assert found.shape == (5, 4, 2, 6) and bool((found.diff(dim=-1) > 0).all())
    for q, level in enumerate(levels):
        torch.testing.assert_close(found[..., q], forecast.quantile(level), rtol=1e-12, atol=0)
    (m, v), (n, w) = [tuple(part.numpy()[..., None] for part in both) for both in parts]
    below = 0.7 * stats.norm.cdf(found, m, v**0.5) + 0.3 * stats.norm.cdf(found, n, w**0.5)
    assert np.allclose(below, levels, rtol=1e-11, atol=0)
    one = Mixture(tuple(Gaussian(*[each[2:3] for each in part]) for part in parts), torch.tensor([0.7, 0.3], dtype=torch.float64))
    torch.testing.assert_close(one.quantiles(levels), found[2:3], rtol=1e-13, atol=0)


def test_a_member_without_weight_does_not_count() -> None:
    g, missing = gaussian(N), Gaussian(torch.full(N, torch.nan).double(), torch.full(N, torch.nan).double())
    forecast = Mixture((g, missing), torch.tensor([2.0, 0.0]).double())
    assert torch.allclose(forecast.quantile(0.1), g.quantile(0.1))
    assert torch.allclose(forecast.crps(Y), g.crps(Y), rtol=1e-6) and torch.allclose(forecast.mean, g.mean)
    whole = Mixture((g, missing), torch.tensor([1.0, 1.0]).double())
    assert bool(whole.median.isnan().all() and whole.mean.isnan().all() and whole.crps(Y).isnan().all())


def test_choice_takes_each_cell_whole() -> None:
    first, a, b = draw(N, 49) > 0, gaussian(N), student(N)
    forecast = Choice(first, a, b)
    for ask in (lambda f: f.quantile(0.2), lambda f: f.crps(Y), lambda f: f.surprise(Y), lambda f: f.mean):
        assert torch.equal(ask(forecast), torch.where(first, ask(a), ask(b)))


def test_quantiles_of_a_normal_come_near_it() -> None:
    g = gaussian(N)
    forecast = Quantiles(g.quantiles())
    assert torch.allclose(forecast.mean, g.mean, atol=0.05) and torch.equal(forecast.median, g.quantiles()[..., 7])
    assert torch.allclose(forecast.crps(Y), g.crps(Y), rtol=0.03, atol=0.02)


def test_tails_join_with_equal_density() -> None:
    forecast = quantiles(N)
    for edge, step in ((forecast.values[..., 0], -1), (forecast.values[..., -1], 1)):
        h = 1e-7
        inside = forecast.cdf(edge) - forecast.cdf(edge - step * h)
        outside = forecast.cdf(edge + step * h) - forecast.cdf(edge)
        assert torch.allclose(inside, outside, rtol=1e-4)


def test_crossing_quantiles_are_sorted_and_ties_hold_their_mass() -> None:
    forecast = Quantiles(torch.tensor([3.0, 1.0, 2.0]).double(), (0.1, 0.5, 0.9))
    assert torch.equal(forecast.quantiles((0.1, 0.5, 0.9)), torch.tensor([1.0, 2.0, 3.0]).double())
    tied = Quantiles(torch.tensor([0.0, 0.0, 0.0, 4.0]).double(), (0.1, 0.4, 0.6, 0.9))
    zero = torch.tensor(0.0, dtype=torch.float64)
    assert float(tied.cdf(zero)) == 0.6 and float(tied.surprise(zero)) == 0
    assert float(tied.surprise(zero - 1)) > 10  # nothing lies below, and the tail says so

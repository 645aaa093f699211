"""Joint Gaussian rows against scipy: Mahalanobis tail, missing channels, correlated samples, degenerate cases."""

import math

import numpy as np
import torch
from scipy import stats

from forecast.distribution import Gaussian
from tests.distribution.kinds import draw, joint

SHAPE = (5, 3, 4)


def test_joint_surprise_is_the_chi_square_tail_of_the_mahalanobis_distance() -> None:
    forecast = joint(SHAPE)
    y = forecast.mean + 3 * draw(SHAPE, 30)
    error = (y - forecast.mean).numpy()
    square = np.einsum("...i,...ij,...j->...", error, np.linalg.inv(forecast.covariance.numpy()), error)
    assert forecast.joint
    assert np.allclose(forecast.joint_surprise(y), -stats.chi2.logsf(square, SHAPE[-1]), rtol=1e-9)


def test_missing_channels_are_integrated_out() -> None:
    forecast = joint(SHAPE)
    y = forecast.mean + draw(SHAPE, 31)
    y[..., 1] = math.nan
    kept = [0, 2, 3]
    smaller = Gaussian(
        forecast.mean[..., kept], forecast.variance[..., kept], forecast.covariance[..., kept, :][..., kept]
    )
    assert torch.allclose(forecast.joint_surprise(y), smaller.joint_surprise(y[..., kept]), rtol=1e-10)
    y[:] = math.nan
    assert bool(forecast.joint_surprise(y).isnan().all())


def test_without_correlation_one_channel_is_its_own_row() -> None:
    forecast = joint((5, 3, 1))
    y = forecast.mean + 4 * draw((5, 3, 1), 32)
    assert torch.allclose(forecast.joint_surprise(y), forecast.surprise(y)[..., 0], rtol=1e-9)


def test_joint_surprise_of_samples_is_exponential() -> None:
    forecast = joint((1, 2, 3))
    surprise = forecast.joint_surprise(forecast.sample(20_000, torch.Generator().manual_seed(3)))
    for x in (0.3, 1.0, 4.0):
        p = math.exp(-x)
        assert abs(float((surprise > x).double().mean()) - p) < 4 * math.sqrt(p * (1 - p) / surprise.numel())


def test_samples_have_the_covariance() -> None:
    forecast = joint((1, 1, 3))
    draws = forecast.sample(40_000, torch.Generator().manual_seed(4))[:, 0, 0]
    assert torch.allclose(
        torch.cov(draws.mT), forecast.covariance[0, 0], rtol=0.05, atol=0.05 * forecast.variance.max()
    )


def test_joint_surprise_is_finite_for_a_reading_out_of_range() -> None:
    forecast = joint((1, 1, 3))
    for size in (1e30, 1e200):
        assert bool(forecast.joint_surprise(forecast.mean + size).isfinite().all())
    near, far = (float(forecast.joint_surprise(forecast.mean + size)) for size in (1e29, 1e30))
    assert far > near > 0


def test_channels_that_say_the_same_thing() -> None:
    """A singular covariance is no error: equal channels that agree surprise like one, apart they surprise greatly."""
    mean, one = torch.zeros(1, 2, dtype=torch.float64), torch.ones(1, 2, dtype=torch.float64)
    forecast = Gaussian(mean, one, torch.ones(1, 2, 2, dtype=torch.float64))
    together = float(forecast.joint_surprise(torch.tensor([[2.0, 2.0]], dtype=torch.float64)))
    apart = float(forecast.joint_surprise(torch.tensor([[2.0, -2.0]], dtype=torch.float64)))
    assert 1.0 < together < 4.0 and apart > 1e6


def test_a_variance_of_zero_is_a_point_mass() -> None:
    forecast = Gaussian(torch.full((1, 1), 3.0).double(), torch.zeros(1, 1).double())
    y = torch.tensor([[3.0]], dtype=torch.float64)
    assert float(forecast.surprise(y)) == 0 and float(forecast.crps(y)) == 0
    assert float(forecast.crps(y + 2)) == 2 and float(forecast.surprise(y + 1e-9)) > 1e10
    joint_one = Gaussian(
        torch.zeros(1, 2).double(),
        torch.tensor([[0.0, 1.0]]).double(),
        torch.diag(torch.tensor([0.0, 1.0])).double()[None],
    )
    assert float(joint_one.joint_surprise(torch.zeros(1, 2).double())) == 0


def test_missing_forecast_channels_do_not_count() -> None:
    forecast = joint((1, 1, 3))
    covariance = forecast.covariance.clone()
    covariance[..., 1, :] = covariance[..., :, 1] = math.nan
    hole = Gaussian(forecast.mean, covariance.diagonal(dim1=-2, dim2=-1), covariance)
    y = forecast.mean + 1
    kept = [0, 2]
    smaller = Gaussian(
        forecast.mean[..., kept], forecast.variance[..., kept], forecast.covariance[..., kept, :][..., kept]
    )
    assert torch.allclose(hole.joint_surprise(y), smaller.joint_surprise(y[..., kept]))
    draws = hole.sample(3)
    assert bool(draws[..., 1].isnan().all() and draws[..., kept].isfinite().all())

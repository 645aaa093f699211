"""Two hundred random models with gaps, ours against statsmodels at the same parameters.

The smoothed covariance of structural models is compared to 1e-7: their exact diffuse start is ill-conditioned where
seasons, cycle and harmonics must be told apart by the first rows. Against 50-digit arithmetic both lose about as many
digits there.
"""

from typing import Any

import pytest
import torch
from torch import Tensor

from forecast.ssm import dense, kalman
from forecast.ssm.smoother import smooth
from tests.ssm.oracle import ours, random_model, tensor

TOLERANCE = 1e-8


def near(got: Tensor, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Equal relative to the largest number of the expected array."""
    want = tensor(expected)
    scale = want.abs().max().clamp(min=1.0)
    assert got.shape == want.shape
    assert float((got - want).abs().max()) <= tolerance * float(scale)


@pytest.mark.parametrize("kind", ["structural", "sarima", "ets"])
@pytest.mark.parametrize("block", range(7))
def test_likelihood_filter_smoother_forecast(kind: str, block: int) -> None:
    for seed in range(10 * block, 10 * block + 10):
        model = random_model(kind, seed)
        model.ssm.loglikelihood_burn, model.ssm.tolerance = 0, 0.0
        theirs = model.ssm.smooth()
        program, coefs, start, values, drive = ours(model)
        for engine in kalman.ENGINES:
            done = kalman.advance(program, coefs, start, values, drive, engine=engine)
            near(done.loglik, theirs.llf_obs.sum()[None])
            near(done.belief.mean[0], theirs.filtered_state[:, -1])
            free = torch.tensor(theirs.predicted_diffuse_state_cov is None) | (done.variance[0].isfinite().all(-1))
            near(
                done.variance[0][free],
                theirs.forecasts_error_cov.transpose(2, 0, 1).diagonal(axis1=1, axis2=2)[free.numpy()],
            )
        trail: dense.Trail = []
        dense.filter_rows(program, coefs, start, values, drive, 0.0, False, trail)
        near(torch.cat([step.mean for step in trail]), theirs.predicted_state.T[:-1])
        near(torch.cat([step.covariance for step in trail]), theirs.predicted_state_cov.transpose(2, 0, 1)[:-1])
        near(torch.cat([step.filtered[0] for step in trail]), theirs.filtered_state.T)
        near(torch.cat([step.filtered[1] for step in trail]), theirs.filtered_state_cov.transpose(2, 0, 1))
        smoothed = smooth(program, coefs, start, values, drive)
        near(smoothed.mean[0], theirs.smoothed_state.T)
        near(
            smoothed.covariance[0],
            theirs.smoothed_state_cov.transpose(2, 0, 1),
            1e-7 if kind == "structural" else TOLERANCE,
        )

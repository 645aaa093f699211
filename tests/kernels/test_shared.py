"""Series of one model: gains computed once for those with the same gaps give the likelihood of the torch twin and of each on its own."""

import logging
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.ssm import compiled, kalman, shared
from forecast.ssm.belief import Belief
from forecast.ssm.program import Program
from tests.kernels.test_score import BATCH, problem


def one_model(channels: int) -> tuple[Program, Tensor, Belief, Tensor]:
    """Every operation and read, one set of numbers, three patterns of gaps and three series with their own."""
    program, coefs, start, y = problem(channels)
    seen = torch.randn(y.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(5)).cumsum(1)
    groups = y[torch.arange(BATCH) % 3].isnan()
    groups[30:33] = y[30:33].isnan()
    groups[4:7, :5] = True
    mean = 0.1 * torch.randn(start.mean.shape, dtype=y.dtype, generator=torch.Generator().manual_seed(6))
    return program, coefs[:1].expand(BATCH, -1), start._replace(mean=mean), torch.where(groups, math.nan, seen)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("begun", [False, True])
def test_shared_gains_give_the_likelihood_of_the_twin(channels: int, begun: bool) -> None:
    program, coefs, start, y = one_model(channels)
    if begun:
        after = kalman.advance(program, coefs, start, y[:1, :9].expand(BATCH, -1, -1)).belief
        start, y = after._replace(mean=after.mean + start.mean), y[:, 9:]
    groups, alone = shared.groups_of(coefs, start, y, y.new_empty(0))
    assert sorted(np.concatenate([*groups, alone])) == list(range(BATCH))
    assert len(groups) >= 3 and len(alone) >= 3
    made = kalman.loglik(program, coefs, start, y, engine="numba")
    torch.testing.assert_close(made, kalman.loglik(program, coefs, start, y, engine="torch"), rtol=1e-10, atol=1e-10)


def test_series_alone_and_together_and_what_the_log_says(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "forecast")
    monkeypatch.setattr(shared, "_told", set())
    program, coefs, start, y = one_model(1)
    together = kalman.loglik(program, coefs, start, y, engine="numba")
    assert "have gaps of their own" in caplog.text
    monkeypatch.setattr(compiled, "groups_of", lambda *_: ([], np.arange(BATCH)))
    torch.testing.assert_close(
        together, kalman.loglik(program, coefs, start, y, engine="numba"), rtol=1e-12, atol=1e-12
    )


def test_whoever_differs_has_gains_of_its_own() -> None:
    _, coefs, start, y = one_model(1)
    none = y.new_empty(0)
    moved = coefs.clone()
    moved[3, 0] += 1e-15
    wide = start._replace(covariance=start.covariance.clone())
    wide.covariance[7, 0] += 1e-15
    for numbers, belief, drive in (
        (moved, start, none),
        (coefs, wide, none),
        (coefs, start, y),
        (coefs[:, None], start, none),
    ):
        assert len(shared.groups_of(numbers, belief, y, drive)[0]) == 0

"""Models of one or two states: the likelihood that stays in registers is that of the torch twin, of the filter, and of one Gaussian vector."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor

from forecast.ssm import kalman
from forecast.ssm.belief import Belief, fresh, unpack
from forecast.ssm.program import Builder, Program, matrices
from forecast.types import take

BATCH, ROWS = 37, 45
D = torch.float64


def built(states: int, kind: str) -> Program:
    """A program whose transition has one kind of operation, noise, and reads of all states."""
    b = Builder()
    b.states(states)
    last = states - 1
    if kind == "add":
        if states > 1:
            b.add(0, 1, b.numbers())
        b.noise(last, last, b.numbers())
    elif kind == "multiply":
        b.noise(last, last, b.numbers())
        b.multiply(last, b.numbers())
    elif kind == "shift":
        b.shift(0, states)
        b.multiply(0, b.numbers())
    elif kind == "dense":
        b.dense(0, states, b.numbers(states * states))
    elif kind == "mix":
        b.mix(0, 1, b.numbers(4))
    b.noise(0, 0, b.numbers())
    b.read(last, c=b.numbers())
    if states > 1:
        b.read(0)
    if kind != "shift":
        b.observation_noise(b.numbers())
    return b.program()


CASES = [
    (m, kind) for m in (1, 2) for kind in ("none", "add", "multiply", "shift", "dense", "mix") if m > 1 or kind != "mix"
]


def problem(states: int, kind: str, diffuse: bool) -> tuple[Program, Tensor, Belief, Tensor]:
    """Numbers of each series its own, a tenth missing, some series that begin late, one that has few values and one that has none."""
    program, g = built(states, kind), torch.Generator().manual_seed(states)
    coefs = 0.2 + 0.5 * torch.rand(BATCH, program.coefficients, dtype=D, generator=g)
    root = torch.randn(BATCH, states, states, dtype=D, generator=g)
    mean = torch.randn(BATCH, states, dtype=D, generator=g)
    open_ = torch.eye(states, dtype=D) if diffuse else torch.zeros(states, states, dtype=D)
    start = fresh(mean, root @ root.mT + 0.1 * torch.eye(states, dtype=D), open_)
    y = torch.randn(BATCH, ROWS, 1, dtype=D, generator=g).cumsum(1)
    y[torch.rand(y.shape, generator=g) < 0.1] = math.nan
    y[33, :20], y[34, :-1], y[35] = math.nan, math.nan, math.nan
    return program, coefs, start, y


@pytest.mark.parametrize("diffuse", [False, True])
@pytest.mark.parametrize(("states", "kind"), CASES)
def test_twin_filter_and_company(states: int, kind: str, diffuse: bool) -> None:
    program, coefs, start, y = problem(states, kind, diffuse)
    made = kalman.loglik(program, coefs, start, y, engine="numba")
    near = {"rtol": 1e-10, "atol": 1e-10}
    torch.testing.assert_close(made, kalman.loglik(program, coefs, start, y, engine="torch"), **near)
    torch.testing.assert_close(made, kalman.advance(program, coefs, start, y, engine="numba").loglik, **near)
    for size in (1, 8, 16):  # lanes; blocks with series that begin late or never among them
        for few in torch.arange(BATCH).split(size):
            assert (kalman.loglik(program, coefs[few], take(start, few), y[few], engine="numba") == made[few]).all()


@pytest.mark.parametrize(("states", "kind"), CASES)
def test_one_gaussian_vector(states: int, kind: str) -> None:
    """Density of all values at once, from the covariances of the states between any two rows."""
    program, coefs, start, y = problem(states, kind, diffuse=False)
    made = kalman.loglik(program, coefs, start, y, engine="numba")
    for lane in (0, 8, 20, 33):
        F, Q, H, R = (part.numpy() for part in matrices(program, coefs[lane]))
        values, mean, P = y[lane, :, 0].numpy(), start.mean[lane].numpy(), unpack(start.covariance[lane]).numpy()
        first = int(np.flatnonzero(np.isfinite(values))[0])
        values = values[first:]  # no transition before the first value
        means, covariances, whole = [], [], np.zeros((len(values), len(values)))
        for t in range(len(values)):
            if t:
                mean, P = F @ mean, F @ P @ F.T + Q
            means.append((H @ mean)[0])
            covariances.append(P)
        for t, P in enumerate(covariances):
            for s in range(t, len(values)):
                whole[t, s] = whole[s, t] = (H @ P @ np.linalg.matrix_power(F, s - t).T @ H.T)[0, 0]
        whole += R[0] * np.eye(len(values))
        at = np.isfinite(values)
        theirs = multivariate_normal.logpdf(values[at], np.array(means)[at], whole[np.ix_(at, at)])
        assert float(made[lane]) == pytest.approx(theirs, rel=1e-8)


def test_nothing_to_learn_from_what_is_known() -> None:
    """Without any noise the variance of a row is 0 after the first values: they are passed over, as the filter does."""
    program, coefs, start, y = problem(2, "shift", diffuse=False)
    coefs = torch.zeros_like(coefs)
    coefs[:, 0] = 1.0
    start = start._replace(covariance=torch.zeros_like(start.covariance))
    made = kalman.loglik(program, coefs, start, y, engine="numba")
    torch.testing.assert_close(made, kalman.advance(program, coefs, start, y, engine="numba").loglik)
    assert (made == 0.0).all()

"""The exact score of every kind of number: against autograd through the torch engine, and against finite
differences."""

import math

import pytest
import torch
from torch import Tensor

from forecast.ssm import kalman
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.program import Builder, Program, matrices
from forecast.types import take

D = torch.float64
BATCH, ROWS, RING = 37, 24, 5


def everything(channels: int) -> Program:
    """Trend with damping, ring, rotation, dense block with cross noise, loadings: every operation and every read."""
    b = Builder(channels)
    level, variances, damping = b.states(2), b.numbers(2), b.numbers()
    b.add(level, level + 1)
    b.multiply(level + 1, damping)
    b.noise(level, level, variances)
    b.noise(level + 1, level + 1, variances + 1)
    ring, drift = b.states(RING), b.numbers()
    b.shift(ring, RING)
    b.noise(ring, ring, drift)
    b.noise(ring + 1, ring + 1, drift)
    b.noise(ring, ring + 1, drift, -1)
    cycle, turn = b.states(2), b.numbers(4)
    b.mix(cycle, cycle + 1, turn)
    b.noise(cycle, cycle, drift)
    b.noise(cycle + 1, cycle + 1, drift)
    block, cells, loads = b.states(2), b.numbers(4), b.numbers(2 * channels)
    b.dense(block, 2, cells)
    b.noise(block, block + 1, drift)
    b.add(block, cycle, b.numbers())
    for c in range(channels):
        for state in (level, ring, cycle):
            b.read(state, c)
        b.read(block, c, loads + 2 * c)
        b.read(block + 1, c, loads + 2 * c + 1)
        b.observation_noise(b.numbers(), c)
    return b.program()


def problem(channels: int) -> tuple[Program, Tensor, Belief, Tensor]:
    generator = torch.Generator().manual_seed(channels)
    program = everything(channels)
    m = program.size
    coefs = torch.rand(BATCH, program.coefficients, dtype=D, generator=generator) * 0.5 + 0.2
    y = torch.randn(BATCH, ROWS, channels, dtype=D, generator=generator).cumsum(1)
    y[torch.rand(y.shape, generator=generator) < 0.2] = math.nan
    y[3, :7] = math.nan
    y[4] = math.nan
    y[5, 5:] = math.nan
    diffuse = torch.zeros(m, m, dtype=D)
    diffuse[:2, :2] = torch.eye(2)
    free = torch.eye(RING, dtype=D)
    free[1], free[1, 1] = -1.0, 0.0
    diffuse[2 : 2 + RING, 2 : 2 + RING] = free @ free.T
    proper = torch.zeros(BATCH, m, m, dtype=D)
    proper[:, -4:, -4:] = torch.eye(4, dtype=D)
    return program, coefs, fresh(torch.zeros(BATCH, m, dtype=D), proper, diffuse, channels), y


@pytest.mark.parametrize("channels", [1, 2])
def test_engines_agree(channels: int) -> None:
    program, coefs, start, y = problem(channels)
    one, other = (kalman.advance(program, coefs, start, y, engine=engine) for engine in ("numba", "torch"))
    for a, b in zip([*one.belief, *one[1:]], [*other.belief, *other[1:]], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("pushed", [False, True])
def test_score_is_the_derivative_of_the_torch_engine(channels: int, moving: bool, pushed: bool) -> None:
    program, coefs, start, y = problem(channels)
    generator = torch.Generator().manual_seed(9)
    if moving:
        coefs = coefs[:, None] + 0.1 * torch.rand(BATCH, ROWS, program.coefficients, dtype=D, generator=generator)
    drive = 0.1 * torch.randn(BATCH, ROWS, program.size, dtype=D, generator=generator) if pushed else None
    weight, slopes = torch.arange(BATCH), []
    for engine in ("numba", "torch"):
        at = [
            x.clone().requires_grad_() for x in (coefs, start.mean, start.covariance, y, *([drive] if pushed else []))
        ]
        belief = start._replace(mean=at[1], covariance=at[2])
        loglik = kalman.loglik(program, at[0], belief, at[3], at[4] if pushed else None, engine=engine)
        slopes.append(torch.autograd.grad((loglik * weight).sum(), at))
    for a, b in zip(*slopes, strict=True):
        torch.testing.assert_close(a, b.nan_to_num(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("size", [1, 8, 16])
@pytest.mark.parametrize("channels", [1, 2])
def test_company_changes_no_bit(channels: int, size: int) -> None:
    """Series that begin late, end early, have gaps or no value at all, alone and in groups: likelihoods and scores."""
    program, coefs, start, y = problem(channels)

    def both(which: Tensor) -> list[Tensor]:
        at = coefs[which].requires_grad_()
        alone = kalman.loglik(program, coefs[which], take(start, which), y[which], engine="numba")
        found = kalman.loglik(program, at, take(start, which), y[which], engine="numba")
        return [alone, found.detach(), *torch.autograd.grad(found.sum(), at)]

    whole = both(torch.arange(BATCH))
    for few in torch.arange(BATCH).split(size):
        for part, all_ in zip(both(few), whole, strict=True):
            assert (part == all_[few]).all()


def test_score_against_finite_differences() -> None:
    program, coefs, start, y = problem(1)
    at = coefs.clone().requires_grad_()
    (score,) = torch.autograd.grad(kalman.loglik(program, at, start, y, engine="numba").sum(), at)
    for k in range(program.coefficients):
        h = torch.zeros_like(coefs)
        h[:, k] = 1e-4
        steps = [kalman.loglik(program, coefs + n * h, start, y, engine="numba") for n in (-2, -1, 1, 2)]
        slope = (steps[0] - 8 * steps[1] + 8 * steps[2] - steps[3]) / 12e-4
        torch.testing.assert_close(score[:, k], slope, rtol=1e-6, atol=1e-6)


def test_the_matrices_of_a_ring_are_those_of_the_textbook() -> None:
    """On slots in textbook order (γ_t, γ_{t-1}, …) the ring is -1 … -1 above a shift."""
    b = Builder()
    ring, drift = b.states(4), b.numbers()
    b.shift(ring, 4)
    b.noise(ring, ring, drift)
    b.noise(ring + 1, ring + 1, drift)
    b.noise(ring, ring + 1, drift, -1)
    b.read(ring)
    F, Q, _, _ = matrices(b.program(), torch.ones(1, 1, dtype=D))
    # current, next, oldest, …: slot 0 is γ_t, slot 3 is γ_{t-1}, slot 2 is γ_{t-2}, slot 1 minus their sum
    to_ring = torch.tensor([[1, 0, 0], [-1, -1, -1], [0, 0, 1], [0, 1, 0]], dtype=D)
    textbook = torch.tensor([[-1, -1, -1], [1, 0, 0], [0, 1, 0]], dtype=D)
    torch.testing.assert_close(F[0] @ to_ring, to_ring @ textbook)
    shock = torch.tensor([1.0, 0, 0], dtype=D)
    torch.testing.assert_close(Q[0], torch.outer(to_ring @ shock, to_ring @ shock))

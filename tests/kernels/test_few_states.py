"""Live rows of models with one or two states stay in registers: the same bits as the filter that has them in memory."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from forecast.kernels import few_states
from forecast.ssm import kalman
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.compiled import step_row
from forecast.ssm.live import Live
from forecast.ssm.program import Builder, Program
from tests.kernels.test_two_states import CASES, D, built

SERIES, ROWS, BEGUN = 37, 24, 6


def back(states: int, kind: str) -> Program:
    """One more program: the second state moves by the first, and noises of both are correlated."""
    b = Builder()
    b.states(2)
    b.add(1, 0, b.numbers())
    w = b.numbers()
    b.noise(0, 0, w)
    b.noise(1, 1, w)
    b.noise(0, 1, w, -1)
    b.read(0)
    b.observation_noise(b.numbers())
    return b.program()


def problem(program: Program, gaps: float) -> tuple[Tensor, Belief, Tensor]:
    """Numbers of each series its own, an exactly diffuse start, values with gaps after rows without."""
    g = torch.Generator().manual_seed(program.coefficients)
    m = program.size
    coefs = 0.2 + 0.5 * torch.rand(SERIES, program.coefficients, dtype=D, generator=g)
    start = fresh(
        torch.randn(SERIES, m, dtype=D, generator=g), torch.eye(m, dtype=D).expand(SERIES, m, m), torch.eye(m, dtype=D)
    )
    y = torch.randn(SERIES, ROWS, 1, dtype=D, generator=g).cumsum(1)
    y[:, BEGUN:][torch.rand(SERIES, ROWS - BEGUN, 1, generator=g) < gaps] = math.nan
    return coefs, start, y


@pytest.mark.parametrize("dof", [0.0, 4.0])
@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize(("states", "kind"), [*CASES, (2, "back")])
def test_bits_of_the_filter(states: int, kind: str, gaps: float, dof: float) -> None:
    program = (back if kind == "back" else built)(states, kind)
    shape = (program.size, 1, len(program.operations), program.operations.ravel())
    few: Any = few_states.few  # as Python
    assert few.py_func(shape) == (kind not in ("mix", "dense"))
    coefs, start, y = problem(program, gaps)
    whole = kalman.advance(program, coefs, start, y, dof=dof, engine="numba")
    begun = kalman.advance(program, coefs, start, y[:, :BEGUN], dof=dof, engine="numba").belief
    plain = torch.zeros(SERIES, 1, dtype=D), torch.ones(SERIES, 1, dtype=D)
    row_by_row = [leaf[:, None] for leaf in begun]
    live = Live(program, coefs, begun, plain[0][:, 0], plain[1][:, 0], 0, dof)
    for t in range(BEGUN, ROWS):
        mean, variance = live.moments()
        reach = 2 * (row_by_row[3][:, 0, 3] - row_by_row[3][:, 0, 2])
        held = whole.mean[:, t, 0].clamp(row_by_row[3][:, 0, 2] - reach, row_by_row[3][:, 0, 3] + reach)
        assert torch.equal(torch.from_numpy(mean)[:, 0], held)
        assert torch.equal(torch.from_numpy(variance)[:, 0], whole.variance[:, t, 0])
        live.step(y[:, t].numpy())
        row_by_row = list(step_row(program, coefs[:, None], row_by_row, y[:, t], *plain, dof))
    for mine, other, theirs in zip(live.belief(), row_by_row, whole.belief, strict=True):
        assert torch.equal(mine, theirs)
        assert torch.equal(other[:, 0], theirs)

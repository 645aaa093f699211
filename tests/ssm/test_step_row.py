"""A step hands over addresses: whatever the layout, the thread or the copy of a program, it is one row of the filter."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from forecast.ssm.belief import Belief
from forecast.ssm.compiled import step_row
from forecast.ssm.kalman import advance
from forecast.ssm.program import Program
from forecast.ssm.season import Season
from forecast.ssm.structural import Structural

D = torch.float64


def problem(
    batch: int, channels: int, rows: int, season: int
) -> tuple[Program, Tensor, list[Tensor], Tensor, Tensor, Tensor]:
    """Program, coefficients (B C K) and belief (B C …) after some rows, a further row, loc and spread (B C)."""
    g = torch.Generator().manual_seed(batch + rows)
    model, lanes = Structural("damped", (Season(season),)), batch * channels
    theta = -1.0 + 0.3 * torch.randn(lanes, model.parameters, dtype=D, generator=g)
    coefs, values = model.coefficients(theta), torch.randn(lanes, rows, 1, dtype=D, generator=g).cumsum(1)
    belief = advance(model.program, coefs, model.start(lanes, values, theta), values).belief
    loc, spread, row = torch.rand(3, batch, channels, dtype=D, generator=g)
    row[-1, -1] = torch.nan
    leaves = [leaf.unflatten(0, (batch, channels)) for leaf in (coefs, *belief)]
    return model.program, leaves[0], leaves[1:], row, loc, spread + 0.5


@pytest.mark.parametrize(("batch", "channels"), [(1, 1), (1, 3), (7, 2), (19, 1)])
@pytest.mark.parametrize("rows", [0, 2, 30])
def test_one_row_of_the_filter_in_any_layout(batch: int, channels: int, rows: int) -> None:
    program, coefs, belief, row, loc, spread = problem(batch, channels, rows, 4)
    scaled = ((row - loc) / spread).reshape(-1, 1, 1)
    whole = advance(program, coefs.flatten(0, 1), Belief(*[leaf.flatten(0, 1) for leaf in belief]), scaled).belief
    kept = [leaf.clone() for leaf in belief]
    for lay in (Tensor.contiguous, lambda leaf: leaf, lambda leaf: leaf.repeat_interleave(2, -1)[..., ::2]):
        found = step_row(program, lay(coefs), [lay(leaf) for leaf in belief], lay(row), lay(loc), lay(spread), 0.0)
        for mine, theirs in zip(found, whole, strict=True):
            assert mine.shape[:2] == (batch, channels)
            assert torch.equal(mine.flatten(0, 1).nan_to_num(7.0), theirs.nan_to_num(7.0))
    for leaf, before in zip(belief, kept, strict=True):
        assert torch.equal(leaf, before)


def test_threads_have_scratch_of_their_own() -> None:
    problems = [problem(1, 1, 20 + k % 3, 2 + k % 4) for k in range(8)]

    def steps(k: int) -> Tensor:
        program, coefs, belief, row, loc, spread = problems[k]
        row = row.nan_to_num(0.3)
        for _ in range(300):
            belief = list(step_row(program, coefs, belief, row, loc, spread, 0.0))
        return belief[0]

    alone = [steps(k) for k in range(8)]
    with ThreadPoolExecutor(4) as pool:
        for mine, theirs in zip(pool.map(steps, range(8)), alone, strict=True):
            assert torch.equal(mine, theirs)


def test_a_copy_of_a_program_has_addresses_of_its_own() -> None:
    program = Structural("full").program
    assert len(program.addresses) == 4
    for other in (copy.copy(program), copy.deepcopy(program), pickle.loads(pickle.dumps(program))):
        assert other.addresses == tuple(table.ctypes.data for table in other.kernel)
    assert copy.deepcopy(program).addresses != program.addresses

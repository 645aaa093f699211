"""The selective scan: the kernel, its adjoint and the two levels of torch against the loop that defines them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.kernels import scan_select
from forecast.kernels.jit import AVAILABLE
from forecast.ssm import selective

Form = Callable[..., tuple[Tensor, Tensor]]
# batch, rows, channels, states: whole registers, parts of them, more rows than lie between two marks
SHAPES = [(2, 70, 35, 16), (1, 100, 8, 5), (3, 1, 3, 2), (2, 33, 16, 16)]


def rows_of(shape: tuple[int, int, int, int], dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """x, dt, time, A, B, C and a state, which all want gradients."""
    batch, rows, channels, states = shape
    generator = torch.Generator().manual_seed(0)

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    dt = torch.nn.functional.softplus(normal(batch, rows, channels) - 2)
    a = -torch.arange(1.0, states + 1) * (0.5 + torch.rand(channels, states, generator=generator, dtype=torch.float64))
    time = dt * 3 * torch.rand(batch, rows, 1, generator=generator, dtype=torch.float64)
    b, c = normal(batch, rows, states), normal(batch, rows, states)
    made = [normal(batch, rows, channels), dt, time, a, b, c, normal(batch, channels, states)]
    return [part.to(dtype).requires_grad_() for part in made]


def loop(x: Tensor, dt: Tensor, time: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, row by row."""
    out = []
    for t in range(x.shape[1]):
        put = (dt * x)[:, t, :, None] * b[:, t, None]
        state = torch.exp(time[:, t, :, None] * a) * state + put
        out.append((state * c[:, t, None]).sum(-1))
    return torch.stack(out, 1), state


def found(form: Form, rows: list[Tensor]) -> list[Tensor]:
    """What a form says, and the gradients of a function of all of it."""
    y, end = form(*rows)
    return [y.detach(), end.detach(), *torch.autograd.grad(y.sin().sum() + end.square().sum(), rows)]


def gap(some: list[Tensor], others: list[Tensor]) -> float:
    """Largest difference, in units of the largest number of each."""
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", [selective.recur, selective.in_two_levels])
def test_every_form_and_its_gradients_are_those_of_the_loop(shape: tuple[int, int, int, int], form: Form) -> None:
    rows = rows_of(shape)
    assert gap(found(form, rows), found(loop, rows)) <= 1e-12


def test_the_adjoint_is_that_of_finite_differences() -> None:
    assert torch.autograd.gradcheck(selective.recur, rows_of((2, 5, 3, 2)))


def test_single_precision_is_double_to_rounding() -> None:
    rows = rows_of((2, 300, 35, 16), torch.float32)
    double = [part.detach().double().requires_grad_() for part in rows]
    assert gap(found(selective.recur, rows), found(loop, double)) <= 2e-5


@pytest.mark.parametrize("cut", [1, 31, 32, 57])
def test_bits_do_not_depend_on_cuts_company_or_gradients(cut: int) -> None:
    x, dt, time, a, b, c, state = rows_of((3, 80, 35, 16), torch.float32)
    y, end = selective.recur(x, dt, time, a, b, c, state)

    def part(low: int | None, high: int | None, some: slice, start: Tensor) -> tuple[Tensor, Tensor]:
        own = [each[some, low:high] for each in (x, dt, time, b, c)]
        return selective.recur(own[0], own[1], own[2], a, own[3], own[4], start)

    with torch.no_grad():
        head, middle = part(None, cut, slice(None), state)
        tail, last = part(cut, None, slice(None), middle)
        one, alone = part(None, None, slice(1, 2), state[1:2])
    assert torch.equal(torch.cat([head, tail], 1), y) and torch.equal(last, end)
    assert torch.equal(one, y[1:2]) and torch.equal(alone, end[1:2])
    assert scan_select.STRETCH < 80  # there were marks between


def test_what_has_faded_leaves_nothing() -> None:
    """After a long gap the state is what came with it, and no gradient passes."""
    rows = rows_of((2, 60, 35, 16), torch.float32)
    with torch.no_grad():
        rows[2][:, 20] = 1e9
    y, end = selective.recur(*rows)
    state = torch.autograd.grad(y[:, 20:].sum() + end.sum(), rows[6])[0]
    assert float(state.abs().max()) == 0.0 and bool(y.isfinite().all())


@pytest.mark.skipif(not AVAILABLE, reason="numba is not installed")
@pytest.mark.parametrize(("kind", "least"), [(np.float32, -87.0), (np.float64, -708.0)])
def test_the_exponential_is_that_of_numpy(kind: Any, least: float) -> None:
    """To two units in the last place, the same bits in a register and alone; 0 below, NaN where it is NaN."""
    import numba

    from forecast.kernels.lanes import exponential, give, nothing, pointer, take

    @numba.njit(error_model="numpy")
    def run(x: Any, y: Any, wide: Any) -> None:
        source, target = pointer(x), pointer(y)
        zero, one, many = nothing(source, 64), nothing(source, 1), 64 // x.itemsize
        for i in range(0, len(x) - many + 1, many):
            if wide:
                give(exponential(take(zero, source, i)), target, i)
            else:
                for j in range(i, i + many):
                    give(exponential(take(one, source, j)), target, j)

    generator = np.random.default_rng(0)
    x = np.concatenate([generator.uniform(least, 0, 3000), -(10.0 ** generator.uniform(-9, 0, 1096))]).astype(kind)
    wide, alone = np.empty_like(x), np.empty_like(x)
    run(x, wide, True)
    run(x, alone, False)
    assert (wide == alone).all()
    exact = np.exp(x.astype(np.longdouble))
    assert float((abs(wide - exact) / exact).max()) <= 2 * np.finfo(kind).eps
    x[:16] = [0.0, -0.0, least - 1, -np.inf, np.nan, *[-1e30] * 11]
    run(x, wide, True)
    assert wide[0] == wide[1] == 1.0 and (wide[[2, 3, *range(5, 16)]] == 0).all() and np.isnan(wide[4])

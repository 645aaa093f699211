"""Sums of fading outer products: the kernel, its adjoint and the chunks against the loop that defines them."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from forecast.kernels import scan_matrix
from forecast.ssm import matrix

Rows = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]
Form = Callable[[Tensor, Tensor, Tensor, Tensor | None, Tensor], tuple[Tensor, Tensor]]
# batch, rows, heads, heads of keys, K, V: whole registers, parts of them, more rows than lie between two marks
SHAPES = [(2, 70, 3, 1, 16, 33), (2, 33, 2, 2, 5, 40), (1, 100, 1, 1, 24, 3), (3, 1, 2, 2, 8, 8)]


def rows_of(shape: tuple[int, ...], dtype: torch.dtype = torch.float64, fastest: float = 0.3) -> Rows:
    """Queries, keys, values, log decays and a state, which all want gradients."""
    batch, rows, heads, own, keys, values = shape
    generator = torch.Generator().manual_seed(0)
    asked, said = (batch, rows, own, keys), (batch, rows, heads, values)
    sizes = asked, asked, said, (batch, heads, keys, values)
    q, k, v, state = (torch.randn(size, generator=generator, dtype=torch.float64).to(dtype) for size in sizes)
    a = -fastest * torch.rand(batch, rows, heads, generator=generator, dtype=torch.float64)
    return q.requires_grad_(), k.requires_grad_(), v.requires_grad_(), a.requires_grad_(), state.requires_grad_()


def loop(q: Tensor, k: Tensor, v: Tensor, a: Tensor | None, state: Tensor) -> tuple[Tensor, Tensor]:
    """The definition, row by row."""
    out = []
    for t in range(v.shape[1]):
        fade = 1.0 if a is None else a[:, t, :, None, None].exp()
        state = fade * state + k[:, t, :, :, None] * v[:, t, :, None]
        out.append((q[:, t, :, None] @ state)[:, :, 0])
    return torch.stack(out, 1), state


def found(form: Form, rows: Rows, fades: bool = True) -> list[Tensor]:
    """What a form says, and the gradients of a function of all of it."""
    y, end = form(*rows[:3], rows[3] if fades else None, rows[4])
    wanted = [part for part in rows if fades or part is not rows[3]]
    return [y.detach(), end.detach(), *torch.autograd.grad(y.sin().sum() + end.square().sum(), wanted)]


def exact(rows: Rows) -> Rows:
    """The same in double precision."""
    q, k, v, a, state = (part.detach().double().requires_grad_() for part in rows)
    return q, k, v, a, state


def gap(some: list[Tensor], others: list[Tensor]) -> float:
    """Largest difference, in units of the largest number of each."""
    return max(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in zip(some, others, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("fades", [True, False])
@pytest.mark.parametrize("form", [matrix.recur, matrix.sum_in_chunks])
def test_every_form_and_its_gradients_are_those_of_the_loop(shape: tuple[int, ...], fades: bool, form: Form) -> None:
    rows = rows_of(shape)
    assert gap(found(form, rows, fades), found(loop, rows, fades)) <= 1e-12


def test_the_adjoint_is_that_of_finite_differences() -> None:
    rows = tuple(part.detach().requires_grad_() for part in rows_of((2, 5, 2, 1, 3, 2)))
    assert torch.autograd.gradcheck(matrix.recur, rows)


def test_what_fades_to_nothing_leaves_no_gradient_of_chance() -> None:
    """After long gaps e^a is 0 or all but 0: its gradient is the loop's, however large what lies on both sides of it is."""
    q, k, v, a, state = rows_of((2, 60, 2, 1, 16, 8), torch.float32)
    gaps = a.detach().clone()
    gaps[:, 20], gaps[:, 40] = -1e6, -30.0
    rows = (q, k, v, gaps.requires_grad_(), state)
    got, asked = found(matrix.recur, rows)[5], found(loop, exact(rows))[5]
    assert float(got[:, 20].abs().max()) == 0.0
    assert torch.allclose(got[:, 40], asked[:, 40], rtol=1e-3, atol=0) and float(asked[:, 40].abs().min()) > 0


def test_single_precision_is_double_to_rounding() -> None:
    rows = rows_of((2, 300, 4, 1, 16, 32), torch.float32)
    assert gap(found(matrix.recur, rows), found(loop, exact(rows))) <= 2e-5


@pytest.mark.parametrize("cut", [1, 31, 32, 57])
def test_bits_do_not_depend_on_cuts_company_or_gradients(cut: int) -> None:
    q, k, v, a, state = rows_of((3, 80, 2, 1, 16, 33), torch.float32)
    y, end = matrix.recur(q, k, v, a, state)
    with torch.no_grad():
        head, middle = matrix.recur(q[:, :cut], k[:, :cut], v[:, :cut], a[:, :cut], state)
        tail, last = matrix.recur(q[:, cut:], k[:, cut:], v[:, cut:], a[:, cut:], middle)
        one, alone = matrix.recur(q[1:2], k[1:2], v[1:2], a[1:2], state[1:2])
    assert torch.equal(torch.cat([head, tail], 1), y) and torch.equal(last, end)
    assert torch.equal(one, y[1:2]) and torch.equal(alone, end[1:2])
    assert scan_matrix.STRETCH < 80  # there were marks between

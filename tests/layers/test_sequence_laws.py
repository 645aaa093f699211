"""Laws of every sequence layer: two forms, causality, gaps and padding, precision, devices."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from forecast.kernels import jit
from forecast.layers.blocks import LAYERS
from forecast.layers.sequence import SequenceLayer
from forecast.types import leaves, put, take, tree_map

WIDTH, BATCH, ROWS = 8, 3, 40
BIT_EQUAL = {"s4d"}  # a kernel on the CPU: chunks, steps and company give the same bits
every_layer = pytest.mark.parametrize("word", sorted(LAYERS))


def layer_of(word: str, dtype: torch.dtype = torch.float64) -> SequenceLayer[Any]:
    torch.manual_seed(0)
    return LAYERS[word](WIDTH).to(dtype).eval()


def rows_of(
    seed: int, dtype: torch.dtype = torch.float64, irregular: bool = True, gaps: bool = True
) -> tuple[Tensor, Tensor, Tensor]:
    """Input, elapsed and observed with gaps of 0 to 7 nominal rows and a fifth of the rows unobserved."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.randn(BATCH, ROWS, WIDTH, generator=generator, dtype=torch.float64).to(dtype)
    elapsed = torch.ones(BATCH, ROWS, dtype=torch.float64)
    if irregular:
        elapsed = 7 * torch.rand(BATCH, ROWS, generator=generator, dtype=torch.float64)
    observed = torch.rand(BATCH, ROWS, generator=generator) > (0.2 if gaps else -1.0)
    return u, elapsed, observed


def warm(layer: SequenceLayer[Any], dtype: torch.dtype = torch.float64) -> Any:
    """A state that rows have led to."""
    u, elapsed, observed = rows_of(99, dtype, irregular=False)
    return layer(u, layer.initial_state(BATCH), elapsed, observed)[1]


def gap(a: Any, b: Any) -> float:
    """Largest difference over leaves, relative to the leaf's own scale."""
    pairs = [(x.detach().double(), y.detach().double()) for x, y in zip(leaves(a), leaves(b), strict=True)]
    return max(float((x - y).abs().max()) / max(float(x.abs().max()), 1.0) for x, y in pairs if x.numel())


def stepped(layer: SequenceLayer[Any], rows: tuple[Tensor, Tensor, Tensor], state: Any) -> tuple[Tensor, Any]:
    out = []
    for row in zip(*(part.unbind(1) for part in rows), strict=True):
        y, state = layer.step(row[0], state, row[1], row[2])
        out.append(y)
    return torch.stack(out, 1), state


@every_layer
@pytest.mark.parametrize("kernels", [True, False])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@given(cut=st.integers(0, ROWS), seed=st.integers(0, 2**16), irregular=st.booleans())
def test_L1_whole_is_chunks_is_steps(
    word: str, kernels: bool, dtype: torch.dtype, cut: int, seed: int, irregular: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        if not kernels:
            patch.setattr(jit, "AVAILABLE", False)
        layer = layer_of(word, dtype)
        start, rows = warm(layer, dtype), rows_of(seed, dtype, irregular)
        whole, end = layer(rows[0], start, rows[1], rows[2])
        allowed = 0.0 if kernels and word in BIT_EQUAL else 1e-12 if dtype == torch.float64 else 2e-5
        head, middle = layer(*_cut(rows, start, 0, cut)) if cut else (whole[:, :0], start)
        tail, last = layer(*_cut(rows, middle, cut, ROWS)) if cut < ROWS else (whole[:, :0], middle)
        assert gap((whole, end), (torch.cat([head, tail], 1), last)) <= allowed, "chunks"
        assert gap((whole, end), stepped(layer, rows, start)) <= allowed, "steps"


def _cut(rows: tuple[Tensor, Tensor, Tensor], state: Any, low: int, high: int) -> tuple[Tensor, Any, Tensor, Tensor]:
    return rows[0][:, low:high], state, rows[1][:, low:high], rows[2][:, low:high]


@every_layer
def test_L2_a_later_row_moves_nothing_earlier(word: str) -> None:
    layer = layer_of(word)
    start, (u, elapsed, observed) = warm(layer), rows_of(1)
    later = u.clone()
    later[:, 25:] += 100
    with torch.no_grad():
        a, b = layer(u, start, elapsed, observed)[0], layer(later, start, elapsed, observed)[0]
    assert float((a - b)[:, :25].abs().max()) <= 1e-11
    assert float((a - b)[:, 25:].abs().max()) > 1e-3


@every_layer
def test_L4_an_unobserved_row_brings_nothing(word: str) -> None:
    layer = layer_of(word)
    start, (u, elapsed, observed) = warm(layer), rows_of(2)
    other = torch.where(observed[..., None], u, 50 + u)
    with torch.no_grad():
        a, b = layer(u, start, elapsed, observed), layer(other, start, elapsed, observed)
    assert gap(a[1], b[1]) == 0
    assert gap(a[0][observed], b[0][observed]) == 0


@every_layer
def test_L4_padding_is_invisible(word: str) -> None:
    layer = layer_of(word)
    rows = rows_of(3)
    u, elapsed, observed = (torch.cat([torch.ones_like(part[:, :9]), part], 1) for part in rows)
    observed[:, :9] = False
    elapsed[0, :9], elapsed[1, :9] = 0, 3
    with torch.no_grad():
        plain = layer(rows[0], layer.initial_state(BATCH), rows[1], rows[2])
        padded = layer(u, layer.initial_state(BATCH), elapsed, observed)
    assert gap(plain, (padded[0][:, 9:], padded[1])) <= 1e-12


@every_layer
def test_L4_a_row_without_time_or_reading_leaves_the_state(word: str) -> None:
    layer = layer_of(word)
    state = warm(layer)
    with torch.no_grad():
        _, after = layer(
            torch.ones(BATCH, 5, WIDTH, dtype=torch.float64),
            state,
            torch.zeros(BATCH, 5),
            torch.zeros(BATCH, 5, dtype=torch.bool),
        )
    assert gap(state, after) == 0


@every_layer
def test_L5_series_do_not_know_each_other(word: str) -> None:
    layer = layer_of(word)
    start, rows = warm(layer), rows_of(4)
    some = torch.tensor([2, 0])
    with torch.no_grad():
        y, end = layer(rows[0], start, rows[1], rows[2])
        part, last = layer(rows[0][some], take(start, some), rows[1][some], rows[2][some])
    allowed = 0.0 if word in BIT_EQUAL else 1e-12
    assert gap((y[some], take(end, some)), (part, last)) <= allowed
    assert gap(put(start, some, last), put(end, torch.tensor([1]), take(start, torch.tensor([1])))) <= allowed


@every_layer
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_L6_precision_and_meta(word: str, dtype: torch.dtype) -> None:
    layer = layer_of(word, dtype)
    rows = rows_of(5, dtype)
    with torch.no_grad():
        y, end = layer(rows[0], layer.initial_state(BATCH), rows[1], rows[2])
    assert y.dtype == dtype
    assert all(
        torch.finfo(leaf.dtype).bits >= torch.finfo(dtype).bits for leaf in leaves(end) if leaf.is_floating_point()
    )
    layer = layer.to("meta")
    u, elapsed, observed = (part.to("meta") for part in rows)
    y, end = layer(u, layer.initial_state(BATCH), elapsed, observed)
    assert y.is_meta and y.shape == u.shape and all(leaf.is_meta for leaf in leaves(end))
    assert layer.step(u[:, 0], end, elapsed[:, 0], observed[:, 0])[0].is_meta


@every_layer
def test_L10_state_is_bounded_and_arguments_are_left_alone(word: str) -> None:
    layer = layer_of(word)
    rows, state = rows_of(6), warm(layer)
    copies = tree_map(lambda leaf: leaf.clone(), (rows, state))
    with torch.no_grad():
        _, end = layer(rows[0], state, rows[1], rows[2])
        layer.step(rows[0][:, 0], state, rows[1][:, 0], rows[2][:, 0])
    assert gap((rows[0], rows[1], state), (copies[0][0], copies[0][1], copies[1])) == 0
    assert [leaf.shape for leaf in leaves(end)] == [leaf.shape for leaf in leaves(state)]
    assert all(leaf.shape[0] == BATCH for leaf in leaves(end))


@every_layer
def test_gradients_of_both_forms_agree(word: str) -> None:
    """The gradient through the parallel form is that through the steps."""
    layer = layer_of(word)
    rows = rows_of(7)
    found: list[list[Tensor]] = []
    for form in (lambda: layer(rows[0], warm(layer), rows[1], rows[2]), lambda: stepped(layer, rows, warm(layer))):
        layer.zero_grad()
        y, end = form()
        (y.square().sum() + sum(leaf.square().sum() for leaf in leaves(end) if leaf.is_floating_point())).backward()
        found.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    assert len(found[0]) == len(found[1]) > 0
    assert max(float((a - b).abs().max() / b.abs().max().clamp(min=1e-3)) for a, b in zip(*found, strict=True)) <= 1e-8
    assert all(math.isfinite(float(g.abs().sum())) for g in found[0])


@every_layer
@pytest.mark.parametrize("gaps", [False, True])
def test_without_gradients_it_is_the_same(word: str, gaps: bool) -> None:
    """Kernels that serve where no gradient is wanted are what torch does where one is, whole and step by step."""
    layer = layer_of(word)
    start, rows = tree_map(Tensor.detach, warm(layer)), rows_of(8, irregular=gaps, gaps=gaps)
    made = [layer(rows[0], start, rows[1], rows[2]), stepped(layer, rows, start)]
    with torch.no_grad():
        assert gap(made[0], layer(rows[0], start, rows[1], rows[2])) <= 1e-12
        assert gap(made[1], stepped(layer, rows, start)) <= 1e-12


def test_s4_at_rest_is_as_from_any_state_and_the_state_has_its_gradient() -> None:
    """Zeros say nothing, so that they are not read; where their gradient is asked for it is that through the steps."""
    layer, rows = layer_of("s4"), rows_of(3, irregular=False)
    rest, asked, slow = (layer.initial_state(BATCH) for _ in range(3))
    for state in (asked, slow):
        leaves(state)[0].requires_grad_()
    found = [layer(rows[0], state, rows[1], rows[2]) for state in (rest, asked)] + [stepped(layer, rows, slow)]
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(leaves(found[0][1])[0], leaves(found[1][1])[0])
    for y, _ in found[1:]:
        y.square().sum().backward()
    said, told = (leaves(state)[0].grad for state in (asked, slow))
    assert said is not None and told is not None and float(said.abs().max()) > 0
    assert gap(said, told) <= 1e-10

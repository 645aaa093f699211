"""Memory that states of attention share one after the other."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.kernels import attend
from forecast.layers import live_window
from forecast.layers.attention import Attention, AttentionState

WINDOW, BATCH, WIDTH, ROWS = 8, 2, 8, 40


def rows_of() -> Tensor:
    return torch.randn(ROWS, BATCH, WIDTH, generator=torch.Generator().manual_seed(1))


def layer_of() -> Attention:
    torch.manual_seed(0)
    return Attention(WIDTH, window=WINDOW).eval()


def held(layer: Attention, shared: bool, seen: Tensor) -> list[AttentionState]:
    """Every state along some rows, each of which three are stepped to; where not `shared`, from memory of its own."""
    ones, states = torch.ones(BATCH, dtype=torch.float64), [layer.initial_state(BATCH)]
    with torch.no_grad():
        for row, observed in zip(rows_of(), seen, strict=True):
            for turn in range(3):  # two of three are let go at once
                before = states[-1] if shared else AttentionState(*(leaf.clone() for leaf in states[-1]))
                after = layer.step(row if turn == 1 else 2 * row, before, ones, observed)[1]
            states.append(after)
    return states


@pytest.mark.parametrize("large", [True, False])
@pytest.mark.parametrize("share", [1.0, 0.8])
def test_a_state_that_is_held_is_left_alone(monkeypatch: pytest.MonkeyPatch, large: bool, share: float) -> None:
    """However often a state is stepped from, whatever happens to those after it, and wherever their windows lie: the same bits."""
    monkeypatch.setattr(live_window, "LARGE", 0 if large else 1 << 40)
    seen = torch.rand(ROWS, BATCH, generator=torch.Generator().manual_seed(2)) < share
    shared, alone = held(layer_of(), True, seen), held(layer_of(), False, seen)
    for a, b in zip(shared, alone, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_a_window_goes_on_in_its_memory_until_it_ends() -> None:
    layer, ones = layer_of(), torch.ones(BATCH, dtype=torch.float64)
    state, places = layer.initial_state(BATCH), []
    with torch.no_grad():
        for row in rows_of():
            state = layer.step(row, state, ones, ones.bool())[1]
            places.append(state.keys.untyped_storage().data_ptr())
    moves = sum(a != b for a, b in pairwise(places))
    assert moves == (ROWS - 1) // (WINDOW // live_window.SHARE + 1)


def test_a_place_is_given_away_once() -> None:
    """Two that go on from one state do not write into each other's rows, nor does one that holds some of its series or places."""
    layer, ones = layer_of(), torch.ones(BATCH, dtype=torch.float64)
    with torch.no_grad():
        first = layer.step(rows_of()[0], layer.initial_state(BATCH), ones, ones.bool())[1]
        one = layer.step(rows_of()[1], first, ones, ones.bool())[1]
        copy = [leaf.clone() for leaf in one]
        layer.step(rows_of()[2], first, ones, ones.bool())
        some = AttentionState(*(leaf[:1] for leaf in first))
        layer.step(rows_of()[3, :1], some, ones[:1], ones[:1].bool())
        spare, window = layer._spare, one.keys
        spare.after(window[:, 1:], True)[0][:, -1] = 7.0
        spare.after(first.keys, True)[0][:, -1] = 7.0
    assert one.keys.untyped_storage().data_ptr() == first.keys.untyped_storage().data_ptr()
    assert all(torch.equal(a, b) for a, b in zip(one, copy, strict=True))


def test_one_series_taken_many_times_is_many() -> None:
    layer, one = layer_of(), torch.ones(1, dtype=torch.float64)
    with torch.no_grad():
        state = layer.step(rows_of()[0, :1], layer.initial_state(1), one, one.bool())[1]
        many = AttentionState(*(leaf.expand(2, *leaf.shape[1:]) for leaf in state))
        y, after = layer.step(rows_of()[1], many, one.expand(2), one.expand(2).bool())
        for b in range(2):
            alone, end = layer.step(rows_of()[1, b : b + 1], state, one, one.bool())
            assert torch.allclose(after.keys[b : b + 1], end.keys, atol=1e-6)
            assert torch.allclose(y[b : b + 1], alone, atol=1e-6)


def test_memory_that_nobody_holds_is_used_again() -> None:
    spare, window = live_window.Spare(), torch.zeros(4, 1 << 9, 1 << 7, 1 << 5)
    first = spare.after(window, False)[0]
    address = first.data_ptr()
    second = spare.after(window, False)[0]
    assert second.data_ptr() != address and first.nbytes >= live_window.LARGE
    del first
    assert spare.after(window, False)[0].data_ptr() == address


@pytest.mark.parametrize("moves", [True, False])
def test_the_kernels_without_the_compiler_are_the_kernels(moves: bool) -> None:
    generator = np.random.default_rng(0)
    batch, window, heads, size = 3, 5, 2, 37
    q, new, slope = (generator.normal(size=shape) for shape in ((batch, heads, size), (batch, heads, size), (heads,)))
    old, weight = generator.normal(size=batch * window * heads * size), generator.random((batch, heads, window))
    age, filled = generator.random((batch, window)), generator.random((batch, window)) < 0.7
    elapsed, observed, stride = generator.random(batch), np.array([True, False, True]), window * heads * size
    made = []
    for match, mix in ((attend.match, attend.mix), (attend.plain_match, attend.plain_mix)):
        kept, ages, full = old.copy(), np.empty_like(age), np.empty_like(filled)
        score, y = np.empty((batch, heads, window)), np.empty_like(q)
        windows = attend.Windows(old, kept, (stride, stride), moves)
        match(q, slope, new, windows, age, filled, elapsed, observed, ages, full, score)
        mix(weight, new, windows, full, observed, y)
        made.append((kept, ages, full, score, y))
    for a, b in zip(*made, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)

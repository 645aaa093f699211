"""Memory that states of attention share one after the other."""

import pytest
import torch

from forecast.layers import live_window
from forecast.layers.attention import Attention, AttentionState


def test_memory_of_a_state_that_is_held_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a state is stepped from, and whatever happens to those after it."""
    torch.manual_seed(0)
    layer, ones = Attention(8, window=4).eval(), torch.ones(2, dtype=torch.float64)
    rows = torch.randn(9, 2, 8)

    def states() -> list[AttentionState]:
        held = [layer.initial_state(2)]
        with torch.no_grad():
            for row in rows:
                for _ in range(3):  # two of three are let go at once
                    after = layer.step(row, held[-1], ones, ones.bool())[1]
                held.append(after)
        return held

    plain = states()
    monkeypatch.setattr(live_window, "LARGE", 0)
    swapped = states()
    assert len({state.keys.data_ptr() for state in swapped}) == len(swapped)
    for a, b in zip(plain, swapped, strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_memory_that_nobody_holds_is_used_again() -> None:
    spare, like = live_window.Spare(), torch.zeros(live_window.LARGE // 4)
    first = spare.like(like)
    address = first.data_ptr()
    second = spare.like(like)
    assert second.data_ptr() != address
    del first
    assert spare.like(like).data_ptr() == address

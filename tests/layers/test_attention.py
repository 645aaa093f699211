"""How far a head of attention looks back before it is trained."""

import pytest
import torch

from forecast.layers.attention import Attention


def with_equal_keys(width: int) -> tuple[Attention, torch.Tensor]:
    """The layer where the slope alone tells rows apart, each row handed through, and what it says of 30 rows (30 D)."""
    torch.manual_seed(0)
    layer, rows = Attention(width), torch.randn(1, 30, width)
    with torch.no_grad():
        layer.enter.weight.copy_(torch.cat([torch.zeros(2 * width, width), torch.eye(width)]))
        layer.out.weight.copy_(torch.eye(width))
        y, _ = layer(rows, layer.initial_state(1), torch.ones(1, 30), torch.ones(1, 30, dtype=torch.bool))
    return layer, torch.stack([rows[0], y[0]])


@pytest.mark.parametrize("width", [8, 32])
def test_a_lone_head_takes_the_mean_of_all_rows(width: int) -> None:
    layer, (rows, y) = with_equal_keys(width)
    assert layer.heads == 1
    torch.testing.assert_close(y[-1], rows.mean(0), rtol=0.0, atol=0.02)


def test_of_two_heads_one_looks_near_and_one_far() -> None:
    layer, (rows, y) = with_equal_keys(64)
    near = torch.exp(-0.5 * torch.arange(29, -1, -1.0))
    assert layer.heads == 2
    torch.testing.assert_close(y[-1, :32], (near[:, None] * rows[:, :32]).sum(0) / near.sum())
    torch.testing.assert_close(y[-1, 32:], rows[:, 32:].mean(0), rtol=0.0, atol=0.02)

"""The short convolution: torch's own on a regular clock, and on the grid of whole units on any other."""

import pytest
import torch
from torch import Tensor

from forecast.layers.convolution import ShortConvolution

B, T, D = 3, 30, 5


@pytest.fixture
def layer() -> ShortConvolution:
    torch.manual_seed(0)
    made = ShortConvolution(D, 4).double()
    torch.nn.init.normal_(made.bias)
    return made


def by_torch(layer: ShortConvolution, x: Tensor) -> Tensor:
    kernel = layer.weight.flip(0).T[:, None]
    padded = torch.nn.functional.pad(x.mT, (3, 0))
    return torch.nn.functional.conv1d(padded, kernel, layer.bias, groups=D).mT


def test_on_a_regular_clock_it_is_the_causal_convolution(layer: ShortConvolution) -> None:
    x = torch.randn(B, T, D, dtype=torch.float64)
    ones = torch.ones(B, T)
    y, rows = layer(x, layer.initial_rows(B), ones, ones.bool())
    assert torch.allclose(y, by_torch(layer, x), atol=1e-12) and torch.equal(rows, x[:, -3:])


def test_rows_apart_and_rows_not_observed_are_places_that_hold_nothing(layer: ShortConvolution) -> None:
    """A row of padding, which takes no time, is no place."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(B, T, D, generator=generator, dtype=torch.float64)
    elapsed = torch.randint(0, 6, (B, T), generator=generator).double()
    observed = torch.rand(B, T, generator=generator) > 0.3
    y, _ = layer(x, layer.initial_rows(B), elapsed, observed)
    seen = 0
    for b in range(B):
        grid, place = torch.zeros(1, 6 * T + 8, D, dtype=torch.float64), 4
        for t in range(T):
            if bool(observed[b, t]) or elapsed[b, t] > 0:
                place += max(int(elapsed[b, t]), 1)
                grid[0, place] = x[b, t] if observed[b, t] else 0.0
            if observed[b, t]:
                assert torch.allclose(y[b, t], by_torch(layer, grid[:, : place + 1])[0, -1], atol=1e-12)
                seen += 1
    assert seen > 50

"""Products of bfloat16 in training: near those of float32, with their gradients, and in training alone."""

import pytest
import torch
from torch import Tensor

from forecast.layers.linear import Linear, short_products


def rounded(part: Tensor) -> Tensor:
    return part.bfloat16().double()


@pytest.mark.parametrize("bias", [True, False])
def test_short_products_are_those_of_rounded_factors_and_so_are_their_gradients(bias: bool) -> None:
    torch.manual_seed(0)
    layer, u, g = Linear(24, 10, bias=bias), torch.randn(3, 7, 24, requires_grad=True), torch.randn(3, 7, 10)
    with short_products():
        y = layer(u)
    y.backward(g)
    wanted = rounded(u.detach()) @ rounded(layer.weight.detach()).mT + (layer.bias.double() if bias else 0.0)
    assert y.dtype == torch.float32 and not torch.equal(y, torch.nn.functional.linear(u, layer.weight, layer.bias))
    assert torch.allclose(y.double(), wanted, rtol=2**-7, atol=2e-2)
    gu = rounded(g) @ rounded(layer.weight.detach())
    gw = rounded(g).flatten(0, 1).mT @ rounded(u.detach()).flatten(0, 1)
    assert u.grad is not None and layer.weight.grad is not None
    assert torch.allclose(u.grad.double(), gu, rtol=2**-7, atol=2e-2)
    assert torch.allclose(layer.weight.grad.double(), gw, rtol=2**-7, atol=6e-2)
    assert layer.bias is None or torch.allclose(layer.bias.grad, g.sum((0, 1)), atol=1e-5)


def test_products_are_whole_outside_without_gradients_and_in_double_precision() -> None:
    torch.manual_seed(0)
    layer, u = Linear(24, 10), torch.randn(5, 24)
    whole = layer(u)
    with short_products(), torch.no_grad():
        assert torch.equal(layer(u), whole)
    with short_products():
        assert torch.equal(layer.double()(u.double()), torch.nn.functional.linear(u.double(), layer.weight, layer.bias))
        layer.float()
    assert torch.equal(layer(u), whole)

"""A linear map whose products may be of bfloat16 in training, on processors that multiply these faster.

    y = bf16(u) bf16(W)ᵀ + b, and so both gradients; sums of products, weights, b and all rows between the maps stay in their own precision

Nothing else is rounded, so that every other layer stays in its kernel; where no gradient is asked for, products are whole.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_short = [False]  # whether products are of bfloat16


@contextlib.contextmanager
def short_products() -> Iterator[None]:
    """Products of bfloat16 in the forward passes within, and in the backward passes that follow from them."""
    before, _short[0] = _short[0], True
    try:
        yield
    finally:
        _short[0] = before


class Linear(nn.Linear):
    """A linear map that heeds `short_products`."""

    def forward(self, u: Tensor) -> Tensor:
        if _short[0] and torch.is_grad_enabled() and u.dtype == self.weight.dtype == torch.float32:
            y: Tensor = _Short.apply(u, self.weight, self.bias)  # type: ignore[no-untyped-call]
            return y
        return super().forward(u)


class _Short(torch.autograd.Function):
    """The map with products of bfloat16."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        rows, map_ = u.flatten(0, -2).bfloat16(), weight.bfloat16()
        ctx.save_for_backward(rows, map_)
        y = (rows @ map_.mT).float().unflatten(0, u.shape[:-1])
        return y if bias is None else y.add_(bias)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (rows, map_), (for_u, for_map, for_bias) = ctx.saved_tensors, ctx.needs_input_grad
        grad = grads[0].flatten(0, -2)
        short = grad.bfloat16()
        gu = (short @ map_).float().unflatten(0, grads[0].shape[:-1]) if for_u else None
        return gu, (short.mT @ rows).float() if for_map else None, grad.sum(0) if for_bias else None

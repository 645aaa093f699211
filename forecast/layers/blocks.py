"""Blocks declared as data: a word for each layer, a residual around it, a stack of them.

    y = u + dropout(GLU(W GELU(layer(RMSNorm(u)))))

Shapes: u, y (B T D). A stack of blocks is a sequence layer itself; its state is the tuple of the states of its blocks.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from forecast.errors import unknown
from forecast.layers.attention import Attention
from forecast.layers.linear import Linear
from forecast.layers.mamba import Mamba
from forecast.layers.matrix import SSD, GatedDelta, LinearAttention, Performer
from forecast.layers.recurrent import Gated
from forecast.layers.s4 import S4
from forecast.layers.s4d import S4D
from forecast.layers.s5 import S5
from forecast.layers.sequence import SequenceLayer

SHORT = 4  # places of the short convolution where a word asks for it
FULL = 512  # rows that `attention` looks back; `window_attention` has the layer's own window

LAYERS: dict[str, Callable[[int], SequenceLayer[Any]]] = {
    "attention": lambda width: Attention(width, FULL),
    "gated_delta": GatedDelta,
    "gru": lambda width: Gated(width, "gru"),
    "linear_attention": LinearAttention,
    "lstm": Gated,
    "mamba": Mamba,
    "mamba_convolution": lambda width: Mamba(width, convolution=SHORT),
    "performer": Performer,
    "s4": S4,
    "s4d": S4D,
    "s5": S5,
    "ssd": SSD,
    "ssd_convolution": lambda width: SSD(width, convolution=SHORT),
    "window_attention": Attention,
}


class Dropout(nn.Module):
    """Dropout that draws a byte for each number, where torch's draws a double: shares are in 256ths on the CPU."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, u: Tensor) -> Tensor:
        cut = round(self.share * 256)
        if not (self.training and cut) or u.device.type != "cpu" or cut > 255:
            return nn.functional.dropout(u, self.share, self.training)
        words = torch.empty(-(-u.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        kept = words.view(torch.uint8)[: u.numel()].view(u.shape) >= cut
        return u * kept.to(u.dtype).mul_(256 / (256 - cut))


class Residual(SequenceLayer[Any]):
    """A layer with its norm, its mixing of channels and its way around."""

    def __init__(self, layer: SequenceLayer[Any], width: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.layer = nn.RMSNorm(width, eps=1e-6), layer
        self.mix, self.dropout = Linear(width, 2 * width), Dropout(dropout)

    def initial_state(self, batch: int) -> Any:
        return self.layer.initial_state(batch)

    def forward(self, u: Tensor, state: Any, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, Any]:
        y, state = self.layer(self.norm(u), state, elapsed, observed)
        return self._around(u, y), state

    def said(self, u: Tensor, state: Any, elapsed: Tensor, observed: Tensor) -> Tensor:
        return self._around(u, self.layer.said(self.norm(u), state, elapsed, observed))

    def at(self, u: Tensor, state: Any, elapsed: Tensor, observed: Tensor, rows: Tensor) -> Tensor:
        """What `forward` says after some rows of each sequence (B P)."""
        y = self.layer.said(self.norm(u), state, elapsed, observed)
        return self._around(_picked(u, rows), _picked(y, rows))

    def step(self, u: Tensor, state: Any, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, Any]:
        y, state = self.layer.step(self.norm(u), state, elapsed, observed)
        return self._around(u, y), state

    def _around(self, u: Tensor, y: Tensor) -> Tensor:
        said = nn.functional.glu(self.mix(nn.functional.gelu(y)), -1)
        return u + (self.dropout(said) if self.training else said)


class Stack(SequenceLayer[tuple[Any, ...]]):
    """An embedding, blocks one after the other, a last norm."""

    def __init__(self, features: int, blocks: Sequence[str], width: int, dropout: float) -> None:
        super().__init__()
        for word in blocks:
            if word not in LAYERS:
                raise unknown("layer", word, LAYERS)
        self.embed, self.norm = Linear(features, width), nn.RMSNorm(width, eps=1e-6)
        self.blocks = nn.ModuleList(Residual(LAYERS[word](width), width, dropout) for word in blocks)

    def initial_state(self, batch: int) -> tuple[Any, ...]:
        return tuple(block.initial_state(batch) for block in self.blocks)  # type: ignore[operator]

    def forward(
        self, u: Tensor, state: tuple[Any, ...], elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, tuple[Any, ...]]:
        y, after = self.embed(u), []
        for block, part in zip(self.blocks, state, strict=True):
            y, part = block(y, part, elapsed, observed)
            after.append(part)
        return self.norm(y), tuple(after)

    def step(
        self, u: Tensor, state: tuple[Any, ...], elapsed: Tensor, observed: Tensor
    ) -> tuple[Tensor, tuple[Any, ...]]:
        y, after = self.embed(u), []
        for block, part in zip(self.blocks, state, strict=True):
            y, part = block.step(y, part, elapsed, observed)  # type: ignore[operator]
            after.append(part)
        return self.norm(y), tuple(after)

    def at(self, u: Tensor, state: tuple[Any, ...], elapsed: Tensor, observed: Tensor, rows: Tensor) -> Tensor:
        """What `forward` says after some rows of each sequence (B P): the last block mixes the channels of these alone."""
        y = self.embed(u)
        for block, part in zip(self.blocks[:-1], state[:-1], strict=True):
            y = block.said(y, part, elapsed, observed)  # type: ignore[operator]
        y = self.blocks[-1].at(y, state[-1], elapsed, observed, rows) if self.blocks else _picked(y, rows)  # type: ignore[operator]
        return self.norm(y)


def _picked(u: Tensor, rows: Tensor) -> Tensor:
    """Rows (B P) of each sequence."""
    return u.gather(1, rows[..., None].expand(-1, -1, u.shape[2]))

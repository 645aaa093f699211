"""LSTM and GRU, the recurrent references: no parallel form, a state that an unobserved row leaves as it is.

Shapes: u, y (B T D); state (B D) each. The time since the last row is one more input. Where every row is observed the whole
sequence goes through torch's fused kernel, else cell by cell.
Sources: Hochreiter & Schmidhuber (1997); Cho et al. (2014), with torch's gates.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from forecast.layers.sequence import SequenceLayer


class GatedState(NamedTuple):
    """What the gates carry; a GRU has no cell and leaves it at 0."""

    output: Tensor  # (B D)
    cell: Tensor  # (B D)


class Gated(SequenceLayer[GatedState]):
    """An LSTM or a GRU of the layer's width."""

    def __init__(self, width: int, kind: str = "lstm") -> None:
        super().__init__()
        self.lstm = kind == "lstm"
        self.net: nn.RNNBase = (nn.LSTM if self.lstm else nn.GRU)(width + 1, width, batch_first=True)

    def initial_state(self, batch: int) -> GatedState:
        blank = next(self.net.parameters()).new_zeros(batch, self.net.hidden_size)
        return GatedState(blank, blank.clone())

    def forward(self, u: Tensor, state: GatedState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, GatedState]:
        if observed.is_meta or bool(observed.all()):
            rows = torch.cat([u, elapsed[..., None].to(u.dtype)], -1)
            if self.lstm:
                y, (output, cell) = self.net(rows, (state.output[None].contiguous(), state.cell[None].contiguous()))
                return y, GatedState(output[0], cell[0])
            y, output = self.net(rows, state.output[None].contiguous())
            return y, GatedState(output[0], state.cell)
        out = []
        for row in zip(u.unbind(1), elapsed.unbind(1), observed.unbind(1), strict=True):
            y, state = self.step(row[0], state, row[1], row[2])
            out.append(y)
        return torch.stack(out, 1), state

    def step(self, u: Tensor, state: GatedState, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, GatedState]:
        weights = [getattr(self.net, name) for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")]
        row, keep = torch.cat([u, elapsed[:, None].to(u.dtype)], -1), observed[:, None]
        if self.lstm:
            output, cell = torch.lstm_cell(row, (state.output, state.cell), *weights)
        else:
            output, cell = torch.gru_cell(row, state.output, *weights), state.cell
        output, cell = torch.where(keep, output, state.output), torch.where(keep, cell, state.cell)
        return output, GatedState(output, cell)

"""State of members that know no recurrent form: their last L rows, moved up by one with every new row.

A row before a series' first observed value leaves no trace: its inputs are dropped and it is not counted.
Shapes: values (B L C), the latest row last, NaN where there was none; inputs (B L K); position (B).
"""

from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.types import Past


class Rows(NamedTuple):
    """The last rows of every series."""

    values: Tensor  # (B L C) float64
    inputs: Tensor  # (B L K) float64
    position: Tensor  # (B) int64: rows since the series' first observed value

    @classmethod
    def none(cls, static: Tensor, length: int, channels: int, inputs: int) -> Self:
        """No rows yet."""
        batch = static.shape[0]
        blank = static.new_full((batch, length, channels), torch.nan, dtype=torch.float64)
        position = torch.zeros(batch, dtype=torch.int64, device=static.device)
        return cls(blank, blank.new_zeros(batch, length, inputs), position)

    def then(self, past: Past) -> "Rows":
        """All of these rows and those of `past`, as many as there are."""
        seen = past.values.isfinite().any(-1)
        begun = seen.cummax(1).values | (self.position > 0)[:, None]
        inputs = torch.where(begun[..., None], past.inputs.double(), 0.0)
        return Rows(
            torch.cat([self.values, past.values.double()], 1),
            torch.cat([self.inputs, inputs], 1),
            self.position + begun.sum(1),
        )

    def last(self, length: int) -> "Rows":
        """The last `length` of them."""
        start = self.values.shape[1] - length
        return Rows(self.values[:, start:], self.inputs[:, start:], self.position)

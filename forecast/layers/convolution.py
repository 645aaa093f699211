"""The short convolution of Mamba, on a clock: what was seen 1 … K-1 units of time before a row, each by a weight of its own.

    p_t = Σ_j w_j x(t - j),  j = 1 … K-1 places back       the whole is  w_0 x_t + b + p_t

A row takes the place that lies max(round(elapsed), 1) places after that of the row before; places between, and rows that are not
observed, hold 0; a row that is not observed and takes no time is none. So a gap moves what was before it out of reach.
Shapes: x, p (B T D); weight (K D); state (B K-1 D), the last place last.
Source: Gu & Dao (2023), §3.4, without time between the rows.
"""

import math

import torch
from torch import Tensor, nn

from forecast.ssm.modes import is_regular


class ShortConvolution(nn.Module):
    """K weights of each channel."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(size)
        self.weight = nn.Parameter(torch.empty(size, channels).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(channels))

    def initial_rows(self, batch: int) -> Tensor:
        """The state before the first row."""
        return self.weight.new_zeros(batch, self.weight.shape[0] - 1, self.weight.shape[1])

    def forward(self, x: Tensor, rows: Tensor, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
        """The whole at every row, its own part as it is given, and the state after them; of rows not observed nothing is kept."""
        kept, back = torch.where(observed[..., None], x, torch.zeros_like(x)), rows.shape[1]
        known = torch.cat([rows.to(x.dtype), kept], 1)
        made = x * self.weight[0] + self.bias
        if is_regular(elapsed):
            for j in range(1, back + 1):
                made = made + self.weight[j] * known[:, back - j : known.shape[1] - j]
            return made, known[:, known.shape[1] - back :].to(rows.dtype)
        moved = torch.where(observed | (elapsed > 0), elapsed.round().clamp(1, back + 1), 0.0).long()
        at = moved.cumsum(1)
        first = torch.arange(1 - back, 1, device=x.device).expand(len(x), -1)
        place = torch.cat([first, at], 1).contiguous()
        for j in range(1, back + 1):
            made = made + self.weight[j] * _at(known, place, at - j)
        return made, _at(known, place, at[:, -1:] + first).to(rows.dtype)


def _at(known: Tensor, place: Tensor, wanted: Tensor) -> Tensor:
    """Rows (B W D) at the places wanted (B W), 0 where there are none; of rows at one place the first."""
    index = torch.searchsorted(place, wanted.contiguous()).clamp(max=place.shape[1] - 1)
    there = place.gather(1, index) == wanted
    return known.gather(1, index[..., None].expand(-1, -1, known.shape[2])) * there[..., None]

"""Causal location and spread of every channel: what the parallel form sees at a row, the recurrent form saw too.

Shapes: values (B T C); elapsed (B T); moments (B C 9) in float64, columns as in `kernels.scan_scale`; units (B T C) each.
The recursion (there) is not linear, because outliers are bounded; it runs as a kernel on the CPU whatever the device of the data:
a few numbers per row, and no gradient passes through it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.kernels.scan_scale import MOMENTS, UNITS, advance


class Units(NamedTuple):
    """What a value is measured in, and what has been seen."""

    loc: Tensor
    spread: Tensor
    lowest: Tensor
    highest: Tensor
    count: Tensor  # type: ignore[assignment]  # observed rows

    @classmethod
    def of(cls, moments: Tensor) -> "Units":
        """The units that the moments end with."""
        return cls(*moments[..., -UNITS:].unbind(-1))

    def standardise(self, values: Tensor, bound: float) -> Tensor:
        """Values in spreads from the location, within ±bound; NaN stays."""
        return ((values - self.loc) / self.spread.clamp(min=1e-150)).clamp(-bound, bound)

    def restore(self, quantiles: Tensor, middle: int, reach: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """Standardised quantiles (B … H C Q) in the values' units, all units (B … 1 C) or (B … H C).

        Where the median at lead h leaves what was seen by more than b (h - a) ranges, (a, b) the reach, the distribution is shifted back to there.
        """
        q = self.loc[..., None] + self.spread[..., None] * quantiles.to(torch.float64)
        lead = torch.arange(1, q.shape[-3] + 1, device=q.device, dtype=q.dtype)[:, None]
        room = (lead - reach[0]) * reach[1] * (self.highest - self.lowest)
        bounded = torch.minimum(torch.maximum(q[..., middle], self.lowest - room), self.highest + room)
        return q + (bounded - q[..., middle])[..., None]


class CausalScale(NamedTuple):
    """Exponentially weighted units: half-life in rows, and the smallest spread as a share of that of the whole life."""

    half_life: float
    floor: float = 0.02

    def initial_moments(self, batch: int, channels: int, device: torch.device) -> Tensor:
        """Before the first row."""
        return torch.zeros(batch, channels, len(MOMENTS), dtype=torch.float64, device=device)

    def run(self, values: Tensor, elapsed: Tensor, moments: Tensor) -> tuple[Units, Tensor]:
        """Units after each row (B T C), and the moments after the last."""
        if values.is_meta:
            return Units(*[values.double()] * UNITS), moments
        batch, rows, channels = values.shape
        y = values.detach().to("cpu", torch.float64).transpose(1, 2).reshape(batch * channels, rows)
        gaps = (
            elapsed.detach()
            .to("cpu", torch.float64)[:, None]
            .expand(batch, channels, rows)
            .reshape(batch * channels, rows)
        )
        after = moments.detach().cpu().reshape(batch * channels, len(MOMENTS)).clone()
        units = torch.empty(batch * channels, rows, UNITS, dtype=torch.float64)
        advance(
            y.contiguous().numpy(), gaps.contiguous().numpy(), self.half_life, self.floor, after.numpy(), units.numpy()
        )
        per_row = units.unflatten(0, (batch, channels)).transpose(1, 2).to(values.device)
        return Units(*per_row.unbind(-1)), after.reshape(moments.shape).to(values.device)

    def widen(self, moments: Tensor, factor: Tensor) -> Tensor:
        """Moments whose location learns `factor` (B) times faster: the weight of the past is divided, the spread stays."""
        faded = moments[..., :2] / factor.to(moments.dtype)[:, None, None]
        return torch.cat([faded, moments[..., 2:]], -1)


def whole_spread(moments: Tensor) -> Tensor:
    """Spread of all rows so far (B C), the old ones as heavy as the new."""
    square, count = (moments[..., MOMENTS.index(name)] for name in ("whole_square", "count"))
    return (square / count.clamp(min=1.0)).sqrt()

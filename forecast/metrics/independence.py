"""What is independent in a comparison, and what may therefore be resampled or counted.

With 20 series or more these are the series, each with all its cutoffs and channels. With fewer, blocks of
neighbouring cutoffs that together span at least one horizon, so that overlapping outcomes stay together. Under 8
blocks nothing can be told.
Source: Lahiri (2003), Resampling Methods for Dependent Data, ch. 2 (non-overlapping blocks).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

SERIES, BLOCKS = 20, 8


@dataclass(frozen=True)
class Units:
    """Independent units: `axis` 0 for series, 1 for blocks of `block` cutoffs."""

    axis: Literal[0, 1]
    block: int
    count: int

    @property
    def enough(self) -> bool:
        """Whether there are enough of them to tell anything."""
        return self.count >= BLOCKS

    def first(self, cutoffs: int) -> int:
        """The first cutoff used: the oldest ones that fill no block are left out."""
        return 0 if self.axis == 0 else cutoffs - self.count * self.block


def units(series: int, cutoffs: int, horizon: int, step: int) -> Units:
    """The independent units of S series × K cutoffs `step` rows apart, forecasts reaching `horizon` rows."""
    if series >= SERIES:
        return Units(0, 1, series)
    block = -(-horizon // max(step, 1))
    return Units(1, block, cutoffs // block)


def per_unit(losses: Tensor, of: Units) -> Tensor:
    """Mean loss of every model in every unit (M N) from losses (M S K), on the cells that all models have.

    Series are averaged in a block: bring losses in different units to one scale first.
    """
    shared = torch.where(losses.isfinite().all(0), losses, torch.nan)
    if of.axis == 0:
        return shared.nanmean(2)
    kept = shared[:, :, of.first(losses.shape[2]) :]
    return kept.reshape(*kept.shape[:2], of.count, of.block).nanmean((1, 3))

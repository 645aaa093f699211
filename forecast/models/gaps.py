"""Lanes with gaps: series end to end as rows of a matrix (L T), NaN where a value is missing."""

import torch
from torch import Tensor


def left_aligned(values: Tensor) -> tuple[Tensor, Tensor]:
    """Lanes (L T) moved so that the first observed value comes first, and their lengths up to the end (L)."""
    seen = values.isfinite()
    first = torch.where(seen.any(1), seen.to(torch.int8).argmax(1), values.shape[1])
    index = torch.arange(values.shape[1], device=values.device) + first[:, None]
    moved = values.gather(1, index.clamp(max=values.shape[1] - 1))
    return torch.where(index < values.shape[1], moved, torch.nan), values.shape[1] - first


def interpolated(values: Tensor) -> Tensor:
    """Missing values (L T) replaced along straight lines, past the last observed value by it."""
    seen = values.isfinite()
    row = torch.arange(values.shape[1], device=values.device).expand_as(values)
    before = torch.where(seen, row, 0).cummax(1).values
    after = torch.where(seen, row, values.shape[1]).flip(1).cummin(1).values.flip(1)
    after = torch.where(after == values.shape[1], before, after)
    part = (row - before) / (after - before).clamp(min=1)
    low, high = values.gather(1, before), values.gather(1, after)
    return low + part * (high - low)

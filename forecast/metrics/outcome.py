"""What a metric sees and what it answers.

A metric turns an Outcome into a Tally, cell by cell (B H C); pooling over leads, channels, cutoffs and series happens in one place
only (`forecast.metrics.pooling`), each metric the way its literature pools it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Forecast


class Outcome(NamedTuple):
    """A forecast beside what happened."""

    forecast: Forecast  # of shape (B H C)
    actual: Tensor  # (B H C); NaN = missing
    naive_error: Tensor  # (B C): mean |y_t - y_{t-m}| over all rows before the cutoff
    naive_square: Tensor  # (B C): mean (y_t - y_{t-m})² over the same rows


class Tally(NamedTuple):
    """Values with their weights; weight 0 where the metric is undefined, and the value there is 0."""

    total: Tensor  # (B H C)
    weight: Tensor  # (B H C)

    @classmethod
    def of(cls, value: Tensor, weight: Tensor | None = None) -> "Tally":
        """A tally whose undefined cells (not finite) have no weight."""
        defined = value.isfinite() if weight is None else value.isfinite() & weight.isfinite()
        ones = torch.ones_like(value) if weight is None else weight.expand_as(value)
        return cls(torch.where(defined, value, torch.zeros_like(value)), torch.where(defined, ones, torch.zeros_like(value)))

"""What a metric sees and what it answers.

A metric turns an Outcome into a Tally, cell by cell (B H C); pooling over leads, channels, cutoffs and series happens
in one place only (`forecast.metrics.pooling`), each metric the way its literature pools it.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Forecast

FAINT = 1e-300  # a weight that counts as defined and adds nothing


class Outcome(NamedTuple):
    """A forecast beside what happened."""

    forecast: Forecast  # of shape (B H C)
    actual: Tensor  # (B H C); NaN = missing
    naive_error: Tensor  # (B C): mean |y_t - y_{t-m}| over all rows before the cutoff
    naive_square: Tensor  # (B C): mean (y_t - y_{t-m})² over the same rows


class Tally(NamedTuple):
    """Values with their weights; weight 0 where the metric is undefined, and the value there is 0."""

    total: Tensor  # (B H C) float64
    weight: Tensor  # (B H C) float64

    @classmethod
    def of(cls, value: Tensor, weight: Tensor | None = None) -> "Tally":
        """A tally whose undefined cells (not finite) have no weight.

        In a ratio of sums a cell whose own weight is 0 still counts: it gets the weight FAINT.
        """
        value = value.double()
        size = torch.ones_like(value) if weight is None else weight.double().expand_as(value).clamp(min=FAINT)
        defined = value.isfinite() & size.isfinite()
        return cls(torch.where(defined, value, 0.0), torch.where(defined, size, 0.0))

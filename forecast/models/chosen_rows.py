"""Which rows of a past a closed form learns from, and how much each counts: those of `forecast.models.closed_form`.

    w_t = (spread at t / that of the whole life, at most 3) · heed      where enough has been seen
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.layers.scale import Units
from forecast.models.deep import DeepForecaster
from forecast.types import Past

POSITIONS = 200_000  # rows of a batch that enter, of all its channels
BURN_IN, SEASONS = 0.25, 10  # share of the rows, and seasons, that no forecast is made in: the lesser
MOST_HEED = 30.0  # spreads in a seasonal naive error


class Chosen(NamedTuple):
    """Rows of a past that forecasts are made after, and how much they count."""

    places: Tensor  # (P)
    begun: Tensor  # (B T C): rows since the first value, of which `least` go by
    least: int
    whole: Tensor  # (B 1 C): spread of the whole life
    heed: Tensor  # (B C)
    ends: tuple[Tensor, Tensor]  # (B 1): the last lead of training lies before the one, validation begins at the other
    seen: int

    def weights(self, there: Units, some: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Weights (B P C) of forecasts after the rows `some` in these units (B P 1 C), which are for training and which for validation (B P 1)."""
        weight = (there.spread[:, :, 0] / self.whole.clamp(min=1e-150)).clamp(max=3.0) * self.heed[:, None]
        weight = weight * (self.begun[:, some] > self.least) * (there.count[:, :, 0] >= self.seen) * (self.whole > 0)
        return weight, (some < self.ends[0])[..., None], (some + 1 >= self.ends[1])[..., None]

    def validated(self, weight: Tensor) -> Tensor:
        """Weights (B P C) of squared errors there."""
        return weight.square() / self.heed[:, None].clamp(min=1e-12)


def rows_of(model: DeepForecaster, past: Past, apart: Tensor, whole: Tensor) -> Chosen:
    """The rows that enter, of a past whose last rows `apart` (B) are for validation and whose spreads (B C) are these."""
    horizon, rows, seasons = model.head.basis.horizon, past.values.shape[1], getattr(model, "seasons", ())
    begun = (~past.values.isnan()).cummax(1).values.cumsum(1)
    least = min(SEASONS * max(seasons, default=1), int(BURN_IN * rows))
    places = torch.arange(min(least, rows), rows - horizon, max(1, past.values.numel() // POSITIONS) | 1)
    heed = _heed(past.values, max(seasons[:1], default=1), whole)
    ends = rows - apart[:, None]
    return Chosen(places, begun, least, whole[:, None], heed, (ends - horizon, ends), model.seen)


def _heed(values: Tensor, season: int, whole: Tensor) -> Tensor:
    """How much each series counts in its channel (B C), 1 in the mean: its spread over its seasonal naive error, squared.

    A series that is easy to foresee would else be lost among those that are not.
    """
    if values.shape[0] == 1 or values.shape[1] <= season:
        return torch.ones_like(whole)
    error = (values[:, season:] - values[:, :-season]).square().nanmean(1).sqrt()
    heed = (whole / error.clamp(min=1e-150)).nan_to_num(nan=0.0, posinf=0.0).clamp(max=MOST_HEED).square()
    return heed / heed.mean(0, keepdim=True).clamp(min=1e-12)

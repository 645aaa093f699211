"""Baseline: the residual of Holt-Winters smoothing, its weights the best of a few on the calm rows.

Formulas in `forecast.kernels.smoothing`. Source: Winters (1960), Management Science 6(3).
"""

from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.detect.discord import season as length_of
from forecast.detect.plain import Plain
from forecast.errors import InputError
from forecast.kernels.smoothing import holt_winters

GRID = tuple(product((0.05, 0.2, 0.5), (0.0, 0.02, 0.1), (0.05, 0.2, 0.5)))  # α, β, γ


class Smooth(NamedTuple):
    """What was chosen."""

    weights: Tensor  # (B C 3)
    season: Tensor  # (B) rows


class Smoothed(NamedTuple):
    """Where level, trend and seasons stand."""

    moving: Tensor  # (B C 2)
    ring: Tensor  # (B C longest)
    rows: Tensor  # (B)


class HoltWinters(Plain):
    """Deviations from level, trend and season, each a moving mean."""

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        season: int | None = None,  # rows of a season; none given: as the calm rows say; 1: none
        longest: int = 1500,  # rows of the longest season there is room for
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if longest < 2 or (season is not None and not 1 <= season <= longest):
            raise InputError(f"season={season}, longest={longest}: give a season of 1 to `longest` rows")
        super().__init__(rate, guard, quality)
        self.season, self.longest = season, longest

    def fit(self, r: Tensor, values: Tensor) -> Smooth:
        batch, rows, channels = r.shape
        lengths = [length_of(one) if self.season is None else self.season for one in values]
        season = torch.tensor(lengths).long().clamp(1, self.longest)
        season = torch.where(2 * season <= rows, season, 1)
        errors = []
        for weights in GRID:
            fitted = Smooth(torch.tensor(weights, dtype=torch.float64).repeat(batch, channels, 1), season)
            residual = self.run(fitted, self.begin(fitted), r)[1]
            errors.append(residual[:, rows // 4 :].clamp(max=3.0).square().nanmean(1))
        best = torch.stack(errors).nan_to_num(0.0).argmin(0)
        return Smooth(torch.tensor(GRID, dtype=torch.float64)[best], season)

    def begin(self, fitted: Smooth) -> Smoothed:
        batch, channels = fitted.weights.shape[:2]
        none = fitted.weights.new_zeros
        return Smoothed(none(batch, channels, 2), none(batch, channels, self.longest), torch.zeros_like(fitted.season))

    def run(self, fitted: Smooth, own: Smoothed, r: Tensor) -> tuple[Smoothed, Tensor, Tensor]:
        after, residual = Smoothed(*(leaf.clone() for leaf in own)), torch.empty_like(r)
        moving, ring, rows = (leaf.numpy() for leaf in after)
        weights, season = fitted.weights.contiguous().numpy(), fitted.season.numpy()
        holt_winters(r.contiguous().numpy(), weights, season, moving, ring, rows, residual.numpy())
        size = residual.abs()
        share = size.nan_to_num(0.0) + 1e-12
        return after, size, share / share.sum(-1, keepdim=True)

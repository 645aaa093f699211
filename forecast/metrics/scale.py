"""The in-sample errors of the seasonal naive forecast, by which scaled metrics divide.

    mean |y_t - y_{t-m}|  and  mean (y_t - y_{t-m})²  over all rows t before the cutoff where both are observed

Source: Hyndman & Koehler (2006), Int. J. Forecast. 22(4). M4 takes these rows and this m. A series with no pair m
rows apart is scaled by its one-step errors, as gluonts (and with it GIFT-Eval) does; in M4 every series is longer
than its season.
"""

import torch
from torch import Tensor


def naive_errors(values: Tensor, season: int) -> tuple[Tensor, Tensor]:
    """Mean absolute and mean squared seasonal naive error (B C) over the rows (B T C) before a cutoff, or NaN."""
    absolute, square = _lagged(values, season)
    plain, plain_square = (absolute, square) if season == 1 else _lagged(values, 1)
    return torch.where(absolute.isnan(), plain, absolute), torch.where(square.isnan(), plain_square, square)


def _lagged(values: Tensor, lag: int) -> tuple[Tensor, Tensor]:
    gap = values[:, lag:] - values[:, :-lag] if values.shape[1] > lag else values[:, :0]
    return gap.abs().nanmean(1), gap.square().nanmean(1)

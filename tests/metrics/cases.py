"""Outcomes to score: a Gaussian forecast of several series and what happened, with gaps."""

import math

import torch
from torch import Tensor

from forecast.distribution import Gaussian
from forecast.metrics import METRICS, Outcome, Tally, naive_errors

S, H, C, T, SEASON = 6, 5, 2, 60, 4


def past(channels: int = C, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = 20 + 5 * torch.randn(S, T, channels, generator=generator, dtype=torch.float64)
    values[1, 10] = math.nan
    return values


def outcome(channels: int = C, seed: int = 0, gaps: bool = True) -> Outcome:
    generator = torch.Generator().manual_seed(seed + 100)
    mean, noise = (torch.randn(S, H, channels, generator=generator, dtype=torch.float64) for _ in range(2))
    forecast = Gaussian(20 + mean, torch.full_like(mean, 4.0))
    actual = 20 + 3 * noise
    if gaps:
        actual[2, 1] = math.nan
    return Outcome(forecast, actual, *naive_errors(past(channels, seed), SEASON))


def tally(word: str, of: Outcome) -> Tally:
    """One cutoff: (S 1 H C)."""
    made = METRICS[word].tally(of)
    return Tally(made.total[:, None], made.weight[:, None])

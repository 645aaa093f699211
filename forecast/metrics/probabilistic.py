"""Scores of the whole predictive distribution.

Shapes: Outcome → Tally (B H C). Sources: Gneiting & Raftery (2007), JASA 102(477), for CRPS and the interval score;
Makridakis, Spiliotis & Assimakopoulos (2020), Int. J. Forecast. 36(1), §3 for MSIS (95 % intervals, in units of the
seasonal naive error); GIFT-Eval for WQL: twice the pinball losses of the nine deciles, over the sum of |y|.
"""

import torch
from torch import Tensor

from forecast.metrics.outcome import Outcome, Tally

DECILES = tuple(level / 10 for level in range(1, 10))


def pinball(y: Tensor, quantile: Tensor, level: float) -> Tensor:
    """Quantile loss: level (y - q) above, (1 - level)(q - y) below."""
    gap = y - quantile
    return torch.maximum(level * gap, (level - 1) * gap)


def mean_pinball(outcome: Outcome) -> Tensor:
    """Mean pinball loss over the nine deciles, in the units of y."""
    losses = [pinball(outcome.actual, outcome.forecast.quantile(level), level) for level in DECILES]
    return torch.stack(losses).mean(0)


def wql(outcome: Outcome) -> Tally:
    """Weighted quantile loss: 2 × mean pinball loss over the deciles, a ratio of sums to |y|."""
    return Tally.of(2 * mean_pinball(outcome), outcome.actual.abs())


def pinball_deciles(outcome: Outcome) -> Tally:
    """Mean pinball loss over the deciles."""
    return Tally.of(mean_pinball(outcome))


def crps(outcome: Outcome) -> Tally:
    """Continuous ranked probability score in the units of y."""
    return Tally.of(outcome.forecast.crps(outcome.actual))


def scaled_crps(outcome: Outcome) -> Tally:
    """CRPS in units of the in-sample seasonal naive error: it may be averaged over series."""
    return Tally.of(outcome.forecast.crps(outcome.actual) / outcome.naive_error[:, None])


def coverage(outcome: Outcome) -> Tally:
    """1 where the outcome lies in the central 90 % interval."""
    low, high = outcome.forecast.interval(0.9)
    inside = (outcome.actual >= low) & (outcome.actual <= high)
    return Tally.of(torch.where(outcome.actual.isnan() | low.isnan(), torch.nan, inside.to(outcome.actual.dtype)))


def width(outcome: Outcome) -> Tally:
    """Width of the central 90 % interval in units of the in-sample seasonal naive error."""
    low, high = outcome.forecast.interval(0.9)
    return Tally.of(torch.where(outcome.actual.isnan(), torch.nan, (high - low) / outcome.naive_error[:, None]))


def msis(outcome: Outcome) -> Tally:
    """Interval score of the 95 % interval in units of the in-sample seasonal naive error (M4)."""
    low, high = outcome.forecast.interval(0.95)
    y = outcome.actual
    score = (high - low) + 2 / 0.05 * ((low - y).clamp(min=0) + (y - high).clamp(min=0))
    return Tally.of(score / outcome.naive_error[:, None])


def pit(outcome: Outcome) -> Tally:
    """Probability integral transform F(y): uniform where the forecast is calibrated."""
    return Tally.of(outcome.forecast.cdf(outcome.actual))

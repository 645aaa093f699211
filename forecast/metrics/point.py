"""Errors of the point forecast: the median for absolute errors, the mean for squared ones.

Shapes: every function takes an Outcome and gives a Tally (B H C). Sources: Hyndman & Koehler (2006) for the scaled
errors; Makridakis, Spiliotis & Assimakopoulos (2020) for sMAPE as the M4 competition takes it, 200 |y - f| / (|y| +
|f|).
"""

import torch
from torch import Tensor

from forecast.metrics.outcome import Outcome, Tally


def _absolute(outcome: Outcome) -> Tensor:
    return (outcome.actual - outcome.forecast.median).abs()


def mae(outcome: Outcome) -> Tally:
    """Absolute error of the median."""
    return Tally.of(_absolute(outcome))


def mse(outcome: Outcome) -> Tally:
    """Squared error of the mean."""
    return Tally.of((outcome.actual - outcome.forecast.mean).square())


def bias(outcome: Outcome) -> Tally:
    """Mean less actual: positive where the forecast is too high."""
    return Tally.of(outcome.forecast.mean - outcome.actual)


def mape(outcome: Outcome) -> Tally:
    """Absolute error in per cent of the actual; undefined where that is zero."""
    return Tally.of(100 * _absolute(outcome) / outcome.actual.abs())


def smape(outcome: Outcome) -> Tally:
    """Symmetric absolute percentage error; 0 where forecast and actual are both zero: the forecast is right."""
    error = _absolute(outcome)
    size = outcome.actual.abs() + outcome.forecast.median.abs()
    return Tally.of(200 * torch.where(error == 0, error, error / size))


def wmape(outcome: Outcome) -> Tally:
    """Absolute error with the size of the actual as its weight; a ratio of sums."""
    return Tally.of(_absolute(outcome), outcome.actual.abs())


def mase(outcome: Outcome) -> Tally:
    """Absolute error relative to the in-sample seasonal naive error.

    No weight where that error is zero or undefined: the ratio has no meaning there.
    """
    return Tally.of(_absolute(outcome) / outcome.naive_error[:, None])


def rmsse(outcome: Outcome) -> Tally:
    """Squared error relative to the in-sample squared seasonal naive error; pooled as the root of a series' mean."""
    return Tally.of((outcome.actual - outcome.forecast.mean).square() / outcome.naive_square[:, None])

"""Pinball loss of many quantiles, and its gradient: one pass over them each.

    loss = mean over q of e (q - [e < 0]),  e = y - quantile at q
Shapes: quantiles (M Q); target, loss, weight (M); level (Q); gradient (M Q) of the sum of weight · loss.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.floating]


@jit
def mean(quantiles: Array, target: Array, level: Array, loss: Array) -> None:
    """Fill the loss; NaN where the target is missing."""
    count = len(level)
    for m in range(len(target)):
        row, y, total = quantiles[m], target[m], target[m] * 0
        for q in range(count):
            error = y - row[q]
            total += max(level[q] * error, (level[q] - 1) * error) if error == error else error
        loss[m] = total / count


@jit
def adjoint(quantiles: Array, target: Array, level: Array, weight: Array, gradient: Array) -> None:
    """Fill the gradient."""
    count = len(level)
    for m in range(len(target)):
        row, y, out, share = quantiles[m], target[m], gradient[m], weight[m] / count
        for q in range(count):
            out[q] = share * (1 - level[q]) if y < row[q] else -share * level[q]

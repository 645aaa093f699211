"""Holt-Winters smoothing, additive, one row after the other:  residual = r - (level + trend + season of this row).

    level ← level + trend + α residual,   trend ← trend + α β residual,   season ← season + γ (1 - α) residual
the error-correction form (Hyndman et al. 2008, Forecasting with Exponential Smoothing, §2.3). Shapes: r, residual (B T C), NaN where a reading is
missing: then level and trend go on as they are; weights (B C 3): α, β, γ; season (B) rows; moving (B C 2): level, trend; ring (B C P), P the longest
season there is room for; rows (B).
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
Whole = NDArray[np.int64]


@jit
def holt_winters(
    r: Array, weights: Array, season: Whole, moving: Array, ring: Array, rows: Whole, residual: Array
) -> None:
    """Fill the residuals, and move the memory."""
    batch, number, channels = r.shape
    for b in range(batch):
        for t in range(number):
            place = rows[b] % season[b]
            for c in range(channels):
                alpha, beta, gamma = weights[b, c]
                m, x = moving[b, c], r[b, t, c]
                expected = m[0] + m[1] + ring[b, c, place]
                off = x - expected
                residual[b, t, c] = off
                m[0] += m[1]
                if off == off:
                    m[0] += alpha * off
                    m[1] += alpha * beta * off
                    if season[b] > 1:
                        ring[b, c, place] += gamma * (1 - alpha) * off
            rows[b] += 1

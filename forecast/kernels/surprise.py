"""Surprise and signed normal score of readings under normal forecasts, the same scalar arithmetic for one row and for many.

    d = (y - mean)/√variance,   s = -log(2 Φ(-|d|)) = -log erfc(|d|/√2),   beyond FAR by the series
    log erfc(x) = -x² - log(x √π) + log(1 - 1/2x² + 3/4x⁴ - 15/8x⁶ + 105/16x⁸)      (Abramowitz & Stegun 7.1.23)
and z = d, both cut where their squares would leave the range of a float. NaN where anything is missing.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import exact

Array = NDArray[np.float64]
FAR = 20.0  # of |d|/√2; the next term of the series is 3e-12 there, of 400
MOST = 1e150


@exact
def surprise(y: Array, mean: Array, variance: Array, s: Array, z: Array) -> None:
    """Fill s and z (flat)."""
    half = math.log(math.sqrt(math.pi))
    for i in range(y.shape[0]):
        deviation = max(math.sqrt(variance[i]), 1e-300) if variance[i] == variance[i] else np.nan
        d = (y[i] - mean[i]) / deviation
        x = min(abs(d), MOST) / math.sqrt(2.0)
        if x != x:
            s[i], z[i] = np.nan, np.nan
            continue
        if x < FAR:
            s[i] = max(-math.log(math.erfc(x)), 0.0)
        else:
            q = 1.0 / (x * x)
            s[i] = x * x + math.log(x) + half - math.log1p(q * (-0.5 + q * (0.75 + q * (-1.875 + q * 6.5625))))
        z[i] = min(max(d, -MOST), MOST)

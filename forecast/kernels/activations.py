"""GELU(x) = x Φ(x), exactly, on a flat array: NumPy has no error function."""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit


@jit
def gelu(x: NDArray[np.floating], y: NDArray[np.floating]) -> None:
    """Fill y (n) from x (n)."""
    for i in range(len(x)):
        y[i] = 0.5 * x[i] * (1.0 + math.erf(x[i] * 0.7071067811865476))

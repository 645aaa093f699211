"""Which lanes have a sample of the deep path at one more row: the clock of `layers.sampled`, in place.

Shapes: values, elapsed, since (L) float64; count, which (L) int64. A lane counts its rows from the first observed one on.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Double = NDArray[np.float64]
Index = NDArray[np.int64]


@jit
def due(values: Double, elapsed: Double, every: int, count: Index, since: Double, which: Index) -> int:
    """Move count and since on, begin `which` with the lanes whose count is a multiple of `every` now; how many they are."""
    found = 0
    for lane in range(len(count)):
        if not math.isnan(values[lane]) or (count[lane] > 0 and elapsed[lane] > 0):
            count[lane] += 1
            since[lane] += elapsed[lane]
            if count[lane] % every == 0:
                which[found] = lane
                found += 1
    return found

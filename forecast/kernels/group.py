"""All channels of a row as one: how far they lie from calm together, in compressed units.

    r = clip((y - loc)/spread, ±FARTHEST) - slow,   slow ← slow + a·(clip((y - loc)/spread, ±3) - slow)
    x = sign(r) log(1 + |r|/BEND) - centre,   0 where a reading is missing
    energy = x'Px,   P the inverse of the calm covariance of x, drawn towards a multiple of the identity
The logarithm keeps one channel that stood still on the calm rows from owning the row: it counts 13 at a thousand spreads.
A channel's share is (Px)_c²/P_cc, what its reading adds once all others are known. `smooth` gives moving means.

Shapes: y (B T C); loc, spread, centre (B C); precision (B C C); slow (B C); energy (B T), NaN where nothing is observed;
share (B T C); moving means (B T S) with the rates (S) and level (B S).
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
BEND = 0.25  # spreads up to which a deviation counts as it is
FARTHEST = 1e12


@jit
def compress(r: float) -> float:
    """sign(r) log(1 + |r|/BEND)."""
    return math.copysign(math.log1p(abs(r) / BEND), r)


@jit
def compressed(y: Array, loc: Array, spread: Array, rate: float, slow: Array, x: Array) -> None:
    """Fill x (B T C) before its centre is taken off, NaN where a reading is missing, and move `slow`."""
    batch, rows, channels = y.shape
    for b in range(batch):
        for t in range(rows):
            for c in range(channels):
                r = min(max((y[b, t, c] - loc[b, c]) / spread[b, c], -FARTHEST), FARTHEST)
                if r != r:
                    x[b, t, c] = np.nan
                    continue
                x[b, t, c] = compress(r - slow[b, c])
                slow[b, c] += rate * (min(max(r, -3.0), 3.0) - slow[b, c])


@jit
def energies(x: Array, centre: Array, precision: Array, energy: Array, share: Array) -> None:
    """Fill energy and share."""
    batch, rows, channels = x.shape
    v = np.empty(channels)
    for b in range(batch):
        for t in range(rows):
            seen, total = 0, 0.0
            for c in range(channels):
                missing = x[b, t, c] != x[b, t, c]
                seen += 0 if missing else 1
                v[c] = 0.0 if missing else x[b, t, c] - centre[b, c]
            for i in range(channels):
                pull = 0.0
                for j in range(channels):
                    pull += precision[b, i, j] * v[j]
                total += pull * v[i]
                share[b, t, i] = pull * pull / precision[b, i, i]
            energy[b, t] = max(total, 0.0) if seen > 0 else np.nan


@jit
def smooth(values: Array, rates: Array, level: Array, means: Array) -> None:
    """Fill the moving means of values (B T); a missing one moves nothing."""
    batch, rows = values.shape
    for b in range(batch):
        for t in range(rows):
            for k in range(rates.shape[0]):
                if values[b, t] == values[b, t]:
                    level[b, k] += rates[k] * (values[b, t] - level[b, k])
                means[b, t, k] = level[b, k]

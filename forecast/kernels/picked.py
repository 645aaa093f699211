"""A bank of oscillators read after some of its rows alone: training asks for few of them, and most of a bank's cost is reading it.

    z_t = λ z_{t-1} + x_t        f = [c_r Re z - c_i Im z of the kept modes, x] / spread   after the rows asked for

Shapes: values (B T) without gaps, one unit apart; power (2 2K) and readout (2 2K), each oscillator twice as in `layers.bank`; state (B 2 K) of the
first of them, changed in place; kept (F - 1); spread (F); own (B S) and common (P) rows asked for, ascending, those of a lane and those of
all; samples (B S ≥F) and said (B P F) are filled.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.floating]
Index = NDArray[np.int64]


@jit
def advance(
    values: Array, power: Array, readout: Array, kept: Index, spread: Array, state: Array, own: Index, common: Index,
    samples: Array, said: Array,
) -> None:  # fmt: skip
    """One pass over the rows of every lane."""
    count = state.shape[2]
    p, q = power[0, :count], power[1, :count]
    for s in range(values.shape[0]):
        re, im, i, j = state[s, 0], state[s, 1], 0, 0
        for t in range(values.shape[1]):
            x = values[s, t]
            for k in range(count):
                r = p[k] * re[k] - q[k] * im[k] + x
                im[k] = p[k] * im[k] + q[k] * re[k]
                re[k] = r
            while i < own.shape[1] and own[s, i] == t:
                _read(x, re, im, readout, kept, spread, samples[s, i])
                i += 1
            while j < len(common) and common[j] == t:
                _read(x, re, im, readout, kept, spread, said[s, j])
                j += 1


@jit
def _read(x: float, re: Array, im: Array, readout: Array, kept: Index, spread: Array, out: Array) -> None:
    count = len(re)
    for k in range(len(kept)):
        n = kept[k]
        m = n % count
        out[k] = (readout[0, n] * re[m] - readout[1, n] * im[m]) / spread[k]
    out[len(kept)] = x / spread[len(kept)]

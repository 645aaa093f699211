"""One more row of many lanes through causal scale and oscillator bank: what `layers.scale` and `layers.bank` do to a past, for live use.

    x = clip((y - m) / s, ±bound), or where y is missing the last x faded by e^{-age / fading}
    z' = λ^e z + x        f = [c_r Re z' - c_i Im z' of the kept modes, x] / spread

Shapes: values, elapsed (L 1) float64; moments (L 9), last and age (L), modes (L 2 1 M) change in place; powers (G 2 M) of the distinct
elapsed times, of which `which` (L) picks; readout (2 M); kept (F - 1); spread (F); features (L F) are filled. A lane is a channel of a series.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels import scan_scale
from forecast.kernels.jit import jit

Array = NDArray[np.floating]
Double = NDArray[np.float64]
Index = NDArray[np.int64]


@jit
def advance(
    values: Double,
    elapsed: Double,
    scale: tuple[float, float],
    bounds: tuple[float, float],
    moments: Double,
    powers: Array,
    which: Index,
    readout: Array,
    kept: Index,
    spread: Array,
    modes: Array,
    last: Array,
    age: Double,
    features: Array,
) -> None:
    """scale: half-life and floor; bounds: of a standardised value, and how fast a held one fades."""
    lanes, count = values.shape[0], modes.shape[3]
    units = np.empty((lanes, 1, scan_scale.UNITS))
    scan_scale.advance(values, elapsed, scale[0], scale[1], moments, units)
    bound, fading = bounds
    response = np.empty(count, modes.dtype)
    p, q, c, d = powers[:, 0], powers[:, 1], readout[0], readout[1]
    for s in range(lanes):
        gap = elapsed[s, 0]
        if math.isnan(values[s, 0]):
            age[s] += gap
            x = last[s] * math.exp(-age[s] / fading) if gap > 0 else 0.0
        else:
            x = (values[s, 0] - units[s, 0, 0]) / max(units[s, 0, 1], 1e-150)
            x = min(max(x, -bound), bound)
            last[s] = x
            age[s] = 0.0
        out = features[s]
        out[len(kept)] = x
        put = out[len(kept)]  # in the precision of the bank
        re, im, pr, pi = modes[s, 0, 0], modes[s, 1, 0], p[which[s]], q[which[s]]
        for k in range(count):
            r = pr[k] * re[k] - pi[k] * im[k] + put
            i = pr[k] * im[k] + pi[k] * re[k]
            re[k] = r
            im[k] = i
            response[k] = c[k] * r - d[k] * i
        for k in range(len(kept)):
            out[k] = response[kept[k]] / spread[k]
        out[len(kept)] = put / spread[len(kept)]

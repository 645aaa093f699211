"""One more row of many lanes through causal scale and oscillator bank: what `layers.scale` and `layers.bank` do to a past, for live use.

    x = clip((y - m) / s, ±bound), or where y is missing what `kernels.fill` takes it for, also in rows between
    z' = λ^e z + x        f = [c_r Re z' - c_i Im z' of the kept modes, x] / spread

Shapes: values, elapsed (L 1) float64; moments (L 9), modes (L 2 1 M) and the state of the fill change in place; powers (G 2 M) of one
unit and of the times to the first row between, or to the row itself, of which `which` (L) picks; readout (2 M); kept (F - 1); spread
(F); features (L F) are filled. A lane is a channel of a series.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels import fill, scan_scale
from forecast.kernels.jit import jit

Array = NDArray[np.floating]
Double = NDArray[np.float64]
Index = NDArray[np.int64]


@jit
def advance(
    values: Double,
    elapsed: Double,
    scale: tuple[float, float],
    bounds: tuple[float, float, float, int],
    moments: Double,
    powers: Array,
    which: Index,
    readout: Array,
    kept: Index,
    spread: Array,
    modes: Array,
    features: Array,
    deviation: Array,
    age: Double,
    clock: Double,
    profile: Array,
) -> None:
    """scale: half-life and floor; bounds: of a standardised value, the two of the fill, and the most rows between."""
    lanes, count = values.shape[0], modes.shape[3]
    units = np.empty((lanes, 1, scan_scale.UNITS))
    scan_scale.advance(values, elapsed, scale[0], scale[1], moments, units)
    bound, bend, most = bounds[0], (bounds[1], bounds[2]), bounds[3]
    response = np.empty(count, modes.dtype)
    p, q, c, d = powers[:, 0], powers[:, 1], readout[0], readout[1]
    for s in range(lanes):
        out, re, im = features[s], modes[s, 0, 0], modes[s, 1, 0]
        between = int(min(max(np.rint(elapsed[s, 0]) - 1.0, 0.0), most))
        gap, pr, pi = elapsed[s, 0] - between, p[which[s]], q[which[s]]
        for _ in range(between):
            out[len(kept)] = fill.taken(s, np.nan, gap, bend, deviation, age, clock, profile)
            _turn(re, im, pr, pi, out[len(kept)])
            gap, pr, pi = 1.0, p[0], q[0]
        x = (values[s, 0] - units[s, 0, 0]) / max(units[s, 0, 1], 1e-150)
        if not math.isnan(values[s, 0]):
            x = min(max(x, -bound), bound)
        out[len(kept)] = x  # in the precision of the bank from here on
        out[len(kept)] = fill.taken(s, out[len(kept)], gap, bend, deviation, age, clock, profile)
        put = out[len(kept)]
        _turn(re, im, pr, pi, put)
        for k in range(count):
            response[k] = c[k] * re[k] - d[k] * im[k]
        for k in range(len(kept)):
            out[k] = response[kept[k]] / spread[k]
        out[len(kept)] = put / spread[len(kept)]


@jit
def _turn(re: Array, im: Array, pr: Array, pi: Array, put: float) -> None:
    """One row of the oscillators."""
    for k in range(len(re)):
        r = pr[k] * re[k] - pi[k] * im[k] + put
        im[k] = pr[k] * im[k] + pi[k] * re[k]
        re[k] = r

"""Each row among all rows before it: conformal tails of three statistics that go on learning.

With x one of  |z| (largest of the channels), a moving mean of min(|z|, 30), a moving mean of |(y - loc)/spread|,
    e = -log((#{earlier x' ≥ x} + 1) / (n + 1)),    beyond every earlier one  log(n + 1) + log(1 + (x - max)/s),
s the mean step of the upper 2 % in nats. Earlier values are kept as counts on a geometric grid, so memory is bounded and values of
one bin count as equal. For exchangeable rows P(e > x) ≤ e^-x whatever their law: no tail is fitted, nothing is forgotten.

Shapes: y, z (B T C); loc, spread (B C); memory (B C 2); counts (B WAYS BINS); largest (B WAYS); outputs (B T …).
Source: Vovk, Gammerman & Shafer (2005), Algorithmic Learning in a Random World, ch. 2.
"""

import math

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.float64]
WAYS, BINS = 3, 256
LOWEST, PER_E = 1e-4, 9.0  # the grid spans 1e-4 to 2e8 in steps of a ninth of a power of e
FEW = 50  # earlier rows below which nothing is said


@jit
def _place(x: float) -> int:
    if x <= LOWEST:
        return 0
    return min(int(math.log(min(x, 1e300) / LOWEST) * PER_E) + 1, BINS - 1)


@jit
def _nats(x: float, counts: Array, largest: float) -> float:
    """Nats of x among the values counted."""
    total = counts.sum()
    if total < FEW:
        return 0.0
    at, above = _place(x), 0.0
    for i in range(at, BINS):
        above += counts[i]
    if x <= largest:
        return -math.log(min((max(above, 1.0) + 1.0) / (total + 1.0), 1.0))
    upper, i = 0.0, BINS - 1
    while i > 0 and upper < 0.02 * total:
        upper += counts[i]
        i -= 1
    start = LOWEST * math.exp(i / PER_E)
    step = max((largest - start) / max(math.log(0.02 * total + 1.0), 1.0), 0.01 * largest + 1e-12)
    return min(math.log(total + 1.0) + math.log1p((x - largest) / step), 1e300)


@jit
def history(
    y: Array,
    z: Array,
    loc: Array,
    spread: Array,
    burst: float,
    fast: float,
    memory: Array,
    counts: Array,
    largest: Array,
    e_row: Array,
    kind: NDArray[np.int64],
    blame: Array,
) -> None:
    """Fill the outputs row by row, each row counted after it has been judged; kind is the winning statistic."""
    batch, rows, channels = y.shape
    x, share = np.empty((WAYS, channels)), np.empty(channels)
    for b in range(batch):
        for t in range(rows):
            seen = 0
            for c in range(channels):
                x[:, c] = 0.0
                if not z[b, t, c] == z[b, t, c]:  # noqa: SIM201 - missing
                    continue
                seen += 1
                size = abs(z[b, t, c])
                memory[b, c, 0] += burst * (min(size, 30.0) - memory[b, c, 0])
                off = min(max((y[b, t, c] - loc[b, c]) / spread[b, c], -1e6), 1e6)
                memory[b, c, 1] += fast * (off - memory[b, c, 1])
                x[0, c], x[1, c], x[2, c] = size, memory[b, c, 0], abs(memory[b, c, 1])
            best, what = 0.0, 0
            for k in range(WAYS):
                top = x[k].max()
                if seen == 0:
                    continue
                e = _nats(top, counts[b, k], largest[b, k])
                if e > best:
                    best, what = e, k
                counts[b, k, _place(top)] += 1.0
                largest[b, k] = max(largest[b, k], top)
            e_row[b, t], kind[b, t] = max(best - math.log(WAYS), 0.0), what
            share[:] = x[what]
            total = share.sum()
            for c in range(channels):
                blame[b, t, c] = share[c] / total if total > 0.0 else 1.0 / channels

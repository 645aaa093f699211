"""The recurrence of a matrix-valued state, row by row: what `ssm.matrix.decayed_sum` does in chunks, where no gradient is wanted.

    S_t = f_t S_{t-1} + k_t v_tᵀ        y_t = S_tᵀ q_t

Shapes: q, k (B T H K), or (B T 1 K) where all heads share them; v, y (B T H V); f (B T H); state (B H K V), changed in place. The lanes are
the V columns: as many as two registers hold go through all rows together, their part of the state stays in the nearest cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import filled, fma, give, nothing, pointer, take

Array = NDArray[np.floating]

WIDE = 128  # bytes that go together


@inner
def _columns(zero: Any, shape: Any, q: Any, k: Any, v: Any, fade: Any, state: Any, y: Any) -> Any:
    """Some columns of one head through all rows; shape: rows, K, V, and from row to row of q, v and fade."""
    rows, keys, values, asked, columns, heads = shape
    for t in range(rows):
        put, kept, made = take(zero, v, t * columns), filled(zero, fade[t * heads]), zero
        for n in range(keys):
            s = fma(filled(zero, k[t * asked + n]), put, kept * take(zero, state, n * values))
            give(s, state, n * values)
            made = fma(filled(zero, q[t * asked + n]), s, made)
        give(made, y, t * columns)


@exact
def advance(q: Array, k: Array, v: Array, fade: Array, state: Array, y: Array) -> None:
    """Fill y and move the state to the last row."""
    batch, rows, heads, values = v.shape
    own, keys = q.shape[2:]
    asks, puts, gives, fades, kept, said = pointer(q), pointer(k), pointer(v), pointer(fade), pointer(state), pointer(y)
    zero, one, many = nothing(asks, WIDE), nothing(asks, 1), WIDE // q.itemsize
    shape = rows, keys, values, own * keys, heads * values, heads
    for b in range(batch):
        for h in range(heads):
            at, f = (b * rows * own + (h if own > 1 else 0)) * keys, fades + (b * rows * heads + h)
            of, where, d = (b * rows * heads + h) * values, (b * heads + h) * keys * values, 0
            while d + many <= values:
                _columns(zero, shape, asks + at, puts + at, gives + (of + d), f, kept + (where + d), said + (of + d))
                d += many
            while d < values:
                _columns(one, shape, asks + at, puts + at, gives + (of + d), f, kept + (where + d), said + (of + d))
                d += 1

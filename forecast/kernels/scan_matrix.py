"""The recurrence of a matrix-valued state, row by row, and its adjoint: what `ssm.matrix.decayed_sum` does in chunks.

    S_t = f_t S_{t-1} + k_t v_tᵀ              y_t = S_tᵀ q_t
    G_t = f_{t+1} G_{t+1} + q_t ȳ_tᵀ          v̄_t = G_tᵀ k_t    k̄_t = G_t v_t    q̄_t = S_t ȳ_t    f̄_t = ⟨G_t, S_{t-1}⟩

Shapes: q, k (B T H K), or (B T 1 K) where all heads share them; v, y (B T H V); f (B T H); state (B H K V), changed in place; marks
(B M H K V) the states before the rows 0, span, 2span … for the adjoint. All arrays are contiguous. A sum over the K rows of a state needs
the V columns as lanes, a sum over its columns the rows: the adjoint follows G both ways, and S, which it makes again from the marks,
by rows. As many lanes as a register or two hold go through a stretch of rows together, their part of a state stays in the nearest cache.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import filled, fma, give, nothing, pointer, summed, take

Array = NDArray[np.floating]

WIDE, SIDE = 128, 64  # bytes that go together: of columns, and of rows of a state
STRETCH = 32  # rows between two marks


@inner
def _columns(zero: Any, shape: Any, q: Any, k: Any, v: Any, fade: Any, state: Any, y: Any) -> Any:
    """Some columns of one head through some rows; shape: rows, K, V, and from row to row of q, v and fade."""
    rows, keys, values, asked, columns, heads = shape
    for t in range(rows):
        put, kept, made = take(zero, v, t * columns), filled(zero, fade[t * heads]), zero
        for n in range(keys):
            s = fma(filled(zero, k[t * asked + n]), put, kept * take(zero, state, n * values))
            give(s, state, n * values)
            made = fma(filled(zero, q[t * asked + n]), s, made)
        give(made, y, t * columns)


@exact
def advance(q: Array, k: Array, v: Array, fade: Array, state: Array, y: Array, marks: Array) -> None:
    """Fill y, move the state to the last row, and keep the marks where there is room for them."""
    batch, rows, heads, values = v.shape
    own, keys = q.shape[2:]
    count, size = marks.shape[1], keys * values
    span = (rows + count - 1) // count if count else max(rows, 1)
    asks, puts, gives, fades, kept, said, begun = (
        pointer(q), pointer(k), pointer(v), pointer(fade), pointer(state), pointer(y), pointer(marks),
    )  # fmt: skip
    zero, one, many = nothing(asks, WIDE), nothing(asks, 1), WIDE // q.itemsize
    for b in range(batch):
        for h in range(heads):
            s = kept + (b * heads + h) * size
            for low in range(0, rows, span):
                if count:
                    mark = begun + ((b * count + low // span) * heads + h) * size
                    for j in range(size):
                        mark[j] = s[j]
                shape = min(span, rows - low), keys, values, own * keys, heads * values, heads
                at, of = ((b * rows + low) * own + (h if own > 1 else 0)) * keys, (b * rows + low) * heads + h
                x, w, f, d = asks + at, puts + at, fades + of, 0
                u, z = gives + of * values, said + of * values
                while d + many <= values:
                    _columns(zero, shape, x, w, u + d, f, s + d, z + d)
                    d += many
                while d < values:
                    _columns(one, shape, x, w, u + d, f, s + d, z + d)
                    d += 1


@inner
def _columns_back(zero: Any, shape: Any, q: Any, k: Any, gy: Any, fade: Any, g: Any, gv: Any) -> Any:
    """The gradient of some columns of one head; g goes from behind the last row to before the first."""
    rows, keys, values, asked, columns, heads = shape
    for t in range(rows - 1, -1, -1):
        put, kept, made = take(zero, gy, t * columns), filled(zero, fade[t * heads]), zero
        for n in range(keys):
            s = fma(filled(zero, q[t * asked + n]), put, take(zero, g, n * values))
            made = fma(filled(zero, k[t * asked + n]), s, made)
            give(kept * s, g, n * values)
        give(made, gv, t * columns)


@inner
def _across(lanes: Any, keys: Any, values: Any, state: Any, turned: Any) -> Any:
    """Some rows of a state as columns."""
    for n in range(lanes):
        for c in range(values):
            turned[c * lanes + n] = state[n * values + c]


@inner
def _sides(zero: Any, lanes: Any, shape: Any, entered: Any, gy: Any, x: Any, g: Any, grads: Any) -> Any:
    """The gradients that sum over the columns, of some rows of one head; x begins with their states before the first row."""
    rows, values, asked, columns, heads = shape
    q, k, v, fade = entered
    gq, gk, gfade = grads
    size = values * lanes
    for t in range(rows):
        kept, put, at, asking = filled(zero, fade[t * heads]), take(zero, k, t * asked), t * size, zero
        for c in range(values):
            s = fma(filled(zero, v[t * columns + c]), put, kept * take(zero, x, at + c * lanes))
            asking = fma(filled(zero, gy[t * columns + c]), s, asking)
            give(s, x, at + size + c * lanes)
        give(asking + take(zero, gq, t * asked), gq, t * asked)
    for t in range(rows - 1, -1, -1):
        kept, put, at, putting, fading = filled(zero, fade[t * heads]), take(zero, q, t * asked), t * size, zero, zero
        for c in range(values):
            s = fma(filled(zero, gy[t * columns + c]), put, take(zero, g, c * lanes))
            putting = fma(filled(zero, v[t * columns + c]), s, putting)
            fading = fma(s, take(zero, x, at + c * lanes), fading)
            give(kept * s, g, c * lanes)
        give(putting + take(zero, gk, t * asked), gk, t * asked)
        gfade[t * heads] += summed(fading)


@exact
def adjoint(
    q: Array,
    k: Array,
    v: Array,
    fade: Array,
    marks: Array,
    gy: Array,
    gstate: Array,
    gq: Array,
    gk: Array,
    gv: Array,
    gfade: Array,
) -> None:
    """Fill the gradient of v, add to those of q, k and the fading; gstate turns from that of the last state into that of the first."""
    batch, rows, heads, values = v.shape
    own, keys = q.shape[2:]
    count, size, asked, columns = marks.shape[1], keys * values, own * keys, heads * values
    span = (rows + count - 1) // count
    many = SIDE // q.itemsize
    scratch, turned = np.empty((span + 1) * values * many, q.dtype), np.empty(heads * size, q.dtype)
    asks, puts, gives, fades, begun, said, after = (
        pointer(q), pointer(k), pointer(v), pointer(fade), pointer(marks), pointer(gy), pointer(gstate),
    )  # fmt: skip
    gasks, gputs, ggives, gfades, x, sides = (
        pointer(gq), pointer(gk), pointer(gv), pointer(gfade), pointer(scratch), pointer(turned),
    )  # fmt: skip
    zero, some, one = nothing(asks, WIDE), nothing(asks, SIDE), nothing(asks, 1)
    for b in range(batch):
        for h in range(heads):
            g, side, d = after + (b * heads + h) * size, sides + h * size, 0
            while d < keys:
                lanes = many if d + many <= keys else 1
                _across(lanes, keys, values, g + d * values, side + d * values)
                d += lanes
            shape, f, d = (rows, keys, values, asked, columns, heads), fades + (b * rows * heads + h), 0
            at, of = (b * rows * own + (h if own > 1 else 0)) * keys, (b * rows * heads + h) * values
            while d + WIDE // q.itemsize <= values:
                _columns_back(zero, shape, asks + at, puts + at, said + (of + d), f, g + d, ggives + (of + d))
                d += WIDE // q.itemsize
            while d < values:
                _columns_back(one, shape, asks + at, puts + at, said + (of + d), f, g + d, ggives + (of + d))
                d += 1
        for m in range((rows + span - 1) // span - 1, -1, -1):
            low = m * span
            rest = min(span, rows - low), values, asked, columns, heads
            for h in range(heads):
                mark, side, d = begun + ((b * count + m) * heads + h) * size, sides + h * size, 0
                at, of = ((b * rows + low) * own + (h if own > 1 else 0)) * keys, (b * rows + low) * heads + h
                u, z = gives + of * values, said + of * values
                while d < keys:
                    entered = asks + (at + d), puts + (at + d), u, fades + of
                    grads = gasks + (at + d), gputs + (at + d), gfades + of
                    if d + many <= keys:
                        _across(many, keys, values, mark + d * values, x)
                        _sides(some, many, rest, entered, z, x, side + d * values, grads)
                        d += many
                    else:
                        _across(1, keys, values, mark + d * values, x)
                        _sides(one, 1, rest, entered, z, x, side + d * values, grads)
                        d += 1

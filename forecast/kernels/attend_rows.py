"""Causal attention of a few first rows, all of them observed, and its adjoint: a head of a sequence stays in the nearest cache.

    score_ts = q_t · k_s / √K + bias_ts,  s ≤ t        y_t = Σ_s softmax_s(score_t) v_s

q and k are turned here, the pair (j, P + j) of a row by its angle; numbers beyond the 2P stay. In the adjoint weights are made again.
Shapes: rows (B T 3 H K), queries, keys and values; cos, sin (T P); bias (H T S), S the T rows in whole registers, -∞ where s > t; y (B T H K).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.elementary import most
from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import exponential, filled, fma, give, nothing, pointer, summed, take

Array = NDArray[np.floating]

WIDE = 128  # bytes that go together


@inner
def _turned(shape: Any, x: Any, between: Any, cos: Any, sin: Any, side: Any, factor: Any, w: Any, room: Any) -> Any:
    """Rows of a head, `between` numbers apart, times a factor and turned to one side (1) or, in the adjoint, back (-1); `room` apart in w."""
    rows, key, pairs = shape
    for t in range(rows):
        u, v = x + t * between, w + t * room
        for j in range(pairs):
            a, b, c, s = u[j], u[pairs + j], cos[t * pairs + j], side * sin[t * pairs + j]
            v[j], v[pairs + j] = factor * (a * c - b * s), factor * (a * s + b * c)
        for j in range(2 * pairs, key):
            v[j] = factor * u[j]


@inner
def _across(rows: Any, key: Any, x: Any, between: Any, w: Any, seats: Any) -> Any:
    """Rows (T K) as (K S)."""
    for t in range(rows):
        for j in range(key):
            w[j * seats + t] = x[t * between + j]


@inner
def _weights(
    zero: Any, many: Any, end: Any, key: Any, seats: Any, q: Any, across: Any, bias: Any, p: Any, tops: Any
) -> Any:
    """Fill p with the weights of the places before `end`, a whole number of registers."""
    top = take(zero, bias, 0)
    for c in range(0, end, many):
        score = take(zero, bias, c)
        for k in range(key):
            score = fma(filled(zero, q[k]), take(zero, across, k * seats + c), score)
        give(score, p, c)
        top = most(score, top) if c else score
    give(top, tops, 0)
    highest = tops[0]
    for j in range(1, many):
        highest = max(highest, tops[j])
    least, all_ = filled(zero, highest), zero
    for c in range(0, end, many):
        weight = exponential(take(zero, p, c) - least)
        all_ = all_ + weight
        give(weight, p, c)
    all_ = filled(zero, summed(all_))
    for c in range(0, end, many):
        give(take(zero, p, c) / all_, p, c)


@exact
def forward(rows: Array, cos: Array, sin: Array, bias: Array, factor: Array, y: Array) -> None:
    """Fill y. factor (3): 1/√K, 1 and -1."""
    batch, count, _, heads, key = rows.shape
    pairs, seats, many = cos.shape[1], bias.shape[2], WIDE // rows.itemsize
    room = (key + many - 1) // many * many
    scratch = np.zeros((2 * count + 1) * room + key * seats + seats + many, rows.dtype)
    x, c, s, biases, said = pointer(rows), pointer(cos), pointer(sin), pointer(bias), pointer(y)
    q = pointer(scratch)
    v, out = q + count * room, q + 2 * count * room
    across = out + room
    p = across + key * seats
    tops = p + seats
    zero, between = nothing(q, WIDE), 3 * heads * key
    shape = count, key, pairs
    for h in range(heads):
        for b in range(batch):
            at = x + b * count * between + h * key
            _turned(shape, at + heads * key, between, c, s, factor[1], factor[1], q, room)
            _across(count, key, q, room, across, seats)
            _turned(shape, at, between, c, s, factor[1], factor[0], q, room)
            for t in range(count):
                for j in range(key):
                    v[t * room + j] = at[t * between + 2 * heads * key + j]
            for t in range(count):
                end = (t + many) // many * many
                _weights(zero, many, end, key, seats, q + t * room, across, biases + (h * count + t) * seats, p, tops)
                for k in range(0, room, many):
                    made = zero
                    for i in range(t + 1):
                        made = fma(filled(zero, p[i]), take(zero, v, i * room + k), made)
                    give(made, out, k)
                w = said + ((b * count + t) * heads + h) * key
                for j in range(key):
                    w[j] = out[j]


@exact
def adjoint(
    rows: Array, cos: Array, sin: Array, bias: Array, factor: Array, gy: Array, grows: Array, gbias: Array
) -> None:
    """Fill the gradient of the rows and add to that of the bias."""
    batch, count, _, heads, key = rows.shape
    pairs, seats, many = cos.shape[1], bias.shape[2], WIDE // rows.itemsize
    room = (key + many - 1) // many * many
    each = count * room
    scratch = np.zeros(6 * each + 2 * key * seats + 2 * seats + many, rows.dtype)
    x, c, s, biases, asked = pointer(rows), pointer(cos), pointer(sin), pointer(bias), pointer(gy)
    gx, gb, q = pointer(grows), pointer(gbias), pointer(scratch)
    keys, g, gq, gk, gv = q + each, q + 2 * each, q + 3 * each, q + 4 * each, q + 5 * each
    across, values = q + 6 * each, q + 6 * each + key * seats
    p = values + key * seats
    d, tops = p + seats, p + 2 * seats
    zero, between, value = nothing(q, WIDE), 3 * heads * key, 2 * heads * key
    shape = count, key, pairs
    for h in range(heads):
        for b in range(batch):
            at, to = x + b * count * between + h * key, gx + b * count * between + h * key
            _turned(shape, at + heads * key, between, c, s, factor[1], factor[1], keys, room)
            _across(count, key, keys, room, across, seats)
            _turned(shape, at, between, c, s, factor[1], factor[0], q, room)
            _across(count, key, at + value, between, values, seats)
            for t in range(count):
                for j in range(key):
                    g[t * room + j] = asked[((b * count + t) * heads + h) * key + j]
            for j in range(0, each, many):
                give(zero, gk, j)
                give(zero, gv, j)
            for t in range(count):
                end, row = (t + many) // many * many, (h * count + t) * seats
                _weights(zero, many, end, key, seats, q + t * room, across, biases + row, p, tops)
                mean = zero
                for i in range(0, end, many):
                    part = zero
                    for k in range(key):
                        part = fma(filled(zero, g[t * room + k]), take(zero, values, k * seats + i), part)
                    mean = fma(part, take(zero, p, i), mean)
                    give(part, d, i)
                mean = filled(zero, summed(mean))
                for i in range(0, end, many):
                    part = take(zero, p, i) * (take(zero, d, i) - mean)
                    give(part, d, i)
                    give(take(zero, gb, row + i) + part, gb, row + i)
                for k in range(0, room, many):
                    own, put, made = take(zero, q, t * room + k), take(zero, g, t * room + k), zero
                    for i in range(t + 1):
                        part, j = filled(zero, d[i]), i * room + k
                        made = fma(part, take(zero, keys, j), made)
                        give(fma(part, own, take(zero, gk, j)), gk, j)
                        give(fma(filled(zero, p[i]), put, take(zero, gv, j)), gv, j)
                    give(made, gq, t * room + k)
            _turned(shape, gq, room, c, s, factor[2], factor[0], to, between)
            _turned(shape, gk, room, c, s, factor[2], factor[1], to + heads * key, between)
            for t in range(count):
                for j in range(key):
                    to[t * between + value + j] = gv[t * room + j]

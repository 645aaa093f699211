"""The selective scan of Mamba-1, row by row, and its adjoint: what `ssm.selective` does in two levels of torch.

    f_t = e^{Δ_t A}    h_t = f_t h_{t-1} + p_t B_t           y_t = C_tᵀ h_t
    G_t = f_{t+1} G_{t+1} + C_t ȳ_t                          p̄_t = G_tᵀ B_t    B̄_t = G_t p_t    C̄_t = h_t ȳ_t
    E_t = G_t f_t h_{t-1}                                    Δ̄_t = E_tᵀ A      Ā = Σ_t E_t Δ_t

Shapes: put (p), time (Δ), y (B T D); A (N D), negative; B, C (B T N); state (B N D), changed in place; marks (B M N D) the states before the
rows 0, span, 2span … for the adjoint. All arrays are contiguous. The lanes are channels: as many as a register holds go through a stretch of rows
together, their N states stay in the nearest cache. The adjoint makes states and fadings of a stretch again from its mark.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import exponential, filled, fma, give, nothing, pointer, summed, take

Array = NDArray[np.floating]

WIDE = 64  # bytes that go together
STRETCH = 32  # rows between two marks


@inner
def _columns(zero: Any, shape: Any, put: Any, time: Any, a: Any, b: Any, c: Any, state: Any, y: Any) -> Any:
    """Some channels through some rows; shape: rows, N, D."""
    rows, states, columns = shape
    for t in range(rows):
        p, gap, made = take(zero, put, t * columns), take(zero, time, t * columns), zero
        for n in range(states):
            fade = exponential(gap * take(zero, a, n * columns))
            h = fma(filled(zero, b[t * states + n]), p, fade * take(zero, state, n * columns))
            give(h, state, n * columns)
            made = fma(filled(zero, c[t * states + n]), h, made)
        give(made, y, t * columns)


@exact
def advance(put: Array, time: Array, a: Array, b: Array, c: Array, state: Array, y: Array, marks: Array) -> None:
    """Fill y, move the state to the last row, and keep the marks where there is room for them."""
    batch, rows, columns = put.shape
    states, count = a.shape[0], marks.shape[1]
    size, span = states * columns, (rows + count - 1) // count if count else max(rows, 1)
    puts, gaps, rates, inward, outward, kept, said, begun = (
        pointer(put), pointer(time), pointer(a), pointer(b), pointer(c), pointer(state), pointer(y), pointer(marks),
    )  # fmt: skip
    zero, one, many = nothing(puts, WIDE), nothing(puts, 1), WIDE // put.itemsize
    for i in range(batch):
        s = kept + i * size
        for low in range(0, rows, span):
            if count:
                mark = begun + (i * count + low // span) * size
                for j in range(size):
                    mark[j] = s[j]
            shape, at, d = (min(span, rows - low), states, columns), i * rows + low, 0
            x, w = inward + at * states, outward + at * states
            while d < columns:
                where = at * columns + d
                if d + many <= columns:
                    _columns(zero, shape, puts + where, gaps + where, rates + d, x, w, s + d, said + where)
                    d += many
                else:
                    _columns(one, shape, puts + where, gaps + where, rates + d, x, w, s + d, said + where)
                    d += 1


@inner
def _again(zero: Any, lanes: Any, shape: Any, put: Any, time: Any, a: Any, b: Any, mark: Any, h: Any, fades: Any) -> Any:
    """The states before some rows of some channels and after each, and the fadings of each."""
    rows, states, columns = shape
    for n in range(states):
        give(take(zero, mark, n * columns), h, n * lanes)
    for t in range(rows):
        p, gap = take(zero, put, t * columns), take(zero, time, t * columns)
        for n in range(states):
            at = t * states + n
            fade = exponential(gap * take(zero, a, n * columns))
            give(fade, fades, at * lanes)
            give(fma(filled(zero, b[at]), p, fade * take(zero, h, at * lanes)), h, (at + states) * lanes)


@inner
def _back(zero: Any, lanes: Any, shape: Any, entered: Any, h: Any, fades: Any, gy: Any, g: Any, grads: Any) -> Any:
    """The gradients of some rows of some channels; those of A, B and C are added to sums of `lanes` numbers, side by side for `apart` channels."""
    rows, states, columns = shape
    put, time, a, b, c = entered
    gput, gtime, ga, gb, gc, apart = grads
    for t in range(rows - 1, -1, -1):
        p, gap, said = take(zero, put, t * columns), take(zero, time, t * columns), take(zero, gy, t * columns)
        putting, ageing = zero, zero
        for n in range(states):
            at = t * states + n
            after = fma(filled(zero, c[at]), said, take(zero, g, n * columns))
            putting = fma(filled(zero, b[at]), after, putting)
            give(fma(after, p, take(zero, gb, at * apart)), gb, at * apart)
            give(fma(take(zero, h, (at + states) * lanes), said, take(zero, gc, at * apart)), gc, at * apart)
            before = after * take(zero, fades, at * lanes)
            give(before, g, n * columns)
            fading = before * take(zero, h, at * lanes)
            ageing = fma(fading, take(zero, a, n * columns), ageing)
            give(fma(fading, gap, take(zero, ga, n * lanes)), ga, n * lanes)
        give(putting, gput, t * columns)
        give(ageing, gtime, t * columns)


@inner
def _gathered(zero: Any, states: Any, columns: Any, lanes: Any, sums: Any, ga: Any) -> Any:
    """Sums of a stretch go to the gradient of A, and begin anew."""
    for n in range(states):
        give(take(zero, ga, n * columns) + take(zero, sums, n * lanes), ga, n * columns)
        give(zero, sums, n * lanes)


@exact
def adjoint(
    put: Array, time: Array, a: Array, b: Array, c: Array, marks: Array, gy: Array, gstate: Array, gput: Array, gtime: Array, ga: Array,
    gb: Array, gc: Array,
) -> None:  # fmt: skip
    """Fill the gradients of put, time, B and C, add to that of A; gstate turns from that of the last state into that of the first."""
    batch, rows, columns = put.shape
    states, count, many = a.shape[0], marks.shape[1], WIDE // put.itemsize
    size, span = states * columns, (rows + count - 1) // count
    store, sums = np.empty((2 * span + 1) * states * many, put.dtype), np.zeros((2 * span + 1) * states * many, put.dtype)
    puts, gaps, rates, inward, outward, begun, said, g = (
        pointer(put), pointer(time), pointer(a), pointer(b), pointer(c), pointer(marks), pointer(gy), pointer(gstate),
    )  # fmt: skip
    gputs, ggaps, grates, ginward, goutward, h, rates_sum = (
        pointer(gput), pointer(gtime), pointer(ga), pointer(gb), pointer(gc), pointer(store), pointer(sums),
    )  # fmt: skip
    zero, one = nothing(puts, WIDE), nothing(puts, 1)
    fades = h + (span + 1) * states * many
    inward_sum = rates_sum + states * many
    outward_sum = inward_sum + span * states * many
    for i in range(batch):
        for m in range((rows + span - 1) // span - 1, -1, -1):
            low = m * span
            shape, at, d = (min(span, rows - low), states, columns), i * rows + low, 0
            x, w = inward + at * states, outward + at * states
            while d < columns:
                where, mark, after = at * columns + d, begun + ((i * count + m) * size + d), g + (i * size + d)
                entered = puts + where, gaps + where, rates + d, x, w
                grads = gputs + where, ggaps + where, rates_sum, inward_sum, outward_sum, many
                if d + many <= columns:
                    _again(zero, many, shape, puts + where, gaps + where, rates + d, x, mark, h, fades)
                    _back(zero, many, shape, entered, h, fades, said + where, after, grads)
                    _gathered(zero, states, columns, many, rates_sum, grates + d)
                    d += many
                else:
                    _again(one, 1, shape, puts + where, gaps + where, rates + d, x, mark, h, fades)
                    _back(one, 1, shape, entered, h, fades, said + where, after, grads)
                    _gathered(one, states, columns, 1, rates_sum, grates + d)
                    d += 1
            for j in range(shape[0] * states):
                ginward[at * states + j] = summed(take(zero, inward_sum, j * many))
                goutward[at * states + j] = summed(take(zero, outward_sum, j * many))
                give(zero, inward_sum, j * many)
                give(zero, outward_sum, j * many)

"""Diagonal complex recurrence with its readout, and its adjoint, in real arithmetic.

    x_t = λ(g_t) x_{t-1} + u_t          y_t = Re Σ_n c_n x_t,n + d u_t

Shapes: u, y (B T D); λ as a table over the distinct gaps g (G 2 N D), gap (B T) picks from it; c (2 N D); d (D); state (B 2 N D), updated
in place; marks (B M 2 N D) the states before the rows 0, span, 2span … for the adjoint. All arrays are contiguous. The lanes are the D
channels: as many as a few registers hold go through a stretch of rows together, mode by mode, so that a state, its pole and the
sums of a gradient stay in registers, and the rows of a stretch in the nearest cache. What is left of the channels goes the same way in fewer
lanes, with the same bits: products and sums are fused where the source says so and nowhere else.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import AVAILABLE, exact, inner
from forecast.kernels.lanes import fma, fnma, give, nothing, pointer, take

Array = NDArray[np.floating]
Index = NDArray[np.int64]

WIDE, NARROW = 128, 32  # bytes of a state that go together, and of what is left; then number by number
STRETCH = 64  # rows


@inner
def _modes_on(
    zero: Any, d: Any, shape: Any, rows: Any, u: Any, table: Any, c: Any, direct: Any, gap: Any, x: Any, y: Any
) -> Any:
    """Some rows of the channels from d on, as many as `zero` has lanes; shape: N, D and whether all gaps are the same."""
    modes, width, regular = shape
    size, straight = modes * width, take(zero, direct, d)
    for n in range(modes):
        at = n * width + d
        e, f, xr, xi = take(zero, c, at), take(zero, c, size + at), take(zero, x, at), take(zero, x, size + at)
        p, q = take(zero, table, at), take(zero, table, size + at)
        for t in range(rows):
            if not regular:
                p, q = take(zero, table, 2 * size * gap[t] + at), take(zero, table, 2 * size * gap[t] + size + at)
            put = take(zero, u, t * width + d)
            r = fma(p, xr, fnma(q, xi, put))
            xi = fma(p, xi, q * xr)
            xr = r
            before = take(zero, y, t * width + d) if n else straight * put
            give(fnma(f, xi, fma(e, xr, before)), y, t * width + d)
        give(xr, x, at)
        give(xi, x, size + at)


@exact
def _advance(u: Array, table: Array, c: Array, direct: Array, gap: Index, state: Array, y: Array, marks: Array) -> None:
    batch, rows, width = u.shape
    modes, count = c.shape[1], marks.shape[1]
    shape, size = (modes, width, len(table) == 1), 2 * modes * width
    span = (rows + count - 1) // count if count else STRETCH
    at, power, out, past, which, ends, begun, said = (
        pointer(u), pointer(table), pointer(c), pointer(direct), pointer(gap), pointer(state), pointer(marks), pointer(y),
    )  # fmt: skip
    wide, narrow, one = nothing(at, WIDE), nothing(at, NARROW), nothing(at, 1)
    many, some = WIDE // u.itemsize, NARROW // u.itemsize
    for b in range(batch):
        x = ends + b * size
        for low in range(0, rows, span):
            if count:
                mark = begun + (b * count + low // span) * size
                for j in range(size):
                    mark[j] = x[j]
            few, row = min(span, rows - low), b * rows + low
            v, w, g, d = at + row * width, said + row * width, which + row, 0
            while d + many <= width:
                _modes_on(wide, d, shape, few, v, power, out, past, g, x, w)
                d += many
            while d + some <= width:
                _modes_on(narrow, d, shape, few, v, power, out, past, g, x, w)
                d += some
            while d < width:
                _modes_on(one, d, shape, few, v, power, out, past, g, x, w)
                d += 1


def plain(u: Array, table: Array, c: Array, direct: Array, gap: Index, state: Array, y: Array, marks: Array) -> None:
    """The same without the compiler, and without marks."""
    for t in range(u.shape[1]):
        power = table[gap[:, t]]
        p, q, re, im = power[:, 0], power[:, 1], state[:, 0], state[:, 1].copy()
        state[:, 1] = p * im + q * re
        state[:, 0] = p * re - q * im + u[:, t, None]
        y[:, t] = (c[0] * state[:, 0] - c[1] * state[:, 1]).sum(1) + direct * u[:, t]


advance = _advance if AVAILABLE else plain
advance.__doc__ = "Fill y, move the state to the last row, and keep the marks where there is room for them."


@inner
def _back(
    zero: Any,
    d: Any,
    shape: Any,
    rows: Any,
    u: Any,
    table: Any,
    c: Any,
    direct: Any,
    gap: Any,
    mark: Any,
    x: Any,
    gy: Any,
    grads: Any,
) -> Any:
    """The adjoint of some rows of as many channels from d on; x holds the states, made again from the mark."""
    modes, width, regular = shape
    g, gu, gtable, gc, gdirect, lanes = grads
    size = modes * width
    straight, kept = take(zero, direct, d), zero
    for t in range(rows):
        v = take(zero, gy, t * width + d)
        kept = fma(v, take(zero, u, t * width + d), kept)
        give(straight * v, gu, t * width + d)
    _more(kept, gdirect, d)
    for n in range(modes):
        at = n * width + d
        p, q, zr, zi = (
            take(zero, table, at),
            take(zero, table, size + at),
            take(zero, mark, at),
            take(zero, mark, size + at),
        )
        for t in range(rows):
            give(zr, x, 2 * t * lanes)
            give(zi, x, (2 * t + 1) * lanes)
            if not regular:
                p, q = take(zero, table, 2 * size * gap[t] + at), take(zero, table, 2 * size * gap[t] + size + at)
            r = fma(p, zr, fnma(q, zi, take(zero, u, t * width + d)))
            zi = fma(p, zi, q * zr)
            zr = r
        e, f, gr, gi = take(zero, c, at), take(zero, c, size + at), take(zero, g, at), take(zero, g, size + at)
        kr, ki, hr, hi = zero, zero, zero, zero
        for t in range(rows - 1, -1, -1):
            if not regular:
                p, q = take(zero, table, 2 * size * gap[t] + at), take(zero, table, 2 * size * gap[t] + size + at)
                hr, hi = zero, zero
            v, xr, xi = take(zero, gy, t * width + d), take(zero, x, 2 * t * lanes), take(zero, x, (2 * t + 1) * lanes)
            kr, ki = fma(v, zr, kr), fnma(v, zi, ki)
            r, i = fma(e, v, gr), fnma(f, v, gi)
            hr, hi = fma(i, xi, fma(r, xr, hr)), fnma(r, xi, fma(i, xr, hi))
            gr, gi = fma(q, i, p * r), fnma(q, r, p * i)
            give(r + take(zero, gu, t * width + d), gu, t * width + d)
            zr, zi = xr, xi
            if not regular:
                _more(hr, gtable, 2 * size * gap[t] + at)
                _more(hi, gtable, 2 * size * gap[t] + size + at)
        if regular:
            _more(hr, gtable, at)
            _more(hi, gtable, size + at)
        _more(kr, gc, at)
        _more(ki, gc, size + at)
        give(gr, g, at)
        give(gi, g, size + at)


@inner
def _more(value: Any, where: Any, at: Any) -> Any:
    """Add to what is there."""
    give(value + take(value, where, at), where, at)


@exact
def adjoint(
    u: Array,
    table: Array,
    c: Array,
    direct: Array,
    gap: Index,
    marks: Array,
    gy: Array,
    gstate: Array,
    gu: Array,
    gtable: Array,
    gc: Array,
    gdirect: Array,
) -> None:
    """Gradients of u, the table, c and d; gstate turns from that of the last state into that of the first.

    Between two marks the states are computed again, for a few channels and one mode at a time.
    """
    batch, rows, width = u.shape
    modes, count = c.shape[1], marks.shape[1]
    shape, size = (modes, width, len(table) == 1), 2 * modes * width
    span = (rows + count - 1) // count
    many, some = WIDE // u.itemsize, NARROW // u.itemsize
    scratch = np.empty(2 * span * many, u.dtype)
    at, power, out, past, which, begun = (
        pointer(u), pointer(table), pointer(c), pointer(direct), pointer(gap), pointer(marks),
    )  # fmt: skip
    asked, first, put, powers, outs, pasts, x = (
        pointer(gy), pointer(gstate), pointer(gu), pointer(gtable), pointer(gc), pointer(gdirect), pointer(scratch),
    )  # fmt: skip
    wide, narrow, one = nothing(at, WIDE), nothing(at, NARROW), nothing(at, 1)
    for b in range(batch):
        for k in range((rows + span - 1) // span - 1, -1, -1):
            few, row, mark = min(span, rows - k * span), b * rows + k * span, begun + (b * count + k) * size
            v, w, g, d = at + row * width, asked + row * width, which + row, 0
            grads = first + b * size, put + row * width, powers, outs, pasts, many
            while d + many <= width:
                _back(wide, d, shape, few, v, power, out, past, g, mark, x, w, grads)
                d += many
            while d + some <= width:
                _back(narrow, d, shape, few, v, power, out, past, g, mark, x, w, grads)
                d += some
            while d < width:
                _back(one, d, shape, few, v, power, out, past, g, mark, x, w, grads)
                d += 1

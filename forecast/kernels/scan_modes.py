"""Diagonal complex recurrence with its readout, and its adjoint, in real arithmetic.

    x_t = λ(g_t) x_{t-1} + u_t          y_t = Re Σ_n c_n x_t,n

Shapes: u, y (B T D); λ as a table over the distinct gaps g (G 2 N D), gap (B T) picks from it; c (2 N D); state (B 2 N D), updated
in place; marks (B M 2 N D) the states before the rows 0, span, 2 span … for the adjoint. The lanes are the D channels: innermost,
contiguous, their number known at run time only. An array is never passed twice: overlapping ones are taken lane by lane.
"""

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import jit

Array = NDArray[np.floating]
Index = NDArray[np.int64]


@jit
def advance(u: Array, table: Array, c: Array, gap: Index, state: Array, y: Array, marks: Array) -> None:
    """Fill y, move the state to the last row, and keep the marks where there is room for them."""
    batch, rows, width = u.shape
    span = (rows + marks.shape[1] - 1) // marks.shape[1] if marks.shape[1] else rows + 1
    for b in range(batch):
        re, im, cr, ci = state[b, 0], state[b, 1], c[0], c[1]
        for t in range(rows):
            if t % span == 0 and marks.shape[1]:
                marks[b, t // span] = state[b]
            ut, yt, lr, li = u[b, t], y[b, t], table[gap[b, t], 0], table[gap[b, t], 1]
            for d in range(width):
                yt[d] = 0
            for n in range(cr.shape[0]):
                xr, xi, p, q, e, f = re[n], im[n], lr[n], li[n], cr[n], ci[n]
                for d in range(width):
                    r = p[d] * xr[d] - q[d] * xi[d] + ut[d]
                    i = p[d] * xi[d] + q[d] * xr[d]
                    xr[d] = r
                    xi[d] = i
                    yt[d] += e[d] * r - f[d] * i


@jit
def _spread(row: Array, modes: Array) -> None:
    """Copy a row (D) to every mode (N D)."""
    for n in range(modes.shape[0]):
        mode = modes[n]
        for d in range(row.shape[0]):
            mode[d] = row[d]


@jit
def _gather(modes: Array, row: Array) -> None:
    """Add the modes (N D) up in a row (D)."""
    for d in range(row.shape[0]):
        row[d] = 0
    for n in range(modes.shape[0]):
        mode = modes[n]
        for d in range(row.shape[0]):
            row[d] += mode[d]


@jit
def _turn(v: Array, power: Array, before: Array, after: Array) -> None:
    """One row, spread over the modes, from one stored state to the next; all lanes J = N·D in one loop."""
    p, q, xr, xi, zr, zi = power[0], power[1], before[0], before[1], after[0], after[1]
    for j in range(v.shape[0]):
        zr[j] = p[j] * xr[j] - q[j] * xi[j] + v[j]
        zi[j] = p[j] * xi[j] + q[j] * xr[j]


@jit
def _turn_back(
    v: Array,
    power: Array,
    c: Array,
    before: Array,
    after: Array,
    g: Array,
    r: Array,
    i: Array,
    gpower: Array,
    gc: Array,
) -> None:
    """The adjoint of one row: g from the state after it to that before it, r the gradient of what entered each mode."""
    lanes = v.shape[0]
    p, q, e, f, gr, gi = power[0], power[1], c[0], c[1], g[0], g[1]
    xr, xi, zr, zi, hr, hi, kr, ki = before[0], before[1], after[0], after[1], gpower[0], gpower[1], gc[0], gc[1]
    for j in range(lanes):
        r[j] = gr[j] + e[j] * v[j]
        i[j] = gi[j] - f[j] * v[j]
    for j in range(lanes):
        kr[j] += v[j] * zr[j]
        ki[j] -= v[j] * zi[j]
    for j in range(lanes):
        hr[j] += r[j] * xr[j] + i[j] * xi[j]
        hi[j] += i[j] * xr[j] - r[j] * xi[j]
    for j in range(lanes):
        gr[j] = p[j] * r[j] + q[j] * i[j]
        gi[j] = p[j] * i[j] - q[j] * r[j]


@jit
def adjoint(
    u: Array,
    table: Array,
    c: Array,
    gap: Index,
    marks: Array,
    gy: Array,
    gstate: Array,
    gu: Array,
    gtable: Array,
    gc: Array,
) -> None:
    """Gradients of u, the table and c; gstate turns from that of the last state into that of the first.

    Between two marks the states are computed again: memory of T/span + span states. The lanes are all J = N·D, for the loops
    here touch many arrays and need the length.
    """
    batch, rows, width = u.shape
    modes, count = c.shape[1], marks.shape[1]
    lanes = modes * width
    span = (rows + count - 1) // count
    flat, flat_table, flat_gtable = (
        (2, lanes),
        table.reshape(len(table), 2, lanes),
        gtable.reshape(len(table), 2, lanes),
    )
    flat_c, flat_gc, x = c.reshape(flat), gc.reshape(flat), np.empty((span + 1, 2, lanes), u.dtype)
    spread = np.empty((3, modes, width), u.dtype)
    v, r, i = spread[0].reshape(lanes), spread[1].reshape(lanes), spread[2].reshape(lanes)
    for b in range(batch):
        g = gstate[b].reshape(flat)
        for k in range(count - 1, -1, -1):
            low, high = k * span, min(rows, (k + 1) * span)
            if low < high:
                x[0] = marks[b, k].reshape(flat)
            for t in range(low, high):
                _spread(u[b, t], spread[0])
                _turn(v, flat_table[gap[b, t]], x[t - low], x[t - low + 1])
            for t in range(high - 1, low - 1, -1):
                j, power = t - low, gap[b, t]
                _spread(gy[b, t], spread[0])
                _turn_back(v, flat_table[power], flat_c, x[j], x[j + 1], g, r, i, flat_gtable[power], flat_gc)
                _gather(spread[1], gu[b, t])

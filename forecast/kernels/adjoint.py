"""The pieces of the backward pass of `score`: update and transition of a block of lanes run backwards, formulas there.

Pointers to lane values (see `lanes`): r (m), S and U (m m, upper triangle): derivatives of the likelihood by mean,
covariance and diffuse part. grad (K) are those by the coefficients of the row.
"""

from typing import Any

from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import filled, fma, fnma, pick
from forecast.kernels.operations import (
    ADD,
    MUL,
    NOISE,
    SHIFT,
    covariance_operation,
    place,
    turn,
    vector_operation,
)
from forecast.kernels.transition import taped, taped_role


@apart
def symmetric_times(S: Any, m: Any, x: Any, out: Any) -> Any:
    """out = S x from the upper triangle, two rows at a time: out_j is read and written once for both."""
    for i in range(m):
        out[i] = S[i * m + i] * x[i]
    i = 0
    while i + 1 < m:
        row, p, q = i * m, x[i], x[i + 1]
        s = S[row + i + 1]
        a, b = fma(s, q, out[i]), fma(s, p, out[i + 1])
        for j in range(i + 2, m):
            s, u, y = S[row + j], S[row + m + j], x[j]
            a, b = fma(s, y, a), fma(u, y, b)
            out[j] = fma(u, q, fma(s, p, out[j]))
        out[i], out[i + 1] = a, b
        i += 2


@inner
def dot(x: Any, y: Any, m: Any) -> Any:
    """x'y."""
    out = filled(x, 0.0)
    for i in range(m):
        out = fma(x[i], y[i], out)
    return out


@inner
def spread_out(reads: Any, low: Any, high: Any, coef: Any, at: Any, slot: Any, m: Any, S: Any, M: Any) -> Any:
    """S += ½ (M Z + Z'M')."""
    half = filled(S, 0.5)
    for z in range(low, high):
        a, c = slot[reads[4 * z + 1]], reads[4 * z + 2]
        h = half if c < 0 else half * coef[at + c]
        for j in range(m):
            r = place(a, j, m)
            S[r] = fma(h, M[j], S[r])
        S[a * m + a] = fma(h, M[a], S[a * m + a])


@inner
def scatter(reads: Any, low: Any, high: Any, coef: Any, at: Any, slot: Any, target: Any, x: Any) -> Any:
    """target += Z' x for a number x per lane."""
    for z in range(low, high):
        a, c = slot[reads[4 * z + 1]], reads[4 * z + 2]
        target[a] = target[a] + x if c < 0 else fma(coef[at + c], x, target[a])


@inner
def read_gradient(
    reads: Any,
    low: Any,
    high: Any,
    slot: Any,
    m: Any,
    tape: Any,
    row: Any,
    gain: Any,
    bar: Any,
    fbar: Any,
    vbar: Any,
    grad: Any,
) -> Any:
    """Z̄ = P M̄ + M F̄ - a v̄ of the emission coefficients that vary."""
    for z in range(low, high):
        q, a, c = reads[4 * z + 3], slot[reads[4 * z + 1]], reads[4 * z + 2]
        if q >= 0:
            base = (row + q) * (m + 1)
            x = fnma(tape[base + m], vbar, fma(gain[a], fbar, grad[c]))
            for k in range(m):
                x = fma(tape[base + k], bar[k], x)
            grad[c] = x


@inner
def usual_adjoint(m: Any, r: Any, S: Any, M: Any, v: Any, F: Any, usual: Any, g: Any, bar: Any) -> Any:
    """M̄ without its Z'F̄ into `bar`; v̄ and F̄ of the lanes that took the usual branch."""
    one, half, two = filled(M, 1.0), filled(M, 0.5), filled(M, 2.0)
    iF = usual / pick(usual, F, one)
    symmetric_times(S, m, M, g)
    rM, gM = dot(r, M, m), dot(g, M, m)
    fbar = iF * (iF * (gM - rM * v + half * v * v) - half)
    w, h = iF * v, two * iF
    for k in range(m):
        bar[k] = fnma(h, g[k], w * r[k])
    return iF * (rM - v), fbar


@apart
def diffuse_adjoint(
    m: Any,
    r: Any,
    S: Any,
    U: Any,
    M: Any,
    Mi: Any,
    v: Any,
    F: Any,
    Fi: Any,
    chosen: Any,
    K: Any,
    g: Any,
    h: Any,
    bar: Any,
    bari: Any,
) -> Any:
    """The same of the lanes that took the diffuse branch, added to the others' (whose numbers are 0 here): what to add
    to v̄ and F̄, and F̄∞; M̄∞ without its Z'F̄∞ into `bari`."""
    one, half, two = filled(M, 1.0), filled(M, 0.5), filled(M, 2.0)
    iF = chosen / pick(chosen, Fi, one)
    symmetric_times(S, m, M, g)
    for k in range(m):
        K[k] = Mi[k] * iF
        bari[k] = iF * (r[k] * v - two * g[k])
    symmetric_times(S, m, K, g)
    symmetric_times(U, m, K, h)
    for k in range(m):
        bari[k] = bari[k] + iF * two * (F * g[k] - Fi * h[k])
        bar[k] = bar[k] - two * g[k] * chosen
    fbari = chosen * (filled(M, 0.0) - dot(h, K, m) - dot(bari, K, m)) - half * iF
    return dot(r, K, m), dot(g, K, m) * chosen, fbari


@apart
def operation_gradient(
    ops: Any,
    o: Any,
    coef: Any,
    at: Any,
    slot: Any,
    m: Any,
    tape: Any,
    row: Any,
    r: Any,
    S: Any,
    with_mean: Any,
    grad: Any,
    w: Any,
) -> Any:
    """Ḡ_ij = r_i a_j + 2 (S G P)_ij of the coefficients of one linear operation; r and S stand after it."""
    kind, c, rows, two = ops[6 * o], ops[6 * o + 3], taped(ops, o), filled(r, 2.0)
    for q in range(rows):
        n, b = (row + ops[6 * o + 5] + q) * (m + 1), slot[taped_role(ops, o, q)]
        for k in range(m):
            w[k] = tape[n + k]
        if kind == ADD:
            a = slot[ops[6 * o + 1]]
            w[a] = fma(coef[at + c], tape[n + b], w[a])
        elif kind == MUL:
            w[b] = w[b] * coef[at + c]
        else:
            for p in range(rows):
                x = filled(r, 0.0)
                for k in range(rows):
                    x = fma(coef[at + c + p * rows + k], tape[n + slot[taped_role(ops, o, k)]], x)
                w[slot[taped_role(ops, o, p)]] = x
        for p in range(rows):
            a, e = slot[ops[6 * o + 1]] if kind == ADD else slot[taped_role(ops, o, p)], c + p * rows + q
            x = fma(r[a], tape[n + m], grad[e]) if with_mean else grad[e]
            for k in range(m):
                x = fma(two * S[place(a, k, m)], w[k], x)
            grad[e] = x


@inner
def transition_adjoint(
    model: Any,
    coef: Any,
    at: Any,
    slot: Any,
    tape: Any,
    tape_d: Any,
    row: Any,
    r: Any,
    S: Any,
    U: Any,
    has_diffuse: Any,
    grad: Any,
    work: Any,
) -> Any:
    """All operations backwards; `slot` is turned back to the map before the transition."""
    m, _, count, ops = model[:4]
    for o in range(count - 1, -1, -1):
        if ops[6 * o] == SHIFT:
            turn(slot, ops[6 * o + 1], ops[6 * o + 4], True)
        elif ops[6 * o] == NOISE:
            a, b, c = slot[ops[6 * o + 1]], slot[ops[6 * o + 2]], ops[6 * o + 3]
            sign = filled(S, ops[6 * o + 4] * (1.0 if a == b else 2.0))
            grad[c] = fma(sign, S[place(a, b, m)], grad[c])
        else:
            if ops[6 * o + 5] >= 0:
                operation_gradient(ops, o, coef, at, slot, m, tape, row, r, S, True, grad, work)
                if has_diffuse:
                    operation_gradient(ops, o, coef, at, slot, m, tape_d, row, r, U, False, grad, work)
            vector_operation(ops, o, coef, at, slot, r, 0, True, work)
            covariance_operation(ops, o, coef, at, slot, S, m, True, work)
            if has_diffuse:
                covariance_operation(ops, o, coef, at, slot, U, m, True, work)

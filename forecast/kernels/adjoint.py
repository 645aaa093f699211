"""The pieces of the backward pass of `score`: update and transition of a lane block run backwards, formulas there.

r (m W), S and U (m m W): derivatives of the likelihood by mean, covariance and diffuse part.
"""

from typing import Any

from forecast.kernels.jit import jit
from forecast.kernels.operations import ADD, MUL, NOISE, SHIFT, covariance_operation, mean_operation, turn
from forecast.kernels.transition import taped, taped_role


@jit
def symmetric_times(S: Any, x: Any, out: Any) -> Any:
    """out = S x from the upper triangle."""
    m, W = x.shape
    for i in range(m):
        for l in range(W):
            out[i, l] = S[i, i, l] * x[i, l]
    for i in range(m):
        for j in range(i + 1, m):
            for l in range(W):
                out[i, l] += S[i, j, l] * x[j, l]
                out[j, l] += S[i, j, l] * x[i, l]


@jit
def clear(x: Any) -> Any:
    """x = 0, for arrays (R W)."""
    for r in range(x.shape[0]):
        for l in range(x.shape[1]):
            x[r, l] = 0.0


@jit
def dot(x: Any, y: Any, out: Any) -> Any:
    """out = x'y."""
    for l in range(out.shape[0]):
        out[l] = 0.0
    for i in range(x.shape[0]):
        for l in range(out.shape[0]):
            out[l] += x[i, l] * y[i, l]


@jit
def spread_out(reads: Any, low: Any, high: Any, coef: Any, slot: Any, S: Any, M: Any) -> Any:
    """S += ½ (M Z + Z'M')."""
    m, W = M.shape
    for z in range(low, high):
        a, c = slot[reads[z, 1]], reads[z, 2]
        for j in range(m):
            x, y = (a, j) if a < j else (j, a)
            half = 1.0 if j == a else 0.5
            if c < 0:
                for l in range(W):
                    S[x, y, l] += half * M[j, l]
            else:
                for l in range(W):
                    S[x, y, l] += half * coef[c, l] * M[j, l]


@jit
def scatter(reads: Any, low: Any, high: Any, coef: Any, slot: Any, target: Any, x: Any, sign: Any) -> Any:
    """target += sign · Z' x for a number x per lane."""
    for z in range(low, high):
        a, c = slot[reads[z, 1]], reads[z, 2]
        if c < 0:
            for l in range(x.shape[0]):
                target[a, l] += sign * x[l]
        else:
            for l in range(x.shape[0]):
                target[a, l] += sign * coef[c, l] * x[l]


@jit
def read_gradient(
    reads: Any,
    low: Any,
    high: Any,
    slot: Any,
    tape: Any,
    t: Any,
    gain: Any,
    bar: Any,
    fbar: Any,
    vbar: Any,
    with_mean: Any,
    grad: Any,
    row: Any,
) -> Any:
    """Z̄ = P M̄ + M F̄ - a v̄ of the emission coefficients that vary (of the diffuse part without the mean)."""
    m, W = bar.shape
    for z in range(low, high):
        q, a, c = reads[z, 3], slot[reads[z, 1]], reads[z, 2]
        if q >= 0:
            for l in range(W):
                grad[row, c, l] += gain[a, l] * fbar[l]
            if with_mean:
                for l in range(W):
                    grad[row, c, l] -= tape[t, q, m, l] * vbar[l]
            for k in range(m):
                for l in range(W):
                    grad[row, c, l] += tape[t, q, k, l] * bar[k, l]


@jit
def usual_adjoint(
    r: Any, S: Any, M: Any, v: Any, F: Any, ok: Any, g: Any, bar: Any, vbar: Any, fbar: Any, iF: Any
) -> Any:
    """M̄ without its Z'F̄, v̄ and F̄ of the lanes that took the usual branch."""
    m, W = M.shape
    symmetric_times(S, M, g)
    dot(r, M, vbar)
    dot(g, M, fbar)
    for l in range(W):
        iF[l] = ok[l] / (F[l] + (1.0 - ok[l]))
        fbar[l] = iF[l] * (iF[l] * (fbar[l] - vbar[l] * v[l] + 0.5 * v[l] * v[l]) - 0.5)
        vbar[l] = iF[l] * (vbar[l] - v[l])
    for k in range(m):
        for l in range(W):
            bar[k, l] = iF[l] * (r[k, l] * v[l] - 2.0 * g[k, l])


@jit
def diffuse_adjoint(
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
    vbar: Any,
    fbar: Any,
    fbari: Any,
    kg: Any,
    kh: Any,
    iF: Any,
) -> Any:
    """The same of the lanes that took the diffuse branch, added to the others' (whose numbers are 0 here)."""
    m, W = M.shape
    symmetric_times(S, M, g)
    for l in range(W):
        iF[l] = chosen[l] / Fi[l] if chosen[l] > 0.0 else 0.0
    for k in range(m):
        for l in range(W):
            K[k, l] = Mi[k, l] * iF[l]
            bari[k, l] = iF[l] * (r[k, l] * v[l] - 2.0 * g[k, l])
    symmetric_times(S, K, g)
    symmetric_times(U, K, h)
    dot(g, K, kg)
    dot(h, K, kh)
    for k in range(m):
        for l in range(W):
            bari[k, l] += iF[l] * 2.0 * (F[l] * g[k, l] - Fi[l] * h[k, l])
            bar[k, l] -= 2.0 * g[k, l] * chosen[l]
    dot(r, K, fbari)
    for l in range(W):
        vbar[l] += fbari[l]
        fbar[l] += kg[l] * chosen[l]
    dot(bari, K, fbari)
    for l in range(W):
        fbari[l] = chosen[l] * (-kh[l] - fbari[l]) - 0.5 * iF[l]


@jit
def operation_gradient(
    ops: Any,
    o: Any,
    coef: Any,
    slot: Any,
    tape: Any,
    t: Any,
    r: Any,
    S: Any,
    with_mean: Any,
    grad: Any,
    row: Any,
    w: Any,
) -> Any:
    """Ḡ_ij = r_i a_j + 2 (S G P)_ij of the coefficients of one linear operation; r and S stand after it."""
    m, W = r.shape
    kind, c, rows = ops[o, 0], ops[o, 3], taped(ops, o)
    for q in range(rows):
        n, b = ops[o, 5] + q, slot[taped_role(ops, o, q)]
        for k in range(m):
            for l in range(W):
                w[0, k, l] = tape[t, n, k, l]
        if kind == ADD:
            a = slot[ops[o, 1]]
            for l in range(W):
                w[0, a, l] += coef[c, l] * tape[t, n, b, l]
        elif kind == MUL:
            for l in range(W):
                w[0, b, l] *= coef[c, l]
        else:
            for p in range(rows):
                a = slot[taped_role(ops, o, p)]
                for l in range(W):
                    w[0, a, l] = 0.0
                for k in range(rows):
                    e, x = c + p * rows + k, slot[taped_role(ops, o, k)]
                    for l in range(W):
                        w[0, a, l] += coef[e, l] * tape[t, n, x, l]
        for p in range(rows):
            a, e = slot[ops[o, 1]] if kind == ADD else slot[taped_role(ops, o, p)], c + p * rows + q
            if with_mean:
                for l in range(W):
                    grad[row, e, l] += r[a, l] * tape[t, n, m, l]
            for k in range(m):
                x, y = (a, k) if a < k else (k, a)
                for l in range(W):
                    grad[row, e, l] += 2.0 * S[x, y, l] * w[0, k, l]


@jit
def transition_adjoint(
    ops: Any,
    coef: Any,
    slot: Any,
    tape: Any,
    tape_d: Any,
    t: Any,
    r: Any,
    S: Any,
    U: Any,
    has_diffuse: Any,
    grad: Any,
    row: Any,
    work: Any,
) -> Any:
    """All operations backwards; `slot` is turned back to the map before the transition."""
    for o in range(ops.shape[0] - 1, -1, -1):
        if ops[o, 0] == SHIFT:
            turn(slot, ops[o, 1], ops[o, 4], True)
        elif ops[o, 0] == NOISE:
            a, b, c = slot[ops[o, 1]], slot[ops[o, 2]], ops[o, 3]
            x, y = (a, b) if a < b else (b, a)
            sign = ops[o, 4] * (1.0 if a == b else 2.0)
            for l in range(r.shape[1]):
                grad[row, c, l] += sign * S[x, y, l]
        else:
            if ops[o, 5] >= 0:
                operation_gradient(ops, o, coef, slot, tape, t, r, S, True, grad, row, work)
                if has_diffuse:
                    operation_gradient(ops, o, coef, slot, tape_d, t, r, U, False, grad, row, work)
            mean_operation(ops, o, coef, slot, r, True, work)
            covariance_operation(ops, o, coef, slot, S, True, work)
            if has_diffuse:
                covariance_operation(ops, o, coef, slot, U, True, work)

"""Exact score of the Gaussian likelihood: one backward pass over the journal of `kalman.advance`.

The adjoint of the belief is (r, S, U): derivatives by mean, covariance and diffuse part. With N of Koopman & Shephard (1992)
and Durbin & Koopman (2012, §7.3.3), S = ½ (r r' - N). Usual update, backwards:
    g = S M;  F̄ = M'g/F² - r'M v/F² - ½/F + ½ v²/F²;  M̄ = r v/F - 2 g/F + Z'F̄;  v̄ = r'M/F - v/F
    r -= Z'v̄;  S += ½ (M̄ Z + Z'M̄');  R̄ = F̄;  Z̄ = P M̄ + M F̄ - a v̄
Diffuse update with K = M∞/F∞: K̄ = r v + 2 F S K - 2 S M - 2 F∞ U K and so on, see the code.
A transition x = G x runs backwards as r = G'r, S = G'S G, U = G'U G; Ḡ = r a' + 2 S G P; process noise on (i, j): S_ij.
"""

import numpy as np

from forecast.kernels.belief import store_rows, store_symmetric, store_values
from forecast.kernels.jit import jit
from forecast.kernels.kalman import advance, identity, journal, load_block, taped, taped_role
from forecast.kernels.operations import (
    ADD,
    MUL,
    NOISE,
    SHIFT,
    copy,
    covariance_operation,
    mean_operation,
    turn,
)


@jit
def symmetric_times(S, x, out):  # type: ignore[no-untyped-def]
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
def clear(x):  # type: ignore[no-untyped-def]
    """x = 0, for arrays (R W)."""
    for r in range(x.shape[0]):
        for l in range(x.shape[1]):
            x[r, l] = 0.0


@jit
def dot(x, y, out):  # type: ignore[no-untyped-def]
    """out = x'y."""
    for l in range(out.shape[0]):
        out[l] = 0.0
    for i in range(x.shape[0]):
        for l in range(out.shape[0]):
            out[l] += x[i, l] * y[i, l]


@jit
def spread_out(reads, low, high, coef, slot, S, M):  # type: ignore[no-untyped-def]
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
def scatter(reads, low, high, coef, slot, target, x, sign):  # type: ignore[no-untyped-def]
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
def read_gradient(reads, low, high, slot, tape, t, gain, bar, fbar, vbar, with_mean, grad, row):  # type: ignore[no-untyped-def]
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
def usual_adjoint(r, S, M, v, F, ok, g, bar, vbar, fbar, iF):  # type: ignore[no-untyped-def]
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
def diffuse_adjoint(r, S, U, M, Mi, v, F, Fi, chosen, K, g, h, bar, bari, vbar, fbar, fbari, kg, kh, iF):  # type: ignore[no-untyped-def]
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
def operation_gradient(ops, o, coef, slot, tape, t, r, S, with_mean, grad, row, w):  # type: ignore[no-untyped-def]
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
def transition_adjoint(ops, coef, slot, tape, tape_d, t, r, S, U, has_diffuse, grad, row, work):  # type: ignore[no-untyped-def]
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


@jit
def retreat(y, coefs, drive, ops, reads, first, noise, slot, keep, r, S, U, grad, grad_y, grad_drive, r0, S0):  # type: ignore[no-untyped-def]
    """All rows of a block backwards: gradients by coefficients (1 or T, K, W), values, drive, and the initial belief."""
    T, C, W = y.shape
    m = r.shape[0]
    gains, forecasts, scales, seen, gains_d, scales_d, seen_d, slots, tape, tape_d, diffuse_rows, started_at = keep
    g, h, bar, bari, K = np.empty((m, W)), np.empty((m, W)), np.empty((m, W)), np.empty((m, W)), np.empty((m, W))
    vbar, fbar, fbari, usual, kg, kh, iF = np.empty(W), np.empty(W), np.empty(W), np.empty(W), np.empty(W), np.empty(W), np.empty(W)
    work = np.empty((m, m, W))
    for t in range(T - 1, -1, -1):
        row = t if coefs.shape[0] > 1 else 0
        coef = coefs[row]
        for i in range(m):
            slot[i] = slots[t, i]
        for c in range(C - 1, -1, -1):
            low, high = first[c], first[c + 1]
            M, v, F, ok = gains[t, c], forecasts[t, c], scales[t, c], seen[t, c]
            for l in range(W):
                usual[l] = ok[l] - (seen_d[t, c, l] if diffuse_rows[t, c] else 0.0)
            usual_adjoint(r, S, M, v, F, usual, g, bar, vbar, fbar, iF)
            if diffuse_rows[t, c]:
                Mi, Fi, chosen = gains_d[t, c], scales_d[t, c], seen_d[t, c]
                diffuse_adjoint(r, S, U, M, Mi, v, F, Fi, chosen, K, g, h, bar, bari, vbar, fbar, fbari, kg, kh, iF)
                scatter(reads, low, high, coef, slot, bari, fbari, 1.0)
                read_gradient(reads, low, high, slot, tape_d, t, Mi, bari, fbari, vbar, False, grad, row)
                spread_out(reads, low, high, coef, slot, U, bari)
            scatter(reads, low, high, coef, slot, bar, fbar, 1.0)
            read_gradient(reads, low, high, slot, tape, t, M, bar, fbar, vbar, True, grad, row)
            spread_out(reads, low, high, coef, slot, S, bar)
            scatter(reads, low, high, coef, slot, r, vbar, -1.0)
            if noise[c] >= 0:
                for l in range(W):
                    grad[row, noise[c], l] += fbar[l]
            for l in range(W):
                grad_y[t, c, l] = vbar[l]
        for l in range(W):
            if started_at[l] == t:
                for i in range(m):
                    r0[i, l] = r[slot[i], l]
                    r[slot[i], l] = 0.0
                    for j in range(i, m):
                        a, b = slot[i], slot[j]
                        x, y = (a, b) if a < b else (b, a)
                        S0[i, j, l] = S[x, y, l]
                for i in range(m):
                    for j in range(i, m):
                        S[i, j, l] = 0.0
                        U[i, j, l] = 0.0
        for i in range(grad_drive.shape[1] if grad_drive.shape[0] > 0 else 0):
            for l in range(W):
                grad_drive[t, i, l] = r[slot[i], l]
        if diffuse_rows[t, C + 1]:
            transition_adjoint(ops, coef, slot, tape, tape_d, t, r, S, U, diffuse_rows[t, C], grad, row, work)


@jit
def score_series(y, coefs, drive, ops, reads, first, noise, tapes, lanes, start, loglik, grad, grad_y, grad_drive, r0, S0):  # type: ignore[no-untyped-def]
    """Likelihood (B) of all series from fresh beliefs `start`, and its gradients: grad (1 or T, K, B), r0 (m B), S0 (n B)."""
    B, T, C = y.shape
    m, W = start[0].shape[0], lanes
    Y, dY = np.empty((T, C, W)), np.empty((T, C, W))
    coef, push = np.empty((coefs.shape[0], coefs.shape[1], W)), np.empty((drive.shape[0], m, W))
    out, dpush = np.empty(coef.shape), np.empty(push.shape)
    A, P, D, tally = np.empty((m, W)), np.empty((m, m, W)), np.zeros((m, m, W)), np.empty((2 + 2 * C, W))
    ll, none, kept = np.empty(W), np.empty((0, C, W)), journal(T, C, m, W, tapes)
    first_r, first_S, role = np.empty((m, W)), np.empty((m, m, W)), identity(m)
    A0, P0, D0 = np.empty((m, W)), np.empty((m, m, W)), np.empty((m, m, W))
    slot, started_at, diffuse_rows = np.empty(m, np.int64), np.empty(W, np.int64), np.zeros((T, C + 2), np.bool_)
    keep = (*kept, diffuse_rows, started_at)
    for s in range(0, B, W):
        w = min(W, B - s)
        load_block(s, y, coefs, drive, start, Y, coef, push, A, P, D, tally, slot, diffuse_rows)
        copy(A, A0)
        copy(P.reshape(m * m, W), P0.reshape(m * m, W))
        copy(D.reshape(m * m, W), D0.reshape(m * m, W))
        for l in range(W):
            started_at[l] = -1
        advance(Y, coef, push, ops, reads, first, noise, 0.0, slot, A, P, D, A0, P0, D0, tally, ll, keep, none, none)
        for x in (A, P.reshape(m * m, W), D.reshape(m * m, W), first_r, first_S.reshape(m * m, W), out.reshape(-1, W)):
            clear(x)
        retreat(Y, coef, push, ops, reads, first, noise, slot, keep, A, P, D, out, dY, dpush, first_r, first_S)
        for l in range(w):
            loglik[s + l] = ll[l]
        for t in range(coefs.shape[0]):
            store_rows(out[t], identity(coefs.shape[1]), s, w, grad[t])
        for t in range(drive.shape[0]):
            store_rows(dpush[t], role, s, w, grad_drive[t])
        store_values(dY, s, w, grad_y)
        store_rows(first_r, role, s, w, r0)
        store_symmetric(first_S, role, s, w, S0)

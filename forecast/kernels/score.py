"""Exact score of the Gaussian likelihood: one backward pass over the journal of `kalman.advance`.

The adjoint of the belief is (r, S, U): derivatives by mean, covariance and diffuse part. With N of Koopman & Shephard
(1992) and Durbin & Koopman (2012, §7.3.3), S = ½ (r r' - N). Usual update, backwards:
    g = S M;  F̄ = M'g/F² - r'M v/F² - ½/F + ½ v²/F²;  M̄ = r v/F - 2 g/F + Z'F̄;  v̄ = r'M/F - v/F
    r -= Z'v̄;  S += ½ (M̄ Z + Z'M̄');  R̄ = F̄;  Z̄ = P M̄ + M F̄ - a v̄
Diffuse update with K = M∞/F∞: K̄ = r v + 2 F S K - 2 S M - 2 F∞ U K and so on, see the code.
A transition x = G x runs backwards as r = G'r, S = G'S G, U = G'U G; Ḡ = r a' + 2 S G P; process noise on (i, j): S_ij.
"""

from typing import Any

import numpy as np

from forecast.kernels.adjoint import (
    clear,
    diffuse_adjoint,
    read_gradient,
    scatter,
    spread_out,
    transition_adjoint,
    usual_adjoint,
)
from forecast.kernels.belief import store_rows, store_symmetric, store_values
from forecast.kernels.jit import jit
from forecast.kernels.kalman import advance, identity, journal, load_block
from forecast.kernels.operations import copy


@jit
def retreat(
    y: Any,
    coefs: Any,
    drive: Any,
    ops: Any,
    reads: Any,
    first: Any,
    noise: Any,
    slot: Any,
    keep: Any,
    r: Any,
    S: Any,
    U: Any,
    grad: Any,
    grad_y: Any,
    grad_drive: Any,
    r0: Any,
    S0: Any,
) -> Any:
    """All rows of a block backwards: gradients by coefficients, values, drive and the initial belief."""
    T, C, W = y.shape
    m = r.shape[0]
    gains, forecasts, scales, seen, gains_d, scales_d, seen_d, slots, tape, tape_d, diffuse_rows, started_at = keep
    g, h, bar, bari, K = np.empty((m, W)), np.empty((m, W)), np.empty((m, W)), np.empty((m, W)), np.empty((m, W))
    vbar, fbar, fbari, usual, kg, kh, iF = (
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
    )
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
def score_series(
    y: Any,
    coefs: Any,
    drive: Any,
    ops: Any,
    reads: Any,
    first: Any,
    noise: Any,
    tapes: Any,
    lanes: Any,
    start: Any,
    loglik: Any,
    grad: Any,
    grad_y: Any,
    grad_drive: Any,
    r0: Any,
    S0: Any,
) -> Any:
    """Likelihood (B) from fresh beliefs `start` and its gradients: grad (1 or T, K, B), r0 (m B), S0 (n B)."""
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

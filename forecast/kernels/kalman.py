"""Kalman filter of a lane block over rows, the one kernel behind likelihood, warm-up, step, forecast and trace.

A row is: transition, then one update per channel (univariate treatment: the channels of a row have independent noise).
The belief between rows is the filtered one. Rows before a series' first observed one leave its belief at the initial
one, so that padding is invisible; there is no transition before that first row.
Coefficients coefs (1 or T, K, W): those of row t hold for the transition into row t and for its update. drive (0 or T,
m, W) is added to the mean after the transition. tally (2 + 2 C, W): observed rows, diffuse rank, smallest and largest
value per channel. Log det F is kept as mantissa and exponent: one logarithm per series, no overflow. Source: see
`update`, `operations`.
"""

import math
from typing import Any

import numpy as np

from forecast.kernels.belief import (
    load_rows,
    load_symmetric,
    load_values,
    restart_lane,
    store_rows,
    store_symmetric,
    store_values,
)
from forecast.kernels.jit import jit
from forecast.kernels.operations import copy
from forecast.kernels.transition import record, transition
from forecast.kernels.update import TOLERANCE, diffuse, gain, observe, usual

LOG2 = math.log(2.0)
LOG2PI = math.log(2.0 * math.pi)


@jit
def renormalise(product: Any, exponent: Any) -> Any:
    """Move the binary exponents of the products into `exponent`."""
    bits = product.view(np.int64)
    for l in range(product.shape[0]):
        e = ((bits[l] >> 52) & 0x7FF) - 1023
        exponent[l] += e
        bits[l] -= e << 52


@jit
def weaken(dof: Any, coef: Any, c: Any, v: Any, F: Any) -> Any:
    """Student-t weight: noise R grows to R (dof + v²/F) / (dof + 1) where the row is more surprising than usual."""
    for l in range(v.shape[0]):
        excess = (v[l] * v[l] / F[l] - 1.0) / (dof + 1.0) if F[l] > 0.0 else 0.0
        F[l] += coef[c, l] * excess if excess > 0.0 else 0.0


@jit
def advance(
    y: Any,
    coefs: Any,
    drive: Any,
    ops: Any,
    reads: Any,
    first: Any,
    noise: Any,
    dof: Any,
    slot: Any,
    A: Any,
    P: Any,
    D: Any,
    A0: Any,
    P0: Any,
    D0: Any,
    tally: Any,
    loglik: Any,
    keep: Any,
    mean: Any,
    variance: Any,
) -> Any:
    """All rows of a block in place. keep: the arrays of a `Journal`, of no rows where no gradient is wanted."""
    T, C, W = y.shape
    m = A.shape[0]
    gains, forecasts, scales, seen, gains_d, scales_d, seen_d, slots, tape, tape_d, diffuse_rows, started_at = keep
    journalled = gains.shape[0] > 0
    work, M, Mi, G, K = np.empty((m, m, W)), np.empty((m, W)), np.empty((m, W)), np.empty((m, W)), np.empty(W)
    scratch = np.empty(m, np.int64)
    F, Fi, v, ok, iF, iFi, left = (
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.empty(W),
        np.ones(W),
    )
    product, exponent, square, count = np.ones(W), np.zeros(W, np.int64), np.zeros(W), np.zeros(W)
    waiting, live = 0, 0
    for l in range(W):
        if tally[0, l] == 0.0:
            waiting += 1
        elif tally[1, l] > 0.0:
            live += 1
    for t in range(T):
        coef = coefs[t if coefs.shape[0] > 1 else 0]
        if waiting < W:
            diffuse_rows[t, C + 1] = True
            if live > 0:
                for i in range(m):
                    scratch[i] = slot[i]
                transition(ops, coef, scratch, A, D, True, tape_d, t, work)
                diffuse_rows[t, C] = True
            transition(ops, coef, slot, A, P, False, tape, t, work)
            if drive.shape[0] > 0:
                for i in range(m):
                    a = slot[i]
                    for l in range(W):
                        A[a, l] += drive[t, i, l]
        if journalled:
            for i in range(m):
                slots[t, i] = slot[i]
        new = 0
        for l in range(W):
            observed = False
            for c in range(C):
                value = y[t, c, l]
                if value == value:
                    observed = True
                    if value < tally[2 + c, l]:
                        tally[2 + c, l] = value
                    if value > tally[2 + C + c, l]:
                        tally[2 + C + c, l] = value
            if observed:
                tally[0, l] += 1.0
                if tally[0, l] == 1.0:
                    new += 1
                    started_at[l] = t
                    if waiting < W:
                        restart_lane(slot, l, A, P, D, A0, P0, D0)
                    if tally[1, l] > 0.0:
                        live += 1
        waiting -= new
        for c in range(C):
            low, high = first[c], first[c + 1]
            some = 0
            for l in range(W):
                value = y[t, c, l]
                here = 1.0 if value == value else 0.0
                ok[l] = here
                v[l] = value if value == value else 0.0
                some += here > 0.0
            observe(reads, low, high, coef, slot, A, F)
            if mean.shape[0] > 0:
                for l in range(W):
                    mean[t, c, l] = F[l]
            for l in range(W):
                v[l] = (v[l] - F[l]) * ok[l]
            gain(reads, low, high, coef, slot, P, M, F, some == 0 and not journalled)
            if noise[c] >= 0:
                for l in range(W):
                    F[l] += coef[noise[c], l]
            if variance.shape[0] > 0:
                for l in range(W):
                    variance[t, c, l] = F[l]
            if dof > 0.0 and noise[c] >= 0:
                weaken(dof, coef, noise[c], v, F)
            if journalled:
                for z in range(low, high):
                    if reads[z, 3] >= 0:
                        record(tape, t, reads[z, 3], slot[reads[z, 1]], A, P)
                        if live > 0:
                            record(tape_d, t, reads[z, 3], slot[reads[z, 1]], A, D)
            if live > 0:
                gain(reads, low, high, coef, slot, D, Mi, Fi, False)
                for l in range(W):
                    branch = ok[l] if (Fi[l] > TOLERANCE and tally[1, l] > 0.0 and tally[0, l] > 0.0) else 0.0
                    ok[l] = ok[l] if branch > 0.0 or F[l] > 0.0 else 0.0
                    iFi[l] = branch / Fi[l] if branch > 0.0 else 0.0
                    iF[l] = (ok[l] - branch) / (F[l] + (1.0 - ok[l] + branch))
                    tally[1, l] -= branch
                    left[l] = 1.0 if tally[1, l] > 0.0 else 0.0
                    live -= branch > 0.0 and tally[1, l] == 0.0
                    product[l] *= Fi[l] if branch > 0.0 else (F[l] if ok[l] > 0.0 else 1.0)
                diffuse_rows[t, c] = True
                if variance.shape[0] > 0:
                    for l in range(W):
                        if Fi[l] > TOLERANCE and tally[1, l] + (iFi[l] > 0.0) > 0.0:
                            variance[t, c, l] = np.inf
                if journalled:
                    for i in range(m):
                        for l in range(W):
                            gains_d[t, c, i, l] = Mi[i, l]
                    for l in range(W):
                        scales_d[t, c, l] = Fi[l]
                        seen_d[t, c, l] = 1.0 if iFi[l] > 0.0 else 0.0
            else:
                for l in range(W):
                    ok[l] = ok[l] if F[l] > 0.0 else 0.0
                    iF[l] = ok[l] / (F[l] + (1.0 - ok[l]))
                    product[l] *= F[l] * ok[l] + (1.0 - ok[l])
            if journalled:
                for i in range(m):
                    for l in range(W):
                        gains[t, c, i, l] = M[i, l]
                for l in range(W):
                    forecasts[t, c, l], scales[t, c, l], seen[t, c, l] = v[l], F[l], ok[l]
            if some > 0:
                usual(slot, A, P, M, v, iF, K)
                if diffuse_rows[t, c]:
                    diffuse(slot, A, P, D, M, F, Mi, iFi, v, left, G)
            for l in range(W):
                square[l] += v[l] * v[l] * iF[l]
                count[l] += ok[l]
            if (t * C + c) % 4 == 3:
                renormalise(product, exponent)
    renormalise(product, exponent)
    for l in range(W):
        loglik[l] = -0.5 * (math.log(product[l]) + exponent[l] * LOG2 + square[l] + count[l] * LOG2PI)


@jit
def identity(m: Any) -> Any:
    """0 … m-1."""
    order = np.empty(m, np.int64)
    for i in range(m):
        order[i] = i
    return order


@jit
def load_block(
    s: Any,
    y: Any,
    coefs: Any,
    drive: Any,
    start: Any,
    Y: Any,
    coef: Any,
    push: Any,
    A: Any,
    P: Any,
    D: Any,
    tally: Any,
    slot: Any,
    diffuse_rows: Any,
) -> Any:
    """Everything of one block into the working arrays."""
    W = A.shape[1]
    load_values(y, s, W, Y)
    for t in range(coefs.shape[0]):
        load_rows(coefs[t], s, W, coef[t])
    for t in range(drive.shape[0]):
        load_rows(drive[t], s, W, push[t])
    load_rows(start[0], s, W, A)
    load_symmetric(start[1], s, W, P)
    load_rows(start[3], s, W, tally)
    if start[2].shape[0]:
        load_symmetric(start[2], s, W, D)
    for i in range(slot.shape[0]):
        slot[i] = i
    for t in range(diffuse_rows.shape[0]):
        for c in range(diffuse_rows.shape[1]):
            diffuse_rows[t, c] = False


@jit
def journal(rows: Any, C: Any, m: Any, W: Any, tapes: Any) -> Any:
    """What `advance` keeps for the gradient: of every row, or of none."""
    return (
        np.empty((rows, C, m, W)),
        np.empty((rows, C, W)),
        np.empty((rows, C, W)),
        np.empty((rows, C, W)),
        np.empty((rows, C, m, W)),
        np.empty((rows, C, W)),
        np.empty((rows, C, W)),
        np.empty((rows, m), np.int64),
        np.empty((max(rows, 1), tapes if rows else 0, m + 1, W)),
        np.empty((max(rows, 1), tapes if rows else 0, m + 1, W)),
    )


@jit
def filter_series(
    y: Any,
    coefs: Any,
    drive: Any,
    ops: Any,
    reads: Any,
    first: Any,
    noise: Any,
    dof: Any,
    lanes: Any,
    start: Any,
    end: Any,
    loglik: Any,
    mean: Any,
    variance: Any,
) -> Any:
    """All series block by block: beliefs `start` to `end` (mean, covariance, diffuse, tally), likelihood (B), forecasts
    (B T C).

    Diffuse parts of no rows mean that no series has one; mean and variance of no rows are not wanted.
    """
    B, T, C = y.shape
    m, W = start[0].shape[0], lanes
    Y = np.empty((T, C, W))
    coef, push = np.empty((coefs.shape[0], coefs.shape[1], W)), np.empty((drive.shape[0], m, W))
    A, P, D, tally = np.empty((m, W)), np.empty((m, m, W)), np.zeros((m, m, W)), np.empty((2 + 2 * C, W))
    ahead, spread = np.empty((T if mean.shape[0] else 0, C, W)), np.empty((T if mean.shape[0] else 0, C, W))
    ll, kept = np.empty(W), journal(0, C, m, W, 0)
    A0, P0, D0 = np.empty((m, W)), np.empty((m, m, W)), np.empty((m, m, W))
    slot, started_at, diffuse_rows = np.empty(m, np.int64), np.zeros(W, np.int64), np.zeros((T, C + 2), np.bool_)
    keep = (*kept, diffuse_rows, started_at)
    for s in range(0, B, W):
        w = min(W, B - s)
        load_block(s, y, coefs, drive, start, Y, coef, push, A, P, D, tally, slot, diffuse_rows)
        fresh = False
        for l in range(W):
            fresh |= tally[0, l] == 0.0
        if fresh:
            copy(A, A0)
            copy(P.reshape(m * m, W), P0.reshape(m * m, W))
            copy(D.reshape(m * m, W), D0.reshape(m * m, W))
        advance(Y, coef, push, ops, reads, first, noise, dof, slot, A, P, D, A0, P0, D0, tally, ll, keep, ahead, spread)
        for l in range(w):
            loglik[s + l] = ll[l]
            if tally[0, l] == 0.0:
                restart_lane(slot, l, A, P, D, A0, P0, D0)
        store_rows(A, slot, s, w, end[0])
        store_symmetric(P, slot, s, w, end[1])
        if start[2].shape[0]:
            store_symmetric(D, slot, s, w, end[2])
        store_rows(tally, identity(tally.shape[0]), s, w, end[3])
        if mean.shape[0]:
            store_values(ahead, s, w, mean)
            store_values(spread, s, w, variance)

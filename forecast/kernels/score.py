"""Exact score of the Gaussian likelihood: one backward pass over the journal of `advance`.

The adjoint of the belief is (r, S, U): derivatives by mean, covariance and diffuse part. With N of Koopman & Shephard
(1992) and Durbin & Koopman (2012, §7.3.3), S = ½ (r r' - N). Usual update, backwards:
    g = S M;  F̄ = M'g/F² - r'M v/F² - ½/F + ½ v²/F²;  M̄ = r v/F - 2 g/F + Z'F̄;  v̄ = r'M/F - v/F
    r -= Z'v̄;  S += ½ (M̄ Z + Z'M̄');  R̄ = F̄;  Z̄ = P M̄ + M F̄ - a v̄
Diffuse update with K = M∞/F∞: K̄ = r v + 2 F S K - 2 S M - 2 F∞ U K and so on, see the code.
A transition x = G x runs backwards as r = G'r, S = G'S G, U = G'U G; Ḡ = r a' + 2 S G P; process noise on (i, j): S_ij.
"""

from typing import Any

from forecast.kernels.adjoint import (
    diffuse_adjoint,
    read_gradient,
    scatter,
    spread_out,
    transition_adjoint,
    usual_adjoint,
)
from forecast.kernels.advance import advance, likelihood
from forecast.kernels.blocks import choose, load_rows, load_values, store_rows, store_symmetric, store_values
from forecast.kernels.jit import exact, inner
from forecast.kernels.kalman import cut_belief, cut_scratch, keep_initial, load_belief, working
from forecast.kernels.lanes import filled, peek, pointer, poke, width
from forecast.kernels.operations import place


def room(m: int, rows: int, channels: int, coefficients: int, driven: int, tapes: int) -> tuple[int, int]:
    """Elements of `memory` and of `whole` that `score_series` needs; coefficients: those of all rows; driven: rows."""
    n = rows * channels
    journal = n * (2 * m + 5) + 2 * rows * tapes * (m + 1)
    lanes = 2 * n + 2 * coefficients + 2 * driven * m + journal + 5 * m + (m + m * m)
    return lanes + working(m, channels), m + 3 * 64 + rows * (channels + 2) + rows * m + m


@inner
def cut_journal(p: Any, m: Any, rows: Any, C: Any, tapes: Any, slots: Any, flags: Any, began: Any) -> Any:
    """What `advance` keeps for the gradient: M, v, F, seen; M∞, F∞, chosen; slots; tapes; flags; what is left."""
    n = rows * C
    v = p + n * m
    Mi = v + 3 * n
    Fi = Mi + n * m
    tape = Fi + 2 * n
    tape_d = tape + rows * tapes * (m + 1)
    keep = (p, v, v + n, v + 2 * n, Mi, Fi, Fi + n, slots, tape, tape_d, tapes, flags, began)
    return keep, tape_d + rows * tapes * (m + 1)


@inner
def rest_lane(l: Any, slot: Any, m: Any, r: Any, S: Any, U: Any, r0: Any, S0: Any) -> Any:
    """At the first observed row of a lane its adjoint belongs to the initial belief, and it is done."""
    for i in range(m):
        poke(r0, i, l, peek(r, slot[i], l))
        poke(r, slot[i], l, 0.0)
        for j in range(i, m):
            poke(S0, i * m + j, l, peek(S, place(slot[i], slot[j], m), l))
    for k in range(m * m):
        poke(S, k, l, 0.0)
        poke(U, k, l, 0.0)


@inner
def retreat(
    model: Any,
    rows: Any,
    coefs: Any,
    stride: Any,
    driven: Any,
    slot: Any,
    keep: Any,
    adjoint: Any,
    vectors: Any,
    work: Any,
    out: Any,
    grad_y: Any,
    grad_drive: Any,
    first_adjoint: Any,
) -> Any:
    """All rows of a block backwards: gradients by coefficients, values, drive and the initial belief."""
    m, C, _, _, reads, first, noise = model
    r, S, U = adjoint
    g, h, bar, bari, K = vectors
    gains, forecasts, scales, kept, gains_d, scales_d, kept_d, slots, tape, tape_d, tapes, flags, began = keep
    zero = filled(r, 0.0)
    for t in range(rows - 1, -1, -1):
        at, row, mark = t * stride, t * tapes, t * (C + 2)
        grad = out + at
        for i in range(m):
            slot[i] = slots[t * m + i]
        for c in range(C - 1, -1, -1):
            low, high, n = first[c], first[c + 1], t * C + c
            M, v, F, diffuse = gains + n * m, forecasts[n], scales[n], flags[mark + c] != 0
            usual = kept[n] - kept_d[n] if diffuse else kept[n]
            vbar, fbar = usual_adjoint(m, r, S, M, v, F, usual, g, bar)
            if diffuse:
                Mi = gains_d + n * m
                more, further, fbari = diffuse_adjoint(
                    m, r, S, U, M, Mi, v, F, scales_d[n], kept_d[n], K, g, h, bar, bari
                )
                vbar, fbar = vbar + more, fbar + further
                scatter(reads, low, high, coefs, at, slot, bari, fbari)
                read_gradient(reads, low, high, slot, m, tape_d, row, Mi, bari, fbari, zero, grad)
                spread_out(reads, low, high, coefs, at, slot, m, U, bari)
            scatter(reads, low, high, coefs, at, slot, bar, fbar)
            read_gradient(reads, low, high, slot, m, tape, row, M, bar, fbar, vbar, grad)
            spread_out(reads, low, high, coefs, at, slot, m, S, bar)
            scatter(reads, low, high, coefs, at, slot, r, zero - vbar)
            if noise[c] >= 0:
                grad[noise[c]] = grad[noise[c]] + fbar
            grad_y[n] = vbar
        for l in range(width(r)):
            if began[l] == t:
                rest_lane(l, slot, m, r, S, U, *first_adjoint)
        for i in range(m if driven else 0):
            grad_drive[t * m + i] = r[slot[i]]
        if flags[mark + C + 1] != 0:
            transition_adjoint(model, coefs, at, slot, tape, tape_d, row, r, S, U, flags[mark + C] != 0, grad, work)


@exact
def score_series(
    memory: Any,
    whole: Any,
    y: Any,
    coefs: Any,
    drive: Any,
    program: Any,
    tapes: Any,
    which: Any,
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
    m, K, all_rows, driven = start[0].shape[0], coefs.shape[1], coefs.shape[0], drive.shape[0] > 0
    ops, reads, first, noise = program
    model = (m, C, ops.shape[0], pointer(ops), pointer(reads), pointer(first), pointer(noise))
    rest = (pointer(start[0]), pointer(start[1]), pointer(start[2]), pointer(start[3]))
    source, numbers, pushes, order = pointer(y), pointer(coefs), pointer(drive), pointer(which)
    to_coefs, to_y, to_drive, to_r, to_S = pointer(grad), pointer(grad_y), pointer(grad_drive), pointer(r0), pointer(S0)
    Y = pointer(memory)
    W, zero = width(Y), filled(Y, 0.0)
    dY = Y + T * C
    coef = dY + T * C
    out = coef + all_rows * K
    push = out + all_rows * K
    dpush = push + drive.shape[0] * m
    belief, p = cut_belief(dpush + drive.shape[0] * m, m)
    initial, p = cut_belief(p, m)
    scratch, tally = cut_scratch(p, m)
    sums = tally + (2 + 2 * C)
    p = sums + 4
    vectors, first_adjoint = (p, p + m, p + 2 * m, p + 3 * m, p + 4 * m), (p + 5 * m, p + 6 * m)
    slot = pointer(whole)
    block, began, flags = slot + m, slot + (m + 64), slot + (m + 128)
    keep, p = cut_journal(p + (6 * m + m * m), m, T, C, tapes, flags + T * (C + 2), flags, began)
    stride = K if all_rows > 1 else 0
    for s in range(0, which.shape[0], W):
        full = min(W, which.shape[0] - s)
        together = choose(order, which.shape[0], s, W, block)
        load_values(source, T * C, block, Y)
        for t in range(all_rows):
            load_rows(numbers + t * K * B, K, B, block, together, coef + t * K)
        for t in range(drive.shape[0]):
            load_rows(pushes + t * m * B, m, B, block, together, push + t * m)
        load_belief(rest, True, C, B, block, together, slot, m, belief, tally)
        keep_initial(m, belief, initial)
        for k in range(T * (C + 2)):
            flags[k] = 0
        for l in range(W):
            began[l] = -1
        advance(
            model, T, Y, coef, stride, push, driven, 0.0, True, slot, belief, initial, tally, keep, True, scratch, Y, Y,
            False, sums,
        )  # fmt: skip
        for k in range(m + 2 * m * m):
            belief[0][k] = zero
        for k in range(m + m * m):
            first_adjoint[0][k] = zero
        for k in range(all_rows * K):
            out[k] = zero
        retreat(model, T, coef, stride, driven, slot, keep, belief, vectors, scratch[5], out, dY, dpush, first_adjoint)
        for i in range(m):
            slot[i] = i
        for l in range(full):
            loglik[block[l]] = likelihood(sums, l)
        for t in range(all_rows):
            store_rows(out + t * K, K, block, together, full, to_coefs + t * K * B, B)
        for t in range(drive.shape[0]):
            store_rows(dpush + t * m, m, block, together, full, to_drive + t * m * B, B)
        store_values(dY, T * C, block, full, to_y)
        store_rows(first_adjoint[0], m, block, together, full, to_r, B)
        store_symmetric(first_adjoint[1], slot, m, block, together, full, to_S, B)

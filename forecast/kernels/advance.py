"""Kalman filter of one block of lanes over rows, the one kernel behind likelihood, warm-up, step, forecast and trace.

A row is: transition, then one update per channel (univariate treatment: the channels of a row have independent noise).
The belief between rows is the filtered one. Rows before a series' first observed one leave its belief at the initial
one, so that padding is invisible; there is no transition before that first row.
Lane arrays (see `lanes`): values y (T C); coefs (K), or (T K) where those of row t hold for the transition into row t
and for its update; drive (0 or T m), added to the mean after the transition; tally (2 + 2 C): observed rows, diffuse
rank, smallest and largest value per channel. Σ log F is kept as mantissa and exponent of a product. Source: `update`.
"""

import math
from typing import Any

import numpy as np

from forecast.kernels.blocks import restart
from forecast.kernels.jit import apart, inner
from forecast.kernels.lanes import above, exponent, filled, mantissa, peek, pick, seen, some, total, width
from forecast.kernels.transition import diffuse_transition, record, transition, turn_rings
from forecast.kernels.update import TOLERANCE, diffuse, gain, learn, observe, rank_one, rank_two, weaken

LOG2 = math.log(2.0)
LOG2PI = math.log(2.0 * math.pi)


@inner
def note(y: Any, first: Any, C: Any, tally: Any) -> Any:
    """Count a row and its extremes; the lanes that it is the first observed row of."""
    one = filled(y, 1.0)
    zero, observed = one - one, one - one
    for c in range(C):
        value = y[first + c]
        low, high = tally[2 + c], tally[2 + C + c]
        tally[2 + c] = pick(above(low, value), value, low)
        tally[2 + C + c] = pick(above(value, high), value, high)
        observed = pick(seen(value), one, observed)
    count = tally[0]
    tally[0] = count + observed
    return pick(above(count, zero), zero, observed)


@inner
def still_diffuse(tally: Any) -> Any:
    """How many lanes have begun and still have a diffuse part."""
    zero = filled(tally, 0.0)
    return total(above(tally[0], zero) * above(tally[1], zero))


@inner
def branches(ok: Any, F: Any, Fi: Any, tally: Any) -> Any:
    """Which lanes take the diffuse branch and which the usual one, and where the forecast is still diffuse."""
    zero = filled(F, 0.0)
    rank = tally[1]
    spread = above(Fi, filled(F, TOLERANCE)) * above(rank, zero)
    chosen = ok * spread * above(tally[0], zero)
    tally[1] = rank - chosen
    return chosen, (ok - chosen) * above(F, zero), spread


@apart
def advance(
    model: Any,
    rows: Any,
    y: Any,
    coefs: Any,
    stride: Any,
    drive: Any,
    driven: Any,
    dof: Any,
    lazy: Any,
    slot: Any,
    belief: Any,
    initial: Any,
    tally: Any,
    keep: Any,
    keeping: Any,
    scratch: Any,
    mean: Any,
    variance: Any,
    forecasting: Any,
    sums: Any,
) -> Any:
    """All rows of a block in place.

    model: m, C, number of operations, operations, reads, first, noise; stride: coefficients of a row, 0 where all rows
    share them; keep: the memory of a `score.Journal`, then which rows of a channel had a diffuse part, which rows were
    diffuse and were moved, and where each lane began.
    """
    m, C, _, _, reads, first, noise = model
    A, P, D = belief
    gains, forecasts, scales, kept, gains_d, scales_d, kept_d, slots, tape, tape_d, tapes, diffuse_rows, began = keep
    G, M, Mi, Kd, N, work, spare = scratch
    W, one = width(y), filled(y, 1.0)
    zero = one - one
    product, power, square, count = one, zero, zero, zero
    waiting, live, pending = W - total(above(tally[0], zero)), still_diffuse(tally), False
    for t in range(rows):
        at = t * stride
        if waiting < W:
            diffuse_rows[t * (C + 2) + C + 1] = 1
            if live > 0:
                diffuse_rows[t * (C + 2) + C] = 1
                diffuse_transition(model, coefs, at, slot, A, D, G, tape_d, t * tapes, keeping, work)
            transition(model, coefs, at, slot, A, P, G, pending, tape, t * tapes, keeping, work)
            for i in range(m if driven else 0):
                A[slot[i]] = A[slot[i]] + drive[t * m + i]
        elif t > 0:
            turn_rings(model, slot)
        for i in range(m if keeping else 0):
            slots[t * m + i] = slot[i]
        new = note(y, t * C, C, tally)
        if waiting > 0 and some(new):
            if t > 0 or waiting < W:
                restart(new, slot, m, belief, initial)
                for i in range(m if pending else 0):
                    G[i] = pick(new, zero, G[i])
            spare[0] = new
            for l in range(W):
                if peek(spare, 0, l) > 0.0:
                    began[l] = t
            waiting -= total(new)
            live = still_diffuse(tally)
        for c in range(C):
            low, high, n = first[c], first[c + 1], t * C + c
            value = y[n]
            ok = seen(value)
            learning = some(ok)
            expected = observe(reads, low, high, coefs, at, slot, A)
            v = pick(ok, value - expected, zero)
            F = gain(reads, low, high, coefs, at, slot, m, P, G, pending, M, learning or keeping)
            R = coefs[at + noise[c]] if noise[c] >= 0 else zero
            F = F + R
            if forecasting:
                mean[n] = expected
                variance[n] = F
            if dof > 0.0:
                F = weaken(dof, R, v, F)
            for z in range(low, high if keeping else low):
                q, a = reads[4 * z + 3], slot[reads[4 * z + 1]]
                if q >= 0:
                    record(tape, t * tapes + q, a, m, A, P, G, pending)
                    if live > 0:
                        record(tape_d, t * tapes + q, a, m, A, D, G, False)
            Fi, chosen, usual, spread = one, zero, ok * above(F, zero), live > 0
            if spread:
                Fi = gain(reads, low, high, coefs, at, slot, m, D, G, False, Mi, True)
                chosen, usual, open_ = branches(ok, F, Fi, tally)
                diffuse_rows[t * (C + 2) + c] = 1
                live = still_diffuse(tally)
                if forecasting:
                    variance[n] = pick(open_, filled(y, np.inf), variance[n])
                for i in range(m if keeping else 0):
                    gains_d[n * m + i] = Mi[i]
                if keeping:
                    scales_d[n], kept_d[n] = Fi, chosen
            if keeping:
                for i in range(m):
                    gains[n * m + i] = M[i]
                forecasts[n], scales[n], kept[n] = v, F, chosen + usual
            iF = usual / pick(usual, F, one)
            if learning:
                learn(m, A, M, G, m if pending else 0, v, iF)
            if lazy and n % 2 == 0:
                pending = learning
            elif learning and pending:
                rank_two(P, G, m)
                pending = False
            elif learning or pending:
                rank_one(P, G, m)
                pending = False
            if learning and spread:
                left = above(tally[1], zero)
                diffuse(m, A, P, D, M, Mi, F, chosen / pick(chosen, Fi, one), v, left, Kd, N)
            product = product * pick(chosen, Fi, pick(usual, F, one))
            square = square + v * v * iF
            count = count + (chosen + usual)
            if n % 4 == 3:
                power, product = power + exponent(product), mantissa(product)
    sums[0], sums[1], sums[2], sums[3] = product, power, square, count


@inner
def likelihood(sums: Any, l: Any) -> Any:
    """Log-likelihood of a lane from its product of F as mantissa and exponent, Σ v²/F and the number of terms."""
    product, power, square, count = peek(sums, 0, l), peek(sums, 1, l), peek(sums, 2, l), peek(sums, 3, l)
    return -0.5 * (math.log(product) + power * LOG2 + square + count * LOG2PI)

"""Likelihood of series that share parameters, initial covariance and gaps: gains once for all, then each series' mean alone.

    g_t, F_t   from the covariances, which know no values: the filter of one of the series keeps them
    a += g_t w,  w = v / √F_t,  l -= ½ w²;  while diffuse a += M∞ v / F∞        m products a row instead of m²/2 and more
Lane arrays as in `operations`. A block is BLOCKS times as many series as a vector has lanes: what has to be read of the program and of
the gains is read once for them all. Source: Durbin & Koopman (2012), §4.3, §5.2.
"""

from typing import Any

from forecast.kernels.advance import advance, likelihood
from forecast.kernels.blocks import choose, load_rows, load_values
from forecast.kernels.jit import exact, inner
from forecast.kernels.kalman import cut_belief, cut_scratch, keep_initial, load_belief, working
from forecast.kernels.lanes import filled, fma, peek, pointer, width
from forecast.kernels.operations import NOISE, SHIFT, turn, vector_operation
from forecast.kernels.score import cut_journal
from forecast.kernels.transition import turn_rings

BLOCKS = 4


def gains_room(m: int, rows: int, channels: int, coefficients: int, tapes: int) -> tuple[int, int]:
    """Elements of `memory` and of `whole` that `gains_of` needs."""
    n = rows * channels
    journal = n * (2 * m + 5) + 2 * rows * tapes * (m + 1)
    return n + coefficients + journal + working(m, channels), 2 * m + 3 * 64 + rows * (channels + 2) + rows * m


def means_room(m: int, rows: int, channels: int, coefficients: int) -> tuple[int, int]:
    """The same for `means_of`."""
    return BLOCKS * (rows * channels + m + 1) + coefficients + m * m + 4, m + 64 * BLOCKS


@exact
def gains_of(
    memory: Any,
    whole: Any,
    y: Any,
    coefs: Any,
    program: Any,
    tapes: Any,
    which: Any,
    start: Any,
    gains: Any,
    scales: Any,
    sums: Any,
) -> Any:
    """Gains (T C m) in memory slots and 1/√F (T C), 0 where nothing is learned and -1 where the branch is diffuse, of one series.

    sums: Σ log F as product and exponent, 0, number of terms. Answers the first observed row, -1 where none was seen before.
    """
    B, T, C = y.shape
    m, K = start[0].shape[0], coefs.shape[1]
    ops, reads, first, noise = program
    model = (m, C, ops.shape[0], pointer(ops), pointer(reads), pointer(first), pointer(noise))
    rest = (pointer(start[0]), pointer(start[1]), pointer(start[2]), pointer(start[3]))
    Y, slot, one_of = pointer(memory), pointer(whole), pointer(which)
    coef = Y + T * C
    belief, p = cut_belief(coef + K, m)
    initial, p = cut_belief(p, m)
    scratch, tally = cut_scratch(p, m)
    total = tally + (2 + 2 * C)
    block, began, flags = slot + m, slot + (m + 64), slot + (m + 128)
    keep, p = cut_journal(total + 4, m, T, C, tapes, flags + T * (C + 2), flags, began)
    choose(one_of, 1, 0, 1, block)
    load_values(pointer(y), T * C, block, Y)
    load_rows(pointer(coefs), K, B, block, True, coef)
    load_belief(rest, start[2].shape[0] > 0, C, B, block, True, slot, m, belief, tally)
    keep_initial(m, belief, initial)
    for k in range(T * (C + 2)):
        flags[k] = 0
    begun = peek(tally, 0, 0) > 0.0
    began[0] = -1
    advance(
        model, T, Y, coef, 0, Y, False, 0.0, False, slot, belief, initial, tally, keep, True, scratch, Y, Y, False, total,
    )  # fmt: skip
    M, _, F, kept, Mi, Fi, chosen, _, _, _, _, _, _ = keep
    for n in range(T * C):
        scale = 0.0
        if peek(kept, n, 0) > 0.0:
            diffuse = flags[n // C * (C + 2) + n % C] != 0 and peek(chosen, n, 0) > 0.0
            scale = -1.0 if diffuse else (1.0 / peek(F, n, 0)) ** 0.5
            for i in range(m):
                gains[n, i] = peek(Mi, n * m + i, 0) / peek(Fi, n, 0) if diffuse else peek(M, n * m + i, 0) * scale
        scales[n] = scale
    for k in range(4):
        sums[k] = peek(total, k, 0) if k != 2 else 0.0
    return -1 if begun else began[0]


@inner
def move(model: Any, coef: Any, slot: Any, A: Any, blocks: Any, work: Any) -> Any:
    """The means of all blocks through the transition."""
    m, _, count, ops = model[:4]
    for o in range(count):
        kind = ops[6 * o]
        if kind == SHIFT:
            turn(slot, ops[6 * o + 1], ops[6 * o + 4], False)
        elif kind != NOISE:
            for b in range(blocks):
                vector_operation(ops, o, coef, 0, slot, A, b * m, False, work)


@exact
def means_of(
    memory: Any,
    whole: Any,
    y: Any,
    coefs: Any,
    program: Any,
    which: Any,
    mean: Any,
    gains: Any,
    scales: Any,
    sums: Any,
    first_row: Any,
    loglik: Any,
) -> Any:
    """Likelihoods (B) of the series `which`, whose first observed row is `first_row`, from means (m B) and these gains."""
    B, T, C = y.shape
    m, K, count = mean.shape[0], coefs.shape[1], which.shape[0]
    ops, reads, first, noise = program
    model = (m, C, ops.shape[0], pointer(ops), pointer(reads), pointer(first), pointer(noise))
    source, order, at_rest, g, scale = pointer(y), pointer(which), pointer(mean), pointer(gains), pointer(scales)
    loads, begins = pointer(reads), pointer(first)
    Y, slot = pointer(memory), pointer(whole)
    W, zero, one = width(Y), filled(Y, 0.0), filled(Y, 1.0)
    A = Y + BLOCKS * T * C
    square = A + BLOCKS * m
    coef = square + BLOCKS
    work = coef + K
    total = work + m * m
    block = slot + m
    for k in range(K):
        coef[k] = filled(Y, coefs[0, k, which[0]])
    for s in range(0, count, W * BLOCKS):
        blocks = min(BLOCKS, (count - s + W - 1) // W)
        for i in range(m):
            slot[i] = i
        for _ in range(first_row):
            turn_rings(model, slot)
        for b in range(blocks):
            together = choose(order, count, s + b * W, W, block + 64 * b)
            load_values(source, T * C, block + 64 * b, Y + b * T * C)
            for i in range(m):
                load_rows(at_rest + i * B, 1, B, block + 64 * b, together, A + (b * m + slot[i]))
            square[b] = zero
        for t in range(max(first_row, 0), T):
            if t > first_row:
                move(model, coef, slot, A, blocks, work)
            for c in range(C):
                n = t * C + c
                if scale[n] == 0.0:
                    continue
                r = filled(Y, scale[n] if scale[n] > 0.0 else 1.0)
                usual = filled(Y, 1.0 if scale[n] > 0.0 else 0.0)
                low, high, gain = begins[c], begins[c + 1], g + n * m
                for b in range(blocks):
                    a = A + b * m
                    x = zero
                    for z in range(low, high):
                        k = loads[4 * z + 2]
                        x = fma(coef[k] if k >= 0 else one, a[slot[loads[4 * z + 1]]], x)
                    w = (Y[b * T * C + n] - x) * r
                    for i in range(m):
                        a[i] = fma(filled(Y, gain[i]), w, a[i])
                    square[b] = fma(w * usual, w, square[b])
        for b in range(blocks):
            total[0], total[1], total[2], total[3] = (
                filled(Y, sums[0]),
                filled(Y, sums[1]),
                square[b],
                filled(Y, sums[3]),
            )
            for l in range(min(W, count - s - b * W)):
                loglik[block[64 * b + l]] = likelihood(total, l)

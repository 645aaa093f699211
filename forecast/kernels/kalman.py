"""The filter over all series, block by block. See `advance`.

All memory comes from the caller as arrays that stay alive, and is handed on as pointers. `memory` is one lane array of
`room` elements, `whole` one of int64, all 0: both are cut up here.
"""

from typing import Any

from forecast.kernels.advance import advance, likelihood
from forecast.kernels.blocks import (
    choose,
    load_rows,
    load_symmetric,
    load_values,
    restart,
    store_roles,
    store_rows,
    store_symmetric,
    store_values,
)
from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import above, filled, pointer, total, width
from forecast.kernels.two_states import BELIEF, CARRIED, MOST, PARTS, few_rows


def room(m: int, rows: int, channels: int, coefficients: int, driven: int) -> tuple[int, int]:
    """Elements of `memory` and of `whole` that `filter_series` needs; coefficients: those of all rows; driven: rows."""
    lanes = 3 * rows * channels + coefficients + driven * m
    return lanes + working(m, channels), m + 3 * 64 + rows * (channels + 2)


def working(m: int, channels: int) -> int:
    """Elements of the belief, of the initial one, of scratch, tally, sums and a small system with its beliefs."""
    return 2 * (m + 2 * m * m) + (6 * m + m * m + 1) + (2 + 2 * channels) + 4 + PARTS + BELIEF + CARRIED


@inner
def cut_belief(p: Any, m: Any) -> Any:
    """Mean, covariance, diffuse part of a block; what is left."""
    return (p, p + m, p + (m + m * m)), p + (m + 2 * m * m)


@inner
def cut_scratch(p: Any, m: Any) -> Any:
    """g and its forerunner, M, M∞, K, N, G P, one value; what is left."""
    return (p, p + 2 * m, p + 3 * m, p + 4 * m, p + 5 * m, p + 6 * m, p + (6 * m + m * m)), p + (6 * m + m * m + 1)


@inner
def load_belief(
    start: Any, diffuse: Any, C: Any, B: Any, block: Any, together: Any, slot: Any, m: Any, belief: Any, tally: Any
) -> Any:
    """A belief at rest into a block; its roles lie in their own slots. A diffuse part that there is not stays 0."""
    for i in range(m):
        slot[i] = i
    load_rows(start[0], m, B, block, together, belief[0])
    load_symmetric(start[1], m, B, block, together, belief[1])
    if diffuse:
        load_symmetric(start[2], m, B, block, together, belief[2])
    load_rows(start[3], 2 + 2 * C, B, block, together, tally)


@inner
def keep_initial(m: Any, belief: Any, initial: Any) -> Any:
    """A copy of the belief before the first row."""
    for i in range(m + 2 * m * m):
        initial[0][i] = belief[0][i]


@exact
def filter_series(
    memory: Any,
    whole: Any,
    y: Any,
    coefs: Any,
    drive: Any,
    program: Any,
    dof: Any,
    lazy: Any,
    which: Any,
    start: Any,
    end: Any,
    loglik: Any,
    mean: Any,
    variance: Any,
) -> Any:
    """The series `which` of B: beliefs `start` to `end` (mean, covariance, diffuse, tally; the same arrays or others),
    likelihood (B), forecasts (B T C) of values y (B T C) at coefficients (1 or T, K, B) and drives (0 or T, m, B).

    Diffuse parts of no rows mean that no series has one; mean and variance of no rows are not wanted. `lazy` gives the
    likelihood alone: nothing is stored in `end`.
    """
    B, T, C = y.shape
    m, K, total_rows, driven = start[0].shape[0], coefs.shape[1], coefs.shape[0], drive.shape[0] > 0
    ops, reads, first, noise = program
    model = (m, C, ops.shape[0], pointer(ops), pointer(reads), pointer(first), pointer(noise))
    rest = (pointer(start[0]), pointer(start[1]), pointer(start[2]), pointer(start[3]))
    after = (pointer(end[0]), pointer(end[1]), pointer(end[2]), pointer(end[3]))
    diffuse, forecasting, count = start[2].shape[0] > 0, mean.shape[0] > 0, which.shape[0]
    source, numbers, pushes, order = pointer(y), pointer(coefs), pointer(drive), pointer(which)
    means, variances = pointer(mean), pointer(variance)
    Y = pointer(memory)
    W = width(Y)
    ahead = Y + T * C
    spread = ahead + T * C
    coef = spread + T * C
    push = coef + total_rows * K
    belief, p = cut_belief(push + drive.shape[0] * m, m)
    initial, p = cut_belief(p, m)
    scratch, tally = cut_scratch(p, m)
    sums = tally + (2 + 2 * C)
    slot = pointer(whole)
    block, began, flags = slot + m, slot + (m + 64), slot + (m + 128)
    keep = (Y, Y, Y, Y, Y, Y, Y, slot, Y, Y, 0, flags, began)
    small = lazy and 0 < m <= MOST and C == 1 and total_rows == 1 and not driven and dof <= 0.0
    for s in range(0, count, W):
        full = min(W, count - s)
        together = choose(order, count, s, W, block)
        load_values(source, T * C, block, Y)
        for t in range(total_rows):
            load_rows(numbers + t * K * B, K, B, block, together, coef + t * K)
        for t in range(drive.shape[0]):
            load_rows(pushes + t * m * B, m, B, block, together, push + t * m)
        load_belief(rest, diffuse, C, B, block, together, slot, m, belief, tally)
        if small:
            few_rows(model, T, Y, coef, slot, belief, (initial[0], initial[1], scratch[0]), scratch[5], sums + 4, tally, sums)
        else:
            if total(above(tally[0], filled(tally, 0.0))) < W:
                keep_initial(m, belief, initial)
            advance(
                model, T, Y, coef, K if total_rows > 1 else 0, push, driven, dof, lazy, slot, belief, initial, tally, keep, False,
                scratch, ahead, spread, forecasting, sums,
            )  # fmt: skip
        for l in range(full):
            loglik[block[l]] = likelihood(sums, l)
        if not lazy:
            begun = above(tally[0], filled(tally, 0.0))
            if total(begun) < W:
                restart(filled(tally, 1.0) - begun, slot, m, belief, initial)
            store_roles(belief[0], slot, m, block, together, full, after[0], B)
            store_symmetric(belief[1], slot, m, block, together, full, after[1], B)
            if diffuse:
                store_symmetric(belief[2], slot, m, block, together, full, after[2], B)
            store_rows(tally, 2 + 2 * C, block, together, full, after[3], B)
        if forecasting:
            store_values(ahead, T * C, block, full, means)
            store_values(spread, T * C, block, full, variances)

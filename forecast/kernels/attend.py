"""One row of attention over a window of W rows.

    score_w = q · k_w / √K - slope · age_w   -∞ where a place is empty         y = Σ_w weight_w v_w

Shapes: q, y (B H K); new (B H K), the row's own; score, weight (B H W); slope (H); age, ages (B W) float64; filled, full, whether a
place is (B W); observed (B). What a window is before the row may be the same memory as what it is after it, as may age and ages, filled
and full. Sums run from the oldest row to the newest.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import AVAILABLE, exact, inner
from forecast.kernels.lanes import filled, fma, give, nothing, pointer, summed, take

Array = NDArray[np.floating]
Double = NDArray[np.float64]
Flags = NDArray[np.bool_]

WIDE = 128  # bytes that go together


class Windows(NamedTuple):
    """Windows (B W H K) of keys or values before the row and after it, each as flat memory."""

    old: Array
    kept: Array
    between: tuple[int, int]  # numbers from one series to the next, of either
    moves: bool  # the kept one becomes the old one up by a place where the row is observed; else it holds all but the new row already


@inner
def _put(zero: Any, one: Any, shape: Any, observed: Any, moves: Any, old: Any, new: Any, kept: Any) -> Any:
    """The window after the row."""
    window, row, many = shape
    by = row if observed else 0
    count, j = window * row - by, 0
    if moves:
        while j + many <= count:
            give(take(zero, old, j + by), kept, j)
            j += many
        while j < count:
            give(take(one, old, j + by), kept, j)
            j += 1
    for j in range(by):
        kept[count + j] = new[j]


@inner
def _product(zero: Any, one: Any, size: Any, many: Any, q: Any, row: Any) -> Any:
    """q · row."""
    both, k = zero, 0
    while k + many <= size:
        both = fma(take(zero, q, k), take(zero, row, k), both)
        k += many
    made = summed(both)
    while k < size:
        made = fma(take(one, q, k), take(one, row, k), made)
        k += 1
    return made


@inner
def _blend(zero: Any, one: Any, size: Any, many: Any, weight: Any, row: Any, y: Any) -> Any:
    """y += weight · row."""
    k, share = 0, filled(zero, weight)
    while k + many <= size:
        give(fma(share, take(zero, row, k), take(zero, y, k)), y, k)
        k += many
    while k < size:
        give(fma(weight, take(one, row, k), take(one, y, k)), y, k)
        k += 1


@exact
def _match(
    q: Array, slope: Array, new: Array, keys: Windows, age: Double, filled: Flags, elapsed: Double, observed: Flags,
    ages: Double, full: Flags, score: Array,
) -> None:  # fmt: skip
    batch, heads, size = q.shape
    window = age.shape[1]
    asked, own, before, after = pointer(q), pointer(new), pointer(keys.old), pointer(keys.kept)
    strides, moves = keys.between, keys.moves
    zero, one, many = nothing(before, WIDE), nothing(before, 1), WIDE // q.itemsize
    root = 1.0 / math.sqrt(size)
    for b in range(batch):
        shift = 1 if observed[b] else 0
        for w in range(window - shift):
            ages[b, w] = age[b, w + shift] + elapsed[b] * filled[b, w + shift]
            full[b, w] = filled[b, w + shift]
        if shift:
            ages[b, window - 1], full[b, window - 1] = 0.0, True
        row, mine = heads * size, after + b * strides[1]
        _put(zero, one, (window, row, many), observed[b], moves, before + b * strides[0], own + b * row, mine)
        for w in range(window):
            for h in range(heads):
                score[b, h, w] = -math.inf
                if full[b, w]:
                    product = _product(zero, one, size, many, asked + (b * row + h * size), mine + (w * row + h * size))
                    score[b, h, w] = product * root - slope[h] * ages[b, w]


@exact
def _mix(weight: Array, new: Array, values: Windows, full: Flags, observed: Flags, y: Array) -> None:
    batch, heads, size = new.shape
    window = full.shape[1]
    share, own, before, after, said = pointer(weight), pointer(new), pointer(values.old), pointer(values.kept), pointer(y)
    strides, moves = values.between, values.moves
    zero, one, many = nothing(before, WIDE), nothing(before, 1), WIDE // new.itemsize
    for b in range(batch):
        row, mine = heads * size, after + b * strides[1]
        _put(zero, one, (window, row, many), observed[b], moves, before + b * strides[0], own + b * row, mine)
        y[b] = 0
        for w in range(window):
            if full[b, w]:
                for h in range(heads):
                    part, at = share[(b * heads + h) * window + w], b * row + h * size
                    _blend(zero, one, size, many, part, mine + (w * row + h * size), said + at)


def _windows(flat: Array, stride: int, shape: tuple[int, ...]) -> Array:
    """The windows of flat memory (B W H K)."""
    steps = (stride, shape[2] * shape[3], shape[3], 1)
    return np.lib.stride_tricks.as_strided(flat, shape, tuple(step * flat.itemsize for step in steps))


def _put_plain(new: Array, windows: Windows, observed: Flags, places: int) -> Array:
    """The windows after the row, without the compiler."""
    shape = (len(new), places, *new.shape[1:])
    before, after = (_windows(part, stride, shape) for part, stride in zip(windows[:2], windows.between, strict=True))
    if windows.moves:
        after[:] = np.where(observed[:, None, None, None], np.roll(before, -1, 1), before)
    after[observed, -1] = new[observed]
    return after


def plain_match(
    q: Array, slope: Array, new: Array, keys: Windows, age: Double, filled: Flags, elapsed: Double, observed: Flags,
    ages: Double, full: Flags, score: Array,
) -> None:  # fmt: skip
    """The same without the compiler."""
    older = age + elapsed[:, None] * filled
    ages[:] = np.where(observed[:, None], np.roll(older, -1, 1), older)
    full[:] = np.where(observed[:, None], np.roll(filled, -1, 1), filled)
    ages[observed, -1], full[observed, -1] = 0.0, True
    after = _put_plain(new, keys, observed, age.shape[1])
    product = np.einsum("bhk,bwhk->bhw", q, after) / math.sqrt(q.shape[-1])
    score[:] = np.where(full[:, None], product - slope[:, None] * ages[:, None], -np.inf)


def plain_mix(weight: Array, new: Array, values: Windows, full: Flags, observed: Flags, y: Array) -> None:
    """The same without the compiler."""
    after = _put_plain(new, values, observed, full.shape[1])
    y[:] = np.einsum("bhw,bwhk->bhk", np.where(full[:, None], weight, 0.0), after)


match, mix = (_match, _mix) if AVAILABLE else (plain_match, plain_mix)
match.__doc__ = "Fill the kept keys, their ages, which places are full, and the scores."
mix.__doc__ = "Fill the kept values and y, 0 where no place is full."

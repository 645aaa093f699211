"""One row of attention over a window of W rows, which moves up by one on the way: what is kept passes through the registers once.

    score_w = q · k_w / √K - slope · age_w   of the moved keys, -∞ where a place is empty         y = Σ_w weight_w v_w

Shapes: q, y (B H K); new (B H K), the row's own; old, kept (B W H K); score, weight (B H W); slope (H); age (B W) float64; filled
(B W); observed (B). A row that is not observed moves nothing up, and its own key and value are not kept. Contiguous arrays.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forecast.kernels.jit import exact, inner
from forecast.kernels.lanes import filled as even
from forecast.kernels.lanes import fma, give, nothing, pointer, summed, take

Array = NDArray[np.floating]
Double = NDArray[np.float64]
Flags = NDArray[np.bool_]

WIDE = 128  # bytes that go together


@inner
def _product(zero: Any, one: Any, size: Any, many: Any, q: Any, row: Any, kept: Any) -> Any:
    """q · row, and the row kept."""
    both, k = zero, 0
    while k + many <= size:
        x = take(zero, row, k)
        give(x, kept, k)
        both = fma(take(zero, q, k), x, both)
        k += many
    made = summed(both)
    while k < size:
        x = take(one, row, k)
        give(x, kept, k)
        made = fma(take(one, q, k), x, made)
        k += 1
    return made


@inner
def _blend(zero: Any, one: Any, size: Any, many: Any, weight: Any, row: Any, kept: Any, y: Any) -> Any:
    """y += weight · row, and the row kept."""
    k, share = 0, even(zero, weight)
    while k + many <= size:
        x = take(zero, row, k)
        give(x, kept, k)
        give(fma(share, x, take(zero, y, k)), y, k)
        k += many
    while k < size:
        x = take(one, row, k)
        give(x, kept, k)
        give(fma(weight, x, take(one, y, k)), y, k)
        k += 1


@exact
def match(
    q: Array, slope: Array, new: Array, old: Array, age: Double, filled: Flags, elapsed: Double, observed: Flags,
    kept: Array, ages: Double, full: Flags, score: Array,
) -> None:  # fmt: skip
    """Fill the kept keys, their ages, which places are full, and the scores."""
    batch, window, heads, size = old.shape
    asked, own, before, after = pointer(q), pointer(new), pointer(old), pointer(kept)
    zero, one, many = nothing(before, WIDE), nothing(before, 1), WIDE // old.itemsize
    root = 1.0 / math.sqrt(size)
    for b in range(batch):
        shift = 1 if observed[b] else 0
        for w in range(window - shift):
            ages[b, w] = age[b, w + shift] + elapsed[b] * filled[b, w + shift]
            full[b, w] = filled[b, w + shift]
        if shift:
            ages[b, window - 1], full[b, window - 1] = 0.0, True
        for w in range(window):
            for h in range(heads):
                at, place = (b * heads + h) * size, ((b * window + w) * heads + h) * size
                row = own + at if w + shift == window else before + (place + shift * heads * size)
                product = _product(zero, one, size, many, asked + at, row, after + place)
                score[b, h, w] = product * root - slope[h] * ages[b, w] if full[b, w] else -math.inf


@exact
def blend(weight: Array, new: Array, old: Array, full: Flags, observed: Flags, kept: Array, y: Array) -> None:
    """Fill the kept values and y, 0 where no place is full."""
    batch, window, heads, size = old.shape
    share, own, before, after, said = pointer(weight), pointer(new), pointer(old), pointer(kept), pointer(y)
    zero, one, many = nothing(before, WIDE), nothing(before, 1), WIDE // old.itemsize
    for b in range(batch):
        shift = 1 if observed[b] else 0
        y[b] = 0
        for w in range(window):
            for h in range(heads):
                at, place = (b * heads + h) * size, ((b * window + w) * heads + h) * size
                row = own + at if w + shift == window else before + (place + shift * heads * size)
                _blend(zero, one, size, many, share[(b * heads + h) * window + w], row, after + place, said + at)
        if not full[b, window - 1]:
            y[b] = 0

"""One row of attention over a window of rows, in two kernels without gradients: what `Attention.step` does in torch, to rounding.

Most of the time goes into memory: every row moves up by one place into new memory, for a state is never changed. Shapes as in `attention`.
"""

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.kernels import attend

Memory: TypeAlias = NDArray[Any]
LARGE = 1 << 25  # bytes from which on memory goes back to the system when it is freed: to have it anew costs four times the copy


class Spare:
    """Memory of the last state, once nobody holds it any more, for the next one: two buffers that swap."""

    def __init__(self) -> None:
        self._free: list[Memory] = []

    def __reduce__(self) -> tuple[Callable[[], "Spare"], tuple[()]]:
        return Spare, ()  # a copy of a model has its own

    def like(self, kept: Tensor) -> Tensor:
        """Memory for as many numbers of the same kind."""
        if kept.nbytes < LARGE:
            return torch.empty(kept.shape, dtype=kept.dtype)
        memory = self._free.pop() if self._free else np.empty(0, np.uint8)
        if memory.nbytes != kept.nbytes:
            self._free.clear()
            memory = np.empty(kept.nbytes, np.uint8)
        lent = memory.view(kept.new_empty(0).numpy().dtype).reshape(kept.shape)
        weakref.finalize(lent, self._back, memory).atexit = False  # the tensor holds `lent` for as long as it lives
        return torch.from_numpy(lent)

    def _back(self, memory: Memory) -> None:
        if len(self._free) < 2:
            self._free.append(memory)


def step(
    spare: Spare,
    slope: Tensor,
    row: tuple[Tensor, Tensor, Tensor],
    kept: tuple[Tensor, Tensor, Tensor, Tensor],
    elapsed: Tensor,
    observed: Tensor,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """y (B H K), and keys, values, age and filled places after the row; row: query, key and value (B H K)."""
    q, k, v = (part.contiguous().numpy() for part in row)
    keys, values, age, filled = (part.contiguous().numpy() for part in kept)
    after = spare.like(kept[0]), spare.like(kept[1]), torch.empty_like(kept[2]), torch.empty_like(kept[3])
    new_keys, new_values, ages, full = (part.numpy() for part in after)
    score, y, seen = row[0].new_empty(*q.shape[:2], keys.shape[1]), torch.empty_like(row[0]), observed.numpy()
    gap = elapsed.double().contiguous().numpy()
    attend.match(q, slope.numpy(), k, keys, age, filled, gap, seen, new_keys, ages, full, score.numpy())
    weight = torch.softmax(score, -1).numpy()
    attend.blend(weight, v, values, full, seen, new_values, y.numpy())
    return y, after


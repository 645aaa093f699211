"""One row of attention over a window of rows, in two kernels without gradients: what `Attention.step` does in torch, to rounding.

A state is never changed, and most of the time would go into copying it. So a window lies in memory that goes on behind it: the window
after a row that every series has observed is the same memory one place further, with the new row in the place behind the old
window, which is no part of that. A place is given away once: whoever steps from a state whose next place is taken, or where there
is none left, moves into new memory. Shapes as in `attention`.
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
Window: TypeAlias = tuple[int, int, int]  # where it begins, its places, and from one series to the next
LARGE = 1 << 25  # bytes from which on memory goes back to the system when it is freed: to have it anew costs four times the copy
ALONE = -1  # in place of the numbers from one series to the next
SHARE = 4  # places behind a window: one for so many of its own


class Room:
    """The foremost window in some memory, and how many places are left behind it."""

    window: Window = (0, 0, 0)
    left: int = 0


class Spare:
    """Memory of windows: rooms behind those that are held, and memory that nobody holds any more, for the next: two buffers that swap."""

    def __init__(self) -> None:
        self._free: list[Memory] = []
        self._rooms: dict[Window, Room] = {}

    def __reduce__(self) -> tuple[Callable[[], "Spare"], tuple[()]]:
        return Spare, ()  # a copy of a model has its own

    def after(self, kept: Tensor, together: bool) -> tuple[Tensor, bool]:
        """The memory of the window after `kept` (B W H K), and whether its rows have to be moved there; together: all series go on."""
        room = self._rooms.pop(_window(kept), None) if together else None
        if room is not None:
            after = kept.as_strided(kept.shape, kept.stride(), kept.storage_offset() + kept.stride(1))
            self._give(room, after, room.left - 1)
            return after, False
        room, window = Room(), kept.shape[1]
        left = -(-window // SHARE) if together else 0
        after = self._new(kept, window + left, room)[:, :window]
        self._give(room, after, left)
        return after, True

    def _give(self, room: Room, after: Tensor, left: int) -> None:
        """The places behind `after` are to be had."""
        room.window, room.left = _window(after), left
        if left:
            self._rooms[room.window] = room

    def _new(self, kept: Tensor, places: int, room: Room) -> Tensor:
        """Memory for windows of so many places."""
        shape = (kept.shape[0], places, *kept.shape[2:])
        size = kept.element_size() * kept[0, 0].numel() * places * len(kept)
        memory = self._free.pop() if self._free and size >= LARGE else np.empty(size, np.uint8)
        if memory.nbytes != size:
            self._free.clear()
            memory = np.empty(size, np.uint8)
        lent = memory.view(kept.new_empty(0).numpy().dtype).reshape(shape)
        weakref.finalize(lent, self._back, memory, room).atexit = False  # the tensor holds `lent` for as long as it lives
        return torch.from_numpy(lent)

    def _back(self, memory: Memory, room: Room) -> None:
        self._rooms.pop(room.window, None)
        if memory.nbytes >= LARGE and len(self._free) < 2:
            self._free.append(memory)


def _window(kept: Tensor) -> Window:
    """What a window is known by."""
    return kept.data_ptr(), kept.shape[1], kept.stride(0) if len(kept) > 1 else ALONE


def _flat(kept: Tensor) -> Memory:
    """From the first number of windows to the last."""
    shape, between = kept.shape, kept.stride(0)
    flat: Memory = kept.as_strided(((shape[0] - 1) * between + shape[1:].numel(),), (1,)).numpy()
    return flat


def step(
    spare: Spare,
    slope: Tensor,
    row: tuple[Tensor, Tensor, Tensor],
    kept: tuple[Tensor, Tensor, Tensor, Tensor],
    elapsed: Tensor,
    observed: Tensor,
) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor, Tensor]]:
    """y (B H K), and keys, values, age and filled places after the row; row: query, key and value (B H K)."""
    together = bool(observed.all())
    q, k, v = (part.contiguous().numpy() for part in row)
    age, filled, gap, seen = (part.contiguous().numpy() for part in (*kept[2:], elapsed.double(), observed))
    after = torch.empty(age.shape, dtype=torch.float64), torch.empty(filled.shape, dtype=torch.bool)
    ages, full = (part.numpy() for part in after)
    score, y = row[0].new_empty(*q.shape[:2], age.shape[1]), torch.empty_like(row[0])
    keys, windows = _moved(spare, kept[0], together)
    attend.match(q, slope.numpy(), k, windows, age, filled, gap, seen, ages, full, score.numpy())
    weight = torch.softmax(score, -1).numpy()
    values, windows = _moved(spare, kept[1], together)
    attend.mix(weight, v, windows, full, seen, y.numpy())
    return y, (keys, values, *after)


def _moved(spare: Spare, old: Tensor, together: bool) -> tuple[Tensor, attend.Windows]:
    """The window after the row, and both as the kernels take them."""
    after, moves = spare.after(old, together)
    flat, between = _flat(after), after.stride(0)
    if not moves:
        return after, attend.Windows(flat, flat, (between, between), moves)
    old = old if old[:1].is_contiguous() else old.contiguous()
    return after, attend.Windows(_flat(old), flat, (old.stride(0), between), moves)

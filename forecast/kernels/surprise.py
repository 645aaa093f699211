"""Surprise and signed normal score of readings under normal forecasts, the same bits for one row and for many.

    d = (y - mean)/√variance,   s = -log(2 Φ(-|d|)) = -log erfc(|d|/√2),   see `elementary.nats_of`
and z = d, both cut where their squares would leave the range of a float. NaN where anything is missing.
"""

from typing import Any

from forecast.kernels.elementary import under_normal
from forecast.kernels.jit import exact
from forecast.kernels.lanes import peek, pointer, poke, read, width, write

ROOM = 5  # elements of memory


@exact
def surprise(memory: Any, y: Any, mean: Any, variance: Any, s: Any, z: Any) -> Any:
    """Fill s and z; all are flat."""
    count, room = y.shape[0], pointer(memory)
    W = width(room)
    where = pointer(y), pointer(mean), pointer(variance), pointer(s), pointer(z)
    for i in range(0, count - count % W, W):
        found = under_normal(read(room, where[0], i), read(room, where[1], i), read(room, where[2], i))
        write(where[3], i, found[0])
        write(where[4], i, found[1])
    left = count - count % W
    if left < count:
        for l in range(W):
            i = left + l if left + l < count else count - 1
            for k in range(3):
                poke(room, k, l, where[k][i])
        found = under_normal(room[0], room[1], room[2])
        room[3], room[4] = found
        for l in range(count - left):
            s[left + l], z[left + l] = peek(room, 3, l), peek(room, 4, l)

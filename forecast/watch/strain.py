"""How many of a sensor's last rows were alarms: whether its model still fits, whatever its long past was like.

    alarms of the last full block of 512 rows + those of the present one  >  share · (512 + rows of the present block)
An event is over after hours or days and leaves most of 512 rows alone; where the model does not fit, half of the rows and more are
alarms, and go on. A new machine starts at nothing. Missing and frozen readings are not the model's fault and do not count.
Kept as one number for each sensor:  alarms of the last block · 2⁴⁰ + alarms of the present one · 2²⁰ + its rows
"""

from collections.abc import Sequence

import numpy as np

from forecast.watch.readings import Flags, Ints

BLOCK = 512  # rows
SHARE = 0.2  # of the rows, as from which on a refit takes them for what is usual now
TIMES = 3.0  # what was asked for, where that is more than a few rows in a hundred
APART = frozenset({"missing", "frozen", "out of range", "silent"})  # kinds that the budget does not cover
BITS = 20


class Strain:
    """The counts of all sensors."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.counted = np.array([kind not in APART for kind in kinds])
        self.packed = np.zeros(0, dtype=np.int64)

    def grow(self, count: int) -> None:
        """More sensors."""
        self.packed = np.concatenate([self.packed, np.zeros(count, dtype=np.int64)])

    def count(self, who: Ints, alarm: Flags, kind: Ints) -> None:
        """Rows, in order within each sensor."""
        alarm = alarm & self.counted[kind]
        rows = np.bincount(who, minlength=len(self.packed))
        more = rows + (np.bincount(who[alarm], minlength=len(self.packed)) << BITS)
        over = (self.packed & ((1 << BITS) - 1)) + rows >= BLOCK
        self.packed += np.where(over, 0, more)
        if over.any():
            mine = np.flatnonzero(over[who])
            mine = mine[np.argsort(who[mine], kind="stable")]
            starts = np.flatnonzero(np.diff(who[mine], prepend=-1))
            for part in np.split(mine, starts[1:]):
                self.packed[who[part[0]]] = _after(int(self.packed[who[part[0]]]), alarm[part])


def _after(packed: int, alarm: Flags) -> int:
    """The number of a sensor after rows that fill its block."""
    _, now, filled = parts(packed)
    block = (filled + np.arange(len(alarm))) // BLOCK
    last = (filled + len(alarm)) // BLOCK
    before, after = (int(alarm[block == number].sum()) + (now if number == 0 else 0) for number in (last - 1, last))
    return (before << 2 * BITS) + (after << BITS) + (filled + len(alarm)) % BLOCK


def parts(packed: int) -> tuple[int, int, int]:
    """Alarms of the last block, alarms of the present one, its rows."""
    low = (1 << BITS) - 1
    return packed >> 2 * BITS, packed >> BITS & low, packed & low


def too_many(packed: int, asked: float) -> bool:
    """Whether so many of the last rows were alarms that the model does not fit; `asked`: false alarms a row."""
    before, now, filled = parts(packed)
    return before + now > max(SHARE, TIMES * asked) * (BLOCK + filled)

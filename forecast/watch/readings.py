"""What travels inside a watch: a chunk of lines as it came, readings as they were understood, and what became of them."""

from collections import Counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

MISSING_WORDS = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})  # lower case


class Chunk(NamedTuple):
    """Whole lines from a source, and where the source stands after them."""

    text: bytes  # every line ends with a newline
    position: Any  # plain values; `Source.open` takes it
    topics: tuple[str, ...] | None = None  # of every line, where the source has topics
    ended: bool = False  # nothing more will come
    parts: Ints | None = None  # of every line, where the source has parts (partitions): their numbers


class Aside(NamedTuple):
    """A row that is not used: why, whose it is if that is known, and the row itself."""

    reason: str
    sensor: str | None
    row: str


class Readings(NamedTuple):
    """Readings in the order they came: reading i is of sensor names[code[i]]."""

    names: list[str]
    code: Ints  # (N)
    time: Ints  # (N) microseconds since 1970, UTC
    value: Floats  # (N); NaN = missing
    line: Ints  # (N) line within the chunk

    def rows(self, index: Ints | Flags) -> "Readings":
        """Some of the readings."""
        return Readings(self.names, self.code[index], self.time[index], self.value[index], self.line[index])


class Understood(NamedTuple):
    """A chunk taken apart."""

    readings: Readings
    aside: list[Aside]


PLURALS = ("alarms", "alerts", "events", "readings", "rows", "sensors")


class Counts(Counter[str]):
    """How many readings went which way; every row ends in exactly one of these."""

    def plain(self) -> dict[str, int]:
        """In a fixed order."""
        return {name: self[name] for name in sorted(self)}

    def told(self) -> str:
        """What a person reads: those there are."""
        return ", ".join(counted(count, name) for name, count in self.plain().items() if count)


def counted(count: int, words: str) -> str:
    """`3 alarms in maintenance`, `1 alarm in maintenance`; words that do not begin with a plural stay."""
    first, space, others = words.partition(" ")
    return f"{count:,} {first[:-1] if count == 1 and first in PLURALS else first}{space}{others}"


EMPTY = Readings([], np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.int64))


def join(parts: list[Readings]) -> Readings:
    """Readings one after the other, their names numbered anew."""
    parts = [part for part in parts if len(part.code)]
    if not parts:
        return EMPTY
    if len(parts) == 1:
        return parts[0]
    numbers: dict[str, int] = {}
    codes = []
    for part in parts:
        renamed = np.array([numbers.setdefault(name, len(numbers)) for name in part.names], dtype=np.int64)
        codes.append(renamed[part.code])
    stacked = [np.concatenate([part[i] for part in parts]) for i in (2, 3, 4)]
    return Readings(list(numbers), np.concatenate(codes), stacked[0], stacked[1], stacked[2])

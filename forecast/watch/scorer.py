"""What the loop asks of whoever scores readings, and how rows of many sensors become rounds."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from forecast.watch.arrival import Rows
from forecast.watch.readings import Flags, Floats, Ints

HELD, LEARNED, GIVEN_UP = 0, 1, 2


class Scored(NamedTuple):
    """What was decided about each row, under the forecast made before it; NaN where there is no score."""

    score: Floats  # 0 to 1, alarm from 0.5 on
    alarm: Flags
    expected: Floats
    lower: Floats
    upper: Floats
    surprise: Floats  # nats
    kind: Ints  # index into `Scorer.kinds`
    z: Floats  # signed normal score; NaN where the scorer has none
    learn: Ints  # HELD back, LEARNED, or learned after the level was GIVEN_UP


class Scorer(ABC):
    """Scores rows and keeps a state for every sensor, which it can give and take as bytes."""

    name: str  # of the model, part of the identity of events
    kinds: tuple[str, ...]

    @abstractmethod
    def grow(self, names: Sequence[str]) -> None:
        """More sensors, behind those there are."""

    @abstractmethod
    def observe(self, rows: Rows) -> Scored:
        """Score rows, in order within each sensor, and learn them."""

    @abstractmethod
    def header(self) -> bytes | None:
        """What is shared by all sensors; None where it is as it was last asked for."""

    @abstractmethod
    def take_header(self, header: bytes) -> None:
        """Go on with this header."""

    @abstractmethod
    def records(self, who: Ints) -> list[bytes]:
        """The states of these sensors."""

    def fixed(self) -> list[tuple[int, bytes]]:
        """What does not move once it is there, of the sensors for which it is new since this was last asked."""
        return []

    def steps(self, count: int) -> Floats:
        """The usual distance of two rows of each of the `count` sensors, microseconds; 0 while it is not known."""
        return np.zeros(count)

    def begun(self, count: int) -> Ints:
        """The place in the stream of the row with which each sensor became active."""
        return np.zeros(count, dtype=np.int64)

    def begin(self) -> int:
        """Count scored time from here on, after rows that were for practice; answers how many sensors are ready."""
        return 0

    def changed(self) -> Ints:
        """Sensors without rows whose records are not as they were written, since this was last asked."""
        return np.zeros(0, dtype=np.int64)

    def recent(self) -> list[tuple[int, int, bytes]]:
        """Pages of the last rows of sensors that were touched since this was last asked: sensor, page, rows."""
        return []

    def take_recent(self, pages: Sequence[tuple[int, int, bytes]]) -> None:  # noqa: B027 - most keep none
        """All pages, as `recent` gave them; after `restore`."""

    def close(self) -> None:  # noqa: B027 - most hold nothing
        """Let go of threads."""

    @abstractmethod
    def restore(self, records: Sequence[bytes], fixed: dict[int, bytes]) -> None:
        """The states of all sensors, as `records` and `fixed` gave them."""


def rounds(who: Ints) -> Iterator[Ints]:
    """Places of rows such that no sensor comes twice in a round, its rows in order from round to round."""
    order = np.argsort(who, kind="stable")
    starts = np.flatnonzero(np.diff(who[order], prepend=-1))
    counts = np.diff(np.append(starts, len(order)))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - np.repeat(starts, counts)
    by_rank = np.argsort(rank, kind="stable")
    yield from np.split(by_rank, np.cumsum(np.bincount(rank))[:-1]) if len(who) else ()


def missing(count: int) -> Scored:
    """No score for any of so many rows, to be filled in."""

    def nan() -> Floats:
        return np.full(count, np.nan)

    def zero() -> Ints:
        return np.zeros(count, dtype=np.int64)

    return Scored(nan(), np.zeros(count, bool), nan(), nan(), nan(), nan(), zero(), nan(), zero())

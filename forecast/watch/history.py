"""Scores as they are kept: one block of columns a commit, and all of them again as one table.

A block is the columns of `COLUMNS` one after the other, little-endian, `rows` long; a reading stands in it exactly once.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from forecast.watch.arrival import Rows
from forecast.watch.readings import Ints
from forecast.watch.scorer import Scored

COLUMNS = (
    ("who", "<i4"),
    ("time", "<i8"),
    ("value", "<f8"),
    ("expected", "<f8"),
    ("lower", "<f8"),
    ("upper", "<f8"),
    ("score", "<f8"),
    ("surprise", "<f8"),
    ("kind", "<i1"),
)


class Scores(NamedTuple):
    """Readings and what was decided about them."""

    who: np.ndarray
    time: np.ndarray
    value: np.ndarray
    expected: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    score: np.ndarray
    surprise: np.ndarray
    kind: np.ndarray

    @classmethod
    def of(cls, rows: Rows, scored: Scored) -> "Scores":
        """Rows beside their scores."""
        found = scored
        return cls(
            rows.who,
            rows.time,
            rows.value,
            found.expected,
            found.lower,
            found.upper,
            found.score,
            found.surprise,
            found.kind,
        )

    def block(self) -> tuple[int, int, bytes]:
        """First and last time, and the bytes."""
        data = io.BytesIO()
        for column, (_, kind) in zip(self, COLUMNS, strict=True):
            data.write(np.ascontiguousarray(column, dtype=kind).tobytes())
        return int(self.time.min()), int(self.time.max()), data.getvalue()

    def take(self, index: Ints) -> "Scores":
        """Some of the rows."""
        return Scores(*(column[index] for column in self))


WIDTH = sum(np.dtype(kind).itemsize for _, kind in COLUMNS)


def read(block: bytes) -> Scores:
    """The columns of a block."""
    rows, at, columns = len(block) // WIDTH, 0, []
    for _, kind in COLUMNS:
        columns.append(np.frombuffer(block, kind, rows, at))
        at += rows * np.dtype(kind).itemsize
    return Scores(*columns)


def together(parts: Sequence[Scores]) -> Scores:
    """Blocks as one, ordered by sensor and time."""
    if not parts:
        return read(b"")
    whole = Scores(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return whole.take(np.lexsort((whole.time, whole.who)))

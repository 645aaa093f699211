"""A table: named columns, and where each row stood in the file."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from forecast.series.read.dialect import MISSING


@dataclass(frozen=True)
class Table:
    """Named columns of equal length, and where each row stood in the file."""

    source: str
    columns: dict[str, pa.ChunkedArray]
    decimal: str = "."
    thousands: str = ""
    missing: frozenset[str] = frozenset(MISSING)
    find_lines: Callable[[], NDArray[np.int64]] | None = field(
        default=None, repr=False
    )  # the line of each row of a text

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()))) if self.columns else 0

    @cached_property
    def lines(self) -> NDArray[np.int64]:
        """The line of each row, or its number from 1."""
        return np.arange(1, len(self) + 1) if self.find_lines is None else self.find_lines()

    def at(self, row: int) -> str:
        """`pump.csv:8812`."""
        return f"{self.source}:{self.lines[row]}" if self.find_lines is not None else f"{self.source}: row {row + 1}"

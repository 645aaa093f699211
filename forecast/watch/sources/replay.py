"""A file as if it came now: its rows at the pace of their own times, faster, slower, or so many lines a second.

    a line with the time t is due at  start + (t − first t) / speed
Lines without a readable time come with the one before them. CSV and JSON lines, plain or .gz, and Parquet. The position is the number of
lines; after a stop the pace begins anew at the next line. What the rows lead to does not depend on the pace.
"""

import gzip
import io
import time
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from forecast.errors import InputError
from forecast.watch.columns import Roles
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk, Floats
from forecast.watch.sources.source import Source

LINES = 2_000  # read ahead
NAP = 0.05  # seconds between looks at the clock


class Replay(Source):
    """Lines of a file, each when it is due."""

    def __init__(
        self,
        path: Path,
        speed: float = 1.0,  # times as fast as it happened; 0: as fast as they are taken
        rate: float | None = None,  # lines a second, instead
        time: str | None = None,  # name of the column of times, where it is not one of the usual
    ) -> None:
        if speed < 0 or (rate is not None and rate <= 0):
            raise InputError(f"source: speed={speed}, rate={rate}: the one is 0 or more, the other more than 0")
        self.path, self.speed, self.rate, self.name = path, speed, rate, f"replay:{path.name}"
        self.parser = Parser(Roles(time=time))
        self._lines: Iterator[bytes] = iter(())
        self._count = 0  # lines handed out
        self._ahead: list[bytes] = []
        self._due: Floats = np.zeros(0)  # seconds since the start, of the lines ahead
        self._first: float | None = None  # of the times, seconds
        self._start = 0.0

    def open(self, position: Any) -> list[str]:
        if not self.path.is_file():
            raise InputError(f"{self.path}: no such file; pass source.path=FILE")
        self._lines = lines_of(self.path)
        self._count = 0 if position is None else position["lines"]
        passed = list(islice(self._lines, min(self._count, 1)))
        if passed and self._timed:
            self.parser.parse(Chunk(passed[0], None))  # the header, if it is one
        missing = self._count - len(passed) - sum(1 for _ in islice(self._lines, self._count - len(passed)))
        if missing:
            raise InputError(
                f"{self.path}: {missing:,} lines shorter than when it was last read; begin anew with another state folder, state=FOLDER"
            )
        self._start = time.monotonic()
        return []

    def poll(self, seconds: float) -> Chunk | None:
        """The lines that are due."""
        until = time.monotonic() + seconds
        while True:
            if not self._ahead and not self._read():
                return Chunk(b"", {"lines": self._count}, ended=True)
            count = int(np.searchsorted(self._due, time.monotonic() - self._start, "right"))
            if count:
                text, self._ahead, self._due = b"".join(self._ahead[:count]), self._ahead[count:], self._due[count:]
                self._count += count
                return Chunk(text, {"lines": self._count})
            if time.monotonic() >= until:
                return None
            time.sleep(max(min(NAP, seconds, self._start + float(self._due[0]) - time.monotonic()), 0.0))

    @property
    def _timed(self) -> bool:
        return self.rate is None and self.speed > 0

    def _read(self) -> bool:
        """Read ahead; whether there was anything."""
        self._ahead = list(islice(self._lines, LINES))
        if not self._ahead:
            return False
        if self.rate is not None:
            place = time.monotonic() - self._start if self._first is None else float(self._first)
            self._due = place + np.arange(len(self._ahead)) / self.rate
            self._first = place + len(self._ahead) / self.rate
        elif self._timed:
            self._due = self._times()
        else:
            self._due = np.zeros(len(self._ahead))
        return True

    def _times(self) -> Floats:
        """When the lines ahead are due."""
        readings = self.parser.parse(Chunk(b"".join(self._ahead), None)).readings
        stamps = np.full(len(self._ahead), -np.inf)
        np.maximum.at(stamps, readings.line, readings.time / 1e6)
        if self._first is None and len(readings.time):
            self._first = float(readings.time[0] / 1e6)
        first = self._first if self._first is not None else 0.0
        return np.asarray(np.maximum(np.maximum.accumulate(stamps) - first, 0.0) / self.speed)


def lines_of(path: Path) -> Iterator[bytes]:
    """Whole lines of a file; a Parquet table as CSV."""
    if path.suffix == ".parquet":
        return _table(path)
    return _text(path)


def _text(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as file:
        for line in file:
            yield line if line.endswith(b"\n") else line + b"\n"


def _table(path: Path) -> Iterator[bytes]:
    table = pq.ParquetFile(path)
    header = table.schema_arrow.empty_table()
    for number, batch in enumerate(chain([header], table.iter_batches())):
        buffer = io.BytesIO()
        pacsv.write_csv(batch, buffer, pacsv.WriteOptions(include_header=number == 0, quoting_style="needed"))
        yield from io.BytesIO(buffer.getvalue())

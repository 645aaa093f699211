"""Lines to readings: CSV or JSON lines, long or wide rows, or a topic that names the sensor.

A chunk of CSV is read column by column, but for the lines that do not look like rows of numbers: these, and JSON, go line by
line, by the same rules. Every line that is no reading is put aside with its reason. A header may come again at any place (a
rotated file, a changed set of columns): a line that holds the name of the time column is one.
"""

import contextlib
import csv
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from forecast.errors import InputError
from forecast.watch import columns
from forecast.watch.cells import NUMBER, Lines
from forecast.watch.columns import TIMES, Columns, Roles
from forecast.watch.readings import Chunk, Ints, Readings, Understood, join
from forecast.watch.sheet import Sheet, SlowError
from forecast.watch.zones import Zones


@dataclass
class Parser:
    """Turns chunks into readings; what it has learnt of the columns goes on from chunk to chunk."""

    roles: Roles = field(default_factory=Roles)
    zones: Zones = field(default_factory=Zones)
    header: Columns | None = None

    def __post_init__(self) -> None:
        self._sheet: Sheet | None = None
        if self.roles.columns and self.header is None:
            self.header = columns.of_header(self.roles.columns, self.roles, "rows.columns", self.roles.delimiter)

    def learnt(self) -> dict[str, Any]:
        """What has to be kept to go on later."""
        header = None if self.header is None else [list(self.header.names), self.header.delimiter]
        return {"header": header, "twice": dict(self.zones.last)}

    def recall(self, learnt: dict[str, Any]) -> None:
        """Go on with what was learnt."""
        if learnt["header"] is not None:
            names, delimiter = learnt["header"]
            self.header = columns.of_header(names, self.roles, "the header", delimiter)
        self.zones.last = dict(learnt["twice"])

    def parse(self, chunk: Chunk) -> Understood:
        """The readings of a chunk in order, and the lines put aside."""
        if chunk.topics is not None or chunk.text.lstrip()[:1] in (b"{", b"["):
            lines = chunk.text.split(b"\n")[:-1]
            return self._by_line(lines, range(len(lines)), chunk.topics)
        parts, aside, line = [], [], 0
        for header, text in self._segments(chunk.text):
            line += header
            understood = self._segment(text, line)
            parts.append(understood.readings)
            aside += understood.aside
            line += text.count(b"\n")
        return Understood(join(parts), aside)

    def _segments(self, text: bytes) -> Iterator[tuple[int, bytes]]:
        """Runs of lines under one header; each with the number of header lines before it."""
        marks = [self.roles.time] if self.roles.time else TIMES
        start, count = 0, 0
        for begin, end in self._candidates(text):
            row = text[begin:end].decode("utf-8", "replace").strip("\r\n\ufeff")
            delimiter = max(",;\t|", key=row.count)
            cells = next(csv.reader([row], delimiter=delimiter))
            named = {cell.strip().lower() for cell in cells} & {mark.lower() for mark in marks}
            if not named or any(NUMBER.fullmatch(cell.strip()) for cell in cells):
                continue
            if begin > start:
                yield count, text[start:begin]
                count = 0
            self.header = columns.of_header(cells, self.roles, row, delimiter)
            start, count = end, count + 1
        if start < len(text):
            yield count, text[start:]

    def _candidates(self, text: bytes) -> Iterator[tuple[int, int]]:
        """Lines that may be headers: the first one, and those with a cell that is the known name of the times."""
        first = text.index(b"\n") + 1
        yield 0, first
        name = (self.header.time if self.header else "").encode()
        if not name or text.find(name, first) < 0:
            return
        for match in re.finditer(rb'(?:^|[,;\t|])"?%s"?(?=[,;\t|\r\n])' % re.escape(name), text[first:], re.M):
            begin = text.rfind(b"\n", 0, first + match.start() + 1) + 1
            yield begin, text.index(b"\n", begin) + 1

    def _segment(self, text: bytes, line: int) -> Understood:
        """Lines under one header: all at once, or those that can be, and the others one by one."""
        if self.header is None:
            first = text.split(b"\n", 1)[0].decode("utf-8", "replace")
            raise InputError(
                f"{first[:80]!r}: not a header with a column of times; pass rows.time=NAME, or rows.columns=[time,sensor,value] "
                "where there is none"
            )
        if self._sheet is None or self._sheet.columns != self.header:
            self._sheet = Sheet(self.header)
        whole = np.arange(line, line + text.count(b"\n"))
        with contextlib.suppress(SlowError):
            return self._with(*self._sheet.read(text, whole, self.zones), text, line)
        lines = text.split(b"\n")[:-1]
        fit = np.fromiter(map(bool, map(self._sheet.pattern.fullmatch, lines)), dtype=bool, count=len(lines))
        if fit.any() and not self.zones.patterns:  # which pass of an hour is meant may hang on the rows before
            smooth = b"\n".join([*itertools.compress(lines, fit), b""])
            with contextlib.suppress(SlowError):
                readings, odd = self._sheet.read(smooth, whole[fit], self.zones)
                return self._with(readings, np.union1d(odd, whole[~fit]), text, line)
        return self._by_line(lines, whole, None)

    def _with(self, readings: Readings, odd: Ints, text: bytes, first: int) -> Understood:
        """Readings, and those of the lines with the numbers `odd`, in the order of the lines."""
        if not len(odd):
            return Understood(readings, [])
        lines = text.split(b"\n")
        slow = self._by_line([lines[i - first] for i in odd.tolist()], odd, None)
        both = join([readings, slow.readings])
        return Understood(both.rows(np.argsort(both.line, kind="stable")), slow.aside)

    def _by_line(self, lines: list[bytes], numbers: Any, topics: tuple[str, ...] | None) -> Understood:
        """One line at a time."""
        found = Lines(self.roles, self.header, self.zones)
        for i, (raw, number) in enumerate(zip(lines, numbers, strict=True)):
            found.take(raw, int(number), None if topics is None else topics[i])
        return found.understood()

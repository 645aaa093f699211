"""Lines to readings: CSV or JSON lines, long or wide rows, or a topic that names the sensor.

A chunk is read column by column; where that fails, and only then, line by line, by the same rules. Every line that is no
reading is put aside with its reason. A header may come again at any place (a rotated file, a changed set of columns): a line
that holds the name of the time column is one.
"""

import csv
import io
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv

from forecast.errors import InputError
from forecast.watch.moments import NONE, moments, one_moment
from forecast.watch.readings import EMPTY, MISSING_WORDS, Aside, Chunk, Floats, Ints, Readings, Understood, join
from forecast.watch.zones import Zones

TIMES = ("time", "timestamp", "ds", "datetime", "date", "ts", "t")
SENSORS = ("sensor", "unique_id", "item_id", "series", "tag", "device", "id", "name")
VALUES = ("value", "y", "target", "reading", "v")
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
LONGEST = 500  # characters of a row that are kept when it is put aside


@dataclass(frozen=True)
class Columns:
    """What the cells of a line are."""

    names: tuple[str, ...]
    time: str
    sensor: str | None
    values: tuple[str, ...]
    delimiter: str


@dataclass(frozen=True)
class Roles:
    """What a person says of the columns; what is not said is found by the usual names."""

    time: str | None = None  # name of the column of times
    sensor: str | None = None  # name of the column of sensors; null: one of the usual names, or wide rows
    values: tuple[str, ...] = ()  # columns of values; none: `value` in long rows, all others in wide ones
    columns: tuple[str, ...] = ()  # the columns of lines that come without a header
    delimiter: str = ","  # of lines that come without a header


@dataclass
class Parser:
    """Turns chunks into readings; what it has learnt of the columns goes on from chunk to chunk."""

    roles: Roles = field(default_factory=Roles)
    zones: Zones = field(default_factory=Zones)
    header: Columns | None = None

    def __post_init__(self) -> None:
        if self.roles.columns and self.header is None:
            self.header = self._roles(list(self.roles.columns), "rows.columns", self.roles.delimiter)

    def learnt(self) -> dict[str, Any]:
        """What has to be kept to go on later."""
        header = None if self.header is None else [list(self.header.names), self.header.delimiter]
        return {"header": header, "twice": dict(self.zones.last)}

    def recall(self, learnt: dict[str, Any]) -> None:
        """Go on with what was learnt."""
        if learnt["header"] is not None:
            names, delimiter = learnt["header"]
            self.header = self._roles(names, "the header", delimiter)
        self.zones.last = dict(learnt["twice"])

    def parse(self, chunk: Chunk) -> Understood:
        """The readings of a chunk in order, and the lines put aside."""
        if chunk.topics is not None:
            return self._by_line(chunk.text, 0, chunk.topics)
        if chunk.text.lstrip()[:1] in (b"{", b"["):
            return self._by_line(chunk.text, 0, None)
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
            self.header = self._roles(cells, row, delimiter)
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

    def _roles(self, cells: list[str], where: str, delimiter: str) -> Columns:
        names = [cell.strip().lstrip("\ufeff") for cell in cells]
        lower = [name.lower() for name in names]
        time = self.roles.time or next((names[lower.index(word)] for word in TIMES if word in lower), None)
        if time is None or time not in names:
            raise InputError(f"{where!r}: no column of times known among {', '.join(names)}; pass rows.time=NAME")
        sensor = self.roles.sensor or next((names[lower.index(word)] for word in SENSORS if word in lower), None)
        if self.roles.sensor and self.roles.sensor not in names:
            raise InputError(
                f"{where!r}: no column {self.roles.sensor!r}; pass rows.sensor=NAME, one of {', '.join(names)}"
            )
        rest = [name for name in names if name not in (time, sensor)]
        usual = [name for name in rest if name.lower() in VALUES] if sensor else []
        values = tuple(name for name in self.roles.values if name in rest) or tuple(usual[:1] or rest)
        if len(set(names)) < len(names):
            raise InputError(f"{where!r}: a column name comes twice; pass rows.columns=[…] with names of their own")
        if not values:
            raise InputError(f"{where!r}: no column of values; pass rows.values=[NAME]")
        return Columns(tuple(names), time, sensor, values, delimiter)

    def _segment(self, text: bytes, line: int) -> Understood:
        if self.header is None:
            first = text.split(b"\n", 1)[0].decode("utf-8", "replace")
            raise InputError(
                f"{first[:80]!r}: not a header with a column of times; pass rows.time=NAME, or rows.columns=[time,sensor,value] "
                "where there is none"
            )
        try:
            return Understood(self._by_column(text, line, self.header), [])
        except (pa.ArrowInvalid, Slow):
            return self._by_line(text, line, None)

    def _by_column(self, text: bytes, line: int, columns: Columns) -> Readings:
        """The fast way, for lines without a flaw."""
        kinds: dict[str, pa.DataType] = {name: pa.float64() for name in columns.values} | {columns.time: pa.string()}
        if columns.sensor:
            kinds[columns.sensor] = pa.dictionary(pa.int32(), pa.string())
        table = pacsv.read_csv(
            io.BytesIO(text),
            pacsv.ReadOptions(column_names=list(columns.names), use_threads=False, block_size=len(text) + 1),
            pacsv.ParseOptions(delimiter=columns.delimiter, ignore_empty_lines=False),
            pacsv.ConvertOptions(
                column_types=kinds, include_columns=list(kinds), null_values=_spellings(), strings_can_be_null=False
            ),
        )
        if len(table) != text.count(b"\n"):
            raise Slow
        values = np.stack([table[name].combine_chunks().to_numpy(zero_copy_only=False) for name in columns.values], 1)
        if np.isinf(values).any():
            raise Slow
        read = moments(table[columns.time].combine_chunks())
        if (read.stamp == NONE).any():
            raise Slow
        names, code = [""], np.zeros(len(table), dtype=np.int64)
        if columns.sensor:
            coded = table[columns.sensor].unify_dictionaries().combine_chunks()
            coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
            names, code = coded.dictionary.to_pylist(), coded.indices.to_numpy().astype(np.int64)
            if any(not name.strip() or name != name.strip() for name in names):
                raise Slow
        names, code, values = _spread(columns, names, code, values)
        stamps, wall = np.repeat(read.stamp, len(columns.values)), np.repeat(read.wall, len(columns.values))
        utc = self.zones.plain(names, code, stamps, wall)
        if utc is None:
            raise Slow
        return Readings(names, code, utc, values, np.repeat(np.arange(line, line + len(table)), len(columns.values)))

    def _by_line(self, text: bytes, line: int, topics: tuple[str, ...] | None) -> Understood:
        """The slow way: one line at a time, each with a reason of its own where it is no reading."""
        found = Found()
        for number, raw in enumerate(text.split(b"\n")[:-1]):
            row = raw.decode("utf-8", "replace").strip("\r\ufeff ")
            try:
                if b"\0" in raw or "\ufffd" in row:
                    raise Unfit("not text")
                if row:
                    self._line(row, line + number, None if topics is None else topics[number], found)
            except Unfit as unfit:
                found.aside.append(Aside(str(unfit), unfit.sensor, row[:LONGEST]))
        return found.understood()

    def _line(self, row: str, number: int, topic: str | None, found: "Found") -> None:
        if row[0] in "{[":
            cells = _json(row)
        elif topic is not None and (self.header is None or NUMBER.fullmatch(row)):
            cells = {"value": row}
        else:
            cells = self._csv(row)
        time, sensor, values = self._sort(cells, topic)
        stamp, wall = _moment(time, sensor)
        for name, cell in values:
            label = _label(sensor, name)
            moment = self.zones.moment(label, stamp, wall)
            try:
                if moment == NONE:
                    raise Unfit("no such hour")
                found.add(label, moment, _number(cell), number)
            except Unfit as unfit:
                found.aside.append(Aside(str(unfit), label, row[:LONGEST]))

    def _csv(self, row: str) -> dict[str, Any]:
        if self.header is None:
            raise Unfit("no header")
        cells = next(csv.reader([row], delimiter=self.header.delimiter))
        if len(cells) != len(self.header.names):
            raise Unfit("number of columns")
        return dict(zip(self.header.names, cells, strict=True))

    def _sort(self, cells: dict[str, Any], topic: str | None) -> tuple[Any, str, list[tuple[str, Any]]]:
        """Time, sensor and (name, cell) of the values."""
        lower = {name.lower(): name for name in cells}
        time = self.roles.time or next((lower[word] for word in TIMES if word in lower), None)
        if time is None or time not in cells:
            raise Unfit("no time", topic)
        sensor = topic or ""
        place = self.roles.sensor or next((lower[word] for word in SENSORS if word in lower), None)
        if topic is None and place is not None and place in cells:
            sensor = str(cells[place]).strip()
            if not sensor:
                raise Unfit("no sensor")
        rest = [name for name in cells if name not in (time, place)]
        usual = [name for name in rest if name.lower() in VALUES] if sensor else []
        wanted = [name for name in self.roles.values if name in rest] or usual[:1] or rest
        if not wanted:
            raise Unfit("no value", sensor or None)
        single = bool(sensor) and len(wanted) == 1 and (wanted[0] in usual or len(self.roles.values) == 1)
        return cells[time], sensor, [("" if single else name, cells[name]) for name in wanted]


class Slow(Exception):  # noqa: N818 - no error: the fast way does not fit
    """A chunk that has to be read line by line."""


class Unfit(Exception):  # noqa: N818 - no error of ours: a line that is no reading
    """A line that is put aside, and whose it is."""

    def __init__(self, reason: str, sensor: str | None = None) -> None:
        super().__init__(reason)
        self.sensor = sensor


class Found:
    """Readings as they are gathered line by line."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.rows: list[tuple[int, int, float, int]] = []
        self.aside: list[Aside] = []

    def add(self, sensor: str, stamp: int, value: float, line: int) -> None:
        """One more reading."""
        self.rows.append((self.numbers.setdefault(sensor, len(self.numbers)), stamp, value, line))

    def understood(self) -> Understood:
        """All of them as columns."""
        if not self.rows:
            return Understood(EMPTY, self.aside)
        code, time, value, line = zip(*self.rows, strict=True)
        columns = [np.array(column, dtype=np.int64) for column in (code, time, line)]
        return Understood(
            Readings(list(self.numbers), columns[0], columns[1], np.array(value, dtype=np.float64), columns[2]),
            self.aside,
        )


def _label(sensor: str, name: str) -> str:
    """The name of a sensor: its own, its column's, or both."""
    return f"{sensor}/{name}" if sensor and name else sensor or name


def _spread(columns: Columns, names: list[str], code: Ints, values: Floats) -> tuple[list[str], Ints, Floats]:
    """Rows of several values as readings one after the other."""
    single = columns.sensor is not None and len(columns.values) == 1
    labels = [_label(name, "" if single else column) for name in names for column in columns.values]
    width = len(columns.values)
    return labels, (code[:, None] * width + np.arange(width)).reshape(-1), values.reshape(-1)


@cache
def _spellings() -> list[str]:
    """The words for missing in the cases that people write."""
    return sorted(
        {form for word in MISSING_WORDS for form in (word, word.upper(), word.title(), word.capitalize(), "NaN")}
    )


def _number(cell: Any) -> float:
    if cell is None:
        return math.nan
    if isinstance(cell, str):
        word = cell.strip()
        if word.lower() in MISSING_WORDS:
            return math.nan
        if not NUMBER.fullmatch(word):
            raise Unfit("not finite" if word.lower().lstrip("+-") in ("inf", "infinity") else "not a number")
        cell = float(word)
    if isinstance(cell, bool) or not isinstance(cell, (int, float)):
        raise Unfit("not a number")
    try:
        value = float(cell)
    except OverflowError as error:
        raise Unfit("not finite") from error
    if math.isinf(value):
        raise Unfit("not finite")
    return value


def _moment(cell: Any, sensor: str) -> tuple[int, bool]:
    word = repr(cell) if isinstance(cell, (int, float)) and not isinstance(cell, bool) else cell
    stamp, wall = one_moment(word) if isinstance(word, str) else (NONE, False)
    if stamp == NONE:
        raise Unfit("no readable time", sensor or None)
    return stamp, wall


def _json(row: str) -> dict[str, Any]:
    try:
        cells = json.loads(row)
    except (ValueError, RecursionError) as error:
        raise Unfit("not JSON") from error
    if not isinstance(cells, dict):
        raise Unfit("not a JSON object")
    return cells

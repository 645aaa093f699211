"""A text as columns: one pass of Arrow over the text, typed where the sample shows a type, text where a cell defies it.

Numbers and ISO times that keep their promise cost no second look. Where a cell breaks it, the whole table is read
again as text and the parsers of `numbers` and `times` find the cell. A column that names series is text always: a
sensor called NA keeps its name.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.series.read import content, dialect
from forecast.series.read.dialect import ISO, NUMBER, Dialect
from forecast.series.read.options import Notes, ReadOptions, count
from forecast.series.read.table import Table

WORDS = pa.dictionary(pa.int32(), pa.string())
LONG = 100  # lines that a quoted text may span


def text_table(
    path: str, data: bytes, options: ReadOptions, notes: Notes, texts: frozenset[str], whole: frozenset[str]
) -> Table:
    """The table in a text whose every line is ended."""
    head = _offset(data, options.skip)
    data = data[head:] if head else data
    laid = dialect.sniff(path, data, options, notes)
    body, line = _below(data, laid, options.skip)
    if body == len(data) or (data[body : body + dialect.SAMPLE].isspace() and data[body:].isspace()):
        raise InputError(f"{path}:{line}: the file has a header but no rows")
    source = _Text(path, data, body, line, laid, options.bad_rows == "drop")
    types = {n: _type(n, [r[i] for r in laid.rows], laid, texts, whole) for i, n in enumerate(laid.names)}
    try:
        arrow = source.parse(types)
    except pa.ArrowInvalid:
        arrow = None
    if arrow is None or any(pa.types.is_floating(c.type) and pc.any(pc.is_inf(c)).as_py() for c in arrow.columns):
        arrow = source.words()
    source.check_quotes(len(arrow))
    columns = dict(zip(laid.names, arrow.columns, strict=True))
    table = Table(path, columns, laid.decimal, laid.thousands, laid.missing, lambda: source.lines(len(arrow)))
    if options.bad_rows == "drop" and (ragged := source.ragged()):
        notes.repair(
            "ragged",
            len(ragged),
            f"{path}:{ragged[0][0]}: left out {count(len(ragged), 'row')} with too many or too few fields",
        )
    return table


def _offset(data: bytes, lines: int) -> int:
    """Where the text goes on after so many lines."""
    at = 0
    for _ in range(lines):
        at = data.find(b"\n", at) + 1 or len(data)
    return at


def _below(data: bytes, laid: Dialect, skipped: int) -> tuple[int, int]:
    """Where the rows begin: the byte, and the number of lines above."""
    head = data[: dialect.SAMPLE].decode(errors="replace")
    reader, left = dialect.reader(head, laid.delimiter, laid.quote), laid.above
    while left:
        record = next(reader, None)
        if record is None:
            break
        left -= bool(record)
    return _offset(data, reader.line_num), skipped + reader.line_num


def _type(name: str, cells: list[str], laid: Dialect, texts: frozenset[str], whole: frozenset[str]) -> pa.DataType:
    """The type that all cells of the sample have."""
    shown = [c for c in cells if c not in laid.missing]
    if name.lower() in texts or not shown:
        return WORDS
    if name.lower() in whole and all(c.strip().isdecimal() for c in shown):
        return pa.int64()
    if laid.plain and all(
        NUMBER.fullmatch(c if laid.decimal == "." else c.replace(".", "x").replace(",", ".")) for c in shown
    ):
        return pa.float64()
    matches = [ISO.fullmatch(c) for c in shown]
    if all(matches):
        zones = {m[4] is not None for m in matches if m}
        return pa.string() if len(zones) > 1 else pa.timestamp("us", "UTC" if zones == {True} else None)
    return WORDS if len(set(shown)) * 2 < len(shown) else pa.string()


@dataclass(frozen=True)
class _Text:
    """The rows of a text, to be parsed with these or those types."""

    path: str
    data: bytes
    body: int  # first byte of the first row
    above: int  # lines above it
    laid: Dialect
    drop: bool  # leave out rows with another number of fields

    def parse(self, types: dict[str, pa.DataType]) -> pa.Table:
        """The columns by these types; ArrowInvalid where a cell has another."""
        parse = arrow_csv.ParseOptions(
            delimiter=self.laid.delimiter,
            quote_char=self.laid.quote or False,
            newlines_in_values=bool(self.laid.quote) and self.laid.quote.encode() in self.data,
            ignore_empty_lines=len(self.laid.names) > 1,
            invalid_row_handler=(lambda _: "skip") if self.drop else None,
        )
        convert = arrow_csv.ConvertOptions(
            column_types=types,
            null_values=sorted(self.laid.missing),
            decimal_point=self.laid.decimal,
            timestamp_parsers=[arrow_csv.ISO8601],
        )
        names = list(self.laid.names)
        whole = arrow_csv.ReadOptions(use_threads=False, block_size=1 << 20, column_names=names)
        larger = arrow_csv.ReadOptions(
            use_threads=False, block_size=min(max(len(self.data), 1 << 20), 1 << 30), column_names=names
        )
        rows = pa.py_buffer(self.data).slice(self.body)
        try:
            return arrow_csv.read_csv(
                pa.BufferReader(rows), read_options=whole, parse_options=parse, convert_options=convert
            )
        except pa.ArrowInvalid as error:
            if "straddl" not in str(error):
                raise
            return arrow_csv.read_csv(
                pa.BufferReader(rows), read_options=larger, parse_options=parse, convert_options=convert
            )

    def words(self) -> pa.Table:
        """Every cell as text, or an error that names the row that is no row."""
        try:
            return self.parse({n: pa.string() for n in self.laid.names})
        except pa.ArrowInvalid as error:
            ragged = self.ragged()
            self.check_quotes(-1)
            if not ragged:
                raise InputError(
                    f"{self.path}: cannot be read ({str(error).splitlines()[0]}); wrong data.delimiter or data.quote?"
                ) from None
            line, width = ragged[0]
            what = f"{width} fields where the header has {len(self.laid.names)} ({self._shown(line)})"
            raise InputError(
                f"{self.path}:{line}: {what}, in {count(len(ragged), 'row')}; {content.ROW_OPTIONS}"
            ) from None

    def _shown(self, line: int) -> str:
        """The beginning of a line."""
        skipped = self.above - self.data.count(b"\n", 0, self.body)
        row = self.data[_offset(self.data, line - skipped - 1) :].split(b"\n", 1)[0]
        return repr(row[:60].decode(errors="replace"))

    def _records(self) -> Iterator[tuple[int, int, bool]]:
        """First line and number of fields of every record but blank lines, and whether it ends inside a quote."""
        reader = dialect.reader(self.data[self.body :].decode(), self.laid.delimiter, self.laid.quote)
        line = self.above
        try:
            for record in reader:
                if record or len(self.laid.names) == 1:
                    yield line + 1, len(record) or 1, bool(record) and record[-1].endswith("\n")
                line = self.above + reader.line_num
        except csv.Error as error:
            raise InputError(f"{self.path}:{line + 1}: {error}") from None

    def check_quotes(self, rows: int) -> None:
        """No quote that opens and never closes, and none that swallows a piece of the table."""
        quote = self.laid.quote.encode()
        if not quote or quote not in self.data:
            return
        lines = self.data.count(b"\n", self.body)
        if rows == lines and self.data.count(quote) % 2 == 0:
            return
        before = None
        for line, _, open_at_end in [*self._records(), (self.above + lines + 1, 0, False)]:
            if before is not None and (before[1] or line - before[0] > LONG):
                raise InputError(
                    f"{self.path}:{before[0]}: a quote {self.laid.quote} opens here and never closes; "
                    "data.quote=none takes it as text"
                )
            before = (line, open_at_end)

    def ragged(self) -> list[tuple[int, int]]:
        """Line and number of fields of the rows that have too many or too few."""
        return [(line, width) for line, width, _ in self._records() if width != len(self.laid.names)]

    def lines(self, rows: int) -> NDArray[np.int64]:
        """The line of each row that was read."""
        if self.data.count(b"\n", self.body) == rows:
            return np.arange(rows, dtype=np.int64) + self.above + 1
        return np.array([line for line, width, _ in self._records() if width == len(self.laid.names)], dtype=np.int64)

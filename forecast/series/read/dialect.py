"""The dialect of a text table, read off its first lines: delimiter, decimal mark, header, line of units.

Only what the lines show beyond doubt is taken for granted; `1,234` alone may be 1234 or 1.234, and is asked about.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

from forecast.errors import InputError
from forecast.series.read.options import Notes, ReadOptions, count, override, several

SAMPLE = 1 << 18  # bytes looked at
ROWS = 1000  # rows looked at
# What other programs write for a missing value; `NA` in a column of names is a name.
MISSING = (
    *("", "NA", "N/A", "n/a", "na", "NaN", "nan", "NAN", "-nan", "null", "NULL", "Null", "None", "none", "nil", "<NA>"),
    *("-", "--", "?", ".", "missing", "#N/A", "#NA", "#N/A N/A", "#VALUE!", "#DIV/0!", "#REF!", "#NUM!", "#NULL!"),
    *("1.#QNAN", "-1.#IND"),
)
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*")
COMMA = re.compile(r"\s*[+-]?\d*,\d+([eE][+-]?\d+)?\s*")
GROUPED = re.compile(r"\s*[+-]?\d{1,3}([.,' \u00a0\u202f])\d{3}(\1\d{3})*(([.,])\d+)?\s*")
ISO = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?)?(Z|[+-]\d\d:?\d\d)?")
TIME = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}([-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}|\d{4}-?Q\d|\d{1,2}:\d\d)([T ].*)?\s*"
)


@dataclass(frozen=True)
class Dialect:
    """How the text is laid out."""

    delimiter: str
    quote: str
    decimal: str
    thousands: str
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # some of the rows under the header and units
    above: int  # records above the first row that belong to no row
    missing: frozenset[str]

    @property
    def plain(self) -> bool:
        """Whether a machine reader takes the numbers as they stand."""
        return not self.thousands


def records(text: str, delimiter: str, quote: str, most: int | None = None) -> list[list[str]]:
    """The first records of the text, blank lines left out."""
    kept: list[list[str]] = []
    for record in reader(text, delimiter, quote):
        if record:
            kept.append(record)
        if most is not None and len(kept) == most:
            break
    return kept


def reader(text: str, delimiter: str, quote: str) -> "csv._reader":  # type: ignore[name-defined]
    """A reader of the text; fields of any size are let through, for their end may only be missing."""
    csv.field_size_limit(1 << 30)
    lines = io.StringIO(text, newline="")
    if quote:
        return csv.reader(lines, delimiter=delimiter, quotechar=quote)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)


def sniff(path: str, data: bytes, options: ReadOptions, notes: Notes) -> Dialect:
    """The dialect of `data`, whose first `options.skip` lines are gone already."""
    end = data.rfind(b"\n", 0, SAMPLE) + 1 or len(data)
    text = data[:end].decode()
    if marked := re.match(r"sep=(.)\n", text):
        text = text[marked.end() :]
    delimiter = options.delimiter or (marked[1] if marked else _delimiter(text, options.quote, notes))
    rows = records(text, delimiter, options.quote, ROWS)
    if not rows:
        raise InputError(f"{path}: no line is left below the {options.skip} skipped; lower data.skip")
    width = Counter(len(r) for r in rows[1:] or rows).most_common(1)[0][0]
    _check_first(path, rows, width, options)
    missing = frozenset((*MISSING, *options.missing))
    names, below = _header(path, rows, width, options, missing, notes)
    units = _units(rows[below:], options, missing, notes) if below else 0
    body = tuple(tuple(r) for r in rows[below + units :] if len(r) == len(names))
    decimal, thousands = _marks(path, body, delimiter, options, notes)
    return Dialect(delimiter, options.quote, decimal, thousands, names, body, below + units + bool(marked), missing)


def _delimiter(text: str, quote: str, notes: Notes) -> str:
    """The character that cuts most lines into the same number of fields, at least two."""
    best, score = ",", 0.0
    for delimiter in ";\t|,":
        widths = [len(r) for r in records(text, delimiter, quote, 100)]
        width, often = Counter(widths).most_common(1)[0]
        agreement = often / len(widths) + (widths[0] == width)
        if width > 1 and agreement > score:
            best, score = delimiter, agreement
    if best != ",":
        notes.guess("delimiter", best)
    return best


def _check_first(path: str, rows: list[list[str]], width: int, options: ReadOptions) -> None:
    """The first line has as many fields as the others; where it has fewer, it is no header or misses a name."""
    widths = [len(r) for r in rows]
    above = next((i for i, w in enumerate(widths) if w == width), 0)
    if above == 0 or options.names or set(widths[above:]) != {width} or max(widths[:above]) > width:
        return
    place = f"{path}:{options.skip + 1}"
    if above == 1 and 1 < widths[0] == width - 1:
        raise InputError(
            f"{place}: {width - 1} names for {width} columns; row numbers without a name? "
            + override("names", ["row", *rows[0]])
        )
    raise InputError(
        f"{place}: {count(widths[0], 'field')} where later lines have {width}; lines above the header? "
        f"data.skip={options.skip + above}"
    )


def _header(
    path: str, rows: list[list[str]], width: int, options: ReadOptions, missing: frozenset[str], notes: Notes
) -> tuple[tuple[str, ...], int]:
    """The names of the columns, and whether the first record holds them."""
    header = options.header
    if header is None:
        header = not (all(_kind(c, missing) != "text" for c in rows[0]) or _same_kinds(rows, missing))
        if not header:
            notes.guess("header", "false", "the first line looks like the others")
    if options.names:
        if len(options.names) != width:
            raise InputError(
                f"{path}:{options.skip + 1}: {width} columns, but data.names has {len(options.names)} names"
            )
        return options.names, int(header)
    names = _numbered(tuple(" ".join(c.split()) for c in rows[0]) if header else ("",) * width)
    check_names(path, names, options.skip + 1)
    return names, int(header)


def _numbered(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names for columns without one."""
    return tuple(n or f"column_{i + 1}" for i, n in enumerate(names))


def check_names(path: str, names: tuple[str, ...], line: int) -> None:
    """No name twice: nothing could say which one is meant."""
    repeated = [n for n, c in Counter(names).items() if c > 1]
    if repeated:
        seen: Counter[str] = Counter()
        fresh = []
        for name in names:
            seen[name] += 1
            fresh.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
        places = [i + 1 for i, n in enumerate(names) if n == repeated[0]]
        raise InputError(
            f"{path}:{line}: the name {repeated[0]!r} heads columns {' and '.join(map(str, places))}; "
            + override("names", fresh)
        )


def _kind(cell: str, missing: frozenset[str]) -> str:
    """What a cell looks like: number, time, missing or text."""
    if cell.strip() in missing:
        return "missing"
    if NUMBER.fullmatch(cell) or COMMA.fullmatch(cell) or GROUPED.fullmatch(cell):
        return "number"
    return "time" if TIME.fullmatch(cell) else "text"


def _same_kinds(rows: list[list[str]], missing: frozenset[str]) -> bool:
    """Whether the first line has a number or time wherever the next one has, as a row does and a header does not."""
    if len(rows) < 2 or len(rows[0]) != len(rows[1]):
        return False
    pairs = [(_kind(a, missing), _kind(b, missing)) for a, b in zip(rows[0], rows[1], strict=True)]
    solid = [(a, b) for a, b in pairs if b in ("number", "time")]
    telling = any(a == "time" for a, _ in solid) or any(re.fullmatch(r"[+-]?\d+\.\d+", c) for c in rows[0])
    return bool(solid) and all(a == b for a, b in solid) and telling


def _units(rows: list[list[str]], options: ReadOptions, missing: frozenset[str], notes: Notes) -> int:
    """1 if a line of units follows: no number and no time in it, while the next line has some."""
    if options.units is not None:
        return int(options.units)
    if len(rows) < 2:
        return 0
    kinds = [{_kind(c, missing) for c in row} for row in rows[:2]]
    if "text" in kinds[0] and not kinds[0] & {"number", "time"} and kinds[1] & {"number", "time"}:
        shared = [a == b for a, b in zip(rows[0], rows[1], strict=False) if _kind(b, missing) == "text"]
        if not any(shared):
            notes.guess("units", "true", f"{several([c for c in rows[0] if c.strip()])} under the header")
            return 1
    return 0


def _marks(
    path: str, rows: tuple[tuple[str, ...], ...], delimiter: str, options: ReadOptions, notes: Notes
) -> tuple[str, str]:
    """The decimal mark and the mark between thousands."""
    if options.decimal is not None or options.thousands is not None:
        decimal = options.decimal or ("," if options.thousands == "." else ".")
        return decimal, options.thousands or ""
    cells = {
        c.strip()
        for row in rows
        for c in row
        if "," in c or ("'" in c or " " in c or "\u00a0" in c or c.count(".") > 1)
    }
    commas = [c for c in cells if COMMA.fullmatch(c)]
    grouped = {m for c in cells if (m := GROUPED.fullmatch(c))}
    both = next((m for m in grouped if m[4] and m[4] != m[1]), None)
    if both is not None:
        notes.guess("thousands", both[1], f"as in {both[0]}")
        return both[4], both[1]
    if any(not GROUPED.fullmatch(c) or c.lstrip("+-").startswith("0") for c in commas):
        notes.guess(
            "decimal",
            ",",
            f"as in {min(c for c in commas if not GROUPED.fullmatch(c) or c.lstrip('+-').startswith('0'))}",
        )
        return ",", ""
    repeated = next((m for m in grouped if m[2] or m[1] not in ".,"), None)
    if repeated is not None:
        notes.guess("thousands", repeated[1], f"as in {repeated[0]}")
        return "," if repeated[1] == "." else ".", repeated[1]
    if commas and any(re.fullmatch(r"[+-]?\d+\.\d+", c) for row in rows for c in row):
        notes.guess("thousands", ",", f"as in {min(commas)}")
        return ".", ","
    if commas:
        raise InputError(
            f"{path}: {min(commas)} may be a fraction or thousands; data.decimal=comma or data.thousands=comma"
        )
    return ".", ""

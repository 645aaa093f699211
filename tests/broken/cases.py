# ruff: noqa: E501 - a case a line
"""Broken inputs: each written into a folder, with the place and the cause that its one line must name.

`at` is what follows the file's name in the line (`:7` for line 7, "" where a file as a whole is wrong), `cause` words of the line, and
`mends` says whether the line must name an option that mends it. `options` are what the user said before.
"""

import csv
import gzip
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Case:
    """One broken input and the line it must give."""

    name: str
    file: str
    write: Callable[[Path], None]
    at: str
    cause: str
    mends: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


def wide(rows: int = 12, start: str = "2026-01-01") -> list[list[str]]:
    """A header and hourly rows of two columns."""
    times = pd.date_range(start, periods=rows, freq="h")
    return [["ds", "a", "b"], *([str(t), f"{i + 0.5}", f"{10 - i}"] for i, t in enumerate(times))]


def long(rows: int = 6, names: tuple[str, ...] = ("p1", "p2"), start: str = "2026-01-01") -> list[list[str]]:
    """A header and hourly rows of a few series."""
    times = pd.date_range(start, periods=rows, freq="h")
    return [["unique_id", "ds", "y"], *([n, str(t), f"{i}.5"] for n in names for i, t in enumerate(times))]


def text(table: list[list[str]], delimiter: str = ",") -> str:
    """The table as CSV."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(table)
    return out.getvalue()


def changed(table: list[list[str]], row: int, column: int, cell: str) -> list[list[str]]:
    """The table with another cell; row 0 is the header, so row r stands on line r + 1."""
    table = [list(r) for r in table]
    table[row][column] = cell
    return table


def bytes_of(content: str | bytes) -> Callable[[Path], None]:
    """A writer of these contents."""
    return lambda path: path.write_bytes(content if isinstance(content, bytes) else content.encode()) and None


def of(table: list[list[str]]) -> Callable[[Path], None]:
    """A writer of the table as CSV."""
    return bytes_of(text(table))


def lines(*rows: str) -> Callable[[Path], None]:
    """A writer of these lines."""
    return bytes_of("\n".join(rows) + "\n")


def parquet(**columns: Any) -> Callable[[Path], None]:
    """A writer of these columns."""
    return lambda path: pd.DataFrame(columns).to_parquet(path)


def _beside(name: str, content: str, table: list[list[str]]) -> Callable[[Path], None]:
    """A writer of the table and of another file beside it."""

    def write(path: Path) -> None:
        path.write_text(text(table))
        (path.parent / name).write_text(content)

    return write


def _damaged_gzip() -> bytes:
    whole = bytearray(gzip.compress(text(wide(200)).encode()))
    whole[-6] ^= 0xFF  # the checksum
    return bytes(whole)


def _bomb() -> bytes:
    row = b"2026-01-01,0.0\n"
    return gzip.compress(b"ds,y\n" + row * 3_000_000, 9)


def _binary() -> bytes:
    return np.random.default_rng(0).bytes(4000)


TIMES = [str(t) for t in pd.date_range("2026-01-01", periods=12, freq="h")]
HALF = [["2026-01-01 03:17:00", "3", "3"]]
AUTUMN = [
    "2026-10-25 00:30:00",
    "2026-10-25 01:30:00",
    "2026-10-25 02:30:00",
    "2026-10-25 02:30:00",
    "2026-10-25 03:30:00",
]

CASES = [
    # The file
    Case("no such file", "pmup.csv", lambda path: (path.parent / "pump.csv").write_text(text(wide())) and None, "", "did you mean"),
    Case("folder", "pump.csv", lambda path: path.mkdir(), "", "not a file", mends=False),
    Case("empty", "pump.csv", bytes_of(""), "", "empty", mends=False),
    Case("blank", "pump.csv", bytes_of(" \n\n \n"), "", "nothing but blanks", mends=False),
    Case("header only", "pump.csv", lines("ds,y"), ":1", "no rows", mends=False),
    Case("binary", "pump.csv", bytes_of(_binary()), "", "binary", mends=False),
    Case("picture", "pump.csv", bytes_of(b"\x89PNG\r\n\x1a\n" + b"\0" * 50), "", "PNG", mends=False),
    Case("old workbook", "pump.xls", bytes_of(b"\xd0\xcf\x11\xe0" + b"\0" * 50), "", ".xls", mends=False),
    Case("workbook that is none", "pump.xlsx", bytes_of(b"PK\x03\x04" + b"\0" * 50), "", "no readable workbook", mends=False),
    Case("parquet that is none", "pump.parquet", bytes_of(b"PAR1" + b"\0" * 50), "", "no readable Parquet", mends=False),
    Case("parquet without rows", "pump.parquet", parquet(ds=[], y=[]), "", "no rows", mends=False),
    Case("too large", "pump.csv", of(wide()), "", "more than the 100 allowed", options={"max_bytes": 100}),
    # Compression
    Case("gzip cut", "pump.csv.gz", bytes_of(gzip.compress(text(wide(5000)).encode())[:-4000]), "", "cut short"),
    Case("gzip damaged", "pump.csv.gz", bytes_of(_damaged_gzip()), "", "damaged", mends=False),
    Case("gzip bomb", "pump.csv.gz", bytes_of(_bomb()), "", "gzip bomb", options={"repeated": "last", "clock": "D"}),
    Case("unpacks to too much", "pump.csv.gz", bytes_of(gzip.compress(text(wide(50)).encode())), "", "allowed", options={"max_bytes": 900}),
    Case("gzip in gzip", "pump.csv.gz", bytes_of(gzip.compress(gzip.compress(text(wide()).encode()))), "", "twice", mends=False),
    # Characters
    Case("Latin letters", "pump.csv", bytes_of(text(changed(wide(), 0, 1, "Außen")).encode("cp1252")), ":1", "0xdf is not UTF-8"),
    Case("two bytes a letter", "pump.csv", bytes_of(text(wide()).encode("utf-16-le")), "", "binary"),
    Case("NUL bytes", "pump.csv", bytes_of(text(wide()).encode().replace(b"05:00:00,5.5", b"05:00:00,\0\0\0")), ":7", "NUL"),
    Case("cut in a line", "pump.csv", bytes_of(text(wide())[:-5]), ":13", "does not end in a newline"),
    Case("no newline at the end", "pump.csv", bytes_of(text(wide())[:-1]), ":13", "data.last_line=keep"),
    Case("cut in a letter", "pump.csv", bytes_of(text(changed(wide(), 12, 2, "µ")).encode()[:-2]), ":13", "does not end in a newline"),
    # Header and rows
    Case("one name twice", "pump.csv", of(changed(wide(), 0, 2, "a")), ":1", "'a' heads columns 2 and 3"),
    Case("lines above the header", "pump.csv", bytes_of("Logger 17\nPlant B\n" + text(wide())), ":1", "lines above the header"),
    Case("column without a name", "pump.csv", lines("ds,y", *(f"{i},{t},{i}" for i, t in enumerate(TIMES))), ":1", "2 names for 3 columns"),
    Case("field too many", "pump.csv", bytes_of(text(wide()).replace("4.5,6", "4.5,6,9")), ":6", "4 fields where the header has 3"),
    Case("field too few", "pump.csv", bytes_of(text(wide()).replace("4.5,6", "4.5")), ":6", "2 fields where the header has 3"),
    Case("open quote", "pump.csv", bytes_of(text(wide()).replace("4.5,6", '4.5,"6')), ":6", "quote", options={"target": "a"}),
    Case("no numbers", "pump.csv", lines("ds,y", *(f"{t},clear" for t in TIMES)), ":1", "no column of numbers", mends=False),
    # Numbers
    Case("text in numbers", "pump.csv", of(changed(wide(), 7, 1, "err")), ":8", "'err' in column 'a' is no number"),
    Case("several words in numbers", "pump.csv", of(changed(changed(wide(), 7, 1, "bad value"), 9, 1, "Null.")), ":8", "'bad value'"),
    Case("text in some rows", "pump.csv", lines("ds,a,b", *(f"{t},{f'v{i}' if i < 6 else i},1" for i, t in enumerate(TIMES * 1))), ":2", "like"),
    Case("number too large", "pump.csv", of(changed(wide(), 3, 2, "1e400")), ":4", "'1e400' in column 'b' is too large"),
    Case("infinite", "pump.csv", of(changed(wide(), 3, 2, "-inf")), ":4", "'-inf' in column 'b'"),
    Case("infinite in Parquet", "pump.parquet", parquet(ds=pd.date_range("2026-01-01", periods=4), y=[1.0, np.inf, 2.0, 3.0]), ": row 2", "not finite"),
    Case("fraction or thousands", "pump.csv", lines("ds;y", *(f"{t};1,{i + 200}" for i, t in enumerate(TIMES))), "", "fraction or thousands"),
    # Times
    Case("day or month first", "pump.csv", lines("ds,y", *(f"0{i}/0{i + 1}/2026,{i}" for i in range(1, 6))), ":2", "day or the month first"),
    Case("day and month first", "pump.csv", lines("ds,y", "13/01/2026,1", "14/01/2026,2", "01/15/2026,3", "16/01/2026,4"), ":2", "day first"),
    Case("no such date", "pump.csv", lines("ds,y", *(f"2026-02-{i},{i}" for i in range(24, 31)), "2026-03-01,1"), ":7", "'2026-02-29'"),
    Case("no such compact date", "pump.csv", lines("ds,y", *(f"202602{i},{i}" for i in range(10, 30))), ":21", "no time"),
    Case("row without a time", "pump.csv", of(changed(wide(), 5, 0, "")), ":6", "no time in column 'ds'"),
    Case("no times at all", "pump.csv", lines("ds,y", *(f"soon{i},{i}" for i in range(9))), ":2", "'soon0' in column 'ds' is no time"),
    Case("fractions for times", "pump.csv", lines("ds,y", *(f"{i}.25,{i}" for i in range(9))), ":2", "0.25 in column 'ds' is no time"),
    Case("offset here, none there", "pump.csv", of(changed(wide(), 4, 0, "2026-01-01T03:00:00+00:00")), ":2", "without UTC offset"),
    Case("hour that does not exist", "pump.csv", of(wide(6, "2026-03-29")), ":4", "no time in Europe/Berlin", options={"timezone": "Europe/Berlin"}),
    Case("other shape than stated", "pump.csv", of(changed(wide(), 5, 0, "01.01.2026 04:00")), ":6", "no time", options={"format": "%Y-%m-%d %H:%M:%S"}),
    # Rows
    Case("row without a name", "pump.csv", of(changed(long(), 3, 0, "")), ":4", "no name in column 'unique_id'"),
    Case("repeated time", "pump.csv", of(changed(long(), 10, 1, TIMES[2])), ":11", "series 'p2' has 1 row with a repeated time"),
    Case("row copied", "pump.csv", of([*wide()[:5], wide()[4], *wide()[5:]]), ":6", "copies of the row before"),
    Case("clocks went back", "pump.csv", lines("ds,y", *(f"{t},{i}" for i, t in enumerate(AUTUMN))), ":5", "2026-10-25 02:30"),
    Case("stores not told apart", "sales.csv", lines("store,ds,y", *(f"{s},2026-01-0{d},{d}.5" for s in (7, 8) for d in range(1, 8))), ":9", "repeated"),
    Case("off the clock", "pump.csv", of([*wide(), ["2026-01-01 12:17:00", "3", "3"]]), ":14", "1 row off the clock (h)"),
    Case("off an integer clock", "pump.csv", lines("ds,y", *(f"{5 * i},{i}" for i in range(20)), "98,1"), ":22", "off the clock"),
    Case("two rows on one tick", "pump.csv", of([*wide(), ["2026-01-01 12:17:00", "3", "3"], ["2026-01-01 12:00:00", "4", "4"]]), ":14", "repeated", options={"off_clock": "round"}),
    Case("wrong year", "pump.csv", lines("ds,y", *(f"{t},1" for t in pd.date_range("2026-01-01", periods=9, freq="s")), "2062-01-01 00:00:09,1"), ":11", "missing rows before this one"),
    Case("single row", "pump.csv", lines("ds,y", "2026-01-01,1"), ":2", "single row"),
    Case("two clocks", "pump.csv", of([*long(8, ("p1",)), *long(8, ("p2",), "2026-01-01 00:20")[1:]]), "", "2 clocks"),
    # What the user named
    Case("column misspelt", "pump.csv", of(wide()), ":1", "no column 'bb' for data.target", options={"target": ["a", "bb"]}),
    Case("static that changes", "pump.csv", lines("unique_id,ds,y,city", *(f"p,2026-01-0{d},{d},{'Bonn' if d < 5 else 'Ulm'}" for d in range(1, 9))), ":6", "changes within series 'p'", options={"static": "city"}),
    Case("static that is not known", "pump.csv", lines("unique_id,ds,y,city", *(f"{s},2026-01-0{d},{d},{'Bonn' if s == 'p' else ''}" for s in "pq" for d in range(1, 9))), "", "no value for series 'q'", options={"static": "city"}),
    Case("label that is neither 0 nor 1", "pump.csv", of(changed(wide(), 3, 2, "7")), ":2", "label column 'b'", options={"labels": "b"}),
    Case("label of no series", "pump.csv", _beside("labels.csv", "unique_id,start,end\np1,2026-01-01,2026-01-02\np9,2026-01-01,2026-01-02\n", long()), "labels.csv:3", "no series 'p9'", options={"labels": "labels.csv"}),
    Case("label that ends first", "pump.csv", _beside("labels.csv", "unique_id,start,end\np1,2026-01-02,2026-01-01\n", long()), "labels.csv:2", "before it starts", options={"labels": "labels.csv"}),
    Case("labels without an end", "pump.csv", _beside("labels.csv", "unique_id,start\np1,2026-01-02\n", long()), "labels.csv:1", "no column 'end'", options={"labels": "labels.csv"}),
]  # fmt: skip

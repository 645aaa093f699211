"""Files that are no text: Parquet, the first sheet of a workbook; and data frames."""

import csv
import datetime
import io
import zipfile
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet

from forecast.errors import InputError
from forecast.series.read import content
from forecast.series.read.dialect import MISSING, check_names
from forecast.series.read.options import Notes, ReadOptions
from forecast.series.read.table import Table
from forecast.series.read.text import text_table


def read_table(path: str, options: ReadOptions, notes: Notes, texts: frozenset[str], whole: frozenset[str]) -> Table:
    """The table in a file; columns in `texts` (lower case) stay text, those in `whole` keep whole numbers exact."""
    data = content.load(path, options)
    if data.startswith(b"PAR1") or path.endswith(".parquet"):
        return parquet_table(path, data, options)
    if data.startswith(b"PK\x03\x04"):
        return text_table(path, first_sheet(path, data, options), options, notes, texts, whole)
    return text_table(path, content.text(path, data, options, notes), options, notes, texts, whole)


def parquet_table(path: str, data: bytes, options: ReadOptions) -> Table:
    """The columns of a Parquet file."""
    try:
        file = parquet.ParquetFile(pa.BufferReader(data))
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.metadata.num_row_groups))
        if size > options.max_bytes:
            raise InputError(
                f"{path}: unpacks to {size} bytes, more than the {options.max_bytes} allowed; "
                f"data.max_bytes={size} reads it"
            )
        columns = file.read()
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: no readable Parquet file ({str(error).splitlines()[0]}); fetch it again, or give a CSV"
        ) from None
    return _typed(path, columns, options)


def frame_table(frame: pd.DataFrame, options: ReadOptions) -> Table:
    """The columns of a data frame; an index of times or names becomes columns too."""
    if not isinstance(frame.index, pd.RangeIndex) or frame.index.name:
        names = [
            n if n is not None else "ds" if isinstance(i, pd.DatetimeIndex) else f"index_{k}"
            for k, (n, i) in enumerate(_levels(frame.index))
        ]
        frame = frame.reset_index(names=names)
    columns = {}
    for name, column in zip(frame.columns, (frame.iloc[:, i] for i in range(frame.shape[1])), strict=True):
        if isinstance(column.dtype, pd.PeriodDtype):
            column = column.dt.to_timestamp()
        try:
            columns[str(name)] = pa.Array.from_pandas(column)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            columns[str(name)] = pa.Array.from_pandas(column.astype("string"))
    check_names("the frame", tuple(map(str, frame.columns)), 0)
    return _typed("the frame", pa.table(columns), options)


def _levels(index: pd.Index) -> list[tuple[Any, pd.Index]]:
    """Names and values of the levels of an index."""
    return [(n, index.get_level_values(k)) for k, n in enumerate(index.names)]


def _typed(source: str, table: pa.Table, options: ReadOptions) -> Table:
    """Columns in the few types that the parsers know."""
    check_names(source, tuple(table.column_names), 0)
    if len(table) == 0:
        raise InputError(f"{source}: has columns but no rows")
    columns = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("us", kind.tz and "UTC"), safe=False)
        elif pa.types.is_date(kind):
            column = column.cast(pa.timestamp("us"))
        elif (
            pa.types.is_floating(kind)
            or pa.types.is_decimal(kind)
            or pa.types.is_boolean(kind)
            or pa.types.is_null(kind)
        ):
            column = column.cast(pa.float64())
        elif pa.types.is_integer(kind):
            column = column.cast(pa.int64())
        elif pa.types.is_dictionary(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            column = column.cast(pa.string())
        elif not pa.types.is_string(kind):
            continue  # nested or binary: no reader of ours could use it; named only if somebody asks for it
        columns[name] = column
    return Table(source, columns, missing=frozenset((*MISSING, *options.missing)))


def first_sheet(path: str, data: bytes, options: ReadOptions) -> bytes:
    """The first sheet of a workbook as lines of text, blank ones where it has blank rows."""
    try:
        import openpyxl
    except ImportError:
        raise InputError(
            f"{path}: workbooks need openpyxl: pip install 'forecast[xlsx]'; or save it as .csv for data.path"
        ) from None
    try:
        size = sum(entry.file_size for entry in zipfile.ZipFile(io.BytesIO(data)).infolist())
        if size > min(options.max_bytes, max(content.SMALL, options.max_ratio * len(data))):
            raise InputError(
                f"{path}: unpacks to {size} bytes, like a zip bomb; "
                f"data.max_bytes={max(size, options.max_bytes)} data.max_ratio=2000 reads it if you trust it"
            )
        sheet = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True).worksheets[0]
        rows = [[_cell(c) for c in row] for row in sheet.iter_rows(values_only=True)]
    except (zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError) as error:
        raise InputError(f"{path}: no readable workbook ({error}); save it as .csv for data.path") from None
    while rows and not any(rows[-1]):
        rows.pop()
    width = max((len(r) - next((i for i, c in enumerate(reversed(r)) if c), len(r)) for r in rows), default=0)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in rows:
        if any(row):
            writer.writerow([*row, *[""] * width][:width])
        else:
            out.write("\n")
    if not rows:
        raise InputError(f"{path}: the first sheet is empty; save the right one as .csv for data.path")
    return out.getvalue().encode()


def _cell(value: object) -> str:
    """A cell as text."""
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    return str(value)

"""Rows under one header, read column by column by Arrow.

Names of sensors are numbered once and for all, in the order in which they come; a chunk's own dictionary is looked up in them.
"""

import io
import re
from functools import cache, cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv

from forecast.watch.columns import Columns
from forecast.watch.moments import NONE, moments
from forecast.watch.readings import MISSING_WORDS, Ints, Readings
from forecast.watch.zones import Zones


class SlowError(Exception):
    """Lines that cannot be read column by column."""


class Sheet:
    """The columns of a header, and the sensors seen under it."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns
        self.names: list[str] = []  # of readings: sensor by sensor, its values one after the other
        self._sensors = pa.array([], pa.string())
        if columns.sensor is None:
            self._know(pa.array([""]))

    @cached_property
    def pattern(self) -> "re.Pattern[bytes]":
        """What a line without a flaw looks like; what does not look so may still be one."""
        words = "|".join(map(re.escape, sorted(_spellings(), key=len, reverse=True)))
        cell = f'[^{re.escape(self.columns.delimiter)}"\\x00\\r\\n]'
        kinds = {name: rf"(?:[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?|{words})" for name in self.columns.values}
        cells = [
            kinds.get(name, f"{cell}+" if name == self.columns.time else f"{cell}*") for name in self.columns.names
        ]
        return re.compile((re.escape(self.columns.delimiter).join(cells) + r"\r?").encode())

    def read(self, text: bytes, lines: Ints, zones: Zones) -> tuple[Readings, Ints]:
        """The readings of lines with these numbers, and the numbers of lines that are none as they stand."""
        columns = self.columns
        if b"\0" in text:
            raise SlowError
        table = _table(text, columns)
        if len(table) != len(lines):
            raise SlowError
        values = np.stack([table[name].combine_chunks().to_numpy(zero_copy_only=False) for name in columns.values], 1)
        read = moments(table[columns.time].combine_chunks())
        sensor = self._sensor(table)
        good = (read.stamp != NONE) & (sensor >= 0) & ~np.isinf(values).any(1)
        odd = lines[~good]
        if len(odd) and zones.patterns:
            raise SlowError
        kept = slice(None) if not len(odd) else good
        width = values.shape[1]
        code = (sensor[kept][:, None] * width + np.arange(width)).reshape(-1)
        stamps, wall = read.stamp[kept].repeat(width), read.wall[kept].repeat(width)
        if zones.patterns:
            used, own = np.unique(code, return_inverse=True)
            utc = zones.plain([self.names[i] for i in used.tolist()], own, stamps, wall)
            if utc is None:
                raise SlowError
            stamps = utc
        return Readings(self.names, code, stamps, values[kept].reshape(-1), lines[kept].repeat(width)), odd

    def _sensor(self, table: pa.Table) -> Ints:
        """The number of each row's sensor; -1 where its name is empty or has spaces around it."""
        if self.columns.sensor is None:
            return np.zeros(len(table), dtype=np.int64)
        coded = table[self.columns.sensor].unify_dictionaries().combine_chunks()
        coded = coded.chunk(0) if isinstance(coded, pa.ChunkedArray) else coded
        number = pc.index_in(coded.dictionary, value_set=self._sensors)
        if number.null_count:
            fresh = coded.dictionary.filter(number.is_null())
            trimmed = pc.utf8_trim_whitespace(fresh)
            self._know(fresh.filter(pc.and_(pc.equal(fresh, trimmed), pc.not_equal(fresh, ""))))
            number = pc.index_in(coded.dictionary, value_set=self._sensors)
        numbers = number.fill_null(-1).to_numpy().astype(np.int64)
        return numbers[coded.indices.to_numpy()]

    def _know(self, fresh: pa.Array) -> None:
        """More sensors behind those that are known."""
        self._sensors = pa.concat_arrays([self._sensors, fresh])
        self.names += [self.columns.label(name, value) for name in fresh.to_pylist() for value in self.columns.values]


def _table(text: bytes, columns: Columns) -> pa.Table:
    kinds: dict[str, pa.DataType] = {name: pa.float64() for name in columns.values} | {columns.time: pa.string()}
    if columns.sensor:
        kinds[columns.sensor] = pa.dictionary(pa.int32(), pa.string())
    try:
        return pacsv.read_csv(
            io.BytesIO(text),
            pacsv.ReadOptions(column_names=list(columns.names), use_threads=False, block_size=len(text) + 1),
            pacsv.ParseOptions(delimiter=columns.delimiter, ignore_empty_lines=False),
            pacsv.ConvertOptions(
                column_types=kinds, include_columns=list(kinds), null_values=_spellings(), strings_can_be_null=False
            ),
        )
    except pa.ArrowInvalid as error:
        raise SlowError from error


@cache
def _spellings() -> list[str]:
    """The words for missing in the cases that people write."""
    return sorted(
        {form for word in MISSING_WORDS for form in (word, word.upper(), word.title(), word.capitalize(), "NaN")}
    )

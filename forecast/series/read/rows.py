"""From columns to rows in order: who, when, what; repeated and unordered rows counted and treated as the user says."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.series.clock import DAY
from forecast.series.read import content
from forecast.series.read.numbers import words_of
from forecast.series.read.options import Notes, ReadOptions, count, override, problem
from forecast.series.read.roles import COUNTED, Roles, find_id
from forecast.series.read.table import Table
from forecast.series.read.times import Times, times
from forecast.series.read.zones import to_utc

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
UNNAMED = "series"  # the only one of a table without a column of names
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """N rows of S series, each with C readings, K inputs and a flag for its label."""

    names: tuple[str, ...]  # (S)
    codes: Ints  # (N) the series of each row
    stamps: Ints  # (N) microseconds UTC, or on the wall clock where no zone is known; or plain numbers
    integer: bool
    row: Ints  # (N) the row of the table it came from
    values: Values  # (N C)
    inputs: Values  # (N K)
    labels: Values  # (N) NaN where not stated

    def take(self, chosen: NDArray[np.generic]) -> "Rows":
        """Some of the rows, in the order given."""
        parts = (self.codes, self.stamps, self.row, self.values, self.inputs, self.labels)
        codes, stamps, row, values, inputs, labels = (part[chosen] for part in parts)
        return Rows(self.names, codes, stamps, self.integer, row, values, inputs, labels)

    def when(self, index: int) -> str:
        """The time of a row for a person."""
        return (
            str(self.stamps[index]) if self.integer else str(pd.Timestamp(np.datetime64(int(self.stamps[index]), "us")))
        )

    def edges(self) -> Ints:
        """Where each series begins and the last one ends (S+1), in rows that are in order."""
        return np.searchsorted(self.codes, np.arange(len(self.names) + 1)).astype(np.int64)


def series_of(table: Table, id: tuple[str, ...]) -> tuple[tuple[str, ...], Ints]:
    """The names of the series in order of appearance, and the series of each row."""
    if not id:
        return (UNNAMED,), np.zeros(len(table), dtype=np.int64)
    coded = []
    for name in id:
        column = table.columns[name]
        if pa.types.is_floating(column.type) and pc.all(pc.equal(pc.floor(column), column)).as_py():
            column = column.cast(pa.int64())
        coded.append(words_of(column))
    codes, words = coded[0][0], coded[0][1].to_pylist()
    for more, others in coded[1:]:
        codes, words = codes * len(others) + more, [f"{a}/{b}" for a in words for b in others.to_pylist()]
    used, first, codes = np.unique(codes, return_index=True, return_inverse=True)
    place: dict[str, int] = {}
    for k in np.argsort(first, kind="stable"):
        place.setdefault(words[int(used[k])].strip(), len(place))
    return tuple(place), np.array([place[words[int(k)].strip()] for k in used], dtype=np.int64)[codes]


def arrange(table: Table, roles: Roles, options: ReadOptions, notes: Notes) -> tuple[Rows, Roles]:
    """The rows without readings, in order of series and time; roles with the column of names that times called for."""
    when = times(table, roles.time, options, notes) if roles.time and set(roles.time) <= set(table.columns) else None
    if when is not None and not roles.id and options.layout is None:
        found = _telling(table, when, roles, options)
        if found:
            notes.guess("id", found, "it tells rows with the same time apart")
            roles = replace(roles, id=found)
    names, codes = series_of(table, roles.id)
    if when is None:
        if not roles.time:
            notes.guess("time", COUNTED, "no column of times: rows are counted in each series")
        when = Times(True, _counted(codes), np.zeros(len(table), dtype=bool), np.zeros(len(table), dtype=bool))
    stamps, bad = when.stamps, when.bad
    if not when.integer:
        stamps, bad = to_utc(stamps, when.zoned, bad, codes, options.timezone, table, notes)
    none = np.zeros((len(table), 0))
    rows = Rows(names, codes, stamps, when.integer, np.arange(len(table)), none, none, np.full(len(table), np.nan))
    if bad.any():
        fixes = ["data.bad_rows=drop leaves such rows out"] if not bad.all() else ["data.time=[row] counts the rows"]
        rows = _without(table, rows, bad, _no_time(table, int(bad.argmax()), roles, options), fixes, options, notes)
    if "" in names:
        what = f"no name in column {roles.id[0]!r}"
        rows = _without(table, rows, rows.codes == names.index(""), what, [content.ROW_OPTIONS], options, notes)
    return _ordered(table, rows, notes), roles


def _telling(table: Table, when: Times, roles: Roles, options: ReadOptions) -> tuple[str, ...]:
    """Columns of words that tell rows with the same time apart, if there are such rows."""
    stamps = when.stamps[~when.bad] if when.bad.any() else when.stamps
    if (np.diff(stamps) > 0).all() or (np.diff(np.sort(stamps)) > 0).all():
        return ()
    return find_id(table, when.stamps, roles, options, words=True)


def _counted(codes: Ints) -> Ints:
    """The number of each row in its series."""
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    counted = np.empty(len(codes), dtype=np.int64)
    counted[order] = np.arange(len(codes)) - np.repeat(starts, np.diff([*starts, len(codes)]))
    return counted


def _no_time(table: Table, row: int, roles: Roles, options: ReadOptions) -> str:
    """Why a row has no time."""
    cells = [table.columns[n][row] for n in roles.time]
    shown = " ".join(str(c.as_py()) for c in cells if c.is_valid).strip()
    zone = f" in {options.timezone}" if options.timezone else ""
    return (
        f"{shown!r} in column {roles.time[0]!r} is no time{zone}" if shown else f"no time in column {roles.time[0]!r}"
    )


def _without(
    table: Table, rows: Rows, bad: Flags, what: str, fixes: list[str], options: ReadOptions, notes: Notes
) -> Rows:
    """The other rows, and of the series those that still have some."""
    place, number = table.at(int(rows.row[bad.argmax()])), int(bad.sum())
    if options.bad_rows == "error" or bad.all():
        raise problem(place, f"{what} ({count(number, 'such row')})", *fixes)
    notes.repair("bad row", number, f"{place}: {what}, left out ({count(number, 'such row')})")
    left = rows.take(~bad)
    used, codes = np.unique(left.codes, return_inverse=True)
    return replace(left, names=tuple(rows.names[int(k)] for k in used), codes=codes)


def _ordered(table: Table, rows: Rows, notes: Notes) -> Rows:
    """The rows by series and time; within equal ones as in the file."""
    if (np.diff(rows.codes) < 0).any():
        rows = rows.take(np.argsort(rows.codes, kind="stable"))
    back = (np.diff(rows.stamps) < 0) & (np.diff(rows.codes) == 0)
    if not back.any():
        return rows
    index = int(back.argmax()) + 1
    number = int(back.sum())
    notes.repair(
        "unsorted",
        number,
        f"{table.at(int(rows.row[index]))}: {count(number, 'row')} earlier than the row before, put in order",
    )
    return rows.take(np.lexsort((rows.stamps, rows.codes)))


def single(table: Table, rows: Rows, roles: Roles, options: ReadOptions, notes: Notes) -> Rows:
    """One row for each series and time."""
    again = np.concatenate([[False], (np.diff(rows.stamps) == 0) & (np.diff(rows.codes) == 0)])
    number = int(again.sum())
    if not number:
        return rows
    at = int(again.argmax())
    place = table.at(int(rows.row[at]))
    if options.repeated == "error":
        raise problem(place, _repeated(rows, again, at), *_cures(table, rows, again, roles, options))
    notes.repair(
        "repeated", number, f"{place}: {count(number, 'row')} with a repeated time, the {options.repeated} taken"
    )
    starts = np.flatnonzero(~again)
    if options.repeated == "first":
        return rows.take(starts)
    if options.repeated == "last":
        return rows.take(np.append(starts[1:], len(again)) - 1)
    return replace(rows.take(starts), values=means(rows.values, starts), inputs=means(rows.inputs, starts))


def means(values: Values, starts: Ints) -> Values:
    """Mean of what is there in each group of rows."""
    if not values.size:
        return values[starts]
    there = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.add.reduceat(np.where(there, values, 0.0), starts) / np.add.reduceat(there.astype(np.float64), starts)


def _repeated(rows: Rows, again: NDArray[np.bool_], at: int) -> str:
    """What is repeated, and whether it is the same again."""
    name = rows.names[int(rows.codes[at])]
    number = int((again & (rows.codes == rows.codes[at])).sum())
    others = len(np.unique(rows.codes[again])) - 1
    who = f"series {name!r} has " if len(rows.names) > 1 else ""
    also = f" (and {others} more series have some)" if others else ""
    later = np.flatnonzero(again)
    same = np.array_equal(rows.values[later], rows.values[later - 1], equal_nan=True)
    copies = ", copies of the row before" if same else ""
    return f"{who}{count(number, 'row')} with a repeated time{copies}, the first at {rows.when(at)}{also}"


def _cures(table: Table, rows: Rows, again: NDArray[np.bool_], roles: Roles, options: ReadOptions) -> list[str]:
    """What to do about repeated rows, the likeliest first."""
    cures = ["data.repeated=last (or first, mean)"]
    in_file = rows.stamps[np.argsort(rows.row)]
    if not roles.id and len(rows.row) == len(table) and (found := find_id(table, in_file, roles, options, words=False)):
        cures.insert(0, f"{override('id', found)} tells them apart")
    if not rows.integer and options.timezone is None:
        stamps = rows.stamps[again]
        nights = pd.DatetimeIndex(stamps.astype("datetime64[us]"))
        if bool((nights.month.isin((3, 4, 9, 10, 11)) & (stamps % DAY < DAY // 6) & (nights.day_of_week == 6)).all()):
            cures.insert(0, "data.timezone=Europe/Berlin if local clocks went back there")
    return cures

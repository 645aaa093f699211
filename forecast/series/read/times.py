"""Cells to times: ISO, day or month first, names of months, quarters, weeks, compact dates, epochs, plain integers.

A word is matched by one of a few shapes and put together as whole numbers, so that a date that does not exist is
found and not moved. Out come microseconds since 1970, in UTC where the word carries an offset and on the wall clock
where not; or plain integers. What a table leaves open is asked, not chosen: 01/02/2020 alone may be in January or in
February.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.series.read.numbers import missing_words, numbers, parse, words_of
from forecast.series.read.options import Notes, ReadOptions, count, problem
from forecast.series.read.shapes import SHAPES, assemble, of_fields
from forecast.series.read.table import Table

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

EPOCHS = {"s": (1e8, 1e10, 1e6), "ms": (1e11, 1e13, 1e3), "us": (1e14, 1e16, 1.0), "ns": (1e17, 9.2e18, 1e-3)}
LARGEST = 2.0**62  # beyond it differences of times overflow
YEAR_1, YEAR_9999 = -6.2e16, 2.53e17  # in microseconds
PARTS = ("year", "quarter", "month", "day", "hour", "minute", "second")


@dataclass(frozen=True)
class Times:
    """The time of each row."""

    integer: bool  # plain integers; else microseconds since 1970
    stamps: Ints
    bad: Flags  # rows without a readable time
    zoned: Flags  # rows whose time carried an offset and is UTC


def times(table: Table, names: tuple[str, ...], options: ReadOptions, notes: Notes) -> Times:
    """The times of a table from one column, or from several that make a time together."""
    if len(names) > 1:
        return _together(table, names, options, notes)
    column = table.columns[names[0]]
    if pa.types.is_timestamp(column.type):
        stamps = pc.fill_null(column.cast(pa.int64()), 0).to_numpy()
        return Times(
            False,
            stamps,
            column.is_null().to_numpy(zero_copy_only=False),
            np.full(len(table), column.type.tz is not None),
        )
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        if options.format is None:
            return _of_numbers(
                table,
                names[0],
                pc.fill_null(column, 0).to_numpy(),
                column.is_null().to_numpy(zero_copy_only=False),
                options,
                notes,
            )
        column = column.cast(pa.int64()).cast(pa.string())
    codes, words = words_of(column)
    if options.format is None:
        values, bad = parse(words, table)
        if not bad.any() and np.isfinite(values).any():
            rows = np.nan_to_num(values)[codes]
            return _of_numbers(table, names[0], rows, np.isnan(values)[codes], options, notes)
    of_words = _formatted(words, options.format) if options.format else _of_words(words, codes, table, options, notes)
    stamps, ok, zoned = of_words
    return Times(False, stamps[codes], ~ok[codes], zoned[codes])


def _together(table: Table, names: tuple[str, ...], options: ReadOptions, notes: Notes) -> Times:
    """Columns named year, month, day, hour … as numbers, or a date and a time of day as words."""
    parts = {n.strip().lower(): n for n in names}
    if set(parts) <= set(PARTS) and "year" in parts:
        read = {p: numbers(table, n) for p, n in parts.items()}
        bad = np.any([~np.isfinite(v) for v in read.values()], axis=0)
        whole = {p: np.nan_to_num(v, nan=1.0).astype(np.int64) for p, v in read.items()}
        zero, one = np.zeros(len(table), dtype=np.int64), np.ones(len(table), dtype=np.int64)
        month = whole.get("month", (whole["quarter"] - 1) * 3 + 1 if "quarter" in whole else one)
        hour, minute, second = (whole.get(p, zero) for p in ("hour", "minute", "second"))
        stamps, ok = assemble(whole["year"], month, whole.get("day", one), hour, minute, second, zero)
        return Times(False, stamps, bad | ~ok, np.zeros(len(table), dtype=bool))
    texts = []
    for n in names:
        column = table.columns[n]
        if pa.types.is_timestamp(column.type):
            column = pc.strftime(column, format="%Y-%m-%d")
        texts.append(pc.fill_null(column.cast(pa.string()), ""))
    joined = pc.binary_join_element_wise(*texts, " ")
    joined = joined if isinstance(joined, pa.ChunkedArray) else pa.chunked_array([joined])
    whole_table = Table(table.source, {" ".join(names): joined}, find_lines=table.find_lines)
    return times(whole_table, (" ".join(names),), options, notes)


def _of_numbers(
    table: Table, name: str, values: NDArray[np.float64] | Ints, missing: Flags, options: ReadOptions, notes: Notes
) -> Times:
    """Times that are numbers: compact dates, an epoch, or counts."""
    none = np.zeros(len(values), dtype=bool)
    missing = missing | (np.abs(values) >= LARGEST)
    values = np.where(missing, 0, values)
    known = values[~missing]
    fractions = known.dtype.kind == "f" and bool((known % 1 != 0).any())
    if options.epoch in (None, "date") and len(known) and not fractions:
        dates, real = _dates(values.astype(np.int64), missing)
        if options.epoch == "date" or real[~missing].mean() > 0.9:
            if options.epoch is None:
                notes.guess("epoch", "date", f"as {int(known[0])}")
            return Times(False, dates, missing | ~real, none)
    unit = "none" if options.epoch == "date" else options.epoch or _epoch(known)
    if unit == "none":
        if fractions:
            row = int(np.flatnonzero(~missing & (values % 1 != 0))[0])
            what = f"{values[row]:g} in column {name!r} is no time; numbers with fractions"
            raise problem(table.at(row), what, "data.epoch=s takes them as seconds since 1970")
        return Times(True, values.astype(np.int64), missing, none)
    if options.epoch is None:
        notes.guess("epoch", unit, f"{known[0]:.0f} as time since 1970")
    factor = EPOCHS[unit][2]
    far = (values * factor < YEAR_1) | (values * factor >= YEAR_9999)
    values = np.where(far, 0, values)
    if fractions or factor < 1:
        stamps = np.round(values * factor).astype(np.int64) if fractions else values.astype(np.int64) // 1000
    else:
        stamps = values.astype(np.int64) * int(factor)
    return Times(False, stamps, missing | far, ~none)


def _epoch(known: NDArray[np.float64] | Ints) -> str:
    """The unit in which these numbers are times since 1970, between 1973 and 2286; none where they are not."""
    if not len(known):
        return "none"
    return next((u for u, (low, high, _) in EPOCHS.items() if low <= known.min() and known.max() < high), "none")


def _dates(values: Ints, missing: Flags) -> tuple[Ints, Flags]:
    """Stamps of numbers such as 20200131, 202001 or 2020013123, and which of them are such dates."""
    known = values[~missing]
    digits = len(str(int(np.median(known))))
    if digits not in (6, 8, 10, 12, 14) or known.min() <= 0:
        return values, np.zeros(len(values), dtype=bool)
    parts: list[Ints] = []
    rest = values
    for _ in range((digits - 4) // 2):
        rest, part = np.divmod(rest, 100)
        parts.insert(0, part)
    zero = np.zeros_like(values)
    month, day, hour, minute, second = [*parts, *([zero + 1] if digits == 6 else []), *[zero] * 3][:5]
    stamps, real = assemble(np.clip(rest, 1, 9999), month, day, hour, minute, second, zero)
    return stamps, real & (rest >= 1700) & (rest <= 2200)


def _formatted(words: pa.Array, form: str) -> tuple[Ints, Flags, Flags]:
    """Stamps by the user's own format."""
    zoned = "%z" in form
    index = pd.DatetimeIndex(pd.to_datetime(words.to_pylist(), format=form, errors="coerce", utc=zoned))
    index = (index.tz_convert(None) if zoned else index).as_unit("us")
    ok = ~np.asarray(index.isna())
    return np.where(ok, index.to_numpy().astype(np.int64), 0), ok, np.full(len(words), zoned)


def _of_words(
    words: pa.Array, codes: Ints, table: Table, options: ReadOptions, notes: Notes
) -> tuple[Ints, Flags, Flags]:
    """Stamps of words by the shapes they have."""
    n = len(words)
    stamps, ok, zoned = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    left, found = ~missing_words(words, table), {}
    for shape, pattern in SHAPES.items():
        if not left.any():
            break
        groups = pc.extract_regex(pc.if_else(pa.array(left), words.cast(pa.string()), None), pattern=pattern)
        hit = left & groups.is_valid().to_numpy(zero_copy_only=False)
        if not hit.any():
            continue
        at = np.flatnonzero(hit)
        fields = {f.name: groups.field(f.name).take(pa.array(at)) for f in groups.type}
        first, second = (
            ("a", "b")
            if shape == "year last" and _day_first(fields, words, at, codes, table, options, notes)
            else ("b", "a")
        )
        stamps[at], ok[at], zoned[at] = of_fields(fields, first, second)
        left &= ~hit
        found[shape] = at
    _note_shapes(found, words, codes, ok, notes)
    return stamps, ok, zoned


def _day_first(
    fields: dict[str, pa.Array],
    words: pa.Array,
    at: Ints,
    codes: Ints,
    table: Table,
    options: ReadOptions,
    notes: Notes,
) -> bool:
    """Whether the first number of 01/02/2020 is the day."""
    if options.dayfirst is not None:
        return options.dayfirst
    a, b = (fields[k].cast(pa.int64()).to_numpy(zero_copy_only=False) for k in "ab")
    day, month = a > 12, b > 12

    def line(which: Flags) -> tuple[str, str]:
        word = int(at[np.flatnonzero(which)[0]])
        return table.at(int((codes == word).argmax())), words[word].as_py()

    if day.any() and month.any():
        (place, one), (_, other) = line(day), line(month)
        fixes = [
            f"data.dayfirst={word} data.bad_rows=drop leaves out {count(int(lost.sum()), 'time')}"
            for word, lost in (("true", month), ("false", day))
            if (~lost).sum() > 1
        ]
        raise problem(place, f"{one!r} has the day first, {other!r} the month", *fixes)
    if not day.any() and not month.any() and not pc.all(pc.equal(fields["c"], ".")).as_py():
        place, word = line(~day)
        raise problem(
            place, f"{word!r} may have the day or the month first", "data.dayfirst=true", "data.dayfirst=false"
        )
    first = bool(day.any() or not month.any())
    notes.guess(
        "dayfirst", str(first).lower(), f"as in {line(day if day.any() else month if month.any() else ~day)[1]}"
    )
    return first


def _note_shapes(found: dict[str, Ints], words: pa.Array, codes: Ints, ok: Flags, notes: Notes) -> None:
    """Say so where times come in several shapes."""
    often = np.bincount(codes, minlength=len(words))
    shown = [
        f"{words[int(at[0])].as_py()!r} ({count(int(often[at].sum()), 'row')})" for at in found.values() if ok[at].any()
    ]
    if len(shown) > 1:
        notes.repair("shapes", len(shown), f"times come in {len(shown)} shapes: {', '.join(shown)}")

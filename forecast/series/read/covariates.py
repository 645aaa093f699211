"""Covariates: known inputs, observed channels and static ones, with words encoded as numbers.

A column of words becomes one column of 0 and 1 for each word (`weather=clear`), or one of codes in alphabetical order
where there are many; which it was stands in the report.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.series.read.numbers import is_text, missing_words, numbers, words_of
from forecast.series.read.options import Notes, ReadOptions, override, problem, several
from forecast.series.read.table import Table

MANY = 20  # different words from which on they become codes
Values = NDArray[np.float64]


def readings(table: Table, names: tuple[str, ...], more: list[Values]) -> Values:
    """Columns of the table, and more of them, side by side, each row together in memory."""
    out = np.empty((len(table), len(names) + len(more)))
    columns = [table.columns[n] for n in names]
    if columns and all(pa.types.is_float64(c.type) for c in columns):
        low = 0
        for piece in pa.table(columns, list(names)).to_batches(max_chunksize=1 << 13):  # pieces that stay in the cache
            for k, column in enumerate(piece.columns):
                out[low : low + len(piece), k] = column.to_numpy(zero_copy_only=False)
            low += len(piece)
        for k in np.flatnonzero(np.isinf(out[:, : len(names)]).any(0)).tolist():
            out[:, k] = numbers(table, names[k])
    else:
        more = [*(numbers(table, n) for n in names), *more]
    for k, column in enumerate(more):
        out[:, out.shape[1] - len(more) + k] = column
    return out


def encoded(
    table: Table, names: tuple[str, ...], options: ReadOptions, notes: Notes
) -> tuple[tuple[str, ...], list[Values]]:
    """Columns as numbers, those of words as several."""
    out: dict[str, Values] = {}
    for name in names:
        if not is_text(table, name):
            out[name] = numbers(table, name)
            continue
        codes, words = words_of(table.columns[name])
        missing = missing_words(words, table)
        words = pc.utf8_trim_whitespace(words).to_pylist()
        levels = sorted({w for w, m in zip(words, missing, strict=True) if not m})
        place = np.array([np.nan if m else levels.index(w) for w, m in zip(words, missing, strict=True)])[codes]
        how = options.categories or ("one_hot" if len(levels) <= MANY else "codes")
        if options.categories is None:
            notes.guess("categories", how, f"{name}: {several(levels, 8)}")
        if how == "codes":
            out[name] = place
        else:
            out |= {f"{name}={level}": np.where(np.isnan(place), np.nan, place == k) for k, level in enumerate(levels)}
    return tuple(out), list(out.values())


def static(
    table: Table,
    names: tuple[str, ...],
    codes: NDArray[np.int64],
    series: tuple[str, ...],
    options: ReadOptions,
    notes: Notes,
) -> tuple[tuple[str, ...], Values]:
    """One value for each series (S M) of columns that are constant in it; blank cells do not count."""
    labels, columns = encoded(table, names, options, notes)
    out = np.full((len(series), len(columns)), np.nan)
    for k, column in enumerate(columns):
        there = np.flatnonzero(np.isfinite(column))
        out[codes[there[::-1]], k] = column[there[::-1]]
        odd = there[column[there] != out[codes[there], k]]
        if len(odd):
            who = series[int(codes[odd[0]])]
            name = labels[k].partition("=")[0]
            kept = [n for n in options.static if n != name]
            fix = (
                f"{override('static', kept)} {override('inputs', [*options.inputs, name])} takes it as known in advance"
            )
            raise problem(table.at(int(odd[0])), f"static column {name!r} changes within series {who!r}", fix)
    if (unknown := np.isnan(out).any(0)).any():
        k = int(unknown.argmax())
        name, who = labels[k].partition("=")[0], series[int(np.isnan(out[:, k]).argmax())]
        kept = [n for n in options.static if n != name]
        raise problem(
            table.source,
            f"static column {name!r} has no value for series {who!r}",
            f"{override('static', kept)} leaves it out",
        )
    return labels, out

"""Labels in: a file of spans, `unique_id,start,end[,kind][,channels]`, or a column of 0 and 1 beside the readings."""

import difflib
import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.series.labels import Labels, Time
from forecast.series.panel import Panel
from forecast.series.read.formats import read_table
from forecast.series.read.numbers import numbers, words_of
from forecast.series.read.options import Notes, ReadOptions, count, override, problem, several
from forecast.series.read.table import Table
from forecast.series.read.times import times
from forecast.series.read.zones import to_utc

NAMES = ("unique_id", "item_id", "id", "series")


def flags(table: Table, name: str | None) -> NDArray[np.float64]:
    """A column of 0 and 1; NaN where there is none or nothing in it."""
    if name is None:
        return np.full(len(table), np.nan)
    values = numbers(table, name)
    odd = np.flatnonzero(~np.isnan(values) & (values != 0) & (values != 1))
    if len(odd):
        what = f"{values[odd[0]]:g} in the label column {name!r}, which holds 0 and 1 ({count(len(odd), 'such cell')})"
        raise problem(table.at(int(odd[0])), what, "data.labels=null reads no labels")
    return values


def read_labels(path: str, panels: tuple[Panel, ...], options: ReadOptions) -> Labels:
    """The labelled spans in a file."""
    texts = frozenset((*NAMES, "kind", "channels"))
    table = read_table(path, ReadOptions(path=path), Notes(), texts, frozenset(("start", "end")))
    columns = {n.lower(): n for n in table.columns}
    for name in ("start", "end"):
        if name not in columns:
            there = several(list(table.columns), 8)
            what = f"no column {name!r} among {there}; labels have unique_id,start,end[,kind][,channels]"
            raise problem(f"{table.source}:1", what, "data.labels=null reads no labels")
    series = {n: p for p in panels for n in p.names}
    key = next((columns[n] for n in NAMES if n in columns), None)
    if key is None and len(series) > 1:
        raise problem(
            f"{table.source}:1",
            f"no column unique_id, which says to which of {len(series)} series a span belongs",
            "data.labels=null reads no labels",
        )
    who = _words(table, key) if key else [next(iter(series))] * len(table)
    known = _check_series(table, who, series)
    start, end = (_times(table, columns[n], known, options) for n in ("start", "end"))
    for row, (a, b) in enumerate(zip(start, end, strict=True)):
        if b < a:  # type: ignore[operator]  # both are numbers or both are times
            raise problem(
                table.at(row), f"the label ends at {b}, before it starts at {a}", "data.labels=null reads no labels"
            )
    kind = _words(table, columns["kind"]) if "kind" in columns else [""] * len(table)
    named = _words(table, columns["channels"]) if "channels" in columns else [""] * len(table)
    channels = tuple(_channels(table, row, text, known[row]) for row, text in enumerate(named))
    return Labels(tuple(who), tuple(start), tuple(end), tuple(kind), channels)


def _words(table: Table, name: str) -> list[str]:
    codes, words = words_of(table.columns[name])
    texts = [w.strip() for w in words.to_pylist()]
    return [texts[c] for c in codes]


def _check_series(table: Table, who: list[str], series: dict[str, Panel]) -> list[Panel]:
    """The panel of each label's series."""
    for row, name in enumerate(who):
        if name not in series:
            near = difflib.get_close_matches(name, series, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {several(list(series), 3)}"
            raise problem(
                table.at(row), f"no series {name!r} for this label; {hint}", "data.labels=null reads no labels"
            )
    return [series[name] for name in who]


def _times(table: Table, name: str, known: list[Panel], options: ReadOptions) -> list[Time]:
    """Times as the panels show them."""
    asked = ReadOptions(dayfirst=options.dayfirst, epoch=options.epoch, format=options.format)
    found = times(table, (name,), asked, Notes())
    if found.bad.any():
        raise problem(
            table.at(int(found.bad.argmax())),
            f"no time in column {name!r}",
            override("labels", "null") + " reads no labels",
        )
    wrong = next((row for row, panel in enumerate(known) if (panel.clock.kind == "integer") != found.integer), None)
    if wrong is not None:
        what = f"{name!r} is a {'number' if found.integer else 'time'}, and the series' times are not"
        raise problem(table.at(wrong), what, "data.labels=null reads no labels")
    if found.integer:
        return [int(s) for s in found.stamps]
    stamps, _ = to_utc(
        found.stamps, found.zoned, found.bad, np.zeros(len(table), dtype=np.int64), options.timezone, table, Notes()
    )
    index = pd.DatetimeIndex(stamps.astype("datetime64[us]"))
    return list(index if options.timezone is None else index.tz_localize("UTC").tz_convert(options.timezone))


def _channels(table: Table, row: int, text: str, panel: Panel) -> tuple[str, ...]:
    """Channels by name, with ; | or blanks between them."""
    if not text or text in panel.channels:
        return (text,) if text else ()
    names = tuple(n.strip() for n in re.split(r"[;|]" if re.search(r"[;|]", text) else r"\s+", text) if n.strip())
    for name in names:
        if name not in panel.channels:
            raise problem(
                table.at(row),
                f"no channel {name!r} for this label; there are {several(list(panel.channels), 5)}",
                "data.labels=null reads no labels",
            )
    return names

"""Which column is what: named by the user, else known by its name, else by what it holds. Every guess is noted.

Names that other tools use are known: unique_id/ds/y, item_id/timestamp/target, id/timestamp/target, timestamp,value…,
and labels. Columns nobody asked for are left out only where that is said.
"""

import difflib
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.series.read.numbers import is_text, numbers, words_of
from forecast.series.read.options import Notes, ReadOptions, override, problem, several
from forecast.series.read.shapes import SHAPES
from forecast.series.read.table import Table
from forecast.series.read.text import WORDS

IDS = (
    *("unique_id", "item_id", "series_id", "id", "series", "sensor_id", "sensor", "kpi id", "kpi_id"),
    *("tag", "tagname", "device", "device_id", "meter_id"),
)
TIMES = (
    *("ds", "timestamp", "datetime", "date_time", "date", "time", "ts", "period"),
    *("week", "month", "day", "year", "datum", "index"),
)
NUMBERS = (
    "column_1",
    "no",
    "no.",
    "nr",
    "#",
    "n",
    "i",
    "t",
    "row",
    "idx",
    "obs",
    "record",
    "line",
    "unnamed: 0",
)  # of rows
TARGETS = ("y", "target", "value")
LABELS = ("label", "labels", "is_anomaly", "anomaly", "anomalies", "is anomaly")
COUNTED = "row"  # data.time=row: rows are counted, no column says when
BESIDE = ("split", "changepoint")  # columns that come with benchmark files and hold no readings


@dataclass(frozen=True)
class Roles:
    """The columns by what they are."""

    id: tuple[str, ...] = ()
    time: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    observed: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    static: tuple[str, ...] = ()
    labels: str | None = None


def stated(table: Table, options: ReadOptions) -> Roles:
    """The roles that the user stated, each column of them found in the table."""
    static = () if options.static_path else options.static
    for key in ("id", "time", "target", "observed", "inputs", "static", "ignore"):
        for name in static if key == "static" else getattr(options, key):
            if name not in table.columns and (key, name) != ("time", COUNTED):
                near = difflib.get_close_matches(name, table.columns, n=1) or [
                    n for n in table.columns if n.lower() == name.lower()
                ]
                fix = override(key, [near[0] if n == name else n for n in getattr(options, key)]) if near else ""
                what = f"no column {name!r} for data.{key}; there are {several(list(table.columns), 8)}"
                raise problem(
                    f"{table.source}:1" if table.find_lines else table.source,
                    what,
                    *([f"did you mean {fix}?"] if fix else []),
                )
    labels = options.labels if options.labels in table.columns else None
    roles = Roles(options.id, options.time, options.target, options.observed, options.inputs, static, labels)
    _check_once(table, roles)
    return roles


def _check_once(table: Table, roles: Roles) -> None:
    named = [
        *roles.id,
        *roles.time,
        *roles.target,
        *roles.observed,
        *roles.inputs,
        *roles.static,
        *([roles.labels] if roles.labels else []),
    ]
    twice = [n for n in named if named.count(n) > 1]
    if twice:
        raise problem(table.source, f"column {twice[0]!r} is given two roles under data.; leave it in one")


def key_columns(table: Table, roles: Roles, options: ReadOptions, notes: Notes) -> Roles:
    """The columns that name series and times, found by their names or by what they hold."""
    free = [
        n
        for n in table.columns
        if n not in (*options.ignore, *roles.target, *roles.observed, *roles.inputs, *roles.static, roles.labels)
    ]
    lower = {n.lower(): n for n in reversed(free)}
    if not roles.id and options.layout in (None, "long"):
        found = next((lower[n] for n in IDS if n in lower and n not in map(str.lower, roles.time)), None)
        if found:
            notes.guess("id", [found], "its name")
            roles = replace(roles, id=(found,))
    if not roles.time:
        free = [n for n in free if n not in roles.id]
        time, why = _time(table, {k: v for k, v in lower.items() if v in free}, free)
        if time:
            notes.guess("time", time, why)
        roles = replace(roles, time=time)
    return roles


def _time(table: Table, lower: dict[str, str], free: list[str]) -> tuple[tuple[str, ...], str]:
    """The column of times, or those that make one together, and how they were found."""
    parts = [p for p in ("year", "quarter", "month", "day", "hour", "minute", "second") if p in lower]
    if "year" in parts and ("month" in parts or "quarter" in parts) and not any(n in lower for n in TIMES[:5]):
        return tuple(lower[p] for p in parts), "their names"
    if "date" in lower and "time" in lower and _is_time_of_day(table, lower["time"]):
        return (lower["date"], lower["time"]), "their names"
    for name in TIMES:
        if name in lower and not (name in parts[1:] and is_number(table, lower[name])):
            return (lower[name],), "its name"
    for name in free:
        if pa.types.is_timestamp(table.columns[name].type) or _reads_as_time(table, name):
            return (name,), "the first column that holds times"
    if free and _counts(table, free[0]):
        return (free[0],), "it counts the rows"
    return (), ""


def _is_time_of_day(table: Table, name: str) -> bool:
    """Whether a column holds 13:45 and the like."""
    column = table.columns[name].slice(0, 1000)
    if not (pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)):
        return False
    return bool(pc.all(pc.match_substring_regex(column.cast(pa.string()), r"^\s*\d{1,2}:\d\d")).as_py())


def _reads_as_time(table: Table, name: str) -> bool:
    """Whether the first words of a column all have the shape of a time."""
    column = table.columns[name].slice(0, 1000)
    if not (pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)):
        return False
    shapes = "|".join(f"(?:{p.removeprefix('(?i)')})" for p in SHAPES.values())
    words = pc.drop_null(column.cast(pa.string()))
    return len(words) > 0 and bool(pc.all(pc.match_substring_regex(words, "(?i)" + _unnamed(shapes))).as_py())


def _unnamed(pattern: str) -> str:
    """A pattern without names for its groups, so that it can be one of several."""
    while "(?P<" in pattern:
        at = pattern.index("(?P<")
        pattern = pattern[:at] + "(?:" + pattern[pattern.index(">", at) + 1 :]
    return pattern


def _counts(table: Table, name: str) -> bool:
    """Whether a column has the name of a number of rows, or none, and is 0, 1, 2 … or 1, 2, 3 …"""
    if not is_number(table, name) or name.lower() not in NUMBERS:
        return False
    values = table.columns[name].cast(pa.float64()).to_numpy()
    return values[0] in (0, 1) and bool((np.diff(values) == 1).all())


def is_number(table: Table, name: str) -> bool:
    """Whether a column was read as numbers."""
    kind = table.columns[name].type
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def value_columns(table: Table, roles: Roles, options: ReadOptions, notes: Notes) -> Roles:
    """The columns to forecast, and those left out."""
    taken = {
        *roles.id,
        *roles.time,
        *roles.target,
        *roles.observed,
        *roles.inputs,
        *roles.static,
        *options.ignore,
        roles.labels,
    }
    free = [n for n in table.columns if n not in taken]
    left: dict[str, str] = {}
    if roles.labels is None and options.labels is None:
        found = next((n for n in free if n.lower() in LABELS and _is_flag(table, n)), None)
        if found and len(free) > 1:
            notes.guess("labels", found, "its name, and it holds 0 and 1")
            roles = replace(roles, labels=found)
            free.remove(found)
    if not roles.target:
        left |= {n: "no readings" for n in free if n.lower() in BESIDE and len(free) > 1}
        left |= {n: "counts the rows" for n in free[:1] if roles.time and len(free) > 1 and _counts(table, n)}
        left |= {n: "holds text" for n in free if n not in left and is_text(table, n)}
        left |= {n: "empty" for n in free if n not in left and table.columns[n].type == WORDS and _is_empty(table, n)}
        free = [n for n in free if n not in left]
        target = _targets(free, roles)
        if set(target) != set(free):
            notes.guess("target", target, "its name" if len(target) == 1 else "their names")
        roles, free = replace(roles, target=tuple(target)), [n for n in free if n not in target]
    left |= {n: "not asked for" for n in free}
    if left:
        reasons = {why: [n for n in left if left[n] == why] for why in left.values()}
        notes.guess("ignore", list(left), "; ".join(f"{several(names)}: {why}" for why, names in reasons.items()))
    if not roles.target:
        place = f"{table.source}:1" if table.find_lines else table.source
        raise problem(
            place, f"no column of numbers to forecast among {several(list(table.columns), 8)}; name it in data.target"
        )
    return roles


def _targets(free: list[str], roles: Roles) -> list[str]:
    """Columns called y, target or value where others stand beside them; else all."""
    long = bool(roles.id) or "ds" in roles.time
    for name in TARGETS:
        found = [n for n in free if n.lower() == name or (name == "value" and n.lower().startswith("value"))]
        if found and (long or name != "y"):
            return found
    return free


def _is_flag(table: Table, name: str) -> bool:
    """Whether a column holds 0 and 1 alone."""
    if not is_number(table, name):
        return False
    values: NDArray[np.float64] = numbers(table, name)
    return bool(((values == 0) | (values == 1) | np.isnan(values)).all())


def _is_empty(table: Table, name: str) -> bool:
    return bool(np.isnan(numbers(table, name)).all())


def find_id(table: Table, time: NDArray[np.int64], roles: Roles, options: ReadOptions, words: bool) -> tuple[str, ...]:
    """The columns, one or two, that tell rows of one time apart; () if none do. Of words, or whole numbers too."""
    taken = {*roles.time, *roles.target, *roles.observed, *roles.inputs, *options.ignore, roles.labels}
    free = [n for n in table.columns if n not in taken and n.lower() not in (*TARGETS, *LABELS, *BESIDE)]
    codes = {n: few for n in free if (few := _few(table, n, words)) is not None}
    names = list(codes)
    for chosen in [(n,) for n in names] + [(a, b) for i, a in enumerate(names) for b in names[i + 1 :]]:
        keys = [time, *(codes[n] for n in chosen)]
        order = np.lexsort(keys)
        if not np.all([np.diff(key[order]) == 0 for key in keys], axis=0).any():
            return chosen
    return ()


def _few(table: Table, name: str, words: bool) -> NDArray[np.int64] | None:
    """Codes of a column of names that come again; None for any other column."""
    column = table.columns[name]
    if is_number(table, name):
        values = column.cast(pa.float64()).to_numpy()
        if words or not (np.isfinite(values).all() and (values % 1 == 0).all()):
            return None
        _, codes = np.unique(values, return_inverse=True)
    elif not is_text(table, name):
        return None
    else:
        codes, names = words_of(column)
        if not pc.all(pc.not_equal(pc.utf8_trim_whitespace(names), "")).as_py():
            return None
    return codes.astype(np.int64) if 0 < codes.max() < len(table) // 2 else None

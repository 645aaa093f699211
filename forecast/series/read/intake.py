"""A table to panels, in the order in which a table is understood: columns, roles, times, rows, clocks, readings."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.series.calendar import with_calendar
from forecast.series.labels import Labels
from forecast.series.panel import Panel
from forecast.series.read import covariates, marks, panels, roles
from forecast.series.read.formats import frame_table, read_table
from forecast.series.read.options import Guess, Notes, ReadOptions, Repair, count, override, problem, several
from forecast.series.read.panels import Columns, Placed
from forecast.series.read.resample import resampled
from forecast.series.read.roles import Roles
from forecast.series.read.rows import UNNAMED, Rows, arrange, series_of, single
from forecast.series.read.table import Table
from forecast.series.season import seasons_of

log = logging.getLogger("forecast")
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Intake:
    """What came out of a table, and what was guessed and repaired on the way."""

    source: str
    panels: tuple[Panel, ...]  # one for each clock, that of most series first
    labels: Labels | None
    guesses: tuple[Guess, ...]
    repairs: tuple[Repair, ...]

    def only(self) -> Panel:
        """The one panel, or an error that names the clocks."""
        if len(self.panels) == 1:
            return self.panels[0]
        clocks = ", ".join(f"{p.clock.alias} ({several(list(p.names), 2)})" for p in self.panels[:4])
        step = self.panels[0].clock.step
        one = f"data.clock={step} data.off_clock=round puts all on one; " if self.panels[0].clock.kind == "time" else ""
        raise InputError(
            f"{self.source}: {len(self.panels)} clocks: {clocks}; {one}forecast.series.read.read gives a panel for each"
        )


def read(path: str | Path | None = None, options: ReadOptions | None = None) -> tuple[Panel, ...]:
    """The panels in a file, one for each clock; guesses and repairs go to the log."""
    found = understand(path, options)
    for guess in found.guesses:
        log.info("%s: guessed %s", found.source, guess.line())
    for repair in found.repairs:
        log.warning("%s", repair.line())
    return found.panels


def read_csv(path: str | Path, **options: Any) -> Panel:
    """The only panel in a file; options are the fields of `ReadOptions`."""
    return understand(path, ReadOptions.of(**options)).only()


def read_frame(frame: pd.DataFrame, **options: Any) -> Panel:
    """The only panel in a data frame, long or wide."""
    asked, notes = ReadOptions.of(**options), Notes()
    return _understood(frame_table(frame, asked), asked, notes).only()


def understand(path: str | Path | None = None, options: ReadOptions | None = None) -> Intake:
    """Everything in a file, with what was guessed and repaired."""
    options = options or ReadOptions()
    source = str(path or options.path)
    if not source:
        raise InputError("no file to read; name it with data.path=my.csv")
    notes = Notes()
    static = () if options.static_path else options.static
    texts = frozenset(n.lower() for n in (*roles.IDS, *options.id, *static) if options.layout in (None, "long"))
    whole = frozenset(n.lower() for n in (*roles.TIMES, *options.time))
    return _understood(read_table(source, options, notes, texts, whole), options, notes)


def _understood(table: Table, options: ReadOptions, notes: Notes) -> Intake:
    """Rows with their readings, on their clocks, as panels."""
    found = roles.key_columns(table, roles.stated(table, options), options, notes)
    rows, found = arrange(table, found, options, notes)
    found = roles.value_columns(table, found, options, notes)
    rows, columns, static = _filled(table, rows, found, options, notes)
    rows = single(table, rows, found, options, notes)
    if options.resample is not None:
        moved, clock = resampled(rows, options, notes)
        placed = [Placed(clock, moved)]
    else:
        placed = panels.on_clocks(table, rows, found, options, notes)
    made, flags = [], []
    for part in placed:
        chosen = [rows.names.index(n) for n in part.rows.names] if len(placed) > 1 else slice(None)
        panel, flagged = panels.panel(table, part, columns, static[chosen], options.season or (), notes)
        panel = panel if options.season is not None else replace(panel, seasons=seasons_of(panel))
        made.append(with_calendar(panel, options.calendar))
        flags.append(flagged)
    labels = _labels(tuple(made), flags, found, options)
    return Intake(table.source, tuple(made), labels, tuple(notes.guesses), tuple(notes.repairs))


def _filled(table: Table, rows: Rows, found: Roles, options: ReadOptions, notes: Notes) -> tuple[Rows, Columns, Values]:
    """The rows with their readings, inputs and labels; the names of these; and the static values of each series."""
    watched, extra = covariates.encoded(table, found.observed, options, notes)
    values = covariates.readings(table, found.target, extra)
    names, known = covariates.encoded(table, found.inputs, options, notes)
    inputs, labels = covariates.readings(table, (), known), marks.flags(table, found.labels)
    readings = (*found.target, *watched)
    fixed, static = _static(table, rows, found, options, notes)
    straight = len(rows.row) == len(table) and bool((np.diff(rows.row) == 1).all())
    if not straight:
        values, inputs, labels = values[rows.row], inputs[rows.row], labels[rows.row]
    name = found.target[0] if len(found.target) == 1 and not found.id else UNNAMED
    rows = replace(rows, names=rows.names if found.id else (name,), values=values, inputs=inputs, labels=labels)
    target = (*(True for _ in found.target), *(False for _ in watched))
    if options.layout == "columns" and not found.id:
        return *_series_from_columns(rows, readings, names), np.zeros((len(readings), 0))
    if len(readings) > 1 and not found.id and options.layout is None:
        notes.guess(
            "layout",
            "wide",
            f"{count(len(readings), 'channel')} of one series; data.layout=columns makes each a series",
        )
    return rows, Columns((*found.target, *watched), target, names, fixed), static


def _static(
    table: Table, rows: Rows, found: Roles, options: ReadOptions, notes: Notes
) -> tuple[tuple[str, ...], Values]:
    """Names and values of what is constant in a series, from its rows or from a table of their own."""
    if options.static_path is None:
        if not found.static:
            return (), np.zeros((len(rows.names), 0))
        names, codes = series_of(table, found.id)
        here = {n: k for k, n in enumerate(rows.names)}
        place = np.array([here.get(n, -1) for n in names])[codes]
        return covariates.static(table, found.static, place, rows.names, options, notes)
    texts = frozenset(n.lower() for n in (*roles.IDS, *options.id, *options.static))
    other = read_table(options.static_path, ReadOptions(path=options.static_path), notes, texts, frozenset())
    key = next((n for n in other.columns if n in found.id or n.lower() in roles.IDS), None)
    if key is None:
        raise problem(
            f"{other.source}:1",
            f"no column that names the series among {several(list(other.columns), 8)}",
            override("id", ["unique_id"]),
        )
    chosen = options.static or tuple(n for n in other.columns if n != key)
    for name in chosen:
        if name not in other.columns:
            raise problem(
                f"{other.source}:1", f"no column {name!r} for data.static; there are {several(list(other.columns), 8)}"
            )
    names, codes = series_of(other, (key,))
    here = {n: k for k, n in enumerate(rows.names)}
    place = np.array([here.get(n, -1) for n in names])[codes]
    kept = np.flatnonzero(place >= 0)
    part = replace(
        other, columns={n: c.take(kept) for n, c in other.columns.items()}, find_lines=lambda: other.lines[kept]
    )
    return covariates.static(part, chosen, place[kept], rows.names, options, notes)


def _series_from_columns(rows: Rows, readings: tuple[str, ...], inputs: tuple[str, ...]) -> tuple[Rows, Columns]:
    """Every column a series of its own, from its first to its last reading."""
    parts = []
    for k in range(len(readings)):
        there = np.flatnonzero(np.isfinite(rows.values[:, k]))
        low, high = (int(there[0]), int(there[-1]) + 1) if len(there) else (0, 1)
        high = len(rows.row) if inputs else high  # rows after the last reading say what is known of the future
        part = rows.take(np.arange(low, high))
        parts.append(replace(part, codes=np.full(high - low, k), values=part.values[:, k : k + 1]))
    joined = [
        np.concatenate([getattr(p, f) for p in parts]) for f in ("codes", "stamps", "row", "values", "inputs", "labels")
    ]
    codes, stamps, row, values, known, labels = joined
    return Rows(readings, codes, stamps, rows.integer, row, values, known, labels), Columns(("y",), (True,), inputs)


def _labels(
    made: tuple[Panel, ...], flags: list[NDArray[np.bool_]], found: Roles, options: ReadOptions
) -> Labels | None:
    """Labels from a column or from a file of their own."""
    if found.labels is not None:
        spans = [Labels.of_rows(p, torch.from_numpy(f)) for p, f in zip(made, flags, strict=True)]
        return Labels(
            *(
                tuple(v for s in spans for v in getattr(s, name))
                for name in ("unique_id", "start", "end", "kind", "channels")
            )
        )
    return marks.read_labels(options.labels, made, options) if options.labels is not None else None

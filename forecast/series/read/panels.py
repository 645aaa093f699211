"""From rows in order to panels: one for each clock, dense between the first and the last row of every series.

A tick of the clock without a row is a missing row. Rows after the last reading, where inputs are known, are the
future and belong to the inputs alone. Inputs that are missing before are carried forward, and counted: a model needs
them at every row.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.series.clock import Clock
from forecast.series.panel import Known, Panel
from forecast.series.read import clocks
from forecast.series.read.clocks import Found, Runs, Stamps
from forecast.series.read.options import Notes, ReadOptions, count, problem, several
from forecast.series.read.roles import Roles
from forecast.series.read.rows import Rows, single
from forecast.series.read.table import Table
from forecast.series.read.zones import wall

Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]
ROOM = 2_000_000  # missing rows that are let pass without a look at how many rows there are
SPARSE = 50  # rows of the clock per row of the file


@dataclass(frozen=True)
class Columns:
    """The names of what the rows hold."""

    channels: tuple[str, ...]
    target: tuple[bool, ...]
    inputs: tuple[str, ...]
    static: tuple[str, ...] = ()


@dataclass(frozen=True)
class Placed:
    """Rows of some series on one clock."""

    clock: Clock
    rows: Rows  # stamps are positions, or microseconds where the clock is irregular


def on_clocks(table: Table, rows: Rows, roles: Roles, options: ReadOptions, notes: Notes) -> list[Placed]:
    """The rows by the clocks that their series follow, the most common clock first."""
    local = not rows.integer and options.timezone is not None
    utc = Runs(rows.stamps, rows.edges())
    stamps = Stamps(
        utc, Runs(wall(rows.stamps, str(options.timezone)), utc.first) if local else utc, rows.integer, options.timezone
    )
    if options.clock is not None:
        if rows.integer != options.clock.isdigit() and not (options.clock == "irregular" and not rows.integer):
            wanted = "numbers: data.clock=1" if rows.integer else "times: data.clock=h"
            raise problem(
                table.source, f"data.clock is {options.clock}, but the rows have {wanted}, or whatever their step is"
            )
        clock, family = clocks.stated(stamps, options.clock)
        return [_placed(table, rows, stamps, np.arange(len(rows.names)), clock, family, roles, options, notes)]
    found = clocks.find(stamps)
    clocks.adopt(stamps, found)
    _check_found(table, rows, found)
    loose = found.family == clocks.IRREGULAR
    if loose.any():
        found.size[loose] = int(np.median(found.size[loose]))
    kinds, which, often = np.unique(
        np.stack([found.family, found.size, found.phase]), axis=1, return_inverse=True, return_counts=True
    )
    out = []
    for k in np.argsort(-often, kind="stable"):
        family, size, phase = (int(v) for v in kinds[:, k])
        chosen = np.flatnonzero(which.reshape(-1) == k)
        start = int(stamps.on(family).pick(chosen).stamps.min())
        clock = clocks.clock_of(family, size, phase, stamps, start)
        out.append(_placed(table, rows, stamps, chosen, clock, family, roles, options, notes))
    return out


def _check_found(table: Table, rows: Rows, found: Found) -> None:
    lost = np.flatnonzero(found.family == clocks.UNKNOWN)
    if len(lost):
        row = int(rows.row[rows.edges()[lost[0]]])
        who = several([rows.names[k] for k in lost], 3)
        what = f"{count(len(lost), 'series')} of a single row, {who}, and no clock they are on"
        raise problem(
            table.at(row), what, "data.clock=1" if rows.integer else "data.clock=D, or whatever their step is"
        )


def _placed(
    table: Table,
    rows: Rows,
    stamps: Stamps,
    chosen: Ints,
    clock: Clock,
    family: int,
    roles: Roles,
    options: ReadOptions,
    notes: Notes,
) -> Placed:
    """The rows of some series at their positions on a clock, off-clock ones treated as the user says."""
    runs = stamps.on(family)
    everything = len(chosen) == len(rows.names)
    index = runs.rows(chosen)
    part, moments = (rows, runs.stamps) if everything else (rows.take(index), runs.stamps[index])
    positions, on = clock.positions(moments)
    if not on.all():
        part, positions = _off_clock(table, part, moments, positions, ~on, clock, options, notes)
        part = single(table, replace(part, stamps=clock.stamps(positions)), roles, options, notes)
        positions, _ = clock.positions(part.stamps)
    names = rows.names if everything else tuple(rows.names[k] for k in chosen)
    codes = part.codes if everything else np.searchsorted(chosen, part.codes)
    return Placed(clock, replace(part, names=names, codes=codes, stamps=positions))


def _off_clock(
    table: Table,
    rows: Rows,
    stamps: Ints,
    positions: Ints,
    off: Flags,
    clock: Clock,
    options: ReadOptions,
    notes: Notes,
) -> tuple[Rows, Ints]:
    """Rows between two ticks: an error, moved to the nearest tick, or left out."""
    at, number = int(off.argmax()), int(off.sum())
    place = table.at(int(rows.row[at]))
    what = f"{count(number, 'row')} off the clock ({clock.alias}), the first at {rows.when(at)}"
    if options.off_clock == "error":
        who = f" in series {rows.names[int(rows.codes[at])]!r}" if len(rows.names) > 1 else ""
        fixes = ["data.off_clock=round moves them to the nearest tick", "data.off_clock=drop leaves them out"]
        raise problem(place, what + who, *fixes, *([] if rows.integer else ["data.clock=irregular keeps every stamp"]))
    notes.repair(
        "off clock",
        number,
        f"{place}: {what}, {'moved to the nearest tick' if options.off_clock == 'round' else 'left out'}",
    )
    if options.off_clock == "drop":
        return rows.take(~off), positions[~off]
    return rows, positions + (stamps - clock.stamps(positions) > clock.stamps(positions + 1) - stamps)


def panel(
    table: Table, placed: Placed, columns: Columns, static: NDArray[np.float64], seasons: tuple[int, ...], notes: Notes
) -> tuple[Panel, Flags]:
    """The panel of some series, and which of its rows (R) are labelled; NaN labels are no label."""
    rows, clock = placed.rows, placed.clock
    edges = rows.edges()
    runs = Runs(rows.stamps, edges)
    begin, end = rows.stamps[edges[:-1]], rows.stamps[edges[1:] - 1]
    lengths = runs.lengths if clock.kind == "irregular" else end - begin + 1
    _check_room(table, rows, lengths, edges)
    offset = np.concatenate([[0], np.cumsum(lengths)])
    if clock.kind == "irregular" or offset[-1] == len(rows.stamps):
        values, inputs, flags = rows.values, rows.inputs, rows.labels
    else:
        where = offset[:-1][rows.codes] + rows.stamps - begin[rows.codes]
        values, inputs, flags = (
            _spread(part, where, int(offset[-1])) for part in (rows.values, rows.inputs, rows.labels)
        )
    known, kept = Known(), lengths
    if columns.inputs:
        kept = _observed(values, offset, lengths)
        _carry(table, rows, inputs, offset, kept, notes)
        known = Known(columns.inputs, torch.from_numpy(inputs), torch.from_numpy(offset))
    if (kept != lengths).any():
        keep = Runs(np.arange(offset[-1]), offset).series
        keep = np.arange(offset[-1]) - offset[keep] < kept[keep]
        values, flags = values[keep], flags[keep]
        stamps = rows.stamps[keep] if clock.kind == "irregular" else rows.stamps
    else:
        stamps = rows.stamps
    made = Panel(
        values=torch.from_numpy(np.ascontiguousarray(values)),
        first=torch.from_numpy(np.concatenate([[0], np.cumsum(kept)])),
        start=torch.from_numpy(begin.copy()),
        clock=clock,
        names=rows.names,
        channels=columns.channels,
        target=torch.tensor(columns.target),
        known=known,
        static=torch.from_numpy(static),
        static_names=columns.static,
        stamps=torch.from_numpy(stamps.copy()) if clock.kind == "irregular" else None,
        seasons=seasons,
    )
    return made, flags == 1


def _spread(part: NDArray[np.float64], where: Ints, rows: int) -> NDArray[np.float64]:
    """Rows at their places, NaN between them."""
    out = np.full((rows, *part.shape[1:]), np.nan)
    out[where] = part
    return out


def _check_room(table: Table, rows: Rows, lengths: Ints, edges: Ints) -> None:
    """A wrong year makes a series of a million missing rows."""
    if lengths.sum() <= ROOM + SPARSE * len(rows.stamps):
        return
    worst = int(lengths.argmax())
    low, high = int(edges[worst]), int(edges[worst + 1])
    at = low + int(np.diff(rows.stamps[low:high]).argmax()) + 1
    gap = int(rows.stamps[at] - rows.stamps[at - 1])
    what = f"{gap - 1} missing rows before this one in series {rows.names[worst]!r}; a wrong time?"
    raise problem(
        table.at(int(rows.row[at])),
        what.rstrip("?") + ", or a clock that is too fine",
        "data.clock=irregular keeps only the rows there are",
    )


def _observed(values: NDArray[np.float64], offset: Ints, lengths: Ints) -> Ints:
    """Rows of each series up to its last reading; all where it has none."""
    there = np.where(np.isfinite(values).any(1), np.arange(len(values)), -1)
    last = np.maximum.reduceat(there, offset[:-1])
    return np.where(last >= 0, last - offset[:-1] + 1, lengths)


def _carry(table: Table, rows: Rows, inputs: NDArray[np.float64], offset: Ints, kept: Ints, notes: Notes) -> None:
    """Fill inputs that are missing among the observed rows with the value before, or the first one after."""
    series = np.repeat(np.arange(len(kept)), np.diff(offset))
    observed = np.arange(len(inputs)) - offset[series] < kept[series]
    for k in range(inputs.shape[1]):
        column = inputs[:, k]
        there = np.isfinite(column)
        holes = ~there & observed
        if not holes.any():
            continue
        last = np.maximum.accumulate(np.where(there, np.arange(len(column)), -1))
        ahead = np.minimum.accumulate(np.where(there, np.arange(len(column)), len(column))[::-1])[::-1]
        source = np.where(last >= offset[series], last, ahead)
        source = np.where(source < offset[series + 1], source, np.arange(len(column)))
        column[holes] = column[source][holes]
        row = int(np.flatnonzero(holes)[0])
        where = f"series {rows.names[int(series[row])]!r}, row {row - int(offset[series[row]])}"
        notes.repair(
            "inputs",
            int(holes.sum()),
            f"{table.source}: input {k + 1}: {count(int(holes.sum()), 'missing cell')} carried forward, first {where}",
        )

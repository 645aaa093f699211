"""Rows to longer steps: mean, sum or last of what falls between one tick and the next, stamped with the first.

A sum over a span in which rows are missing would be too small and pass for a reading: it is missing. A mean or last
value is of the rows there are.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.series.clock import DAY, Clock, Step, time_of
from forecast.series.read.options import Notes, ReadOptions, count
from forecast.series.read.rows import Rows, means
from forecast.series.read.zones import wall

Ints = NDArray[np.int64]


def resampled(rows: Rows, options: ReadOptions, notes: Notes) -> tuple[Rows, Clock]:
    """The rows on the clock of `data.resample`, and that clock; their stamps are positions on it."""
    step = str(options.resample)
    if rows.integer != step.isdigit():
        wanted = "a number, as data.resample=7" if rows.integer else "a time, as data.resample=1h"
        raise InputError(f"data.resample={step}: these times need {wanted}")
    clock = _clock(rows, step, options.timezone)
    local = not rows.integer and Step.of(step).calendar and options.timezone is not None
    stamps = wall(rows.stamps, str(options.timezone)) if local else rows.stamps
    positions, _ = clock.positions(stamps)
    starts = np.flatnonzero(np.concatenate([[True], (np.diff(positions) != 0) | (np.diff(rows.codes) != 0)]))
    if len(starts) == len(rows.stamps) and len(starts) > len(rows.names):
        raise InputError(
            f"data.resample={step} is no longer than the step of the file, whose rows it leaves as they are"
        )
    values, inputs = (_aggregated(v, starts, options.aggregate) for v in (rows.values, rows.inputs))
    if options.aggregate == "sum":
        partial = _partial(rows, stamps, positions, starts, clock)
        values[partial], inputs[partial] = np.nan, np.nan
        sums = count(int(partial.sum()), "sum")
        text = f"{sums} over incomplete spans of {step} taken as missing; data.aggregate=mean is of the rows there are"
        notes.repair("incomplete", int(partial.sum()), text)
    labels = np.fmax.reduceat(rows.labels, starts) if len(starts) else rows.labels
    return replace(rows.take(starts), stamps=positions[starts], values=values, inputs=inputs, labels=labels), clock


def _clock(rows: Rows, step: str, timezone: str | None) -> Clock:
    """The clock of this step that ticks at round times."""
    if rows.integer:
        return Clock("integer", 0, int(step))
    parts = Step.of(step)
    origin = (
        time_of(0)
        if parts.family == "fixed" and parts.size % (7 * DAY)
        else Clock("time", time_of(0), step).offset.rollback(time_of(0))
    )
    return Clock("time", origin, step, timezone=timezone)


def _aggregated(values: NDArray[np.float64], starts: Ints, how: str) -> NDArray[np.float64]:
    """One row for each group of rows; missing where nothing was read."""
    if not values.size:
        return values[starts]
    if how == "mean":
        return means(values, starts)
    there = np.isfinite(values)
    if how == "sum":
        total = np.add.reduceat(np.where(there, values, 0.0), starts)
        return np.where(np.logical_and.reduceat(there, starts), total, np.nan)
    last = np.maximum.reduceat(np.where(there, np.arange(len(values))[:, None], -1), starts)
    return np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), 0), np.nan)


def _partial(rows: Rows, stamps: Ints, positions: Ints, starts: Ints, clock: Clock) -> NDArray[np.bool_]:
    """Spans with fewer rows than the most common gap of their series fills them with."""
    from forecast.series.read.clocks import Runs

    gaps = Runs(rows.stamps, rows.edges()).gaps()
    gap = np.maximum(gaps.common(gaps.stamps)[0], 1)[rows.codes[starts]]
    span = clock.stamps(positions[starts] + 1) - clock.stamps(positions[starts])
    there = np.diff([*starts, len(stamps)])
    # A local day has 23 to 25 hours: a span is whole if it holds its rows less one clock change.
    allowed = np.where(span >= DAY, DAY // 24 // gap, 0) if clock.timezone else 0
    return there < span // gap - allowed

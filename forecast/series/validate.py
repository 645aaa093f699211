"""What was understood of a table, as plain facts: series, clock, span, what is missing, repairs, seasons, demand that
comes now and then.

Missing counts readings of target channels between the first and the last row of each series. Demand is intermittent
where readings are zero or more and the mean interval between demands is at least 1.32 rows (Syntetos, Boylan and
Croston 2005, On the categorization of demand patterns), unless the zeros come and go with the season, as those of a
night do.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forecast.series.clock import DAY, fixed_alias
from forecast.series.panel import Panel
from forecast.series.read import Intake, ReadOptions, understand
from forecast.series.read.options import count, override, several

Values = NDArray[np.float64]
INTERVAL = 1.32  # rows from one demand to the next
SENTINELS = (-99.0, -200.0, -999.0, -9999.0, -99999.0, 9999.0, 99999.0, 999999.0)  # what instruments write for missing


@dataclass(frozen=True)
class Facts:
    """What is known of one panel; times as text, lengths in rows."""

    source: str
    names: tuple[str, ...]  # of the series
    target: tuple[str, ...]  # channels to forecast
    observed: tuple[str, ...]
    inputs: tuple[str, ...]
    static: tuple[str, ...]
    clock: str
    timezone: str | None
    rows: int  # of all series
    shortest: int
    longest: int
    start: str
    end: str
    span: str
    missing: float  # share of the target channels' readings
    longest_gap: str  # how long, where and from when; empty where nothing is missing
    future: int  # rows for which inputs are known after the last reading
    seasons: tuple[int, ...]
    seasons_stated: bool
    intermittent: tuple[str, ...]  # series, or series/channel
    floored: tuple[str, ...]  # target channels that come close to 0 and never fall below it
    constant: tuple[str, ...]
    empty: tuple[str, ...]
    hints: tuple[str, ...]  # what looks wrong, with the option that mends it
    labels: int  # labelled spans
    labelled: float  # share of labelled rows
    guesses: tuple[str, ...]
    repairs: tuple[str, ...]

    def lines(self) -> list[str]:
        """The facts for a terminal, a line each."""
        pairs = [
            ("series", f"{len(self.names)} ({several(list(self.names), 3)})"),
            ("target", several(list(self.target), 8)),
            *((word, several(list(names), 8)) for word, names in self._others() if names),
            ("clock", self.clock),
            ("span", f"{self.start} … {self.end} ({self.span})"),
            (
                "rows",
                f"{self.rows} in all"
                + (f", {self.shortest} to {self.longest} a series" if len(self.names) > 1 else ""),
            ),
            ("missing", f"{100 * self.missing:.3g} %" + (f", longest {self.longest_gap}" if self.longest_gap else "")),
            ("seasons", self._seasons()),
        ]
        notable = [("intermittent", self.intermittent), ("constant", self.constant), ("no readings", self.empty)]
        pairs += [(word, f"{len(names)} ({several(list(names), 3)})") for word, names in notable if names]
        if self.labels:
            pairs.append(("labels", f"{count(self.labels, 'span')}, {100 * self.labelled:.3g} % of the rows"))
        notes = [("guessed", self.guesses), ("repaired", self.repairs), ("look at", self.hints)]
        pairs += [(word if k == 0 else "", line) for word, lines in notes for k, line in enumerate(lines)]
        return [f"{word:<13}{text}" for word, text in pairs]

    def _others(self) -> list[tuple[str, tuple[str, ...]]]:
        return [("observed", self.observed), ("inputs", self.inputs), ("static", self.static)]

    def _seasons(self) -> str:
        if not self.seasons:
            return "none " + ("as stated" if self.seasons_stated else "found")
        found = (
            "as stated"
            if self.seasons_stated
            else f"found; {override('season', [str(s) for s in self.seasons])} states them"
        )
        return f"{', '.join(map(str, self.seasons))} rows, {found}"


def validate(path: str | Path | None = None, options: ReadOptions | None = None) -> tuple[Facts, ...]:
    """The facts of every panel in a file."""
    options = options or ReadOptions()
    intake = understand(path, options)
    return tuple(facts(panel, intake, options.season is not None) for panel in intake.panels)


def facts(panel: Panel, intake: Intake | None = None, seasons_stated: bool = False) -> Facts:
    """The facts of a panel, with what was noted when it was read."""
    values = panel.values[:, panel.target].numpy()
    lengths = panel.lengths.numpy()
    names = [n for n, is_target in zip(panel.channels, panel.target.tolist(), strict=True) if is_target]
    begins, ends = zip(*(_ends(panel, s) for s in _extreme(panel)), strict=True)
    start, end = min(begins), max(ends)
    labelled = _labelled(panel, intake)
    return Facts(
        source=intake.source if intake else "",
        names=panel.names,
        target=tuple(names),
        observed=tuple(n for n in panel.channels if n not in names),
        inputs=panel.known.names,
        static=panel.static_names,
        clock=panel.clock.describe(),
        timezone=panel.clock.timezone,
        rows=int(lengths.sum()),
        shortest=int(lengths.min()),
        longest=int(lengths.max()),
        start=str(start),
        end=str(end),
        span=_span(start, end),
        missing=float(np.isnan(values).mean()) if values.size else 0.0,
        longest_gap=_longest_gap(panel, values, names),
        future=_future(panel),
        seasons=panel.seasons,
        seasons_stated=seasons_stated,
        intermittent=_named(panel, names, intermittent(panel)),
        floored=tuple(name for c, name in enumerate(names) if _floored(values[:, c])),
        constant=_named(panel, names, _constant(panel, values)),
        empty=_named(panel, names, _counts(panel, np.isfinite(values)) == 0),
        hints=_hints(values, names),
        labels=labelled[0],
        labelled=labelled[1],
        guesses=tuple(g.line() for g in intake.guesses) if intake else (),
        repairs=tuple(r.line() for r in intake.repairs) if intake else (),
    )


def series_table(panel: Panel) -> pd.DataFrame:
    """One row for each series: unique_id, start, end, rows, missing (share), zeros (share), intermittent, constant."""
    values = panel.values[:, panel.target].numpy()
    ends = [_ends(panel, s) for s in range(len(panel))]
    seen = np.maximum(_counts(panel, np.isfinite(values)).sum(1), 1)
    return pd.DataFrame(
        {
            "unique_id": panel.names,
            "start": [a for a, _ in ends],
            "end": [b for _, b in ends],
            "rows": panel.lengths.numpy(),
            "missing": _counts(panel, np.isnan(values)).sum(1) / (panel.lengths.numpy() * values.shape[1]),
            "zeros": _counts(panel, values == 0).sum(1) / seen,
            "intermittent": intermittent(panel).any(1),
            "constant": _constant(panel, values).any(1),
        }
    )


def intermittent(panel: Panel) -> NDArray[np.bool_]:
    """Which series have demand that comes now and then (S, target channels)."""
    values = panel.values[:, panel.target].numpy()
    seen, some = _counts(panel, np.isfinite(values)), _counts(panel, values > 0)
    negative = _counts(panel, values < 0)
    found = (negative == 0) & (some >= 2) & (seen >= INTERVAL * some)
    for s, c in zip(*np.nonzero(found), strict=True):
        y = values[int(panel.first[s]) : int(panel.first[s + 1]), c]
        found[s, c] = not _seasonal_zeros(y, panel.season)
    return np.asarray(found)


def _seasonal_zeros(y: Values, season: int) -> bool:
    """Whether a zero now goes with a zero one season before."""
    zero = (y == 0).astype(np.float64)
    if season < 2 or len(y) < 3 * season:
        return False
    before, after = zero[:-season] - zero[:-season].mean(), zero[season:] - zero[season:].mean()
    size = float(np.sqrt((before @ before) * (after @ after)))
    return size > 0 and float(before @ after) > 0.5 * size


def _counts(panel: Panel, flags: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many rows of each series have a flag (S, columns)."""
    total = np.concatenate([np.zeros((1, flags.shape[1]), dtype=np.int64), np.cumsum(flags, axis=0, dtype=np.int64)])
    return np.asarray(total[panel.first[1:].numpy()] - total[panel.first[:-1].numpy()])


def _constant(panel: Panel, values: Values) -> NDArray[np.bool_]:
    """Which series never change in a channel, of at least two readings (S, columns)."""
    full = np.flatnonzero(panel.lengths.numpy() > 0)
    starts = panel.first.numpy()[full]
    out = np.zeros((len(panel), values.shape[1]), dtype=bool)
    if len(full):
        out[full] = np.fmin.reduceat(values, starts) == np.fmax.reduceat(values, starts)
    return out & (_counts(panel, np.isfinite(values)) > 1)


def _named(panel: Panel, channels: list[str], which: NDArray[np.bool_]) -> tuple[str, ...]:
    """The series, with the channel where there are several."""
    pairs = zip(*np.nonzero(which), strict=True)
    return tuple(panel.names[s] if len(channels) == 1 else f"{panel.names[s]}/{channels[c]}" for s, c in pairs)


def _extreme(panel: Panel) -> list[int]:
    """The series that begins first and the one that ends last."""
    last = panel.start + panel.lengths if panel.stamps is None else panel.stamps[panel.first[1:] - 1]
    return [int(panel.start.argmin()), int(last.argmax())]


def _ends(panel: Panel, series: int) -> tuple[pd.Timestamp | int, pd.Timestamp | int]:
    """First and last time of a series."""
    low, high = int(panel.first[series]), int(panel.first[series + 1]) - 1
    if panel.stamps is not None:
        times = panel.clock.times(panel.stamps[[low, high]].numpy())
    else:
        begin = int(panel.start[series])
        times = panel.clock.times(np.array([begin, begin + high - low]))
    first, last = times[0], times[-1]
    return (first, last) if isinstance(first, pd.Timestamp) else (int(first), int(last))


def _span(start: pd.Timestamp | int, end: pd.Timestamp | int) -> str:
    """How long, in the largest fitting unit."""
    if not isinstance(start, pd.Timestamp):
        return str(int(end) - int(start))
    length = (pd.Timestamp(end) - start) / pd.Timedelta(1, "us")
    units = ((365.25 * DAY, "years"), (DAY, "days"), (DAY / 24, "hours"), (6e7, "minutes"), (1e6, "seconds"))
    size, unit = next(((s, u) for s, u in units if length >= 2 * s), (1e6, "seconds"))
    return f"{length / size:.3g} {unit}"


def _longest_gap(panel: Panel, values: Values, names: list[str]) -> str:
    """The longest run of missing readings in a target channel; on an irregular clock the longest time between rows."""
    series = np.repeat(np.arange(len(panel)), panel.lengths.numpy())
    if panel.stamps is not None:
        gaps = np.where(np.diff(series) == 0, np.diff(panel.stamps.numpy()), 0)
        if not len(gaps):
            return ""
        at = int(gaps.argmax())
        when = panel.clock.times(panel.stamps[at : at + 1].numpy())[0]
        return f"{fixed_alias(max(int(gaps[at]), 1))} from {when} in {panel.names[series[at]]!r}"
    best, where = 0, (0, 0)
    for c in range(values.shape[1]):
        missing = np.isnan(values[:, c])
        starts = np.flatnonzero(np.concatenate([[True], (np.diff(missing) != 0) | (np.diff(series) != 0)]))
        runs = np.where(missing[starts], np.diff([*starts, len(missing)]), 0)
        if len(runs) and runs.max() > best:
            best, where = int(runs.max()), (int(starts[runs.argmax()]), c)
    if not best:
        return ""
    row, s = where[0], int(series[where[0]])
    when = panel.clock.times(np.array([int(panel.start[s]) + row - int(panel.first[s])]))[0]
    who = panel.names[s] if len(names) == 1 else f"{panel.names[s]}/{names[where[1]]}"
    return f"{count(best, 'row')} from {when} in {who!r}"


def _future(panel: Panel) -> int:
    """Rows of inputs after the last reading, of the series that has most."""
    if panel.known.own_first is None:
        return 0
    return int((panel.known.own_first[1:] - panel.known.own_first[:-1] - panel.lengths).max())


def _labelled(panel: Panel, intake: Intake | None) -> tuple[int, float]:
    """Labelled spans and the share of labelled rows."""
    if intake is None or intake.labels is None:
        return 0, 0.0
    here = set(panel.names)
    flags = intake.labels.rows(panel)
    return sum(n in here for n in intake.labels.unique_id), float(flags.double().mean())


def _floored(y: Values) -> bool:
    seen = y[np.isfinite(y)]
    return len(seen) > 0 and bool(0 <= seen.min() < 0.1 * np.median(seen))


def _hints(values: Values, names: list[str]) -> tuple[str, ...]:
    """Values far from all others that instruments write for missing."""
    out = []
    for c, name in enumerate(names):
        y = values[:, c]
        for mark in SENTINELS:
            there = y == mark
            others = y[~there & np.isfinite(y)]
            if not there.any() or len(others) < 10:
                continue
            low, high = float(others.min()), float(others.max())
            if min(abs(mark - low), abs(mark - high)) > 3 * max(high - low, 1e-12) and not low <= mark <= high:
                fix = override("missing", [f"{mark:g}", f"{mark:.1f}"])
                out.append(
                    f"{mark:g} stands {count(int(there.sum()), 'time')} in {name!r}, far from all else; "
                    f"{fix} takes it as missing"
                )
    return tuple(out)

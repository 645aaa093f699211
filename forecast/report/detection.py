"""The report of `forecast detect`, drawn from scores.parquet, events.parquet and summary.json of its run folder.

A picture of the worst series with its band and scores, a card for each of the worst events, all series over time, who was
to blame, and how many alarms other rates would have given.
"""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from forecast.detect.events import BETWEEN
from forecast.errors import InputError
from forecast.report import page
from forecast.report.alarms import plot_swimlanes, plot_thresholds, plot_watched
from forecast.report.figures import plot_heat
from forecast.report.numbers import Listing, listing, moment, number
from forecast.report.section import HALF, Section, picture
from forecast.report.theme import safe

SCORES = "scores.parquet"
CARDS = 6
LANES = 40
SPREAD = NormalDist().inv_cdf(0.975)  # half the 95 % interval in standard deviations


FIGURES = {
    "vus_pr": "VUS-PR",
    "ap": "AUC-PR",
    "f1": "F1 at the threshold",
    "best_f1": "F1 at the best threshold, which knows the labels",
    "precision": "precision of rows",
    "range_f1": "range F1",
    "affiliation_f1": "affiliation F1",
    "event_recall": "labelled events found",
    "delay_rows": "rows until they are found",
    "far": "share of calm rows with an alarm",
    "false_events_per_1000_rows": "false events in 1,000 rows",
    "false_events_per_day": "false events a day",
}  # of judged.csv, as they are read


class Tables(NamedTuple):
    """What a run folder holds."""

    summary: dict[str, Any]
    scores: pd.DataFrame
    events: pd.DataFrame  # the worst first
    judged: pd.DataFrame | None = None  # figures against labels, one row for each kind of score

    def of(self, series: str, channel: str) -> pd.DataFrame:
        """The rows of one reading."""
        several = self.summary["channels"] > 1
        name = series if not several else channel if self.summary["series"] == 1 else f"{series}/{channel}"
        return self.scores[self.scores["unique_id"] == name]

    def reading(self, event: Any) -> tuple[str, pd.DataFrame]:
        """The channel most to blame for an event, where it is scored, and its rows."""
        for channel in str(event.top_channels).split(BETWEEN):
            rows = self.of(event.unique_id, channel)
            if len(rows):
                return channel, rows
        first = self.scores["unique_id"].iloc[0]
        return str(first), self.scores[self.scores["unique_id"] == first]


def write(folder: Path) -> Path:
    """Draw report.html from the run folder of a detection."""
    tables = read(folder)
    s = tables.summary
    return page.render(
        folder,
        title=f"forecast: events in {s['data']}",
        overline=f"Detection in {s['data']} by {s['detector']} on {s['model']}",
        verdict=s["verdict"],
        details=s["details"],
        facts=[(word, number(s[word])) for word in ("events", "alarmed", "rows", "series", "channels")],
        sections=[section for make in SECTIONS for section in make(tables)],
        command=s["command"],
        version=s["version"],
        seed=s["seed"],
        created=s["created"],
    )


def read(folder: Path) -> Tables:
    """The tables of the run folder of a finished `forecast detect`."""
    try:
        summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
        events = pd.read_parquet(folder / "events.parquet").sort_values("score", ascending=False, kind="stable")
        judged = pd.read_csv(folder / summary["judged"]) if summary.get("judged") else None
        scores = pd.read_parquet(folder / SCORES)
        if "muted" in scores:  # scored, but nobody's alarm
            scores["alarm"] &= ~scores["muted"]
        return Tables(summary, scores, events, judged)
    except OSError as error:
        missing = Path(error.filename).name if error.filename else "a table"
        hint = "a report is drawn from the tables of a finished `forecast detect`"
        raise InputError(f"{folder}: {missing} is not there; {hint}") from error


def watched(tables: Tables) -> Iterator[Section]:
    """What did the series with the worst event look like?"""
    if tables.events.empty:
        name = str(tables.scores["unique_id"].iloc[0])
        channel, rows, mine = name, tables.scores[tables.scores["unique_id"] == name], tables.events
    else:
        worst = next(_each(tables.events))
        channel, rows = tables.reading(worst)
        mine = tables.events[tables.events["unique_id"] == worst.unique_id]
    finding = f"{safe(channel)}: {len(mine)} event{'s' * (len(mine) != 1)} in {len(rows):,} rows after the calm ones."
    drawn = picture(finding, partial(plot_watched, rows=rows, spans=mine, channel=channel), (9.0, 4.8))
    yield Section("Readings, what was expected of them, and the score", finding, [drawn])


def _each(events: pd.DataFrame) -> Iterator[Any]:
    """The rows by their columns' names."""
    yield from events.itertuples()


def judged(tables: Tables) -> Iterator[Section]:
    """How do the scores stand to the labels?"""
    if tables.judged is None:
        return
    known = {word: name for word, name in FIGURES.items() if word in tables.judged}
    wide = tables.judged.set_index("scores")[list(known)].T.rename(index=known).rename_axis("").reset_index()
    finding = (
        "Beside a random score with as many alarms, and an alarm on every row: a figure that they reach says nothing."
    )
    yield Section("Against the labels", finding, [], [listing(wide, "", "judged.csv", folded=False)])


def listed(tables: Tables) -> Iterator[Section]:
    """Every event."""
    if len(tables.events):
        yield Section("Events, the worst first", "", [], [listing(tables.events, "", "events.csv", folded=False)])


def cards(tables: Tables) -> Iterator[Section]:
    """The worst events one by one."""
    for event in _each(tables.events.head(CARDS)):
        channel, rows = tables.reading(event)
        inside = rows[(rows["ds"] >= event.start) & (rows["ds"] <= event.end)]
        place = int(rows["ds"].searchsorted(event.start))
        margin = max(3 * len(inside), 60)
        around = rows.iloc[max(place - margin, 0) : place + len(inside) + margin]
        spans = tables.events[tables.events["unique_id"] == event.unique_id]
        lines = list(told(event, channel, inside, tables.events))
        drawn = picture(f"{lines[0][1]}", partial(plot_watched, rows=around, spans=spans, channel=channel), HALF)
        title = f"{event.kind or 'event'} from {moment(event.start)}"
        yield Section(title, "", [drawn], [Listing("", ("", ""), lines, folded=False)], half=True)


def told(event: Any, channel: str, inside: pd.DataFrame, every: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Actual, expected, deviation, length, blame and similar events."""
    at = inside[inside["ds"] == event.peak].iloc[0]
    off, half = float(at["value"] - at["expected"]), float(at["upper"] - at["lower"]) / 2 / SPREAD
    spreads = f", {abs(off / half):.1f} standard deviations" if half > 0 and np.isfinite(off) else ""
    yield (
        "at its peak",
        f"{number(at['value'])}, expected {number(at['expected'])} ({number(at['lower'])} to {number(at['upper'])})",
    )
    yield "deviation", f"{number(off)}{spreads}"
    yield "p-value", number(float(at["p_value"]))
    yield "rows", f"{len(inside)} ({int(inside['alarm'].sum())} with an alarm), {event.severity}"
    if getattr(event, "onset", event.start) != event.start:
        yield "began", moment(event.onset)
    yield "series", safe(f"{event.unique_id}", 60)
    if event.top_channels and event.top_channels != event.unique_id:
        yield "most to blame", safe(event.top_channels, 80)
    same = every[
        (every["unique_id"] == event.unique_id) & (every["kind"] == event.kind) & (every["start"] < event.start)
    ]
    yield (
        "similar before",
        f"{len(same)} of the same kind" + (f", the last {moment(same['start'].max())}" if len(same) else ""),
    )


def lanes(tables: Tables) -> Iterator[Section]:
    """When was what in alarm?"""
    best = tables.scores.groupby("unique_id")["score"].max().sort_values(ascending=False, kind="stable")
    names = [str(name) for name in best.index[:LANES]]
    if len(names) > 1 and tables.scores["ds"].min() < tables.scores["ds"].max():
        left_out = f", the {LANES} with the highest scores" if len(best) > LANES else ""
        finding = f"{len(best)} readings over time{left_out}."
        size = (9.0, 1.2 + 0.32 * len(names))
        drawn = picture(finding, partial(plot_swimlanes, scores=tables.scores, names=names), size)
        yield Section("All of them over time", finding, [drawn])


def blame(tables: Tables) -> Iterator[Section]:
    """Which channel carried which event?"""
    if tables.summary["channels"] < 2 or tables.events.empty:
        return
    rows: dict[str, dict[str, float]] = {}
    for event in _each(tables.events.head(20)):
        inside = tables.scores[(tables.scores["ds"] == event.peak)]
        if tables.summary["series"] > 1:
            inside = inside[inside["unique_id"].str.startswith(f"{event.unique_id}/")]
        names = inside["unique_id"].str.removeprefix(f"{event.unique_id}/")
        label = moment(event.peak) if tables.summary["series"] == 1 else f"{event.unique_id} {moment(event.peak)}"
        label = label if label not in rows else f"{label} ({len(rows) + 1})"
        rows[label] = dict(zip(names, inside["blame"], strict=True))
    table = pd.DataFrame(rows).T.sort_index()
    finding = "Share of each channel in the score, at the peak of each event."
    drawn = picture(finding, partial(plot_heat, table=table, title="share"), (9.0, 1.6 + 0.34 * len(table)))
    yield Section("Which channel was to blame", finding, [drawn], [listing(table.reset_index(), "The numbers")])


def thresholds(tables: Tables) -> Iterator[Section]:
    """How many alarms would other rates have given?"""
    first = tables.scores[~tables.scores["muted"]] if "muted" in tables.scores else tables.scores
    first = first.drop_duplicates(["ds", "alarm", "score"]) if tables.summary["series"] == 1 else first
    days = tables.summary["days"]
    per, unit = (days, "per day, all series") if days else (1.0, "in all")
    share = tables.summary.get("false_discovery_rate")
    asked = (
        f"{number(tables.summary['rate'])} false alarms per row"
        if share is None
        else f"{number(share)} of all alarms at most to be false"
    )
    finding = f"Asked for {asked}; {number(tables.summary['measured'])} of the rows have one."
    p = first["p_value"].to_numpy(dtype=float)
    draw = partial(plot_thresholds, p_value=p, per=per, unit=unit, rate=tables.summary["rate"])
    yield Section("Alarms at other rates", finding, [picture(finding, draw)])


SECTIONS = (watched, judged, listed, cards, lanes, blame, thresholds)

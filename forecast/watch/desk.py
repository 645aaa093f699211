"""`forecast watch do=…`: look at a state folder, label its alerts, mute and unmute, also while a watch is running on it.

    do=status                                   the state of every sensor, false alarms against the budget, a preview of stricter ones
    do=label alert=ID verdict=false             real, false or expected; none takes it back. The beginning of an id is enough
    do=explain alert=ID                         the kind of change behind its event, and since when, by the scores that are kept
    do=mute 'mute=[{sensor: plant/*, end: 2026-01-02T00:00Z}]'      from the newest row on, where no start is given
    do=unmute 'mute=[{sensor: plant/*}]'        mutes of this sensor and kind that were given by do=mute
A folder of several buckets is one: all of its stores are asked, and a mute goes to each. A label
changes the gauge and the preview of do=status and nothing else. A running watch takes a mute up with its next commit, and says so.
"""

import csv
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from forecast.detect.evidence import KINDS
from forecast.errors import InputError, unknown
from forecast.watch import history, status
from forecast.watch.alerts import iso
from forecast.watch.book import apart
from forecast.watch.cause import AFTER, BEFORE, cause
from forecast.watch.events import Mute
from forecast.watch.leases import buckets_of, folder_of
from forecast.watch.moments import NONE, one_moment
from forecast.watch.status import Gauge, Sensor
from forecast.watch.store import SCHEMA, Reader, StoreError, connect, reason
from forecast.watch.warmup import Head

STORE = "state.db"
VERDICTS = ("real", "false", "expected", "none")
STATES_OF_EVENTS = ("open", "closed")


def stores(state: Path) -> list[Path]:
    """The stores of a state folder: one, or one of each bucket."""
    buckets = buckets_of(state)
    paths = [state / STORE] if buckets is None else [folder_of(state, bucket) / STORE for bucket in range(buckets)]
    absent = [path for path in paths if not path.is_file()]
    if absent or not paths:
        raise InputError(f"{absent[0] if absent else state}: no such store; `forecast watch` makes one, state=FOLDER")
    return paths


class View(NamedTuple):
    """What the stores of a folder hold, together."""

    sensors: list[Sensor]
    gauge: Gauge
    stricter: list[tuple[float, Counter[str]]]  # budgets, and the events that they would leave
    labels: dict[str, str]
    mutes: list[Mute]
    now: int | None  # newest time of the stream

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "View":
        """As it stands."""
        sensors: list[Sensor] = []
        mutes: dict[Mute, None] = {}
        alerts: dict[str, Any] = {}
        labels: dict[str, str] = {}
        asked = []
        for path in paths:
            with closing(Reader(path)) as reader:
                sensors += status.sensors_of(reader)
                alerts |= status.last_alerts(reader)
                labels |= reader.labels()
                mutes |= dict.fromkeys(reader.mutes())
                asked.append(status.Asked.of(reader))
        shares = [one.share for one in asked if one.share is not None]
        found = status.gauge(sensors, alerts, labels)._replace(share=shares[0] if shares else None)
        rates = [one.per_row for one in asked if one.per_row is not None]
        rate = rates[0] if rates else found.asked / _rows_per_day(sensors)
        stricter = status.preview(rate, alerts, labels) if 0 < rate < 0.5 else []
        now = max(one.now for one in asked)
        return cls(sorted(sensors), found, stricter, labels, list(mutes), None if now == NONE else now)


def show(paths: Sequence[Path], out: Path) -> str:
    """How things stand, and a table of all sensors in `out`."""
    view = View.of(paths)
    with open(out / "sensors.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sensor", *Sensor._fields[1:]))
        writer.writerows((*one[:2], _iso(one.last), *one[3:-1], _iso(one.eta)) for one in view.sensors)
    return status.text(view.sensors, view.gauge, view.stricter)


def _rows_per_day(sensors: Sequence[Sensor]) -> float:
    """Rows of a sensor in a day, on the whole."""
    scored = [(one.rows, one.days) for one in sensors if one.days > 0]
    return max(sum(rows for rows, _ in scored) / sum(days for _, days in scored), 1.0) if scored else 1440.0


def label(paths: Sequence[Path], alert: str | None, verdict: str | None) -> str:
    """Give an alert a label, or take it back."""
    if not alert or verdict is None:
        raise InputError("a label needs alert=ID and verdict=real|false|expected|none")
    if verdict not in VERDICTS:
        raise unknown("verdict", verdict, VERDICTS)
    whole, path, one = _alert(paths, alert)
    if verdict == "none":
        _write(path, [("DELETE FROM labels WHERE alert = ?", (whole,))])
    else:
        _write(path, [("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", (whole, verdict, time.time_ns() // 1000))])
    return f"{whole}: {verdict}; {one['text']}"


def explain(paths: Sequence[Path], alert: str | None) -> str:
    """What kind of change lies behind an alert's event, and since when."""
    if not alert:
        raise InputError("to explain needs alert=ID")
    whole, path, one = _alert(paths, alert)
    start, end = (one_moment(str(one[word] or one["detected_at"]))[0] for word in ("start", "end"))
    with closing(Reader(path)) as reader:
        number, step = _sensor(reader, one["sensor"])
        blocks = reader.blocks(start - round(BEFORE * step), end + round(AFTER * step))
    parts = [part.take(np.flatnonzero(part.who == number)) for part in map(history.read, blocks)]
    scores = history.together(parts)
    if one["kind"] in KINDS and not ((scores.time >= start) & (scores.time <= end)).any():
        raise InputError(
            f"{whole}: no score of its time is kept; pass commit='{{history: true, keep: 30}}' (days) to the watch"
        )
    kind, onset = cause(scores, start, end, one["kind"])
    return f"{whole}: {kind or 'anomaly'} of {one['sensor']} since {iso(onset)}; told as {one['kind'] or 'anomaly'} from {one['start']} on"


def _sensor(reader: Reader, name: str) -> tuple[int, float]:
    """Number and step, microseconds, of a sensor."""
    for number, (_, own, record) in enumerate(reader.sensors()):
        if own == name:
            return number, Head.of(apart(record, name).own).step
    raise InputError(f"{name}: no such sensor in the store")


def _alert(paths: Sequence[Path], alert: str) -> tuple[str, Path, dict[str, Any]]:
    """The one alert whose id begins so, as it was told last, and its store."""
    found: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path in paths:
        with closing(Reader(path)) as reader:
            told = (json.loads(body) for _, body in reader.alerts())
            found |= {one["id"]: (path, one) for one in told if one["id"].startswith(alert)}
    if len(found) != 1:
        said = f"the beginning of {len(found)} ids" if found else "the id of no alert that is stored"
        raise InputError(f"alert={alert}: {said}; ids are in the alerts and in the store {paths[0]}")
    ((whole, (path, one)),) = found.items()
    return whole, path, one


def newest(paths: Sequence[Path], sensor: str = "*", state: str | None = None, most: int = 100) -> list[dict[str, Any]]:
    """The last alert of every event with its label, newest event first: of these sensors (a glob), in this state (None: any)."""
    if state is not None and state not in STATES_OF_EVENTS:
        raise unknown("state", state, STATES_OF_EVENTS)
    if most < 1:
        raise InputError(f"most={most}: at least 1")
    found: list[dict[str, Any]] = []
    for path in paths:
        with closing(Reader(path)) as reader:
            labels = reader.labels()
            found += [one | {"label": labels.get(key)} for key, one in status.last_alerts(reader).items()]
    kept = [one for one in found if fnmatchcase(one["sensor"], sensor) and (state is None or _state(one) == state)]
    return sorted(kept, key=lambda one: (one["detected_at"], one["id"]), reverse=True)[:most]


def _state(alert: dict[str, Any]) -> str:
    return "closed" if alert["state"] == "closed" else "open"


def mute(paths: Sequence[Path], mutes: Sequence[Mute]) -> str:
    """Keep alerts from being sent, from the newest row of the stream on where no start is given."""
    if not mutes:
        raise InputError("a mute needs mute=[{sensor: GLOB, end: TIME}]")
    stream = View.of(paths).now
    given = [one._replace(start=stream) if one.start is None else one for one in mutes]
    for path in paths:
        _write(path, [("INSERT INTO mutes VALUES (NULL, ?, ?, ?, ?)", tuple(one)) for one in given])
    return "\n".join(f"muted: {_said(one)}" for one in given)


def unmute(paths: Sequence[Path], mutes: Sequence[Mute]) -> str:
    """Take back mutes of these sensors and kinds."""
    if not mutes:
        raise InputError("to unmute needs mute=[{sensor: GLOB}]")
    there = View.of(paths).mutes
    gone = [one for one in there if any(one[:2] == other[:2] for other in mutes)]
    if not gone:
        raise InputError(
            "nothing of that sensor and kind is muted by command; there is "
            + (", ".join(map(_said, there)) or "nothing")
        )
    for path in paths:
        _write(path, [("DELETE FROM mutes WHERE sensor = ? AND kind = ?", one[:2]) for one in gone])
    return "\n".join(f"no longer muted: {_said(one)}" for one in gone)


def _said(one: Mute) -> str:
    return f"{one.sensor} ({one.kind}) from {_iso(one.start) or 'ever'} to {_iso(one.end) or 'ever'}"


def _iso(stamp: int | None) -> str:
    return "" if stamp is None else iso(stamp)


def _write(path: Path, statements: Sequence[tuple[str, tuple[Any, ...]]]) -> None:
    """All of it, beside whoever else writes."""
    try:
        with closing(connect(path)) as base:
            base.executescript(SCHEMA)
            base.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                base.execute(statement, values)
            base.execute("COMMIT")
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {reason(error)}; nothing was changed") from error

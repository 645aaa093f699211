"""`forecast watch do=…`: look at a state folder, label its alerts, mute and unmute, also while a watch is running on it.

    do=status                                   the state of every sensor, false alarms against the budget, a preview of stricter ones
    do=label alert=ID verdict=false             real, false or expected; none takes it back. The beginning of an id is enough
    do=mute 'mute=[{sensor: plant/*, end: 2026-01-02T00:00Z}]'      from the newest row on, where no start is given
    do=unmute 'mute=[{sensor: plant/*}]'        mutes of this sensor and kind that were given by do=mute
A label changes the gauge and the preview of do=status and nothing else. A running watch takes a mute up with its next commit, and says so.
"""

import csv
import json
import logging
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from forecast.errors import InputError, unknown
from forecast.watch import status
from forecast.watch.alerts import iso
from forecast.watch.events import Mute
from forecast.watch.moments import NONE
from forecast.watch.store import SCHEMA, Reader, StoreError, connect, reason

VERDICTS = ("real", "false", "expected", "none")
_log = logging.getLogger("forecast")


def show(path: Path, out: Path) -> str:
    """How things stand, and a table of all sensors in `out`."""
    with closing(Reader(path)) as reader:
        sensors, alerts, labels = status.sensors_of(reader), status.last_alerts(reader), reader.labels()
        per_row = status.Asked.of(reader).per_row
    found = status.gauge(sensors, alerts, labels)
    with open(out / "sensors.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("sensor", *status.Sensor._fields[1:]))
        writer.writerows((*one[:2], _iso(one.last), *one[3:-1], _iso(one.eta)) for one in sensors)
    rate = per_row if per_row is not None else found.asked / _rows_per_day(sensors)
    return status.text(sensors, found, status.preview(rate, alerts, labels) if 0 < rate < 0.5 else [])


def _rows_per_day(sensors: Sequence[status.Sensor]) -> float:
    """Rows of a sensor in a day, on the whole."""
    scored = [(one.rows, one.days) for one in sensors if one.days > 0]
    return max(sum(rows for rows, _ in scored) / sum(days for _, days in scored), 1.0) if scored else 1440.0


def label(path: Path, alert: str | None, verdict: str | None) -> str:
    """Give an alert a label, or take it back."""
    if not alert or verdict is None:
        raise InputError("do=label needs alert=ID and verdict=real|false|expected|none")
    if verdict not in VERDICTS:
        raise unknown("verdict", verdict, VERDICTS)
    with closing(Reader(path)) as reader:
        found = {one["id"]: one for _, body in reader.alerts() if (one := json.loads(body))["id"].startswith(alert)}
    if len(found) != 1:
        said = f"the beginning of {len(found)} ids" if found else "the id of no alert that is stored"
        raise InputError(f"alert={alert}: {said}; ids are in the alerts and in the store {path}")
    ((whole, one),) = found.items()
    if verdict == "none":
        _write(path, [("DELETE FROM labels WHERE alert = ?", (whole,))])
    else:
        _write(path, [("INSERT OR REPLACE INTO labels VALUES (?, ?, ?)", (whole, verdict, time.time_ns() // 1000))])
    return f"{whole}: {verdict}; {one['text']}"


def mute(path: Path, mutes: Sequence[Mute]) -> str:
    """Keep alerts from being sent, from the newest row of the stream on where no start is given."""
    if not mutes:
        raise InputError("do=mute needs mute=[{sensor: GLOB, end: TIME}]")
    with closing(Reader(path)) as reader:
        stream = json.loads(reader.fact("watch") or b"{}").get("stream", NONE)
    given = [one if one.start is not None or stream == NONE else one._replace(start=stream) for one in mutes]
    _write(path, [("INSERT INTO mutes VALUES (NULL, ?, ?, ?, ?)", tuple(one)) for one in given])
    return "\n".join(f"muted: {_said(one)}" for one in given)


def unmute(path: Path, mutes: Sequence[Mute]) -> str:
    """Take back mutes of these sensors and kinds."""
    if not mutes:
        raise InputError("do=unmute needs mute=[{sensor: GLOB}]")
    with closing(Reader(path)) as reader:
        gone = [one for one in reader.mutes() if any(one[:2] == other[:2] for other in mutes)]
        left = [one for one in reader.mutes() if one not in gone]
    if not gone:
        raise InputError(
            "do=unmute: nothing of that sensor and kind is muted by do=mute; there is "
            + (", ".join(map(_said, left)) or "nothing")
        )
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

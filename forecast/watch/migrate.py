"""A store of format 1 brought up to date, in one transaction, with a copy of it left beside.

Positions, alerts, labels, mutes, scores and what each sensor waits for and remembers are kept as they are. Models of format 1 had other
parameters, so that states of machines are not carried over: every sensor is given its last stored rows as a warm-up that has come to its
goal, and with its next row it is estimated from them, with seasons, and scored. One of fewer rows than a warm-up takes goes on warming up.

    sensor in format 1:  newest · turn · rows · alarms [· mark · silent] (4 or 6 × i64) · lengths (4 × u32) · ring · waiting · memory · scorer
"""

import sqlite3
import struct
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import numpy as np

from forecast.watch import book, files, history
from forecast.watch.moments import NONE
from forecast.watch.records import DamagedError, seal, unseal, version_of
from forecast.watch.refit import USUAL
from forecast.watch.warmup import HEAD, PAIR, Head, Plan

OLD, NEW = 1, 2
SENSOR, FACT, BLOCK = 1, 2, 3  # kinds of records
HEADS = (struct.Struct("<4q4I"), struct.Struct("<6q4I"))
Kept = dict[int, tuple[np.ndarray, np.ndarray]]  # sensor → times and values of its last rows


def migrate(path: Path) -> str | None:
    """Bring a store of format 1 up to date; says so. Others are left alone."""
    with closing(sqlite3.connect(path, isolation_level=None)) as base:
        row = base.execute("SELECT record FROM sensors LIMIT 1").fetchone() if _there(base, "sensors") else None
        if row is None or version_of(row[0]) != OLD:
            return None
        before = path.with_suffix(".format1.db")
        if not before.exists():
            files.snapshot(path, before)
        base.execute("PRAGMA synchronous = FULL")
        base.execute("BEGIN IMMEDIATE")
        rows = base.execute("SELECT id, name, record FROM sensors")
        sensors = [
            (number, name, unseal(record, SENSOR, (OLD,), f"{path}: {name!r}")[1]) for number, name, record in rows
        ]
        kept = _last_rows(base, path)
        for number, name, old in sensors:
            new = seal(_sensor(old, name, kept.get(number)), SENSOR, NEW)
            base.execute("UPDATE sensors SET record = ? WHERE id = ?", (new, number))
        base.execute("DELETE FROM fixed")
        base.execute("DELETE FROM facts WHERE name = 'scorer'")
        base.execute("COMMIT")
    active = sum(_active(old, name) for _, name, old in sensors)
    return (
        f"{path}: format 1 brought up to date; {active} sensors are estimated anew with their next rows, {len(sensors) - active} go on "
        f"warming up; the store as it was is {before.name}"
    )


def _there(base: sqlite3.Connection, table: str) -> bool:
    return base.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (table,)).fetchone() is not None


def _last_rows(base: sqlite3.Connection, path: Path) -> Kept:
    """The last rows of every sensor that scores were kept of, as many as a warm-up may take."""
    found: dict[int, list[tuple[np.ndarray, ...]]] = {}
    left: dict[int, int] = {}
    for (record,) in base.execute("SELECT record FROM scores ORDER BY n DESC"):
        block = history.read(unseal(record, BLOCK, (OLD, NEW), f"{path}: scores")[1])
        for who in np.unique(block.who).tolist():
            room = left.setdefault(who, Plan().longest)
            if room:
                mine = np.flatnonzero(block.who == who)[-room:]
                found.setdefault(who, []).append((block.time[mine], block.value[mine], block.score[mine] >= 0.5))
                left[who] = room - len(mine)
    return {
        who: _without_exceptions(*map(np.concatenate, zip(*reversed(parts), strict=True)))
        for who, parts in found.items()
    }


def _without_exceptions(times: np.ndarray, values: np.ndarray, alarm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Alarms are nothing to learn from, as in a refit."""
    return times, np.where(alarm & (alarm.mean() <= USUAL), np.nan, values)


def _parts(old: bytes, name: str) -> tuple[list[int], list[bytes]]:
    """The numbers of a sensor's record; ring, waiting, memory and scorer."""
    head = next((head for head in HEADS if head.size + sum(head.unpack_from(old)[-4:]) == len(old)), None)
    if head is None:
        raise DamagedError(f"the state of sensor {name!r} is damaged")
    *numbers, a, b, c, d = head.unpack_from(old)
    ends = np.cumsum([head.size, a, b, c, d]).tolist()
    return numbers, [old[low:high] for low, high in pairwise(ends)]


def _active(old: bytes, name: str) -> bool:
    """Whether a sensor was scored: its scorer's record begins with its life, or the number of its bank; 0 while it warms up."""
    return any(_parts(old, name)[1][3][:8])


def _sensor(old: bytes, name: str, kept: tuple[np.ndarray, np.ndarray] | None) -> bytes:
    """The record of a sensor as format 2 has it, warming up on these rows."""
    numbers, (ring, waiting, memory, _) = _parts(old, name)
    times, values = (np.zeros(0), np.zeros(0)) if kept is None else kept
    rows = np.zeros(len(times), dtype=PAIR)
    rows["time"], rows["value"] = times, values
    goal = len(rows) if len(rows) and _active(old, name) else max(len(rows), Plan().rows)
    last = int(rows["time"][-1]) if len(rows) else 0
    scorer = HEAD.pack(*Head(0, last, 1.0, goal, 0, 0)) + rows.tobytes()
    numbers = [*numbers, NONE, 0][:6] if len(numbers) == 4 else numbers
    lengths = (len(ring), len(waiting), len(memory), len(scorer))
    return book.HEAD.pack(*numbers, *lengths) + ring + waiting + memory + scorer

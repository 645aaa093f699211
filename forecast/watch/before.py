"""Rows from before the stream: `history=FILE` warms sensors up, so that they are scored from the first row of the stream on.

    read  file → parse → sort by event time → score, of which nothing is kept and nothing told → one commit, and then the source is opened
Seasons, parameters, tails and states are those that the same rows would have led to in the stream. A row of the stream that is not newer
than its sensor's last one in the file is held there: it is counted, and does nothing. Killed before that commit, the file is read again;
after it never: the store holds what it led to.
"""

import json
import logging
import time
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from forecast.errors import InputError
from forecast.watch.alerts import iso
from forecast.watch.arrival import Rows
from forecast.watch.book import Book
from forecast.watch.parse import Parser
from forecast.watch.readings import Flags, Ints, counted
from forecast.watch.sources.replay import Replay
from forecast.watch.store import Reader

FACT = "history"  # under which the store keeps it
ORDER = -1  # of its rows: before the first one of the stream
_log = logging.getLogger("forecast")


class Before(NamedTuple):
    """A file of rows, and how they are read."""

    path: Path
    parser: Parser


class Held(NamedTuple):
    """What a store already holds of the time before its stream."""

    file: str  # "" where there was none
    until: Ints  # newest time of each of the sensors with the first numbers

    @classmethod
    def of(cls, reader: Reader) -> "Held":
        """As the store has it."""
        known = json.loads(reader.fact(FACT) or b"null") or {"file": "", "until": []}
        return cls(known["file"], np.array(known["until"], dtype=np.int64))

    def fact(self) -> bytes:
        """As the store keeps it."""
        return json.dumps({"file": self.file, "until": self.until.tolist()}).encode()

    def holds(self, who: Ints, times: Ints) -> Flags:
        """Which of these rows of the stream the file held."""
        count = len(self.until)
        if count == 0:
            return np.zeros(len(who), dtype=bool)
        known = who < count
        return known & (times <= self.until[np.where(known, who, 0)])


def read(before: Before, book: Book, earliest: int, future: float) -> Held:
    """Take the rows of the file; the book is empty yet."""
    if not before.path.is_file():
        raise InputError(f"{before.path}: no such file; pass history=FILE")
    source, aside, found = Replay(before.path, speed=0), Counter[str](), Counter[str]()
    source.open(None)
    latest = int((time.time() + future) * 1e6)
    while not (chunk := source.poll(0.0)) or not chunk.ended:
        if chunk is None:
            continue
        readings, odd = before.parser.parse(chunk)
        aside.update(one.reason for one in odd)
        fine = (readings.time <= latest) & (readings.time >= earliest)
        aside["from the future or too old"] += int((~fine).sum())
        readings = readings.rows(fine)
        who = book.who(readings.names, readings.code)
        rows = Rows(who, readings.time, readings.value, np.full(len(who), ORDER))
        sorted_ = book.arrival.sort(rows)
        aside["late"] += len(sorted_.late)
        aside["repeated"] += len(sorted_.repeated)
        _score(book, sorted_.released, found)
    _score(book, book.arrival.flush(ORDER), found)
    source.close()
    if not book.names:
        raise InputError(f"history={before.path}: no reading in it{_listed(aside)}")
    ready = book.scorer.begin()
    _log.warning(
        "history %s: %s of %s, %d of them ready, until %s; %d scored, %s%s",
        *(before.path, counted(found["rows"], "readings"), counted(len(book.names), "sensors")),
        *(ready, iso(int(book.arrival.newest.max())), found["scored"], counted(found["alarms"], "alarms")),
        _listed(aside),
    )
    return Held(before.path.name, book.arrival.newest.copy())


def _score(book: Book, rows: Rows, found: Counter[str]) -> None:
    if len(rows.who) == 0:
        return
    scored = book.scorer.observe(rows)
    if book.recent is not None:
        book.recent.take(rows, scored, np.ones(len(rows.who), dtype=bool), 0, len(rows.who))
    found["rows"] += len(rows.who)
    found["scored"] += int(np.isfinite(scored.score).sum())
    found["alarms"] += int(scored.alarm.sum())


def _listed(aside: Counter[str]) -> str:
    told = ", ".join(f"{count} {reason}" for reason, count in sorted(aside.items()) if count)
    return f"; not used: {told}" if told else ""


def awakened(book: Book, held: Held, first: int) -> Ints:
    """With the first row of the stream, at this time, the sensors of the file begin to be waited for; which those are."""
    if book.silence.streams or not len(held.until):
        return np.zeros(0, dtype=np.int64)
    sensors = np.arange(len(held.until))
    book.silence.streams[0], book.silence.mark[sensors] = first, first
    return sensors

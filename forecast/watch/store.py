"""The durable store of a watch: one SQLite database, WAL, synchronous=FULL, one transaction for all that belongs together.

    sensors    id · name · record (its state, as bytes)         written when touched
    fixed      id · record: what was estimated for it            written when estimated
    recent     id · page · rows, for refits                     pages that were touched
    positions  where each source stands                         in the same transaction
    alerts     n · id · body                                     the same; it is the outbox and the history at once
    cursors    sink · n delivered · bytes written                a sink's outbox is the alerts after its cursor
    scores     n · first and last time · columns of a block      one block a commit
    labels     alert · real, false or expected · when          given by a person, beside the writer; so are
    mutes      sensor · kind · start · end
    aside      rows put aside, with their reason, the newest of them
    facts      single records: the scorer's header, counters, the owner's epoch
A commit is all or nothing. The owner holds a file lock and an epoch; a stale owner's commit fails. Readers (the sinks, the
live page) have connections of their own and never hold the writer up.
"""

import fcntl
import json
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from forecast.errors import ForecastError, InputError
from forecast.watch import files
from forecast.watch.events import Mute
from forecast.watch.migrate import migrate
from forecast.watch.records import DamagedError, seal, unseal

FORMAT = 3
VERSIONS = (1, 2, 3)  # formats that this program reads; 2 has no recent rows of sensors
SENSOR, FACT, BLOCK, ALERT, POSITION, FIXED, RECENT = 1, 2, 3, 4, 5, 6, 7
MADE_ANEW = (SENSOR, FIXED, RECENT)  # kinds that `forecast.watch.migrate` brings up to date
KEPT_ASIDE = 10_000  # rows put aside that are kept for a look

SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS owner (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS sensors (id INTEGER PRIMARY KEY, name TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fixed (id INTEGER PRIMARY KEY, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS recent (id INTEGER NOT NULL, page INTEGER NOT NULL, record BLOB NOT NULL, PRIMARY KEY (id, page)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS positions (source TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alerts (n INTEGER PRIMARY KEY, id TEXT NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS cursors (sink TEXT PRIMARY KEY, n INTEGER NOT NULL, bytes INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS scores (n INTEGER PRIMARY KEY, first INTEGER NOT NULL, last INTEGER NOT NULL, record BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS aside (n INTEGER PRIMARY KEY, reason TEXT NOT NULL, sensor TEXT, row TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS labels (alert TEXT PRIMARY KEY, label TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS mutes (n INTEGER PRIMARY KEY, sensor TEXT NOT NULL, kind TEXT NOT NULL, start INTEGER, end INTEGER);
"""


class StoreError(ForecastError):
    """Nothing can be committed; what was not committed is not acknowledged either."""


class Cursor(NamedTuple):
    """How far a sink has come: the last alert delivered, and the bytes written where it is a file."""

    n: int
    bytes: int


@dataclass
class Commit:
    """What belongs together."""

    positions: dict[str, Any] = field(default_factory=dict)
    sensors: list[tuple[int, str, bytes]] = field(default_factory=list)
    fixed: list[tuple[int, bytes]] = field(default_factory=list)
    recent: list[tuple[int, int, bytes]] = field(default_factory=list)
    facts: dict[str, bytes] = field(default_factory=dict)
    alerts: list[tuple[int, str, bytes]] = field(default_factory=list)
    cursors: dict[str, Cursor] = field(default_factory=dict)
    block: tuple[int, int, bytes] | None = None  # first and last time, columns
    aside: list[tuple[str, str | None, str]] = field(default_factory=list)
    keep_after: int | None = None  # blocks that end before this time are let go


def _nothing(_: str) -> None:
    """The hook of a store that nobody tests."""


class Store:
    """The one writer of a state folder."""

    def __init__(self, folder: Path, hook: Callable[[str], None] = _nothing, alone: bool = True) -> None:
        self.path, self.hook = folder / "state.db", hook
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(folder / "owner.lock") if alone else None  # None: leases say whose it is
        except OSError as error:
            raise StoreError(f"{folder}: {reason(error)}; the state folder has to be writable, state=FOLDER") from error
        try:
            had_to = files.ready(self.path, check), migrate(self.path) if self.path.exists() else None
            self.said = "; ".join(filter(None, had_to)) or None  # what had to be done about a file damaged or old
            self._base = connect(self.path)
            self._base.executescript(SCHEMA)
            self._base.execute("INSERT OR IGNORE INTO owner VALUES (1, 0)")
            self._base.execute("UPDATE owner SET epoch = epoch + 1")
            self._version = -1
            (self.epoch,) = self._base.execute("SELECT epoch FROM owner").fetchone()
        except BaseException as error:
            self._unlock()
            if isinstance(error, (OSError, sqlite3.Error)):
                raise StoreError(f"{folder}: {reason(error)}; free space or make it writable, state=FOLDER") from error
            raise

    def commit(self, work: Commit) -> None:
        """All of it, durably, or none of it."""
        base = self._base
        try:
            self.hook("begin")
            base.execute("BEGIN IMMEDIATE")
            self._own(base)
            self._write(base, work)
            self.hook("written")
            base.execute("COMMIT")
            self.hook("committed")
        except sqlite3.Error as error:
            if base.in_transaction:
                base.execute("ROLLBACK")
            raise StoreError(
                f"{self.path}: {reason(error)}; nothing was acknowledged, free space and start again"
            ) from error

    def _own(self, base: sqlite3.Connection) -> None:
        """Nobody has taken over."""
        if base.execute("SELECT epoch FROM owner").fetchone() != (self.epoch,):
            base.execute("ROLLBACK")
            raise StoreError(f"{self.path}: another process has taken over; nothing more is written by this one")

    def _write(self, base: sqlite3.Connection, work: Commit) -> None:
        base.executemany(
            "INSERT INTO sensors VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record",
            [(i, name, seal(data, SENSOR, FORMAT)) for i, name, data in work.sensors],
        )
        self.hook("sensors")
        base.executemany(
            "INSERT OR REPLACE INTO fixed VALUES (?, ?)", [(i, seal(data, FIXED, FORMAT)) for i, data in work.fixed]
        )
        base.executemany(
            "INSERT OR REPLACE INTO recent VALUES (?, ?, ?)",
            [(i, page, seal(data, RECENT, FORMAT)) for i, page, data in work.recent],
        )
        base.executemany(
            "INSERT OR REPLACE INTO positions VALUES (?, ?)",
            [(source, seal(json.dumps(at).encode(), POSITION, FORMAT)) for source, at in work.positions.items()],
        )
        base.executemany(
            "INSERT OR REPLACE INTO facts VALUES (?, ?)",
            [(name, seal(data, FACT, FORMAT)) for name, data in work.facts.items()],
        )
        base.executemany(
            "INSERT INTO alerts VALUES (?, ?, ?)", [(n, i, seal(body, ALERT, FORMAT)) for n, i, body in work.alerts]
        )
        base.executemany(
            "INSERT OR REPLACE INTO cursors VALUES (?, ?, ?)", [(sink, *at) for sink, at in work.cursors.items()]
        )
        if work.block is not None:
            first, last, data = work.block
            base.execute("INSERT INTO scores VALUES (NULL, ?, ?, ?)", (first, last, seal(data, BLOCK, FORMAT)))
        if work.keep_after is not None:
            base.execute("DELETE FROM scores WHERE last < ?", (work.keep_after,))
        if work.aside:
            base.executemany("INSERT INTO aside VALUES (NULL, ?, ?, ?)", work.aside)
            base.execute("DELETE FROM aside WHERE n <= (SELECT max(n) FROM aside) - ?", (KEPT_ASIDE,))

    def touched(self) -> bool:
        """Whether somebody else has written since this was last asked: labels and mutes come that way."""
        (version,) = self._base.execute("PRAGMA data_version").fetchone()
        before, self._version = self._version, version
        return bool(before != version)

    def close(self) -> None:
        """Fold the log into the file and note the whole file's digest."""
        try:
            self._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._base.close()
            files.note(self.path)
        except (OSError, sqlite3.Error) as error:
            raise StoreError(
                f"{self.path}: {reason(error)}; everything is committed, free space and start again"
            ) from error
        finally:
            self._base.close()
            self._unlock()

    def abandon(self) -> None:
        """Let go of the file as it is: it is another's."""
        self._base.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()


class Reader:
    """What a store holds, for whoever only reads."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise InputError(f"{path}: no such store; `forecast watch` makes one")
        self.path = path
        self._base = sqlite3.connect(f"file:{path}?mode=ro", uri=True, check_same_thread=False)
        try:
            made = self._base.execute("SELECT 1 FROM sqlite_master WHERE name = 'labels'").fetchone()
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise DamagedError(
                f"{path}: {reason(error)}; start `forecast watch` on it, which goes back to a good copy"
            ) from error
        if not made:
            self._base.close()
            raise InputError(f"{path}: not made yet; `forecast watch` is about to, ask again")

    def sensors(self) -> list[tuple[int, str, bytes]]:
        """Every sensor: its number, name and state."""
        rows = self._base.execute("SELECT id, name, record FROM sensors ORDER BY id")
        return [(i, name, self._open(record, SENSOR, f"the state of sensor {name!r}")) for i, name, record in rows]

    def fixed(self) -> dict[int, bytes]:
        """What does not move of every sensor that has it."""
        rows = self._base.execute("SELECT id, record FROM fixed")
        return {i: self._open(record, FIXED, f"the parameters of sensor {i}") for i, record in rows}

    def recent(self) -> list[tuple[int, int, bytes]]:
        """The last rows of sensors, page by page."""
        rows = self._base.execute("SELECT id, page, record FROM recent ORDER BY id, page")
        return [(i, page, self._open(record, RECENT, f"the rows of sensor {i}")) for i, page, record in rows]

    def position(self, source: str) -> Any:
        """Where a source stood at the last commit; None before the first."""
        row = self._base.execute("SELECT record FROM positions WHERE source = ?", (source,)).fetchone()
        return None if row is None else json.loads(self._open(row[0], POSITION, f"the position of source {source!r}"))

    def fact(self, name: str) -> bytes | None:
        """A single record."""
        row = self._base.execute("SELECT record FROM facts WHERE name = ?", (name,)).fetchone()
        return None if row is None else self._open(row[0], FACT, name)

    def alerts(self, after: int = 0, limit: int = -1) -> list[tuple[int, bytes]]:
        """Alerts in order, as number and body."""
        rows = self._base.execute("SELECT n, record FROM alerts WHERE n > ? ORDER BY n LIMIT ?", (after, limit))
        return [(n, self._open(record, ALERT, f"alert {n}")) for n, record in rows]

    def last_alert(self) -> int:
        """The number of the newest alert; 0 before the first."""
        (n,) = self._base.execute("SELECT coalesce(max(n), 0) FROM alerts").fetchone()
        return int(n)

    def cursor(self, sink: str) -> Cursor:
        """How far a sink has come."""
        row = self._base.execute("SELECT n, bytes FROM cursors WHERE sink = ?", (sink,)).fetchone()
        return Cursor(0, 0) if row is None else Cursor(*row)

    def labels(self) -> dict[str, str]:
        """What people have said of alerts, by their ids."""
        return dict(self._base.execute("SELECT alert, label FROM labels ORDER BY alert"))

    def mutes(self) -> list[Mute]:
        """Mutes that were given by command."""
        if not self._base.execute("SELECT 1 FROM sqlite_master WHERE name = 'mutes'").fetchone():
            return []  # a store of an older version that nobody has written since
        return [Mute(*row) for row in self._base.execute("SELECT sensor, kind, start, end FROM mutes ORDER BY n")]

    def blocks(self, first: int | None = None, last: int | None = None) -> list[bytes]:
        """Blocks of scores that touch a span of time, in the order they were made."""
        rows = self._base.execute(
            "SELECT n, record FROM scores WHERE last >= coalesce(?, last) AND first <= coalesce(?, first) ORDER BY n",
            (first, last),
        )
        return [self._open(record, BLOCK, f"block {n} of the scores") for n, record in rows]

    def aside(self) -> list[tuple[str, str | None, str]]:
        """The newest rows that were put aside: reason, sensor, row."""
        return list(self._base.execute("SELECT reason, sensor, row FROM aside ORDER BY n"))

    def close(self) -> None:
        """Let go of the file."""
        self._base.close()

    def _open(self, record: bytes, kind: int, what: str) -> bytes:
        version, data = unseal(record, kind, VERSIONS, f"{self.path}: {what}")
        if version == 1 and kind in MADE_ANEW:
            raise InputError(
                f"{self.path}: of format {version}; start `forecast watch` on it, which brings it up to date"
            )
        return data


def connect(path: Path) -> sqlite3.Connection:
    """A connection that writes durably; transactions are ours to begin and to end."""
    base = sqlite3.connect(path, isolation_level=None, timeout=10)
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = FULL")
    base.execute("PRAGMA wal_autocheckpoint = 4000")
    return base


def check(path: Path) -> None:
    """Read everything once; DamagedError where something is not as it was written."""
    base = sqlite3.connect(path)
    try:
        (verdict,) = base.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise DamagedError(f"{path}: {verdict}")
        names = {name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        kinds = {
            "sensors": SENSOR,
            "fixed": FIXED,
            "recent": RECENT,
            "positions": POSITION,
            "facts": FACT,
            "alerts": ALERT,
            "scores": BLOCK,
        }
        for table in kinds.keys() & names:
            for (record,) in base.execute(f"SELECT record FROM {table}"):
                unseal(record, kinds[table], VERSIONS, f"{path}: {table}")
    except sqlite3.DatabaseError as error:
        raise DamagedError(f"{path}: {reason(error)}") from error
    finally:
        base.close()


def reason(error: Exception) -> str:
    """What the system says, in a word or two."""
    text = (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
    return {"database or disk is full": "the disk is full", "disk I/O error": "the disk cannot be written"}.get(
        text, text
    )


def _locked(path: Path) -> IO[str]:
    """The lock of a folder, held as long as the file is open."""
    file = open(path, "a+", encoding="utf-8")  # noqa: SIM115 - it stays open with the store
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read().strip() or "another process"
        file.close()
        raise InputError(f"{path.parent}: in use by process {owner}; stop it, or pass another state folder") from error
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file

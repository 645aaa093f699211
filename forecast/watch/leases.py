"""Which process may write which bucket of a state folder: leases with an epoch, in one small database that all of them see.

    take → epoch + 1, until now + seconds          renew: until now + seconds, where it is still ours
A lease that nobody renewed is anyone's. That alone does not stop an owner who wakes up late: its bucket's store has an epoch of
its own, which every owner raises as it opens it, and a commit under an older one fails (`forecast.watch.store`). Clocks of machines that
share a folder must agree to well within `seconds`; losing this database costs a wait of `seconds`, never a row.
"""

import contextlib
import math
import os
import socket
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from forecast.errors import InputError

FILE = "leases.db"
SCHEMA = """
CREATE TABLE IF NOT EXISTS leases (bucket INTEGER PRIMARY KEY, holder TEXT NOT NULL, epoch INTEGER NOT NULL, until REAL NOT NULL,
    ended INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS members (holder TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID;
"""


def folder_of(state: Path, bucket: int) -> Path:
    """Where the store of a bucket lies."""
    return state / f"b{bucket:02d}"


def buckets_of(folder: Path) -> int | None:
    """For how many buckets a state folder was made; None: for none."""
    path = folder / FILE
    if not path.is_file():
        return None
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as base:
        there = base.execute("SELECT 1 FROM sqlite_master WHERE name = 'leases'").fetchone()
        return int(base.execute("SELECT count(*) FROM leases").fetchone()[0]) if there else 0


class Leases:
    """The leases of one process."""

    def __init__(self, path: Path, buckets: int, seconds: float, clock: Callable[[], float] = time.time) -> None:
        self.path, self.buckets, self.seconds, self.clock = path, buckets, seconds, clock
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._change() as base:
            base.executescript(SCHEMA)
        with self._change() as base:
            (count,) = base.execute("SELECT count(*) FROM leases").fetchone()
            if count not in (0, buckets):
                raise InputError(
                    f"{path.parent}: made for {count} buckets; pass buckets={count}, or another state folder"
                )
            every = [(bucket,) for bucket in range(buckets)]
            base.executemany("INSERT OR IGNORE INTO leases VALUES (?, '', 0, 0, 0)", every)

    def join(self) -> None:
        """One more process; where it is the only one, what had come to its end may go on."""
        with self._change() as base:
            if self._members(base) == 0:
                base.execute("UPDATE leases SET ended = 0")
            base.execute("INSERT OR REPLACE INTO members VALUES (?, ?)", (self.holder, self.clock() + self.seconds))

    def renew(self) -> set[int]:
        """Go on holding what is ours; answers which buckets that are."""
        until = self.clock() + self.seconds
        with self._change() as base:
            base.execute("INSERT OR REPLACE INTO members VALUES (?, ?)", (self.holder, until))
            base.execute("UPDATE leases SET until = ? WHERE holder = ?", (until, self.holder))
            return {bucket for (bucket,) in base.execute("SELECT bucket FROM leases WHERE holder = ?", (self.holder,))}

    def take(self, most: int) -> list[int]:
        """Buckets that nobody holds, as many as are wanted."""
        now = self.clock()
        with self._change() as base:
            free = base.execute(
                "SELECT bucket FROM leases WHERE until < ? AND holder != ? AND ended = 0 ORDER BY bucket LIMIT ?",
                (now, self.holder, max(most, 0)),
            ).fetchall()
            base.executemany(
                "UPDATE leases SET holder = ?, epoch = epoch + 1, until = ? WHERE bucket = ?",
                [(self.holder, now + self.seconds, bucket) for (bucket,) in free],
            )
        return [bucket for (bucket,) in free]

    def share(self) -> int:
        """How many buckets a process should hold: all that have not ended, divided evenly, rounded up."""
        with self._change() as base:
            (left,) = base.execute("SELECT count(*) FROM leases WHERE ended = 0").fetchone()
            return math.ceil(left / max(self._members(base), 1))

    def give(self, bucket: int, ended: bool = False) -> None:
        """Let go of a bucket; `ended`: its source has come to its end."""
        with self._change() as base:
            base.execute(
                "UPDATE leases SET holder = '', until = 0, ended = ? WHERE bucket = ? AND holder = ?",
                (int(ended), bucket, self.holder),
            )

    def over(self) -> bool:
        """Whether all buckets have come to their end."""
        with self._change() as base:
            return bool(base.execute("SELECT count(*) FROM leases WHERE ended = 0").fetchone() == (0,))

    def leave(self) -> None:
        """Let go of everything."""
        with self._change() as base:
            base.execute("UPDATE leases SET holder = '', until = 0 WHERE holder = ?", (self.holder,))
            base.execute("DELETE FROM members WHERE holder = ?", (self.holder,))

    def _members(self, base: sqlite3.Connection) -> int:
        """Processes that are alive."""
        base.execute("DELETE FROM members WHERE until < ?", (self.clock(),))
        (count,) = base.execute("SELECT count(*) FROM members").fetchone()
        return int(count)

    @contextlib.contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction, alone. Its rollback journal works wherever locks do; nothing here has to outlive a power cut."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None, timeout=30)) as base:
            base.execute("PRAGMA synchronous = OFF")
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                if base.in_transaction:
                    base.execute("ROLLBACK")
                raise
            if base.in_transaction:
                base.execute("COMMIT")

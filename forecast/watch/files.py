"""A database file and its last good copy.

When a store is closed, or copied, the SHA-256 of the whole file is noted beside it; the note is taken away before the file
is written again. At the start a noted file must match its note, byte by byte; one that was killed has no note and is checked record by
record. A damaged file is put aside and the last good copy takes its place: its source positions are older, so the rows
since then are read again.
"""

import contextlib
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from forecast.durable import write_durably
from forecast.watch.records import DamagedError

Check = Callable[[Path], None]


def ready(path: Path, check: Check) -> str | None:
    """Make sure that `path` is whole or absent; says what had to be done."""
    copy = path.with_suffix(".good.db")
    said = None
    if path.exists():
        try:
            verify(path, check)
        except DamagedError as error:
            said = _fall_back(path, copy, check, error)
    elif copy.exists() and _holds(copy, check):
        said = _restore(path, copy, f"{path}: missing")
    _digest_file(path).unlink(missing_ok=True)
    if path.exists():
        snapshot(path, copy)
    return said


def verify(path: Path, check: Check) -> None:
    """DamagedError where the file is not what was written."""
    noted = _digest_file(path)
    log = path.with_name(path.name + "-wal")
    closed = noted.exists() and not (log.exists() and log.stat().st_size)
    if closed and _digest(path) != noted.read_text().strip():
        raise DamagedError(f"{path}: its SHA-256 is not the one that was noted")
    check(path)


def snapshot(path: Path, copy: Path) -> None:
    """A copy that is whole: made under another name, noted, then renamed."""
    part = copy.with_suffix(".part")
    part.unlink(missing_ok=True)
    with contextlib.closing(sqlite3.connect(path)) as base:
        base.execute("VACUUM INTO ?", (str(part),))
    _sync(part)
    digest = _digest(part)
    _digest_file(copy).unlink(missing_ok=True)
    os.replace(part, copy)
    write_durably(_digest_file(copy), digest.encode())


def note(path: Path) -> None:
    """Note the digest of a file that is closed."""
    write_durably(_digest_file(path), _digest(path).encode())


def _fall_back(path: Path, copy: Path, check: Check, error: DamagedError) -> str:
    if not (copy.exists() and _holds(copy, check)):
        raise DamagedError(f"{error}; no good copy is left: move the state folder away to begin anew") from error
    for suffix in ("", "-wal", "-shm"):
        damaged = path.with_name(path.name + suffix)
        if damaged.exists():
            os.replace(damaged, path.with_name(f"{path.name}{suffix}.damaged"))
    return _restore(path, copy, str(error))


def _restore(path: Path, copy: Path, why: str) -> str:
    shutil.copyfile(copy, path)
    _sync(path)
    return f"{why}; went back to the last good copy, rows since then are read again where the source still has them"


def _holds(copy: Path, check: Check) -> bool:
    try:
        verify(copy, check)
    except DamagedError:
        return False
    return True


def _digest_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _digest(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    with open(path, "rb+") as file:
        os.fsync(file.fileno())

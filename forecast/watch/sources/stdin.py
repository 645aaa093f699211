"""Lines from standard input, or any other pipe.

A pipe cannot be read twice: rows that were read but not committed when the process died are gone, at most those of one commit
interval, unless a journal is kept. With a journal every block is written to a file and made durable before it is scored, and what the
last commit had not seen of it is read again at the start.
"""

import os
import select
from pathlib import Path
from typing import Any

from forecast.watch.readings import Chunk
from forecast.watch.sources.source import Source

BLOCK = 1_048_576


class Stdin(Source):
    """Lines of a pipe."""

    name = "stdin"

    def __init__(
        self,
        journal: Path | None = None,  # a file that holds what was read and may not be committed; null: none
        descriptor: int = 0,  # of the pipe
    ) -> None:
        self.journal, self.descriptor = journal, descriptor
        self._rest = b""
        self._rows = 0
        self._old = b""
        self._log = -1
        self._written = 0

    def open(self, position: Any) -> list[str]:
        """Count on from the last commit; with a journal, take up what it had not seen."""
        self._rows = 0 if position is None else position["rows"]
        if self.journal is None:
            return []
        self.journal.parent.mkdir(parents=True, exist_ok=True)
        self._log = os.open(self.journal, os.O_RDWR | os.O_CREAT, 0o600)
        done = 0 if position is None else position["journal"]
        data = os.pread(self._log, os.fstat(self._log).st_size, 0)
        whole = data[: data.rfind(b"\n") + 1]
        os.ftruncate(self._log, len(whole))
        self._written = len(whole)
        self._old = whole[done:] if done <= len(whole) else b""
        return (
            [f"{self.journal}: {self._old.count(10):,} rows that were not committed are read again"]
            if self._old
            else []
        )

    def poll(self, seconds: float) -> Chunk | None:
        """Whole lines as they come."""
        if self._old:
            text, self._old = self._old, b""
            return self._chunk(text)
        ready, _, _ = select.select([self.descriptor], [], [], seconds)
        if not ready:
            return None
        data = os.read(self.descriptor, BLOCK)
        if not data:
            return Chunk(b"", self._position(), ended=True)
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        text, self._rest = data[:end], data[end:]
        if not text:
            return None
        if self._log >= 0:
            os.pwrite(self._log, text, self._written)
            os.fdatasync(self._log)
            self._written += len(text)
        return self._chunk(text)

    def half(self) -> bytes:
        """What stands after the last newline."""
        return self._rest

    def close(self) -> None:
        """Let go of the journal."""
        if self._log >= 0:
            os.close(self._log)

    def _chunk(self, text: bytes) -> Chunk:
        self._rows += text.count(b"\n")
        return Chunk(text, self._position())

    def _position(self) -> dict[str, int]:
        return {"rows": self._rows, "journal": self._written - len(self._old)}

"""Alerts as JSON lines in a file, each exactly once.

The length of the file up to the last alert is kept with the cursor. After a kill the same lines are written over
themselves.
"""

import os
from pathlib import Path

from forecast.watch.sinks.sink import Sink


class Jsonl(Sink):
    """One line an alert."""

    def __init__(self, path: Path) -> None:
        self.path, self.name = path, f"jsonl:{path.name}"

    def deliver(self, bodies: list[bytes], at: int) -> int:
        """Write behind the first `at` bytes; a file that has become shorter is written on at its end."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            at = min(at, os.fstat(descriptor).st_size)
            data = b"".join(body + b"\n" for body in bodies)
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], at + written)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return at + len(data)

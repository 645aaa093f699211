"""The contract of a sink, and the thread that feeds it from the outbox.

A sink gets alerts in order and raises where it cannot take them; they are then offered again, later and later, until it can.
Scoring never waits for a sink. What was delivered is committed with the next commit: after a kill the same alerts, under the same
ids, may be offered again.
"""

import logging
import random
import threading
from abc import ABC, abstractmethod
from pathlib import Path

from forecast.watch.store import Cursor, Reader

SOONEST, LATEST = 0.2, 60.0  # seconds between attempts
BATCH = 100
_log = logging.getLogger("forecast")


class Sink(ABC):
    """Somewhere alerts go."""

    name: str  # under which its cursor is kept

    def open(self, store: Path) -> None:  # noqa: B027 - most sinks know enough from the alerts
        """Before the first delivery: where the store lies, for those that show more than alerts."""

    @abstractmethod
    def deliver(self, bodies: list[bytes], at: int) -> int:
        """Take alerts, each one JSON object. `at` and the answer are what the sink itself has to find again, such as a length."""

    def close(self) -> None:  # noqa: B027 - most sinks hold nothing
        """Let go."""


class Feeder(threading.Thread):
    """Feeds one sink from the store."""

    def __init__(self, sink: Sink, path: Path, jitter: random.Random | None = None) -> None:
        super().__init__(daemon=True, name=f"sink {sink.name}")
        self.sink, self.path, self.jitter = sink, path, jitter or random.Random()
        self.failures = 0
        self._news = threading.Event()
        self._ending = threading.Event()
        reader = Reader(path)
        self.cursor = reader.cursor(sink.name)  # read by the loop, replaced whole
        reader.close()
        sink.open(path)

    def run(self) -> None:
        """Offer what is new until told to stop, and then what is left, once."""
        reader = Reader(self.path)
        while True:
            found = reader.alerts(self.cursor.n, BATCH)
            taken = not found or self._offer(found)
            if self._ending.is_set() and (not found or not taken):
                break
            if not found:
                self._news.wait(1.0)
                self._news.clear()
        reader.close()
        self.sink.close()

    def _offer(self, found: list[tuple[int, bytes]]) -> bool:
        try:
            at = self.sink.deliver([body for _, body in found], self.cursor.bytes)
        except Exception as error:
            self.failures += 1
            pause = min(LATEST, SOONEST * 2 ** min(self.failures, 12)) * self.jitter.uniform(0.5, 1.0)
            if self.failures in (1, 5) or self.failures % 50 == 0:
                _log.warning(
                    "sink %s: %s; %d alerts wait, next attempt in %.1f s", self.sink.name, error, len(found), pause
                )
            self._ending.wait(pause)
            return False
        if self.failures:
            _log.warning("sink %s: takes alerts again", self.sink.name)
        self.failures = 0
        self.cursor = Cursor(found[-1][0], at)
        return True

    def tell(self) -> None:
        """There is something new."""
        self._news.set()

    def finish(self, seconds: float) -> None:
        """Deliver what there is, within so many seconds, and stop."""
        self._ending.set()
        self._news.set()
        self.join(seconds)

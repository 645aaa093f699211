"""Several processes that share the work of a state folder: each holds some buckets of sensors, a store and a position each.

    leases.db · b00/state.db · b01/state.db · …
A bucket is a watch of its own (`forecast.watch.loop`) over the sensors whose names fall into it. When a process dies its leases run
out, another opens those stores and goes on from their positions: as after a kill, each row counts once.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from forecast.watch.buckets import bucket_of
from forecast.watch.leases import Leases
from forecast.watch.loop import Loop
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk, Flags, Understood
from forecast.watch.store import StoreError

NAP = 0.05  # seconds that one bucket may wait for rows while others have some
_log = logging.getLogger("forecast")


@dataclass
class Share(Parser):
    """The readings of one bucket; a line that is nobody's is put aside by the first."""

    bucket: int = 0
    buckets: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self._names: list[str] = []
        self._mine = np.zeros(0, dtype=bool)

    def parse(self, chunk: Chunk) -> Understood:
        """The readings of a chunk that are ours."""
        readings, aside = super().parse(chunk)
        mine = self._which(readings.names)[readings.code]
        return Understood(readings.rows(mine), [one for one in aside if self._holds(one.sensor or "")])

    def _which(self, names: list[str]) -> Flags:
        """Which of the names are ours; kept, since the same list comes again, longer."""
        if names is not self._names:
            self._names, self._mine = names, np.zeros(0, dtype=bool)
        more = [self._holds(name) for name in names[len(self._mine) :]]
        self._mine = np.concatenate([self._mine, np.array(more, dtype=bool)])
        return self._mine

    def _holds(self, name: str) -> bool:
        return (bucket_of(name, self.buckets) if name else 0) == self.bucket


class Crew:
    """The buckets that this process holds, turn by turn."""

    def __init__(self, leases: Leases, make: Callable[[int], Loop]) -> None:
        self.leases, self.make = leases, make
        self.loops: dict[int, Loop] = {}
        self.stopping = False
        self._ending = threading.Event()

    def run(self) -> None:
        """Until all buckets have come to their end or `stopping` is set."""
        self.leases.join()
        renewing = threading.Thread(target=self._renew, daemon=True, name="leases")
        renewing.start()
        looked = 0.0
        try:
            while not self.stopping:
                if time.monotonic() >= looked + min(self.leases.seconds / 4, 1.0):
                    looked = time.monotonic()
                    if not self.loops and self.leases.over():
                        break
                    self._balance()
                for bucket in list(self.loops):
                    self._turn(bucket)
                if not self.loops:
                    time.sleep(NAP)
        finally:
            for bucket in list(self.loops):
                self._end(bucket)
            self._ending.set()
            renewing.join()
            self.leases.leave()

    def _renew(self) -> None:
        """Held also while a long estimate is made; a process that is stopped as a whole renews nothing."""
        while not self._ending.wait(self.leases.seconds / 3):
            self.leases.renew()

    def _balance(self) -> None:
        """Take what is free and ours to take; let go of what is too much."""
        share = self.leases.share()
        for bucket in self.leases.take(share - len(self.loops)):
            loop = self.make(bucket)
            loop.start()
            self.loops[bucket] = loop
            _log.warning("bucket %d of %d: taken", bucket, self.leases.buckets)
        for bucket in set(self.loops) - self.leases.renew():
            self._lose(bucket)
        for bucket in sorted(self.loops)[share:]:
            self._end(bucket)
            _log.warning("bucket %d of %d: given to others", bucket, self.leases.buckets)

    def _turn(self, bucket: int) -> None:
        try:
            if self.loops[bucket].turn(NAP):
                self._end(bucket, ended=True)
        except StoreError:
            if bucket in self.leases.renew():  # the disk, then, and nobody else
                raise
            self._lose(bucket)

    def _end(self, bucket: int, ended: bool = False) -> None:
        """Everything committed and told, the store closed, and only then the lease given back."""
        loop = self.loops.pop(bucket)
        try:
            loop.commit()
            loop.close()
        except StoreError:
            if bucket in self.leases.renew():
                raise
            loop.abandon()
        self.leases.give(bucket, ended)

    def _lose(self, bucket: int) -> None:
        _log.warning("bucket %d of %d: another process has taken over", bucket, self.leases.buckets)
        self.loops.pop(bucket).abandon()

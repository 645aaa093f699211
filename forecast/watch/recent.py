"""What the last rows of every sensor say of an event: kind and beginning of the change behind it, by `forecast.kernels.recent`.

    record of a sensor:  sums (8 × f64) · x (64 × i16) · gain (64 × u8) · time (64 × i64)
It goes on with every row and lies in the sensor's record, so that a kill moves no byte of an alert; only what has an event is weighed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from forecast.detect.change import CLEAR, DEARER, KINDS
from forecast.detect.evidence import KINDS as WORDS
from forecast.kernels import recent as kernel
from forecast.kernels.change import HEAD, LAST_V, SINCE
from forecast.kernels.recent import SUMS, WINDOW
from forecast.watch.arrival import Rows
from forecast.watch.readings import Flags, Ints
from forecast.watch.records import DamagedError
from forecast.watch.scorer import Scored

LEAVES = (("sums", "<f8", SUMS), ("x", "<i2", WINDOW), ("gain", "u1", WINDOW), ("time", "<i8", WINDOW))
SIZE = sum(np.dtype(kind).itemsize * count for _, kind, count in LEAVES)
PRICES = np.asarray(DEARER)


class Found(NamedTuple):
    """The likeliest change."""

    nats: float
    lead: float  # over any change of another kind
    kind: str
    onset: int  # the time of the row with which it began


class Recent:
    """The last rows of all sensors."""

    def __init__(self) -> None:
        self.sums, self.x, self.gain, self.time = (np.zeros((0, count), dtype=kind) for _, kind, count in LEAVES)

    def grow(self, count: int) -> None:
        """Room for `count` sensors."""
        more = count - len(self.sums)
        fresh = [np.zeros((more, width), dtype=kind) for _, kind, width in LEAVES]
        fresh[0][:, LAST_V], fresh[0][:, SINCE] = np.nan, 1e9
        leaves = zip((self.sums, self.x, self.gain, self.time), fresh, strict=True)
        self.sums, self.x, self.gain, self.time = (np.concatenate(pair) for pair in leaves)

    def take(self, rows: Rows, scored: Scored, told: Flags, low: int, high: int) -> None:
        """Rows low … high - 1 of these; those in windows of maintenance are missing."""
        some = slice(low, high)
        z = np.where(told[some], scored.z[some], np.nan)
        own = self.x, self.gain, self.time, self.sums
        kernel.note(*own, rows.who[some], rows.time[some], rows.value[some], scored.expected[some], z, scored.learn[some])

    def weigh(self, sensor: int) -> Found | None:
        """What lies behind the last row of a sensor, where its last rows show any change."""
        nats, ago, head = np.empty(kernel.KINDS), np.empty(kernel.KINDS), int(self.sums[sensor, HEAD])
        kernel.weigh(self.x[sensor], self.gain[sensor], head, nats, ago)
        nats -= PRICES
        best = int(nats.argmax())
        if not nats[best] >= CLEAR:
            return None
        onset = int(self.time[sensor, (head - 1 - int(ago[best])) % WINDOW])
        lead = float(nats[best] - np.delete(nats, best).max())
        return Found(float(nats[best]), lead, WORDS[int(KINDS[best])], onset)

    def records(self, who: Ints) -> np.ndarray:
        """The bytes of these sensors (n SIZE)."""
        leaves = zip((self.sums, self.x, self.gain, self.time), LEAVES, strict=True)
        return np.concatenate([leaf[who].astype(kind, copy=False).view(np.uint8) for leaf, (_, kind, _) in leaves], 1)

    def restore(self, records: Sequence[bytes]) -> None:
        """The bytes of all sensors; one without, of an older store, begins with its next row."""
        for sensor, record in enumerate(records):
            if record and len(record) != SIZE:
                raise DamagedError(f"the last rows of sensor {sensor} are damaged")
            at = 0
            for leaf, (_, kind, count) in zip((self.sums, self.x, self.gain, self.time), LEAVES, strict=True):
                if record:
                    leaf[sensor] = np.frombuffer(record, kind, count, at)
                    at += np.dtype(kind).itemsize * count

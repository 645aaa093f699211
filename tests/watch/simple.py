"""A scorer for tests: exponentially weighted mean and variance of each sensor, a normal tail, nothing hidden."""

import json
import struct
from collections.abc import Sequence

import numpy as np

from forecast.watch.arrival import Rows
from forecast.watch.readings import Floats, Ints
from forecast.watch.scorer import Scored, Scorer, missing, rounds

STATE = struct.Struct("<3d")
WEIGHT, NEEDS, LIMIT = 0.05, 20, 6.0
STEP = 60_000_000  # microseconds from row to row


class Ewma(Scorer):
    """|y - mean| in spreads against a limit."""

    name, kinds = "ewma", ("", "spike")

    def __init__(self) -> None:
        self.state = np.zeros((0, 3))  # mean, variance, rows

    def grow(self, names: Sequence[str]) -> None:
        self.state = np.concatenate([self.state, np.zeros((len(names), 3))])

    def observe(self, rows: Rows) -> Scored:
        out = missing(len(rows.who))
        for places in rounds(rows.who):
            who, y = rows.who[places], rows.value[places]
            mean, variance, count = self.state[who].T
            spread = np.sqrt(variance) + 1e-9
            z = np.abs(y - mean) / spread
            known = (count >= NEEDS) & np.isfinite(y)
            out.score[places] = np.where(known, z / (z + LIMIT), np.nan)
            out.alarm[places] = known & (z >= LIMIT)
            out.expected[places], out.lower[places], out.upper[places] = mean, mean - 3 * spread, mean + 3 * spread
            out.surprise[places] = np.where(known, z * z / 2, np.nan)
            out.kind[places] = (known & (z >= LIMIT)).astype(np.int64)
            learn = np.isfinite(y) & ~(known & (z >= LIMIT))
            out.z[places], out.learn[places] = np.where(known, (y - mean) / spread, np.nan), learn
            weight = np.where(learn, np.maximum(WEIGHT, 1 / (count + 1)), 0.0)
            step = np.where(learn, y - mean, 0.0)
            after = np.stack([mean + weight * step, (1 - weight) * (variance + weight * step * step), count + learn], 1)
            self.state[who] = after
        return out

    def steps(self, count: int) -> Floats:
        return np.full(count, float(STEP))

    def header(self) -> bytes | None:
        return json.dumps({"weight": WEIGHT}).encode()

    def take_header(self, header: bytes) -> None:
        assert json.loads(header) == {"weight": WEIGHT}

    def records(self, who: Ints) -> list[bytes]:
        return [STATE.pack(*row) for row in self.state[who].tolist()]

    def restore(self, records: Sequence[bytes], fixed: dict[int, bytes]) -> None:
        self.state = np.array([STATE.unpack(record) for record in records])

"""The lightest scorer: a moving mean and variance of each sensor, a normal tail. It shows what the loop costs beside a model.

    z = |y - m| / s,   m ← m + w (y - m),   s² ← (1 - w) (s² + w (y - m)²),   w = max(weight, 1/(n + 1));   score = z / (z + limit)
A reading beyond the limit is not learned. State (S 3): m, s², n. Source: West (1979), Communications of the ACM 22(9).
"""

import json
import struct
from collections.abc import Sequence

import numpy as np

from forecast.watch.arrival import Rows
from forecast.watch.readings import Ints
from forecast.watch.records import DamagedError
from forecast.watch.scorer import Scored, Scorer, missing, rounds

STATE = struct.Struct("<3d")


class Moving(Scorer):
    """|y - mean| in spreads against a limit."""

    name, kinds = "moving", ("", "spike")

    def __init__(self, weight: float = 0.05, needs: int = 20, limit: float = 6.0) -> None:
        self.weight, self.needs, self.limit = weight, needs, limit
        self.state = np.zeros((0, 3))

    def grow(self, names: Sequence[str]) -> None:
        self.state = np.concatenate([self.state, np.zeros((len(names), 3))])

    def observe(self, rows: Rows) -> Scored:
        out = missing(len(rows.who))
        for places in rounds(rows.who):
            self._round(rows.who[places], rows.value[places], places, out)
        return out

    def _round(self, who: Ints, y: np.ndarray, places: Ints, out: Scored) -> None:
        """One reading of each of some sensors."""
        mean, variance, count = self.state[who].T
        spread = np.sqrt(variance) + 1e-9
        z = np.abs(y - mean) / spread
        seen = np.isfinite(y)
        known = (count >= self.needs) & seen
        alarm = known & (z >= self.limit)
        out.score[places] = np.where(known, z / (z + self.limit), np.nan)
        out.alarm[places], out.kind[places] = alarm, alarm
        out.expected[places], out.lower[places], out.upper[places] = mean, mean - 3 * spread, mean + 3 * spread
        out.surprise[places] = np.where(known, z * z / 2, np.nan)
        learn = seen & ~alarm
        weight = np.where(learn, np.maximum(self.weight, 1 / (count + 1)), 0.0)
        step = np.where(learn, y - mean, 0.0)
        self.state[who] = np.stack(
            [mean + weight * step, (1 - weight) * (variance + weight * step * step), count + learn], 1
        )

    def header(self) -> bytes | None:
        return json.dumps([self.weight, self.needs, self.limit]).encode()

    def take_header(self, header: bytes) -> None:
        if json.loads(header) != [self.weight, self.needs, self.limit]:
            raise DamagedError("the store was made with another weight, need or limit")

    def records(self, who: Ints) -> list[bytes]:
        return [STATE.pack(*row) for row in self.state[who].tolist()]

    def restore(self, records: Sequence[bytes], fixed: dict[int, bytes]) -> None:
        self.state = np.array([STATE.unpack(record) for record in records]).reshape(-1, 3)

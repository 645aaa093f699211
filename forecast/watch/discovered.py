"""A share of false alarms in place of a rate of them, over all sensors of a watch: `forecast.detect.discovery`, reading after reading.

Each reading is a step of its own, in the order of the row that released it, its time and its sensor, which no batch changes. Readings without a score,
in windows of maintenance whose alarms are not told, and alarms of data in trouble are no tests.
"""

from collections.abc import Sequence

import numpy as np
import torch

from forecast.detect.discovery import Discovery, Earned, nats_of
from forecast.watch.arrival import Rows
from forecast.watch.readings import Flags
from forecast.watch.scorer import Scored
from forecast.watch.strain import APART


class Discovered:
    """The level so far."""

    def __init__(self, discovery: Discovery, rate: float, kinds: Sequence[str]) -> None:
        self.discovery, self.rate = discovery, rate  # rate: of the detectors' scores
        self._trouble = np.array([kind in APART for kind in kinds])
        self._earned = discovery.initial_state()

    def apply(self, rows: Rows, scored: Scored, told: Flags) -> Scored:
        """The same with scores and alarms by the levels that follow what was found before each row."""
        tested = np.isfinite(scored.surprise) & told & ~(scored.alarm & self._trouble[scored.kind])
        order = np.lexsort((rows.who, rows.time, rows.order))
        order = order[tested[order]]
        if len(order) == 0:
            return scored
        score, alarm = scored.score.copy(), scored.alarm.copy()
        nats = nats_of(torch.from_numpy(score[order]), self.rate)
        self._earned, made = self.discovery.follow(self._earned, nats, torch.arange(len(order)))
        score[order] = made.numpy()
        alarm[order] = score[order] >= 0.5
        return scored._replace(score=score, alarm=alarm)

    def plain(self) -> list[float]:
        """What is kept."""
        return [float(part) for part in self._earned.of.tolist()]

    def recall(self, earned: list[float]) -> None:
        """What was kept."""
        self._earned = Earned(torch.tensor(earned, dtype=torch.float64))

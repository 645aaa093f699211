"""What baselines share that judge the values alone: fitted to the first half of the calm rows, calibrated on the other half.

    statistics (B T K) of the values  →  nats by the tail of each  →  the largest less log K  →  score
They ignore the surprise, and leave what the model learns to the standard detector.
"""

import math
from abc import abstractmethod
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from forecast.detect import tail
from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.guarding import verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.kernels import watch
from forecast.kernels.tails import nats_of
from forecast.types import State

FARTHEST = 1e3  # spreads, so that a glitch is soon forgotten


class Law(NamedTuple):
    """What calm rows say."""

    guarding: Calibration
    tails: Tensor  # (B K TAIL)
    fitted: Any  # tensors of the baseline, leading axis B


class Judging(NamedTuple):
    """Laws, and what moves with the rows."""

    guarding: Watching
    tails: Tensor
    fitted: Any
    own: Any


class Plain(Detector):
    """A baseline of the values, with calibrated tails."""

    forecaster: ClassVar[bool] = False
    kind: ClassVar[int] = watch.SPIKE
    guarding: Standard

    def __init__(self, rate: float, guard: float, quality: bool) -> None:
        self.rate, self.guard, self.quality = rate, guard, quality
        self.guarding = Standard(rate=rate, statistics=("spike",), guard=guard, quality=quality)

    @abstractmethod
    def fit(self, r: Tensor, values: Tensor) -> Any:
        """What is learned from calm rows (B T C), r in calm units."""

    @abstractmethod
    def begin(self, fitted: Any) -> State:
        """The memory before the first row."""

    @abstractmethod
    def run(self, fitted: Any, own: Any, r: Tensor) -> tuple[State, Tensor, Tensor]:
        """Memory after rows (B T C), statistics (B T K), NaN where there is none, and shares of the channels (B T C)."""

    def calibrate(self, evidence: Evidence) -> Law:
        guarding = self.guarding.calibrate(evidence)
        values = evidence.row.values.double()
        half, r = values.shape[1] // 2, _in_units(values, guarding)
        fitted = self.fit(r[:, :half], values)
        statistic = self.run(fitted, self.begin(fitted), r)[1].mT
        lanes = statistic[..., half:].reshape(-1, statistic.shape[-1] - half)
        tails = tail.fit(lanes, tail.absent(len(lanes)))
        return Law(guarding, tails.reshape(*statistic.shape[:2], -1), fitted)

    def initial_state(self, calibration: Law) -> Judging:
        guarding = self.guarding.initial_state(calibration.guarding)
        return Judging(guarding, calibration.tails, calibration.fitted, self.begin(calibration.fitted))

    def follow(self, state: Judging, evidence: Evidence) -> tuple[Judging, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        r = _in_units(evidence.row.values.double(), state.guarding.calibration)
        own, statistic, share = self.run(state.fitted, state.own, r)
        nats = (_nats(statistic, state.tails).amax(-1) - math.log(statistic.shape[-1])).clamp(min=0)
        kind = torch.full(nats.shape, self.kind)
        return state._replace(guarding=guarding, own=own), verdict(self.score(nats), kind, share, guarded)


def _in_units(values: Tensor, calm: Calibration) -> Tensor:
    return ((values - calm.loc[:, None]) / calm.spread[:, None]).clamp(-FARTHEST, FARTHEST).contiguous()


def _nats(statistic: Tensor, tails: Tensor) -> Tensor:
    """Nats (B T K), 0 where there is no statistic."""
    lanes = [
        [
            nats_of(statistic[b, :, k].contiguous().numpy(), tails[b, k].contiguous().numpy())
            for k in range(tails.shape[1])
        ]
        for b in range(len(tails))
    ]
    made = torch.stack([torch.stack([torch.from_numpy(lane) for lane in row], -1) for row in lanes])
    return made.nan_to_num(0.0)

"""A detector that judges each row among all rows before it: nothing is fitted, and what happens again and again is normal.

For series whose calm rows are few, or unlike what follows them. Statistics and counts stand in `forecast.kernels.history`; what
the model learns, and when its level widens, is left to the standard detector.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.kernels import watch
from forecast.kernels.history import BINS, WAYS, history

KINDS = torch.tensor([watch.SPIKE, watch.CLUSTER, watch.DRIFT])


class Counted(NamedTuple):
    """Counts of all rows so far beside what guards the model."""

    guarding: Watching
    memory: Tensor  # (B C 2)
    counts: Tensor  # (B WAYS BINS)
    largest: Tensor  # (B WAYS)


class History(Detector):
    """Conformal: each row among those before it."""

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned
        burst: int = 16,  # rows in the moving mean of |z|
        fast: int = 8,  # rows in the moving mean of the values
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        self.rate, self.guard, self.burst, self.fast, self.quality = rate, guard, burst, fast, quality
        self.guarding = Standard(rate=rate, statistics=("spike",), guard=guard, quality=quality)

    def calibrate(self, evidence: Evidence) -> Calibration:
        return self.guarding.calibrate(evidence)

    def initial_state(self, calibration: Calibration) -> Counted:
        batch, channels = calibration.unit.shape
        none = calibration.unit.new_zeros
        return Counted(
            self.guarding.initial_state(calibration),
            none(batch, channels, 2),
            none(batch, WAYS, BINS),
            none(batch, WAYS),
        )

    def follow(self, state: Counted, evidence: Evidence) -> tuple[Counted, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        y, z = evidence.row.values.double().contiguous(), evidence.z.double().contiguous()
        memory, counts, largest = (leaf.clone() for leaf in state[1:])
        nats, kind, blame = y.new_empty(y.shape[:2]), torch.empty(y.shape[:2], dtype=torch.int64), torch.empty_like(y)
        calibration = state.guarding.calibration
        history(
            y.numpy(),
            z.numpy(),
            calibration.loc.contiguous().numpy(),
            calibration.spread.contiguous().numpy(),
            2 / (self.burst + 1),
            2 / (self.fast + 1),
            memory.numpy(),
            counts.numpy(),
            largest.numpy(),
            nats.numpy(),
            kind.numpy(),
            blame.numpy(),
        )
        score, kind = self.score(nats), KINDS[kind]
        trouble = guarded.alarm & (guarded.kind >= watch.FROZEN)
        score = torch.where(trouble, torch.maximum(score, guarded.score), score)
        kind = torch.where(trouble, guarded.kind, kind)
        verdict = Verdict(score, score >= 0.5, blame, kind, guarded.learn, guarded.widen)
        return Counted(guarding, memory, counts, largest), verdict

"""A detector of states: the standard one's nats over some rows, alarms that last as long as the state and end where it is left.

For a machine that is in a fault for minutes, whose rows after it are unlike the calm ones too. Formulas: `forecast.kernels.lasting`. A single
odd row is none, unless the standard detector's moving means remember it. Kinds, blame and what the
model learns are those of the standard detector.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.guarding import TROUBLE, verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.errors import InputError
from forecast.kernels import lasting as kernel

FARTHEST = 1e3  # calm units
LEAST = 1e-12  # of what is left to a score of 1


class State(NamedTuple):
    """The standard detector's state, levels and memory; shapes in `forecast.kernels.lasting`."""

    guarding: Watching
    levels: Tensor
    memory: Tensor


class Lasting(Detector):
    """States unlike calm ones, from their beginning to their end."""

    guarding: Standard

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        smooth: int = 10,  # rows in the moving means of nats and values
        slow: int = 100,  # rows in the memory of the levels before and in a state
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if smooth < 1 or slow < smooth:
            raise InputError(f"smooth={smooth}, slow={slow}: give at least 1 row, and no fewer to slow than to smooth")
        self.rate, self.guard, self.smooth, self.slow, self.quality = rate, guard, smooth, slow, quality
        self.guarding = Standard(rate=rate, guard=guard, quality=quality)

    def calibrate(self, evidence: Evidence) -> Calibration:
        return self.guarding.calibrate(evidence)

    def initial_state(self, calibration: Calibration) -> State:
        batch, channels = calibration.unit.shape
        none = calibration.unit.new_zeros
        watching = self.guarding.initial_state(calibration)
        return State(watching, none(batch, 3, channels), none(batch, kernel.MEMORY))

    def follow(self, state: State, evidence: Evidence) -> tuple[State, Verdict]:
        if state.memory.shape[-1] != kernel.MEMORY:
            raise InputError(
                f"a state of the detector lasting with {state.memory.shape[-1]} numbers, this version keeps {kernel.MEMORY}: "
                "make the monitor again, and begin a watch in another state folder, state=FOLDER"
            )
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        calm, values = state.guarding.calibration, evidence.row.values.double()
        r = ((values - calm.loc[:, None]) / calm.spread[:, None]).clamp(-FARTHEST, FARTHEST).contiguous()
        threshold = -math.log(self.rate)
        nats = threshold * guarded.score / (1 - guarded.score).clamp(min=LEAST)
        silent = values.isnan().all(-1) | torch.isin(guarded.kind, TROUBLE)
        nats = nats.masked_fill(silent, torch.nan).contiguous()
        levels, memory, smoothed = state.levels.clone(), state.memory.clone(), torch.empty_like(nats)
        kernel.lasting(
            nats.numpy(), r.numpy(), self.smooth, self.slow, threshold, levels.numpy(), memory.numpy(), smoothed.numpy()
        )
        told = verdict(self.score(smoothed.nan_to_num(0.0)), guarded.kind, guarded.blame, guarded)
        return State(guarding, levels, memory), told

"""The standard detector with a bound on new events: at most `rate` a row in the long run, whatever the rows are. Formulas: `forecast.kernels.steady`.

An alarm that lasts is one event. After `settle` rows it is over, its state is the usual one, and sensitivity comes back as that state goes.
`allowance` events may come at any time; only where more have come than the rows since then stand for does the threshold rise. True events count as
well as false ones: nobody has told them apart.
"""

import math
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.errors import InputError
from forecast.kernels import steady as kernel

Numbers: TypeAlias = NDArray[np.float64]
Chosen: TypeAlias = NDArray[np.int64]


class State(NamedTuple):
    """The standard detector's state, and memory (B MEMORY)."""

    guarding: Watching
    memory: Tensor


class Steady(Detector):
    """What is new, no more often than asked for."""

    guarding: Standard

    def __init__(
        self,
        rate: float = 1e-3,  # events per row in the long run, and false alarms per row on rows like the calm ones
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        settle: int = 300,  # rows after which a state that lasts is told no more
        allowance: float = 3.0,  # events that may come without the threshold rising
        rise: float = 0.5,  # by which its logarithm rises with each one more
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if settle < 2 or allowance < 0 or rise <= 0:
            raise InputError(
                f"settle={settle}, allowance={allowance}, rise={rise}: give at least 2 rows, no less than 0 events and a rise above 0"
            )
        self.rate, self.guard, self.settle, self.allowance, self.rise = rate, guard, settle, allowance, rise
        self.quality, self.threshold = quality, -math.log(rate)
        self.guarding = Standard(rate=rate, guard=guard, quality=quality)

    @property
    def most(self) -> float:
        """Events that there may be beyond `rate` times the rows, ever."""
        return self.allowance + math.log(kernel.MOST) / self.rise + 2

    def calibrate(self, evidence: Evidence) -> Calibration:
        return self.guarding.calibrate(evidence)

    def initial_state(self, calibration: Calibration) -> State:
        memory = calibration.unit.new_zeros(len(calibration.unit), kernel.MEMORY)
        return State(self.guarding.initial_state(calibration), memory)

    def follow(self, state: State, evidence: Evidence) -> tuple[State, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        told = guarded._replace(score=guarded.score.clone(), alarm=guarded.alarm.clone())
        memory = state.memory.clone()
        self.hold(told, evidence.row.values, memory.numpy(), np.arange(len(memory)))
        return State(guarding, memory), told

    def hold(self, verdict: Verdict, values: Tensor, memory: Numbers, which: Chosen) -> None:
        """Scores and alarms (B T) of these sensors become those that are told, in place, and their memory moves."""
        kernel.steady(
            *(verdict.score.numpy(), verdict.alarm.numpy(), verdict.kind.numpy(), values.numpy(), which),
            *(self.threshold, self.rate, self.allowance, self.rise, self.settle, memory),
        )

"""The contract of detectors: calibrate on calm rows, then one verdict a row.

What belongs to one sensor (its tails, its memory) travels in the state, leading axis B; a detector's own attributes are
plain numbers. `follow` is `step` over many rows, by the same kernel, to the last bit.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor

from forecast.detect.evidence import Evidence, Verdict
from forecast.types import State, leaves

Calibration = Any  # a NamedTuple of tensors with the leading axis B


class Detector(ABC):
    """Verdicts with a stated false-alarm rate."""

    forecaster: ClassVar[bool] = True  # False: looks at the values alone and ignores the surprise
    rate: float  # false alarms per row
    guarding: "Detector | None" = None  # what alone says what the model learns; `guarding` of the state is its state

    @abstractmethod
    def calibrate(self, evidence: Evidence) -> Calibration:
        """Tails and units of each sensor from its calm rows (B T …)."""

    @abstractmethod
    def initial_state(self, calibration: Calibration) -> State:
        """The state before the first row."""

    @abstractmethod
    def follow(self, state: State, evidence: Evidence) -> tuple[State, Verdict]:
        """Verdicts (B T …) of rows one after the other, and the state after them."""

    def step(self, state: State, evidence: Evidence) -> tuple[State, Verdict]:
        """The verdict of one row (B …) and the state after it; the arguments are unchanged."""
        state, verdict = self.follow(state, evidence.rows())
        return state, Verdict(*(leaf[:, 0] for leaf in verdict))

    def began(self, state: State) -> Tensor:
        """How many rows before a scored row that began of which its score speaks (B)."""
        return torch.zeros(len(leaves(state)[0]), dtype=torch.int64)

    def score(self, nats: Tensor) -> Tensor:
        """Calibrated nats as a score of 0 to 1, 0.5 where P(as strange on a calm row) is the false-alarm rate."""
        threshold = -torch.log(torch.tensor(self.rate, dtype=nats.dtype))
        return nats / (nats + threshold)

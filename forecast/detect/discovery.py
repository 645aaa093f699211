"""Which of many sensors' surprises to tell: online control of the false-discovery rate, in place of a rate of false alarms.

A step is all tests of one time: n rows of different sensors with calibrated nats e, p = exp(-e). With the level α, R(s) the alarms of step s, and
a memory of M steps, δ = 1 - 1/M:
    spent(t) = α [ (1 - δ) + Σ_{s<t} δ^{t-s} γ(t-s) R(s) ],     each test at  a(t) = spent(t) / n(t),    alarm ⇔ e ≥ -log a(t)
    γ(j) = Σ_k w_k (1 - r_k) r_k^{j-1},  Σ w_k = 1:  geometric laws of SPANS steps, so that the sum over the past is a few numbers
This is LORD (Javanmard & Montanari 2018; as LORD++, Ramdas et al. 2017) with decaying memory and the steady income that keeps it alive where
nothing happens (Rebjock et al. 2021). Whatever comes,  Σ δ^{t-s} n(s) a(s) ≤ α (1 + Σ δ^{t-s} R(s));  so if p is no smaller than uniform given the
past, the expected false alarms of the memory are at most α times the expected alarms plus one. Where nothing is wrong there are at most α/M false
alarms a step, over all sensors together. A level is known before its step, and the order within a step is of no account.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.errors import InputError
from forecast.kernels import discovery as kernel

SPANS = (1.0, 4.0, 16.0, 64.0, 256.0)  # steps over which an alarm's share is spent, a fifth of it each
LARGEST = 0.5  # level of a test at most
LEAST = 1e-300


def nats_of(score: Tensor, rate: float) -> Tensor:
    """Calibrated nats of scores under a false-alarm rate."""
    return score / (1 - score).clamp(min=LEAST) * -math.log(rate)


class Earned(NamedTuple):
    """What the alarms so far have earned: Σ_s δ^{t-s} r_k^{t-s-1} R(s), one number for each span."""

    of: Tensor  # (K)


class Discovery:
    """Levels of tests by what was found so far."""

    def __init__(self, rate: float, memory: float) -> None:
        if not 0 < rate < 1:
            raise InputError(f"false_discovery_rate={rate}: give a share between 0 and 1, as 0.1")
        if memory < 2:
            raise InputError(f"a memory of {memory} steps is too short to control a rate in; at least 2")
        self.rate, self.kept = rate, 1 - 1 / memory
        self._again = torch.tensor([1 - 1 / span for span in SPANS], dtype=torch.float64)
        self._share = (1 - self._again) / len(SPANS)

    def initial_state(self) -> Earned:
        return Earned(torch.zeros(len(SPANS), dtype=torch.float64))

    def level(self, state: Earned, tests: int) -> float:
        """Of each test of the next step."""
        spent = self.rate * ((1 - self.kept) + float(self._share @ state.of))
        return min(spent / max(tests, 1), LARGEST)

    def follow(self, state: Earned, nats: Tensor, step: Tensor) -> tuple[Earned, Tensor]:
        """Scores (N) of tests step after step, 0.5 at the boundary; `step` (N) is alike within a step; NaN is no test and has no score."""
        earned, score = state.of.clone(), torch.empty_like(nats)
        parts = self._again.numpy(), self._share.numpy(), earned.numpy(), score.numpy()
        kernel.follow(nats.contiguous().numpy(), step.numpy(), self.rate, self.kept, LARGEST, *parts)
        return Earned(earned), score

    def step(self, state: Earned, nats: Tensor) -> tuple[Earned, Tensor]:
        """Scores (n) of one step."""
        return self.follow(state, nats, torch.zeros(len(nats), dtype=torch.int64))

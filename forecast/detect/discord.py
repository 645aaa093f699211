"""A detector of patterns that never were, whatever their level: a heart's odd beat, a day unlike all days.

Lengths are a quarter, half and one season of the calm rows, the season read from their autocorrelation; the least size of a pattern is
a quarter of the calm windows' median deviation. The statistic
(`forecast.kernels.discord`) has a tail fitted to calm rows that had rows before them to be like. A score speaks of the pattern that ends
with its row: `began` says how many rows before. It looks at the values alone; what the model learns is left to the standard detector.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast.detect import tail
from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.guarding import verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.errors import InputError
from forecast.kernels import watch
from forecast.kernels.discord import discord
from forecast.kernels.tails import nats_of

SHARES = (0.25, 0.5, 1.0)  # of a season
SHORTEST = 16
USUAL = 32  # season of rows that show none
LEAST = 0.25  # of the median deviation of calm windows: added to that of each window
FAINT = 1e-4  # least such addition, in calm units
FARTHEST = 1e3  # calm units
LIKE = 0.85  # of the highest peak of the autocorrelation, the first that comes near it


class Patterns(NamedTuple):
    """What calm rows say."""

    guarding: Calibration
    lengths: Tensor  # (B K) rows
    least: Tensor  # (B K C) added to the deviations of windows, in calm units
    tails: Tensor  # (B TAIL)


class Remembered(NamedTuple):
    """Calm rows' lengths and tails, and the rows so far; shapes in `forecast.kernels.discord`."""

    guarding: Watching
    lengths: Tensor
    least: Tensor
    tails: Tensor
    recent: Tensor
    dots: Tensor
    mean: Tensor
    square: Tensor
    late: Tensor
    rows: Tensor  # (B)


class Discord(Detector):
    """The pattern least like any before it."""

    guarding: Standard

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        lengths: tuple[int, ...] = (),  # rows of a pattern; none given: a quarter, half and one season of the calm rows
        memory: int = 20_000,  # rows back among which the like is looked for
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if memory < 4 * max(lengths, default=SHORTEST) or min(lengths, default=2) < 2:
            raise InputError(f"lengths={lengths}, memory={memory}: give at least 2 rows, and a memory of four patterns")
        self.rate, self.guard, self.lengths, self.memory, self.quality = rate, guard, lengths, memory, quality
        self.guarding = Standard(rate=rate, statistics=("spike",), guard=guard, quality=quality)

    @property
    def longest(self) -> int:
        """Rows that there is room for in a pattern."""
        return self.memory // 4

    def calibrate(self, evidence: Evidence) -> Patterns:
        guarding = self.guarding.calibrate(evidence)
        values = evidence.row.values.double()
        seasons = torch.tensor([season(one) for one in values]).clamp(max=self.longest / max(SHARES))
        own = (seasons[:, None] * torch.tensor(SHARES)).long().clamp(min=SHORTEST)
        lengths = torch.tensor(self.lengths).expand(len(values), -1) if self.lengths else own
        least = _deviations(_calm_units(values, guarding), lengths).mul(LEAST).clamp(min=FAINT)
        bare = Patterns(guarding, lengths.contiguous(), least, tail.exponential(len(values)))
        statistic = self._statistic(self.initial_state(bare), values)[1]
        statistic[:, : values.shape[1] // 2] = torch.nan  # the first patterns have few to be like
        return bare._replace(tails=tail.fit(statistic, tail.exponential(len(values))))

    def initial_state(self, calibration: Patterns) -> Remembered:
        batch, channels = calibration.guarding.unit.shape
        none, number = calibration.guarding.unit.new_zeros, calibration.lengths.shape[1]
        by_lag = batch, number, channels, self.memory
        return Remembered(
            self.guarding.initial_state(calibration.guarding),
            calibration.lengths,
            calibration.least,
            calibration.tails,
            none(batch, channels, self.memory + self.longest + 1),
            none(by_lag),
            none(by_lag),
            none(by_lag),
            none(batch, number, self.longest),
            torch.zeros(batch, dtype=torch.int64),
        )

    def follow(self, state: Remembered, evidence: Evidence) -> tuple[Remembered, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        after, statistic = self._statistic(state, evidence.row.values.double())
        each = [nats_of(one, own) for one, own in zip(statistic.numpy(), state.tails.numpy(), strict=True)]
        nats = torch.from_numpy(np.array(each))
        kind = torch.full(nats.shape, watch.PATTERN)
        blame = torch.full_like(guarded.blame, 1 / guarded.blame.shape[-1])
        return after._replace(guarding=guarding), verdict(self.score(nats), kind, blame, guarded)

    def began(self, state: Remembered) -> Tensor:
        return state.lengths.amax(1) - 1

    def _statistic(self, state: Remembered, values: Tensor) -> tuple[Remembered, Tensor]:
        """The statistic (B T) and the state after it."""
        y = _calm_units(values, state.guarding.calibration)
        recent, dots, mean, square, late, rows = (leaf.clone() for leaf in state[4:])
        statistic = y.new_empty(y.shape[:2])
        discord(
            y.numpy(),
            state.lengths.numpy(),
            state.least.numpy(),
            recent.numpy(),
            dots.numpy(),
            mean.numpy(),
            square.numpy(),
            late.numpy(),
            rows.numpy(),
            statistic.numpy(),
        )
        return Remembered(*state[:4], recent, dots, mean, square, late, rows), statistic


def _calm_units(values: Tensor, calm: Calibration) -> Tensor:
    return ((values - calm.loc[:, None]) / calm.spread[:, None]).clamp(-FARTHEST, FARTHEST).contiguous()


def _deviations(y: Tensor, lengths: Tensor) -> Tensor:
    """Median deviation (B K C) of the windows of each length among calm rows (B T C); missing ones hold their channel's mean."""
    filled = torch.where(y.isfinite(), y, y.nanmean(1, keepdim=True).nan_to_num(0.0))
    made = [
        torch.stack([_median_deviation(one, int(n)) for n in sizes]) for one, sizes in zip(filled, lengths, strict=True)
    ]
    return torch.stack(made)


def _median_deviation(y: Tensor, size: int) -> Tensor:
    """Of the windows of y (T C), every eighth of their size one (C)."""
    size = max(min(size, len(y)), 1)
    windows = y.unfold(0, size, max(size // 8, 1)) if len(y) else y.new_zeros(1, y.shape[1], 1)
    return windows.std(-1, correction=0).median(0).values


def season(values: Tensor) -> float:
    """Rows of the season of calm rows (T C): the first high peak of the channels' mean autocorrelation behind its first zero."""
    x = (values - values.nanmean(0)).nan_to_num(0.0)
    rows = len(x)
    power = torch.fft.rfft(x, n=2 * rows, dim=0).abs().square()
    r = torch.fft.irfft(power, dim=0)[: rows // 3] / torch.arange(rows, rows - rows // 3, -1)[:, None]
    r = (r / r[:1].clamp(min=1e-300)).mean(1)
    below = (r < 0).nonzero()
    first = max(int(below[0]) if len(below) else 0, 4)
    peaks = [i for i in range(first + 1, len(r) - 1) if r[i] > 0 and r[i - 1] <= r[i] > r[i + 1]]
    top = max((float(r[i]) for i in peaks), default=math.inf)
    return float(next((i for i in peaks if float(r[i]) >= LIKE * top), USUAL))

"""A detector for seasons among whose calm rows there may be anomalies: an alarm lasts as long as what it tells.

Statistics: `forecast.kernels.season`, of the logarithm where noise grows with the level (`forecast.detect.growth`). The length of the season
is read from the calm rows where none is given. Units are median absolute values in 48 parts of the season. The law of a statistic is drawn from the
ordinary half of its calm rows alone: exponential through its quantiles of 50 and 90 %, so that up to a tenth of anomalies among them
moves no threshold. It is exact for no one: the rate that is measured on clean rows stands in the documentation.
The values alone count; what the model learns is left to the standard detector.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.discord import season as length_of
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.growth import Bend, bend_of, bent, straight
from forecast.detect.guarding import verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.errors import InputError
from forecast.kernels import season as kernel
from forecast.kernels import watch

NORMAL = 1.4826  # deviation of a normal law in median absolute values
LEAST = 0.3  # least unit of a part of the season, in that of all
BODY = (0.5, 0.9)
FAINT = 1e-9
FARTHEST = 1e3  # spreads, so that a glitch is soon forgotten
KINDS = torch.tensor([watch.SEASON, watch.SEASON, watch.SPIKE, watch.CLUSTER])


class Law(NamedTuple):
    """What calm rows say."""

    guarding: Calibration
    season: Tensor  # (B) rows
    bend: Bend
    unit: Tensor  # (B C STATISTICS PARTS)
    middle: Tensor  # (B C STATISTICS) median
    slope: Tensor  # (B C STATISTICS) of the statistic by nats


class Seasons(NamedTuple):
    """Laws and memory; shapes in `forecast.kernels.season`."""

    guarding: Watching
    law: Law
    ring: Tensor
    level: Tensor
    rows: Tensor


class Seasonal(Detector):
    """Broken seasons, jumps and unrest."""

    guarding: Standard

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        season: int | None = None,  # rows of a season; none given: as the calm rows say
        longest: int = 1500,  # rows of the longest season there is room for
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if longest < 2 or (season is not None and not 1 <= season <= longest):
            raise InputError(f"season={season}, longest={longest}: give a season of 1 to `longest` rows")
        self.rate, self.guard, self.season, self.longest, self.quality = rate, guard, season, longest, quality
        self.guarding = Standard(rate=rate, statistics=("spike",), guard=guard, quality=quality)

    def calibrate(self, evidence: Evidence) -> Law:
        values = evidence.row.values.double()
        lengths = [length_of(one) if self.season is None else self.season for one in values]
        season = torch.tensor(lengths).long().clamp(max=self.longest)
        batch, _, channels = values.shape
        unit = values.new_ones(batch, channels, kernel.STATISTICS, kernel.PARTS)
        some = values.new_zeros(batch, channels, kernel.STATISTICS)
        law = Law(self.guarding.calibrate(evidence), season, straight(values), unit, some, some)
        law = law._replace(bend=bend_of(_calm_units(values, law.guarding), season))
        _, statistic, part = self._statistics(self.initial_state(law), values)
        law = law._replace(unit=_units(_begun(statistic, season), part))
        statistic = _begun(self._statistics(self.initial_state(law), values)[1], season)
        middle, high = (statistic.nanquantile(q, 1).nan_to_num(0.0) for q in BODY)
        slope = (high - middle) / math.log((1 - BODY[0]) / (1 - BODY[1]))
        return law._replace(middle=middle, slope=torch.maximum(slope, middle * 0.01).clamp(min=FAINT))

    def initial_state(self, calibration: Law) -> Seasons:
        batch, channels = calibration.unit.shape[:2]
        ring = calibration.unit.new_zeros(batch, channels, kernel.SEASONS * self.longest)
        level = ring.new_zeros(batch, channels, kernel.LEVELS)
        return Seasons(
            self.guarding.initial_state(calibration.guarding),
            calibration,
            ring,
            level,
            torch.zeros(batch, dtype=torch.int64),
        )

    def follow(self, state: Seasons, evidence: Evidence) -> tuple[Seasons, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        after, statistic, _ = self._statistics(state, evidence.row.values.double())
        law = state.law
        each = (statistic - law.middle[:, None]) / law.slope[:, None] - math.log(1 - BODY[0])
        each = each.clamp(min=0).nan_to_num(0.0)
        by_channel, way = each.max(-1)
        seen = statistic[..., 0].isfinite().sum(-1).clamp(min=1)
        strangest, who = by_channel.max(-1)
        nats = (strangest - seen.double().log()).clamp(min=0)
        total = by_channel.sum(-1, keepdim=True)
        blame = torch.where(total > 0, by_channel / total.clamp(min=FAINT), 1 / by_channel.shape[-1])
        kind = KINDS[way.gather(-1, who[..., None])[..., 0]]
        return after._replace(guarding=guarding), verdict(self.score(nats), kind, blame, guarded)

    def _statistics(self, state: Seasons, values: Tensor) -> tuple[Seasons, Tensor, Tensor]:
        """The state after the rows, statistics (B T C STATISTICS) and parts of the season (B T)."""
        r = bent(_calm_units(values, state.law.guarding), state.law.bend)
        ring, level, rows = state.ring.clone(), state.level.clone(), state.rows.clone()
        statistic = r.new_empty(*r.shape, kernel.STATISTICS)
        part = torch.empty(r.shape[:2], dtype=torch.int64)
        kernel.seasonal(
            r.numpy(),
            state.law.season.numpy(),
            state.law.unit.contiguous().numpy(),
            ring.numpy(),
            level.numpy(),
            rows.numpy(),
            statistic.numpy(),
            part.numpy(),
        )
        return state._replace(ring=ring, level=level, rows=rows), statistic, part


def _calm_units(values: Tensor, calm: Calibration) -> Tensor:
    return ((values - calm.loc[:, None]) / calm.spread[:, None]).clamp(-FARTHEST, FARTHEST)


def _begun(statistic: Tensor, season: Tensor) -> Tensor:
    """Calm statistics without those of the first season, which had none before it."""
    early = torch.arange(statistic.shape[1]) < season[:, None].clamp(max=statistic.shape[1] // 2)
    return statistic.masked_fill(early[..., None, None], math.nan)


def _units(statistic: Tensor, part: Tensor) -> Tensor:
    """Units (B C STATISTICS PARTS) of calm statistics in the unit 1: medians, a part's own where it has rows."""
    every = statistic.nanmedian(1).values.nan_to_num(0.0)
    parts = [
        torch.where((part == p)[..., None, None], statistic, math.nan).nanmedian(1).values for p in range(kernel.PARTS)
    ]
    own = torch.stack(parts, -1)
    own = torch.where(own.isfinite(), own, every[..., None])
    return NORMAL * torch.maximum(own, LEAST * every[..., None]).clamp(min=FAINT)

"""A detector for many channels of one thing: how far a row as a whole lies from the calm ones, however many channels that are.

Kernels and formulas: `forecast.kernels.group`. Units of a channel are those of its calm rows, the largest of interquartile range/1.349,
0.3 deviations and a twentieth of the range, so that rare calm bursts set the unit; one that stood still takes the median
unit of the others. The energy of a row is followed by two moving means, each with a tail of its own; the larger one goes
through the last tail. All tails are cross-fitted: calm rows are scored in FOLDS stretches, each under the units and the
covariance of the other ones, so that they are tails of rows that had no part in them and yet nothing calm goes unused.
The values alone count; what the model learns, and when its level widens, is left to the standard detector.
Sources: Jackson & Mudholkar (1979), Technometrics 21(3), statistics of many directions; Stone (1974), JRSS B 36(2), cross-validation.
"""

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
from forecast.kernels import group, watch
from forecast.kernels.tails import nats_of

FOLDS = 4
OF_RANGE, OF_DEVIATION = 0.05, 0.3
NORMAL = 1.349  # interquartile range of a normal law in deviations
STILL = 1e-9  # range below which a channel stood still
LEAST, FAINT = 1e-300, 1e-12  # of a total, of a variance
ALONE = 0.5  # blame from which one channel is told instead of their company


class Units(NamedTuple):
    """What the calm rows of each sensor say."""

    loc: Tensor  # (B C)
    spread: Tensor  # (B C)
    centre: Tensor  # (B C) of the compressed values
    precision: Tensor  # (B C C)


class Grouped(NamedTuple):
    """Units, tails and memory."""

    guarding: Watching
    units: Units
    tails: Tensor  # (B S TAIL)
    final: Tensor  # (B TAIL)
    slow: Tensor  # (B C) slow reference of the values, in spreads
    level: Tensor  # (B S) moving means of the energy
    shares: Tensor  # (B C) those of the channels' shares


class Calibrated(NamedTuple):
    """What `calibrate` finds."""

    guarding: Calibration
    units: Units
    tails: Tensor
    final: Tensor


class Group(Detector):
    """A few directions or a single channel out of many: broken correlation, shared load, bursts."""

    guarding: Standard

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        scales: tuple[int, ...] = (8, 60),  # rows in the moving means of the energy, the shortest first
        reference: int = 5000,  # rows in the memory of the slow reference
        shrink: float = 0.1,  # how much of the mean variance is added to every direction
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if not scales or min(scales) < 1 or shrink <= 0 or reference < 1:
            raise InputError(
                f"scales={scales}, shrink={shrink}, reference={reference}: give rows of at least 1 and a shrink above 0"
            )
        self.rate, self.guard, self.shrink, self.quality = rate, guard, shrink, quality
        self.scales, self.reference = tuple(sorted(scales)), reference
        self.rates = torch.tensor([2 / (n + 1) for n in self.scales], dtype=torch.float64)
        self.guarding = Standard(rate=rate, statistics=("spike",), guard=guard, quality=quality)

    def calibrate(self, evidence: Evidence) -> Calibrated:
        y = evidence.row.values.double().contiguous()
        batch, rows, _ = y.shape
        energy = y.new_full((batch, rows), torch.nan)
        for fold in torch.arange(rows).chunk(FOLDS):
            others = torch.ones(rows, dtype=torch.bool)
            others[fold] = False
            units, x = self._fit(y, others)
            energy[:, fold] = _energies(x, units)[0][:, fold]
        means = _smooth(energy, self.rates, y.new_zeros(batch, len(self.scales)))[0]
        means[:, : min(2 * self.scales[-1], rows // 2)] = torch.nan  # they have just begun
        lanes = means.movedim(-1, 1).reshape(-1, rows)
        tails = tail.fit(lanes, tail.absent(len(lanes))).reshape(batch, len(self.scales), -1)
        nats = _strangest(means, tails).masked_fill(means[..., 0].isnan(), torch.nan)
        final = tail.fit(nats, tail.exponential(batch))
        whole = self._fit(y, torch.ones(rows, dtype=torch.bool))[0]
        return Calibrated(self.guarding.calibrate(evidence), whole, tails, final)

    def initial_state(self, calibration: Calibrated) -> Grouped:
        zero = torch.zeros_like(calibration.units.loc)
        level = zero.new_zeros(len(zero), len(self.scales))
        guarding = self.guarding.initial_state(calibration.guarding)
        return Grouped(guarding, *calibration[1:], zero, level, zero)

    def follow(self, state: Grouped, evidence: Evidence) -> tuple[Grouped, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        x, slow = self._compressed(evidence.row.values.double().contiguous(), state.units, state.slow)
        energy, share = _energies(x, state.units)
        means, level = _smooth(energy, self.rates, state.level)
        nats = _strangest(_strangest(means, state.tails)[..., None], state.final[:, None])
        blame, shares = _blame(share, self.rates[:1], state.shares)
        kind = torch.where(blame.amax(-1) > ALONE, watch.SPIKE, watch.TOGETHER)
        after = state._replace(guarding=guarding, slow=slow, level=level, shares=shares)
        return after, verdict(self.score(nats.masked_fill(energy.isnan(), 0.0)), kind, blame, guarded)

    def _compressed(self, y: Tensor, units: Units, slow: Tensor) -> tuple[Tensor, Tensor]:
        """Compressed values (B T C) and the slow reference after them."""
        x, slow = torch.empty_like(y), slow.clone()
        group.compressed(
            y.numpy(), units.loc.numpy(), units.spread.numpy(), 2 / (self.reference + 1), slow.numpy(), x.numpy()
        )
        return x, slow

    def _fit(self, y: Tensor, rows: Tensor) -> tuple[Units, Tensor]:
        """Units of the rows (T) that are flagged, and all rows compressed in them."""
        loc, spread = _spread(y[:, rows])
        bare = Units(loc, spread, torch.zeros_like(loc), torch.empty(0))
        x, _ = self._compressed(y, bare, torch.zeros_like(loc))
        centre = x[:, rows].nanmean(1).nan_to_num(0.0)
        v = (x[:, rows] - centre[:, None]).nan_to_num(0.0)
        covariance = v.mT @ v / v.shape[1]
        variance = covariance.diagonal(dim1=1, dim2=2).mean(1).clamp(min=FAINT)
        ridge = self.shrink * variance[:, None, None] * torch.eye(v.shape[2], dtype=v.dtype)
        precision = torch.linalg.inv(covariance + ridge)
        return bare._replace(centre=centre, precision=((precision + precision.mT) / 2).contiguous()), x


def _spread(y: Tensor) -> tuple[Tensor, Tensor]:
    """Location and unit (B C) of calm rows."""
    low, loc, high = (y.nanquantile(q, 1).nan_to_num(0.0) for q in (0.25, 0.5, 0.75))
    filled = torch.where(y.isfinite(), y, loc[:, None])
    span = filled.amax(1) - filled.amin(1)
    spread = torch.maximum((high - low) / NORMAL, OF_DEVIATION * filled.std(1, correction=0))
    spread = torch.maximum(spread, OF_RANGE * span)
    moved = span > STILL * filled.abs().amax(1)
    usual = torch.where(moved, spread, torch.nan).nanmedian(1, keepdim=True).values.nan_to_num(1.0)
    return loc, torch.where(moved, spread, usual)


def _energies(x: Tensor, units: Units) -> tuple[Tensor, Tensor]:
    """Energies (B T) and shares (B T C)."""
    energy, share = x.new_empty(x.shape[:2]), torch.empty_like(x)
    group.energies(x.numpy(), units.centre.numpy(), units.precision.numpy(), energy.numpy(), share.numpy())
    return energy, share


def _smooth(values: Tensor, rates: Tensor, level: Tensor) -> tuple[Tensor, Tensor]:
    """Moving means (B T S), and the last ones."""
    level, means = level.clone(), values.new_empty(*values.shape, len(rates))
    group.smooth(values.numpy(), rates.numpy(), level.numpy(), means.numpy())
    return means, level


def _strangest(means: Tensor, tails: Tensor) -> Tensor:
    """The largest nats (B T) of the moving means (B T S) under their tails (B S TAIL)."""
    each = [
        [nats_of(lane.contiguous().numpy(), own.contiguous().numpy()) for lane, own in zip(lanes.mT, of, strict=True)]
        for lanes, of in zip(means, tails, strict=True)
    ]
    return torch.from_numpy(np.array(each)).amax(1)


def _blame(share: Tensor, rate: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Blame (B T C), moving means of the shares that sum to one, and the last means (B C)."""
    batch, rows, channels = share.shape
    lanes = share.movedim(-1, 1).reshape(-1, rows).contiguous()
    means, last = _smooth(lanes, rate, shares.reshape(-1, 1))
    means = means.reshape(batch, channels, rows).mT
    total = means.sum(-1, keepdim=True)
    return torch.where(total > 0, means / total.clamp(min=LEAST), 1 / channels), last.reshape(batch, channels)

"""The detector: statistics of the surprise and of the values, each with its calibrated tail, one budget over all.

The recursions stand in `forecast.kernels.watch`. Calibration takes units and correlation from the first half of the calm
rows, tails from the other, so that they are tails of rows not seen before. It runs over them three times: for the statistics of
channels, for those of groups (their correlation is known by then), and for what they say together, whose tail makes the
stated rate that of the whole. `guard` is apart from the alarm level and far below it: not learning from all alarmed rows
would turn a rate of 1 % into 5 %. An escape lets the model go to the new level at once.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from forecast.detect import tail
from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.errors import unknown
from forecast.kernels import watch
from forecast.kernels.lanes import WIDTH, lane_array

WORDS = ("spike", "shift", "variance", "drift", "burst", "together", "state")
FAR = 1e300  # a limit that is none
LEAST_SPREAD = 1e-9
BLOCKS = 10  # of calm rows, whose means say how far a level wanders
UPPER = 1.8  # the upper 84 % bound of a variance that 9 steps between blocks show, over what they show
REFERENCE = 1000  # calm rows at most for units and correlation


class Calibration(NamedTuple):
    """What the calm rows of each sensor say."""

    tails: Tensor  # (B C WAYS TAIL)
    group: Tensor  # (B GROUPS TAIL)
    final: Tensor  # (B TAIL)
    unit: Tensor  # (B C) spread of z
    loc: Tensor  # (B C) reference level
    spread: Tensor  # (B C)
    wander: Tensor  # (B C) variance a row by which the level wanders, in that of the moving mean
    centre: Tensor  # (B C) of the log power
    white: Tensor  # (B GROUPS C C) inverse Cholesky factors
    quality: Tensor  # (B C 4) chance that a value repeats, longest calm run of repeats; the same of missing rows


class Watching(NamedTuple):
    """Calibration and memory."""

    calibration: Calibration
    memory: Tensor  # (B C MEMORY)
    offset: Tensor  # (B C+1 WAYS)


class Standard(Detector):
    """Spikes, level shifts, changes of variance, drifts, bursts, broken correlation; frozen and silent sensors."""

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        statistics: tuple[str, ...] = WORDS,  # of: spike, shift, variance, drift, burst, together, state
        guard: float = 1e-6,  # a reading less likely than this is not learned
        adapt: float = 0.0,  # how fast the tails follow slow changes of their scale; 0: not at all
        pooled: bool = False,  # one tail for all sensors
        slack: float = 1.0,  # of the CUSUMs, in spreads of z
        limit: float = 5.0,  # where they escape
        widen: float = 1e4,  # factor by which the belief about the level widens then
        fast: int = 8,  # rows in the moving mean of the values
        power: int = 64,  # rows in the moving mean of z²
        burst: int = 16,  # rows in the moving mean of the surprise
        reference: int = 5000,  # rows in the memory of the reference level
        least: float = 0.0,  # deviations below it are none, in units of the data
        least_relative: float = 0.0,  # the same as a share of the expected value
        quality: bool = True,  # whether frozen, silent and out-of-range sensors are alarms, apart from the budget
        minimum: float | None = None,  # values below it are alarms
        maximum: float | None = None,  # values above it are alarms
        most_change: float | None = None,  # larger changes from one row to the next are alarms
    ) -> None:
        for word in statistics:
            if word not in WORDS:
                raise unknown("statistic", word, WORDS)
        self.rate, self.statistics, self.guard, self.adapt, self.pooled = rate, statistics, guard, adapt, pooled
        self.slack, self.limit, self.widen, self.fast, self.power = slack, limit, widen, fast, power
        self.burst, self.reference, self.least, self.least_relative = burst, reference, least, least_relative
        self.quality, self.minimum, self.maximum, self.most_change = quality, minimum, maximum, most_change
        self.settings = torch.tensor(
            [
                *(slack, limit, 2 / (power + 1), 2 / (fast + 1), 2 / (reference + 1), 2 / (burst + 1)),
                *(20.0, adapt, -math.log(rate), -math.log(guard), least, least_relative),
                *(-FAR if minimum is None else minimum, FAR if maximum is None else maximum),
                *(FAR if most_change is None else most_change, widen, float(quality)),
            ],
            dtype=torch.float64,
        )

    def calibrate(self, evidence: Evidence) -> Calibration:
        values = evidence.row.values.double()
        first = min(
            values.shape[1] // 2, REFERENCE
        )  # rows for units and correlation; tails are those of the rows after them
        start = _units(evidence, values, first)
        start = start._replace(wander=_wander(values, start.spread, self.fast))
        raw, _, _ = self._bare(start, evidence)
        centre = raw[:, :first, :, 2].nanmedian(1).values.nan_to_num(0.0)
        raw[..., 2] -= centre[:, None]
        tails = self._tails(raw[:, first:].abs(), ("spike", "shift", "variance", "drift", "burst"), {"spike"})
        tails[..., WORDS.index("variance"), :].masked_fill_(_still(evidence.z[:, :first])[..., None], math.inf)
        z = evidence.z.double()[:, :first] / start.unit[:, None]
        white = torch.stack([_whitening(z), _whitening(raw[:, :first, :, 3])], 1)
        start = start._replace(centre=centre, tails=tails, white=white)
        _, groups, _ = self._bare(start, evidence)
        start = start._replace(group=self._tails(groups[:, first:], ("together", "state"), set()))
        nats = self._watch(self.initial_state(start), evidence, self.settings, record=True)[2][2]
        final = self._fit(nats[:, None, first:], tail.exponential(len(values))[:, None])[:, 0]
        return start._replace(final=final)

    def initial_state(self, calibration: Calibration) -> Watching:
        batch, channels = calibration.unit.shape
        memory = calibration.unit.new_zeros(batch, channels, watch.MEMORY)
        memory[..., watch.LAST] = math.nan
        return Watching(calibration, memory, memory.new_zeros(batch, channels + 1, watch.WAYS))

    def follow(self, state: Watching, evidence: Evidence) -> tuple[Watching, Verdict]:
        return self._watch(state, evidence, self.settings, record=False)[:2]

    def _bare(self, calibration: Calibration, evidence: Evidence) -> tuple[Tensor, Tensor, Tensor]:
        """Statistics of channels (B T C WAYS) and groups (B T GROUPS), and nats (B T) before the last tail; no tail follows."""
        settings = self.settings.clone()
        settings[watch.ADAPT] = 0.0
        return self._watch(self.initial_state(calibration), evidence, settings, record=True)[2]

    def _watch(
        self, state: Watching, evidence: Evidence, settings: Tensor, record: bool
    ) -> tuple[Watching, Verdict, tuple[Tensor, Tensor, Tensor]]:
        y, z, s, expected = (
            leaf.double().contiguous()
            for leaf in (evidence.row.values, evidence.z, evidence.surprise, evidence.expected)
        )
        batch, rows, channels = y.shape
        memory, offset = state.memory.clone(), state.offset.clone()
        out = [y.new_empty(batch, rows), y.new_empty(batch, rows), torch.empty_like(y)]
        out += [torch.empty(batch, rows, dtype=torch.int64), torch.empty_like(y), y.new_empty(batch, rows)]
        kept = rows if record else 0
        raw, group = (
            y.new_full((batch, kept, channels, watch.WAYS), math.nan),
            y.new_full((batch, kept, watch.GROUPS), math.nan),
        )
        arrays = [leaf.contiguous().numpy() for leaf in state.calibration]
        leaves = watch.leaves_of(arrays, memory.numpy(), offset.numpy())
        watch.watch(
            lane_array(watch.room(channels), batch > 1),
            np.zeros(WIDTH, np.int64),
            watch.plan_of(channels, 1, settings.numpy(), leaves),
            tuple(leaf.numpy() for leaf in (y, z, s, expected)),
            np.arange(batch),
            tuple(leaf.numpy() for leaf in out),
            raw.numpy(),
            group.numpy(),
        )
        score, nats, blame, kind, learn, widen = out
        after = Watching(state.calibration, memory, offset)
        return after, Verdict(score, score >= 0.5, blame, kind, learn, widen), (raw, group, nats)

    def _tails(self, statistic: Tensor, words: tuple[str, ...], trusted: set[str]) -> Tensor:
        """Tails (B … WAYS TAIL) of statistics (B T … WAYS); one that is not asked for does not count."""
        lanes = statistic.movedim(1, -1)
        count = lanes[..., 0, 0].numel()
        made = []
        for k, word in enumerate(words):
            default = tail.exponential(count) if word in trusted else tail.absent(count)
            part, default = lanes[..., k, :], default.unflatten(0, lanes.shape[:-2])
            made.append(self._fit(part, default) if word in self.statistics else torch.full_like(default, math.inf))
        return torch.stack(made, -2)

    def _fit(self, lanes: Tensor, default: Tensor) -> Tensor:
        """Tails of lanes (B … N), each its own or one for all sensors."""
        flat = lanes.reshape(-1, lanes.shape[-1])
        if self.pooled and flat.isfinite().sum() >= tail.LEAST:
            return (
                tail.fit(flat.reshape(1, -1), default.reshape(-1, watch.TAIL)[:1])
                .expand(len(flat), -1)
                .reshape(default.shape)
            )
        return tail.fit(flat, default.reshape(-1, watch.TAIL)).reshape(default.shape)


def _units(evidence: Evidence, values: Tensor, first: int) -> Calibration:
    """Units of the first calm rows; every tail is still that of a statistic that does not count."""
    batch, _, channels = values.shape
    unit = evidence.z.double()[:, :first].clamp(-3, 3).square().nanmean(1).sqrt()
    loc = values[:, :first].nanmean(1).nan_to_num(0.0)
    spread = (values[:, :first] - loc[:, None]).square().nanmean(1).sqrt()
    begun = values.isfinite().cummax(1).values
    faint = torch.maximum(loc.abs() * 1e-3, torch.full_like(loc, LEAST_SPREAD))
    identity = torch.eye(channels, dtype=torch.float64).expand(batch, watch.GROUPS, channels, channels)
    return Calibration(
        tail.absent(batch * channels * watch.WAYS).reshape(batch, channels, watch.WAYS, watch.TAIL),
        tail.absent(batch * watch.GROUPS).reshape(batch, watch.GROUPS, watch.TAIL),
        tail.absent(batch),
        torch.where(unit > 0.05, unit, 1.0),
        loc,
        torch.where(spread > faint, spread, faint),
        torch.zeros_like(loc),
        torch.zeros_like(loc),
        identity,
        torch.cat([_runs(values[:, 1:] == values[:, :-1]), _runs(values.isnan() & begun)], -1),
    )


def _still(z: Tensor) -> Tensor:
    """Channels (B C) that did not move on calm rows z (B T C): there is no variance that could change, and its moving mean only forgets its beginning."""
    return z.nan_to_num(0.0).abs().amax(1) <= LEAST_SPREAD


def _wander(values: Tensor, spread: Tensor, fast: int) -> Tensor:
    """Variance q a row by which the level moves (B C), over that of a mean of the last rows.

    From the means of BLOCKS blocks of n rows, whose steps have the variance 2/3 q n + 2/n of the noise in a random walk.
    """
    rows = values.shape[1] // BLOCKS
    if rows < 2:
        return torch.zeros_like(spread)
    blocks = (values[:, -rows * BLOCKS :] / spread[:, None]).unflatten(1, (BLOCKS, rows))
    seen = blocks.isfinite().sum(2).clamp(min=1)
    mean = blocks.nanmean(2)
    within = (blocks - mean[:, :, None]).square().nanmean(2)
    noise = (within / seen).nanmean(1)
    steps = 1.5 * (UPPER * mean.diff(dim=1).square().nanmean(1) - 2 * noise).clamp(min=0) / rows
    of_blocks = (mean - mean.nanmean(1, keepdim=True)).square().nanmean(1)
    made: Tensor = steps / (of_blocks + within.nanmean(1) / fast).clamp(min=1e-12)
    return made.nan_to_num(0.0)


def _runs(flags: Tensor) -> Tensor:
    """Chance that a flag is followed by another one, doubt added, and the longest run (B C 2)."""
    if flags.shape[1] < 2:
        return torch.tensor([0.5, 0.0], dtype=torch.float64).expand(flags.shape[0], flags.shape[2], 2)
    first, again = flags[:, :-1], flags[:, :-1] & flags[:, 1:]
    alone = (flags.sum(1) + 1) / (flags.shape[1] + 2.0)  # drawn on where nothing is known of what follows a flag
    often = torch.maximum((again.sum(1) + 2 * alone) / (first.sum(1) + 2.0), alone)
    length = flags.long().cumsum(1)
    start = torch.where(flags, 0, length).cummax(1).values
    return torch.stack([often.clamp(max=1 - 1e-9), (length - start).amax(1).double()], -1)


def _whitening(v: Tensor) -> Tensor:
    """Inverse Cholesky factor (B C C) of the covariance of v (B T C), its correlations drawn towards none."""
    v = v.nan_to_num(0.0)
    count, channels = v.shape[1], v.shape[2]
    covariance = v.mT @ v / max(count, 1)
    size = covariance.diagonal(dim1=1, dim2=2).clamp(min=1e-6).sqrt()
    shrink = min(max(channels / max(count, 1), 0.02), 0.9)
    correlation = covariance / size[:, :, None] / size[:, None, :] * (1 - shrink)
    identity = torch.eye(channels, dtype=v.dtype)
    factor = torch.linalg.cholesky(correlation * (1 - identity) + identity)
    return torch.linalg.solve_triangular(factor, torch.diag_embed(1 / size), upper=False)

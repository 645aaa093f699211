"""A detector that judges each row among all rows before it: nothing is fitted, and what happens again and again is normal.

For series whose calm rows are few, or unlike what follows them, and for patterns that return. It looks at the values alone
(`forecast.kernels.history`); what the model learns, and when its level widens, is left to the standard detector.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.detect.detector import Detector
from forecast.detect.evidence import Evidence, Verdict
from forecast.detect.guarding import verdict
from forecast.detect.standard import Calibration, Standard, Watching
from forecast.errors import InputError
from forecast.kernels import watch
from forecast.kernels.history import BINS, FARTHEST, LONG, SHAPES, history, ways

KINDS = torch.tensor([watch.SPIKE, watch.PATTERN])
FAINT, FAINTEST = 0.25, 1e-3  # of the calm rows' deviation, spreads


class Law(NamedTuple):
    """What guards the model, and the size below which a shape is faint."""

    guarding: Calibration
    least: Tensor  # (B C) in calm spreads


class Counted(NamedTuple):
    """Counts of all rows so far beside what guards the model."""

    guarding: Watching
    least: Tensor
    recent: Tensor  # (B C lags+LONG+1) the last rows, newest first
    dots: Tensor  # (B K C lags) products of shapes, by lag
    mean: Tensor  # (B K C lags) of the last windows, newest first
    square: Tensor  # (B K C lags) their variances
    repeats: Tensor  # (B C)
    counts: Tensor  # (B W BINS)
    largest: Tensor  # (B W)
    held: Tensor  # (B 3)


class History(Detector):
    """Conformal: each row, its patterns of 2 to 128 rows and how still it is, among those before it; what lasts is told once."""

    guarding: Standard

    def __init__(
        self,
        rate: float = 1e-3,  # false alarms per row
        guard: float = 1e-6,  # a reading less likely than this is not learned by the model
        lags: int = 4096,  # rows back among which a pattern's like is looked for
        quiet: int = 150,  # rows after an alarm in which only what is a fifth stranger is another one
        quality: bool = True,  # whether frozen and silent sensors are alarms, apart from the budget
    ) -> None:
        if lags < 2 * LONG or quiet < 0:
            raise InputError(
                f"lags={lags}, quiet={quiet}: give lags of at least {2 * LONG}, and quiet of 0 or more rows"
            )
        self.rate, self.guard, self.lags, self.quiet, self.quality = rate, guard, lags, quiet, quality
        self.guarding = Standard(rate=rate, statistics=("spike",), guard=guard, quality=quality)

    def calibrate(self, evidence: Evidence) -> Law:
        calm = self.guarding.calibrate(evidence)
        r = ((evidence.row.values.double() - calm.loc[:, None]) / calm.spread[:, None]).clamp(-FARTHEST, FARTHEST)
        size = (r - r.nanmean(1, keepdim=True)).square().nanmean(1).sqrt().nan_to_num(0.0)
        return Law(calm, (FAINT * size).clamp(min=FAINTEST))

    def initial_state(self, calibration: Law) -> Counted:
        batch, channels = calibration.least.shape
        none, shapes = calibration.least.new_zeros, len(SHAPES)
        return Counted(
            self.guarding.initial_state(calibration.guarding),
            calibration.least,
            none(batch, channels, self.lags + LONG + 1),
            none(batch, shapes, channels, self.lags),
            none(batch, shapes, channels, self.lags),
            none(batch, shapes, channels, self.lags),
            none(batch, channels),
            none(batch, ways(channels), BINS),
            none(batch, ways(channels)),
            none(batch, 3),
        )

    def follow(self, state: Counted, evidence: Evidence) -> tuple[Counted, Verdict]:
        guarding, guarded = self.guarding.follow(state.guarding, evidence)
        y = evidence.row.values.double().contiguous()
        counted = [leaf.clone() for leaf in state[2:]]
        nats, kind, blame = y.new_empty(y.shape[:2]), torch.empty(y.shape[:2], dtype=torch.int64), torch.empty_like(y)
        calibration = state.guarding.calibration
        history(
            y.numpy(),
            calibration.loc.contiguous().numpy(),
            calibration.spread.contiguous().numpy(),
            state.least.contiguous().numpy(),
            float(self.quiet),
            -math.log(self.rate),
            *(leaf.numpy() for leaf in (*counted, nats, kind, blame)),
        )
        told = verdict(self.score(nats.nan_to_num(0.0)), KINDS[kind], blame, guarded)
        return Counted(guarding, state.least, *counted), told

"""What a detector sees and what it answers.

    surprise s = -log p, p the two-sided tail probability of the reading under the forecast made before it, in nats
    z          = sign(y - median) · Φ⁻¹(1 - p/2), the same as a signed normal score, exact where p has long underflowed
    score      = e / (e + threshold), e = -log of the calibrated probability, threshold = -log of the false-alarm rate

Shapes: (B C) for one row; (B T C) for rows together, row t scored under the forecast made before row t.
A missing reading has NaN evidence. Alarm ⇔ score ≥ 0.5.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from forecast.distribution import Forecast, Gaussian
from forecast.kernels import watch
from forecast.kernels.lanes import lane_array
from forecast.kernels.surprise import ROOM
from forecast.kernels.surprise import surprise as kernel
from forecast.types import Past, Row

KINDS = (
    "",
    "spike",
    "level shift",
    "variance change",
    "drift",
    "burst",
    "correlation broken",
    "frozen",
    "missing",
    "out of range",
    "unseen pattern",
    "season broken",
    "trend change",
)  # Verdict.kind is an index into these
QUALITY = (watch.FROZEN, watch.MISSING, watch.RANGE)  # kinds that say something about the data, apart from the budget


class Evidence(NamedTuple):
    """Rows beside what their forecasts said of them, before any robust weighting."""

    row: Row
    surprise: Tensor  # (B C) nats, two-sided
    z: Tensor  # (B C) signed normal score
    joint: Tensor  # (B) surprise of the row as a whole
    expected: Tensor  # (B C) median of the forecast

    def rows(self) -> "Evidence":
        """One row as rows (B 1 …)."""
        row = Row(self.row.values[:, None], self.row.inputs[:, None], self.row.elapsed[:, None])
        return Evidence(row, self.surprise[:, None], self.z[:, None], self.joint[:, None], self.expected[:, None])


class Verdict(NamedTuple):
    """What a detector decides about a row; leading axes as those of the evidence."""

    score: Tensor  # (B) 0 to 1, 0.5 at the alarm boundary
    alarm: Tensor  # (B) bool
    blame: Tensor  # (B C) shares of the channels, summing to 1
    kind: Tensor  # (B) index into KINDS
    learn: Tensor  # (B C) weight of the reading in the model's next state, 0 = as if missing
    widen: Tensor  # (B) factor by which the belief about the level widens; 1 = not


def normal_score(surprise: Tensor) -> Tensor:
    """|z| with 2·P(Z > |z|) = e^-surprise, by Newton's rule on the logarithm of the tail."""
    start = torch.special.ndtri(1 - (-surprise.clamp(max=30.0)).exp() / 2)
    z = torch.where(surprise < 30, start, (2 * surprise).sqrt())
    for _ in range(3):
        tail = torch.special.log_ndtr(-z)
        slope = (-z.square() / 2 - math.log(2 * math.pi) / 2 - tail).exp()
        slope = torch.where(z > 1e6, z, slope)  # the hazard, by its asymptote where the logarithms cancel
        z = (z + (tail + math.log(2) + surprise) / slope).clamp(min=0)
    return z


def _is_plain(forecast: Forecast, values: Tensor) -> bool:
    """Whether the kernel of normal forecasts is for them."""
    plain = type(forecast) is Gaussian and forecast.mean.dtype == forecast.variance.dtype == values.dtype
    return plain and values.dtype == torch.float64 and values.device.type == "cpu"


def _under_normal(forecast: Forecast, values: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(forecast, Gaussian)
    s, z = torch.empty(values.shape, dtype=torch.float64), torch.empty(values.shape, dtype=torch.float64)
    y, mean, variance = (
        leaf.expand(values.shape).contiguous().view(-1).numpy() for leaf in (values, *forecast.parts()[:2])
    )
    kernel(lane_array(ROOM, y.size > 1), y, mean, variance, s.view(-1).numpy(), z.view(-1).numpy())
    return s, z


def _under_any(forecast: Forecast, values: Tensor) -> tuple[Tensor, Tensor]:
    below, above = forecast.log_tails(values)
    surprise = -(math.log(2) + torch.minimum(below, above)).clamp(max=0)
    return surprise, normal_score(surprise) * torch.where(below > above, 1.0, -1.0)


def evidence_of(forecast: Forecast, row: Row | Past) -> Evidence:
    """Evidence of rows (B T C), or of one (B C), under forecasts of one row each, (B T C) or (B 1 C)."""
    single = row.values.dim() == 2
    values = row.values[:, None] if single else row.values
    surprise, z = _under_normal(forecast, values) if _is_plain(forecast, values) else _under_any(forecast, values)
    of = Row(values, row.inputs[:, None] if single else row.inputs, row.elapsed[:, None] if single else row.elapsed)
    made = Evidence(of, surprise, z, forecast.joint_surprise(values), forecast.median)
    return Evidence(Row(*row[:3]), *(leaf[:, 0] for leaf in made[1:])) if single else made

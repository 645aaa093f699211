"""Ridge regression of the next H on the last L values of many lanes, through normal equations gathered in chunks.

    W_λ = (X'X + λ μ I)⁻¹ X'Y,  μ = tr(X'X)/L;   the squared error of W on other windows is tr(Y'Y - 2 W'X'Y + W'X'X W)

so every λ is tried without touching a window again. Lanes are divided by their standard deviation; a window enters
where it begins after its lane's first observed value, ends before the last, and at least half of its targets are
observed.
Shapes: lanes (N T); window i has the values i … i+L-1 and the targets i+L … i+L+H-1.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.distribution import LEVELS
from forecast.models.gaps import interpolated

CHUNK = 1 << 22  # numbers in the windows held at once
ERRORS = 1 << 22  # validation errors kept for the quantiles, at most


class Sums(NamedTuple):
    """Normal equations of some windows."""

    gram: Tensor  # (L L): X'X
    cross: Tensor  # (L H): X'Y
    square: Tensor  # (): tr(Y'Y)

    def plus(self, other: "Sums") -> "Sums":
        """Those of both."""
        return Sums(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def solve(self, penalty: float) -> Tensor:
        """The map (L H)."""
        mean = self.gram.trace() / len(self.gram)
        # The last column of X is 0 throughout; where all are, the map is 0 too.
        ridge = (penalty * mean).clamp(min=torch.finfo(mean.dtype).tiny) * torch.eye(len(self.gram)).to(self.gram)
        weight: Tensor = torch.linalg.solve(self.gram + ridge, self.cross)
        return weight

    def loss(self, weight: Tensor) -> float:
        """Squared error of a map on these windows."""
        return float(self.square + (weight * (self.gram @ weight - 2 * self.cross)).sum())


@dataclass(frozen=True)
class Windows:
    """All windows of some lanes, the last `held_out` rows being for validation."""

    values: Tensor  # (N T): standardised, gaps held at the last value
    targets: Tensor  # (N T): standardised, gaps interpolated
    usable: Tensor  # (N I): by window
    unit: Tensor  # (N T+1): what one unit of forecast error is before each row, standardised; NaN where it is unknown
    length: int  # L
    horizon: int  # H
    held_out: int

    @classmethod
    def of(cls, lanes: Tensor, held: Tensor, unit: Tensor, context: int, horizon: int, share: float) -> Self:
        """Windows of lanes (N T), with gaps held at the last value in `held`; L is cut where the lanes are short."""
        seen = lanes.isfinite()
        count = seen.sum(1, keepdim=True)
        centred = torch.where(seen, lanes - lanes.nanmean(1, keepdim=True), 0.0)
        spread = (centred.square().sum(1, keepdim=True) / count).sqrt()
        row = torch.arange(lanes.shape[1], device=lanes.device)
        first, last = torch.where(seen, row, lanes.shape[1]).amin(1), torch.where(seen, row, -1).amax(1)
        known = (spread[:, 0] > 0).nonzero()[:, 0]
        typical = int((last - first + 1)[known].median()) if len(known) else 0
        held_out = max(round(share * typical), min(2 * horizon, typical // 2))
        length = min(context, (typical - held_out - horizon) // 2)
        windows = max(lanes.shape[1] - length - horizon + 1, 0) if length > 0 else 0
        index = torch.arange(windows, device=lanes.device)
        observed = torch.nn.functional.pad(seen.cumsum(1), (1, 0))
        begin = index + max(length, 0)
        share_seen = (observed[:, begin + horizon] - observed[:, begin]) / horizon if windows else observed[:, :0]
        inside = (index >= first[:, None]) & (begin + horizon - 1 <= last[:, None])
        usable = inside & (spread > 0) & (share_seen >= 0.5)
        standard = held / spread, interpolated(lanes) / spread
        return cls(*standard, usable, unit / spread, length, horizon, held_out)

    def fit(self, penalties: tuple[float, ...]) -> tuple[Tensor, Tensor]:
        """The map (L H) at the best penalty and quantiles (H Q) of its validation errors in units of forecast error."""
        edge = self.values.shape[1] - self.held_out  # the first row held out
        last = max(edge - self.length - self.horizon + 1, 0)
        train, held_out = self.sums(0, last), self.sums(edge - self.length, None)
        if not bool(self.usable[:, :last].any() and self.usable[:, edge - self.length :].any()):
            shapes = (max(self.length, 1), self.horizon), (self.horizon, len(LEVELS))
            return self.values.new_full(shapes[0], math.nan), self.values.new_full(shapes[1], math.nan)
        maps = {penalty: train.solve(penalty) for penalty in penalties}
        best = min(maps, key=lambda penalty: held_out.loss(maps[penalty]))
        total = train.plus(self.sums(last, edge - self.length)).plus(held_out)
        return total.solve(best), symmetric_quantiles(self.errors(maps[best], edge - self.length))

    def sums(self, low: int, high: int | None) -> Sums:
        """Normal equations of the windows low … high-1."""
        size = max(self.length, 1)
        blank = self.values.new_zeros(size, size), self.values.new_zeros(size, self.horizon), self.values.new_zeros(())
        total = Sums(*blank)
        for x, y, _ in self.chunks(low, high):
            total = total.plus(Sums(x.T @ x, x.T @ y, y.square().sum()))
        return total

    def errors(self, weight: Tensor, low: int) -> Tensor:
        """Absolute errors (n H) of a map on the windows from `low` on, in units of forecast error."""
        stride = math.ceil(int(self.usable[:, low:].sum()) * self.horizon / ERRORS)
        made = [(y - x @ weight).abs() / unit[:, None] for x, y, unit in self.chunks(low, None, max(stride, 1))]
        errors = torch.cat(made)
        return errors[errors.isfinite().all(1)]

    def chunks(self, low: int, high: int | None, stride: int = 1) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Usable windows low, low + stride, …: values (n L), targets (n H), units (n), the last value subtracted."""
        size = max(self.length, 1) + self.horizon
        every = stride * max(CHUNK // (len(self.values) * size), 1)
        end = self.usable.shape[1] if high is None else high
        for start in range(max(low, 0), end, every):
            rows = slice(start, min(start + every, end), stride)
            kept = self.usable[:, rows]
            if not bool(kept.any()):
                continue
            x = self.values.unfold(1, self.length, 1)[:, rows][kept]
            y = self.targets[:, self.length :].unfold(1, self.horizon, 1)[:, rows][kept]
            unit = self.unit[:, self.length :][:, rows][kept]
            yield (x - x[:, -1:]).nan_to_num(nan=0.0), y - x[:, -1:], unit


def symmetric_quantiles(errors: Tensor) -> Tensor:
    """Quantiles (H Q) from absolute errors (n H), as many below 0 as above: split conformal, of the level (n+1) p."""
    count = len(errors)
    if count == 0:
        return errors.new_full((errors.shape[1], len(LEVELS)), math.nan)
    ordered = torch.nn.functional.pad(errors.sort(0).values, (0, 0, 1, 0))
    ranks = [min(math.ceil((count + 1) * abs(2 * level - 1) - 1e-9), count) for level in LEVELS]
    sign = torch.tensor([math.copysign(level != 0.5, level - 0.5) for level in LEVELS]).to(errors)
    return ordered[ranks].T * sign

"""Mixtures: P(Y ≤ y) = Σ w_m F_m(y), the linear pool of several forecasts.

Quantiles by root finding between the smallest and the largest of the members', far levels on the log tail that is the smaller one,
so that they are as exact as near ones. Log tails by logsumexp. CRPS = ∫ (F(x) - 1{x ≥ y})² dx by Gauss rules between
the members' quantiles. Samples of a row come from one member, so that members joint over channels stay so.
Shapes: weights (M) or (M … H C), divided by their sum. A member without weight does not count, even if it is missing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial, reduce
from typing import Self

import numpy as np
import torch
from torch import Tensor

from forecast.distribution.forecast import LEVELS, Forecast, alike, bounded_below
from forecast.distribution.roots import Function, between

CUTS = (1e-9, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 1 - 1e-3, 1 - 1e-9)
NODES, WEIGHTS = (torch.from_numpy(array) for array in np.polynomial.legendre.leggauss(8))
AT_ONCE = 1 << 17  # cells × nodes
FAR = 0.01  # levels nearer to 0 or 1 are found by logarithms


@dataclass(frozen=True, eq=False)
class Mixture(Forecast):
    """A weighted mixture of forecasts of the same shape."""

    members: tuple[Forecast, ...]
    weights: Tensor

    def __post_init__(self) -> None:
        weights = self.weights.reshape(self.weights.shape + (1,) * (1 + len(self.shape) - self.weights.ndim))
        object.__setattr__(self, "weights", weights / weights.sum(0))

    @property
    def shape(self) -> torch.Size:
        return self.members[0].shape

    @property
    def mean(self) -> Tensor:
        return sum((w * mean for w, mean in self._counted([m.mean for m in self.members], 0.0)), torch.zeros(()))

    @cached_property
    def median(self) -> Tensor:
        return self.quantile(0.5)

    def quantile(self, level: float | Tensor) -> Tensor:
        answers = [member.quantile(level) for member in self.members]
        low = reduce(torch.minimum, [q for _, q in self._counted(answers, math.inf)])
        high = reduce(torch.maximum, [q for _, q in self._counted(answers, -math.inf)])
        levels = torch.as_tensor(level, dtype=torch.float64, device=low.device)
        low, high, u = alike(low, high, levels)
        shape, kind = low.shape, low.dtype
        central = bool(((levels >= FAR) & (levels <= 1 - FAR)).all())
        # one cell a row, axes of the levels in front: (N 1 1) of n cells
        low, high, u = (part.double().reshape(-1, 1, 1) for part in (low, high, u))
        axes, count = len(self.shape), math.prod(self.shape)
        cells = self.rebuild(*[part.reshape(count, 1, 1, *part.shape[axes:]) for part in self.parts()])

        def excess_of(places: Tensor) -> Function:
            some, sought = cells.rows(places % count), u[places]
            return partial(some._above if central else some._further, level=sought)

        return between(excess_of, low, high).reshape(shape).to(kind)

    def quantiles(self, levels: Sequence[float] = LEVELS) -> Tensor:
        many = max(1, AT_ONCE // max(math.prod(self.shape), 1))
        front = torch.tensor(levels, dtype=torch.float64).reshape(-1, *[1] * len(self.shape))
        return torch.cat([self.quantile(part) for part in front.split(many)]).movedim(0, -1)

    def _above(self, y: Tensor, level: Tensor) -> Tensor:
        """P(Y ≤ y) less a level."""
        return sum((w * below for w, below in self._counted([m.cdf(y) for m in self.members], 0.0)), -level)

    def _further(self, y: Tensor, level: Tensor) -> Tensor:
        """The same on the logarithm of the smaller tail, which is exact where the level is next to nothing."""
        (below, above), target = self.log_tails(y), torch.minimum(level, 1 - level).log()
        return torch.where(level <= 0.5, below - target, target - above)

    def cdf(self, y: Tensor) -> Tensor:
        return self.log_tails(y)[0].exp()

    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        tails = [member.log_tails(y) for member in self.members]
        return self._pool([low for low, _ in tails]), self._pool([high for _, high in tails])

    def crps(self, y: Tensor) -> Tensor:
        answers = [self._counted([member.quantile(level) for member in self.members], math.nan) for level in CUTS]
        marks = torch.stack(alike(y, *[quantile for row in answers for _, quantile in row]), -1)
        # a member that does not count gives no mark of its own
        edges = torch.where(marks.isnan(), y[..., None], marks).sort(-1).values.movedim(-1, 0)
        total = torch.zeros_like(edges[0])
        nodes, weights = (part.to(edges).reshape(-1, 1, *[1] * total.ndim) for part in (NODES, WEIGHTS))
        for start in range(0, len(edges) - 1, pieces := max(1, AT_ONCE // (len(NODES) * max(total.numel(), 1)))):
            left, right = edges[:-1][start : start + pieces], edges[1:][start : start + pieces]
            x = left + (right - left) / 2 * (1 + nodes)
            below, above = self.log_tails(x)
            total = total + ((right - left) / 2 * weights * torch.where(x < y, 2 * below, 2 * above).exp()).sum((0, 1))
        return total

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        draws = torch.stack([member.sample(n, generator) for member in self.members])
        row = (n, *self.shape[:-1], 1)
        uniform = torch.rand(row, generator=generator, dtype=draws.dtype, device=draws.device)
        reached = self.weights.cumsum(0)[:-1].unsqueeze(1)  # (M-1 1 … H C)
        chosen = (uniform >= reached).sum(0).expand(draws.shape[1:])
        return draws.gather(0, chosen[None])[0]

    def parts(self) -> tuple[Tensor, ...]:
        weights = self.weights.expand(len(self.members), *self.shape)
        return (*[part for member in self.members for part in member.parts()], *weights.unbind(0))

    def rebuild(self, *parts: Tensor) -> Self:
        left, members = list(parts), []
        for member in self.members:
            count = len(member.parts())
            members.append(member.rebuild(*left[:count]))
            left = left[count:]
        return type(self)(tuple(members), torch.stack(left))

    def affine(self, loc: Tensor, spread: Tensor) -> "Mixture":
        return Mixture(tuple(member.affine(loc, spread) for member in self.members), self.weights)

    def _counted(self, values: Sequence[Tensor], otherwise: float) -> list[tuple[Tensor, Tensor]]:
        """Weight and value of each member, `otherwise` where it has no weight."""
        pairs = zip(self.weights, values, strict=True)
        return [(weight, torch.where(weight == 0, otherwise, value)) for weight, value in pairs]

    def _pool(self, logs: Sequence[Tensor]) -> Tensor:
        weighted = [weight.log() + value for weight, value in self._counted(logs, 0.0)]
        return bounded_below(torch.logsumexp(torch.stack(alike(*weighted)), 0)).clamp(max=0)

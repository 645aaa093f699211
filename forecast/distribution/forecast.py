"""The predictive distribution of the next H rows, one contract for every kind.

Shapes: a forecast has the shape (… C), for a forecaster (B H C) and for a trace (B W H C); `y` has that shape too.
A cell whose forecast is missing answers NaN to every question.

Surprise is two-sided and in nats: s(y) = -log p, p = 2 min(P(Y ≤ y), P(Y ≥ y)), at most 1, so that P(s > x) = e^-x
(less where there are atoms). It is computed in log space: it is exact where p has long underflowed.
CRPS: Gneiting & Raftery (2007), J. Am. Stat. Assoc. 102(477), eq. 20-21.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Self

import numpy as np
import torch
from torch import Tensor

from forecast.types import Rows

LEVELS = (0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)


class Forecast(ABC):
    """Predictive distribution of each channel at each lead."""

    if TYPE_CHECKING:  # a field of some kinds and a property of others; a property at run time would shadow the field

        @property
        def mean(self) -> Tensor:
            """Expected value."""

    @property
    @abstractmethod
    def shape(self) -> torch.Size:
        """(… H C)."""

    @abstractmethod
    def quantile(self, level: float | Tensor) -> Tensor:
        """The value that the outcome stays below with probability `level`.

        A number, or a tensor that broadcasts with the forecast's shape and may have axes of its own in front.
        """

    @abstractmethod
    def cdf(self, y: Tensor) -> Tensor:
        """P(Y ≤ y)."""

    @abstractmethod
    def log_tails(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """(log P(Y ≤ y), log P(Y ≥ y)), both exact in the far tails and finite for a finite y."""

    @abstractmethod
    def crps(self, y: Tensor) -> Tensor:
        """Continuous ranked probability score in the units of y; NaN where y is missing."""

    @abstractmethod
    def parts(self) -> tuple[Tensor, ...]:
        """The parameter tensors, each of the shape (… H C *own)."""

    @abstractmethod
    def rebuild(self, *parts: Tensor) -> Self:
        """The same kind from other parameter tensors, in the order of `parts`."""

    @abstractmethod
    def affine(self, loc: Tensor, spread: Tensor) -> "Forecast":
        """The distribution of loc + spread · Y; spread > 0; both broadcast against the forecast's shape."""

    @property
    def joint(self) -> bool:
        """Whether the channels of a row have a joint distribution rather than their own ones alone."""
        return False

    @property
    def median(self) -> Tensor:
        """The 0.5 quantile."""
        return self.quantile(0.5)

    def quantiles(self, levels: Sequence[float] = LEVELS) -> Tensor:
        """Quantiles stacked in a new last axis: (… H C Q)."""
        return torch.stack([self.quantile(level) for level in levels], -1)

    def interval(self, coverage: float) -> tuple[Tensor, Tensor]:
        """Central interval: lower and upper bound."""
        return self.quantile((1 - coverage) / 2), self.quantile((1 + coverage) / 2)

    def surprise(self, y: Tensor) -> Tensor:
        """-log of the two-sided tail probability of y, in nats: 0 at the median."""
        below, above = self.log_tails(y)
        return -(math.log(2) + torch.minimum(below, above)).clamp(max=0)

    def joint_surprise(self, y: Tensor) -> Tensor:
        """Surprise of a whole row over its channels (… H): largest single surprise less log C (Bonferroni), at least 0.

        Missing channels do not count; a row with no observed channel is missing.
        """
        each = self.surprise(y)
        seen = each.isfinite()
        count = seen.sum(-1)
        largest = torch.where(seen, each, torch.zeros_like(each)).amax(-1)
        joint = (largest - count.clamp(min=1).to(each.dtype).log()).clamp(min=0)
        return torch.where(count > 0, joint, torch.full_like(joint, math.nan))

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws (n … H C): independent from cell to cell unless the kind knows better."""
        shape = (n, *self.shape)
        reference = self.median
        uniform = torch.rand(shape, generator=generator, dtype=reference.dtype, device=reference.device)
        # rand may answer 0, whose quantile is -inf: half a step of its grid instead
        return self.quantile(uniform.clamp(min=torch.finfo(uniform.dtype).eps / 4))

    def at(self, lead: int | slice) -> Self:
        """The forecast of some leads alone; an integer keeps its axis, of length 1."""
        rows = lead if isinstance(lead, slice) else slice(lead, None if lead == -1 else lead + 1)
        axis = len(self.shape) - 2
        return self.rebuild(*[part[(slice(None),) * axis + (rows,)] for part in self.parts()])

    def rows(self, rows: Rows) -> Self:
        """The forecast of some series alone."""
        return self.rebuild(*[part[rows] for part in self.parts()])

    def stack(self, others: Sequence[Self], axis: int = 1) -> Self:
        """This forecast and `others` of its kind and shape along a new axis."""
        return self.rebuild(*[torch.stack(parts, axis) for parts in _side_by_side(self, others)])

    def join(self, others: Sequence[Self]) -> Self:
        """This forecast and `others` of its kind as one batch."""
        return self.rebuild(*[torch.cat(parts) for parts in _side_by_side(self, others)])

    def to(self, target: torch.device | torch.dtype) -> Self:
        """The same forecast on another device or in another precision."""
        casts = [p.is_floating_point() or isinstance(target, torch.device) for p in self.parts()]
        return self.rebuild(*[p.to(target) if cast else p for p, cast in zip(self.parts(), casts, strict=True)])


def _side_by_side(one: Forecast, others: Sequence[Forecast]) -> Iterator[tuple[Tensor, ...]]:
    return zip(one.parts(), *[other.parts() for other in others], strict=True)


def bounded_below(log_probability: Tensor) -> Tensor:
    """A log probability that stays finite where it leaves the range of its dtype."""
    return log_probability.clamp(min=torch.finfo(log_probability.dtype).min)


def shape_of(*parts: Tensor) -> torch.Size:
    """The shape that tensors have together."""
    # torch's own broadcast_shapes imports sympy, which costs seconds in every process
    return torch.Size(np.broadcast_shapes(*[part.shape for part in parts]))


def alike(*parts: Tensor) -> list[Tensor]:
    """Tensors in the shape that they have together."""
    return [part.expand(shape_of(*parts)) for part in parts]

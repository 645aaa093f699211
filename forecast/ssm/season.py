"""The season of a structural model: a ring of dummies, harmonics, or a ring that walks and may grow.

Equations in `forecast.ssm.structural`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from forecast.ssm.program import Builder


@dataclass(frozen=True)
class Season:
    """A ring of dummies, or `harmonics` pairs where that is not 0.

    The first rows of a long season hardly tell its harmonics apart: with a `prior` they start with that variance.
    A season that walks may grow by a sum of `growth` states (odd: a constant and pairs), of which a season keeps the share `kept`;
    they start at 0.
    """

    length: int
    harmonics: int = 0
    prior: float = 0.0
    walk: bool = False
    growth: int = 0
    kept: float = 0.9

    @property
    def size(self) -> int:
        """States it takes; the harmonic at half the season length needs one only but keeps two."""
        return (2 * self.harmonics or self.length) + self.growth

    @property
    def rank(self) -> int:
        """Diffuse dimensions."""
        return 0 if self.prior else 2 * self.harmonics or self.length - 1 + self.walk

    @property
    def turns(self) -> list[tuple[float, float]]:
        """Angle and damping of each rotating pair."""
        pairs = self.harmonics or (self.growth - 1) // 2
        damping = self.kept ** (1 / self.length) if self.growth else 1.0
        return [(2 * math.pi * k / self.length, damping) for k in range(1, pairs + 1)]


def add_season(b: Builder, season: Season, variance: int) -> None:
    """States, transition and reads of a season, its variance at a coefficient."""
    first = b.states(season.size - season.growth)
    if season.harmonics:
        for k in range(season.harmonics):
            i = first + 2 * k
            b.mix(i, i + 1, b.numbers(4), fixed=True)
            b.noise(i, i, variance)
            b.noise(i + 1, i + 1, variance)
            b.read(i)
        return
    if season.growth:
        _add_growth(b, season, first, variance + 1)
    b.shift(first, season.length)
    b.noise(first, first, variance)
    if not season.walk:
        b.noise(first + 1, first + 1, variance)
        b.noise(first, first + 1, variance, -1)
    b.read(first)


def _add_growth(b: Builder, season: Season, ring: int, variance: int) -> None:
    """The row that was read gains the sum of the growth before the ring turns on."""
    common = b.states()
    b.add(ring, common)
    b.multiply(common, b.numbers(), fixed=True)
    b.noise(common, common, variance)
    for _ in season.turns:
        i = b.states(2)
        b.add(ring, i)
        b.mix(i, i + 1, b.numbers(4), fixed=True)
        b.noise(i, i, variance)
        b.noise(i + 1, i + 1, variance)


def start_of(season: Season, like: Tensor) -> Tensor:
    """Diffuse part of a season: free harmonics; in the ring length-1 free effects, of which "next" is minus the sum."""
    if season.harmonics or season.walk:
        free = torch.eye(season.size, dtype=like.dtype, device=like.device)
        free[season.size - season.growth :] = 0.0
        return free
    free = torch.eye(season.length, dtype=like.dtype, device=like.device)
    free[1] = -1.0
    free[1, 1] = 0.0
    return free @ free.T

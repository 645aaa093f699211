"""A damped stochastic cycle whose period is estimated.

    (ψ, ψ*)' = ρ [[cos λ, sin λ], [-sin λ, cos λ]] (ψ, ψ*) + (κ, κ*),   κ, κ* ~ N(0, σ²) each;   y reads ψ
    ρ = 0.999 · logistic(a),   log λ = log λ_low + log(λ_high / λ_low) · logistic(b)
with the period 2π/λ between `least` and `most` rows. Start: stationary, both states with variance σ²/(1 - ρ²).
Source: Harvey (1989), Forecasting, Structural Time Series Models, §2.3.3.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from forecast.ssm.program import Builder

PERIODS = (2.0, 144.0)  # rows
KEPT = 0.999  # ρ stays below
FURTHEST = 8.0  # |a|, |b| at most
DAMPED = 2.2  # a at the start: ρ = 0.9
SPREAD = (1 / 8, 3 / 8, 5 / 8, 7 / 8)  # of the logarithms of the periods: where climbs start


@dataclass(frozen=True)
class Cycle:
    """Bounds of the period in rows, 2 ≤ least < most; parameters (B 2) are a and b."""

    least: float = PERIODS[0]
    most: float = PERIODS[1]

    @property
    def span(self) -> float:
        """Logarithm of the highest frequency over the lowest."""
        return math.log(self.most / self.least)

    @property
    def starts(self) -> list[tuple[float, float]]:
        """Parameters to climb from: the likelihood has a maximum at many a frequency."""
        return [(DAMPED, math.log(share / (1 - share))) for share in SPREAD]

    def held(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Damping ρ and frequency λ (B), radians a row."""
        return KEPT * theta[:, 0].sigmoid(), 2 * math.pi / self.most * (self.span * theta[:, 1].sigmoid()).exp()

    def turn(self, theta: Tensor) -> Tensor:
        """The damped rotation (B 4), row by row."""
        rho, frequency = self.held(theta)
        c, s = rho * frequency.cos(), rho * frequency.sin()
        return torch.stack([c, s, -s, c], 1)

    def slope(self, theta: Tensor, by_turn: Tensor, pull: Tensor) -> Tensor:
        """Derivatives by a and b (B 2), of those by the rotation (B 4) and by the logarithm of the starting variance (B)."""
        rho, frequency = self.held(theta)
        share = theta[:, 1].sigmoid()
        c, s = frequency.cos(), frequency.sin()
        same, cross = by_turn[:, 0] + by_turn[:, 3], by_turn[:, 1] - by_turn[:, 2]
        by_rho = c * same + s * cross + 2 * pull * rho / (1 - rho.square())
        by_frequency = rho * (c * cross - s * same)
        by_share = by_frequency * frequency * self.span
        return torch.stack([by_rho * rho * (1 - rho / KEPT), by_share * share * (1 - share)], 1)

    @staticmethod
    def add(b: Builder, turn: int, variance: int) -> None:
        """States, transition and read; rotation and variance at coefficients."""
        i = b.states(2)
        b.mix(i, i + 1, turn)
        b.noise(i, i, variance)
        b.noise(i + 1, i + 1, variance)
        b.read(i)

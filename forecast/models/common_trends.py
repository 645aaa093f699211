"""Common trends: many channels, a stated number of unit roots that they share, and of each channel a disturbance with a memory.

    y_c = a_c + Σ_j Λ_cj μ_j + Σ_k (α_ck s_k + β_ck s*_k) + D_c u + r_c
    μ_j' = μ_j + δ_j + w,  w ~ N(0, 1);  μ_j = 0 at the first row         common levels, the only unit roots
    δ_j' = δ_j + ζ,  ζ ~ N(0, τ²_j)        slopes: none, drift (τ = 0) or full
    r_c' = φ_c r_c + e,  e ~ N(0, σ²_c),  |φ| < 0.98
The season is that of `dynamic_factor`. C channels with K trends have C - K combinations without a unit root: they are cointegrated.
Identification (Harvey 1989, §8.5): Λ is lower trapezoidal, Λ_cj = 0 for j > c, and w has unit variance; signs stay free. What channels
begin at, a, is exactly diffuse, in place of Harvey's diffuse μ and C - K constants: the same model, but the diffuse directions, and with them
the likelihood, do not change with Λ (Francke, Koopman & de Vos 2010, J. Time Series Anal. 31). Slopes start from N(0, 10²) in units of w.
"""

import math
from typing import Self

import torch
from torch import Tensor

from forecast.errors import InputError, unknown
from forecast.models.decomposition import LEVEL, half_life, plain
from forecast.models.dynamic_factor import DynamicFactor, inverse, memory_of, share
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.program import Builder, Program

SLOPES = ("none", "drift", "full")
LONGEST = 0.98  # |φ| stays below: what remembers longer is a trend
LEAST = 1e-6  # variance of a channel's own disturbance, in its variance
WIDE = 100.0  # variance of a slope at the start
APART = 8  # rows between the differences that the first loadings are made of


class CommonTrends(DynamicFactor):
    """Levels that channels share, as many as stated."""

    prior = 1.0
    effort = (200, 1e-11)  # what is a trend and what a disturbance is told apart slowly

    def __init__(
        self,
        trends: int = 1,
        slope: str = "drift",
        harmonics: int = 4,  # of the season
        season: int = 1,
        channels: int = 1,
        inputs: int = 0,
        engine: str | None = None,
    ) -> None:
        if slope not in SLOPES:
            raise unknown("slope", slope, SLOPES)
        if trends < 1:
            raise InputError(f"model.trends={trends}: at least one common trend is needed")
        self.trends, self.slope = min(trends, channels), slope
        super().__init__(self.trends, harmonics, False, season, channels, inputs, engine)
        self.needs = 6 + 2 * self.trends + 4 * self.harmonics

    @classmethod
    def example(cls) -> Self:
        return cls(slope="full", season=4, channels=3, inputs=1)

    @property
    def sloped(self) -> int:
        """Slopes."""
        return self.trends * (self.slope != "none")

    @property
    def moving(self) -> int:
        """Slopes that change."""
        return self.trends * (self.slope == "full")

    def _program(self) -> Program:
        """States: levels, slopes, season, disturbances, where channels begin; coefficients in the order of `coefficients`."""
        K, C, H, b = self.trends, self.channels, self.harmonics, Builder(self.channels)
        level, slope, s, r, a = b.states(K), b.states(self.sloped), b.states(2 * H), b.states(C), b.states(C)
        one, change = b.numbers(), b.numbers(self.moving)
        for j in range(K):
            if self.sloped:
                b.add(level + j, slope + j)
            b.noise(level + j, level + j, one)
            if self.moving:
                b.noise(slope + j, slope + j, change + j)
        turn, new = b.numbers(4 * H), b.numbers()
        for k in range(H):
            b.mix(s + 2 * k, s + 2 * k + 1, turn + 4 * k)
            b.noise(s + 2 * k, s + 2 * k, new)
            b.noise(s + 2 * k + 1, s + 2 * k + 1, new)
        own, variance = b.numbers(C), b.numbers(C)
        for c in range(C):
            b.multiply(r + c, own + c)
            b.noise(r + c, r + c, variance + c)
        for c in range(C):
            for j in range(min(c + 1, K)):
                b.read(level + j, c, b.numbers())
            for x in range(2 * H):
                b.read(s + x, c, b.numbers())
            b.read(r + c, c)
            b.read(a + c, c)
        return b.program()

    def _parts(self, theta: Tensor) -> list[Tensor]:
        """θ cut up: log τ², of q, of φ, log σ², what is read of levels and season channel by channel, D."""
        C, K = self.channels, self.trends
        read = sum(min(c + 1, K) for c in range(C)) + 2 * C * self.harmonics
        return list(theta.split([self.moving, 1, C, C, read, C * self.inputs], 1))

    def coefficients(self, theta: Tensor) -> Tensor:
        log_change, to_q, to_phi, log_variance, read, _ = self._parts(theta)
        one, q = torch.ones_like(to_q), share(to_q)
        return torch.cat(
            [one, log_change.exp(), self.turns(q), q, LONGEST * to_phi.tanh(), LEAST + log_variance.exp(), read], 1
        )

    def belief(self, theta: Tensor) -> Belief:
        _, _, to_phi, log_variance, _, _ = self._parts(theta)
        own = (LEAST + log_variance.exp()) / (1 - (LONGEST * to_phi.tanh()).square())
        one, m = torch.ones_like(theta[:, :1]), self.program.size
        sizes = [(0.0, self.trends), (WIDE, self.sloped), (1.0, 2 * self.harmonics)]
        known = torch.cat([size * one.expand(-1, count) for size, count in sizes] + [own, 0 * own], 1)
        ends = theta.new_zeros(m)
        ends[m - self.channels :] = 1.0
        return fresh(0 * one.expand(-1, m), known.diag_embed(), ends.diag_embed(), self.channels, self.channels)

    def starts(self, theta: Tensor) -> list[Tensor]:
        """With several trends a second climb, from disturbances without a memory: which of the slow ones is a trend has several answers."""
        log_change, to_q, to_phi, *rest = self._parts(theta)
        return [theta] + [torch.cat([log_change, to_q, 0 * to_phi, *rest], 1)] * (self.trends > 1)

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        K, S, H, C = self.trends, self.sloped, 2 * self.harmonics, self.channels
        at = K + S + H
        made = [(LEVEL, [*range(K), *range(at + C, at + 2 * C)])] + [(f"trend {j + 1}", [j]) for j in range(K)] * (K > 1)
        return made + [(f"season {self.season}", list(range(K + S, at)))] * bool(H) + [("own", list(range(at, at + C)))]

    def level_of(self, channel: int) -> int | None:
        return 0 if self.trends == 1 else None

    def told(self, theta: Tensor, channel: int, spread: Tensor) -> tuple[tuple[str, str], ...]:
        log_change, to_q, to_phi, log_variance, read, _ = [part[0] for part in self._parts(theta)]
        K, H = self.trends, 2 * self.harmonics
        begin = [sum(min(c + 1, K) + H for c in range(end)) for end in range(self.channels)]
        up = torch.stack([read[begin[j] + j] for j in range(min(channel + 1, K))]).sign()  # a trend goes up where its first channel does
        load = spread * up * read[begin[channel] : begin[channel] + len(up)]
        said = [("unit roots", f"{K} of {self.channels} channels")]
        said += [(f"noise of trend {j + 1} in this channel", plain(float(size))) for j, size in enumerate(load)]
        said += [(f"noise of slope {j + 1}, to that of its trend", plain(float((v / 2).exp()))) for j, v in enumerate(log_change)]
        said += [("new of the season in a row", plain(float(share(to_q))))] * bool(H)
        said += [("memory φ of its own", half_life(float(LONGEST * to_phi[channel].tanh())))]
        return (*said, ("noise of its own", plain(float(spread * (LEAST + log_variance[channel].exp()).sqrt()))))

    def closed_form(self, values: Tensor, inputs: Tensor) -> Tensor:
        C, K, H, rows = self.channels, self.trends, 2 * self.harmonics, len(values)
        design = torch.cat([self.waves(rows, values), inputs[len(inputs) - rows :]], 1)
        steps, turned = values.diff(dim=0), design.diff(dim=0)
        unit = 0.1 * torch.eye(design.shape[1], dtype=values.dtype)
        found = torch.linalg.solve(turned.T @ turned + unit, turned.T @ (steps - steps.mean(0))).T  # (C 2H+inputs)
        rest = values - design @ found.T
        apart = max(1, min(APART, rows // 6))
        moved = rest[apart:] - rest[:-apart]
        moved = (moved - moved.mean(0) * (self.slope != "none")) / math.sqrt(apart * max(len(moved), 1))
        _, size, axes = torch.linalg.svd(moved, full_matrices=False)
        load = axes.new_zeros(C, K)
        kept = min(K, len(size))
        load[:, :kept] = axes[:kept].T * size[:kept].clamp(min=1e-3)
        load = load @ torch.linalg.qr(load[:K].T)[0]  # lower trapezoidal
        signs = torch.where(load.diagonal() < 0, -1.0, 1.0).to(load)
        load = torch.tril(load * signs)
        factors = rest @ torch.linalg.pinv(load).T
        own = rest - factors @ load.T
        own = own - own.mean(0)
        phi = memory_of(own).clamp(-0.9, 0.9)
        variance = (own.square().mean(0) * (1 - phi.square())).clamp(min=1e-4)
        read = [part for c in range(C) for part in (load[c, : min(c + 1, K)], found[c, :H])]
        parts = [values.new_full((self.moving,), -7.0), values.new_tensor([-9.0]), inverse(phi, LONGEST), variance.log()]
        return torch.cat([*parts, *read, found[:, H:].flatten()])

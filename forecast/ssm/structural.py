"""Structural models as programs: level, trend (none, damped, full, drift), seasons, a cycle, regressors and a short memory.

    y = μ + Σ γ + ψ + x'β + r + v;   μ' = μ + δ + w,  δ' = φ δ + w,  r' = ρ r + w     (φ = 1: full trend)
A season may also walk: γ' of its row in the season = γ + w, each row on its own and without a sum that is kept; the level
is then 0, the season carries it (with a short memory: a seasonal ARIMA (1,0,1)(0,1,1)). Such a season may grow:
each season adds δ_t to its row, δ a constant and a few harmonics of the season that are damped and move,
    γ_{t+s} = γ_t + δ_t + w,  δ_t = c_t + Σ a_t^k,  c' = φ c + w,  (a, a*)^k' = φ rotation(2πk/s) (a, a*)^k + w,  φ = kept^(1/s)
A cycle ψ is a damped rotation whose period is estimated (`forecast.ssm.cycle`).
A drift is a slope that never changes and is given with the start (Theta: half the slope of the straight line); a mean
is a level that never changes.
A season of `length` rows is either a ring of dummies, γ' = -(sum of the last length-1 effects) + w, or a few harmonics,
each a rotation by 2πk/length. The ring keeps `length` slots: current, next, …; the slot "next" holds minus the sum of
the other length-1, so the transition is a turn of the ring, w goes to the new current slot and -w to the new next one,
and the slots always add up to w - w = 0. Start: level, slope and seasons exactly diffuse, ψ and r stationary,
β ~ N(0, shrinkage).
Parameters θ (B P), all free: log variances of observation, level (unless a mean), slope (if damped or full), one per season, cycle, short
memory (if any); then logit of φ if damped, the two of the cycle, and ρ through a hyperbolic tangent.
Source: Harvey (1989), Forecasting, Structural Time Series Models, §2.3; Durbin & Koopman (2012), §3.2.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from forecast.ssm.belief import Belief, fresh
from forecast.ssm.cycle import FURTHEST, Cycle
from forecast.ssm.program import Builder, Program
from forecast.ssm.season import Season, add_season, start_of

TRENDS = ("none", "damped", "full")
DRIFT, MEAN = "drift", "mean"
SLOPE = "slope"
DAMPING = (0.5, 0.995)  # φ stays between
LONGEST = 0.98  # |ρ| stays below
LOWEST, HIGHEST = -18.0, 10.0  # log variances, in units of the series' spread


@dataclass(frozen=True)
class Structural:
    """A structural model: which components there are, and where their numbers stand."""

    trend: str = "none"
    seasons: tuple[Season, ...] = ()
    regressors: int = 0
    shrinkage: float = 1.0
    memory: bool = False
    cycle: Cycle | None = None

    @property
    def sloped(self) -> bool:
        """Whether there is a slope that changes."""
        return self.trend in ("damped", "full")

    @property
    def moving(self) -> bool:
        """Whether the level changes."""
        return self.trend != MEAN

    @property
    def walks(self) -> bool:
        """Whether a season carries the level."""
        return any(season.walk for season in self.seasons)

    @property
    def cycles(self) -> int:
        """Cycles: none or one."""
        return self.cycle is not None

    @property
    def variances(self) -> int:
        """Variances among the parameters."""
        growths = sum(season.growth > 0 for season in self.seasons)
        return 1 + self.moving + self.sloped + len(self.seasons) + growths + self.cycles + self.memory

    @property
    def parameters(self) -> int:
        """Free parameters P."""
        return self.variances + (self.trend == "damped") + 2 * self.cycles + self.memory

    @property
    def rank(self) -> int:
        """Diffuse dimensions of the start."""
        return (not self.walks) + self.sloped + sum(season.rank for season in self.seasons)

    @cached_property
    def program(self) -> Program:
        """Operations; states: level, slope, seasons, cycle, r, β; coefficients: variances, φ, ρ, rotations (the cycle's first), regressors."""
        b = Builder()
        variances = b.numbers(self.variances)
        level = b.states()
        if self.sloped or self.trend == DRIFT:
            slope = b.states()
            b.add(level, slope)
            if self.trend == "damped":
                b.multiply(slope, b.numbers())
            if self.sloped:
                b.noise(slope, slope, variances + 2)
        if self.moving:
            b.noise(level, level, variances + 1)
        b.read(level)
        persistence = b.numbers() if self.memory else 0
        turn = b.numbers(4) if self.cycle else 0
        variance = variances + 1 + self.moving + self.sloped
        for season in self.seasons:
            add_season(b, season, variance)
            variance += 1 + (season.growth > 0)
        if self.cycle:
            self.cycle.add(b, turn, variance)
        if self.memory:
            r = b.states()
            b.multiply(r, persistence)
            b.noise(r, r, variances + self.variances - 1)
            b.read(r)
        for _ in range(self.regressors):
            b.read(b.states(), 0, b.numbers(), fixed=True)
        b.observation_noise(variances)
        return b.program()

    @property
    def components(self) -> list[tuple[str, list[int]]]:
        """What y is the sum of: names, and the states that are read for each; the slope, which is not read, is last."""
        trended = self.sloped or self.trend == DRIFT
        found, at = [("level", [0])], 1 + trended
        for season in self.seasons:
            read = list(range(at, at + season.size, 2)) if season.harmonics else [at]
            found.append((f"season {season.length}", read))
            at += season.size
        found += [("cycle", [at])] * self.cycles
        at += 2 * self.cycles
        found += [("memory", [at])] * self.memory
        return found + [(SLOPE, [1])] * trended

    def coefficients(self, theta: Tensor) -> Tensor:
        """Coefficients (B K) of parameters (B P), without those of the regressors."""
        parts = [theta[:, : self.variances].exp()]
        if self.trend == "damped":
            low, high = DAMPING
            parts.append(low + (high - low) * theta[:, self.variances, None].sigmoid())
        if self.memory:
            parts.append(LONGEST * theta[:, -1:].tanh())
        if self.cycle:
            parts.append(self.cycle.turn(self.of_cycle(theta)))
        for season in self.seasons:
            fixed = [season.kept ** (1 / season.length)] * (season.growth > 0)
            for angle, damping in season.turns:
                c, s = damping * math.cos(angle), damping * math.sin(angle)
                fixed += [c, s, -s, c]
            parts.append(theta.new_tensor(fixed).expand(len(theta), len(fixed)))
        return torch.cat(parts, 1)

    def of_cycle(self, theta: Tensor) -> Tensor:
        """The two parameters of the cycle (B 2): damping and frequency."""
        at = self.variances + (self.trend == "damped")
        return theta[:, at : at + 2]

    def with_regressors(self, coefs: Tensor, regressors: Tensor) -> Tensor:
        """Coefficients (B T K) of rows with regressors (B T X)."""
        return (
            torch.cat([coefs[:, None].expand(-1, regressors.shape[1], -1), regressors], -1)
            if self.regressors
            else coefs
        )

    def start(self, batch: int, like: Tensor, theta: Tensor | None = None, drift: Tensor | None = None) -> Belief:
        """The belief before the first row; a cycle and a memory need their parameters, a drift (B) its value."""
        m = self.program.size
        mean, covariance = like.new_zeros(batch, m), like.new_zeros(batch, m, m)
        diffuse = like.new_zeros(m, m)
        at = 1 + self.sloped
        diffuse[range(self.walks, at), range(self.walks, at)] = 1.0
        if drift is not None and self.trend == DRIFT:
            mean[:, 1] = drift
        at += self.trend == DRIFT
        for season in self.seasons:
            block = slice(at, at + season.size)
            if season.prior:
                covariance[:, block, block] = season.prior * torch.eye(
                    season.size, dtype=like.dtype, device=like.device
                )
            else:
                diffuse[block, block] = start_of(season, like)
            at += season.size
        if theta is not None and self.cycle:
            both = torch.zeros(m, m, dtype=like.dtype, device=like.device)
            both[range(at, at + 2), range(at, at + 2)] = 1.0
            covariance = covariance + self.cycle_variance(theta)[:, None, None] * both
        at += 2 * self.cycles
        if theta is not None and self.memory:
            rho = LONGEST * theta[:, -1].tanh()
            place = torch.zeros(m, m, dtype=like.dtype, device=like.device)
            place[at, at] = 1.0
            covariance = covariance + (theta[:, self.variances - 1].exp() / (1 - rho.square()))[:, None, None] * place
        at += self.memory
        if self.regressors:
            covariance[:, range(at, m), range(at, m)] = self.shrinkage
        return fresh(mean, covariance, diffuse, rank=self.rank)

    def cycle_variance(self, theta: Tensor) -> Tensor:
        """Variance (B) of both states of the cycle before the first row."""
        rho = self.cycle.held(self.of_cycle(theta))[0] if self.cycle else theta[:, 0] * 0
        return theta[:, self.variances - 1 - self.memory].exp() / (1 - rho.square())

    @property
    def place(self) -> int:
        """Where the variance of a memory stands in the triangle of a covariance."""
        return self._diagonal(self.program.size - self.regressors - 1)

    @property
    def places(self) -> list[int]:
        """Where those of the cycle stand."""
        first = self.program.size - self.regressors - self.memory - 2
        return [self._diagonal(at) for at in range(first, first + 2)] * self.cycles

    def _diagonal(self, at: int) -> int:
        return at * self.program.size - at * (at - 1) // 2

    def slope(self, theta: Tensor, coefs: Tensor, by_coefs: Tensor, by_covariance: Tensor) -> Tensor:
        """Derivatives by parameters (B P), of those by coefficients (B K) and by the starting covariance (B N)."""
        free = self.variances
        made = torch.zeros_like(theta)
        made[:, :free] = by_coefs[:, :free] * coefs[:, :free]
        if self.trend == "damped":
            low, high = DAMPING
            phi = coefs[:, free]
            made[:, free] = by_coefs[:, free] * (phi - low) * (high - phi) / (high - low)
        if self.memory:
            at = free + (self.trend == "damped")
            rho, noise = coefs[:, at], coefs[:, free - 1]
            rest = 1 - rho.square()
            pull = by_covariance[:, self.place] * noise / rest
            made[:, free - 1] += pull
            made[:, -1] = (by_coefs[:, at] + 2 * pull * rho / rest) * (LONGEST - rho.square() / LONGEST)
        if self.cycle:
            at = free + (self.trend == "damped")
            pull = by_covariance[:, self.places].sum(-1) * self.cycle_variance(theta)
            made[:, free - 1 - self.memory] += pull
            by_turn = by_coefs[:, at + self.memory : at + self.memory + 4]
            made[:, at : at + 2] = self.cycle.slope(self.of_cycle(theta), by_turn, pull)
        return made

    def starts(self, batch: int, like: Tensor) -> list[Tensor]:
        """Places (B P) to climb from: smooth and restless, in units of the spread of the changes; each with the cycle's periods."""
        made = []
        for noise, level, slope, season in ((0.3, 0.1, 1e-3, 0.02), (0.05, 0.6, 1e-4, 1e-3)):
            variances = (
                [noise]
                + [level] * self.moving
                + [slope] * self.sloped
                + [v for one in self.seasons for v in [season] + [1e-4] * (one.growth > 0)]
                + [0.2] * self.cycles
                + [0.2] * self.memory
            )
            theta = [math.log(v) for v in variances] + [2.0] * (self.trend == "damped")
            for turn in self.cycle.starts if self.cycle else ((),):
                made.append(like.new_tensor([*theta, *turn, *[0.5] * self.memory]).expand(batch, -1))
        return made

    def bounds(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """Lowest and highest parameters (P)."""
        shapes = [6.0] * (self.trend == "damped") + [FURTHEST, FURTHEST] * self.cycles + [3.0] * self.memory
        low = [LOWEST] * self.variances + [-x for x in shapes]
        return like.new_tensor(low), like.new_tensor([HIGHEST] * self.variances + shapes)

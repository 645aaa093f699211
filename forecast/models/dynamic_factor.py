"""Dynamic factor model: many channels, a few common factors, and of each channel a disturbance with a memory.

    y_c = Σ_j Λ_cj f_j + Σ_k (α_ck s_k + β_ck s*_k) + D_c u + r_c + l_c
    f_j' = ρ_j f_j + √(1 - ρ_j²) w         common factors with variance 1
    (s_k, s*_k)' = √(1 - q) rotation(2πk/season) (s_k, s*_k) + √q w        common season; each channel its amplitude and phase
    r_c' = φ_c r_c + e,  e ~ N(0, σ²_c)
    l_c' = l_c + w,  w ~ N(0, τ²_c)        a level that wanders; levels=false: none
All start from their stationary distribution, levels from N(0, 1) in standard deviations of the channel. θ₀: harmonics by least
squares, principal components, autocorrelations.
Source: Stock & Watson (2011), Dynamic Factor Models, §2; the likelihood is that of statsmodels' `DynamicFactor` with
factor_order=1, error_order=1 and a diagonal transition, its loadings √(1 - ρ²) times ours.
"""

import math
from typing import Self

import torch
from torch import Tensor

from forecast.errors import InputError
from forecast.models.decomposition import LEVEL, half_life, plain
from forecast.models.joint import Driven, JointForecaster
from forecast.ssm.belief import Belief, fresh
from forecast.ssm.program import Builder, Program

LONGEST = 0.9995  # |ρ|, |φ| stay below
LEAST = 1e-6  # variance of a channel's own disturbance, in its variance


class DynamicFactor(JointForecaster):
    """Common factors and a common season of all channels of a series."""

    def __init__(
        self,
        factors: int = 2,
        harmonics: int = 4,  # of the season
        levels: bool = True,  # each channel has a level of its own that wanders
        season: int = 1,
        channels: int = 1,
        inputs: int = 0,
        engine: str | None = None,
    ) -> None:
        super().__init__()
        if factors < 1:
            raise InputError(f"model.factors={factors}: at least one factor is needed")
        self.factors, self.season, self.levels = factors, season, levels
        self.channels, self.inputs, self.engine = channels, inputs, engine
        self.harmonics = max(0, min(harmonics, (season - 1) // 2))
        self.program = self._program()
        self.needs = 4 + 2 * factors + 4 * self.harmonics

    @classmethod
    def example(cls) -> Self:
        return cls(factors=1, season=4, channels=3, inputs=1)

    def _program(self) -> Program:
        """States: factors, harmonics in pairs, disturbances; coefficients in the order of `coefficients`."""
        b = Builder(self.channels)
        f, s, r = b.states(self.factors), b.states(2 * self.harmonics), b.states(self.channels)
        level = b.states(self.channels * self.levels)
        memory, noise = b.numbers(self.factors), b.numbers(self.factors)
        for j in range(self.factors):
            b.multiply(f + j, memory + j)
            b.noise(f + j, f + j, noise + j)
        turn, change = b.numbers(4 * self.harmonics), b.numbers()
        for k in range(self.harmonics):
            b.mix(s + 2 * k, s + 2 * k + 1, turn + 4 * k)
            b.noise(s + 2 * k, s + 2 * k, change)
            b.noise(s + 2 * k + 1, s + 2 * k + 1, change)
        own, variance = b.numbers(self.channels), b.numbers(self.channels)
        for c in range(self.channels):
            b.multiply(r + c, own + c)
            b.noise(r + c, r + c, variance + c)
        wander = b.numbers(self.channels * self.levels)
        for c in range(self.channels * self.levels):
            b.noise(level + c, level + c, wander + c)
        loadings = b.numbers(self.channels * (self.factors + 2 * self.harmonics))
        for c in range(self.channels):
            for x in range(self.factors + 2 * self.harmonics):
                b.read(x, c, loadings + c * (self.factors + 2 * self.harmonics) + x)
            b.read(r + c, c)
            if self.levels:
                b.read(level + c, c)
        return b.program()

    def _parts(self, theta: Tensor) -> list[Tensor]:
        """θ cut up: of ρ, of q, of φ, log σ², log τ², loadings, D."""
        C, common = self.channels, self.factors + 2 * self.harmonics
        return list(theta.split([self.factors, 1, C, C, C * self.levels, C * common, C * self.inputs], 1))

    def coefficients(self, theta: Tensor) -> Tensor:
        to_rho, to_q, to_phi, log_variance, log_level, loadings, _ = self._parts(theta)
        rho, phi, q = LONGEST * to_rho.tanh(), LONGEST * to_phi.tanh(), share(to_q)
        return torch.cat(
            [rho, 1 - rho.square(), self.turns(q), q, phi, LEAST + log_variance.exp(), log_level.exp(), loadings], 1
        )

    def turns(self, q: Tensor) -> Tensor:
        """Rotations of the season (B 4H) of which a share q (B 1) is new with every row."""
        angles = (q.new_tensor([2 * math.pi * k / self.season]) for k in range(1, self.harmonics + 1))
        turns = [torch.cat([w.cos(), w.sin(), -w.sin(), w.cos()]) for w in angles]
        return (1 - q).sqrt() * torch.cat(turns) if turns else q[:, :0]

    def waves(self, rows: int, like: Tensor) -> Tensor:
        """Harmonics of the season (T 2H)."""
        angles = [2 * math.pi * k / self.season * torch.arange(rows) for k in range(1, self.harmonics + 1)]
        waves = [part for angle in angles for part in (angle.cos(), -angle.sin())]
        return torch.stack(waves, 1).to(like) if waves else like[:rows, :0]

    def belief(self, theta: Tensor) -> Belief:
        _, _, to_phi, log_variance, _, _, _ = self._parts(theta)
        own = (LEAST + log_variance.exp()) / (1 - (LONGEST * to_phi.tanh()).square())
        common = torch.ones_like(theta[:, :1]).expand(-1, self.factors + 2 * self.harmonics)
        m = self.program.size
        zero = theta.new_zeros(m, m)
        return fresh(
            torch.zeros_like(theta[:, :1]).expand(-1, m),
            torch.cat([common, own, torch.ones_like(own)[:, : self.channels * self.levels]], 1).diag_embed(),
            zero,
            self.channels,
            0,
        )

    def driven(self, theta: Tensor, inputs: Tensor) -> Driven:
        D = self._parts(theta)[-1].unflatten(1, (self.channels, self.inputs))
        return Driven(inputs.new_zeros(len(inputs), 0, self.program.size), inputs @ D.mT)

    @property
    def groups(self) -> list[tuple[str, list[int]]]:
        f, s, C = self.factors, 2 * self.harmonics, self.channels
        made = [(LEVEL, list(range(f + s + C, f + s + 2 * C)))] * self.levels
        made += [(f"factor {j + 1}", [j]) for j in range(f)]
        return made + [(f"season {self.season}", list(range(f, f + s)))] * bool(s) + [("own", list(range(f + s, f + s + C)))]

    def level_of(self, channel: int) -> int | None:
        return self.factors + 2 * self.harmonics + self.channels + channel if self.levels else None

    def told(self, theta: Tensor, channel: int, spread: Tensor) -> tuple[tuple[str, str], ...]:
        to_rho, to_q, to_phi, log_variance, log_level, loadings, _ = [part[0] for part in self._parts(theta)]
        rho, phi = LONGEST * to_rho.tanh(), LONGEST * to_phi[channel].tanh()
        load = loadings.reshape(self.channels, -1)[channel, : self.factors] * spread
        said = [(f"loading on factor {j + 1}", plain(float(size))) for j, size in enumerate(load)]
        said += [(f"memory ρ of factor {j + 1}", half_life(float(one))) for j, one in enumerate(rho)]
        said += [("new of the season in a row", plain(float(share(to_q))))] * bool(self.harmonics)
        said += [("memory φ of its own", half_life(float(phi)))]
        said += [("noise of its own", plain(float(spread * (LEAST + log_variance[channel].exp()).sqrt())))]
        if self.levels:
            said += [("noise of the level", plain(float(spread * (log_level[channel] / 2).exp())))]
        return tuple(said)

    def closed_form(self, values: Tensor, inputs: Tensor) -> Tensor:
        rows, inputs = len(values), inputs[len(inputs) - len(values) :]
        design = torch.cat([self.waves(rows, values), inputs], 1)
        unit = torch.eye(design.shape[1], dtype=values.dtype)
        found = torch.linalg.solve(design.T @ design + unit, design.T @ values).T  # (C 2H+K)
        rest = values - design @ found.T
        _, size, axes = torch.linalg.svd(rest, full_matrices=False)
        kept = min(self.factors, len(size))
        load = axes.new_zeros(self.channels, self.factors)
        load[:, :kept] = axes[:kept].T * size[:kept] / math.sqrt(rows)
        load = load * load.sum(0).sign().where(load.sum(0) != 0, load.new_ones(()))
        factors = rest @ load / load.square().sum(0).clamp(min=1e-12)
        own = rest - factors @ load.T
        rho, phi = memory_of(factors), memory_of(own)
        variance = (own.square().mean(0) * (1 - phi.square())).clamp(min=1e-4)
        waves_of = found[:, : 2 * self.harmonics]
        parts = [
            inverse(rho),
            values.new_tensor([-9.0]),
            inverse(phi),
            variance.log(),
            values.new_full((self.channels * self.levels,), -9.0),
        ]
        return torch.cat([*parts, torch.cat([load, waves_of], 1).flatten(), found[:, 2 * self.harmonics :].flatten()])


def share(to_q: Tensor) -> Tensor:
    """How much of a season is new with every row, at most a hundredth."""
    return 0.01 * to_q.sigmoid()


def memory_of(parts: Tensor) -> Tensor:
    """Autocorrelation at lag 1 (N) of the columns of (T N), within 0.98."""
    top, bottom = (parts[1:] * parts[:-1]).sum(0), parts.square().sum(0)
    return (top / bottom.clamp(min=1e-12)).clamp(-0.98, 0.98)


def inverse(rho: Tensor, longest: float = LONGEST) -> Tensor:
    """The free number of a memory that stays below `longest`."""
    return (rho / longest).atanh()

"""Intermittent demand: how large a demand is and how often there is one, smoothed apart.

    at a demand y ≠ 0   z' = z + α (y - z),   v' = (1 - α)(v + α (y - z)²)      size and its variance
    Croston             p' = p + α (q - p) at a demand, q the rows since the one before;   chance b = 1/p
    TSB                 b' = b + β (1{y ≠ 0} - b) in every row: the chance falls while there is no demand
    forecast            0 with probability 1 - b, else a log-normal demand of mean z and variance v;   mean b z

(normal where a demand was negative). Croston's ratio is biased; `debiased` multiplies z by 1 - α/2. A missing row is
skipped. The first demand sets z and p. Shapes: rows (B C), forecasts (B H C), the same at every lead.
Source: Croston (1972), Oper. Res. Quart. 23(3); Syntetos & Boylan (2005), IJF 21(2); Teunter, Syntetos & Babai (2011), EJOR.
"""

import math
from abc import abstractmethod
from typing import NamedTuple, Self

import torch
from torch import Tensor

from forecast.distribution import Forecast, Gaussian, Mixture, Transformed
from forecast.distribution.transformed import BoxCox
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Parameters, Row


class Demand(NamedTuple):
    """State of each channel of each series (B C)."""

    size: Tensor  # 0 before the first demand
    variance: Tensor
    pace: Tensor  # Croston: rows between demands; TSB: chance of one
    gap: Tensor  # rows since the last demand, or since the first observed value
    seen: Tensor  # observed rows
    least: Tensor  # smallest demand so far; infinite where there is none


class Intermittent(Forecaster):
    """Size and chance of a demand; a member says how the chance moves."""

    needs = 2
    traits = frozenset({"scale"})
    channels: int
    alpha: float

    @abstractmethod
    def paced(self, state: Demand, demand: Tensor) -> Tensor:
        """The pace after an observed row with or without a demand."""

    @abstractmethod
    def chance(self, state: Demand) -> Tensor:
        """Chance of a demand in a row."""

    def initial_state(self, parameters: Parameters, static: Tensor) -> Demand:
        zero = static.new_zeros(static.shape[0], self.channels, dtype=torch.float64)
        return Demand(zero, zero, zero, zero, zero, zero + math.inf)

    def step(self, state: Demand, row: Row) -> Demand:
        values = row.values.double()
        observed = values.isfinite()
        demand = observed & (values != 0)
        first = demand & state.least.isinf()
        error = torch.where(first, 0.0, values - state.size)
        size = torch.where(first, values, state.size + self.alpha * error)
        variance = (1 - self.alpha) * (state.variance + self.alpha * error.square())
        gap = state.gap + observed
        return Demand(
            torch.where(demand, size, state.size),
            torch.where(demand, variance, state.variance),
            torch.where(observed, self.paced(state._replace(gap=gap), demand), state.pace),
            torch.where(demand, 0.0, gap),
            state.seen + observed,
            torch.where(demand, torch.minimum(values, state.least), state.least),
        )

    def predict(self, state: Demand, future: Future) -> Forecast:
        leads = future.elapsed.shape[1]
        known = torch.where(state.seen >= self.needs, 1.0, math.nan)
        size, variance, chance, least = (
            (part * known)[:, None].expand(-1, leads, -1)
            for part in (self.mean_size(state), state.variance, self.chance(state), state.least)
        )
        positive = (least > 0) & (size > 0)
        spread = torch.where(positive, (variance / size.square()).log1p(), variance)
        power = torch.where(positive, 0.0, 1.0)
        middle = torch.where(positive, size.log() - spread / 2, size)
        demand = Transformed(Gaussian(middle, spread), BoxCox(power, power))  # (y + 1)^1 - 1 is y
        nothing = Gaussian(0 * size, 0 * size)
        return Mixture((nothing, demand), torch.stack([1 - chance, chance])).to(future.elapsed.dtype)

    def mean_size(self, state: Demand) -> Tensor:
        """Mean of a demand."""
        return state.size


class Croston(Intermittent):
    """Croston's method: smoothed size over smoothed interval."""

    def __init__(self, channels: int = 1, alpha: float = 0.1, debiased: bool = False) -> None:
        super().__init__()
        self.channels, self.alpha, self.debiased = channels, alpha, debiased

    @classmethod
    def example(cls) -> Self:
        return cls(channels=2)

    def paced(self, state: Demand, demand: Tensor) -> Tensor:
        smoothed = torch.where(state.pace == 0, state.gap, state.pace + self.alpha * (state.gap - state.pace))
        return torch.where(demand, smoothed, state.pace)

    def chance(self, state: Demand) -> Tensor:
        return torch.where(state.pace == 0, 0.0, 1 / state.pace.clamp(min=1))

    def mean_size(self, state: Demand) -> Tensor:
        return state.size * (1 - self.alpha / 2) if self.debiased else state.size


class Tsb(Intermittent):
    """Teunter, Syntetos and Babai's method: smoothed size times smoothed chance."""

    def __init__(self, channels: int = 1, alpha: float = 0.1, beta: float = 0.1) -> None:
        super().__init__()
        self.channels, self.alpha, self.beta = channels, alpha, beta

    @classmethod
    def example(cls) -> Self:
        return cls(channels=2)

    def paced(self, state: Demand, demand: Tensor) -> Tensor:
        first = demand & state.least.isinf()
        return torch.where(first, 1 / state.gap, state.pace + self.beta * (demand.double() - state.pace))

    def chance(self, state: Demand) -> Tensor:
        return state.pace

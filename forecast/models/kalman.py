"""Structural time-series forecaster on the exact Kalman filter: level, trend, season, cycle, regressors; every channel on
its own.

    y = loc + spread · (μ + Σ γ + ψ + x'β + v),  model and start as in `forecast.ssm.structural`
A season of up to 24 rows is a ring of dummies, a longer one six harmonics. A cycle has a period that is estimated,
between the two of `cycle_periods`, in rows.
"""

import math
from typing import Self

from torch import Tensor

from forecast.errors import InputError, unknown
from forecast.models.auto.fit import objective_of
from forecast.models.by_channel import ChannelForecaster, by_channel
from forecast.models.decomposition import Components, facts, parts_named, parts_of
from forecast.ssm.cycle import PERIODS, Cycle
from forecast.ssm.fit import Objective
from forecast.ssm.kalman import engine_for
from forecast.ssm.season import Season
from forecast.ssm.structural import TRENDS, Structural
from forecast.types import Parameters, Past

LONGEST_RING = 24
LEAST_PRIOR = 900.0  # variance of a harmonic at the start, in squared typical changes


class Kalman(ChannelForecaster):
    """Structural model of each channel, fitted by maximum likelihood."""

    def __init__(
        self,
        trend: str = "damped",
        season: int = 1,
        seasons: tuple[int, ...] = (),
        harmonics: int = 0,
        channels: int = 1,
        inputs: int = 0,
        robust: float = 0.0,
        engine: str | None = None,
        cycle: bool = False,
        cycle_periods: tuple[float, float] = PERIODS,
    ) -> None:
        if trend not in TRENDS:
            raise unknown("trend", trend, TRENDS)
        turn = _cycle(cycle_periods) if cycle else None
        lengths = [length for length in (seasons or (season,)) if length > 1]
        model = Structural(trend, tuple(_season(length, harmonics) for length in lengths), inputs, cycle=turn)
        super().__init__(model, channels, inputs, robust, engine)
        self.model: Structural = model
        self.trend, self.season, self.seasons, self.harmonics = trend, season, seasons, harmonics
        self.cycle, self.cycle_periods = cycle, cycle_periods

    @classmethod
    def example(cls) -> Self:
        return cls(trend="damped", season=4, channels=2)

    def objective(self, values: Tensor, regressors: Tensor) -> Objective:
        """With the slope written out where there are no regressors: autograd is a seventh of a climb."""
        if self.inputs or engine_for(self.engine, values) != "numba":
            return super().objective(values, regressors)
        return objective_of(self.model, values, values.isfinite().sum(1), values.new_zeros(len(values)))

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        found: list[Components] = []
        flat = [leaf.flatten(0, 1) for leaf in parameters[:3]]
        inputs = (past.inputs.double() - parameters.input_loc[:, None]) / parameters.input_spread[:, None]
        for lane, values in enumerate(by_channel(past.values.double())):
            driven, units = (part[lane // self.channels, None] for part in (inputs, parameters.input_spread.double()))
            theta, loc, spread = (leaf[lane].double() for leaf in flat)
            start, coefs = self.model.start(1, theta[None], theta[None]), self.model.coefficients(theta[None])
            parts, effects = parts_of(self.model, start, ((values - loc) / spread)[None], loc, spread, coefs, driven)
            said = facts(self.model, theta, spread)
            found.append(Components("", parts_named(self.model), *parts, said, effects / units.mT))
        return found


def _cycle(periods: tuple[float, float]) -> Cycle:
    """Bounded by two periods in rows."""
    if not 2 <= periods[0] < periods[1] < math.inf:
        raise InputError(
            f"model.cycle_periods={list(periods)}: the least is 2 or more, the most is larger, in rows; such as {list(PERIODS)}"
        )
    return Cycle(*periods)


def _season(length: int, harmonics: int) -> Season:
    """The form of a season: as many harmonics as asked for, otherwise a ring, or six harmonics where it is long.

    Harmonics start with a variance that covers any amplitude that the changes from row to row leave room for. Diffuse ones would be
    told apart by the first rows of the season alone, where they look like a level and a slope: all digits would be lost.
    """
    if harmonics == 0 and length <= LONGEST_RING:
        return Season(length)
    return Season(length, min(harmonics or 6, (length - 1) // 2), prior_of(length))


def prior_of(length: int) -> float:
    """Variance at the start of a harmonic of a season, in squared typical changes."""
    return max(LEAST_PRIOR, length**2 / 4)

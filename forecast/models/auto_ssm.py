"""A bank of structural forms on the exact Kalman engine: all fitted, the best few combined, series by series.

Forms (`forecast.models.auto.bank`): level, damped trend or Theta's drift; season as a ring of dummies, as harmonics, or
a second one as a profile; white or ARMA(1,1) disturbance; y, its logarithm or a power. How they are chosen and weighed, and
how far intervals are widened: `forecast.models.auto.choose`; how they are run: `forecast.models.banked`. An undamped trend
that changes is tried on few rows alone, where there is no season, and a cycle where `cycle` is set and one shows.
"""

from typing import Self

from torch import Tensor

from forecast.errors import InputError, unknown
from forecast.models.auto.bank import bank
from forecast.models.auto.choose import Chosen, choose
from forecast.models.auto.run import explained
from forecast.models.banked import BankedForecaster, by_lane
from forecast.models.decomposition import Components
from forecast.ssm.structural import DRIFT, TRENDS
from forecast.types import Parameters, Past, take


class AutoSsm(BankedForecaster):
    """The combination of the structural forms that suit a series best."""

    traits = frozenset({"scale"})

    def __init__(
        self,
        season: int = 1,
        seasons: tuple[int, ...] = (),
        horizon: int = 8,
        channels: int = 1,
        trends: tuple[str, ...] = ("none", "damped", "drift"),
        memory: bool = True,
        powers: tuple[float, ...] = (1.0, 0.0),
        robust: float = 8.0,
        cycle: bool = False,
    ) -> None:
        super().__init__()
        for trend in trends:
            if trend not in (*TRENDS, DRIFT):
                raise unknown("trend", trend, (*TRENDS, DRIFT))
        check_powers(powers)
        self.season, self.seasons, self.channels = season, seasons, channels
        self.horizon, self.robust = max(horizon, 1), robust
        self.trends, self.memory, self.powers, self.cycle = trends, memory, powers, cycle
        self.lengths = tuple(length for length in (seasons or (season,)) if length > 1)
        self.bank = self.forms = bank(self.lengths, trends, memory, powers, cycle)

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, trends=("none", "drift"), memory=False)

    def choose(self, lanes: Tensor) -> Chosen:
        return choose(self.forms, lanes, self.horizon, self.lengths)

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        """Those of the form with the largest weight, on its own scale."""
        chosen: Chosen = by_lane(parameters)
        lanes = past.values.double().mT.flatten(0, 1)
        return [explained(self.forms, take(chosen, slice(lane, lane + 1)), y) for lane, y in enumerate(lanes)]


def check_powers(powers: tuple[float, ...]) -> None:
    """One clear line where a scale is not between the logarithm and the values."""
    if not powers or not all(0 <= power <= 1 for power in powers):
        raise InputError(f"model.powers={list(powers)}: powers lie between 0, the logarithm, and 1, the values; such as [1, 0.5, 0]")

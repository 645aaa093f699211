"""STL + ETS: the season by STL, what is left by exponential smoothing without a season.

    forecast = ETS of (y - season) + the last cycle of the season

The last cycle's seasonal pattern is fixed by `estimate` and taken out of every row, earlier and later ones, by its
position counted from a series' first observed value. Gaps are interpolated for the fit alone.
Source: Cleveland et al. (1990), J. Official Statistics 6(1) (STL); Hyndman & Athanasopoulos, FPP3, §5.7.
"""

from typing import NamedTuple, Self

import numpy as np
import torch

from forecast.models.smoothing import Smoothing, SmoothingForecaster
from forecast.models.statsmodels.ets import Fitted, fitted, parameters_of
from forecast.models.statsmodels.lanes import Lane, Vector, each_lane
from forecast.types import Past


class Parts(NamedTuple):
    """What is fitted to a lane."""

    pattern: Vector  # (m) by position
    rest: Fitted


class StlEts(SmoothingForecaster):
    """Seasonal pattern by STL, level and trend by ETS."""

    batched = False
    needs = 6
    traits = frozenset({"scale", "shift"})

    def __init__(
        self, season: int = 1, channels: int = 1, robust: bool = False, forms: tuple[str, ...] = ("ANN", "AAN", "AAdN")
    ) -> None:
        super().__init__()
        self.season, self.channels, self.robust, self.forms = season, channels, robust, forms

    @classmethod
    def example(cls) -> Self:
        return cls(season=4)

    def estimate(self, past: Past) -> Smoothing:
        found = each_lane(past, self.needs, self._fit, "stl_ets")
        parameters, count = parameters_of([[fit and fit.rest for fit in row] for row in found], 1)
        pattern = torch.zeros(len(found), self.season, self.channels, dtype=torch.float64)
        for b, row in enumerate(found):
            for c, fit in enumerate(row):
                if fit is not None:
                    pattern[b, :, c] = torch.from_numpy(fit.pattern)
        parameters = parameters._replace(loc=pattern, spread=torch.ones_like(pattern))
        return self.with_variance(parameters, past, count)

    def _fit(self, lane: Lane) -> Parts:
        from statsmodels.tsa.seasonal import STL

        y, pattern = lane.filled, np.zeros(self.season)
        spread = y.std()
        if self.season > 1 and len(y) >= 2 * self.season + 1 and spread > 0:
            last = STL((y - y.mean()) / spread, period=self.season, robust=self.robust).fit().seasonal[-self.season :]
            pattern = spread * np.roll(last, len(y) % self.season)
        rest = y - np.resize(pattern, len(y))
        if np.ptp(rest) == 0:
            return Parts(pattern, Fitted(-np.inf, 1, "ANN", np.array([1.0, 0, 0, 1, rest[0], 0]), np.zeros(1)))
        fits = [fit for form in self.forms if (fit := fitted(rest, form, 1, "estimated")) is not None]
        if not fits:
            raise ValueError(f"none of the forms {', '.join(self.forms)} can be fitted to {len(y)} rows")
        return Parts(pattern, min(fits, key=lambda fit: fit.aicc))

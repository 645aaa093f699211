"""Unobserved components: a level, with or without a slope, and a season, all stochastic; the level's form by AICc.

    y_t = μ_t + γ_t + ε_t,   μ_{t+1} = μ_t [+ β_t] + η_t,   β_{t+1} = β_t + ζ_t,   γ the season

The season is one of dummies up to 12 rows, one of `pairs` harmonics beyond. The slope of statsmodels cannot be damped:
a local linear trend runs away at long leads, so AICc has to ask for it.
Source: Harvey (1989), chapter 4; Durbin & Koopman (2012), chapter 3; statsmodels UnobservedComponents.
"""

import math
from typing import Any, Self

import numpy as np

from forecast.models.statsmodels.filtered import FilteredForecaster
from forecast.models.statsmodels.lanes import Vector

LONG = 12  # rows: the longest season of dummies
LEVELS = ("rwalk", "llevel", "strend", "lltrend")  # the spec is the place in this list


class Ucm(FilteredForecaster):
    """Structural model by statsmodels."""

    traits = frozenset({"scale", "shift", "covariates"})

    def __init__(
        self,
        season: int = 1,
        channels: int = 1,
        inputs: int = 0,
        context: int = 1024,
        levels: tuple[str, ...] = ("llevel", "lltrend"),
        pairs: int = 4,
        logarithm: bool = False,
    ) -> None:
        super().__init__()
        self.season, self.channels, self.inputs, self.context = season, channels, inputs, context
        self.levels, self.pairs, self.logarithm = levels, pairs, logarithm
        self.sizes = 2, 4

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, inputs=1, context=96, levels=("llevel",))

    def model(self, spec: tuple[float, ...], z: Vector) -> Any:
        from statsmodels.tsa.statespace.structural import UnobservedComponents

        season: dict[str, Any] = {}
        if spec[1] and self.season <= LONG:
            season = {"seasonal": self.season}
        elif spec[1]:
            pairs = min(self.pairs, (self.season - 1) // 2)
            season = {"freq_seasonal": [{"period": self.season, "harmonics": pairs}]}
        return UnobservedComponents(z, LEVELS[int(spec[0])], use_exact_diffuse=True, **season)

    def fit(self, z: Vector) -> tuple[tuple[float, ...], Vector]:
        seasonal = float(self.season > 1 and len(z) >= 2 * self.season + 4)
        best, coefficients, least = (math.nan, seasonal), np.zeros(0), math.inf
        for level in self.levels:
            spec = float(LEVELS.index(level)), seasonal
            result = self.model(spec, z).fit(disp=False, maxiter=200)
            if result.aicc < least:
                best, coefficients, least = spec, np.asarray(result.params), float(result.aicc)
        if not math.isfinite(least):
            raise ValueError("no form of the level could be fitted")
        return best, coefficients

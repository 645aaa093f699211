"""ETS: exponential smoothing in the form (error, trend, season) that AICc prefers, run by `forecast.models.smoothing`.

    AICc = -2 log L + 2 k + 2 k (k+1)/(n - k - 1),   k = smoothing parameters + initial states + 1

Forms are spelled as in R's `ets`: AAdN is additive error, damped additive trend, no season. Forms with multiplicative
parts are tried on positive series alone. All forms are fitted from heuristic initial states; those of the best one are
then estimated with it, where the season is not longer than 24 rows (there are as many states to estimate).
A lane is standardised first (divided by its mean for multiplicative forms), gaps are interpolated for the fit alone.
Source: Hyndman & Khandakar (2008), J. Stat. Software 27(3); statsmodels.tsa.exponential_smoothing.ets.ETSModel.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch

from forecast.models.smoothing import Smoothing, SmoothingForecaster
from forecast.models.statsmodels.lanes import Lane, Vector, each_lane
from forecast.types import Past

FORMS = ("ANN", "AAN", "AAdN", "ANA", "AAA", "AAdA", "MNM", "MAM", "MAdM")
LONG = 12  # rows of a season beyond which its initial states are not estimated
HEURISTIC = 10  # observed values that statsmodels' heuristic initial states need


@dataclass(frozen=True)
class Fitted:
    """One fitted form of one lane, in units of the data."""

    aicc: float
    count: int  # smoothing parameters and initial states
    form: str
    values: Vector  # α β γ φ level trend
    season: Vector  # (m or 1)


class Ets(SmoothingForecaster):
    """Exponential smoothing in the form that AICc prefers."""

    batched = False
    needs = 4
    traits = frozenset({"scale"})

    def __init__(self, season: int = 1, channels: int = 1, forms: tuple[str, ...] = FORMS) -> None:
        super().__init__()
        self.season, self.channels, self.forms = season, channels, forms

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, forms=("ANN", "ANA", "AAdN", "MNM"))

    def estimate(self, past: Past) -> Smoothing:
        found = each_lane(past, self.needs, self._best, "ets")
        parameters, count = parameters_of(found, self.season)
        return self.with_variance(parameters, past, count)

    def _best(self, lane: Lane) -> Fitted:
        y = lane.filled
        if np.ptp(y) == 0:
            return Fitted(-math.inf, 1, "ANN", np.array([1.0, 0, 0, 1, y[0], 0]), np.zeros(1))
        first = [fit for form in self.forms if (fit := fitted(y, form, self.season, "heuristic")) is not None]
        if not first:
            raise ValueError(f"none of the forms {', '.join(self.forms)} can be fitted to {len(y)} rows")
        best = min(first, key=lambda fit: fit.aicc)
        final = fitted(y, best.form, self.season, "estimated") if self.season <= LONG or best.form[-1] == "N" else None
        return best if final is None or final.aicc > best.aicc else final


def fitted(y: Vector, form: str, season: int, start: str) -> Fitted | None:
    """One form fitted to a lane, with the initial states heuristic or estimated; None where it is not defined."""
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    error, trend, damped, seasonal = form[0], form[1], "d" in form, form[-1]
    n, seasons = len(y), season if seasonal != "N" else 1
    count = 2 + (trend == "A") * 2 + damped + (seasonal != "N") * seasons
    short = n < max(HEURISTIC, 2 * seasons) + (seasons > 1)
    if (seasonal != "N" and season < 2) or (short and seasons > 1) or n - count - 2 <= 0:
        return None
    if "M" in form and y.min() <= 0:
        return None
    loc, spread = (0.0, y.mean()) if "M" in form else (y.mean(), y.std())
    names: dict[str, Any] = {"A": "add", "M": "mul", "N": None}
    known: dict[str, Any] = {"initialization_method": start}
    if short:
        known = {"initialization_method": "known", "initial_level": (y[0] - loc) / spread}
        known |= {"initial_trend": (y[-1] - y[0]) / (n - 1) / spread} if trend == "A" else {}
    model = ETSModel(
        (y - loc) / spread, error=names[error], trend=names[trend], damped_trend=damped, seasonal=names[seasonal],
        seasonal_periods=season if seasonal != "N" else None, **known,
    )  # fmt: skip
    params = model.fit(disp=False, maxiter=1000).params
    likelihood = model.loglike(params) - n * math.log(spread)
    alpha, beta, gamma, phi, level, slope, *states = model._internal_params(params)
    k = count + 1  # the variance too
    aicc = -2 * likelihood + 2 * k + 2 * k * (k + 1) / (n - k - 1)
    if not np.isfinite(aicc):
        return None
    values = np.array([alpha, beta, gamma, phi, loc + spread * level, spread * slope])
    pattern = np.array(states[::-1]) if seasonal != "N" else np.zeros(1)
    return Fitted(aicc, count, form, values, pattern * (1.0 if seasonal == "M" else spread))


def parameters_of(found: list[list[Fitted | None]], season: int) -> tuple[Smoothing, torch.Tensor]:
    """The parameters of all lanes, still without σ², and how many were fitted (B C)."""
    batch, channels = len(found), len(found[0])
    table, seasons = np.full((8, batch, channels), math.nan), np.full((batch, season, channels), math.nan)
    count = np.zeros((batch, channels))
    for b, row in enumerate(found):
        for c, fit in enumerate(row):
            if fit is not None:
                table[:, b, c] = [*fit.values, fit.form[0] == "M", fit.form[-1] == "M"]
                seasons[b, :, c], count[b, c] = fit.season, fit.count
    alpha, beta, gamma, phi, level, trend, relative, multiplied = torch.from_numpy(table)
    none = torch.zeros(batch, 1, channels, dtype=torch.float64)
    rest = torch.from_numpy(seasons), none, none + 1
    return (
        Smoothing(alpha, beta, gamma, phi, torch.full_like(alpha, math.nan), relative, multiplied, level, trend, *rest),
        torch.from_numpy(count),
    )

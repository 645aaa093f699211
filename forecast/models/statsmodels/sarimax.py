"""Seasonal ARIMA whose orders AICc prefers in a small stepwise search.

    φ(L) Φ(Lᵐ) (1-L)ᵈ (1-Lᵐ)ᴰ z_t = c + θ(L) Θ(Lᵐ) ε_t

D = 1 where the seasonal strength 1 - Var(rest)/Var(season + rest) of an STL decomposition exceeds 0.64; d from repeated
KPSS tests at 5 %; c only where d + D < 2. From four starting orders the search goes to the neighbour with the least
AICc, at most `tries` models in all. The likelihood is that of the differenced values, climbed for a few iterations
during the search and to its maximum for the best order. A season longer than 12 rows would need that many states: it
enters as harmonics instead. Fixed orders are order=(p, d, q) and seasonal_order=(P, D, Q).
Source: Hyndman & Khandakar (2008), J. Stat. Software 27(3), §3; statsmodels SARIMAX.
"""

import math
from functools import cache
from typing import Any, Self

import numpy as np

from forecast.models.differencing import STRONG, differences
from forecast.models.statsmodels.filtered import FilteredForecaster, Matrix
from forecast.models.statsmodels.lanes import Vector, without_gaps

LONG = 12  # rows: the longest season that becomes states
PAIRS = 6  # harmonics of a longer one
SKETCH, FINAL = 10, 200  # iterations
MOST = (3, 3, 1, 1)  # p, q, P, Q

Order = tuple[int, int, int, int, int, int, int]  # p d q P D Q and whether there is a constant


class Sarimax(FilteredForecaster):
    """Seasonal ARIMA by statsmodels."""

    traits = frozenset({"scale", "shift", "covariates"})

    def __init__(
        self,
        season: int = 1,
        channels: int = 1,
        inputs: int = 0,
        context: int = 1024,
        order: tuple[int, ...] = (),
        seasonal_order: tuple[int, ...] = (),
        constant: bool | None = None,
        tries: int = 12,
        logarithm: bool = False,
    ) -> None:
        super().__init__()
        self.season, self.channels, self.inputs, self.context = season, channels, inputs, context
        self.order, self.seasonal_order, self.constant = order, seasonal_order, constant
        self.tries, self.logarithm = tries, logarithm
        given = max((*order, *seasonal_order, 3))
        self.sizes = 7, 4 * given + 2

    @classmethod
    def example(cls) -> Self:
        return cls(season=4, inputs=1, context=96, order=(0, 1, 1), seasonal_order=(0, 0, 1))

    def harmonics(self) -> int:
        return PAIRS if self.season > LONG else 0

    def model(self, spec: tuple[float, ...], z: Vector) -> Any:
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        return SARIMAX(z, **self._orders(tuple(map(int, spec))), use_exact_diffuse=True)  # type: ignore[arg-type]

    def _orders(self, order: Order) -> dict[str, Any]:
        p, d, q, P, D, Q, c = order
        seasonal = (P, D, Q, self.season) if P + D + Q else (0, 0, 0, 0)
        return {"order": (p, d, q), "seasonal_order": seasonal, "trend": "c" if c else "n"}

    def fit(self, z: Vector) -> tuple[tuple[float, ...], Vector]:
        found: dict[Order, tuple[float, Vector]] = {}
        if self.order:
            seasonal = self.seasonal_order or (0, 0, 0)
            still = self.order[1] + seasonal[1] == 0
            best: Order = (*self.order, *seasonal, int(still if self.constant is None else self.constant))  # type: ignore[assignment]
        else:
            best = self._search(z, found)
        self._try(best, z, found, FINAL)
        if not math.isfinite(found[best][0]):
            raise ValueError("no order could be fitted")
        return tuple(map(float, best)), found[best][1]

    def _search(self, z: Vector, found: dict[Order, tuple[float, Vector]]) -> Order:
        filled = without_gaps(z)
        seasonal = 1 < self.season <= LONG and len(z) >= 3 * self.season
        D = int(seasonal and strength(filled, self.season) > STRONG)
        d = differences(filled[self.season :] - filled[: -self.season] if D else filled, 2 - D)
        c = int(d + D < 2) if self.constant is None else int(self.constant)
        P = int(seasonal)
        for start in ((2, d, 2, P, D, P, c), (0, d, 0, 0, D, 0, c), (1, d, 0, P, D, 0, c), (0, d, 1, 0, D, P, c)):
            self._try(start, z, found)
        while True:
            best = min(found, key=lambda order: found[order][0])
            new = [order for order in neighbours(best, seasonal) if order not in found]
            for order in new[: max(self.tries - len(found), 0)]:
                self._try(order, z, found)
            if min(found, key=lambda order: found[order][0]) == best:
                return best

    def _try(self, order: Order, z: Vector, found: dict[Order, tuple[float, Vector]], iterations: int = SKETCH) -> None:
        """AICc and coefficients of one order, going on from those known; infinite where it cannot be fitted."""
        start = found[order][1] if order in found and len(found[order][1]) else None
        try:
            model = _differenced()(z, **self._orders(order), simple_differencing=True)
            result = model.fit(start, disp=False, maxiter=iterations, cov_type="none")
            found[order] = (float(result.aicc) if np.isfinite(result.aicc) else math.inf, np.asarray(result.params))
        except (ValueError, ArithmeticError, IndexError, np.linalg.LinAlgError):
            found[order] = math.inf, np.zeros(0)


@cache
def _differenced() -> Any:
    """statsmodels' SARIMAX of differenced values, its stationary start computed by doubling.

    statsmodels solves for it with the square of the number of states as unknowns, which takes ten times the filter.
    """
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    class Differenced(SARIMAX):  # type: ignore[misc]
        def update(self, params: Vector, *args: Any, **kwargs: Any) -> None:
            super().update(params, *args, **kwargs)
            move, shift = self.ssm["transition"], self.ssm["state_intercept"].reshape(len(self.ssm["transition"]), -1)
            noise = self.ssm["selection"] @ self.ssm["state_cov"] @ self.ssm["selection"].T
            mean = np.linalg.solve(np.eye(len(move)) - move, shift[:, 0])
            self.ssm.initialize_known(mean, stationary_covariance(move, noise))

    return Differenced


def stationary_covariance(move: Matrix, noise: Matrix) -> Matrix:
    """Σ_k T^k Q T'^k, by doubling the number of terms until they add nothing."""
    total, step = noise, move
    for _ in range(60):
        more = step @ total @ step.T
        total, step = total + more, step @ step
        if np.abs(more).max() <= 1e-15 * np.abs(total).max():
            break
    return total


def neighbours(order: Order, seasonal: bool) -> list[Order]:
    """Orders one step away, in the sequence of the published search."""
    p, d, q, P, D, Q, c = order
    steps = [(1, 0, 0, 0), (-1, 0, 0, 0), (0, 1, 0, 0), (0, -1, 0, 0), (1, 1, 0, 0), (-1, -1, 0, 0)]
    steps += [(0, 0, 1, 0), (0, 0, -1, 0), (0, 0, 0, 1), (0, 0, 0, -1)] if seasonal else []
    moved = [tuple(now + step for now, step in zip((p, q, P, Q), way, strict=True)) for way in steps]
    inside = [m for m in moved if all(0 <= now <= most for now, most in zip(m, MOST, strict=True))]
    near: list[Order] = [(m[0], d, m[1], m[2], D, m[3], c) for m in inside]
    return [*near, (p, d, q, P, D, Q, 1 - c)] if d + D < 2 else near


def strength(z: Vector, season: int) -> float:
    """Seasonal strength, between 0 and 1 (Wang, Smith & Hyndman 2006)."""
    from statsmodels.tsa.seasonal import STL

    parts = STL(z, period=season).fit()
    total = float(np.var(parts.resid + parts.seasonal))
    return max(0.0, 1 - float(np.var(parts.resid)) / total) if total > 0 else 0.0

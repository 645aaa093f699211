"""Seasonal ARIMA with regressors on the exact Kalman filter: (p, d, q)(P, D, Q) for every channel of every series at once.

    φ(L) Φ(L^s) (1-L)^d (1-L^s)^D (y - x'β) = θ(L) Θ(L^s) w,   model and start as in `forecast.ssm.arima`
Fitted like `kalman`: batched BFGS on the exact score, from two starts; missing values, steps and live rows are as there. A season
longer than 60 rows would take as many states as that and is left out, which is said.
"""

import logging
from typing import Self, cast

import torch
from torch import Tensor

from forecast.errors import InputError
from forecast.models.by_channel import ChannelForecaster, Fitted, by_channel
from forecast.models.decomposition import Components, expected_by, nothing
from forecast.ssm.arima import Arima
from forecast.types import Parameters, Past, tree_map

LONGEST_SEASON = 60
MOST = 5  # of p, q, P, Q

_log = logging.getLogger("forecast")


class Sarima(ChannelForecaster):
    """SARIMA of each channel, fitted by maximum likelihood."""

    def __init__(
        self,
        order: tuple[int, int, int] = (1, 1, 1),
        seasonal: tuple[int, int, int] = (0, 1, 1),
        season: int = 1,
        channels: int = 1,
        inputs: int = 0,
        engine: str | None = None,
    ) -> None:
        for name, (p, d, q) in (("order", order), ("seasonal", seasonal)):
            if not (0 <= p <= MOST and 0 <= q <= MOST and 0 <= d <= 2 - (name == "seasonal")):
                raise InputError(
                    f"model.{name}={[p, d, q]}: lags are 0 … {MOST}, differences 0 … 2, seasonal ones 0 or 1"
                )
        if season > LONGEST_SEASON and any(seasonal):
            _log.info("sarima: a season of %d rows is left out (at most %d)", season, LONGEST_SEASON)
        used = seasonal if 1 < season <= LONGEST_SEASON else (0, 0, 0)
        model = Arima(order, used, season if any(used) else 1, inputs)
        super().__init__(model, channels, inputs, 0.0, engine, spare=1)
        self.arima = model
        self.order, self.seasonal, self.season = order, seasonal, season

    @classmethod
    def example(cls) -> Self:
        return cls(order=(1, 1, 0), seasonal=(0, 1, 1), season=3, channels=2)

    def estimate(self, past: Past) -> Parameters:
        """Maximum likelihood, but the noise: a model with k fitted parameters errs by more than the noise it was fitted with says.

        σ² (n + k) / (n - k) is the mean squared error of the next row (Akaike 1969, Ann. Inst. Stat. Math. 21), n values.
        """
        made = cast(Fitted, super().estimate(past))
        k = self.arima.parameters
        n = past.values.isfinite().sum(1).clamp(min=3 * k).to(made.theta)
        theta = torch.cat([made.theta[..., :1] + ((n + k) / (n - k)).log()[..., None], made.theta[..., 1:]], -1)
        return made._replace(theta=theta)

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        """What each channel's model expected of every row, and its polynomials."""
        fitted = cast(Fitted, tree_map(Tensor.double, parameters))
        lanes = by_channel(past.values.double())
        inputs = (past.inputs.double() - fitted.input_loc[:, None]) / fitted.input_spread[:, None]
        flat = zip(lanes, *[leaf.flatten(0, 1) for leaf in fitted[:3]], strict=True)
        return [
            expected_by(self.arima, theta, loc, spread, y, inputs[lane // self.channels], "")
            if bool(theta.isfinite().all())
            else nothing(y)
            for lane, (y, theta, loc, spread) in enumerate(flat)
        ]

"""Seasonal ARIMA whose orders are found for every series, all series of an order at once, on the exact Kalman engine.

    φ(L) Φ(L^s) ((1-L)^d (1-L^s)^D z - c) = θ(L) Θ(L^s) w,   z = y, its logarithm or a power
Search: `forecast.models.auto.orders`; model and start: `forecast.ssm.arima`; how it is run: `forecast.models.banked`. A series with a
value that is not positive is seen on its own scale whatever the power. A season longer than 60 rows is left out, which is said.
Intervals are widened by `forecast.models.auto.widths`, in steps from the first to the last of `horizon` leads.
"""

import logging
from typing import Self

import torch
from torch import Tensor

from forecast.errors import InputError
from forecast.models.auto.bank import on_scale
from forecast.models.auto.choose import Chosen, empty
from forecast.models.auto.fit import Fit, Kind
from forecast.models.auto.orders import SKETCH, Order, bank, climbed, found
from forecast.models.auto.widths import widened
from forecast.models.auto_ssm import check_powers
from forecast.models.banked import BankedForecaster, by_lane
from forecast.models.decomposition import Components, expected_by, nothing
from forecast.models.sarima import LONGEST_SEASON, MOST
from forecast.types import Parameters, Past

_log = logging.getLogger("forecast")


class AutoSarima(BankedForecaster):
    """The SARIMA of each channel that AICc prefers."""

    traits = frozenset({"scale", "shift", "generative"})

    def __init__(
        self,
        season: int = 1,
        channels: int = 1,
        most: tuple[int, int, int, int] = (3, 3, 1, 1),
        power: float = 1.0,
        horizon: int = 8,
    ) -> None:
        super().__init__()
        check_powers((power,))
        if not all(0 <= lags <= MOST for lags in most):
            raise InputError(f"model.most={list(most)}: the most lags p, q, P, Q are 0 … {MOST} each")
        if season > LONGEST_SEASON:
            _log.info("auto_sarima: a season of %d rows is left out (at most %d)", season, LONGEST_SEASON)
        self.season, self.channels, self.most, self.power = season, channels, most, power
        self.horizon, self.robust = max(horizon, 1), 0.0
        self.period = season if season <= LONGEST_SEASON else 1
        self.bank: tuple[Order, ...] = bank(self.period, most, power)

    @classmethod
    def example(cls) -> Self:
        return cls(season=3, channels=2, most=(1, 0, 0, 1))

    def choose(self, lanes: Tensor) -> Chosen:
        chosen = empty(self.bank, len(lanes), lanes, slots=1)
        number = {order: k for k, order in enumerate(self.bank)}
        for one in found(lanes, self.period, self.most, self.power):
            chosen.form[one.lanes, 0] = number[one.order]
            chosen.theta[one.lanes, 0, : one.fit.theta.shape[1]] = one.fit.theta
            for leaf, part in zip((chosen.loc, chosen.spread, chosen.drift), (one.fit.loc, one.fit.spread, one.fit.drift), strict=True):
                leaf[one.lanes, 0] = part
        chosen = chosen._replace(weight=torch.where(chosen.form >= 0, 1.0, 0.0).to(lanes))
        return chosen._replace(widen=widened(self.bank, chosen, lanes, self.horizon, _again))

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        """What each channel's model expected of every row, and its polynomials."""
        chosen: Chosen = by_lane(parameters)
        found = []
        for lane, y in enumerate(past.values.double().mT.flatten(0, 1)):
            if int(chosen.form[lane, 0]) < 0:
                found.append(nothing(y))
                continue
            order = self.bank[int(chosen.form[lane, 0])]
            theta = chosen.theta[lane, 0, : order.model.parameters]
            z = on_scale(order, y[None])[0]
            loc, spread = chosen.loc[lane, 0], chosen.spread[lane, 0]
            found.append(expected_by(order.model, theta, loc, spread, z, y.new_zeros(len(y), 0), order.scale))
        return found


def _again(form: Kind, y: Tensor, fit: Fit) -> Fit:
    """An order climbed again on lanes (n T)."""
    assert isinstance(form, Order)
    x = (on_scale(form, y) - fit.loc[:, None]) / fit.spread[:, None]
    return fit._replace(theta=climbed(form.model, x, fit.theta, SKETCH)[0])

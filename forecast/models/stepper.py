"""One model and the live state of many series: forecast the next row, then step; the fast path of live use.

    forecast made before the row  →  the row  →  step        (bit-equal to `Forecaster.predict` and `Forecaster.step`)
A Stepper owns its state and changes it in place; a member goes through its pure functions unless it has a faster way.
`who` (n) are the series that a row
of n series belongs to, each at most once; None means all of them. `state` is a copy, at rest, ready to be saved.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.distribution import Forecast, Gaussian
from forecast.models.forecaster import Forecaster
from forecast.types import Future, Row, State, leaves, take, tree_map

Numbers = NDArray[np.float64]


class Stepper:
    """A model with the states of its series, advanced row by row."""

    def __init__(self, model: Forecaster, state: State) -> None:
        self.model = model
        self._state = _owned(state)

    @property
    def state(self) -> State:
        """The states of all series now."""
        return _owned(self._state)

    def forecast(self, future: Future | None = None, who: Tensor | None = None) -> Forecast:
        """Distribution of the next row (n 1 C); future: its inputs and elapsed (n 1 …), by default none and 1."""
        state = self._state if who is None else take(self._state, who)
        with torch.no_grad():
            return self.model.predict(state, _next(state) if future is None else future)

    def moments(self, future: Future | None = None, who: Tensor | None = None) -> tuple[Numbers, Numbers]:
        """Mean and variance (n C) of the next row, NaN where the forecast is missing; for Gaussian members."""
        made = self.forecast(future, who)
        if not isinstance(made, Gaussian):
            raise TypeError(f"{type(self.model).__name__} forecasts no Gaussian: use forecast()")
        return made.mean[:, 0].numpy(), made.variance[:, 0].numpy()

    def step(self, row: Row, who: Tensor | None = None) -> None:
        """The states after one more row of the series `who`."""
        with torch.no_grad():
            if who is None:
                self._state = self.model.step(self._state, row)
                return
            after = self.model.step(take(self._state, who), row)
        for leaf, piece in zip(leaves(self._state), leaves(after), strict=True):
            leaf[who] = piece


def _owned(state: State) -> State:
    """A copy with memory of its own."""
    return tree_map(torch.clone, state)


def _next(state: State) -> Future:
    """A next row one unit of the clock away, without inputs."""
    batch = len(leaves(state)[0])
    return Future(torch.zeros(batch, 1, 0, dtype=torch.float64), torch.ones(batch, 1, dtype=torch.float64))

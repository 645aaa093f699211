"""One model and the live state of many series: forecast the next row, then step; the fast path of live use.

    forecast made before the row  →  the row  →  step        (bit-equal to `Forecaster.predict` and `Forecaster.step`)
A Stepper owns its state and changes it in place. Rows one unit of the clock apart go through the member's `Machine`
where it has one, all else through its pure functions. `who` (n) are the series that a row of n series belongs to, each
at most once; None means all of them. `state` is a copy, at rest, ready to be saved.
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
        self._machine = model.machine(state)
        self._state = _owned(state)  # of use only where there is no machine

    @property
    def state(self) -> State:
        """The states of all series now."""
        return _owned(self._state) if self._machine is None else self._machine.state(self._state)

    def forecast(self, future: Future | None = None, who: Tensor | None = None) -> Forecast:
        """Distribution of the next row (n 1 C); future: its inputs and elapsed (n 1 …), by default none and 1."""
        if self._machine is not None and (future is None or _regular(future.elapsed)):
            mean, variance = self.moments(who=who)
            return Gaussian(torch.from_numpy(mean)[:, None], torch.from_numpy(variance)[:, None])
        state = self._of(who)
        with torch.no_grad():
            return self.model.predict(state, _next(state) if future is None else future)

    def moments(self, future: Future | None = None, who: Tensor | None = None) -> tuple[Numbers, Numbers]:
        """Mean and variance (n C) of the next row, NaN where the forecast is missing; for Gaussian members."""
        if self._machine is not None and (future is None or _regular(future.elapsed)):
            return self._machine.moments(None if who is None else who.numpy())
        made = self.forecast(future, who)
        if not isinstance(made, Gaussian):
            raise TypeError(f"{type(self.model).__name__} forecasts no Gaussian: use forecast()")
        return made.mean[:, 0].numpy(), made.variance[:, 0].numpy()

    def step(self, row: Row, who: Tensor | None = None) -> None:
        """The states after one more row of the series `who`."""
        machine = self._machine
        if machine is not None and _regular(row.elapsed):
            machine.step(row.values.numpy(), None if who is None else who.numpy())
            return
        with torch.no_grad():
            after = self.model.step(self._of(who), row)
        if machine is not None:
            machine.put(after, None if who is None else who.numpy())
        elif who is None:
            self._state = after
        else:
            for leaf, piece in zip(leaves(self._state), leaves(after), strict=True):
                leaf[who] = piece

    def _of(self, who: Tensor | None) -> State:
        """The states of some of the series."""
        state = self._state if self._machine is None else self._machine.state(self._state)
        return state if who is None else take(state, who)


def _regular(elapsed: Tensor) -> bool:
    """Whether all rows come one unit of the clock after the one before, to the nearest unit."""
    return bool(elapsed.max() < 1.5) if elapsed.numel() != 1 else elapsed.item() < 1.5


def _owned(state: State) -> State:
    """A copy with memory of its own."""
    return tree_map(torch.clone, state)


def _next(state: State) -> Future:
    """A next row one unit of the clock away, without inputs."""
    batch = len(leaves(state)[0])
    return Future(torch.zeros(batch, 1, 0, dtype=torch.float64), torch.ones(batch, 1, dtype=torch.float64))

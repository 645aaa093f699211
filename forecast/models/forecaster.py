"""The contract of every forecaster: estimate, warm up, step, predict.

A forecaster is a machine with a state. Warm it up on the past, step it with each new row, ask it for a distribution.
Data units in, data units out. A state is a NamedTuple of tensors with the leading axis B (see `forecast.types`); it is
returned, never mutated and never kept on the module. Parameters that belong to one series (local models) travel inside the
state; weights shared by all series belong to the module.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from forecast.distribution import Forecast
from forecast.models.decomposition import Components
from forecast.types import Future, Parameters, Past, Row, State

Numbers: TypeAlias = NDArray[np.float64]
Chosen: TypeAlias = NDArray[np.int64]


@runtime_checkable
class Machine(Protocol):
    """Live states that a member changes in place, one row after the other, one unit of the clock apart.

    Bit-equal to `predict` and `step`; which (n): the series of a row, None for all of them.
    """

    def moments(self, which: Chosen | None) -> tuple[Numbers, Numbers]:
        """Mean and variance (n C) of the next row."""

    def step(self, values: Numbers, which: Chosen | None) -> None:
        """The states after a row (n C)."""

    def observe(self, verdicts: Chosen, count: int, values: int, which: int | None, out: tuple[int, int, int]) -> int:
        """Forecast, the standard detector's verdict and step in one pass, see `kernels.monitor`; the last three are addresses."""

    @property
    def told(self) -> tuple[Numbers, Numbers]:
        """Mean and variance that the rows of the last pass were judged by, in their order."""

    def put(self, state: State, which: Chosen | None) -> None:
        """These series have this state now."""

    def state(self, like: State, which: Chosen | None = None) -> State:
        """A copy of the states of these series; what no step changes comes from `like`, the states of all."""


class Forecaster(nn.Module, ABC):
    """Predictive distributions from a state that is warmed up in parallel and stepped row by row."""

    context: int | None = None  # rows of history a state may hold; None = a fixed-size summary
    needs: int = 1  # observed rows of a series before its forecast exists
    batched: ClassVar[bool] = True  # False: estimate takes one series after the other; callers shard it over processes
    traits: ClassVar[frozenset[str]] = (
        frozenset()
    )  # of: scale, shift, continuous, panel, generative, trained, kernel, covariates

    @classmethod
    @abstractmethod
    def example(cls) -> Self:
        """A small instance that the laws run on in under two seconds."""

    def estimate(self, past: Past) -> Parameters:
        """Parameters of each series (leading axis B) from its past; () where there are none. The only expensive call.

        A series that cannot be estimated gets NaN parameters and with them a missing forecast.
        """
        return ()

    @abstractmethod
    def initial_state(self, parameters: Parameters, static: Tensor) -> State:
        """The state before the first row; static (B M) gives the batch, the dtype and the device."""

    @abstractmethod
    def step(self, state: State, row: Row) -> State:
        """The state after one more row. Never estimates."""

    @abstractmethod
    def predict(self, state: State, future: Future) -> Forecast:
        """Distribution of the next H rows (B H C); missing for a series with fewer than `needs` observed rows."""

    def warm_up(self, state: State, past: Past) -> State:
        """The state after all rows of `past`, in one pass. Never estimates."""
        for row in past.each():
            state = self.step(state, row)
        return state

    def trace(
        self, state: State, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Forecast, State]:
        """Forecasts (B W H C) made along `past`, entry w after its rows < w·every, W = ⌈T/every⌉, and the state at its end.

        Inputs of the rows forecast come from `past.inputs` and then from `future.inputs`.
        """
        inputs = torch.cat([past.inputs, future.inputs], 1)
        elapsed = torch.cat([past.elapsed, future.elapsed], 1)
        rows = past.values.shape[1]
        made = []
        for start in range(0, rows, every):
            ahead = Future(_window(inputs, start, horizon), _window(elapsed, start, horizon, fill=1.0))
            made.append(self.predict(state, ahead))
            state = self.warm_up(state, past.rows(start, min(start + every, rows)))
        return made[0].stack(made[1:]), state

    def machine(self, state: State) -> Machine | None:
        """A faster way to advance these states row by row, where the member has one; see `Stepper`."""
        return None

    def components(self, parameters: Parameters, past: Past) -> list[Components]:
        """What the fitted model says of every channel of every series, one after the other; none by default."""
        return []

    def widen(self, state: State, factor: Tensor) -> State:
        """The state after an accepted level shift: belief about the level widened by `factor` (B); default: unchanged."""
        return state


def _window(rows: Tensor, start: int, length: int, fill: float = 0.0) -> Tensor:
    """Rows start … start+length-1 of (B R …), past the end filled up."""
    piece = rows[:, start : start + length]
    short = length - piece.shape[1]
    if short == 0:
        return piece
    return torch.cat([piece, piece.new_full((piece.shape[0], short, *piece.shape[2:]), fill)], 1)

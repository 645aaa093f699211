"""Several forecasters as one: the linear pool of their forecasts, F = Σ F_m / M, each with a state of its own.

The tail probability of a reading is the mean of the members', so that its surprise is large where none of them expected it: for detection, by
models that see different things. Members are given by their classes and arguments, or as they are (`Ensemble.of`), trained already.
Shapes as the members'; the state is the tuple of their states.
"""

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from forecast import classes
from forecast.distribution import Forecast, Mixture
from forecast.models.forecaster import Forecaster
from forecast.models.naive import Naive
from forecast.types import Future, Parameters, Past, Row, State


class Several(NamedTuple):
    """The members' states."""

    of: tuple[Any, ...]


class Ensemble(Forecaster):
    """The mean of the distributions of several models."""

    def __init__(
        self,
        parts: Sequence[Sequence[Any]],  # of each member: class as forecast.models.<file>.<Class>, arguments
    ) -> None:
        super().__init__()
        self.parts = [[path, dict(arguments)] for path, arguments in parts]
        self._take([_made(path, arguments) for path, arguments in self.parts])

    @classmethod
    def of(cls, models: Sequence[Forecaster]) -> Self:
        """These models, with the weights that they have."""
        made = cls([(f"{type(m).__module__}.{type(m).__qualname__}", _arguments(m)) for m in models])
        made._take(models)
        return made

    @classmethod
    def example(cls) -> Self:
        return cls.of([Naive(), Naive()])

    def _take(self, models: Sequence[Forecaster]) -> None:
        self.models = nn.ModuleList(models)
        self.needs = max(model.needs for model in models)
        reach = [model.context for model in models if model.context is not None]
        self.context = max(reach) if reach else None
        self.traits = frozenset.union(*(model.traits for model in models)) & {"trained"}  # type: ignore[misc]

    @property
    def members(self) -> list[Forecaster]:
        """The models."""
        return list(self.models)  # type: ignore[arg-type]

    def estimate(self, past: Past) -> Parameters:
        return tuple(model.estimate(past) for model in self.members)

    def initial_state(self, parameters: Parameters, static: Tensor) -> Several:
        each = parameters or tuple(() for _ in self.members)
        pairs = zip(self.members, each, strict=True)
        return Several(tuple(model.initial_state(own, static) for model, own in pairs))

    def step(self, state: State, row: Row) -> Several:
        return Several(tuple(model.step(own, row) for model, own in zip(self.members, state.of, strict=True)))

    def warm_up(self, state: State, past: Past) -> Several:
        return Several(tuple(model.warm_up(own, past) for model, own in zip(self.members, state.of, strict=True)))

    def predict(self, state: State, future: Future) -> Mixture:
        return _pool([model.predict(own, future) for model, own in zip(self.members, state.of, strict=True)])

    def trace(
        self, state: State, past: Past, future: Future, horizon: int = 1, every: int = 1
    ) -> tuple[Mixture, Several]:
        pairs = zip(self.members, state.of, strict=True)
        each = [model.trace(own, past, future, horizon, every) for model, own in pairs]
        return _pool([forecast for forecast, _ in each]), Several(tuple(own for _, own in each))

    def widen(self, state: State, factor: Tensor) -> Several:
        return Several(tuple(model.widen(own, factor) for model, own in zip(self.members, state.of, strict=True)))


def _pool(forecasts: Sequence[Forecast]) -> Mixture:
    return Mixture(tuple(forecasts), torch.ones(len(forecasts), dtype=torch.float64))


def _arguments(model: Forecaster) -> dict[str, Any]:
    names = inspect.signature(type(model).__init__).parameters
    return {name: getattr(model, name) for name in names if name not in ("self", "args", "kwargs")}


def _made(path: str, arguments: dict[str, Any]) -> Forecaster:
    plain = {name: tuple(value) if isinstance(value, list) else value for name, value in arguments.items()}
    made: Forecaster = classes.find(path, Forecaster)(**plain)
    return made

"""The contract of every sequence layer: one map, a parallel form and a recurrent form, with a state between them.

Shapes: u, y (B T D), in `step` (B D); elapsed and observed (B T), in `step` (B).
`elapsed` is the time since the previous row in nominal rows; `observed` is false where a row brings nothing: such a row puts
nothing into the state, the state only ages by `elapsed`, and with elapsed 0 it stays what it is. So a row that is not observed
is padding when its elapsed is 0 and a gap otherwise, and a layer never sees a NaN.
A reading is an impulse: what it puts into the state does not depend on the time before it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn

S = TypeVar("S")
Made = TypeVar("Made")


class SequenceLayer(nn.Module, ABC, Generic[S]):
    """Rows in, rows out, in parallel or one by one."""

    _remembered: tuple[Any, Any] | None = None

    def remembered(self, make: Callable[[], Made]) -> Made:
        """What follows from the weights alone, made once for as long as these are what they are; anew where gradients flow."""
        if self.training or torch.is_grad_enabled():
            return make()
        version = [(weight.data_ptr(), weight._version, weight.dtype) for weight in self._parameters.values() if weight is not None]
        if self._remembered is None or self._remembered[0] != version:
            self._remembered = version, make()
        made: Made = self._remembered[1]
        return made

    @abstractmethod
    def initial_state(self, batch: int) -> S:
        """The state before the first row, a NamedTuple of tensors with the leading axis B."""

    @abstractmethod
    def forward(self, u: Tensor, state: S, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S]:
        """The parallel form: (y, state after the last row)."""

    @abstractmethod
    def step(self, u: Tensor, state: S, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S]:
        """The recurrent form: (y, state after this row)."""


def blank(u: Tensor, observed: Tensor) -> Tensor:
    """Rows (B T D) with those that are not observed at 0; on the CPU u itself where all are, for a copy costs as much as a mode."""
    if u.device.type == "cpu" and bool(observed.all()):
        return u
    return torch.where(observed[..., None], u, 0.0)


def one_row(layer: SequenceLayer[S], u: Tensor, state: S, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S]:
    """The recurrent form of a layer whose parallel form runs row by row anyway."""
    y, after = layer.forward(u[:, None], state, elapsed[:, None], observed[:, None])
    return y[:, 0], after

"""The contract of every sequence layer: one map, a parallel form and a recurrent form, with a state between them.

Shapes: u, y (B T D), in `step` (B D); elapsed and observed (B T), in `step` (B).
`elapsed` is the time since the previous row in nominal rows; `observed` is false where a row brings nothing: such a row puts
nothing into the state, the state only ages by `elapsed`, and with elapsed 0 it stays what it is. So a row that is not observed
is padding when its elapsed is 0 and a gap otherwise, and a layer never sees a NaN.
A reading is an impulse: what it puts into the state does not depend on the time before it.
"""

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from torch import Tensor, nn

S = TypeVar("S")


class SequenceLayer(nn.Module, ABC, Generic[S]):
    """Rows in, rows out, in parallel or one by one."""

    @abstractmethod
    def initial_state(self, batch: int) -> S:
        """The state before the first row, a NamedTuple of tensors with the leading axis B."""

    @abstractmethod
    def forward(self, u: Tensor, state: S, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S]:
        """The parallel form: (y, state after the last row)."""

    @abstractmethod
    def step(self, u: Tensor, state: S, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S]:
        """The recurrent form: (y, state after this row)."""


def one_row(layer: SequenceLayer[S], u: Tensor, state: S, elapsed: Tensor, observed: Tensor) -> tuple[Tensor, S]:
    """The recurrent form of a layer whose parallel form runs row by row anyway."""
    y, after = layer.forward(u[:, None], state, elapsed[:, None], observed[:, None])
    return y[:, 0], after

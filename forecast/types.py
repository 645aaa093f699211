"""What travels between floors: rows of past and future, and states as trees of tensors.

Shapes: B series in the batch, T rows of past, H rows of future, C channels, K inputs, M static covariates.
A value is missing where it is NaN and nowhere else. `elapsed` is the time since the previous row in units of the clock:
1 on a regular clock and for a first row.
A state (or a set of parameters) is a NamedTuple of tensors, nested at will, every leaf with the leading axis B.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Values: TypeAlias = Float[Tensor, "B T C"]
Inputs: TypeAlias = Float[Tensor, "B T K"]
Elapsed: TypeAlias = Float[Tensor, "B T"]
Static: TypeAlias = Float[Tensor, "B M"]
Rows: TypeAlias = Int[Tensor, " B"] | Bool[Tensor, " B"] | slice

State: TypeAlias = Any  # a NamedTuple of tensors with the leading axis B
Parameters: TypeAlias = Any  # the same; () where the parameters are the module's weights
Tree = TypeVar("Tree")


class Row(NamedTuple):
    """One row of every series in the batch."""

    values: Float[Tensor, "B C"]
    inputs: Float[Tensor, "B K"]
    elapsed: Float[Tensor, " B"]

    def past(self) -> "Past":
        """The same as a past of one row."""
        return Past.of(self.values[:, None], self.inputs[:, None], self.elapsed[:, None])


class Past(NamedTuple):
    """What a model may see: T rows of values, with the inputs known for those rows."""

    values: Values
    inputs: Inputs
    elapsed: Elapsed
    static: Static

    @classmethod
    def of(
        cls, values: Tensor, inputs: Tensor | None = None, elapsed: Tensor | None = None, static: Tensor | None = None
    ) -> Self:
        """A past on a regular clock, without inputs or static covariates unless they are given."""
        batch, rows = values.shape[:2]
        return cls(
            values,
            values.new_zeros(batch, rows, 0) if inputs is None else inputs,
            values.new_ones(batch, rows) if elapsed is None else elapsed,
            values.new_zeros(batch, 0) if static is None else static,
        )

    def rows(self, start: int, stop: int) -> "Past":
        """Rows start … stop-1."""
        return Past(self.values[:, start:stop], self.inputs[:, start:stop], self.elapsed[:, start:stop], self.static)

    def each(self) -> Iterator[Row]:
        """The rows one after the other."""
        for values, inputs, elapsed in zip(
            self.values.unbind(1), self.inputs.unbind(1), self.elapsed.unbind(1), strict=True
        ):
            yield Row(values, inputs, elapsed)


class Future(NamedTuple):
    """What is known of the next H rows: their inputs and their spacing."""

    inputs: Float[Tensor, "B H K"]
    elapsed: Float[Tensor, "B H"]

    @classmethod
    def of(cls, past: Past, horizon: int, inputs: Tensor | None = None) -> Self:
        """The next `horizon` rows of `past` on a regular clock."""
        empty = past.values.new_zeros(past.values.shape[0], horizon, past.inputs.shape[2])
        return cls(empty if inputs is None else inputs, past.values.new_ones(empty.shape[:2]))

    def rows(self, start: int, stop: int) -> "Future":
        """Rows start … stop-1."""
        return Future(self.inputs[:, start:stop], self.elapsed[:, start:stop])


def tree_map(function: Callable[..., Tensor], tree: Tree, *others: Tree) -> Tree:
    """Apply `function` to every tensor of a state, leaf by leaf beside those of `others`."""
    if isinstance(tree, Tensor):
        return function(tree, *others)  # type: ignore[return-value]
    parts = [tree_map(function, *leaf) for leaf in zip(tree, *others, strict=True)]  # type: ignore[call-overload]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)  # type: ignore[call-arg]


def leaves(tree: Any) -> list[Tensor]:
    """The tensors of a state in order."""
    return [tree] if isinstance(tree, Tensor) else [leaf for part in tree for leaf in leaves(part)]


def take(state: Tree, rows: Rows) -> Tree:
    """The state of some of the series."""
    return tree_map(lambda leaf: leaf[rows], state)


def put(state: Tree, rows: Rows, part: Tree) -> Tree:
    """A copy of `state` in which the series `rows` have the state `part`."""

    def replace(leaf: Tensor, piece: Tensor) -> Tensor:
        leaf = leaf.clone()
        leaf[rows] = piece
        return leaf

    return tree_map(replace, state, part)


def join(states: list[Tree]) -> Tree:
    """States of several batches as that of one."""
    return tree_map(lambda *parts: torch.cat(parts), *states)

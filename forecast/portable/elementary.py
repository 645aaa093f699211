"""What the layers in NumPy are written with: names of types, and functions that act number by number."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    Array: TypeAlias = NDArray[Any]
else:  # what checks types while it runs knows no array of anything
    Array = np.ndarray
Arrays: TypeAlias = dict[str, Array]
State: TypeAlias = list[Array]
Step: TypeAlias = Callable[[Array, Array, State], Array]


def rms_norm(y: Array) -> Array:
    """y over its root mean square."""
    square = np.add.reduce(y * y, -1, keepdims=True)  # mean() goes the long way round
    normed: Array = y / np.sqrt(square / y.dtype.type(y.shape[-1]) + y.dtype.type(1e-6))
    return normed


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow."""
    made: Array = 0.5 * (1.0 + np.tanh(0.5 * x))
    return made


def silu(x: Array) -> Array:
    """x σ(x)."""
    return x * sigmoid(x)


def softplus(x: Array) -> Array:
    """log(1 + e^x) without overflow."""
    made: Array = np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))
    return made

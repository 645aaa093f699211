"""One lane at a time: a lane is one channel of one series, from its first observed value to its last.

A lane that cannot be fitted is logged by its place in the batch and gets no parameters; the others go on.
Shapes: values (B T C); a lane (T).
"""

import logging
import warnings
from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.models.gaps import interpolated
from forecast.types import Past

Fit = TypeVar("Fit")
Vector = NDArray[np.float64]
TROUBLE = (ValueError, ArithmeticError, IndexError, np.linalg.LinAlgError)  # anything else is a defect, or a time cap


class Lane(NamedTuple):
    """Observed values of one channel of one series."""

    values: Vector  # (T); NaN = missing; observed at both ends
    inputs: NDArray[np.float64]  # (T K)

    @property
    def filled(self) -> Vector:
        """The values with gaps interpolated."""
        return interpolated(torch.from_numpy(self.values)[None])[0].numpy()


def lane_of(values: Vector, inputs: NDArray[np.float64]) -> Lane:
    """The lane of a channel's values (T) and its inputs (T K)."""
    seen = np.flatnonzero(np.isfinite(values))
    part = slice(seen[0], seen[-1] + 1) if len(seen) else slice(0, 0)
    return Lane(values[part], inputs[part])


def each_lane(past: Past, needs: int, fit: Callable[[Lane], Fit], word: str) -> list[list[Fit | None]]:
    """What `fit` makes of every channel of every series (B × C); None where it fails or has too few observed values."""
    values, inputs = past.values.double().numpy(), past.inputs.double().numpy()
    return [
        [_fitted(lane_of(values[b, :, c], inputs[b]), needs, fit, f"{word}: series {b} of {len(values)}, channel {c}")
         for c in range(values.shape[2])]
        for b in range(len(values))
    ]  # fmt: skip


def _fitted(lane: Lane, needs: int, fit: Callable[[Lane], Fit], where: str) -> Fit | None:
    if np.isfinite(lane.values).sum() < needs:
        return None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # convergence is judged by the result, in every member
            return fit(lane)
    except TROUBLE as error:
        logging.getLogger("forecast").warning("%s could not be fitted: %s", where, str(error).split("\n")[0])
        return None

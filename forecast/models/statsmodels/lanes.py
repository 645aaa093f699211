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

    @property
    def filled(self) -> Vector:
        """The values with gaps interpolated."""
        return without_gaps(self.values)


def without_gaps(values: Vector) -> Vector:
    """Values (T) with gaps interpolated."""
    return interpolated(torch.from_numpy(values)[None])[0].numpy()


def lane_of(values: Vector) -> Lane:
    """The lane of a channel's values (T)."""
    seen = np.flatnonzero(np.isfinite(values))
    return Lane(values[seen[0] : seen[-1] + 1] if len(seen) else values[:0])


def each_lane(past: Past, needs: int, fit: Callable[[Lane], Fit], word: str) -> list[list[Fit | None]]:
    """What `fit` makes of every channel of every series (B × C); None where it fails or has too few observed values."""
    import statsmodels.tools.sm_exceptions  # noqa: F401  it sets warning filters when first imported: not over ours

    values = past.values.double().numpy()
    where = f"{word}: series {{}} of {len(values)}, channel {{}}"
    return [
        [_fitted(lane_of(series[:, c]), needs, fit, where.format(b, c)) for c in range(series.shape[1])]
        for b, series in enumerate(values)
    ]


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

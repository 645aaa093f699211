"""Whether trained weights earn their place beside what has a closed form: on the validation rows, in the units of the tables.

The loss of a training is in units of a scale that moves with the series, and weighs windows alike; what is compared afterwards is the error in the
series' own units. Weights that gain by the first and lose by the second are not kept: on every series and channel the squared
error of the median is divided by that of the closed form, and the geometric mean of these has to be below 1.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.models.forecaster import Forecaster
from forecast.series.panel import Panel
from forecast.types import Future, Past

ORIGINS, SERIES = 100, 200  # forecasts of a series, and series, at most: evenly spread
CELLS = 4_000_000  # rows of the past, or cells of the forecasts, of all series at once


def errors(model: Forecaster, panel: Panel, ends: NDArray[np.int64], cut: NDArray[np.int64], horizon: int) -> Tensor:
    """Squared errors (N) of the medians for the rows `cut` … `ends` (S) of some series, channel by channel, short ones first; NaN where no row is known."""
    found = []
    with torch.no_grad():
        for past, apart in _pasts(panel, ends, cut, horizon):
            rows = past.values.shape[1] - apart
            state = model.warm_up(model.initial_state((), past.static), past.rows(0, rows))
            held, every = past.rows(rows, rows + apart), apart // ORIGINS | 1
            forecast, _ = model.trace(state, held, Future.of(held, horizon), horizon, every)
            short = held.values.new_full((len(held.values), horizon - 1, held.values.shape[2]), torch.nan)
            actual = torch.cat([held.values, short], 1).unfold(1, horizon, 1)[:, ::every].transpose(2, 3)
            found.append((forecast.median - actual).square().nanmean((1, 2)).flatten())
    return torch.cat(found)


def earned(trained: Tensor, before: Tensor) -> bool:
    """Whether the errors with trained weights (N) are smaller than those before (N), by their geometric mean."""
    known = (trained > 0) & (before > 0)
    return not bool(known.any()) or float((trained[known] / before[known]).log().mean()) < 0


def _pasts(panel: Panel, ends: NDArray[np.int64], cut: NDArray[np.int64], horizon: int) -> Iterator[tuple[Past, int]]:
    """Rows before the ends of series with equally many validation rows, and how many these are."""
    there = np.flatnonzero(ends > cut)
    some = there[np.unique(np.linspace(0, len(there) - 1, min(len(there), SERIES)).astype(np.int64))]
    for apart in np.unique((ends - cut)[some]).tolist():
        like = some[(ends - cut)[some] == apart]
        like = like[np.argsort(ends[like], kind="stable")]
        most = max(int(ends[like].max()), min(apart, ORIGINS) * horizon) * len(panel.channels)
        room = max(1, CELLS // most)
        for low in range(0, len(like), room):
            part = like[low : low + room]
            yield panel.past(ends[part].tolist(), part.tolist()), int(apart)

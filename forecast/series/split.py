"""Rolling cutoffs: where a backtest stands.

`ends[k, s]` (K S) is the number of rows of series s before cutoff k, so its first unknown row; -1 where the series has
no such cutoff. The last cutoff leaves exactly `horizon` rows to the end, the one before it lies `step` rows earlier,
and so on; oldest first. By "time" all series stand at one moment, so that what one shows of the future cannot help
another; a series that had not begun or has already ended there is not scored. By "end" counts from each series' own
end: the only sense a cutoff has where the times of different series mean nothing to each other (competition data on an
integer clock). Past rows expand from cutoff to cutoff; a sliding window is the caller's `Panel.past(...,
context=window)`.
"""

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.series.panel import Panel


def cutoffs(
    panel: Panel,
    horizon: int,
    n: int = 1,
    step: int | None = None,
    needs: int = 1,
    by: Literal["time", "end"] | None = None,
    short: Literal["error", "skip"] = "error",
) -> NDArray[np.int64]:
    """`n` cutoffs, `step` rows apart (default: the horizon, so that outcomes do not overlap), each after `needs` rows
    at least.

    By default they go by end on an integer clock and by time on any other. Series that would be scored nowhere are an
    error that names the first of them, or are left out with `short="skip"`.
    """
    step = horizon if step is None else step
    for word, value in (("horizon", horizon), ("cutoffs", n), ("step", step)):
        if value < 1:
            raise InputError(f"{word}={value} must be at least 1")
    if by is None:
        by = "end" if panel.clock.kind == "integer" else "time"
    back = horizon + step * np.arange(n - 1, -1, -1)
    ends = _by_end(panel, back) if by == "end" else _by_time(panel, back)
    fits = (ends >= needs) & (ends < panel.lengths.numpy())
    lost = np.asarray(~fits.all(0) if by == "end" else ~fits.any(0))
    if not fits.any() or (lost.any() and short == "error"):
        raise _unscored(
            panel, lost, by, f"{n} cutoff{'s' * (n > 1)} of horizon {horizon}", needs + horizon + step * (n - 1)
        )
    return np.where(fits, ends, -1)


def _by_end(panel: Panel, back: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(panel.lengths.numpy() - back[:, None])


def _by_time(panel: Panel, back: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of each series before the moments `back` rows (irregular: units) before the end of the last series."""
    if panel.stamps is None:
        moments = int((panel.start + panel.lengths).max()) - back
        return np.asarray(np.minimum(moments[:, None] - panel.start.numpy(), panel.lengths.numpy()))
    moments = int(panel.stamps[panel.first[1:] - 1].max()) - (back - 1) * panel.clock.unit
    stamps = torch.split(panel.stamps, panel.lengths.tolist())
    return np.stack([np.searchsorted(part.numpy(), moments) for part in stamps], 1)


def _unscored(panel: Panel, lost: NDArray[np.bool_], by: str, what: str, rows: int) -> InputError:
    """`2 cutoffs of horizon 24 need 49 rows: series 'b' has 40 (and 3 more are too short); take fewer cutoffs …`"""
    first, more = int(lost.argmax()), int(lost.sum()) - 1
    name, has = panel.names[first], int(panel.lengths[first])
    if by == "end":
        why = f"{what} need {rows} rows: series {name!r} has {has}" + f" (and {more} more are too short)" * (more > 0)
    else:
        why = f"{what} by time score nothing of series {name!r}, {panel.times(first)[0]} to {panel.times(first)[-1]}"
        why += f" (nor of {more} more)" * (more > 0)
    return InputError(f"{why}; take fewer cutoffs or a shorter horizon, or leave such series out with short=skip")

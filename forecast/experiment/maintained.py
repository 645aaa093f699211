"""Windows of maintenance on a panel: which of its rows are learned, which are judged alone, and whose alarms are told."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast.detect.monitor import Monitor, Seen, together
from forecast.errors import InputError
from forecast.series.maintenance import LEARNED, STILL, Maintenance
from forecast.series.panel import Panel
from forecast.types import Past


def windows_of(panel: Panel, given: Sequence[Any]) -> Maintenance:
    """The windows of maintenance of a panel; times without a zone are of the panel's."""
    if given and panel.clock.kind == "integer":
        raise InputError("maintenance: the rows are numbered and have no times; pass data.time=COLUMN")
    return Maintenance.read(given, panel.clock.timezone)


def learnable(panel: Panel, windows: Maintenance) -> Panel:
    """The panel with what is not to be learned missing."""
    if not windows:
        return panel
    held = np.concatenate([_codes(panel, s, windows) != LEARNED for s in range(len(panel))])
    values = panel.values.clone()
    values[torch.from_numpy(held)] = torch.nan
    return replace(panel, values=values)


def calm_past(panel: Panel, calm: NDArray[np.int64], windows: Maintenance) -> Past:
    """The first `calm` rows of each series as they are learned."""
    past = panel.past(calm.tolist())
    if not windows:
        return past
    padding = []
    for s in range(len(panel)):
        codes = _codes(panel, s, windows)[: calm[s]]
        past = _without_still(past, s, codes, _elapsed(panel, s, windows)[: calm[s]])
        padding.append(past.values.shape[1] - int((codes != STILL).sum()))
    return past.rows(min(padding, default=0), past.values.shape[1])


def followed(one: Monitor, panel: Panel, s: int, calm: int, windows: Maintenance) -> Seen:
    """What a monitor of series s sees of the rows after its calm ones."""
    past = panel.past([int(panel.lengths[s])], [s], context=int(panel.lengths[s]) - calm)
    if not windows:
        return one.follow(past)
    past = past._replace(elapsed=_elapsed(panel, s, windows)[None, calm:])
    codes = _codes(panel, s, windows)[calm:]
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    pieces = [(past.rows(low, high), int(codes[low])) for low, high in pairwise(edges)]
    return together([one.follow(rows) if c == LEARNED else one.aside(rows, still=c == STILL) for rows, c in pieces])


def stamps_of(panel: Panel, s: int) -> NDArray[np.int64]:
    """Microseconds since 1970, UTC."""
    return pd.DatetimeIndex(panel.times(s)).as_unit("us").asi8


def told_rows(panel: Panel, s: int, windows: Maintenance) -> NDArray[np.bool_]:
    """Rows of a series whose alarms are told."""
    return ~windows.of(panel.names[s]).muted.hold(stamps_of(panel, s)) if windows else np.ones(panel.lengths[s], bool)


def _codes(panel: Panel, s: int, windows: Maintenance) -> NDArray[np.int64]:
    return windows.of(panel.names[s]).code(stamps_of(panel, s))


def _elapsed(panel: Panel, s: int, windows: Maintenance) -> torch.Tensor:
    """Time since the row before (T) as the series' own clock has it; 1 where it stands still."""
    elapsed, own = panel.elapsed(s), windows.of(panel.names[s])
    stamps = stamps_of(panel, s)
    if panel.stamps is None or not own.still.hold(stamps).any():
        return elapsed
    goes = np.flatnonzero(own.code(stamps) != STILL)
    gaps = np.diff(own.clock(stamps)[goes]) / panel.clock.unit
    elapsed = torch.ones_like(elapsed)
    elapsed[torch.from_numpy(goes[1:])] = torch.from_numpy(gaps).to(elapsed.dtype)
    return elapsed


def _without_still(past: Past, b: int, codes: NDArray[np.int64], elapsed: torch.Tensor) -> Past:
    """Calm rows of series b as they are learned: held ones are missing, those of a clock that stands still are not there."""
    if not codes.any():
        return past
    rows = past.values.shape[1]
    values, inputs, times = (leaf.clone() for leaf in past[:3])
    low = rows - len(codes)
    values[b, low:][torch.from_numpy(codes != LEARNED)] = torch.nan
    times[b, low:] = elapsed
    still = np.concatenate([np.zeros(low, bool), codes == STILL])
    order = torch.from_numpy(np.concatenate([np.flatnonzero(still), np.flatnonzero(~still)]))  # to the left, as padding
    for leaf in (values, inputs, times):
        leaf[b] = leaf[b, order]
    return Past(values, inputs, times, past.static)

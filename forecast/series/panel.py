"""A panel: S series on one clock, stored end to end, ragged without padding.

Shapes: values (R C) where series s owns the rows first[s] … first[s+1]-1; NaN inside = missing; outside a series there are no rows.
Batches are dense and padded on the left with missing rows, which by law L4 change nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import InputError
from forecast.series.clock import Clock
from forecast.types import Future, Past


@dataclass(frozen=True)
class Known:
    """Inputs known in advance, future rows included: own ones per series and ones shared through the clock.

    Series s knows its own inputs at the rows own[own_first[s] : own_first[s+1]], row j of the series being the j-th of them; the
    shared ones stand at the clock positions shared_start, shared_start + 1, …
    """

    names: tuple[str, ...] = ()
    own: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))  # (Ro Ko)
    own_first: Tensor | None = None  # (S+1)
    shared: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))  # (G Ks)
    shared_start: int = 0

    def rows(self, series: int, row: int, position: int, length: int) -> Tensor:
        """Inputs (length K) of `length` rows from row `row` of the series, at clock position `position`; NaN where unknown."""
        pieces = [_slice(self.shared, position - self.shared_start, length)]
        if self.own_first is not None:
            low, high = int(self.own_first[series]), int(self.own_first[series + 1])
            pieces.insert(0, _slice(self.own[low:high], row, length))
        return torch.cat(pieces, -1)


def _slice(rows: Tensor, start: int, length: int) -> Tensor:
    """Rows start … start+length-1, NaN where there are none."""
    out = rows.new_full((length, rows.shape[1]), torch.nan)
    low, high = max(start, 0), min(start + length, rows.shape[0])
    if high > low:
        out[low - start : high - start] = rows[low:high]
    return out


@dataclass(frozen=True)
class Panel:
    """S series of C channels on one clock."""

    values: Tensor  # (R C) float64
    first: Tensor  # (S+1) int64
    start: Tensor  # (S) int64: clock position of the first row; irregular: its stamp
    clock: Clock
    names: tuple[str, ...]
    channels: tuple[str, ...]
    target: Tensor  # (C) bool: a channel that is only observed, never scored, has False
    known: Known = field(default_factory=Known)
    static: Tensor = field(default_factory=lambda: torch.zeros(0, 0, dtype=torch.float64))  # (S M)
    static_names: tuple[str, ...] = ()
    stamps: Tensor | None = None  # (R) int64 microseconds, on an irregular clock only
    seasons: tuple[int, ...] = ()  # season lengths in rows, the leading one first, as stated or detected

    def __len__(self) -> int:
        return len(self.names)

    @property
    def season(self) -> int:
        """The leading season length in rows; 1 where there is none."""
        return self.seasons[0] if self.seasons else 1

    @property
    def lengths(self) -> Tensor:
        """Rows of each series (S)."""
        return self.first[1:] - self.first[:-1]

    def series(self, index: int) -> Tensor:
        """Values (T C) of one series."""
        return self.values[int(self.first[index]) : int(self.first[index + 1])]

    def elapsed(self, index: int) -> Tensor:
        """Time since the previous row (T) in units of the clock; 1 for the first row."""
        ones = self.values.new_ones(int(self.lengths[index]))
        if self.stamps is None:
            return ones
        stamps = self.stamps[int(self.first[index]) : int(self.first[index + 1])]
        ones[1:] = (stamps[1:] - stamps[:-1]).to(ones.dtype) / self.clock.unit
        return ones

    def times(self, index: int, ahead: int = 0) -> pd.Index:
        """Times of one series' rows, or of the `ahead` rows after its end."""
        length = int(self.lengths[index])
        if self.stamps is not None:
            stamps = self.stamps[int(self.first[index]) : int(self.first[index + 1])].numpy()
            return self.clock.times(stamps if not ahead else stamps[-1] + self.clock.unit * np.arange(1, ahead + 1))
        position = int(self.start[index])
        span = np.arange(length) if not ahead else np.arange(length, length + ahead)
        return self.clock.times(position + span)

    def select(self, series: Sequence[int]) -> "Panel":
        """The panel of some of the series, in the order given."""
        rows = [torch.arange(int(self.first[s]), int(self.first[s + 1])) for s in series]
        return self._with_rows(rows, list(series))

    def head(self, rows: NDArray[np.int64] | Tensor) -> "Panel":
        """The first `rows[s]` rows of each series; the known inputs stay, for they are known in advance."""
        kept = [torch.arange(int(f), int(f) + int(n)) for f, n in zip(self.first[:-1], rows, strict=True)]
        return self._with_rows(kept, list(range(len(self))))

    def until(self, cutoff: pd.Timestamp | int) -> "Panel":
        """The rows before the time `cutoff` (on an integer clock a number)."""
        edge = self.clock.until(cutoff)
        if self.stamps is None:
            return self.head((edge - self.start).clamp(min=0).minimum(self.lengths))
        before = _offsets((self.stamps < edge).tolist())
        return self.head(before[self.first[1:]] - before[self.first[:-1]])

    def _with_rows(self, rows: list[Tensor], series: list[int]) -> "Panel":
        known = self.known
        if known.own_first is not None:
            own = [known.own[int(known.own_first[s]) : int(known.own_first[s + 1])] for s in series]
            known = replace(known, own=torch.cat(own), own_first=_offsets([len(o) for o in own]))
        index = torch.cat(rows) if rows else torch.zeros(0, dtype=torch.int64)
        return replace(
            self,
            values=self.values[index],
            first=_offsets([len(r) for r in rows]),
            start=self.start[series],
            names=tuple(self.names[s] for s in series),
            static=self.static[series] if len(self.static) else self.static,
            stamps=None if self.stamps is None else self.stamps[index],
            known=known,
        )

    def past(self, ends: Sequence[int], series: Sequence[int] | None = None, context: int | None = None) -> Past:
        """The rows before row `ends[b]` of series b, the last `context` of them, padded on the left to one length."""
        series = range(len(self)) if series is None else series
        lengths = [end if context is None else min(end, context) for end in ends]
        longest = max(lengths, default=0)
        values = self.values.new_full((len(lengths), longest, len(self.channels)), torch.nan)
        inputs = self.values.new_zeros(len(lengths), longest, len(self.known.names))
        elapsed = self.values.new_ones(len(lengths), longest)
        for b, (s, end, length) in enumerate(zip(series, ends, lengths, strict=True)):
            if length:
                values[b, longest - length :] = self.series(s)[end - length : end]
                inputs[b, longest - length :] = self._inputs(s, end - length, length)
                elapsed[b, longest - length :] = self.elapsed(s)[end - length : end]
        return Past(values, inputs, elapsed, self._static(series))

    def future(self, ends: Sequence[int], horizon: int, series: Sequence[int] | None = None) -> Future:
        """What is known of the `horizon` rows from row `ends[b]` of series b on."""
        series = range(len(self)) if series is None else series
        inputs = [self._inputs(s, end, horizon) for s, end in zip(series, ends, strict=True)]
        elapsed = self.values.new_ones(len(inputs), horizon)
        if self.stamps is not None:
            for b, (s, end) in enumerate(zip(series, ends, strict=True)):
                known = self.elapsed(s)[end : end + horizon]
                elapsed[b, : len(known)] = known
        return Future(torch.stack(inputs), elapsed)

    def actual(self, ends: Sequence[int], horizon: int, series: Sequence[int] | None = None) -> Tensor:
        """The outcome (B H C); missing past a series' end."""
        series = range(len(self)) if series is None else series
        return torch.stack([_slice(self.series(s), end, horizon) for s, end in zip(series, ends, strict=True)])

    def _inputs(self, series: int, row: int, length: int) -> Tensor:
        if not self.known.names:
            return self.values.new_zeros(length, 0)
        inputs = self.known.rows(series, row, int(self.start[series]) + row, length)
        if not bool(inputs.isfinite().all()):
            where = int((~inputs.isfinite()).any(-1).nonzero()[0])
            column = self.known.names[int((~inputs[where].isfinite()).nonzero()[0])]
            raise InputError(
                f"series {self.names[series]!r}: input {column!r} is not known at row {row + where}; give it for every row to forecast "
                "with inputs=plan.csv, or take it out of data.inputs"
            )
        return inputs

    def _static(self, series: Sequence[int]) -> Tensor:
        return self.static[list(series)] if len(self.static) else self.values.new_zeros(len(series), 0)


def _offsets(lengths: Sequence[int]) -> Tensor:
    """Row offsets (S+1) of series of these lengths."""
    return torch.tensor([0, *np.cumsum(lengths)], dtype=torch.int64)


def panel_of(
    series: Sequence[Tensor] | dict[str, Tensor], clock: Clock | None = None, seasons: tuple[int, ...] = ()
) -> Panel:
    """A panel of tensors (T) or (T C) on one clock, all starting at position 0; the clock defaults to integers from 0."""
    named = series if isinstance(series, dict) else {f"s{i}": values for i, values in enumerate(series)}
    parts = [v.reshape(len(v), -1).to(torch.float64) for v in named.values()]
    channels = parts[0].shape[1]
    return Panel(
        values=torch.cat(parts),
        first=_offsets([len(p) for p in parts]),
        start=torch.zeros(len(parts), dtype=torch.int64),
        clock=clock or Clock("integer", 0),
        names=tuple(named),
        channels=("y",) if channels == 1 else tuple(f"c{i}" for i in range(channels)),
        target=torch.ones(channels, dtype=torch.bool),
        seasons=seasons,
    )

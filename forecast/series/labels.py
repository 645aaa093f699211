"""Labels: the spans of a panel that somebody called anomalous.

A span runs from its first to its last labelled time, both belonging to it; times are those of `Panel.times` (numbers
on an integer clock). A span without channels concerns the series as a whole.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from forecast.series.panel import Panel

Time: TypeAlias = pd.Timestamp | int
Span: TypeAlias = tuple[str, Time, Time, str, tuple[str, ...]]  # unique_id, start, end, kind, channels


def runs(flags: ArrayLike) -> list[tuple[int, int]]:
    """First row and row after the last of every run of true flags."""
    edge = np.diff(np.asarray(flags, dtype=bool).astype(np.int8), prepend=0, append=0)
    return list(zip(np.flatnonzero(edge == 1).tolist(), np.flatnonzero(edge == -1).tolist(), strict=True))


@dataclass(frozen=True)
class Labels:
    """Labelled spans, one entry of every field for each."""

    unique_id: tuple[str, ...]
    start: tuple[Time, ...]
    end: tuple[Time, ...]  # the last labelled time
    kind: tuple[str, ...]  # "" where not stated
    channels: tuple[tuple[str, ...], ...]  # () where not stated

    def __len__(self) -> int:
        return len(self.unique_id)

    @classmethod
    def of(cls, spans: Sequence[Span]) -> "Labels":
        """Labels from one tuple for each."""
        return cls(*zip(*spans, strict=True)) if spans else cls((), (), (), (), ())

    @classmethod
    def of_rows(cls, panel: Panel, flags: Tensor, kind: str = "anomaly") -> "Labels":
        """One span for every run of true `flags` (R), the rows of a 0/1 column."""
        spans: list[Span] = []
        for s, name in enumerate(panel.names):
            times = panel.times(s)
            found = runs(flags[int(panel.first[s]) : int(panel.first[s + 1])].numpy())
            spans += [(name, times[low], times[high - 1], kind, ()) for low, high in found]
        return cls.of(spans)

    def within(self, panel: Panel) -> "Labels":
        """The labels of the series that the panel has."""
        names = set(panel.names)
        spans = zip(self.unique_id, self.start, self.end, self.kind, self.channels, strict=True)
        return Labels.of([span for span in spans if span[0] in names])

    def of_kind(self, kind: str) -> "Labels":
        """The labels of one kind."""
        spans = zip(self.unique_id, self.start, self.end, self.kind, self.channels, strict=True)
        return Labels.of([span for span in spans if span[3] == kind])

    def spans(self, panel: Panel) -> Iterator[tuple[int, int, int, int]]:
        """(label, series, first row, row after the last) of every label whose series is in the panel."""
        where = {name: s for s, name in enumerate(panel.names)}
        times = {s: panel.times(s) for s in {where[name] for name in self.unique_id if name in where}}
        for label, name in enumerate(self.unique_id):
            if name in where:
                index = times[where[name]]
                low = int(index.searchsorted(self.start[label], "left"))
                yield label, where[name], low, int(index.searchsorted(self.end[label], "right"))

    def rows(self, panel: Panel) -> Tensor:
        """Which rows (R) of the panel are labelled."""
        flags = torch.zeros(len(panel.values), dtype=torch.bool)
        for _, series, low, high in self.spans(panel):
            flags[int(panel.first[series]) + low : int(panel.first[series]) + high] = True
        return flags

    def frame(self) -> pd.DataFrame:
        """As a table with the columns unique_id, start, end, kind and channels (joined by blanks)."""
        channels = [" ".join(names) for names in self.channels]
        columns = [self.unique_id, self.start, self.end, self.kind, channels]
        return pd.DataFrame(dict(zip(("unique_id", "start", "end", "kind", "channels"), columns, strict=True)))

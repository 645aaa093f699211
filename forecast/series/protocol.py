"""Protocols: how the published tables of a data set split, scale and score it.

A split rule turns the lengths of the series into borders: rows 0 … train-1 are for training, train … validation-1 for
choosing, validation … test-1 for the table. The first test cutoff lies at `validation`; its context may reach back
over the border, so the set of test windows does not depend on the context length.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import InputError
from forecast.series.labels import Labels
from forecast.series.panel import Panel


class Borders(NamedTuple):
    """The row of each series (S) at which its training, validation and test rows end."""

    train: Tensor
    validation: Tensor
    test: Tensor


@dataclass(frozen=True)
class Rows:
    """The same rows in every series; without `test` up to the end."""

    train: int
    validation: int
    test: int | None = None

    def borders(self, lengths: Tensor) -> Borders:
        """Borders of series of these lengths."""
        test = lengths if self.test is None else torch.full_like(lengths, self.test)
        return Borders(torch.full_like(lengths, self.train), torch.full_like(lengths, self.validation), test)


@dataclass(frozen=True)
class Shares:
    """Shares of each series, truncated to whole rows; the rest between them is for validation."""

    train: float = 0.7
    test: float = 0.2

    def borders(self, lengths: Tensor) -> Borders:
        """Borders of series of these lengths."""
        train = torch.tensor([int(int(n) * self.train) for n in lengths], dtype=torch.int64)
        test = torch.tensor([int(int(n) * self.test) for n in lengths], dtype=torch.int64)
        return Borders(train, lengths - test, lengths)


@dataclass(frozen=True)
class LastRows:
    """The last rows of each series are its official test rows; nothing is set apart for validation."""

    count: int

    def borders(self, lengths: Tensor) -> Borders:
        """Borders of series of these lengths."""
        return Borders(lengths - self.count, lengths - self.count, lengths)


@dataclass(frozen=True)
class Probation:
    """The first share of each series, at most so many rows, is for learning what is normal."""

    share: float
    most: int

    def borders(self, lengths: Tensor) -> Borders:
        """Borders of series of these lengths."""
        train = torch.tensor([min(int(int(n) * self.share), self.most) for n in lengths], dtype=torch.int64)
        return Borders(train, train, lengths)


@dataclass(frozen=True)
class InFile:
    """The rows before which a series is for training, as the data set's own files state them."""

    train: tuple[int, ...]

    def borders(self, lengths: Tensor) -> Borders:
        """Borders of series of these lengths."""
        train = torch.tensor(self.train, dtype=torch.int64)
        return Borders(train, train, lengths)


Split: TypeAlias = Rows | Shares | LastRows | Probation | InFile


@dataclass(frozen=True)
class Protocol:
    """How the tables that a data set is known for were made."""

    split: Split
    horizons: tuple[int, ...] = ()  # none for a set that is for detection only
    seasons: tuple[int, ...] = ()  # season lengths in rows; the leading one scales MASE
    metrics: tuple[str, ...] = ()
    pooling: str = ""  # how the table's average is taken, in words
    step: int = 1  # rows from one test cutoff to the next
    standardise: bool = False  # scored in units of the training rows' mean and population standard deviation
    raw: bool = False  # the published figures belong to the values and rows as they stand in the file
    source: str = ""  # where the protocol was read; empty: no published table, the split is ours

    def cutoffs(self, panel: Panel, horizon: int) -> NDArray[np.int64]:
        """Every test cutoff (K S) in the form of `forecast.series.split`: -1 where a series has fewer of them."""
        borders = self.split.borders(panel.lengths)
        counts = ((borders.test - borders.validation - horizon) // self.step + 1).clamp(min=0).numpy()
        if not counts.any():
            raise InputError(f"no series has {horizon} test rows; take a shorter horizon than {horizon}")
        number = np.arange(counts.max())[:, None]
        return np.where(number < counts, borders.validation.numpy() + self.step * number, -1)


def training_scale(panel: Panel, train: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and population standard deviation (S C) of the rows before `train` (S); spread 1 where a channel is
    constant.

    The convention of the long-horizon tables (scikit-learn's StandardScaler on the training rows).
    """
    means, spreads = [], []
    for s, rows in enumerate(train.tolist()):
        seen = panel.series(s)[:rows]
        mean = seen.nanmean(0)
        spread = (seen - mean).square().nanmean(0).sqrt()
        means.append(mean)
        spreads.append(torch.where(spread > 0, spread, torch.ones_like(spread)))
    return torch.stack(means), torch.stack(spreads)


@dataclass(frozen=True)
class Dataset:
    """A panel of the catalogue with its protocol, its labels and what was done to the file."""

    name: str  # that of the data set, and where it has several panels what tells them apart: m3/monthly
    panel: Panel
    protocol: Protocol
    labels: Labels | None = None
    notes: tuple[str, ...] = ()  # rows repaired or set missing, for a person to read

    @property
    def borders(self) -> Borders:
        """Where training, validation and test rows end."""
        return self.protocol.split.borders(self.panel.lengths)

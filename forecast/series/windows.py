"""Training windows of a panel: indices into one tensor, gathered a batch at a time and never laid out beforehand.

A window is context + horizon rows that end at row e of a series; rows before its first one are missing (padding on the
left). Training windows end at e ≤ train; a series too short for a whole window gives one padded one. The last
`horizon` rows of a validation window lie at or after train, its context may reach back. A validation part shorter than
the horizon gives one window whose last rows are missing.

The order of an epoch is a permutation keyed by (seed, epoch), see `forecast.series.order`: any step of any epoch is
computed from these numbers alone, so a run that was killed sees the windows of one that was not.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor

from forecast.errors import InputError
from forecast.series.order import Index, permuted
from forecast.series.panel import Panel
from forecast.types import Past

logger = logging.getLogger("forecast")
BLOCK = 1 << 14  # places of the order worked out at once
RESIDENT = 2 << 30  # bytes; rows up to here move to the accelerator once instead of batch by batch
Ends = Index | Tensor


@dataclass(frozen=True)
class Track:
    """Rows (R K) of all lanes end to end; a lane is a series or one channel of it."""

    rows: Tensor
    first: Index  # (N) where lane n begins
    stop: Index  # (N) how many rows it has
    absent: float  # what stands for a row outside the lane

    def window(self, lanes: Index, ends: Index, length: int) -> Tensor:
        """Rows ends-length … ends-1 (B T K) of each lane."""
        start, device = ends - length, self.rows.device
        if not self.rows.shape[1]:
            return self.rows.new_zeros(len(ends), length, 0)
        if (start >= 0).all() and (ends <= self.stop[lanes]).all():
            return _blocks(self.rows, self.first[lanes] + start, length)
        row = start[:, None] + np.arange(length)
        there = (row >= 0) & (row < self.stop[lanes, None])
        index = np.where(there, self.first[lanes, None] + row, 0)
        picked = self.rows[torch.from_numpy(index).to(device)]
        return picked.masked_fill(torch.from_numpy(~there[..., None]).to(device), self.absent)


def _blocks(rows: Tensor, first: Index, length: int) -> Tensor:
    """Rows first … first+length-1, each block copied in one piece out of an overlapping view."""
    count, width = rows.shape
    view = rows.as_strided((count - length + 1, length * width), (width, 1))
    if rows.device.type == "cpu":  # NumPy copies such blocks four times as fast as torch does
        picked = torch.from_numpy(view.numpy()[first])
    else:
        picked = view.index_select(0, torch.from_numpy(first).to(rows.device))
    return picked.view(len(first), length, width)


@dataclass(frozen=True)
class Store:
    """What a panel knows, on one device."""

    values: Track
    own: Track
    shared: Track
    elapsed: Track | None  # on an irregular clock
    static: Tensor  # (S M)
    series: Index  # (N) the series of each lane

    @classmethod
    def of(cls, panel: Panel, channel_independent: bool) -> "Store":
        """The panel's rows; with `channel_independent` every target channel is a lane of its own."""
        series, known = np.arange(len(panel)), panel.known
        first, length = panel.first[:-1].numpy(), panel.lengths.numpy()
        rows, lanes = panel.values.contiguous(), 1
        if channel_independent:
            rows, lanes = panel.values[:, panel.target].T.reshape(-1, 1), int(panel.target.sum())
        starts = np.concatenate([first + copy * len(panel.values) for copy in range(lanes)])
        own_first = np.zeros(len(panel) + 1, dtype=np.int64) if known.own_first is None else known.own_first.numpy()
        place = panel.start.numpy() - known.shared_start
        elapsed = None
        if panel.stamps is not None:
            elapsed = Track(torch.cat([panel.elapsed(s) for s in range(len(panel))])[:, None], first, length, 1.0)
        return cls(
            Track(rows, starts, np.tile(length, lanes), torch.nan),
            Track(known.own.contiguous(), own_first[:-1], np.diff(own_first), 0.0),
            Track(known.shared.contiguous(), place, len(known.shared) - place, 0.0),
            elapsed,
            panel.static if len(panel.static) else panel.values.new_zeros(len(panel), 0),
            np.tile(series, lanes),
        )

    def past(self, lanes: Index, ends: Index, length: int) -> Past:
        """Rows ends-length … ends-1 of each lane; values outside it are missing."""
        series, values = self.series[lanes], self.values.window(lanes, ends, length)
        inputs = [track.window(series, ends, length) for track in (self.own, self.shared)]
        ones = values.new_ones(values.shape[:2])
        elapsed = ones if self.elapsed is None else self.elapsed.window(series, ends, length)[..., 0]
        # Rows after a series' end know their inputs only as far as these reach; targets are missing there.
        known = torch.cat(inputs, -1).nan_to_num(nan=0.0)
        return Past(values, known, elapsed, self.static[torch.from_numpy(series).to(self.static.device)])

    def to(self, device: torch.device) -> "Store":
        """The same rows on another device."""

        def moved(track: Track) -> Track:
            return replace(track, rows=track.rows.to(device))

        elapsed = None if self.elapsed is None else moved(self.elapsed)
        return Store(
            moved(self.values), moved(self.own), moved(self.shared), elapsed, self.static.to(device), self.series
        )

    @property
    def nbytes(self) -> int:
        """Bytes of its rows."""
        return sum(track.rows.nbytes for track in (self.values, self.own, self.shared))


@dataclass(frozen=True)
class Ranges:
    """The ends of all windows: `counts` neighbouring ones from `low` on in every lane, numbered through."""

    lanes: Index
    low: Index
    before: Index  # windows of the lanes before

    @classmethod
    def of(cls, low: Index, counts: Index) -> "Ranges":
        """Those of the lanes that have any."""
        lanes = np.flatnonzero(counts)
        return cls(lanes, low[lanes], np.append(0, np.cumsum(counts[lanes])))

    def at(self, index: Index) -> tuple[Index, Index]:
        """Lanes and ends of the windows with these numbers."""
        which = np.searchsorted(self.before, index, side="right") - 1
        return self.lanes[which], self.low[which] + index - self.before[which]


class Epoch:
    """The running epoch, set by Lightning where it looks for a sampler; `trainer.current_epoch` lags after a resume."""

    def __init__(self) -> None:
        self.number = 0

    @property
    def sampler(self) -> "Epoch":
        """Where Lightning looks."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Called before every epoch."""
        self.number = epoch


class Batches:
    """The batches of one rank: shuffled anew every epoch with a seed, or in a fixed order without one."""

    def __init__(self, store: Store, ends: Ranges, length: int, batch: int, seed: int | None, most: int | None) -> None:
        self.store, self.ends, self.length, self.batch, self.seed = store, ends, length, batch, seed
        self.windows = min(int(ends.before[-1]), most or int(ends.before[-1]))
        self.batch_sampler = Epoch()
        self.rank, self.ranks = 0, 1
        self._block: tuple[tuple[int, int], Index] | None = None

    def __len__(self) -> int:
        each = self.batch * self.ranks
        return max(self.windows // each, 1) if self.seed is not None else -(-self.windows // each)

    def __iter__(self) -> Iterator[Past]:
        return (self.at(self.batch_sampler.number, step) for step in range(len(self)))

    def at(self, epoch: int, step: int) -> Past:
        """The batch of this rank at a step of an epoch."""
        return self.store.past(*self.places(epoch, step), self.length)

    def places(self, epoch: int, step: int) -> tuple[Index, Index]:
        """Lanes and ends (B) of the windows of a batch."""
        low = (step * self.ranks + self.rank) * self.batch
        index = np.arange(low, low + self.batch)
        # Alone, a last batch may be short; ranks must make equal steps, so there it goes round.
        index = index[index < self.windows] if self.ranks == 1 else index % self.windows
        if self.seed is not None:
            return self.ends.at(self._order(index, epoch, self.seed))
        return self.ends.at(index * int(self.ends.before[-1]) // self.windows)  # evenly spread where not all are wanted

    def _order(self, index: Index, epoch: int, seed: int) -> Index:
        """The epoch's order at these places, worked out for many batches at once."""
        block = int(index.min()) // BLOCK
        if int(index.max()) // BLOCK != block:
            return permuted(index, self.windows, seed, epoch)
        if self._block is None or self._block[0] != (epoch, block):
            places = np.arange(block * BLOCK, min((block + 1) * BLOCK, self.windows))
            self._block = ((epoch, block), permuted(places, self.windows, seed, epoch))
        return self._block[1][index - block * BLOCK]


class Windows(pl.LightningDataModule):
    """Batches of context + horizon rows for training, and those behind them for validation."""

    def __init__(
        self,
        panel: Panel,
        train: Ends,
        context: int,
        horizon: int,
        batch_size: int,
        seed: int,
        end: Ends | None = None,
        channel_independent: bool = False,
        validation_windows: int | None = None,
        burn_in: int = 0,
    ) -> None:
        """Rows before `train` (S) are for training, those from there to `end` (S, default: all) for validation.

        So many rows of `burn_in` come before the context, missing where a series has none: they add no window and take none away.
        Of the validation windows at most so many are taken, evenly spread; all of them by default.
        """
        super().__init__()
        self.panel, self.context, self.horizon, self.batch_size, self.seed = panel, context, horizon, batch_size, seed
        self.train = np.asarray(train, dtype=np.int64)
        self.end = panel.lengths.numpy() if end is None else np.asarray(end, dtype=np.int64)
        self.validation_windows, self.burn_in = validation_windows, burn_in
        self._check_inputs()
        self.store = Store.of(panel, channel_independent)
        self._copies = len(self.store.series) // len(panel)

    def setup(self, stage: str) -> None:
        """Move the rows to the accelerator where they are few enough."""
        device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if device.type != "cpu" and self.store.nbytes <= RESIDENT:
            self.store = self.store.to(device)

    def train_dataloader(self) -> Batches:
        """Shuffled windows over the training rows."""
        whole = self.context + self.horizon
        usable = self.train > self.horizon  # at least one row of context
        if not usable.any():
            raise InputError(f"no series has more than {self.horizon} rows for training; take a shorter horizon")
        if not usable.all():
            logger.info("%d series of at most %d rows are not trained on", (~usable).sum(), self.horizon)
        low = np.minimum(self.train, whole)
        return self._batches(low, np.where(usable, self.train - low + 1, 0), self.seed, None)

    def val_dataloader(self) -> Batches | list[Batches]:
        """Windows over the rows from the cut on, in order; none where there are no such rows."""
        rows = self.end - self.train
        counts = np.where((rows > 0) & (self.train > 0), np.maximum(rows - self.horizon + 1, 1), 0)
        return self._batches(self.train + self.horizon, counts, None, self.validation_windows) if counts.any() else []

    def _batches(self, low: Index, counts: Index, seed: int | None, most: int | None) -> Batches:
        ends = Ranges.of(np.tile(low, self._copies), np.tile(counts, self._copies))
        length = self.burn_in + self.context + self.horizon
        batches = Batches(self.store, ends, length, self.batch_size, seed, most)
        if self.trainer is not None:
            batches.rank, batches.ranks = self.trainer.global_rank, self.trainer.world_size
        return batches

    def _check_inputs(self) -> None:
        """Every row of every series needs its inputs: the panel's own words where one lacks them."""
        if self.panel.known.names:
            for s, end in enumerate(self.end.tolist()):
                self.panel.future([0], end, [s])

"""Windows: against `Panel.past`, against counting by hand, and through Lightning with a kill in between."""

import time
from dataclasses import replace
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.errors import InputError
from forecast.series.clock import Clock
from forecast.series.panel import Known, Panel
from forecast.series.synthetic import cycles, walks
from forecast.series.windows import Batches, Windows
from forecast.types import Past


def rich_panel() -> Panel:
    """Ragged, two channels, gaps, irregular, with own, shared and static inputs."""
    panel = walks((50, 31, 7), channels=2, seed=3)
    generator = torch.Generator().manual_seed(1)
    rows = len(panel.values)
    values = torch.where(torch.rand(panel.values.shape, generator=generator) < 0.1, torch.nan, panel.values)
    stamps = torch.cat(
        [1000 + torch.randint(1, 90, (n,), generator=generator).cumsum(0) for n in panel.lengths.tolist()]
    )
    known = Known(("plan",), torch.rand(rows, 1, generator=generator, dtype=torch.float64), panel.first.clone())
    static = torch.rand(3, 2, generator=generator, dtype=torch.float64)
    return replace(
        panel,
        values=values,
        clock=Clock("irregular", 0, unit=30),
        stamps=stamps,
        start=stamps[panel.first[:-1]],
        known=known,
        static=static,
    )


def same(a: Past, b: Past) -> None:
    for one, two in zip(a, b, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0, equal_nan=True)


def oracle(panel: Panel, lanes: list[int], ends: list[int], length: int) -> Past:
    """The same windows one by one through `Panel.past`, padded on the left by hand."""
    parts = []
    for s, end in zip(lanes, ends, strict=True):
        past = panel.past([end], [s], length)
        short = length - past.values.shape[1]
        pad = [
            torch.full((1, short, part.shape[2]), fill, dtype=torch.float64)
            for part, fill in ((past.values, torch.nan), (past.inputs, 0.0))
        ]
        ones = torch.ones(1, short, dtype=torch.float64)
        parts.append(
            Past(
                torch.cat([pad[0], past.values], 1),
                torch.cat([pad[1], past.inputs], 1),
                torch.cat([ones, past.elapsed], 1),
                past.static,
            )
        )
    return Past(*(torch.cat(p) for p in zip(*parts, strict=True)))


@pytest.mark.parametrize("shared", [False, True])
def test_batches_are_the_rows_of_the_panel(shared: bool) -> None:
    panel = rich_panel()
    if shared:
        known = Known(
            ("own", "hour"), panel.known.own, panel.known.own_first, torch.rand(80, 1, dtype=torch.float64), -5
        )
        panel = replace(panel, clock=Clock("integer", 0), stamps=None, start=torch.tensor([3, 0, 11]), known=known)
    data = Windows(panel, panel.lengths - 4, context=9, horizon=3, batch_size=5, seed=2)
    for batches in (data.train_dataloader(), data.val_dataloader()):
        for step in range(len(batches)):
            lanes, ends = batches.places(0, step)
            inside = np.asarray(ends) <= panel.lengths.numpy()[lanes]
            assert inside.all()
            same(batches.at(0, step), oracle(panel, lanes.tolist(), ends.tolist(), 12))


def test_every_training_window_once_an_epoch_and_none_reaches_the_cut() -> None:
    panel = walks((60, 41, 12, 3, 2))
    train = np.array([50, 30, 9, 3, 2])
    batches = Windows(panel, train, context=10, horizon=2, batch_size=1, seed=5).train_dataloader()
    expected = [(0, e) for e in range(12, 51)] + [(1, e) for e in range(12, 31)] + [(2, 9), (3, 3)]
    for epoch in (0, 1):
        seen = [tuple(int(x[0]) for x in batches.places(epoch, k)) for k in range(len(batches))]
        assert sorted(seen) == expected and seen != expected
    assert [batches.places(0, k) for k in range(5)] != [batches.places(1, k) for k in range(5)]


def test_validation_windows_lie_behind_the_cut_and_all_count() -> None:
    panel = walks((60, 41, 12))
    data = Windows(panel, np.array([50, 39, 12]), context=10, horizon=5, batch_size=4, seed=0)
    batches = data.val_dataloader()
    seen = [(int(s), int(e)) for k in range(len(batches)) for s, e in zip(*batches.places(0, k), strict=True)]
    assert seen == [(0, e) for e in range(55, 61)] + [(1, 44)], "series 1 has two rows behind the cut, series 2 none"
    last = batches.at(0, len(batches) - 1)
    torch.testing.assert_close(last.values[-1, -5:-3], panel.series(1)[39:41])
    assert last.values[-1, -3:].isnan().all()
    assert Windows(panel, panel.lengths, context=10, horizon=5, batch_size=4, seed=0).val_dataloader() == []
    few = Windows(panel, np.array([50, 39, 12]), 10, 5, batch_size=4, seed=0, validation_windows=3).val_dataloader()
    assert [(int(s), int(e)) for s, e in zip(*few.places(0, 0), strict=True)] == [(0, 55), (0, 57), (0, 59)] and len(
        few
    ) == 1


def test_published_window_counts_of_etth1(real_data: Path) -> None:
    """Training windows of the LTSF loaders: 8640 − 336 − 96 + 1; validation 2880 − 96 + 1."""
    from forecast.series.catalogue import load

    (data,) = load("etth1", [real_data])
    windows = Windows(data.panel, data.borders.train, 336, 96, 32, 0, data.borders.validation)
    assert windows.train_dataloader().windows == 8209 and windows.val_dataloader().windows == 2785


def test_channels_become_batch() -> None:
    panel = replace(walks((40, 25), channels=3), target=torch.tensor([True, False, True]))
    panel = replace(panel, static=torch.tensor([[1.0], [2.0]], dtype=torch.float64))
    whole = Windows(panel, panel.lengths, context=6, horizon=2, batch_size=1000, seed=1).train_dataloader()
    apart = Windows(
        panel, panel.lengths, context=6, horizon=2, batch_size=1000, seed=1, channel_independent=True
    ).train_dataloader()
    assert apart.windows == 2 * whole.windows
    batch, (lanes, ends) = apart.at(0, 0), apart.places(0, 0)
    for b, (lane, end) in enumerate(zip(lanes.tolist(), ends.tolist(), strict=True)):
        series, channel = lane % 2, 2 * (lane // 2)
        torch.testing.assert_close(batch.values[b, :, 0], panel.series(series)[end - 8 : end, channel])
        assert batch.static[b].item() == series + 1


def test_ranks_share_an_epoch_without_overlap() -> None:
    panel = walks((200,))
    whole = Windows(panel, panel.lengths, 10, 2, 4, 0).train_dataloader()
    ranks = [Batches(whole.store, whole.ends, 12, 4, 0, None) for _ in range(2)]
    for r, batches in enumerate(ranks):
        batches.rank, batches.ranks = r, 2
    seen = [
        tuple(ends) for batches in ranks for k in range(len(batches)) for ends in [batches.places(0, k)[1].tolist()]
    ]
    flat = [end for ends in seen for end in ends]
    assert len(set(flat)) == len(flat) == 8 * (whole.windows // 8)


class Line(pl.LightningModule):
    """One weight per context row; logs what it saw."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.map = torch.nn.Linear(12, 4, dtype=torch.float64)
        self.seen: list[Tensor] = []

    def training_step(self, batch: Past, index: int) -> Tensor:
        self.seen.append(batch.values[:, 0, 0].clone())
        values = batch.values[..., 0].nan_to_num(nan=0.0)
        return (self.map(values[:, :12]) - values[:, 12:]).square().mean()

    def validation_step(self, batch: Past, index: int) -> None:
        assert batch.values.shape[1] == 16

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.01)


def trainer(folder: Path, epochs: int) -> pl.Trainer:
    checkpoint = pl.callbacks.ModelCheckpoint(folder, save_last=True)
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[checkpoint],
    )


def test_resumed_training_sees_what_an_uninterrupted_one_sees(tmp_path: Path) -> None:
    panel = cycles(2, 120)

    def data() -> Windows:
        return Windows(panel, panel.lengths - 20, 12, 4, 16, seed=9)

    straight, first, second = Line(), Line(), Line()
    trainer(tmp_path / "a", 4).fit(straight, data())
    trainer(tmp_path / "b", 2).fit(first, data())
    (tmp_path / "b").rename(tmp_path / "kept")
    trainer(tmp_path / "b", 4).fit(second, data(), ckpt_path=tmp_path / "kept/last.ckpt", weights_only=True)
    torch.testing.assert_close(torch.cat(first.seen + second.seen), torch.cat(straight.seen), rtol=0, atol=0)
    assert torch.equal(second.map.weight, straight.map.weight)
    assert not torch.equal(first.seen[0], first.seen[len(first.seen) // 2]), "epochs differ"


def test_rows_are_never_laid_out() -> None:
    """A million rows and 900,000 windows of 512: the store is the panel itself, a batch costs its own rows."""
    panel = walks((1_000_000,))
    data = Windows(panel, panel.lengths - 1000, 448, 64, 32, 0)
    assert data.store.values.rows.data_ptr() == panel.values.data_ptr()
    batches = data.train_dataloader()
    start = time.process_time()
    for step in range(100):
        batches.at(3, step)
    assert time.process_time() - start < 1.0


def test_unknown_inputs_are_an_error_at_once() -> None:
    panel = walks((20,))
    panel = replace(panel, known=Known(("plan",), torch.zeros(15, 1, dtype=torch.float64), torch.tensor([0, 15])))
    with pytest.raises(InputError, match="'plan' is not known at row 15"):
        Windows(panel, panel.lengths, 4, 2, 8, 0)


def test_too_short_for_training_is_an_error() -> None:
    panel = walks((4, 5))
    with pytest.raises(InputError, match="more than 6 rows"):
        Windows(panel, panel.lengths, 4, 6, 8, 0).train_dataloader()

"""In any data set, for any model: what stands at or after a cutoff moves no forecast made there, byte for byte."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from forecast.experiment import compare
from forecast.experiment.backtest import Plan, backtest
from forecast.experiment.cells import Cell
from forecast.experiment.members import labelled, member, members
from forecast.experiment.weights import trainer
from forecast.experiment.work import Fitted
from forecast.series.catalogue import catalogue, find, load
from forecast.series.panel import Panel
from forecast.series.split import cutoffs

CHEAP = ("naive", "seasonal_naive", "drift", "window_average", "naive2", "ridge", "croston", "tsb")
SHIPPED = [name for name, entry in catalogue().items() if all(find(file, ()) for file in entry.files)]
ROWS, HORIZON = 300, 4


def small(panel: Panel) -> Panel:
    """The first rows of its first two series and channels, its season no longer than a tenth of them."""
    few = panel.select(range(min(2, len(panel))))
    few = few.head(few.lengths.clamp(max=ROWS))
    seasons = tuple(season for season in few.seasons if season <= ROWS // 10)
    return replace(
        few, values=few.values[:, :2], channels=few.channels[:2], target=few.target[:2] | True, seasons=seasons
    )


def forecasts(panel: Panel, words: tuple[str, ...], folder: Path) -> tuple[Plan, dict[str, list[Cell]]]:
    """Two cutoffs, weights trained for a few steps before the first."""
    plan = Plan(panel, cutoffs(panel, HORIZON, 2, short="skip"), HORIZON, ("mase",), processes=1)
    few = replace(trainer(), max_steps=2)

    def fit(one, model, of, ends) -> Fitted:  # type: ignore[no-untyped-def]
        return compare.trained(one, model, of, ends, plan, folder / "models", few)

    return plan, backtest(plan, labelled([member(word) for word in words]), folder / "cells", fit)


def nothing_moves(panel: Panel, words: tuple[str, ...], folder: Path) -> None:
    """Forecast, spoil every value from each cutoff on, forecast again."""
    plan, before = forecasts(panel, words, folder / "before")
    for k in range(len(plan.ends)):
        values = panel.values.clone()
        for s in range(len(panel)):
            low = int(panel.first[s]) + max(int(plan.ends[k, s]), 0)
            values[low : int(panel.first[s + 1])] = (
                1e6 * torch.arange(1, int(panel.first[s + 1]) - low + 1)[:, None] % 7e6
            )
        _, after = forecasts(replace(panel, values=values), words, folder / f"after-{k}")
        for word in words:
            for upto in range(k + 1):
                a, b = before[word][upto].quantiles.numpy(), after[word][upto].quantiles.numpy()
                assert a.tobytes() == b.tobytes(), f"{word}, cutoff {upto}, edited from cutoff {k}"
    assert any(np.isfinite(cell.quantiles.numpy()).any() for made in before.values() for cell in made)


@pytest.mark.parametrize("name", SHIPPED)
def test_data_that_is_shipped(name: str, tmp_path: Path) -> None:
    nothing_moves(small(load(name)[0].panel), CHEAP, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in catalogue() if name not in SHIPPED])
def test_every_other_data_set(name: str, tmp_path: Path, real_data: Path) -> None:
    nothing_moves(small(load(name, [real_data])[0].panel), CHEAP, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("word", [word for word in members() if word not in CHEAP])
def test_every_other_model(word: str, tmp_path: Path) -> None:
    panel = small(load("elnino")[0].panel)
    nothing_moves(replace(panel.head(panel.lengths.clamp(max=160)), seasons=(12,)), (word,), tmp_path)

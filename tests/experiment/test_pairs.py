"""Model against model: counted by hand on losses that are known."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from forecast.experiment import pairs
from forecast.experiment.leaderboard import leaderboard, table
from forecast.metrics.significance import diebold_mariano
from forecast.series.panel import panel_of
from tests.experiment.test_compare import panel, run


def test_every_pair_stands_once_each_way(tmp_path: Path) -> None:
    plan, cells = run(panel(series=20, rows=160), tmp_path, number=9)
    board = leaderboard(plan, cells)
    found = pairs.table(plan, board).set_index(["model", "against"])
    assert len(found) == 4 * 3
    losses = {
        m: torch.stack([c.tallies["mase"].total.mean((1, 2)) / c.tallies["mase"].weight.mean((1, 2)) for c in made], 1)
        for m, made in cells.items()
    }
    a, b = losses["ridge"], losses["naive"]
    assert found.loc[("ridge", "naive"), "win_rate"] == pytest.approx(float((a < b).double().mean()))
    assert found.loc[("ridge", "naive"), "win_rate"] + found.loc[("naive", "ridge"), "win_rate"] == pytest.approx(1)
    test = diebold_mariano(a, b)
    better = int(((test.adjusted < 0.05) & (test.statistic < 0)).sum())
    assert found.loc[("ridge", "naive"), "better"] == better == found.loc[("naive", "ridge"), "worse"] > 0
    assert found.loc[("ridge", "naive"), "tested"] == 20


def test_ranks_are_those_of_the_units(tmp_path: Path) -> None:
    plan, cells = run(panel(series=20, rows=100), tmp_path, models=("naive", "seasonal_naive", "drift"), number=2)
    board = leaderboard(plan, cells)
    frame, said = pairs.ranks(plan, board)
    tallies = [[cell.tallies["mase"] for cell in cells[model]] for model in frame["model"]]
    own = np.array([np.mean([t.total.sum((1, 2)) / t.weight.sum((1, 2)) for t in made], 0) for made in tallies])
    above, level = own[:, None] > own[None], own[:, None] == own[None]
    assert frame["rank"].tolist() == pytest.approx((0.5 + above.sum(1) + level.sum(1) / 2).mean(1).tolist())
    assert frame["model"][0] == "seasonal_naive" and said["units"] == 20 and said["p"] < 0.01


def test_few_cutoffs_of_one_series_tell_nothing(tmp_path: Path) -> None:
    plan, cells = run(panel(series=1), tmp_path, number=3)
    board = leaderboard(plan, cells)
    assert pairs.ranks(plan, board)[1]["distance"] is None
    assert pairs.table(plan, board)["tested"].eq(0).all()


def test_owa_is_one_for_naive2_and_undefined_outcomes_are_counted(tmp_path: Path) -> None:
    one = panel(series=2)
    flat = panel_of({"a": one.series(0)[:, 0], "flat": torch.full((130,), 3.0)}, seasons=(4,))
    plan, cells = run(flat, tmp_path, models=("naive2", "naive"), number=2)
    board = leaderboard(plan, cells)
    assert board.undefined == 2 * 4 and board.lost == 0
    rows = table(board).set_index(["metric", "model"])["value"]
    assert rows["owa", "naive2"] == 1
    ratios = [rows[word, "naive"] / rows[word, "naive2"] for word in ("smape", "mase")]
    assert rows["owa", "naive"] == pytest.approx(sum(ratios) / 2) and math.isfinite(ratios[0])

"""Comparisons: nothing looks ahead, nothing is fitted twice, failures are counted, verdicts are earned."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from forecast.experiment import leaderboard as board_of
from forecast.experiment import tables
from forecast.experiment.backtest import Plan, backtest, usual_cutoffs
from forecast.experiment.cells import Cell, merge, read, write
from forecast.experiment.members import labelled, member
from forecast.experiment.work import Bounds, Fitted
from forecast.metrics import METRICS
from forecast.metrics.independence import units
from forecast.metrics.pooling import pooled, stack
from forecast.series.panel import Panel, panel_of
from forecast.series.split import cutoffs

MODELS = ("naive", "seasonal_naive", "drift", "ridge")


def panel(series: int = 3, rows: int = 130, seed: int = 0) -> Panel:
    """Seasonal series with noise and a gap."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(rows, dtype=torch.float64)
    made = {}
    for s in range(series):
        values = (
            50
            + 5 * s
            + 4 * torch.sin(2 * math.pi * time / 4 + s)
            + torch.randn(rows, generator=generator, dtype=torch.float64)
        )
        values[20 + s] = math.nan
        made[f"s{s}"] = values
    return panel_of(made, seasons=(4,))


def run(
    of: Panel, folder: Path, models: tuple[str, ...] = MODELS, number: int = 3, **settings: object
) -> tuple[Plan, dict[str, list[Cell]]]:
    plan = Plan(of, cutoffs(of, 4, number), 4, ("mase", "smape", "coverage"), **settings)  # type: ignore[arg-type]
    members = labelled([member({"name": word, "context": 24} if word == "ridge" else word) for word in models])
    return plan, backtest(plan, members, folder, lambda *_: Fitted())


def test_values_after_a_cutoff_move_nothing_before_it(tmp_path: Path) -> None:
    one = panel()
    plan, before = run(one, tmp_path / "a")
    edited = one.values.clone()
    last = int(plan.ends[-1, 0])
    for s in range(len(one)):
        edited[int(one.first[s]) + last : int(one.first[s + 1])] = 1e6
    _, after = run(Panel(**{**vars(one), "values": edited}), tmp_path / "b")
    for model in before:
        for k in range(len(plan.ends)):
            assert torch.equal(before[model][k].quantiles, after[model][k].quantiles), f"{model}, cutoff {k}"
        assert not torch.equal(before[model][-1].actual, after[model][-1].actual)


def test_finished_pieces_are_not_done_again(tmp_path: Path) -> None:
    one = panel()
    _, first = run(one, tmp_path)
    files = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    victim = sorted(files)[0]
    victim.write_bytes(victim.read_bytes()[:100])  # killed while it was written, had it not been written in one step
    _, second = run(one, tmp_path)
    again = [path for path, time in files.items() if path.stat().st_mtime_ns != time]
    assert again == [victim]
    for model in first:
        for a, b in zip(first[model], second[model], strict=True):
            assert torch.equal(a.quantiles, b.quantiles)


def test_other_data_is_another_piece(tmp_path: Path) -> None:
    _, first = run(panel(), tmp_path)
    _, second = run(panel(seed=1), tmp_path)
    assert not torch.equal(first["naive"][0].quantiles, second["naive"][0].quantiles)


def test_a_series_too_short_fails_by_name_and_alone(tmp_path: Path) -> None:
    one = panel()
    values = one.values.clone()
    values[int(one.first[1]) : int(one.first[2])] = math.nan
    values[int(one.first[2]) - 5 : int(one.first[2])] = 3.0
    broken = Panel(**{**vars(one), "values": values})
    plan, cells = run(broken, tmp_path, number=1)
    assert set(cells["naive"][0].failed) == {1}
    board = board_of.leaderboard(plan, cells)
    assert math.isfinite(board.standings["mase"]["naive"].value)
    listed = tables.failures(plan, cells)
    assert set(listed["unique_id"]) == {"s1"}


def test_a_model_that_fails_everywhere_takes_no_cells_from_the_others(tmp_path: Path) -> None:
    plan, cells = run(panel(), tmp_path)
    nothing = [
        cell._replace(tallies={w: type(t)(t.total * 0, t.weight * 0) for w, t in cell.tallies.items()})
        for cell in cells["naive"]
    ]
    board = board_of.leaderboard(plan, {**cells, "broken": nothing})
    assert math.isnan(board.standings["mase"]["broken"].value) and board.order[-1] == "broken"
    assert math.isfinite(board.standings["mase"]["ridge"].value) and board.lost == 0


def test_what_is_said_of_a_model_is_kept_with_its_cells(tmp_path: Path) -> None:
    _, cells = run(panel(), tmp_path, number=1)
    for note in ("", "trained weights not kept"):
        write(tmp_path / "cell", cells["ridge"][0]._replace(note=note), "f")
        kept = read(tmp_path / "cell", "f")
        assert kept is not None and merge([kept, cells["ridge"][0]]).note == note


def test_stand_in_fills_failed_series_and_keeps_them_listed(tmp_path: Path) -> None:
    _, cells = run(panel(), tmp_path, number=1)
    gone = torch.full_like(cells["ridge"][0].mean[:1], math.nan)
    hole = cells["ridge"][0]
    hole = hole._replace(mean=torch.cat([gone, hole.mean[1:]]), failed={0: "made to fail"})
    filled = board_of.stand_in({**cells, "ridge": [hole]}, "seasonal_naive")["ridge"][0]
    assert torch.equal(filled.mean[0], cells["seasonal_naive"][0].mean[0])
    assert torch.equal(filled.mean[1:], cells["ridge"][0].mean[1:])
    assert filled.failed == {0: "made to fail"}


def test_few_blocks_cannot_tell_many_can(tmp_path: Path) -> None:
    few, cells = run(panel(), tmp_path / "few", number=3)
    board = board_of.leaderboard(few, cells)
    assert board.plan is None and {
        s.against_reference.word for s in board.standings["mase"].values() if s.against_reference
    } == {"cannot tell"}
    assert all(math.isnan(s.low) for s in board.standings["mase"].values())
    assert "too few independent cutoffs" in board_of.verdict(few, board)[0]
    many, cells = run(panel(series=24), tmp_path / "many", number=2)
    board = board_of.leaderboard(many, cells)
    naive = board.standings["mase"]["naive"]
    assert naive.against_reference is not None and naive.against_reference.word == "worse"
    assert naive.low < naive.value < naive.high
    sentence, details = board_of.verdict(many, board)
    assert sentence.startswith("On 24 series over 2 cutoffs, ") and any(
        "draws of 24 series" in line for line in details
    )


@pytest.mark.parametrize(
    ("series", "rows", "step", "number"), [(1, 64, None, 8), (1, 63, None, 5), (1, 68, 2, 16), (20, 640, None, 5)]
)
def test_few_series_have_cutoffs_enough_to_judge_chance(
    series: int, rows: int, step: int | None, number: int
) -> None:
    found = usual_cutoffs(panel(series=series, rows=rows), 4, step)
    assert found == number and (found < 8 or units(series, found, 4, step or 4).enough)


def test_tables_say_what_the_cells_say(tmp_path: Path) -> None:
    plan, cells = run(panel(), tmp_path)
    long = tables.forecasts(plan, cells)
    assert list(long.columns[:4]) == ["unique_id", "ds", "model", "mean"] and long["lead"].max() == 4
    one = long[(long["model"] == "naive") & (long["unique_id"] == "s1") & (long["cutoff"] == plan.ends[1, 1])]
    assert np.array_equal(one["mean"], cells["naive"][1].mean[1, :, 0].numpy())
    assert np.array_equal(one["ds"], np.arange(plan.ends[1, 1], plan.ends[1, 1] + 4))
    board = board_of.leaderboard(plan, cells)
    value = pooled(METRICS["mase"], stack([cell.tallies["mase"] for cell in cells["ridge"]]))
    assert board.standings["mase"]["ridge"].value == pytest.approx(value)
    rows = board_of.table(board)
    assert set(rows["versus_best"]) <= {"", "better", "worse", "cannot tell"}
    below = board_of.calibration(plan, cells)
    assert (below.groupby("model")["below"].apply(lambda s: s.is_monotonic_increasing)).all()


def test_bounds_are_kept(tmp_path: Path) -> None:
    _, cells = run(panel(), tmp_path, models=("naive",), number=1, bounds=Bounds(minimum=49.0, integer=True))
    quantiles = cells["naive"][0].quantiles
    assert bool((quantiles >= 49).all()) and torch.equal(quantiles, quantiles.round())


def test_damaged_and_foreign_cells_are_read_as_absent(tmp_path: Path) -> None:
    run(panel(), tmp_path, models=("naive",), number=1)
    path = next(tmp_path.rglob("*.safetensors"))
    assert read(path, "another fingerprint") is None
    path.write_bytes(b"nonsense")
    assert read(path, "any") is None


def test_csv_cells_are_no_formulas(tmp_path: Path) -> None:
    import pandas as pd

    tables.save(tmp_path, {"t.csv": pd.DataFrame({"unique_id": ["=cmd()", "-1", "ok"], "y": [-1.5, 2.0, 3.0]})})
    assert (tmp_path / "t.csv").read_text().splitlines() == ["unique_id,y", "'=cmd(),-1.5", "'-1,2.0", "ok,3.0"]

"""forecast detect: from a file to events, with an exit code; budgets, clocks and words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import forecast as fc
from forecast.errors import InputError
from forecast.experiment.detection import calm_rows, detect, rate_of, ready
from forecast.experiment.detectors import build, words
from forecast.models.naive import Naive
from forecast.series.clock import Clock
from forecast.series.panel import Panel, panel_of
from tests.experiment.line import forecast


def table(folder: Path, spike: float) -> Path:
    generator = np.random.default_rng(0)
    values = 20 + generator.normal(size=(1500, 2))
    values[1200:1203, 1] += spike
    times = pd.date_range("2026-01-01", periods=1500, freq="h")
    file = folder / "pump.csv"
    pd.DataFrame({"time": times, "flow": values[:, 0], "heat": values[:, 1]}).to_csv(file, index=False)
    return file


def test_a_spike_is_an_event_and_exit_code_3(tmp_path: Path) -> None:
    file = table(tmp_path, 25.0)
    said = forecast("detect", f"data.path={file}", "model=naive", f"out={tmp_path}", "data.season=[]", "--debug")
    assert said.code == 3, said.err
    folder = tmp_path / "detect" / "latest"
    events = pd.read_csv(folder / "events.csv")
    worst = events.sort_values("score").iloc[-1]
    assert worst["top_channels"].split()[0] == "heat"
    assert worst["start"] == "2026-02-20 00:00:00"
    scores = pd.read_parquet(folder / "scores.parquet")
    columns = ["unique_id", "ds", "value", "expected", "lower", "upper", "score", "p_value", "alarm"]
    assert list(scores.columns[:9]) == columns
    assert (scores["alarm"] == (scores["score"] >= 0.5)).all()
    page = (folder / "report.html").read_text()
    assert "Events, the worst first" in page and "<script" not in page


def test_nothing_to_find_is_exit_code_0(tmp_path: Path) -> None:
    file = table(tmp_path, 0.0)
    rare = "false_alarm_rate=1e-7"
    said = forecast("detect", f"data.path={file}", "model=naive", f"out={tmp_path}", "data.season=[]", rare)
    assert said.code == 0, said.out + said.err
    assert "No event" in said.out


def test_a_misspelt_detector_or_parameter_is_told(tmp_path: Path) -> None:
    file = table(tmp_path, 0.0)
    said = forecast("detect", f"data.path={file}", "detector=standart")
    assert said.code == 2 and "standard" in said.err
    said = forecast("detect", f"data.path={file}", "model=naive", "detector.gard=1e-5", f"out={tmp_path}")
    assert said.code == 2 and "detector.guard" in said.err


def test_budgets_by_the_clock() -> None:
    hourly = panel_of([torch.zeros(48)], Clock("time", pd.Timestamp("2026-01-01"), "h"))
    assert rate_of(hourly, 0.24, None) == pytest.approx(0.01)
    assert rate_of(hourly, None, 0.2) == 0.2
    numbered = panel_of([torch.zeros(48)])
    assert rate_of(numbered, None, None) == 1e-3
    with pytest.raises(InputError, match="false_alarm_rate="):
        rate_of(numbered, 1.0, None)
    with pytest.raises(InputError, match="give one"):
        rate_of(hourly, 1.0, 0.1)
    with pytest.raises(InputError, match="not between"):
        rate_of(hourly, 24.0, None)


def test_rows_after_the_calm_ones_do_not_move_the_thresholds() -> None:
    def seen(panel: Panel) -> list[bytes]:
        return ready(Naive(), build("standard", 1e-3), panel, calm_rows(panel, 300)).records()

    values = torch.randn(600, generator=torch.Generator().manual_seed(0))
    edited = values.clone()
    edited[300:] = 1e6
    assert seen(panel_of([values])) == seen(panel_of([edited]))


@pytest.mark.parametrize("word", words())
def test_every_word_detects_a_jump(word: str) -> None:
    values = torch.randn(900, generator=torch.Generator().manual_seed(1))
    values[700:] += 30
    panel = panel_of([values])
    calm = calm_rows(panel, 0.5)
    found = detect(ready(Naive(), build(word, 1e-3), panel, calm), panel, calm, gap=5)
    assert 700 in set(found.events["start"]) | set(found.events["peak"])
    assert found.rows == 450


def test_from_python_and_the_monitor_goes_on() -> None:
    values = torch.randn(800, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    values[750] = 40
    panel = panel_of([values])
    scores, events = fc.detect(panel, false_alarm_rate=1e-4, model="naive", calm=700)
    assert len(scores) == 100 and events.loc[0, "peak"] == 750
    monitor = fc.Monitor("naive", panel.head(np.array([700])), false_alarm_rate=1e-4)
    rows = panel.past([800], context=100)
    live = torch.cat([monitor.observe(row).score for row in rows.each()])
    assert live.tolist() == pytest.approx(scores["score"].tolist(), abs=1e-12)

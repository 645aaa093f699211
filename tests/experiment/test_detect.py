"""forecast detect: from a file to events, with an exit code; budgets, clocks and words."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import average_precision_score, f1_score

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
    assert worst["top_channels"].split("; ")[0] == "heat"
    assert pd.Timestamp(worst["start"]) == pd.Timestamp("2026-02-20")
    scores = pd.read_parquet(folder / "scores.parquet")
    columns = ["unique_id", "ds", "value", "expected", "lower", "upper", "score", "p_value", "alarm"]
    assert list(scores.columns[:9]) == columns
    assert (scores["alarm"] == (scores["score"] >= 0.5)).all()
    page = (folder / "report.html").read_text()
    assert "Events, the worst first" in page and "<script" not in page


def test_a_card_shows_the_channel_to_blame_whatever_its_name(tmp_path: Path) -> None:
    """Names may hold spaces."""
    from forecast.report.detection import read

    noise = np.random.default_rng(0).normal(size=(400, 2))
    noise[350:360, 1] += 30
    frame = pd.DataFrame(noise, columns=["air heat", "flow rate RMS"])
    frame.insert(0, "time", pd.date_range("2026-01-01", periods=400, freq="h"))
    frame.to_csv(tmp_path / "p.csv", index=False)
    said = forecast("detect", f"data.path={tmp_path / 'p.csv'}", "calm=250", f"out={tmp_path}")
    assert said.code == 3, said.err
    tables = read(tmp_path / "detect" / "latest")
    worst = next(tables.events.itertuples())
    assert worst.top_channels == "flow rate RMS"
    channel, rows = tables.reading(worst)
    assert channel == "flow rate RMS" and float(rows["value"].max()) > 25


def test_nothing_to_find_is_exit_code_0(tmp_path: Path) -> None:
    file = table(tmp_path, 0.0)
    rare = "false_alarm_rate=1e-7"
    said = forecast("detect", f"data.path={file}", "model=naive", f"out={tmp_path}", "data.season=[]", rare)
    assert said.code == 0, said.out + said.err
    assert "No event" in said.out


def test_alarms_far_more_often_than_asked_are_told(tmp_path: Path) -> None:
    """A course that begins behind the calm rows: the clean file has no such word."""
    file = table(tmp_path, 0.0)
    words = ["model=naive", "data.season=[]", "false_alarm_rate=1e-2", f"out={tmp_path}"]
    assert "times as many as asked for" not in forecast("detect", f"data.path={file}", *words).out
    frame = pd.read_csv(file)
    frame.loc[300:, "flow"] += 12 * np.sin(np.arange(1200) / 3)
    frame.to_csv(file, index=False)
    said = forecast("detect", f"data.path={file}", *words).out
    assert "times as many as asked for" in said and "detector=adaptive" in said
    said = forecast("detect", f"data.path={file}", *words, "detector=adaptive").out
    assert "detector=adaptive" not in said


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


APART = {"discord", "lasting"}  # blind to levels, slow to tell, on purpose: what they find stands in tests/detect/


@pytest.mark.parametrize("word", sorted(set(words()) - APART))
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


def test_weights_are_trained_on_the_calm_rows() -> None:
    """A model of shared weights says what comes next as well as a Kalman filter does, and no row after the calm ones is used for it."""
    time = np.arange(700)
    wave = np.sin(2 * np.pi * time / 12) + 0.05 * np.random.default_rng(0).normal(size=700)
    panel = panel_of([torch.from_numpy(wave)], seasons=(12,))
    scores, _ = fc.detect(panel, false_alarm_rate=1e-3, model="lti", calm=500)
    off = (scores["expected"] - scores["value"]).abs()
    assert float(off.mean()) < 0.1
    changed = wave.copy()
    changed[500:] = wave[500:] * 3
    again, _ = fc.detect(
        panel_of([torch.from_numpy(changed)], seasons=(12,)), false_alarm_rate=1e-3, model="lti", calm=500
    )
    assert float(again["expected"].iloc[0]) == pytest.approx(
        float(scores["expected"].iloc[0]), abs=1e-5
    )  # float32, FFT


def labelled(folder: Path) -> Path:
    """Noise with a labelled stretch of large values, and one labelled row among the calm ones."""
    values = np.random.default_rng(4).normal(size=1200)
    label = np.zeros(1200, dtype=int)
    label[[50, *range(800, 820)]] = 1
    values[800:820] += 30
    times = pd.date_range("2026-01-01", periods=1200, freq="h")
    file = folder / "pump.csv"
    pd.DataFrame({"time": times, "heat": values, "bad": label}).to_csv(file, index=False)
    return file


def test_labelled_rows_are_judged_beside_chance(tmp_path: Path) -> None:
    file = labelled(tmp_path)
    options = ["model=naive", f"out={tmp_path}", "data.season=[]", "data.labels=bad", "calm=500"]
    said = forecast("detect", f"data.path={file}", *options, "detector=threshold", "false_alarm_rate=0.001")
    assert said.code == 3, said.err
    folder = tmp_path / "detect" / "latest"
    table = pd.read_csv(folder / "judged.csv").set_index("scores")
    assert list(table.index) == ["this run", "random", "always alarm"]
    assert "Against the labels" in said.out and "1 of the calm rows are labelled" in said.out
    scores = pd.read_parquet(folder / "scores.parquet")
    label = np.zeros(700, dtype=bool)
    label[300:320] = True
    alarm = scores["alarm"].to_numpy()
    assert table.loc["this run", "f1"] == pytest.approx(f1_score(label, alarm))
    assert table.loc["this run", "ap"] == pytest.approx(average_precision_score(label, scores["score"]))
    assert table.loc["this run", "event_recall"] == 1.0
    assert table.loc["this run", "delay_rows"] == np.flatnonzero(alarm[300:320])[0]
    days = 699 / 24
    assert table.loc["always alarm", "false_events_per_day"] == 0  # one run of alarms, which touches the label
    assert table.loc["this run", "false_events_per_day"] * days == pytest.approx(
        round(table.loc["this run", "false_events_per_day"] * days)
    )
    assert table.loc["always alarm", "f1"] == pytest.approx(2 * 20 / (700 + 20))
    assert table.loc["random", "vus_pr"] < 0.2 < table.loc["this run", "vus_pr"]
    assert "Against the labels" in (folder / "report.html").read_text()


def test_labels_of_nothing_behind_the_calm_rows_are_told(tmp_path: Path) -> None:
    file = labelled(tmp_path)
    options = ["model=naive", f"out={tmp_path}", "data.season=[]", "data.labels=bad", "calm=900"]
    said = forecast("detect", f"data.path={file}", *options, "false_alarm_rate=1e-7")
    assert "No row after the calm ones is labelled" in said.out
    assert not (tmp_path / "detect" / "latest" / "judged.csv").exists()

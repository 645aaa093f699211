"""The suite of training measures what it says, and goes on without its peers."""

import logging
from pathlib import Path

import pytest

from forecast.experiment import members
from forecast.experiment.benchmark import peers, speed_training
from forecast.experiment.config import Trainer

SETTINGS = Trainer("cpu", 1, 1, "auto", "32-true", None, 1000, 64, True, 5)


@pytest.mark.slow
def test_every_case_has_a_figure_and_the_size_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    small = {"CONTEXT": 60, "HORIZON": 6, "WINDOWS": 2, "STEPS": 3, "SIZE": 40_000, "WIDEST": 128, "DEEP": ("s4d",)}
    for name, value in small.items():
        monkeypatch.setattr(speed_training, name, value)
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "none")
    with caplog.at_level(logging.INFO, "forecast"):
        made = {(word, unit): value for _, word, value, unit in speed_training.figures(tmp_path, SETTINGS, ("neuralforecast",))}
    assert "neuralforecast: absent" in caplog.text
    large = "s4d, as large as PatchTST"
    units = {"lti": ("windows_per_cpu_s", "parameters")}
    units["s4d"] = units[large] = (*units["lti"], "forecasts_per_cpu_s")
    assert set(made) == {(word, unit) for word in units for unit in units[word]}
    # after rows 60, 36 and so on back to the quarter that is left out: 46 / 24 of a window, with all six leads
    assert made["s4d", "forecasts_per_cpu_s"] == pytest.approx(46 / 24 * made["s4d", "windows_per_cpu_s"])
    assert all(value > 0 for value in made.values())
    assert 40_000 <= made[large, "parameters"] < 60_000
    assert members.member("s4d").parameters.get("width") == 64, "the member itself is as it was"

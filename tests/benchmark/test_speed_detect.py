"""The suite of detection measures every case, and an absent peer is named."""

import logging
import math
from pathlib import Path

import pytest

from forecast.experiment.benchmark import peers, speed_detect


@pytest.mark.slow
def test_every_case_has_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name, small in {"SENSORS": 9, "MADE": 3, "CALM": 120, "ROWS": 14}.items():
        monkeypatch.setattr(speed_detect, name, small)
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "absent")
    caplog.set_level(logging.INFO, "forecast")
    made = list(speed_detect.figures(tmp_path, 1, ("river",)))
    assert all(math.isfinite(value) and value > 0 for _, _, value, _ in made)
    assert len(made) == 2 * (5 + 4) and "river: absent" in caplog.text

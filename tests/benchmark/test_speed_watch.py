"""The suite has a figure for every case, and an absent peer is named."""

import json
import logging
import math
from pathlib import Path
from typing import Any

import pytest

from forecast.errors import ForecastError
from forecast.experiment.benchmark import peers, speed_watch
from forecast.watch import measure


def at_once(folder: Path, **asked: Any) -> dict[str, float]:
    """The same step in this process."""
    case = {"prepare": measure.prepare, "rate": measure.rate, "latency": measure.latency}[asked.pop("case")]
    return case(folder, **asked)


def test_every_case_has_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(speed_watch, "SUBJECTS", ("moving", "moving"))
    monkeypatch.setattr(speed_watch, "PACED", 0.2)
    monkeypatch.setattr(speed_watch, "STEPS", 2)
    monkeypatch.setattr(speed_watch, "find_spec", lambda name: None)
    monkeypatch.setattr(speed_watch, "_ask", at_once)
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "absent")
    caplog.set_level(logging.INFO, "forecast")
    made = list(speed_watch.figures(tmp_path, 20, 100, 1000.0, ("river_watch", "spark")))
    assert all(math.isfinite(value) and value > 0 for *_, value, _ in made)
    units = {unit for *_, unit in made}
    assert {"readings_per_s", "readings_per_cpu_s", "peak_memory_mb", "fsync_ms", "store_mb", "latency_p99_ms"} <= units
    assert {subject for _, subject, *_ in made} == {"moving", "hybrid"}
    assert "river_watch: absent" in caplog.text and "spark: no pyspark" in caplog.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_step_answers_from_its_own_process(tmp_path: Path) -> None:
    with pytest.raises(ForecastError, match="no such file"):
        speed_watch._ask(tmp_path, case="rate", subject="moving", sensors=0, rows=0)
    asked = {"subject": "moving", "sensors": 20, "rows": 5}
    assert speed_watch._ask(tmp_path / "a", case="prepare", **asked)["state_bytes_per_sensor"] > 0
    assert json.dumps(speed_watch._ask(tmp_path / "a", case="rate", **asked))

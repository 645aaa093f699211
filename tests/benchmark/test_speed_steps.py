"""The suite of live rows measures every case, and the state has the same bytes after all of them."""

import math
from pathlib import Path

import pytest

from forecast.experiment.benchmark import speed_steps


def test_every_case_has_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {
        "STEPPED": (20, 60),
        "LONG": 400,
        "FAR": ("lti",),
        "FEWER": (20, 40),
        "LESS": 200,
        "STRETCH": 200,
        "FILLING": 30,
        "TIMED": 9,
        "SENSORS": 3,
        "ROUNDS": 1,
    }.items():
        monkeypatch.setattr(speed_steps, name, small)
    made = list(speed_steps.figures(tmp_path, ("lti", "s4d")))
    assert all(math.isfinite(value) and value >= 0 for _, _, value, _ in made) and len(made) == 2 * (3 * 3 + 1 + 3)
    warmed = {(case, word) for case, word, _, _ in made if case.endswith("warmed up")}
    assert warmed == {("1 sensor, 400 rows warmed up", "lti"), ("1 sensor, 200 rows warmed up", "s4d")}
    for word in ("lti", "s4d"):
        assert len({value for _, subject, value, unit in made if (subject, unit) == (word, "bytes")}) == 1

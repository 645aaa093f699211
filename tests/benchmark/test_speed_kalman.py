"""The suite measures what it says, and an absent peer is named."""

import logging
import math
from pathlib import Path

import pytest
import torch

from forecast.experiment.benchmark import peers, speed_kalman
from forecast.ssm import kalman


def test_every_case_has_a_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(speed_kalman, "LONG", 300)
    monkeypatch.setattr(speed_kalman, "SENSORS", 9)
    monkeypatch.setattr(peers, "PYTHON", tmp_path / "absent")
    caplog.set_level(logging.INFO, "forecast")
    made = list(speed_kalman.figures(tmp_path, 8, 60, 1, ("statsmodels",)))
    assert all(math.isfinite(value) and value > 0 for _, _, value, _ in made)
    assert len({case for case, _, _, _ in made}) == 3 + 1 + 2 + 1 + 4
    assert "statsmodels: absent" in caplog.text


def test_one_set_of_parameters_and_no_gaps() -> None:
    """The model of the suite has the likelihood that the torch twin gives it."""
    model, y = speed_kalman.structural(12), speed_kalman.series(3, 60, 12, missing=0.0)
    theta = speed_kalman.parameters(model, 3, spread=0.0)
    assert y.isfinite().all() and torch.equal(theta[0], theta[2])
    made = [
        kalman.loglik(model.program, model.coefficients(theta), model.start(3, y), y[..., None], engine=engine)
        for engine in kalman.ENGINES
    ]
    torch.testing.assert_close(*made, rtol=1e-10, atol=1e-10)

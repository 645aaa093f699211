"""Train, export, go on without torch: from the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast.portable import load
from tests.experiment.line import forecast


def test_the_exported_model_forecasts_what_predict_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    time = np.arange(200)
    sold = 100 + 10 * np.sin(2 * np.pi * time / 7) + np.random.default_rng(0).normal(size=200)
    days = pd.date_range("2026-01-05", periods=200, freq="D")
    pd.DataFrame({"ds": days, "sold": sold}).to_csv("shop.csv", index=False)
    said = forecast("train", "data.path=shop.csv", "horizon=7", "model=lti", "tracking=none")
    assert said.code == 0, said.err
    said = forecast("export", "run=latest")
    assert said.code == 0 and "with the states of 1 series" in said.out, said.err
    assert forecast("predict", "run=latest").code == 0
    machine = load("outputs/export/latest/model.npz")
    wanted = pd.read_parquet("outputs/predict/latest/forecasts.parquet")
    made = machine.predict(7)[0, :, 0, machine.levels.index(0.5)]
    assert made == pytest.approx(wanted["q0.5"].to_numpy(), abs=1e-4)
    machine.step(np.array([[sold[3]]]))
    assert not np.allclose(machine.predict(7)[0, :, 0, machine.levels.index(0.5)], made)

    assert forecast("train", "data.path=shop.csv", "horizon=7", "model=naive", "tracking=none").code == 0
    said = forecast("export", "run=latest")
    assert said.code == 2 and "cannot be exported" in said.err

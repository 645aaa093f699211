"""The M competitions by `forecast compare`: official test rows, every series, the organisers' figures to the last printed digit.

Source: Makridakis, Spiliotis & Assimakopoulos (2020), Int. J. Forecast. 36(1); figures of the series given by the official
forecasts (github.com/Mcompetitions/M4-methods).
"""

from pathlib import Path

import pandas as pd
import pytest

from tests.experiment.line import forecast


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders go to the test's own folder."""
    monkeypatch.chdir(tmp_path)


def board(*words: str) -> "pd.Series[float]":
    """Figures by metric and model of a comparison."""
    said = forecast("compare", "tracking=none", "metrics=[smape,mase]", *words)
    assert said.code == 0, said.err
    table = pd.read_csv("outputs/compare/latest/leaderboard.csv")
    return table.set_index(["metric", "model"])["value"]


def test_m4_hourly(real_data: Path) -> None:
    made = board("data=m4_hourly", "models=[naive2,seasonal_naive]")
    assert [f"{made[metric, 'naive2']:.3f}" for metric in ("smape", "mase")] == ["18.383", "2.395"]
    assert [f"{made[metric, 'seasonal_naive']:.3f}" for metric in ("smape", "mase")] == ["13.912", "1.193"]
    assert f"{made['owa', 'seasonal_naive']:.3f}" == "0.628"


def test_m4_weekly(real_data: Path) -> None:
    made = board("data=m4_weekly", "models=[naive2,naive]")
    assert [f"{made[metric, 'naive2']:.3f}" for metric in ("smape", "mase")] == ["9.161", "2.777"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_m4_hourly_with_the_baselines_under_a_time_cap(real_data: Path) -> None:
    made = board("data=m4_hourly", "models=[naive2,seasonal_naive,ets,theta,ridge]", "time_cap=20", "failed=seasonal_naive")
    assert [f"{made[metric, 'naive2']:.3f}" for metric in ("smape", "mase")] == ["18.383", "2.395"]
    assert all(made["mase", model] < made["mase", "naive2"] for model in ("ets", "theta", "ridge"))
    summary = pd.read_json("outputs/compare/latest/summary.json", typ="series")
    assert summary["failures"]["ridge"] == 0 and summary["stand_in"] == "seasonal_naive"

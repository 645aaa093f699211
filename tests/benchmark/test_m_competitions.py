"""The M competitions by `forecast compare`: official test rows, every series, the organisers' figures to the last printed digit.

Source: Makridakis, Spiliotis & Assimakopoulos (2020), Int. J. Forecast. 36(1); figures of the series given by the official
forecasts (github.com/Mcompetitions/M4-methods).
"""

from pathlib import Path

import pandas as pd
import pytest

from forecast.experiment import data
from forecast.experiment.benchmark import competitions
from forecast.series import catalogue
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
    made = board(
        "data=m4_hourly", "models=[naive2,seasonal_naive,ets,theta,ridge]", "time_cap=20", "failed=seasonal_naive"
    )
    assert [f"{made[metric, 'naive2']:.3f}" for metric in ("smape", "mase")] == ["18.383", "2.395"]
    assert all(made["smape", model] < made["smape", "naive2"] for model in ("ets", "theta", "ridge"))
    summary = pd.read_json("outputs/compare/latest/summary.json", typ="series")
    assert summary["failures"]["ridge"] == 0 and summary["stand_in"] == "seasonal_naive"


def test_the_m4_table_pools_frequencies_by_their_series(real_data: Path) -> None:
    words = ["benchmark=m4", "benchmark.sets=[m4_weekly,m4_yearly_sample]", "models=[naive]", "tracking=none"]
    assert forecast(*words).code == 0
    made = pd.read_csv("outputs/benchmark/latest/results.csv").set_index(["case", "subject", "unit"])["value"]
    assert f"{made['m4_weekly', 'naive2', 'smape']:.3f}" == "9.161"
    sizes = [made[case, "naive", "series"] for case in ("m4_weekly", "m4_yearly_sample")]
    parts = [made[case, "naive", "mase"] for case in ("m4_weekly", "m4_yearly_sample")]
    assert made["all", "naive", "mase"] == pytest.approx(
        sum(n * m for n, m in zip(sizes, parts, strict=True)) / sum(sizes)
    )
    assert made["all", "naive2", "owa"] == 1 and made["all", "naive", "failed"] == 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_auto_ssm_on_whole_sets(real_data: Path) -> None:
    """Better than Theta as submitted to M3 (13.441 and 1.422 on these series), than ETS and Theta on M4 Weekly."""
    words = ["models=[auto_ssm]", "tracking=none", "processes=1"]
    assert forecast("benchmark=m3", *words).code == 0
    made = pd.read_csv("outputs/benchmark/latest/results.csv").set_index(["case", "subject", "unit"])["value"]
    assert made["all", "auto_ssm", "smape_points"] < 13.2 and made["all", "auto_ssm", "mase"] < 1.422
    assert 0.87 <= made["all", "auto_ssm", "coverage"] <= 0.93
    assert forecast("benchmark=m4", "benchmark.sets=[m4_weekly]", *words).code == 0
    made = pd.read_csv("outputs/benchmark/latest/results.csv").set_index(["case", "subject", "unit"])["value"]
    assert made["m4_weekly", "auto_ssm", "owa"] < 0.8
    assert 0.87 <= made["m4_weekly", "auto_ssm", "coverage"] <= 0.93


def test_series_are_drawn_evenly(real_data: Path) -> None:
    words = ["benchmark=m4", "benchmark.sets=[m4_weekly]", "benchmark.series=7", "models=[naive]", "tracking=none"]
    assert forecast(*words).code == 0
    made = pd.read_csv("outputs/benchmark/latest/results.csv").set_index(["case", "subject", "unit"])["value"]
    assert made["m4_weekly", "naive", "series"] == 7
    whole = next(iter(catalogue.load("m4_weekly", data.folders())))
    drawn = competitions.evenly(whole, 7).panel
    assert drawn.names == tuple(whole.panel.names[k * 359 // 7] for k in range(7))
    assert competitions.evenly(whole, 0) is whole and competitions.evenly(whole, 500) is whole

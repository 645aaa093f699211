"""Train or compare, then predict: the rows after the end, from the command line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from forecast import load, predict
from forecast.series.read import read_csv
from tests.experiment.line import forecast

DAYS = pd.date_range("2026-01-05", periods=120, freq="D")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop whose promotions sell 40 more, in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)
    promotion = (np.arange(120) % 11 == 0).astype(int)
    noise = np.random.default_rng(0).normal(size=120)
    sold = 100 + 10 * (DAYS.day_of_week >= 5) + 40 * promotion + noise
    pd.DataFrame({"ds": DAYS, "sold": sold, "promotion": promotion}).to_csv("shop.csv", index=False)


def ahead(verb: str = "predict") -> pd.DataFrame:
    """The last forecasts."""
    return pd.read_parquet(f"outputs/{verb}/latest/forecasts.parquet")


def test_what_was_trained_forecasts_the_rows_after_the_end() -> None:
    words = ("data.path=shop.csv", "data.target=[sold]", "data.ignore=[promotion]", "horizon=7", "tracking=none")
    assert forecast("train", *words, "model=ridge", "model.context=14").code == 0
    said = forecast("predict", "run=latest")
    assert said.code == 0, said.err
    table = ahead()
    assert table["ds"].tolist() == list(pd.date_range("2026-05-05", periods=7, freq="D"))
    assert table.columns[:4].tolist() == ["unique_id", "ds", "model", "mean"]
    quantiles = table.filter(regex="^q").to_numpy()
    assert (np.diff(quantiles, axis=1) >= 0).all() and set(table["model"]) == {"ridge"}
    panel = read_csv("shop.csv", target=("sold",), ignore=("promotion",))
    again = predict(load("outputs/train/latest"), panel, horizon=7)
    assert again["q0.5"].to_numpy() == pytest.approx(table["q0.5"].to_numpy())


def test_the_winner_of_a_comparison_is_taken_and_named() -> None:
    words = ("data.path=shop.csv", "data.target=[sold]", "data.ignore=[promotion]", "horizon=7", "tracking=none")
    assert forecast("compare", *words, "models=[naive,seasonal_naive,naive2]", "cutoffs=3").code == 0
    best = pd.read_csv("outputs/compare/latest/leaderboard.csv")["model"][0]
    said = forecast("predict", "run=latest")
    assert f"{best} won the comparison" in said.out and set(ahead()["model"]) == {best}


def test_a_history_shorter_than_the_context_is_enough() -> None:
    words = ("data.path=shop.csv", "data.target=[sold]", "data.ignore=[promotion]", "horizon=7", "tracking=none")
    assert forecast("train", *words, "model=ridge", "model.context=28").code == 0
    pd.read_csv("shop.csv").tail(10).to_csv("short.csv", index=False)
    said = forecast("predict", "run=latest", "data.path=short.csv", "data.target=[sold]", "data.ignore=[promotion]")
    assert said.code == 0, said.err


def test_what_if_follows_the_plan_and_a_missing_plan_is_one_line() -> None:
    words = ("data.path=shop.csv", "data.target=[sold]", "data.inputs=[promotion]", "horizon=7", "tracking=none")
    assert forecast("train", *words, "model=ridge", "model.context=14").code == 0
    said = forecast("predict", "run=latest")
    assert said.code == 2 and said.err.count("\n") == 1 and "promotion" in said.err, said
    times = pd.date_range("2026-05-05", periods=7, freq="D")
    made = {}
    for name, row in (("never", 99), ("third", 2)):
        plan = pd.DataFrame({"ds": times, "promotion": [int(i == row) for i in range(7)]})
        plan.to_csv(f"{name}.csv", index=False)
        said = forecast("predict", "run=latest", f"inputs={name}.csv")
        assert said.code == 0, said.err
        made[name] = ahead()["q0.5"].to_numpy()
    gain = made["third"] - made["never"]
    assert gain[2] == pytest.approx(40, abs=2) and np.abs(np.delete(gain, 2)).max() < 1e-6


def test_calendar_inputs_come_by_one_key() -> None:
    words = ("data.path=shop.csv", "data.target=[sold]", "data.ignore=[promotion]", "horizon=7", "tracking=none")
    assert (
        forecast("train", *words, "data.calendar=[weekend]", "data.season=[1]", "model=ridge", "model.context=8").code
        == 0
    )
    said = forecast("predict", "run=latest")
    assert said.code == 0, said.err
    table = ahead()
    weekend = pd.DatetimeIndex(table["ds"]).day_of_week >= 5
    gain = table["q0.5"][weekend].mean() - table["q0.5"][~weekend].mean()
    assert gain == pytest.approx(10, abs=3)
    said = forecast("train", *words, "data.calendar=[weekdy]", "model=naive")
    assert (said.code, said.err.count("\n")) == (2, 1) and "weekday" in said.err

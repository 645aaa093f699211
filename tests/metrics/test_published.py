"""Published figures from the real data: M4 hourly and weekly benchmarks, GIFT-Eval's seasonal naive on ett1."""

from functools import lru_cache
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch import Tensor

from forecast.distribution import Gaussian
from forecast.metrics import METRICS, Outcome, Tally, naive_errors
from forecast.metrics.pooling import pooled, stack
from forecast.metrics.relative import owa


def point(values: Tensor) -> Gaussian:
    return Gaussian(values, torch.ones_like(values))


@lru_cache
def series(folder: Path, name: str) -> list[tuple[str, Tensor, Tensor]]:
    table = pd.read_csv(folder / "m4" / f"{name}.csv.gz")
    found = []
    for unique_id, rows in table.groupby("unique_id", sort=False):
        parts = [torch.tensor(rows.loc[rows["split"] == split, "y"].to_numpy()) for split in ("train", "test")]
        found.append((str(unique_id), parts[0], parts[1]))
    return found


def pooled_over(outcomes: list[Outcome], word: str) -> float:
    """Series one by one, for they differ in length."""
    tallies = [METRICS[word].tally(outcome) for outcome in outcomes]
    return pooled(METRICS[word], stack([Tally(*(torch.cat(parts) for parts in zip(*tallies, strict=True)))]))


def m4(folder: Path, name: str, season: int, official: str | None = None) -> tuple[float, float]:
    """sMAPE and MASE of the seasonal naive forecast, or of an official one, over all series."""
    table = pd.read_csv(folder / "m4" / "m4_official_benchmark_forecasts.csv.gz") if official else None
    theirs = {} if table is None else dict(iter(table.groupby("unique_id")))
    outcomes = []
    for unique_id, past, actual in series(folder, name):
        horizon = len(actual)
        if official:
            made = torch.tensor(theirs[unique_id][official].to_numpy()[:horizon])
        else:
            made = past[-season:].repeat(-(-horizon // season))[:horizon]
        scale = naive_errors(past[None, :, None], season)
        outcomes.append(Outcome(point(made[None, :, None]), actual[None, :, None], *scale))
    return pooled_over(outcomes, "smape"), pooled_over(outcomes, "mase")


def test_m4_hourly_seasonal_naive(real_data: Path) -> None:
    smape, mase = m4(real_data, "m4_hourly", 24)
    assert f"{smape:.3f}" == "13.912" and f"{mase:.3f}" == "1.193"


def test_m4_hourly_naive2_of_the_organisers_and_owa(real_data: Path) -> None:
    smape, mase = m4(real_data, "m4_hourly", 24, "Naive2")
    assert f"{smape:.3f}" == "18.383" and f"{mase:.3f}" == "2.395"
    # the organisers divided figures of three digits
    weighted = owa({"naive2": 18.383, "seasonal_naive": 13.912}, {"naive2": 2.395, "seasonal_naive": 1.193})
    assert weighted["seasonal_naive"] == pytest.approx(0.627453623361059, abs=1e-12) and weighted["naive2"] == 1


def test_m4_weekly_naive(real_data: Path) -> None:
    smape, mase = m4(real_data, "m4_weekly", 1)
    assert f"{smape:.3f}" == "9.161" and f"{mase:.3f}" == "2.777"


def test_gift_eval_seasonal_naive_on_ett1(real_data: Path) -> None:
    """ett1/15T short: 20 windows of 48 quarter-hours at the end, season 96, seven channels one by one."""
    table = pd.read_csv(real_data / "ett" / "ETTm1.csv.gz").drop(columns="date")
    values = torch.tensor(table.to_numpy(), dtype=torch.float64).T[..., None]  # (7 T 1)
    tallies: dict[str, list[Tally]] = {"mase": [], "mae": []}
    for window in range(20):
        cutoff = values.shape[1] - 48 * (20 - window)
        past, actual = values[:, :cutoff], values[:, cutoff : cutoff + 48]
        outcome = Outcome(point(past[:, -96:-48]), actual, *naive_errors(past, 96))
        for word, cells in tallies.items():
            cells.append(METRICS[word].tally(outcome))
    assert f"{pooled(METRICS['mase'], stack(tallies['mase'])):.4f}" == "0.9342"
    assert f"{pooled(METRICS['mae'], stack(tallies['mae'])):.4f}" == "1.4945"

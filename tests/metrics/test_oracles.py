"""Every metric against utilsforecast, scoringrules or the formula written out in NumPy, per series and pooled."""

import numpy as np
import pandas as pd
import pytest
import scoringrules
import torch
from utilsforecast import losses

from forecast.distribution import LEVELS as HEAD
from forecast.metrics import METRICS, Outcome
from forecast.metrics.pooling import by_series, pooled
from tests.metrics.cases import SEASON, T, outcome, past, tally

ONE = outcome(channels=1)
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)


def frame(of: Outcome) -> pd.DataFrame:
    """The long table that utilsforecast reads, without the rows that have no outcome."""
    y, f = of.actual[..., 0].numpy(), of.forecast.median[..., 0].numpy()
    series, leads = np.indices(y.shape)
    columns = {"unique_id": series.ravel(), "ds": T + leads.ravel(), "y": y.ravel(), "m": f.ravel()}
    for level in LEVELS:
        columns[f"m-q-{int(level * 100)}"] = of.forecast.quantile(level)[..., 0].numpy().ravel()
    for coverage in (90, 95):
        low, high = of.forecast.interval(coverage / 100)
        columns |= {f"m-lo-{coverage}": low[..., 0].numpy().ravel(), f"m-hi-{coverage}": high[..., 0].numpy().ravel()}
    return pd.DataFrame(columns).dropna()


def history() -> pd.DataFrame:
    values = past(1)[..., 0].numpy()
    series, rows = np.indices(values.shape)
    return pd.DataFrame({"unique_id": series.ravel(), "ds": rows.ravel(), "y": values.ravel()})


TABLE = frame(ONE)
THEIRS = {
    "mae": lambda: losses.mae(TABLE, ["m"]),
    "mse": lambda: losses.mse(TABLE, ["m"]),
    "rmse": lambda: losses.rmse(TABLE, ["m"]),
    "bias": lambda: losses.bias(TABLE, ["m"]),
    "mape": lambda: losses.mape(TABLE, ["m"]).assign(m=lambda t: 100 * t["m"]),
    "smape": lambda: losses.smape(TABLE, ["m"]).assign(m=lambda t: 200 * t["m"]),
    "wmape": lambda: losses.nd(TABLE, ["m"]),
    "mase": lambda: losses.mase(TABLE, ["m"], SEASON, history()),
    "rmsse": lambda: losses.rmsse(TABLE, ["m"], SEASON, history()),
    "coverage": lambda: losses.coverage(TABLE, ["m"], 90),
    "pinball": lambda: losses.mqloss(TABLE, {"m": [f"m-q-{int(level * 100)}" for level in LEVELS]}, np.array(LEVELS)),
}


@pytest.mark.parametrize("word", THEIRS)
def test_per_series_as_utilsforecast(word: str) -> None:
    ours = by_series(METRICS[word], tally(word, ONE))[:, 0].numpy()
    theirs = THEIRS[word]().sort_values("unique_id")["m"].to_numpy()
    assert np.allclose(ours, theirs, rtol=1e-12)


def test_msis_and_width_are_the_scaled_interval_score() -> None:
    scale = losses.mae(history().assign(m=lambda t: t.groupby("unique_id")["y"].shift(SEASON)).dropna(), ["m"])[
        "m"
    ].to_numpy()
    t = TABLE
    score = scoringrules.interval_score(t["y"].to_numpy(), t["m-lo-95"].to_numpy(), t["m-hi-95"].to_numpy(), 0.05)
    theirs = t.assign(score=score).groupby("unique_id")["score"].mean().to_numpy() / scale
    assert np.allclose(by_series(METRICS["msis"], tally("msis", ONE))[:, 0], theirs)
    wide = (t["m-hi-90"] - t["m-lo-90"]).groupby(t["unique_id"]).mean().to_numpy() / scale
    assert np.allclose(by_series(METRICS["width"], tally("width", ONE))[:, 0], wide)


def test_crps_and_scaled_crps() -> None:
    y, f = ONE.actual.numpy(), ONE.forecast
    theirs = scoringrules.crps_normal(y, f.mean.numpy(), np.sqrt(f.variance.numpy()))
    assert pooled(METRICS["crps"], tally("crps", ONE)) == pytest.approx(np.nanmean(theirs))
    scaled = np.nanmean(theirs / ONE.naive_error[:, None].numpy(), axis=(1, 2)).mean()
    assert pooled(METRICS["scaled_crps"], tally("scaled_crps", ONE)) == pytest.approx(scaled)


def test_wql_as_gift_eval_defines_it() -> None:
    """Per level 2 Σ pinball / Σ |y| over everything, then the mean over the nine levels."""
    y = TABLE["y"].to_numpy()
    ratios = []
    for level in LEVELS:
        gap = y - TABLE[f"m-q-{int(level * 100)}"].to_numpy()
        ratios.append(2 * np.maximum(level * gap, (level - 1) * gap).sum() / np.abs(y).sum())
    assert pooled(METRICS["wql"], tally("wql", ONE)) == pytest.approx(np.mean(ratios))


def test_wql_and_crps_of_many_levels_agree() -> None:
    """Twice the pinball loss, averaged over the levels, is the CRPS (Laio & Tamea 2007): nine deciles come near it."""
    y = ONE.actual.nan_to_num(20.0)
    whole = ONE._replace(actual=y)
    deciles = 2 * METRICS["pinball"].tally(whole).total
    assert torch.allclose(deciles.mean(), METRICS["crps"].tally(whole).total.mean(), rtol=0.1)


def test_pit_and_calibration_error() -> None:
    f = ONE.forecast.cdf(ONE.actual).numpy().ravel()
    f = f[np.isfinite(f)]
    assert pooled(METRICS["calibration"], tally("calibration", ONE)) == pytest.approx(
        np.mean([abs((f <= level).mean() - level) for level in HEAD])
    )
    assert pooled(METRICS["pit"], tally("pit", ONE)) == pytest.approx(f.mean(), abs=0.02)


def test_a_true_forecast_is_calibrated() -> None:
    true = outcome(channels=1, gaps=False)
    drawn = true._replace(actual=true.forecast.sample(400, torch.Generator().manual_seed(0)).reshape(-1, 5, 1))
    many = type(true.forecast)(true.forecast.mean.repeat(400, 1, 1), true.forecast.variance.repeat(400, 1, 1))
    scored = Outcome(many, drawn.actual, true.naive_error.repeat(400, 1), true.naive_square.repeat(400, 1))
    assert pooled(METRICS["calibration"], tally("calibration", scored)) < 0.01
    assert pooled(METRICS["pit"], tally("pit", scored)) == pytest.approx(0.5, abs=0.01)
    assert pooled(METRICS["coverage"], tally("coverage", scored)) == pytest.approx(0.9, abs=0.01)
    narrow = scored._replace(forecast=type(many)(many.mean, many.variance / 9))
    assert pooled(METRICS["calibration"], tally("calibration", narrow)) > 0.1

"""Pooling: which ratio is taken where, cells that do not count, channels, leads."""

import math

import pytest
import torch

from forecast.distribution import Gaussian
from forecast.metrics import METRICS, Metric, Outcome, Tally, naive_errors
from forecast.metrics.pooling import by_cell, by_lead, by_series, common, pooled, stack
from tests.metrics.cases import outcome, past, tally


def two(totals: list[list[float]], weights: list[list[float]]) -> Tally:
    """Two series of two leads: (2 1 2 1)."""
    return Tally(*(torch.tensor(part, dtype=torch.float64)[:, None, :, None] for part in (totals, weights)))


def test_each_way_to_pool_written_out() -> None:
    cells = two([[1.0, 3.0], [16.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])  # the second series has one cell
    expected = {
        "mean": (2 + 16) / 2,
        "root": (math.sqrt(2) + 4) / 2,
        "points": 20 / 3,
        "root of points": math.sqrt(20 / 3),
    }
    for pool, value in expected.items():
        assert pooled(Metric("m", "M", METRICS["mae"].tally, pool), cells) == pytest.approx(value)  # type: ignore[arg-type]


def test_m3_pools_smape_over_points_and_m4_over_series() -> None:
    cells = two([[10.0, 20.0], [90.0, 0.0]], [[1.0, 1.0], [1.0, 0.0]])
    assert pooled(METRICS["smape"], cells) == pytest.approx((15 + 90) / 2)
    assert pooled(METRICS["smape_points"], cells) == pytest.approx(120 / 3)


def test_channels_in_units_of_the_data_are_never_averaged() -> None:
    one = outcome(channels=2)
    metres = tally("mae", one)
    assert math.isnan(pooled(METRICS["mae"], metres)) and math.isnan(pooled(METRICS["rmse"], tally("rmse", one)))
    assert bool(by_series(METRICS["mae"], metres).isfinite().all())
    factor = torch.tensor([1.0, 1000.0], dtype=torch.float64)  # the same in other units
    other = Outcome(
        one.forecast.affine(0 * factor, factor),
        one.actual * factor,
        one.naive_error * factor,
        one.naive_square * factor**2,
    )
    for word in ("mase", "rmsse", "msis", "wql", "wmape", "scaled_crps", "smape", "coverage", "calibration"):
        assert pooled(METRICS[word], tally(word, one)) == pytest.approx(pooled(METRICS[word], tally(word, other))), word


def test_cells_that_one_model_lacks_count_for_none() -> None:
    whole, holes = tally("mase", outcome()), tally("mase", outcome(seed=3))
    holes = Tally(holes.total.clone(), holes.weight.clone())
    holes.total[0], holes.weight[0] = 0.0, 0.0
    kept, lost = common({"a": whole, "b": holes})
    assert torch.equal(kept["a"].weight, kept["b"].weight) and not kept["a"].weight[0].any()
    assert lost == int((whole.weight[0] > 0).sum())
    nothing = Tally(torch.zeros_like(whole.total), torch.zeros_like(whole.weight))
    kept, lost = common({"a": whole, "broken": nothing})
    assert (
        torch.equal(kept["a"].weight, whole.weight)
        and lost == 0
        and math.isnan(pooled(METRICS["mase"], kept["broken"]))
    )


def test_an_outcome_of_zero_counts_in_a_ratio_of_sums() -> None:
    actual = torch.tensor([[[0.0], [4.0]]], dtype=torch.float64)
    mean = torch.tensor([[[1.0], [4.0]]], dtype=torch.float64)
    scale = torch.ones(1, 1, dtype=torch.float64)
    right, wrong = (Outcome(Gaussian(m, torch.ones_like(m)), actual, scale, scale) for m in (actual, mean))
    kept, lost = common({"right": tally("wmape", right), "wrong": tally("wmape", wrong)})
    assert lost == 0
    assert pooled(METRICS["wmape"], kept["wrong"]) == pytest.approx(0.25)
    assert pooled(METRICS["wmape"], kept["right"]) == 0
    zeros = Outcome(right.forecast, 0 * actual, scale, scale)
    assert math.isnan(pooled(METRICS["wmape"], tally("wmape", zeros)))
    assert pooled(METRICS["smape"], tally("smape", right)) == 0  # 0 forecast as 0 is no error


def test_constant_series_have_no_scaled_error() -> None:
    values = past(1)
    values[0] = 7.0
    one = outcome(channels=1)._replace(naive_error=naive_errors(values, 4)[0])
    assert bool(by_series(METRICS["mase"], tally("mase", one))[0].isnan().all())
    assert math.isfinite(pooled(METRICS["mase"], tally("mase", one)))


def test_leads_and_cutoffs() -> None:
    first, second = METRICS["mase"].tally(outcome(seed=1)), METRICS["mase"].tally(outcome(seed=2))
    both = stack([first, second])
    assert both.total.shape == (6, 2, 5, 2)
    curve = by_lead(METRICS["mase"], both)
    for lead in range(5):
        part = Tally(both.total[:, :, lead : lead + 1], both.weight[:, :, lead : lead + 1])
        assert float(curve[lead]) == pytest.approx(pooled(METRICS["mase"], part))
    assert torch.allclose(
        by_cell(METRICS["mase"], both)[:, 0], by_series(METRICS["mase"], stack([first])), equal_nan=True
    )


def test_every_metric_has_its_word_title_and_direction() -> None:
    for word, metric in METRICS.items():
        assert metric.word == word and metric.title
        made = metric.tally(outcome())
        assert bool(made.total.isfinite().all() and made.weight.isfinite().all() and (made.weight >= 0).all())
        assert not bool(made.weight[2, 1].any())  # missing outcomes weigh nothing


def test_a_missing_forecast_weighs_nothing() -> None:
    one = outcome()
    mean = one.forecast.mean.clone()
    mean[3] = math.nan
    hole = one._replace(forecast=Gaussian(mean, torch.where(mean.isnan(), math.nan, one.forecast.variance)))
    for word, metric in METRICS.items():
        made = metric.tally(hole)
        assert not bool(made.weight[3].any()), word
        assert bool((made.weight[0] > 0).all()), word


def test_naive_errors_written_out() -> None:
    values = torch.tensor([[1.0, 2.0, 4.0, math.nan, 16.0], [3.0, 3.0, math.nan, math.nan, math.nan]]).double()[
        ..., None
    ]
    absolute, square = naive_errors(values, 2)
    assert absolute[0, 0] == (3 + 12) / 2 and square[0, 0] == (9 + 144) / 2
    assert absolute[1, 0] == 0  # no pair two rows apart: the pair one row apart
    longer = torch.cat([torch.full((2, 7, 1), math.nan, dtype=torch.float64), values], 1)
    assert torch.equal(naive_errors(longer, 2)[0], absolute)  # padding is invisible
    assert bool(naive_errors(values[:, :0], 2)[0].isnan().all() and naive_errors(values[:, :1], 1)[0].isnan().all())

"""Widths of one chosen form: the rule of few rows, held-out errors, and that intervals cover more for it."""

import math

import torch
from torch import Tensor

from forecast.models.auto import widths
from forecast.models.auto_sarima import AutoSarima
from forecast.models.sarima import Sarima
from forecast.models.tbats import Tbats
from forecast.ssm.arima import Arima
from forecast.types import Future, Past

D = torch.float64


def walks(rows: int, count: int, seed: int) -> Tensor:
    return torch.randn(count, rows, dtype=D, generator=torch.Generator().manual_seed(seed)).cumsum(1)


def test_errors_twice_as_large_as_expected_make_it_wider_by_less_than_two() -> None:
    usual = math.sqrt(2 / math.pi)
    size = torch.tensor([[usual, usual, 60, 60], [2 * usual, usual, 60, 60], [2 * usual, 0.0, 6, 0]], dtype=D)
    c = widths.own(size)
    torch.testing.assert_close(c[0], torch.ones(2, dtype=D))
    assert 1.3 < float(c[1, 0]) < 2 and float(c[1, 1]) == 1
    assert 1 < float(c[2, 0]) < float(c[1, 0]) and float(c[2, 1]) == 1, "few errors say little, none nothing"


def test_a_series_that_grew_restless_gets_wider_intervals() -> None:
    y = walks(120, 2, 0)
    y[1, 104:] = y[1, 103] + 3 * (y[1, 104:] - y[1, 103])
    calm = walks(120, 2, 0)
    for model in (AutoSarima(most=(1, 1, 0, 0), horizon=6), Tbats(horizon=6)):
        made = model.estimate(Past.of(torch.stack([y[1], calm[1]])[..., None]))
        assert bool((made.widen[0, 0] > 1.1 * made.widen[1, 0]).all()), made.widen[:, 0]
        assert float(made.widen[1, 0, 1]) > 1 + 13 / 120 - 0.5


def test_lanes_are_widened_by_themselves() -> None:
    y = walks(90, 3, 1)
    y[0, :40], y[1, 50] = math.nan, math.nan
    model = AutoSarima(most=(1, 0, 0, 0), horizon=4)
    together = model.estimate(Past.of(y[..., None])).widen
    alone = torch.cat([model.estimate(Past.of(one[None, :, None])).widen for one in y])
    torch.testing.assert_close(together, alone, rtol=1e-6, atol=0)


def test_too_few_rows_are_widened_by_the_rule_alone() -> None:
    model = AutoSarima(most=(1, 1, 0, 0), horizon=4)
    y = walks(9, 2, 2)
    y[1, :7] = math.nan
    widen = model.estimate(Past.of(y[..., None])).widen[:, 0]
    assert bool((widen[0] > 1).all())
    torch.testing.assert_close(widen[1], torch.ones(2, dtype=D))


def test_the_noise_of_sarima_is_that_of_the_next_row() -> None:
    """Mean squared error of the next row over what the model says of it, on 150 autoregressions of 30 rows: 1, not (n + k) / (n - k)."""
    noise = torch.randn(150, 81, dtype=D, generator=torch.Generator().manual_seed(4))
    path = [noise[:, 0]]
    for t in range(1, 81):
        path.append(0.5 * path[-1] + noise[:, t])
    y = torch.stack(path[50:], 1)
    model, past = Sarima(order=(2, 0, 1), seasonal=(0, 0, 0)), Past.of(y[:, :-1, None])
    fitted = model.estimate(past)
    made = model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 1))
    ratio = float(((made.mean[:, 0, 0] - y[:, -1]).square() / made.variance[:, 0, 0]).mean())
    k = Arima((2, 0, 1)).parameters
    assert ratio < (30 + k) / (30 - k), "what it would be without"
    assert ratio > 0.75

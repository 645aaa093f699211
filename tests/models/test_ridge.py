"""Ridge against dense least squares, and against the published closed-form rows on the long-horizon benchmark."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import Ridge as Reference
from torch import Tensor

from forecast.distribution import LEVELS
from forecast.errors import InputError
from forecast.models.normal_equations import symmetric_quantiles
from forecast.models.ridge import Held, Ridge
from forecast.types import Future, Past


def waves(batch: int, rows: int, channels: int = 1, noise: float = 0.3, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    time = torch.arange(rows, dtype=torch.float64)[None, :, None]
    wave = torch.sin(2 * math.pi * time / 12 + draw(batch, 1, channels))
    spread = 1 + draw(batch, 1, channels).abs()
    return 5 * draw(batch, 1, channels) + spread * (wave + noise * draw(batch, rows, channels))


def warmed(model: Ridge, past: Past) -> Held:
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    assert isinstance(state, Held)
    return state


def test_is_the_dense_ridge_over_all_windows() -> None:
    values, L, H = waves(2, 150, 2), 10, 5
    model = Ridge(context=L, horizon=H, channels=2, penalties=(0.03,))
    weight = model.estimate(Past.of(values)).weight[0]
    lanes = [lane / lane.std() for lane in values.transpose(1, 2).flatten(0, 1).numpy()]
    windows = np.concatenate([np.lib.stride_tricks.sliding_window_view(lane, L + H) for lane in lanes])
    windows = windows - windows[:, L - 1 : L]
    x, y = windows[:, :L], windows[:, L:]
    dense = Reference(alpha=0.03 * np.trace(x.T @ x) / L, fit_intercept=False).fit(x, y)
    np.testing.assert_allclose(weight, dense.coef_.T, rtol=1e-8, atol=1e-10)


def test_the_penalty_is_the_one_that_wins_on_the_last_rows() -> None:
    values = waves(1, 120, noise=1.5)
    maps = {p: Ridge(8, 3, penalties=(p,)).estimate(Past.of(values)).weight[0] for p in (1e-3, 1.0, 30.0)}
    lane = (values / values.std(correction=0))[0, :, 0]
    losses = {}
    for penalty in maps:
        windows = lane[:96].unfold(0, 11, 1) - lane[:96].unfold(0, 11, 1)[:, 7:8]
        gram = windows[:, :8].T @ windows[:, :8]
        weight = torch.linalg.solve(gram + penalty * gram.trace() / 8 * torch.eye(8), windows[:, :8].T @ windows[:, 8:])
        held_out = lane[88:].unfold(0, 11, 1) - lane[88:].unfold(0, 11, 1)[:, 7:8]
        losses[penalty] = float((held_out[:, 8:] - held_out[:, :8] @ weight).square().sum())
    best = min(losses, key=lambda penalty: losses[penalty])
    chosen = Ridge(8, 3, penalties=tuple(maps)).estimate(Past.of(values)).weight[0]
    torch.testing.assert_close(chosen, maps[best])
    assert len({round(loss, 6) for loss in losses.values()}) == 3


def test_intervals_cover_what_they_say() -> None:
    values = waves(30, 400, noise=0.5, seed=4)
    model = Ridge(context=24, horizon=12)
    state = warmed(model, Past.of(values[:, :300]))
    later = Past.of(values[:, 300:388])
    forecast, _ = model.trace(state, later, Future.of(later, 12), 12, every=4)
    actual = values[:, 300:].unfold(1, 12, 1)[:, ::4][:, : forecast.shape[1]].transpose(2, 3)
    low, high = forecast.interval(0.8)
    covered = ((actual >= low) & (actual <= high)).double().mean((0, 1, 3))
    assert bool(((covered - 0.8).abs() < 0.05).all()), covered


def test_conformal_quantiles_are_the_order_statistics() -> None:
    errors = torch.arange(1.0, 100.0)[:, None].flip(0)  # 99 of them: the level p is the 100 p-th
    quantiles = symmetric_quantiles(errors)[0]
    expected = [math.copysign(min(math.ceil(100 * abs(2 * level - 1) - 1e-9), 99), level - 0.5) for level in LEVELS]
    expected[LEVELS.index(0.5)] = 0.0
    assert quantiles.tolist() == expected


def test_known_inputs_are_used() -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(3, 210, 2, generator=generator, dtype=torch.float64)
    effect = torch.tensor([[2.0, -1.0], [0.0, 3.0], [1.0, 1.0]], dtype=torch.float64)
    values = waves(3, 210, noise=0.05) + torch.einsum("btk,bk->bt", inputs, effect)[:, :, None]
    past = Past.of(values[:, :200], inputs[:, :200])
    model = Ridge(context=24, horizon=10, inputs=2)
    state = warmed(model, past)
    torch.testing.assert_close(state.map.effects[:, 0], effect, atol=0.15, rtol=0)
    error = model.predict(state, Future(inputs[:, 200:], torch.ones(3, 10))).median - values[:, 200:]
    assert float(error.std()) < 0.3 < float(values[:, 200:].std())


def test_gaps_do_little_harm() -> None:
    values = waves(6, 300, noise=0.1)
    gone = torch.rand(values.shape, generator=torch.Generator().manual_seed(5)) < 0.05
    model = Ridge(context=24, horizon=12)
    full, gappy = (
        model.predict(warmed(model, Past.of(v[:, :288])), Future.of(Past.of(v), 12)).median
        for v in (values, torch.where(gone, torch.nan, values))
    )
    assert float((gappy - full).std()) < 0.35 * float(values.std((1, 2)).mean())


def test_too_short_series_have_no_forecast_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    model = Ridge(horizon=12)
    past = Past.of(waves(2, 20))
    forecast = model.predict(warmed(model, past), Future.of(past, 12))
    assert bool(forecast.median.isnan().all())
    assert "too short for horizon 12" in caplog.text


def test_more_leads_than_fitted_are_refused() -> None:
    model = Ridge(context=8, horizon=4)
    past = Past.of(waves(1, 80))
    with pytest.raises(InputError, match="horizon=5"):
        model.predict(warmed(model, past), Future.of(past, 5))


# MSE of the page's own ridge: data set, context, by horizon
LONG = {
    ("ETTh1", 336): {96: 0.3698, 192: 0.4029, 336: 0.4249, 720: 0.4208},
    ("ETTh2", 720): {96: 0.2675, 192: 0.3289, 336: 0.3520, 720: 0.3762},
}
CELLS = [(name, context, horizon) for (name, context), row in LONG.items() for horizon in row]


def squared_error(folder: Path, name: str, context: int, horizon: int) -> float:
    """Mean squared error over all test windows, standardised by the training rows."""
    rows = pd.read_csv(folder / "ett" / f"{name}.csv.gz").iloc[:14400, 1:].to_numpy()
    values = torch.from_numpy((rows - rows[:8640].mean(0)) / rows[:8640].std(0))[None]
    model = Ridge(context=context, horizon=horizon, channels=7)
    start = model.initial_state(model.estimate(Past.of(values[:, :8640])), torch.zeros(1, 0, dtype=torch.float64))
    state = model.warm_up(start, Past.of(values[:, :11520]))
    total, count = 0.0, 0
    for low in range(11520, 14400 - horizon + 1, 200):
        past = Past.of(values[:, low : min(low + 200, 14400 - horizon + 1)])
        made, state = model.trace(state, past, Future.of(past, horizon), horizon)
        actual = values[:, low : low + past.values.shape[1] + horizon - 1].unfold(1, horizon, 1).transpose(2, 3)
        total, count = total + float((made.median - actual).square().sum()), count + actual.numel()
    assert count == (2881 - horizon) * 7 * horizon
    return total / count


@pytest.mark.parametrize(("name", "context", "horizon"), [CELLS[0]])
def test_one_cell_of_the_long_horizon_benchmark(real_data: Path, name: str, context: int, horizon: int) -> None:
    assert squared_error(real_data, name, context, horizon) == pytest.approx(LONG[name, context][horizon], abs=0.003)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "context", "horizon"), CELLS[1:])
def test_the_long_horizon_benchmark(real_data: Path, name: str, context: int, horizon: int) -> None:
    assert squared_error(real_data, name, context, horizon) == pytest.approx(LONG[name, context][horizon], abs=0.003)

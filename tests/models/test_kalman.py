"""Kalman forecaster: fitted values, two forms bit for bit, gaps and clocks, company, units."""

import math
from collections.abc import Iterator

import pytest
import statsmodels.api as sm
import torch
from torch import Tensor

from forecast.models.kalman import Kalman
from forecast.types import Future, Past, leaves, take, tree_map


def nile() -> Tensor:
    return torch.tensor(sm.datasets.nile.load_pandas().data.volume.to_numpy(dtype=float))


@pytest.fixture(scope="module")
def past() -> Past:
    """Eight series of two channels: gaps, a late start, nothing observed, a constant, huge and tiny values."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.arange(72, dtype=torch.float64)
    y = torch.randn(8, 72, 2, dtype=torch.float64, generator=generator).cumsum(1)
    y = y + 3 * torch.sin(rows * 2 * math.pi / 4)[None, :, None]
    y[torch.rand(y.shape, generator=generator) < 0.1] = math.nan
    y[2, :40] = math.nan
    y[3] = math.nan
    y[5] = 7.0
    y[6] *= 1e30
    y[7] *= 1e-30
    return Past.of(y)


@pytest.fixture(scope="module")
def model() -> Iterator[Kalman]:
    yield Kalman.example()


@pytest.fixture(scope="module")
def fitted(model: Kalman, past: Past):  # type: ignore[no-untyped-def]
    return model.estimate(past)


def same(one: object, other: object) -> bool:
    return all(
        torch.equal(a.nan_to_num(9e99), b.nan_to_num(9e99)) for a, b in zip(leaves(one), leaves(other), strict=True)
    )


def test_nile_maximum_likelihood() -> None:
    """Reported maximum of the exact diffuse likelihood: 15097.8 and 1469.35."""
    parameters = Kalman(trend="none").estimate(Past.of(nile()[None, :, None]))
    variances = (parameters.theta.exp() * parameters.spread[..., None] ** 2)[0, 0]
    torch.testing.assert_close(variances, torch.tensor([15097.8, 1469.35], dtype=torch.float64), rtol=3e-4, atol=0)


def test_steps_and_chunks_are_warm_up_bit_for_bit(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    start = model.initial_state(fitted, past.static)
    whole = model.warm_up(start, past)
    stepped = start
    for row in past.each():
        stepped = model.step(stepped, row)
    assert same(whole, stepped)
    for cut in (1, 17, 41):
        assert same(whole, model.warm_up(model.warm_up(start, past.rows(0, cut)), past.rows(cut, 72)))


@pytest.mark.parametrize(("horizon", "every"), [(1, 1), (3, 5)])
def test_trace_is_predict_then_step(model: Kalman, past: Past, fitted, horizon: int, every: int) -> None:  # type: ignore[no-untyped-def]
    start = model.initial_state(fitted, past.static)
    made, end = model.trace(start, past, Future.of(past, horizon), horizon, every)
    state = start
    for w in range(made.shape[1]):
        ahead = model.predict(state, Future.of(past, horizon))
        assert same([part[:, w] for part in made.parts()], list(ahead.parts()))
        state = model.warm_up(state, past.rows(w * every, min((w + 1) * every, 72)))
    assert same(end, state)


def test_company_changes_no_bit(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    everyone = model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 4))
    for rows in (slice(0, 1), slice(2, 5), slice(6, 8)):
        few = take(past, rows)
        alone = model.predict(
            model.warm_up(model.initial_state(take(fitted, rows), few.static), few), Future.of(few, 4)
        )
        assert same(list(alone.parts()), list(everyone.rows(rows).parts()))


def test_a_fit_has_the_same_bits_in_any_company(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    for few in torch.arange(len(past.values)).split(3):
        assert same(model.estimate(take(past, few)), take(fitted, few))


def test_leading_missing_rows_are_invisible(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    padded = tree_map(lambda x: x, past)._replace(values=torch.cat([past.values[:, :9] * math.nan, past.values], 1))
    padded = Past.of(padded.values)
    start = model.initial_state(fitted, past.static)
    assert same(model.warm_up(start, past), model.warm_up(start, padded))


def test_a_distance_is_as_many_missing_rows(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    elapsed = torch.ones(8, 72, dtype=torch.float64)
    elapsed[:4, 30] = 3.0
    elapsed[4:, 50] = 2.0
    start = model.initial_state(fitted, past.static)
    apart = model.warm_up(start, past._replace(elapsed=elapsed))
    gap = past.values[:, :2] * math.nan
    first = Past.of(torch.cat([past.values[:4, :30], gap[:4], past.values[:4, 30:]], 1))
    second = Past.of(torch.cat([past.values[4:, :50], gap[4:, :1], past.values[4:, 50:]], 1))
    assert same(take(apart, slice(0, 4)), model.warm_up(take(start, slice(0, 4)), first))
    assert same(take(apart, slice(4, 8)), model.warm_up(take(start, slice(4, 8)), second))


def test_units(model: Kalman, past: Past) -> None:
    """forecast(a y + b) = a forecast(y) + b through estimate."""
    few = take(past, slice(0, 2))
    moved = Past.of(few.values * 40.0 - 700.0)
    made = [
        model.predict(model.warm_up(model.initial_state(model.estimate(p), p.static), p), Future.of(p, 4))
        for p in (few, moved)
    ]
    spread = few.values.nan_to_num().std()
    assert float((made[1].mean - (made[0].mean * 40.0 - 700.0)).abs().max()) < 1e-4 * 40 * float(spread)


def test_too_few_rows_are_a_missing_forecast(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    ahead = model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 4))
    assert ahead.mean[3].isnan().all() and ahead.variance[3].isnan().all()
    rest = [0, 1, 2, 4, 5, 6, 7]
    assert ahead.mean[rest].isfinite().all() and (ahead.variance[rest] >= 0).all()
    torch.testing.assert_close(ahead.mean[5], torch.full_like(ahead.mean[5], 7.0), rtol=0, atol=1e-9)


def test_no_rows_at_all(model: Kalman) -> None:
    nothing = Past.of(torch.empty(2, 0, 2, dtype=torch.float64))
    state = model.warm_up(model.initial_state(model.estimate(nothing), nothing.static), nothing)
    assert model.predict(state, Future.of(nothing, 3)).mean.isnan().all()


def test_torch_engine_gives_the_same_forecast(past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    made = []
    for engine in ("numba", "torch"):
        model = Kalman(trend="damped", season=4, channels=2, engine=engine)
        made.append(model.predict(model.warm_up(model.initial_state(fitted, past.static), past), Future.of(past, 6)))
    for one, other in zip(made[0].parts(), made[1].parts(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=0, equal_nan=True)


def test_inputs_are_used_and_shrunk() -> None:
    generator = torch.Generator().manual_seed(3)
    inputs = torch.randn(2, 130, 2, dtype=torch.float64, generator=generator)
    walk = 0.1 * torch.randn(2, 130, 1, dtype=torch.float64, generator=generator).cumsum(1)
    values = walk + 5 * inputs[..., :1] + 0.2 * torch.randn(2, 130, 1, dtype=torch.float64, generator=generator)
    model = Kalman(trend="none", inputs=2)
    past = Past.of(values[:, :120], inputs[:, :120])
    future = Future(inputs[:, 120:], torch.ones(2, 10, dtype=torch.float64))
    made = model.predict(model.warm_up(model.initial_state(model.estimate(past), past.static), past), future)
    assert float((made.mean - values[:, 120:]).abs().mean()) < 0.5


def test_widen_is_more_doubt_about_the_level(model: Kalman, past: Past, fitted) -> None:  # type: ignore[no-untyped-def]
    state = model.warm_up(model.initial_state(fitted, past.static), past)
    wider = model.widen(state, torch.full((8,), 9.0, dtype=torch.float64))
    before, after = (model.predict(s, Future.of(past, 2)).variance[0] for s in (state, wider))
    assert (after > before).all()


def test_a_day_and_a_week_of_half_hours_are_told_apart() -> None:
    """Six harmonics of 336 rows look like a level and a slope to the first rows: diffuse ones leave no digit, or no forecast."""
    generator, time = torch.Generator().manual_seed(0), torch.arange(1200, dtype=torch.float64)
    day, week = 2 * math.pi * time / 48, 2 * math.pi * time / 336
    walk = 0.01 * torch.randn(1200, generator=generator, dtype=torch.float64).cumsum(0)
    values = 10 * torch.sin(day) + 4 * torch.cos(2 * day) + 5 * torch.cos(week) + 2 * torch.sin(3 * week) + walk
    past, model = Past.of(values[None, :1152, None]), Kalman(seasons=(48, 336))
    with torch.no_grad():
        parameters = model.estimate(past)
        forecast = model.predict(model.warm_up(model.initial_state(parameters, past.static), past), Future.of(past, 48))
    low, high = forecast.interval(0.9)
    assert bool((low.isfinite() & high.isfinite()).all())
    assert float((forecast.median[0, :, 0] - values[1152:]).abs().mean()) < 0.2


def test_what_no_row_changes_is_the_same_leaf_whatever_the_spacing() -> None:
    values = torch.randn(3, 60, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).cumsum(1)
    model = Kalman(trend="full", season=4)
    past = Past.of(values)
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    assert not state.diffuse.any()
    for elapsed in (torch.ones(3, 2), torch.tensor([[1.0, 3.0], [2.0, 1.0], [1.0, 1.0]])):
        rows = Past.of(values[:, :2], elapsed=elapsed.double())
        ends = [model.warm_up(state, rows), model.trace(state, rows, Future.of(rows, 1))[1]]
        ends.append(model.step(state, next(rows.each())))
        for end in ends:
            assert end.fitted is state.fitted and end.coefs is state.coefs and end.diffuse is state.diffuse
            assert not torch.equal(end.mean, state.mean)

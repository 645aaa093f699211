"""A Stepper does what predict and step do, to the last bit, whatever series a row belongs to."""

import pytest
import torch

from forecast.models.forecaster import Forecaster
from forecast.models.kalman import Kalman
from forecast.models.naive import SeasonalNaive
from forecast.models.stepper import Stepper
from forecast.types import Future, Past, Row, State, leaves, put, take
from tests.laws.bench import bench

MEMBERS: list[type[Forecaster]] = [Kalman, SeasonalNaive]


@pytest.mark.parametrize("kind", MEMBERS)
def test_equal_to_step_and_predict(kind: type[Forecaster]) -> None:
    tried = bench(kind, batch=5)
    follow(tried.model, tried.model.warm_up(tried.start(), tried.past.rows(0, 30)), tried.past.rows(30, 60))


@pytest.mark.parametrize("begun", [0, 30])
def test_small_models_advance_many_together(begun: int) -> None:
    """Two states, two channels, seventy sensors: sixteen lanes where so many have a row; diffuse beliefs and late beginners too."""
    model, generator = Kalman("damped", channels=2), torch.Generator().manual_seed(2)
    values = torch.randn(70, 60, 2, dtype=torch.float64, generator=generator).cumsum(1)
    values[torch.rand(values.shape, generator=generator) < 0.1] = torch.nan
    values[3, :40], values[40, :, 1] = torch.nan, torch.nan
    past = Past.of(values)
    start = model.initial_state(model.estimate(past), past.static)
    follow(model, model.warm_up(start, past.rows(0, begun)) if begun else start, past.rows(begun, 60))


def follow(model: Forecaster, state: State, past: Past) -> None:
    """Row by row, of all series or of some."""
    live, count = Stepper(model, state), len(past.values)
    generator = torch.Generator().manual_seed(1)
    for number, row in enumerate(past.each()):
        many = number % 5 + 1 if count < 32 else number * 7 % count + 1
        who = None if number % 3 == 0 else torch.randperm(count, generator=generator)[:many]
        part = row if who is None else Row(*(leaf[who] for leaf in row))
        mine = state if who is None else take(state, who)
        future = Future(part.inputs[:, None], part.elapsed[:, None])
        expected = model.predict(mine, future)
        for a, b in zip(live.forecast(future, who).parts(), expected.parts(), strict=True):
            assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))
        mean, variance = live.moments(future, who)
        assert torch.equal(torch.from_numpy(mean).nan_to_num(7.0), expected.mean[:, 0].nan_to_num(7.0))
        assert torch.equal(torch.from_numpy(variance).nan_to_num(7.0), expected.parts()[1][:, 0].nan_to_num(7.0))
        after = model.step(mine, part)
        state = after if who is None else put(state, who, after)
        live.step(part, who)
    for a, b in zip(leaves(live.state), leaves(state), strict=True):
        assert torch.equal(a.nan_to_num(7.0), b.nan_to_num(7.0))


def test_owns_its_state() -> None:
    tried = bench(Kalman)
    state = tried.model.warm_up(tried.start(), tried.past)
    live, kept = Stepper(tried.model, state), [leaf.clone() for leaf in leaves(state)]
    shown = live.state
    live.step(next(tried.past.each()))
    live.step(Row(*(leaf[:1] for leaf in next(tried.past.each()))), torch.tensor([0]))
    for now, shown_leaf, before in zip(leaves(state), leaves(shown), kept, strict=True):
        assert torch.equal(now.nan_to_num(7.0), before.nan_to_num(7.0))
        assert torch.equal(shown_leaf.nan_to_num(7.0), before.nan_to_num(7.0))

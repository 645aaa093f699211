"""The linear part in closed form against least squares by hand, and that training never leaves the start for worse."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from forecast.layers.bank import NEXT
from forecast.layers.scale import whole_spread
from forecast.models import closed_form
from forecast.models.lti import LTIForecaster
from forecast.models.stack import StackForecaster
from forecast.types import Future, Past


def series(rows: int = 700, channels: int = 2, seed: int = 0) -> Tensor:
    """A daily cycle of two harmonics with autocorrelated noise, every channel in units of its own."""
    generator = torch.Generator().manual_seed(seed)
    time = torch.arange(rows, dtype=torch.float64)[:, None]
    noise = torch.randn(rows, channels, generator=generator, dtype=torch.float64)
    for t in range(1, rows):
        noise[t] += 0.7 * noise[t - 1]
    cycle = torch.sin(2 * torch.pi * time / 24) + 0.5 * torch.cos(4 * torch.pi * time / 24)
    return (3 * cycle + 0.5 * noise) * 10.0 ** torch.arange(channels) + 5


def fitted(past: Past, apart: int, horizon: int = 12) -> LTIForecaster:
    model = LTIForecaster(horizon=horizon, seasons=(24,), channels=past.values.shape[2])
    closed_form.fit(model, [(past, torch.full((past.values.shape[0],), apart))])
    return model


def test_before_anything_is_fitted_the_median_is_the_last_value() -> None:
    past = Past.of(series(60)[None])
    model = StackForecaster(blocks=("s4d",), horizon=8, seasons=(24,), channels=2).eval()
    with torch.no_grad():
        forecast = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, 8))
    assert torch.allclose(forecast.median, past.values[:, -1:].expand(1, 8, 2), rtol=1e-5)


def test_weights_are_those_of_weighted_least_squares(monkeypatch: pytest.MonkeyPatch) -> None:
    """One channel, one penalty: rows √w f and √w Φᵀz/H, with rows √λμ below them, by NumPy's lstsq."""
    monkeypatch.setattr(closed_form, "PENALTIES", (0.1,))
    past = Past.of(series(400, 1)[None])
    model = fitted(past, 80)
    with torch.no_grad():
        rows, units, moments = model.linear_features(past)
    whole = whole_spread(moments)
    phi, f = model.head.basis(torch.arange(1, 13)).numpy(), (rows[0, :, 0] * model.encoder.bank.spread).double().numpy()
    made = np.arange(100, 400 - 12)
    made = made[made + 12 < 320]
    loc, spread = units.loc[0, :, 0].numpy(), units.spread[0, :, 0].numpy()
    y = past.values[0, :, 0].numpy()
    z = np.stack([(y[t + 1 : t + 13] - loc[t]) / spread[t] for t in made])
    weight = np.minimum(spread[made] / float(whole), 3.0)
    scale = np.sqrt((weight[:, None] * f[made] ** 2).sum(0) / weight.sum())
    assert model.encoder.bank.spread.numpy() == pytest.approx(scale, rel=1e-4)
    x, root = f[made] / (model.encoder.bank.spread.numpy()), np.sqrt(weight / weight.sum())[:, None]
    mean = (root * x).T @ (root * x)
    ridge = np.sqrt(0.1 * np.trace(mean) / len(mean)) * np.eye(len(mean))
    found = model.head.weight[0].numpy()
    for prior in (np.zeros_like(found), last_value(model)):
        by_hand = np.linalg.lstsq(
            np.vstack([root * x, ridge]), np.vstack([root * (z @ phi / 12), ridge @ prior]), rcond=None
        )[0]
        if np.abs(by_hand - found).max() <= 1e-3 * np.abs(by_hand).max():
            return
    raise AssertionError("neither prior gives the weights found")


def last_value(model: LTIForecaster) -> "np.ndarray[tuple[int, ...], np.dtype[np.float64]]":
    """Weights (F J) that repeat the last value."""
    weight = np.zeros(tuple(model.head.weight.shape[1:]))
    weight[-1] = model.head.basis.constant().numpy() * float(model.encoder.bank.spread[-1])
    return weight


def test_it_forecasts_the_cycle_and_its_intervals_cover() -> None:
    past = Past.of(series(1400)[None])
    model = fitted(past.rows(0, 1000), 200)
    with torch.no_grad():
        state = model.warm_up(model.initial_state((), past.static), past.rows(0, 1000))
        made, _ = model.trace(state, past.rows(1000, 1388), Future.of(past, 12), 12)
    actual = past.values[:, 1000:].unfold(1, 12, 1)[:, :388].transpose(2, 3)
    naive = (actual - past.values[:, 999:1387, None]).abs().mean((0, 1, 2))
    assert bool(((made.median - actual).abs().mean((0, 1, 2)) <= 0.35 * naive).all())
    for coverage in (0.5, 0.9):
        low, high = made.interval(coverage)
        assert float(((actual >= low) & (actual <= high)).double().mean()) == pytest.approx(coverage, abs=0.08)


def test_missing_rows_change_little() -> None:
    """A third of the rows missing by chance: the forecast keeps to the cycle."""
    values = series(1000)[None]
    generator = torch.Generator().manual_seed(1)
    gaps = torch.where(torch.rand(values.shape, generator=generator) < 0.3, torch.nan, values)
    actual, past = values[:, 988:], Past.of(gaps[:, :988])
    model = fitted(past, 200)
    with torch.no_grad():
        forecast = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, 12))
    error, spread = (forecast.median - actual).abs().mean((0, 1)), values[0].std(0)
    assert bool((error <= 0.7 * spread).all())


def test_half_of_the_rows_missing_costs_little() -> None:
    """Each row missing by a coin: the error along 200 rows stays within half again of that without gaps."""
    values = series(1400, 1)[None]
    coin = torch.rand(values.shape, generator=torch.Generator().manual_seed(2)) < 0.5
    coin[:, :1000] = False
    model, actual = fitted(Past.of(values[:, :1000]), 200), values[:, 1100:].unfold(1, 12, 1)[:, :200].transpose(2, 3)
    error = []
    for seen in (values, torch.where(coin, torch.nan, values)):
        past = Past.of(seen)
        with torch.no_grad():
            state = model.warm_up(model.initial_state((), past.static), past.rows(0, 1100))
            made, _ = model.trace(state, past.rows(1100, 1300), Future.of(past, 12), 12)
        error.append(float((made.median - actual).abs().mean()))
    assert error[1] <= 1.5 * error[0]


def test_without_validation_rows_it_stays_at_the_last_value() -> None:
    past = Past.of(series(100)[None])
    model = fitted(past, 0)
    with torch.no_grad():
        forecast = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, 12))
    assert torch.allclose(forecast.median, past.values[:, -1:].expand(1, 12, 2), rtol=1e-4)


def test_a_training_that_gains_nothing_is_not_kept(tmp_path: Path) -> None:
    """With a rate that ruins the weights, the model ends at its closed form."""
    from dataclasses import replace

    from forecast.experiment.training import train
    from forecast.experiment.weights import trainer
    from forecast.series.panel import panel_of

    panel = replace(panel_of([series(500)]), seasons=(24,))
    model = StackForecaster(blocks=("s4d",), width=8, learning_rate=30.0, horizon=12, seasons=(24,), channels=2)
    settings = replace(trainer(), max_steps=12, context=96)
    torch.manual_seed(0)
    done = train(model, panel, panel.lengths.numpy(), 12, settings, 0, tmp_path)
    assert done.best == done.at_start and done.note == "trained weights not kept"
    assert bool(done.left_out["head.median.weight"].any())
    assert model.head.median is not None and not bool(model.head.median.weight.any())


def test_an_easy_series_keeps_its_accuracy_among_wild_ones() -> None:
    """Nine random walks and one clean cycle share a map: the cycle is foreseen nearly as well as alone."""
    generator = torch.Generator().manual_seed(3)
    walks = torch.randn(9, 600, 1, generator=generator, dtype=torch.float64).cumsum(1)
    clean = torch.sin(2 * torch.pi * torch.arange(600).double() / 24)[None, :, None] + 0.01 * walks[:1].diff(
        dim=1, prepend=walks[:1, :1]
    )
    past, actual = Past.of(torch.cat([clean, walks])[:, :588]), clean[0, 588:]
    model = fitted(past, 120)
    with torch.no_grad():
        forecast = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, 12))
    assert float((forecast.median[0] - actual).abs().mean()) <= 0.05


def test_a_burnt_in_state_is_that_after_all_rows() -> None:
    """The one product on a regular clock, the scan on an irregular one; scale and bank as after warming up."""
    past = Past.of(series(300)[None])
    model = LTIForecaster(horizon=12, seasons=(24,), channels=2)
    for gaps in (past.elapsed, 2 * torch.rand(past.elapsed.shape, generator=torch.Generator().manual_seed(0)).double()):
        some = past._replace(elapsed=gaps)
        with torch.no_grad():
            whole, burnt = model.warm_up(model.initial_state((), some.static), some), model.burnt_in(some)
        assert torch.equal(whole.moments, burnt.moments)
        a, b = whole.encoder.bank.modes, burnt.encoder.bank.modes
        assert float((a - b).abs().max()) <= 1e-5 * float(a.abs().max())


def test_leads_that_are_looked_up_are_those_that_are_computed() -> None:
    basis, lead = LTIForecaster(horizon=12, seasons=(24,)).head.basis, torch.arange(1, 13)
    assert torch.allclose(basis(lead), basis(lead.double()), rtol=1e-12, atol=1e-12)


def test_the_next_season_may_take_part_with_its_first_harmonics_alone() -> None:
    """A course of the week of one smooth wave is foreseen with the quick oscillators of the week left out, by word of the validation rows."""
    model = LTIForecaster(horizon=12, seasons=(24, 168), channels=1)
    bank = model.encoder.bank
    nothing, all_of_it, beside = closed_form._parts(model)
    assert not bool(nothing.any()) and torch.equal(all_of_it, bank.extra) and torch.equal(beside, bank.beside)
    assert bool((bank.extra | ~bank.beside).all()) and int((bank.extra & ~bank.beside).sum()) == 2 * NEXT
    per_week = 168 * bank.frequency.repeat(2)[bank.kept] / (2 * torch.pi)
    assert per_week[(bank.extra & ~bank.beside)[:-1]].round().unique().tolist() == list(range(1, NEXT + 1))


def test_a_training_shorter_than_an_epoch_is_validated(tmp_path: Path) -> None:
    """With more windows than steps the steps end inside an epoch: there is a validation all the same."""
    from dataclasses import replace

    from forecast.experiment.training import train
    from forecast.experiment.weights import trainer
    from forecast.series.panel import panel_of

    panel = replace(panel_of([series(900)]), seasons=(24,))
    model = StackForecaster(blocks=("s4d",), width=8, horizon=12, seasons=(24,), channels=2)
    settings = replace(trainer(), max_steps=2, context=48, batch_size=2)
    done = train(model, panel, np.array([900]), 12, settings, 0, tmp_path)
    assert done.steps == 2 and len(done.curves["validation_loss"]) == 1

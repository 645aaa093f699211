"""Many unlike series under one map: courses of the day far larger than what is left of them, some growing, some not."""

import torch
from torch import Tensor

from forecast.models import closed_form
from forecast.models.lti import LTIForecaster
from forecast.models.seasonal_lti import SeasonalLTI
from forecast.models.stack import StackForecaster
from forecast.types import Future, Past

SEASON, HORIZON, ROWS = 12, 24, 420


def panel(seed: int = 0, each: int = 8) -> Tensor:
    """Sharp courses of a season (no few harmonics) that are still, or grow by the season, under noise of a hundredth."""
    generator = torch.Generator().manual_seed(seed)
    course = 10 * torch.randn(2 * each, SEASON, generator=generator, dtype=torch.float64)
    growth = 0.1 * torch.randn(2 * each, SEASON, generator=generator, dtype=torch.float64)
    growth[:each] = 0
    time = torch.arange(ROWS + HORIZON)
    noise = 0.1 * torch.randn(2 * each, len(time), generator=generator, dtype=torch.float64)
    return (course[:, time % SEASON] + growth[:, time % SEASON] * (time // SEASON) + noise)[..., None]


def fitted(kind: type[StackForecaster], values: Tensor) -> StackForecaster:
    model = kind(horizon=HORIZON, seasons=(SEASON,))
    closed_form.fit(model, [(Past.of(values[:, :ROWS]), torch.full((len(values),), 72))])
    return model


def test_it_foresees_courses_that_the_plain_map_shrinks_and_its_intervals_are_as_wide_as_what_is_left() -> None:
    values = panel()
    past, actual = Past.of(values[:, :ROWS]), values[:, ROWS:]
    error, width = {}, {}
    for kind in (LTIForecaster, SeasonalLTI):
        model = fitted(kind, values)
        with torch.no_grad():
            made = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, HORIZON))
        error[kind] = float((made.median - actual).abs().mean())
        low, high = made.interval(0.9)
        width[kind] = float((high - low).mean())
        if kind is SeasonalLTI:
            assert 0.75 <= float(((actual >= low) & (actual <= high)).double().mean()) <= 1.0
    naive = float((actual[:, :SEASON] - past.values[:, -SEASON:]).abs().mean())
    assert error[SeasonalLTI] < 1.2 * naive and error[SeasonalLTI] < 0.5 * error[LTIForecaster]
    assert width[SeasonalLTI] < 0.5 * width[LTIForecaster]


def test_a_forecast_needs_a_season() -> None:
    model = fitted(SeasonalLTI, panel())
    assert model.needs == SEASON + 3
    for rows, there in ((SEASON + 2, False), (SEASON + 3, True)):
        past = Past.of(panel(1)[:, :rows])
        with torch.no_grad():
            made = model.predict(model.warm_up(model.initial_state((), past.static), past), Future.of(past, HORIZON))
        assert bool(made.median.isfinite().all()) is there


def test_the_validation_loss_is_that_of_its_forecasts() -> None:
    """`compared`, which the trainer scores, gives the targets and quantiles that `predict` gives after the same rows."""
    values = panel()
    model, batch = fitted(SeasonalLTI, values), Past.of(values)
    with torch.no_grad():
        q, target, seen, spread = model.compared(batch, ROWS + HORIZON)
        past = Past.of(values[:, :ROWS])
        state = model.warm_up(model.initial_state((), past.static), past)
        made = model.predict(state, Future.of(past, HORIZON))
    assert bool(seen.all()) and q.shape[1] == 1
    error = (target - q[..., model.head.middle])[:, 0, 0] * spread[:, 0, 0]
    assert torch.allclose(error, (values[:, ROWS:] - made.median)[..., 0], atol=1e-3)

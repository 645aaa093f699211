"""Trained weights are kept where they gain in the units of the series."""

import numpy as np
import pytest
import torch

from forecast.experiment import training
from forecast.experiment.earned import earned, errors
from forecast.models import closed_form
from forecast.models.lti import LTIForecaster
from forecast.series.panel import Panel, panel_of
from forecast.types import Future

HORIZON = 3


@pytest.fixture(scope="module")
def panel() -> Panel:
    t, noise = np.arange(150), np.random.default_rng(5)
    rows = np.stack([np.sin(t / 4), 40 * np.cos(t / 4)], 1) + noise.normal(size=(150, 2)) * (0.1, 4.0)
    rows[140, 0] = np.nan
    return panel_of([torch.from_numpy(rows), torch.from_numpy(rows[30:] * 3 + 1)], seasons=(25,))


def test_errors_are_those_of_forecasts_made_one_by_one(panel: Panel) -> None:
    model = LTIForecaster(horizon=HORIZON, channels=2, seasons=(25,))
    ends = panel.lengths.numpy()
    cut = ends - 12
    closed_form.fit(model, training.Pasts(panel, ends, cut))
    found = errors(model, panel, ends, cut, HORIZON).view(2, 2)
    for s in range(2):
        wrong = []  # the shorter series comes first
        for row in range(cut[s], ends[s]):
            past = panel.past([row], [s])
            state = model.warm_up(model.initial_state((), past.static), past)
            said = model.predict(state, Future.of(past, HORIZON)).median[0]
            truth = panel.series(s)[row : row + HORIZON]
            wrong.append((said[: len(truth)] - truth).square())
        torch.testing.assert_close(found[1 - s], torch.cat(wrong).nanmean(0), rtol=1e-4, atol=1e-6)


def test_what_is_better_on_the_whole_is_kept_in_whatever_units() -> None:
    before = torch.tensor([1.0, 4e6, 1e-6, torch.nan, 0.0])
    assert earned(before * torch.tensor([0.5, 1.5, 0.9, 1.0, 1.0]), before)
    assert not earned(before * torch.tensor([0.5, 1.5, 1.5, 1.0, 1.0]), before)
    assert earned(before[3:], before[3:])  # nothing is known

"""Several models as one: the mean of their distributions, their laws, saved and loaded, and in a detection."""

from pathlib import Path

import pytest
import torch

import forecast as fc
from forecast import artefact
from forecast.detect.monitor import Monitor
from forecast.detect.standard import Standard
from forecast.models.ensemble import Ensemble
from forecast.models.kalman import Kalman
from forecast.models.lti import LTIForecaster
from forecast.models.ridge import Ridge
from forecast.series.panel import panel_of
from forecast.types import Future, Past, leaves
from tests.detect.calm import walk
from tests.laws.laws import LAWS, NEEDS


def pair() -> Ensemble:
    return Ensemble.of([Kalman(trend="none"), Ridge(context=12, horizon=1)])


def test_tail_probabilities_are_the_members_mean() -> None:
    model, past = pair(), Past.of(walk(3, 80, 0))
    state = model.warm_up(model.initial_state(model.estimate(past), past.static), past)
    whole = model.predict(state, Future.of(past, 1))
    each = [one.predict(own, Future.of(past, 1)) for one, own in zip(model.members, state.of, strict=True)]
    y = past.values[:, -1:] + torch.linspace(-4, 4, 3, dtype=torch.float64)[:, None, None]
    assert torch.allclose(whole.cdf(y), sum(one.cdf(y) for one in each) / 2, atol=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("law", [law for law in LAWS if NEEDS.get(law) is None])
def test_laws(law: str) -> None:
    with torch.no_grad():
        LAWS[law](Ensemble)


def test_weights_and_states_are_saved_and_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Ensemble.of([Kalman(trend="none"), LTIForecaster.example()])
    assert "trained" in model.traits and "trained" not in pair().traits
    monitor = Monitor.ready(pair(), Standard(rate=1e-3), Past.of(walk(2, 400, 1)))
    artefact.save_monitor(tmp_path / "m.bin", monitor)
    again = artefact.load_monitor(tmp_path / "m.bin")
    for row in Past.of(walk(2, 20, 2)).each():
        assert torch.equal(monitor.observe(row).score, again.observe(row).score)
    artefact.save(tmp_path / "w.bin", model)
    loaded = artefact.load(tmp_path / "w.bin").model
    assert all(
        torch.equal(a, b)
        for a, b in zip(leaves(list(model.state_dict().values())), loaded.state_dict().values(), strict=True)
    )


def test_what_one_member_expects_is_no_surprise() -> None:
    """A season that a level does not know: with the naive seasonal forecast beside it, it is not strange."""
    time = torch.arange(600, dtype=torch.float64)
    values = 3 * torch.sin(2 * torch.pi * time / 12) + 0.1 * walk(1, 600, 3)[0, :, 0]
    values[500] += 8
    panel = panel_of([values], seasons=(12,))
    words = [{"name": "kalman", "trend": "none", "season": 1}, "seasonal_naive"]
    scores, events = fc.detect(panel, false_alarm_rate=1e-3, model=words, detector="threshold", calm=400)
    assert 500 in set(scores.loc[scores["alarm"], "ds"]) and len(scores) == 200
    assert float(scores["score"].drop(index=100).quantile(0.9)) < 0.5 and len(events) >= 1

"""Weights that all sensors share: taken from a run, refused where nobody trained them, and the same bits in any company."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from forecast.detect.standard import Standard
from forecast.errors import InputError
from forecast.experiment.members import Facts, member
from forecast.fleet import Watching
from forecast.models.forecaster import Forecaster
from forecast.models.hybrid import HybridForecaster
from forecast.watch.live import Live
from forecast.watch.trained import estimated, of_run, seasons_of
from forecast.watch.warmup import Plan
from tests.experiment.line import forecast
from tests.watch import plant
from tests.watch.test_live import WARM, equal, scored, stream


def hybrid() -> Forecaster:
    """A small one whose deep path says something."""
    torch.manual_seed(0)
    model = HybridForecaster(width=8, every=3, horizon=1)
    for name, weight in model.named_parameters():
        if name in ("head.median.weight", "head.gaps.weight"):
            torch.nn.init.normal_(weight, std=0.1)
    return model


@pytest.fixture(scope="module")
def live() -> Callable[[], Live]:
    model = hybrid()
    return lambda: Live("hybrid", lambda seasons: model, lambda step: Standard(rate=1e-3), Plan(WARM, season=1))


def test_neither_batches_nor_company_change_a_bit(live: Callable[[], Live]) -> None:
    rows = stream(70, WARM + 7)  # two batches of 64
    made = {}
    for batch in (len(rows.who), 64):
        scorer = live()
        scorer.grow([f"s{i}" for i in range(70)])
        made[batch] = scored(scorer, rows, batch), scorer.records(np.arange(70))
    whole, records = made[len(rows.who)]
    assert np.isfinite(whole.score).sum() > 400
    assert all(equal(whole, other) and records == own for other, own in made.values())
    alone, mine = live(), rows.who == 66
    alone.grow(["s66"])
    few = rows.take(mine)._replace(who=np.zeros(mine.sum(), dtype=np.int64))
    assert equal(scored(alone, few, 1), type(whole)(*(column[mine] for column in whole)))
    assert alone.records(np.array([0]))[0][8:] == records[66][8:]


def test_a_run_is_watched_with_its_seasons(tmp_path: Path) -> None:
    plant.write(tmp_path / "plant.csv", 3, 240, 0)
    out = f"out={tmp_path}"
    said = forecast(
        "train", f"data.path={tmp_path}/plant.csv", "model=hybrid", "model.width=8", "season=6", "horizon=1",
        "trainer.max_steps=3", "tracking=none", out,
    )  # fmt: skip
    assert said.code == 0, said.err
    label, model = of_run("latest", tmp_path)
    assert (label, seasons_of(model)) == ("hybrid", (6,))
    words = [f"source.path={tmp_path}/plant.csv", "source.follow=false", "warmup=200", "run=latest", out]
    refused = forecast("watch", *words, "season=12")
    assert refused.code == 2 and "season 6" in refused.err
    said = forecast("watch", *words)
    assert said.code == 0, said.err
    assert "120 scored" in said.err and "720 readings" in said.err


def test_what_cannot_be_watched_says_what_to_do(tmp_path: Path) -> None:
    facts = Facts(1, (), 1, 0, 0)
    assert estimated("kalman", member("kalman").build(horizon=1, facts=facts)).needs
    with pytest.raises(InputError, match=r"forecast train .* model=hybrid"):
        estimated("hybrid", member("hybrid").build(horizon=1, facts=facts))
    with pytest.raises(InputError, match=r"forecast train .* model=hybrid"):
        Watching(model="hybrid").scorer()
    refused = forecast("watch", "source.path=nothing.csv", "model=hybrid", f"out={tmp_path}")
    assert refused.code == 2 and refused.err.count("\n") == 1 and "nobody has trained them" in refused.err
    refused = forecast("watch", "source.path=nothing.csv", "run=latest", f"out={tmp_path}")
    assert refused.code == 2 and "no run of train or compare" in refused.err


def test_a_run_without_weights_is_refused(tmp_path: Path) -> None:
    plant.write(tmp_path / "plant.csv", 2, 120, 0)
    said = forecast(
        "train", f"data.path={tmp_path}/plant.csv", "model=naive", "season=1", "tracking=none", f"out={tmp_path}"
    )
    assert said.code == 0, said.err
    with pytest.raises(InputError, match="pass model=naive"):
        of_run("latest", tmp_path)

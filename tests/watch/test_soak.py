"""A long run is looked at honestly: sensors come and go, and what grows is seen."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import theilslopes

from forecast.watch import measure, soak
from forecast.watch.soak import Churning, Looks


def test_sensors_fall_silent_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "MINUTE", 0.05)
    source = Churning([f"s{i}" for i in range(20)], 1_700_000_000, np.zeros(20), 2000.0, 0.5)
    source.open(None)
    heard: list[set[bytes]] = []
    while True:
        chunk = source.poll(1.0)
        assert chunk is not None
        heard.append({line.split(b",")[1] for line in chunk.text.splitlines() if b"sensor" not in line})
        if chunk.ended:
            break
    assert {len(one) for one in heard} == {18}
    assert len(set(map(frozenset, heard))) >= 5
    assert len(set.union(*heard)) == 20


def test_a_leak_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    told = iter(range(10_000))
    monkeypatch.setattr(soak, "LOOK", 0.01)
    monkeypatch.setattr(soak, "look", lambda: (100 + next(told) * 1.0, 10))
    looks = Looks()
    looks.start()
    while len(looks.seen) < 10:
        pass
    found = looks.stop()
    assert found["memory_slope_mb_per_h"] > 3600 and found["memory_least_squares_mb_per_h"] > 3600
    assert found["memory_growth_mb"] >= 1
    assert (found["descriptors_least"], found["descriptors_most"]) == (10, 10)


@pytest.mark.parametrize("kind", ["line", "jump", "noise"])
def test_the_slope_is_that_of_scipy(kind: str) -> None:
    x = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 60))
    noise = np.random.default_rng(1).normal(0, 1, 60)
    y = {"line": 3 * x, "jump": 10.0 * (x > x[50]), "noise": 0.2 * x + noise}[kind]
    assert soak.theil_sen(x, y) == pytest.approx(theilslopes(y, x).slope, abs=1e-12)


def test_everything_that_came_was_scored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak, "LOOK", 0.05)
    measure.prepare(tmp_path, "moving", 20, 1)
    found = measure.soak(tmp_path, "moving", 20, 2000.0, 0.5 / 60)
    assert (
        found["readings"] > 0
        and found["readings"] % 18 == 0
        and found["descriptors_least"] > 0
        and np.isfinite(found["memory_slope_mb_per_h"])
    )


@pytest.mark.slow
@pytest.mark.timeout(2400)
def test_memory_and_descriptors_stay_where_they_are(tmp_path: Path) -> None:
    measure.prepare(tmp_path, "kalman 2", 1000, 1)
    found = measure.soak(tmp_path, "kalman 2", 1000, 5000.0, 30.0)
    assert found["memory_slope_mb_per_h"] < 1.0
    assert found["descriptors_least"] == found["descriptors_most"]

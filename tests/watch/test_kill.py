"""Killed at any moment and started again, a watch ends as if nothing had happened: to the byte."""

import json
from pathlib import Path
from typing import Any

import pytest

from forecast.watch import alerts
from tests.watch import outcome, plant
from tests.watch.process import HOOKS, killed, run

BLOCK = 16_384  # bytes read at once: many commits


def source(csv: Path) -> dict[str, Any]:
    return {"name": "file", "path": str(csv), "follow": False, "block": BLOCK}


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, outcome.Outcome]:
    """A stream, and what comes of it without a kill."""
    folder = tmp_path_factory.mktemp("plant")
    plant.write(folder / "plant.csv", 20, 2500, 40)
    assert run(folder, source(folder / "plant.csv")) == (0, "")
    return folder / "plant.csv", outcome.of(folder)


def test_the_stream_is_worth_it(stream: tuple[Path, outcome.Outcome]) -> None:
    _, whole = stream
    assert whole.rows == 50_000
    assert whole.doubled == 0
    assert whole.alerts.count(b'"state":"open"') >= 35
    assert whole.file == whole.alerts + b"\n"
    told = [json.loads(body) for body in whole.alerts.splitlines()]
    assert all(one["cause"] and one["onset"] <= one["end"] for one in told if one["state"] == "closed")
    assert len({one["cause"] for one in told}) >= 3  # null at first, and at the end spikes and others


def test_killed_at_random(stream: tuple[Path, outcome.Outcome], tmp_path: Path) -> None:
    csv, whole = stream
    assert killed(tmp_path, source(csv), 0, 3, seed=1) >= 1
    assert outcome.of(tmp_path) == whole


@pytest.mark.slow
def test_killed_with_windows_of_maintenance_and_a_share_of_false_alarms(
    stream: tuple[Path, outcome.Outcome], tmp_path: Path
) -> None:
    csv, plain = stream
    first = int(csv.read_text().splitlines()[1].split(",")[0])
    span = {"start": alerts.iso(1_000_000 * (first + 60 * 500)), "end": alerts.iso(1_000_000 * (first + 60 * 1500))}
    own = source(csv) | {"share": 0.2, "maintenance": [{"sensor": "*1*", **span}]}
    assert run(tmp_path / "whole", own) == (0, "")
    whole = outcome.of(tmp_path / "whole")
    assert whole.counts["alarms in maintenance"] > 0 and whole.counts["alerts"] < plain.counts["alerts"]
    assert killed(tmp_path / "killed", own, 0, 3, seed=4) >= 1
    assert outcome.of(tmp_path / "killed") == whole


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_two_hundred_times(tmp_path: Path) -> None:
    csv = tmp_path / "plant.csv"
    plant.write(csv, 20, 50_000, 40)
    assert run(tmp_path / "whole", source(csv))[0] == 0
    assert killed(tmp_path / "killed", source(csv), 0, 200, seed=2) == 200
    whole = outcome.of(tmp_path / "whole")
    assert whole.rows == 1_000_000
    assert outcome.of(tmp_path / "killed") == whole


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("hook", HOOKS)
def test_killed_inside_the_commit(stream: tuple[Path, outcome.Outcome], tmp_path: Path, hook: str) -> None:
    csv, whole = stream
    for round_ in range(25):
        code, _ = run(tmp_path / str(round_), source(csv), 0, f"{hook}:{round_ % 12 + 1}")
        assert code == -9
        code, errors = run(tmp_path / str(round_), source(csv))
        assert code == 0, errors
        assert outcome.of(tmp_path / str(round_)) == whole

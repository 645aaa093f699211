"""Killed at any moment and started again, a watch ends as if nothing had happened: to the byte."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.watch import outcome, plant

ROOT = Path(__file__).parents[2]
HOOKS = ("begin", "sensors", "written", "committed")


def start(folder: Path, csv: Path, hook: str = "") -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.watch.runner", str(folder), str(csv), *([hook] if hook else [])]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def run(folder: Path, csv: Path, hook: str = "") -> tuple[int, str]:
    process = start(folder, csv, hook)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors.decode()


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, outcome.Outcome]:
    """A stream, and what comes of it without a kill."""
    folder = tmp_path_factory.mktemp("plant")
    plant.write(folder / "plant.csv", 20, 2500, 40)
    assert run(folder, folder / "plant.csv") == (0, "")
    return folder / "plant.csv", outcome.of(folder)


def kills(folder: Path, csv: Path, times: int, seed: int) -> int:
    """Kill the process at random moments, `times` of them while it runs; then let it come to its end."""
    chance, done = random.Random(seed), 0
    while done < times:
        process = start(folder, csv)
        state = folder / "state" / "state.db"
        while not state.exists() and process.poll() is None:
            time.sleep(0.005)
        time.sleep(chance.uniform(0.0, 0.4))
        if process.poll() is None:
            process.kill()
            done += 1
        process.communicate()
        if process.returncode == 0:  # it came to its end before the kill: begin anew
            break
    code, errors = run(folder, csv)
    assert code == 0, errors
    return done


def test_the_stream_is_worth_it(stream: tuple[Path, outcome.Outcome]) -> None:
    _, whole = stream
    assert whole.rows == 50_000
    assert whole.doubled == 0
    assert whole.alerts.count(b'"state":"open"') >= 35
    assert whole.file == whole.alerts + b"\n"


def test_killed_at_random(stream: tuple[Path, outcome.Outcome], tmp_path: Path) -> None:
    csv, whole = stream
    assert kills(tmp_path, csv, 5, seed=1) >= 1
    assert outcome.of(tmp_path) == whole


@pytest.mark.parametrize("hook", HOOKS)
def test_killed_inside_the_commit(stream: tuple[Path, outcome.Outcome], tmp_path: Path, hook: str) -> None:
    csv, whole = stream
    assert run(tmp_path, csv, f"{hook}:3")[0] == -9
    code, errors = run(tmp_path, csv)
    assert code == 0, errors
    assert outcome.of(tmp_path) == whole

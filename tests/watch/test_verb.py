"""`forecast watch` as a person types it: a file read in two runs, a pipe, and what is refused."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from forecast.watch.readings import Counts
from tests.experiment import line
from tests.watch import plant


def forecast(folder: Path, *words: str, text: str | None = None) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "forecast", "watch", *words]
    return subprocess.run(command, cwd=folder, input=text, capture_output=True, text=True, check=False, timeout=280)


@pytest.mark.slow
def test_two_runs_and_a_pipe_tell_what_one_run_tells(tmp_path: Path) -> None:
    plant.write(tmp_path / "plant.csv", 4, 700, 5)
    whole = (tmp_path / "plant.csv").read_text()
    lines = whole.splitlines(keepends=True)
    told = {}
    for name in ("one", "two", "pipe"):
        (tmp_path / name).mkdir()
    words = ["source.path=p.csv", "source.follow=false", "warmup=250"]
    (tmp_path / "one" / "p.csv").write_text(whole)
    done = forecast(tmp_path / "one", *words)
    assert done.returncode == 0, done.stderr
    assert "2,800 readings" in done.stderr
    for part in ("".join(lines[:1500]), whole):
        (tmp_path / "two" / "p.csv").write_text(part)
        done = forecast(tmp_path / "two", *words)
        assert done.returncode == 0, done.stderr
    done = forecast(tmp_path / "pipe", "source=stdin", "warmup=250", text=whole)
    assert done.returncode == 0, done.stderr
    for name in ("one", "two", "pipe"):
        told[name] = (tmp_path / name / "outputs" / "watch" / "alerts.jsonl").read_bytes()
    assert told["one"] == told["two"] == told["pipe"]
    assert {json.loads(line)["state"] for line in told["one"].splitlines()} >= {"open", "closed"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["source.path=nothing.csv"], "no such file; pass source.path=FILE"),
        (["source.path=p.csv", "history=nothing.csv"], "no such file; pass history=FILE"),
        (["source.path=p.csv", "events.k=5", "events.m=2"], "1 ≤ k ≤ m"),
        (["source.path=p.csv", "warmup=-3"], "at least 2 rows"),
        (["source.path=p.csv", "maintenance=[w.csv]"], "w.csv: cannot be read"),
        (["source.path=p.csv", "false_alarms_per_fleet_day=5"], "give both"),
        (["source.path=p.csv", "false_alarm_rate=1e-3", "false_discovery_rate=0.1"], "give one of them"),
        (["source.path=p.csv", "false_discovery_rate=2"], "between 0 and 1"),
    ],
)
def test_what_is_refused_says_what_to_do(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "p.csv").write_text("time,sensor,value\n1700000000,a,1\n")
    monkeypatch.chdir(tmp_path)
    done = line.forecast("watch", *words, "source.follow=false")
    assert (done.code, done.err.count("\n")) == (2, 1), done.err
    assert said in done.err
    assert not (tmp_path / "outputs" / "watch" / "state" / "lock").exists()


@pytest.mark.slow
def test_the_selftest_sees_a_spike_come_out_and_says_where_none_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.experiment import selftest

    assert selftest.watched() is None
    monkeypatch.setattr(selftest, "SPIKE", 50)  # inside the warm-up, where nothing is scored
    assert "came out as no alert" in (selftest.watched() or "")


def test_one_is_no_plural_and_none_is_not_told() -> None:
    counts = Counts({"alarms": 1, "alarms in maintenance": 0, "aside: late": 1, "readings": 1200})
    assert counts.told() == "1 alarm, 1 aside: late, 1,200 readings"

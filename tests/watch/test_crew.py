"""Several processes, one state folder: each row counts once, whoever dies, stops or wakes up late."""

import contextlib
import itertools
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.watch.buckets import bucket_of
from forecast.watch.crew import Share
from forecast.watch.leases import Leases, folder_of
from forecast.watch.readings import Chunk
from forecast.watch.sources.stdin import Stdin
from forecast.watch.store import Reader, StoreError
from tests.watch import crew_runner, outcome, plant
from tests.watch.process import ROOT

BUCKETS = 4


def outcomes(folder: Path) -> list[outcome.Outcome]:
    """Of every bucket: scores, states, alerts, counts."""
    found = []
    for bucket in range(BUCKETS):
        room = folder_of(folder / "state", bucket)
        (folder / f"see{bucket}").mkdir(exist_ok=True)
        (folder / f"see{bucket}" / "state").unlink(missing_ok=True)
        (folder / f"see{bucket}" / "state").symlink_to(room)
        path = room / "alerts.jsonl"
        found.append(outcome.of(folder / f"see{bucket}")._replace(file=path.read_bytes() if path.exists() else b""))
    return found


def start(folder: Path, csv: Path, pause: float = 0.0) -> "subprocess.Popen[bytes]":
    words = [str(folder), str(csv), str(BUCKETS), str(pause)]
    command = [sys.executable, "-m", "tests.watch.crew_runner", *words]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)


def ended(process: "subprocess.Popen[bytes]") -> str:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    return errors.decode()


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[outcome.Outcome]]:
    """A stream, and what one process alone makes of it."""
    folder = tmp_path_factory.mktemp("crew")
    csv = folder / "plant.csv"
    plant.write(csv, 12, 700, 12)
    ended(start(folder, csv))
    return csv, outcomes(folder)


def holding(folder: Path) -> dict[str, int]:
    """How many buckets each process holds."""
    with contextlib.closing(sqlite3.connect(folder / "state" / "leases.db")) as base:
        if not base.execute("SELECT 1 FROM sqlite_master WHERE name = 'leases'").fetchall():
            return {}
        rows = base.execute("SELECT holder, count(*) FROM leases WHERE holder != '' GROUP BY holder").fetchall()
    return {holder.split(":")[1]: count for holder, count in rows}


def shared(folder: Path, csv: Path) -> list["subprocess.Popen[bytes]"]:
    """Two processes, each with half of the buckets and in the middle of its rows."""
    two = [start(folder, csv, 0.15)]
    until = time.monotonic() + 60
    while time.monotonic() < until and not (folder / "state" / "leases.db").exists():
        time.sleep(0.02)
    two.append(start(folder, csv, 0.15))
    while time.monotonic() < until and sorted(holding(folder).values()) != [2, 2]:
        assert all(process.poll() is None for process in two)
        time.sleep(0.02)
    return two


def test_one_process_is_killed_and_the_other_takes_over(
    stream: tuple[Path, list[outcome.Outcome]], tmp_path: Path
) -> None:
    csv, whole = stream
    one, other = shared(tmp_path, csv)
    one.kill()
    one.communicate()
    said = ended(other)
    assert said.count(": taken") >= 4 and outcomes(tmp_path) == whole
    assert sum(each.rows for each in whole) == 12 * 700 and {each.doubled for each in whole} == {0}
    assert sum(each.alerts.count(b'"open"') for each in whole) >= 8


@pytest.mark.slow
def test_one_that_stands_still_for_too_long_finds_its_buckets_taken(
    stream: tuple[Path, list[outcome.Outcome]], tmp_path: Path
) -> None:
    csv, whole = stream
    one, other = shared(tmp_path, csv)
    one.send_signal(signal.SIGSTOP)
    until = time.monotonic() + 60
    while time.monotonic() < until and holding(tmp_path).get(str(one.pid)):
        time.sleep(0.05)
    one.send_signal(signal.SIGCONT)
    assert "another process has taken over" in ended(one)
    ended(other)
    assert outcomes(tmp_path) == whole


def test_a_stale_owner_commits_nothing(stream: tuple[Path, list[outcome.Outcome]], tmp_path: Path) -> None:
    csv, whole = stream
    late = crew_runner.loop(tmp_path, csv, 0, BUCKETS)
    late.turn(0.0)
    late.commit()
    late.turn(0.0)
    crew_runner.loop(tmp_path, csv, 0, BUCKETS).run()
    with pytest.raises(StoreError, match="another process has taken over"):
        late.commit()
    late.abandon()
    room = folder_of(tmp_path / "state", 0)
    (tmp_path / "see").mkdir()
    (tmp_path / "see" / "state").symlink_to(room)
    assert outcome.of(tmp_path / "see").scores == whole[0].scores
    assert (room / "state.db.sha256").exists()  # of the one who closed it, and still true
    crew_runner.loop(tmp_path, csv, 0, BUCKETS).close()


def test_every_reading_has_one_bucket() -> None:
    text = "time,sensor,value\n" + "".join(f"1700000000,s{i},{i}\n" for i in range(50)) + "bad\n1700000000,s1,x\n"
    parts = [Share(bucket=k, buckets=3) for k in range(3)]
    found = [part.parse(Chunk(text.encode(), None)) for part in parts]
    labels = [[one.readings.names[i] for i in one.readings.code.tolist()] for one in found]
    assert sorted(itertools.chain(*labels)) == sorted(f"s{i}" for i in range(50))
    assert all(bucket_of(label, 3) == k for k, mine in enumerate(labels) for label in mine)
    aside = [[one.reason for one in each.aside] for each in found]
    assert sorted(itertools.chain(*aside)) == ["not a number", "number of columns"] and "number of columns" in aside[0]


def test_leases_run_out_and_are_shared_evenly(tmp_path: Path) -> None:
    now = [1000.0]
    first, second = (Leases(tmp_path / "leases.db", 4, 10.0, lambda: now[0]) for _ in range(2))
    first.join()
    assert (first.share(), first.take(4)) == (4, [0, 1, 2, 3])
    second.join()
    assert (first.share(), second.take(4)) == (2, [])
    first.give(3)
    assert (second.take(2), first.take(2)) == ([3], [])
    now[0] += 9
    assert first.renew() == {0, 1, 2}
    now[0] += 5  # the second was silent for too long
    assert first.share() == 4 and first.take(1) == [3]
    assert second.renew() == set()
    for bucket in range(4):
        first.give(bucket, ended=True)
    assert first.over() and first.share() == 0
    first.leave()
    second.leave()
    second.join()
    assert not second.over()
    with pytest.raises(InputError, match="buckets=4"):
        Leases(tmp_path / "leases.db", 5, 10.0)


def test_a_subscription_is_not_shared() -> None:
    with pytest.raises(InputError, match="one process per subscription"):
        Stdin().part(0, 2)


def test_the_reader_sees_a_bucket_as_any_store(stream: tuple[Path, list[outcome.Outcome]]) -> None:
    csv, whole = stream
    reader = Reader(folder_of(csv.parent / "state", 1) / "state.db")
    names = [name for _, name, _ in reader.sensors()]
    reader.close()
    assert names and all(bucket_of(name, BUCKETS) == 1 for name in names)
    assert whole[1].rows == np.int64(700) * len(names)

"""What is measured on Spark is what it says: every reading once, and the time of all processes."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from forecast.fleet import measure
from forecast.watch import measure as local
from tests.fleet.spark import ROOT


def test_the_time_of_a_child_counts_while_it_runs_and_after() -> None:
    before = measure.processor_s()
    child = subprocess.Popen([sys.executable, "-c", "sum(range(10**8))"])
    while child.poll() is None:
        time.sleep(0.05)
    child.wait()
    spent = os.times()
    assert measure.processor_s() - before > 0.2
    assert measure.processor_s() == pytest.approx(
        spent.user + spent.system + spent.children_user + spent.children_system, abs=5
    )


def test_files_hold_all_lines_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "PART", 7)
    text = local.warm_up_lines(20, 5) + local.lines(2, 20, 5)
    measure._write(tmp_path / "rows", "warm", text)
    files = sorted((tmp_path / "rows").iterdir())
    assert b"".join(file.read_bytes() for file in files) == text
    assert {file.read_bytes().count(b"\n") for file in files[:-1]} == {7}
    lines = [line.split(b",") for line in text.splitlines()]
    assert len({(time, name) for time, name, _ in lines}) == len(lines) == 20 * (5 + local.SCORED + 2)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_reading_is_scored_once_on_spark(tmp_path: Path) -> None:
    pytest.importorskip("pyspark", reason="needs Spark: pip install 'forecast[spark]'")
    if shutil.which("java") is None:
        pytest.skip("needs Java 17 or newer for Spark: none on the PATH")
    command = [sys.executable, "-m", "forecast.fleet.measure", str(tmp_path), '{"sensors": 20, "rows": 5}']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["readings_per_s"] > 0 and found["readings_per_cpu_s"] > 0

"""On Spark: what one machine finds, bit for bit, and each row once, whatever is killed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.fleet import tables, work
from forecast.fleet.work import Settings
from forecast.watch.buckets import bucket_of
from tests.fleet.spark import ROOT, session
from tests.fleet.test_step import local, ordered, rows

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.filterwarnings("ignore::FutureWarning"),  # Spark's own, on pandas 3
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture(scope="module")
def spark() -> Any:
    made = session()
    yield made
    made.stop()


def series(count: int, length: int) -> pd.DataFrame:
    random = np.random.default_rng(0)
    times = np.tile(pd.date_range("2026-01-01", periods=length, freq="h"), count)
    values = random.normal(size=(count, length)).cumsum(1) + random.normal(size=(count, length))
    values[random.random(values.shape) < 0.01] = np.nan
    names = np.repeat([f"s{i:04d}" for i in range(count)], length)
    return pd.DataFrame({"unique_id": names, "ds": times, "y": values.reshape(-1)})


def equal(one: pd.DataFrame, other: pd.DataFrame, by: list[str]) -> None:
    first, second = (t.astype({"unique_id": object}).sort_values(by, ignore_index=True) for t in (one, other))
    # Estimates are made bucket by bucket, and the rounding of a batch depends on its company; alarms and words are the same.
    pd.testing.assert_frame_equal(first, second, check_dtype=False, rtol=1e-5, atol=1e-5)


def test_two_thousand_series_are_scored_as_on_one_machine(spark: Any) -> None:
    table = series(2000, 60)
    found = tables.detect(spark.createDataFrame(table), season=1, false_alarm_rate=1e-3, calm=0.5, buckets=8)
    equal(found.toPandas(), work.detect(table, Settings(1, rate=1e-3, calm=0.5)), ["unique_id", "ds"])


def test_forecasts_and_backtests_are_those_of_one_machine(spark: Any) -> None:
    table = series(40, 60)
    frame = spark.createDataFrame(table)
    found = tables.predict(frame, "ets", horizon=4, season=1, buckets=3).toPandas()
    equal(found, work.predict(table, Settings(1, 4, ("ets",))), ["unique_id", "ds"])
    models = ("naive", "kalman")
    tested = tables.backtest(frame, models, horizon=4, season=1, cutoffs=2, buckets=3).toPandas()
    asked = Settings(1, 4, models, cutoffs=2)
    equal(tested, work.backtests(table, asked), ["unique_id", "model", "cutoff", "metric"])


def test_spark_and_we_count_buckets_alike(spark: Any) -> None:
    names = ["s1", "plant/é", "", "ß"]
    frame = tables.with_bucket(spark.createDataFrame(pd.DataFrame({"unique_id": names})), "unique_id", 7)
    assert [(row["unique_id"], row["bucket"]) for row in frame.collect()] == [(n, bucket_of(n, 7)) for n in names]


def start(folder: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "tests.fleet.runner", str(folder)]
    with open(folder / "said", "wb") as said:  # no pipe: a full one would hold it up
        return subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=said, stderr=subprocess.STDOUT)


def test_killed_and_started_again_nothing_is_lost_or_doubled(spark: Any, tmp_path: Path) -> None:
    lines, cut = rows(6, 140), [*range(0, 840, 70), 840]
    (tmp_path / "rows").mkdir()
    for n, (low, high) in enumerate(itertools.pairwise(cut)):
        path = tmp_path / "rows" / f"{n:02d}.csv"
        path.write_text("".join(line + "\n" for line in lines[low:high]))
        os.utime(path, (1_700_000_000 + n,) * 2)  # Spark takes files in the order of their times
    commits, kills = tmp_path / "checkpoint" / "commits", 0
    for batches in (2, 5, 8):
        process = start(tmp_path)
        while process.poll() is None and len(list(commits.glob("[0-9]*"))) < batches:
            time.sleep(0.02)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # the driver, its Java and its workers
            kills += 1
        process.wait()
    assert start(tmp_path).wait(timeout=600) == 0, (tmp_path / "said").read_text()[-3000:]
    found = spark.read.parquet(str(tmp_path / "scores")).toPandas()
    fine, want = ordered(found[found["aside"].isna()]), local(tmp_path / "local", lines)
    assert kills == 3
    assert len(fine) == len(fine.drop_duplicates(["sensor", "time"])) == 838
    pd.testing.assert_frame_equal(fine[list(want.columns)], want, check_exact=True, check_dtype=False)
    assert sorted(found["aside"].dropna()) == ["number of columns", "repeated"]

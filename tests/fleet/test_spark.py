"""On Spark: what one machine finds, bit for bit, and each row once, whatever is killed."""

import itertools
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from forecast.fleet import stream, tables, work
from forecast.fleet.work import Settings
from forecast.watch.book import apart
from forecast.watch.buckets import bucket_of
from forecast.watch.store import Reader
from tests.fleet.spark import ROOT, session
from tests.fleet.test_step import START as FIRST
from tests.fleet.test_step import WATCHING, local, ordered, rows

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


def equal(one: pd.DataFrame, other: pd.DataFrame, by: list[str], within: float = 1e-5) -> None:
    first, second = (t.astype({"unique_id": object}).sort_values(by, ignore_index=True) for t in (one, other))
    # Estimates are made bucket by bucket, and the rounding of a batch depends on its company; alarms and words are the same.
    pd.testing.assert_frame_equal(first, second, check_dtype=False, rtol=within, atol=within)


def test_two_thousand_series_are_scored_as_on_one_machine(spark: Any) -> None:
    table = series(2000, 60)
    found = tables.detect(spark.createDataFrame(table), season=1, false_alarm_rate=1e-3, calm=0.5, buckets=8)
    alone = work.detect(table, Settings(1, rate=1e-3, calm=0.5))
    equal(found.toPandas(), alone, ["unique_id", "ds"], 1e-5)  # where a likelihood is flat, a fit's last step depends on its company


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


START = FIRST // 86_400 * 86_400  # midnight
RECURRING = [
    {"sensor": "s0", "every": "02:00-05:00"},
    {"sensor": "s1", "every": "02:00-05:00", "shift": True},
    {"sensor": "s2", "every": "Mon-Fri 02:00-05:00", "learn": True},
    {"sensor": "s3", "every": "02:00-05:00", "alert": True, "zone": "Europe/Berlin"},
]


def test_windows_that_come_again_do_on_spark_what_they_do_on_one_machine(spark: Any, tmp_path: Path) -> None:
    """Four flags, hourly rows of nine days, wild within 02:00-05:00: scores to the last bit, and the same alarms."""
    random, hours = np.random.default_rng(6), np.arange(9 * 24)
    values = random.normal(size=(len(hours), 5)).cumsum(0) * 0.1 + random.normal(size=(len(hours), 5))
    values[(hours % 24 >= 2) & (hours % 24 < 5), :4] += 30
    values[[150, 200]] -= 40
    lines = [f"{START + 3600 * t},s{s},{values[t, s]:.4f}" for t in hours for s in range(5)]
    watching = replace(WATCHING, maintenance=RECURRING)
    (tmp_path / "rows").mkdir()
    cut = (0, 500, len(lines))  # two batches, the second one begins within a day
    for n, (low, high) in enumerate(itertools.pairwise(cut)):
        path = tmp_path / "rows" / f"{n:02d}.csv"
        path.write_text("".join(line + "\n" for line in lines[low:high]))
        os.utime(path, (1_700_000_000 + n,) * 2)
    query = stream.watch(
        spark, tmp_path / "rows", tmp_path / "scores", tmp_path / "checkpoint", watching, buckets=3, files=1
    )
    query.awaitTermination()
    found = ordered(spark.read.parquet(str(tmp_path / "scores")).toPandas())
    want, plain = local(tmp_path / "local", lines, watching), local(tmp_path / "plain", lines)
    pd.testing.assert_frame_equal(found[list(want.columns)], want, check_exact=True, check_dtype=False)
    with closing(Reader(tmp_path / "local" / "state" / "state.db")) as reader:
        counted = {name: apart(record, name).alarms for _, name, record in reader.sensors()}
    assert found.groupby("sensor")["alarm"].sum().to_dict() == counted and min(counted.values()) > 0
    moved = {name for name in counted if not want[want["sensor"] == name].equals(plain[plain["sensor"] == name])}
    assert moved == {"s0", "s1", "s3"}  # what is learned or comes at another time; s2 is muted alone
    late = found["time"] >= (START + 3600 * 100) * 1_000_000
    of_day = (found["time"] // 3_600_000_000) % 24
    inside = late & (of_day >= 2) & (of_day < 5)
    assert not found["alarm"][inside & found["sensor"].isin(["s0", "s1"])].any()
    assert found["alarm"][inside & (found["sensor"] == "s3")].any()
    assert (found["score"][inside & (found["sensor"] == "s0")] > 0.5).any()

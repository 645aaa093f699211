"""Partitions of a Kafka topic shared out in buckets, and a folder of several stores looked at and written to as one."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.watch import desk, history
from forecast.watch.build import build
from forecast.watch.events import Mute
from forecast.watch.leases import Leases, folder_of
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import Plan
from tests.watch import plant
from tests.watch.process import ROOT
from tests.watch.test_warmup import live

SENSORS, ROWS, BUCKETS, PARTITIONS = 6, 200, 3, 4
Scores = dict[str, list[tuple[float, ...]]]


@pytest.fixture(scope="module")
def topic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, str, list[dict[str, str]]]]:
    """A cluster of librdkafka, its address, and the rows in its topic: each sensor in one of four partitions."""
    kafka = pytest.importorskip("confluent_kafka")
    rows = plant.readings(tmp_path_factory.mktemp("plant"), SENSORS, ROWS + 200, 6)
    producer = kafka.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1}, logger=None)
    for row in rows:
        producer.produce("plant", json.dumps(row).encode(), partition=int(row["sensor"][1:]) % PARTITIONS)
    assert producer.flush(30) == 0
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    yield producer, f"{broker.host}:{broker.port}", rows


def scores(paths: list[Path]) -> Scores:
    """What each sensor was given, row by row."""
    found: Scores = {}
    for path in paths:
        with closing(Reader(path)) as reader:
            names = [name for _, name, _ in reader.sensors()]
            table = history.together([history.read(block) for block in reader.blocks()])
        for i, name in enumerate(names):
            mine = table.who == i
            columns = [np.nan_to_num(column[mine], nan=-1.0).tolist() for column in table[1:]]
            found.setdefault(name, []).extend(zip(*columns, strict=True))
    return found


def loop(folder: Path, source: dict[str, Any], bucket: int | None = None) -> Loop:
    made = build("source", source)
    if bucket is not None:
        assert made.part(bucket, BUCKETS)
    store = Store(folder if bucket is None else folder_of(folder, bucket), alone=bucket is None)
    return Loop(made, Parser(), live(Plan(rows=60, season=1)), store, [], Options(), Telling(per_day=0.1))


def whole(folder: Path, rows: list[dict[str, str]]) -> Scores:
    """Undisturbed, from a file."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    loop(folder / "whole", {"name": "file", "path": str(folder / "rows.jsonl"), "follow": False}).run()
    return scores([folder / "whole" / "state.db"])


def test_partitions_in_buckets_and_one_answer_of_all_stores(
    topic: tuple[Any, str, list[dict[str, str]]], tmp_path: Path
) -> None:
    _, servers, rows = topic
    source = {"name": "kafka", "topic": "plant", "servers": servers}
    Leases(tmp_path / "state" / "leases.db", BUCKETS, 10.0)
    with pytest.raises(InputError, match=r"b00/state\.db: no such store"):
        desk.stores(tmp_path / "state")
    expected = whole(tmp_path, rows)
    for bucket in range(BUCKETS):
        mine = [row for row in rows if int(row["sensor"][1:]) % PARTITIONS % BUCKETS == bucket]
        for part in (0.4, 1.0):  # given up in the middle, rows in hand, and taken over
            one, until = loop(tmp_path / "state", source, bucket), time.monotonic() + 60
            while one.counts["readings"] < part * len(mine) and time.monotonic() < until:
                chunk = one.source.poll(0.2)
                if chunk is not None:
                    one.take(chunk)
                if part == 1.0:
                    one.commit()
            one.scorer.close()
            one.abandon() if part < 1.0 else one.close()
    paths = desk.stores(tmp_path / "state")
    assert len(paths) == BUCKETS and scores(paths) == expected
    view, (alone,) = desk.View.of(paths), desk.stores(tmp_path / "whole")[:1]
    assert view.sensors == desk.View.of([alone]).sensors and view.gauge == desk.View.of([alone]).gauge
    assert len(view.sensors) == SENSORS and f"{SENSORS} sensors: " in desk.show(paths, tmp_path)
    told = {}
    for path in paths:
        with closing(Reader(path)) as reader:
            told |= {one["id"]: path for _, body in reader.alerts() if (one := json.loads(body))["sensor"] == "s02"}
    ((alert, path),) = list(told.items())[:1]
    desk.label(paths, alert[:12], "false")
    assert desk.View.of(paths).labels == {alert: "false"} and path == paths[2]
    assert desk.View.of(paths).gauge.false == 1
    desk.mute(paths, [Mute("s0[12]")])
    assert [one.state for one in desk.View.of(paths).sensors].count("MUTED") == 2
    for each in paths:
        with closing(Reader(each)) as reader:
            assert [one.sensor for one in reader.mutes()] == ["s0[12]"]
    desk.unmute(paths, [Mute("s0[12]")])
    assert desk.View.of(paths).mutes == []


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_processes_share_a_topic_and_one_is_killed(
    topic: tuple[Any, str, list[dict[str, str]]], tmp_path: Path
) -> None:
    producer, servers, rows = topic
    words = ["source=kafka", "source.topic=two", f"source.servers={servers}", f"buckets={BUCKETS}", "lease=2"]
    words += ["warmup=60", "season=1", "sinks=[]", f"state={tmp_path / 'state'}", f"out={tmp_path / 'outputs'}"]

    def watch() -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "forecast", "watch", *words]
        return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)

    def produce(part: list[dict[str, str]]) -> None:
        for row in part:
            producer.produce("two", json.dumps(row).encode(), partition=int(row["sensor"][1:]) % PARTITIONS)
        assert producer.flush(30) == 0

    def count() -> int:
        total = 0
        for path in (tmp_path / "state").glob("b*/state.db"):
            with contextlib.suppress(InputError), closing(Reader(path)) as reader:  # it may be being made
                total += json.loads(reader.fact("watch") or b"{}").get("counts", {}).get("readings", 0)
        return total

    def wait(rows_: int) -> None:
        until = time.monotonic() + 200
        while count() < rows_:
            assert time.monotonic() < until
            time.sleep(0.2)

    half = len(rows) // 2
    produce(rows[:half])
    one, other = watch(), watch()
    wait(half)
    produce(rows[half : half + 600])  # some of these are in its hands when it dies
    one.kill()
    one.communicate()
    produce(rows[half + 600 :])
    wait(len(rows))
    other.send_signal(signal.SIGTERM)
    _, said = other.communicate(timeout=60)
    assert other.returncode == 0, said.decode()
    assert scores(desk.stores(tmp_path / "state")) == whole(tmp_path, rows)

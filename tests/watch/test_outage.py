"""A broker that is away for a while and comes back: the watch waits without spinning, catches up, and has lost nothing."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from forecast.watch.store import Reader
from tests.watch import outcome, plant
from tests.watch.brokers import free_port, mosquitto, redis_server
from tests.watch.process import start
from tests.watch.proxy import Proxy
from tests.watch.test_brokers import join, same, undisturbed

ROWS = 2000
SPIN = 0.25  # processor seconds a second: a loop that spins takes all it gets
away = pytest.mark.parametrize("seconds", [2.0, pytest.param(60.0, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return plant.readings(tmp_path_factory.mktemp("plant"), 10, ROWS // 10, 0)


@pytest.fixture(scope="module")
def whole(rows: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> outcome.Outcome:
    return undisturbed(rows, tmp_path_factory.mktemp("whole"))


@contextmanager
def watching(folder: Path, source: dict[str, Any]) -> Iterator["subprocess.Popen[bytes]"]:
    """A watch until it has all rows; its outcome is the business of whoever asked."""
    process = start(folder, source, ROWS)
    try:
        yield process
        _, errors = process.communicate(timeout=200)
        assert process.returncode == 0, errors.decode()
    finally:
        process.kill()
        process.communicate()


def committed(folder: Path) -> int:
    """Rows that are in the store."""
    path = folder / "state" / "state.db"
    if not path.exists():
        return 0
    try:
        with closing(Reader(path)) as reader:
            counts = json.loads(reader.fact("watch") or b"{}").get("counts", {})
    except Exception:  # it is being made
        return 0
    return int(counts.get("scored", 0) + counts.get("without score", 0))


def until(holds: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + 120
    while not holds():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < end
        time.sleep(0.05)


def idles(process: "subprocess.Popen[bytes]", seconds: float) -> None:
    """It lives for so long, and does next to nothing."""
    before = psutil.Process(process.pid).cpu_times()
    time.sleep(seconds)
    assert process.poll() is None, process.communicate()[1].decode()
    after = psutil.Process(process.pid).cpu_times()
    assert after.user + after.system - before.user - before.system < SPIN * seconds


@away
def test_redis(rows: list[dict[str, str]], whole: outcome.Outcome, tmp_path: Path, seconds: float) -> None:
    redis = pytest.importorskip("redis")
    port = free_port()

    def push(part: list[dict[str, str]]) -> None:
        with closing(redis.Redis(port=port)) as client:
            pipe = client.pipeline()
            for row in part:
                pipe.xadd("plant", row)
            pipe.execute()

    with redis_server(tmp_path, port):
        push(rows[: ROWS // 2])
        process = watching(tmp_path / "watch", {"name": "redis", "stream": "plant", "port": port})
        started = process.__enter__()
        until(lambda: committed(tmp_path / "watch") == ROWS // 2, started)
    idles(started, seconds)
    with redis_server(tmp_path, port):
        push(rows[ROWS // 2 :])
        process.__exit__(None, None, None)
    assert same(outcome.of(tmp_path / "watch"), whole)


@away
def test_mqtt(rows: list[dict[str, str]], whole: outcome.Outcome, tmp_path: Path, seconds: float) -> None:
    paho = pytest.importorskip("paho.mqtt.client")
    port = free_port()

    def publish(part: list[dict[str, str]]) -> None:
        client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        client.connect("127.0.0.1", port)
        client.loop_start()
        for info in [client.publish(f"plant/{row['sensor']}", json.dumps(row), qos=1) for row in part]:
            info.wait_for_publish(30)
        client.disconnect()
        client.loop_stop()

    source = {"name": "mqtt", "topic": "plant/#", "port": port}
    with mosquitto(tmp_path, port):
        join(source)
        process = watching(tmp_path / "watch", source)
        started = process.__enter__()
        publish(rows[: ROWS // 2])
        until(lambda: committed(tmp_path / "watch") == ROWS // 2, started)
        publish(rows[ROWS // 2 : ROWS // 2 + 200])  # some of these are on their way when it goes
    idles(started, seconds)
    with mosquitto(tmp_path, port):
        publish(rows[ROWS // 2 + 200 :])
        process.__exit__(None, None, None)
    found = outcome.of(tmp_path / "watch")
    assert (found.rows, found.doubled, found.scores) == (ROWS, 0, whole.scores)


@away
def test_kafka(rows: list[dict[str, str]], whole: outcome.Outcome, tmp_path: Path, seconds: float) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    producer = kafka.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1}, logger=None)

    def produce(part: list[dict[str, str]]) -> None:
        for row in part:
            producer.produce("plant", json.dumps(row).encode(), partition=0)
        assert producer.flush(30) == 0

    produce(rows[: ROWS // 2])
    (broker,) = producer.list_topics(timeout=10).brokers.values()
    proxy = Proxy(broker.port)
    source = {"name": "kafka", "topic": "plant", "servers": f"127.0.0.1:{proxy.port}"}
    with watching(tmp_path / "watch", source) as process:
        until(lambda: committed(tmp_path / "watch") == ROWS // 2, process)
        proxy.down()
        produce(rows[ROWS // 2 :])
        idles(process, seconds)
        assert committed(tmp_path / "watch") == ROWS // 2
        proxy.up()
    proxy.down()
    assert same(outcome.of(tmp_path / "watch"), whole)

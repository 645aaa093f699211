"""MQTT, Redis and Kafka: killed at any moment, nothing is lost and nothing counts twice."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.watch import outcome, plant
from tests.watch.brokers import free_port, mosquitto, redis_server
from tests.watch.process import killed, run

ROWS = 8000  # readings
KILLS = 3


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    return plant.readings(tmp_path_factory.mktemp("plant"), 20, ROWS // 20, 10)


@pytest.fixture(scope="module")
def whole(rows: list[dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> outcome.Outcome:
    return undisturbed(rows, tmp_path_factory.mktemp("whole"))


def undisturbed(rows: list[dict[str, str]], folder: Path) -> outcome.Outcome:
    """What comes of rows as JSON lines in a file, without a kill."""
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    source = {"name": "file", "path": str(folder / "rows.jsonl"), "follow": False}
    assert run(folder, source)[0] == 0
    return outcome.of(folder)


def same(found: outcome.Outcome, whole: outcome.Outcome) -> bool:
    """Scores, states and alerts, whatever else was counted."""
    return found._replace(counts={}) == whole._replace(counts={})


@pytest.mark.parametrize("kills", [KILLS, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_redis(rows: list[dict[str, str]], whole: outcome.Outcome, tmp_path: Path, kills: int) -> None:
    redis = pytest.importorskip("redis")
    port = free_port()
    with redis_server(tmp_path, port):
        client = redis.Redis(port=port)
        pipe = client.pipeline()
        for row in rows:
            pipe.xadd("plant", row)
        pipe.execute()
        source = {"name": "redis", "stream": "plant", "port": port}
        assert killed(tmp_path / "watch", source, ROWS, kills, seed=3) >= 1
        assert same(outcome.of(tmp_path / "watch"), whole)
        assert client.xpending("plant", "forecast")["pending"] == 0
        client.close()


@pytest.mark.parametrize("kills", [KILLS, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_mqtt(rows: list[dict[str, str]], whole: outcome.Outcome, tmp_path: Path, kills: int) -> None:
    paho = pytest.importorskip("paho.mqtt.client")
    port = free_port()
    with mosquitto(tmp_path, port):
        source = {"name": "mqtt", "topic": "plant/#", "port": port}
        join(source)
        publisher = paho.Client(paho.CallbackAPIVersion.VERSION2)
        publisher.max_inflight_messages_set(1000)
        publisher.connect("127.0.0.1", port)
        publisher.loop_start()
        sent = [publisher.publish(f"plant/{row['sensor']}", json.dumps(row), qos=1) for row in rows]
        for info in sent:
            info.wait_for_publish(30)
        publisher.disconnect()
        publisher.loop_stop()
        assert killed(tmp_path / "watch", source, ROWS, kills, seed=4) >= 1
        found = outcome.of(tmp_path / "watch")
        assert (found.rows, found.doubled) == (ROWS, 0)
        assert found.scores == whole.scores


def join(source: dict[str, Any]) -> None:
    """Have a session at the broker before anything is sent."""
    from forecast.watch.build import build

    made = build("source", source)
    made.open(None)
    made.poll(0.5)
    made.close()


@pytest.fixture
def kafka() -> Iterator[Any]:
    """librdkafka's own cluster, in this process."""
    confluent = pytest.importorskip("confluent_kafka")
    yield confluent.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1}, logger=None)


@pytest.mark.parametrize("kills", [KILLS, pytest.param(50, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_kafka(kafka: Any, rows: list[dict[str, str]], whole: outcome.Outcome, tmp_path: Path, kills: int) -> None:
    for row in rows:
        kafka.produce("plant", json.dumps(row).encode(), partition=0)
        kafka.poll(0)
    assert kafka.flush(30) == 0
    (broker,) = kafka.list_topics(timeout=10).brokers.values()
    source = {"name": "kafka", "topic": "plant", "servers": f"{broker.host}:{broker.port}"}
    assert killed(tmp_path / "watch", source, ROWS, kills, seed=5) >= 1
    assert same(outcome.of(tmp_path / "watch"), whole)

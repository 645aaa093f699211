"""Where alerts go: each at least once under its id, to real servers, which may be away for a while."""

import email
import email.policy
import json
import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from forecast.errors import InputError
from forecast.watch.build import build
from forecast.watch.sinks import sink as contract
from forecast.watch.sinks.sink import Feeder, Sink
from forecast.watch.store import Commit, Store
from tests.watch import servers
from tests.watch.brokers import free_port, mosquitto

T = "2026-01-01T00:00:00+00:00"


def alert(n: int, state: str = "open") -> dict[str, Any]:
    numbers = dict.fromkeys(("delay_s", "score", "p_value", "actual", "expected", "lower", "upper"), 1.5)
    return {
        **{"id": f"e{n:03d}", "schema": 1, "state": state, "revision": 1, "severity": "minor", "sensor": "plant/a"},
        **{"kind": "spike", "start": T, "end": None, "detected_at": T, "peak_at": T, "text": f"alert {n} °C"},
        **{"muted": False, "n_points": 2, "n_alarms": 1, **numbers},
    }


def body(n: int, state: str = "open") -> bytes:
    return json.dumps(alert(n, state)).encode()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state")
    yield made
    made.close()


def tell(store: Store, first: int, last: int, state: str = "open") -> None:
    """Alerts of these numbers into the outbox."""
    store.commit(Commit(alerts=[(n, f"e{n:03d}", body(n, state)) for n in range(first, last)]))


def eventually(holds: Callable[[], bool], seconds: float = 30.0) -> bool:
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def fed(sink: Sink, store: Store) -> Feeder:
    feeder = Feeder(sink, store.path, random.Random(0))
    feeder.start()
    return feeder


def test_a_webhook_that_is_away_gets_everything_when_it_is_back(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HOOK", "secret")
    monkeypatch.setattr(contract, "LATEST", 0.2)
    port, got = free_port(), []  # type: ignore[var-annotated]
    tell(store, 1, 4)
    feeder = fed(
        build("sink", {"name": "webhook", "url": f"http://127.0.0.1:{port}/x", "token_variable": "HOOK"}), store
    )
    assert eventually(lambda: feeder.failures >= 2)
    assert feeder.cursor.n == 0
    with servers.running(servers.web(port, [], code=503)):
        before = feeder.failures
        assert eventually(lambda: feeder.failures > before + 1)
    with servers.running(servers.web(port, got)):
        assert eventually(lambda: feeder.cursor.n == 3)
        tell(store, 4, 6)
        feeder.tell()
        assert eventually(lambda: feeder.cursor.n == 5)
    feeder.finish(5)
    assert [request.headers["Idempotency-Key"] for request in got] == [f"e{n:03d}-1" for n in range(1, 6)]
    assert [request.body for request in got] == [body(n) for n in range(1, 6)]
    assert {request.headers["Authorization"] for request in got} == {"Bearer secret"}
    assert "takes alerts again" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.slow
def test_a_webhook_that_is_away_for_a_minute_is_asked_now_and_then(store: Store) -> None:
    port, got = free_port(), []  # type: ignore[var-annotated]
    tell(store, 1, 200)
    feeder = fed(build("sink", {"name": "webhook", "url": f"http://127.0.0.1:{port}/x"}), store)
    before = time.process_time()
    time.sleep(60)
    assert time.process_time() - before < 3
    assert (feeder.cursor.n, feeder.failures > 3, feeder.failures < 15) == (0, True, True)
    with servers.running(servers.web(port, got)):
        assert eventually(lambda: feeder.cursor.n == 199, 120)
    feeder.finish(5)
    assert [request.body for request in got] == [body(n) for n in range(1, 200)]


def test_mail_is_received_and_offered_again_where_it_was_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "LATEST", 0.2)
    port, got = free_port(), []  # type: ignore[var-annotated]
    tell(store, 1, 3)
    with servers.running(servers.mail(port, [], refuse=True)):
        feeder = fed(build("sink", {"name": "mail", "to": "you@example.org", "port": port}), store)
        assert eventually(lambda: feeder.failures >= 1)
    with servers.running(servers.mail(port, got)):
        assert eventually(lambda: feeder.cursor.n == 2)
        feeder.finish(5)
    (message,) = [email.message_from_bytes(data, policy=email.policy.default) for data in got]
    assert (message["To"], message["Subject"]) == ("you@example.org", "2 alerts: alert 1 °C")
    assert message["Message-ID"] == "<e001-1-2@forecast>"
    assert message.get_content().replace("\r", "").strip().split("\n") == [
        "open    alert 1 °C  [e001]",
        "open    alert 2 °C  [e002]",
    ]


def test_mqtt_alerts_are_acknowledged_across_a_restart_of_the_broker(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paho = pytest.importorskip("paho.mqtt.client")
    monkeypatch.setattr(contract, "LATEST", 0.2)
    port, got, subscribed = free_port(), [], threading.Event()  # type: ignore[var-annotated]
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id="reader", clean_session=False)
    client.on_message = lambda _c, _u, message: got.append(bytes(message.payload))
    client.on_subscribe = lambda *_: subscribed.set()
    client.on_connect = lambda c, *_: c.subscribe("alerts/#", qos=1)
    client.reconnect_delay_set(1, 1)
    tell(store, 1, 4)
    sink = build("sink", {"name": "mqtt", "topic": "alerts/plant", "port": port, "timeout": 5.0})
    with mosquitto(tmp_path, port):
        client.connect("127.0.0.1", port)
        client.loop_start()
        assert subscribed.wait(10)
        feeder = fed(sink, store)
        assert eventually(lambda: feeder.cursor.n == 3)
    tell(store, 4, 8)
    feeder.tell()
    assert eventually(lambda: feeder.failures >= 1)
    with mosquitto(tmp_path, port):
        assert eventually(lambda: feeder.cursor.n == 7)
        feeder.finish(5)
        assert eventually(lambda: len(set(got)) == 7)
        client.disconnect()
        client.loop_stop()
    assert set(got) == {body(n) for n in range(1, 8)}


def test_kafka_alerts_have_their_id_as_key(store: Store) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    cluster = kafka.Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1}, logger=None)
    (broker,) = cluster.list_topics(timeout=10).brokers.values()
    servers_ = f"{broker.host}:{broker.port}"
    tell(store, 1, 6)
    feeder = fed(build("sink", {"name": "kafka", "topic": "alerts", "servers": servers_}), store)
    assert eventually(lambda: feeder.cursor.n == 5)
    feeder.finish(5)
    consumer = kafka.Consumer({"bootstrap.servers": servers_, "group.id": "g", "auto.offset.reset": "earliest"})
    consumer.subscribe(["alerts"])
    found: list[Any] = []
    assert eventually(lambda: len(found.__iadd__(consumer.consume(10, 0.2)) or found) >= 5)
    consumer.close()
    messages = sorted((m.key(), m.value(), dict(m.headers())["id"]) for m in found if m.error() is None)
    assert messages == [(f"e{n:03d}".encode(), body(n), f"e{n:03d}-1".encode()) for n in range(1, 6)]


def test_a_kafka_that_is_away_is_said(store: Store) -> None:
    pytest.importorskip("confluent_kafka")
    sink = build("sink", {"name": "kafka", "servers": f"127.0.0.1:{free_port()}", "timeout": 0.5})
    with pytest.raises(Exception, match=r"timed out|not acknowledged"):
        sink.deliver([body(1)], 0)


def test_parquet_has_each_alert_once_whatever_was_written_before_a_kill(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from forecast.watch.sinks import parquet

    monkeypatch.setattr(parquet, "ROWS", 4)
    sink = build("sink", {"name": "parquet", "path": str(tmp_path / "alerts")})
    at = sink.deliver([body(n) for n in range(3)], 0)
    assert at == 3
    sink.deliver([body(n) for n in range(3, 9)], at)  # and killed before the cursor was kept
    assert sink.deliver([body(n) for n in range(3, 10)], at) == 10
    files = sorted((tmp_path / "alerts").iterdir())
    assert [file.name for file in files] == [f"alerts-00000{i}.parquet" for i in range(3)]
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    assert [row["id"] for row in rows] == [f"e{n:03d}" for n in range(10)]
    assert (rows[0]["start"].isoformat(), rows[0]["end"], rows[0]["score"], rows[0]["muted"]) == (T, None, 1.5, False)


def test_the_page_of_prometheus_counts_for_those_with_the_token(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    with pytest.raises(InputError, match="FORECAST_METRICS_TOKEN is not set"):
        build("sink", "prometheus")
    monkeypatch.setenv("FORECAST_METRICS_TOKEN", "open sesame")
    watch = json.dumps({"counts": {"scored": 40, "aside: late": 2}}).encode()
    store.commit(Commit(facts={"watch": watch}))
    tell(store, 1, 4)
    sink = build("sink", {"name": "prometheus", "port": 0})
    feeder = fed(sink, store)
    assert eventually(lambda: feeder.cursor.n == 3)
    store.commit(Commit(alerts=[(4, "e002", body(2, "closed"))]))
    feeder.tell()
    assert eventually(lambda: feeder.cursor.n == 4)
    address = f"http://127.0.0.1:{sink.port}"
    for path, token, code in (("/metrics", "", 401), ("/metrics", "Bearer x", 401), ("/", "Bearer open sesame", 404)):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(address + path, headers={"Authorization": token}), timeout=5)
        assert error.value.code == code
        error.value.close()
    request = urllib.request.Request(address + "/metrics", headers={"Authorization": "Bearer open sesame"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        text = answer.read().decode()
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in parser.text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert found["forecast_watch_readings_total", "scored"] == 40
    assert found["forecast_watch_readings_total", "aside: late"] == 2
    assert found["forecast_watch_sensors", "ACTIVE"] == 0
    assert found["forecast_watch_alerts_total", "minor", "open", "spike"] == 3
    assert found["forecast_watch_open_events", "minor"] == 2
    feeder.finish(5)
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(request, timeout=5)

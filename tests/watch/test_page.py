"""Status, labels and mutes over HTTP, beside a watch that runs; and what is refused without a word of what is there."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from forecast.watch.alerts import iso
from forecast.watch.build import build, of_bucket
from forecast.watch.leases import Leases, folder_of
from forecast.watch.loop import Loop, Options
from forecast.watch.page import MOST, Page, tasks_of
from forecast.watch.parse import Parser
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from tests.watch.test_desk import ROWS, T, alerts, scorer, write

TOKEN = "open sesame"
Ask = Callable[..., Any]


class AnsweredError(Exception):
    """Any answer but 200."""


def ask(port: int, method: str, path: str, given: Any = None, token: str = TOKEN) -> Any:
    body = None if given is None else given if isinstance(given, bytes) else json.dumps(given).encode()
    headers = {"Authorization": f"Bearer {token}"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            raise AnsweredError(f"{error.code} {json.load(error)['error']}") from error


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Loop, int]]:
    """A watch in the middle of its rows, and its port."""
    monkeypatch.setenv("FORECAST_METRICS_TOKEN", TOKEN)
    write(tmp_path, 0, ROWS, "w")
    source = build("source", {"name": "file", "path": str(tmp_path / "rows.csv"), "follow": False})
    sink = build("sink", {"name": "prometheus", "port": 0})
    made = Loop(source, Parser(), scorer(), Store(tmp_path / "state"), [sink], Options(), Telling(per_day=0.1))
    made.start()
    chunk = made.source.poll(0)
    assert chunk is not None
    made.take(chunk)
    made.commit()
    yield made, sink.port
    made.close()


def test_a_running_watch_is_asked_labelled_and_muted(running: tuple[Loop, int], tmp_path: Path) -> None:
    loop, port = running
    path = loop.store.path
    spike, other = sorted({one["id"] for one in alerts(path) if one["kind"] != "silent"})
    found = ask(port, "GET", "/status")
    assert found["sensors"] == {"NEW": 0, "WARMING": 1, "ACTIVE": 2, "DEGRADED": 0, "SILENT": 1, "MUTED": 0}
    assert found["now"] == iso((T + 600 * (ROWS - 1)) * 1_000_000)
    assert found["events"] == {"events": 2, "false": 0, "real": 0, "expected": 0, "unlabelled": 2, "apart": 1}
    assert found["false_alarms_per_sensor_day"]["asked"] == pytest.approx(0.1) and found["labels"] == {}
    assert {one["name"]: one["state"] for one in ask(port, "GET", "/sensors")}["late"] == "WARMING"
    said = ask(port, "POST", "/labels", {"alert": spike, "verdict": "false"})["said"]
    assert said.startswith(f"{spike}: false; odd ")
    ask(port, "POST", "/labels", {"alert": other, "verdict": "real"})
    told = ask(port, "GET", "/alerts")
    assert [one["detected_at"] for one in told] == sorted((one["detected_at"] for one in told), reverse=True)
    assert {one["id"]: one["label"] for one in told} == dict.fromkeys(one["id"] for one in told) | {
        spike: "false",
        other: "real",
    }
    assert [one["id"] for one in ask(port, "GET", "/alerts?sensor=od*&most=1")] == [
        one["id"] for one in told if one["sensor"] == "odd"
    ][:1]
    first, second = sorted((one for one in told if one["kind"] != "silent"), key=lambda one: one["start"])
    assert (first["cause"], first["onset"]) == ("spike", first["start"])
    assert (second["cause"], second["onset"]) == ("variance change", first["start"])  # two spikes within 64 rows
    assert [(one["cause"], one["onset"]) for one in told if one["kind"] == "silent"] == [
        ("silent", one["start"]) for one in told if one["kind"] == "silent"
    ]
    still = ask(port, "GET", "/alerts?state=open")
    assert {one["id"] for one in still} | {one["id"] for one in ask(port, "GET", "/alerts?state=closed")} == {
        one["id"] for one in told
    }
    assert all(one["state"] != "closed" for one in still)
    found = ask(port, "GET", "/status")
    assert found["labels"] == {spike: "false", other: "real"} and found["events"]["unlabelled"] == 0
    assert found["false_alarms_per_sensor_day"]["least"] == found["false_alarms_per_sensor_day"]["most"] > 0
    assert found["stricter"][0]["left"] == {"false": 1, "real": 1}
    ask(port, "POST", "/mutes", {"sensor": "odd", "end": "2030-01-01T00:00Z"})
    (mute,) = ask(port, "GET", "/mutes")
    assert mute == {"sensor": "odd", "kind": "*", "start": found["now"], "end": "2030-01-01T00:00:00+00:00"}
    write(tmp_path, ROWS, 160)
    chunk = loop.source.poll(0)
    assert chunk is not None
    loop.commit()
    loop.take(chunk)
    loop.commit()
    assert loop.counts["muted"] > 0  # the spike at 150
    assert ask(port, "GET", "/status")["sensors"]["MUTED"] == 1
    assert ask(port, "DELETE", "/mutes", {"sensor": "odd"})["said"].startswith("no longer muted: odd")
    assert ask(port, "GET", "/mutes") == []


def test_what_is_refused_changes_nothing(running: tuple[Loop, int]) -> None:
    loop, port = running
    mine = {"alert": alerts(loop.store.path)[0]["id"], "verdict": "real"}
    for method, path, given, words in (
        ("POST", "/labels", mine | {"verdict": "rael"}, "400 unknown verdict 'rael'; did you mean 'real'"),
        ("POST", "/labels", mine | {"alert": "zz"}, "400 alert=zz: the id of no alert"),
        ("POST", "/labels", mine | {"alert": 7}, "400 alert must be a word, got 7"),
        ("POST", "/labels", mine | {"more": 1}, "400 expected a JSON object with alert, verdict"),
        ("POST", "/labels", None, "400 expected a JSON object"),
        ("POST", "/labels", b"{", "400 the request is no JSON"),
        ("POST", "/labels", b"[" * 60_000, "400 the request is no JSON"),
        ("POST", "/labels", b" " * (MOST + 1), "413 a request of 65537 bytes"),
        ("POST", "/mutes", {"sensor": "a", "end": "soon"}, "400 mute: end='soon' is no time"),
        ("DELETE", "/mutes", {"sensor": "none"}, "400 nothing of that sensor and kind is muted"),
        ("GET", "/alerts?most=few", None, "400 most=few: expected a number"),
        ("GET", "/alerts?most=0", None, "400 most=0: at least 1"),
        ("GET", "/alerts?state=opne", None, "400 unknown state 'opne'; did you mean 'open'"),
        ("GET", "/alerts?since=1", None, "400 expected a JSON object with sensor, state, most"),
        ("POST", "/status", None, "405 /status takes GET"),
        ("GET", "/labels", None, "405 /labels takes POST"),
        ("GET", "/", None, "404 /alerts /labels /metrics /mutes /sensors /status"),
    ):
        with pytest.raises(AnsweredError, match=words.replace("(", r"\(").replace("[", r"\[")):
            ask(port, method, path, given)
    for method, path in (("GET", "/status"), ("POST", "/labels"), ("GET", "/nothing"), ("DELETE", "/mutes")):
        for token in ("", "open", TOKEN + "x", "ä"):
            with pytest.raises(AnsweredError, match="401 the token is missing or wrong"):
                ask(port, method, path, mine if method == "POST" else None, token.encode().decode("latin-1"))
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.putrequest("POST", "/labels")
        client.putheader("Authorization", f"Bearer {TOKEN}")
        client.putheader("Content-Length", "-5")
        client.endheaders()
        assert client.getresponse().status == 413
    with closing(Reader(loop.store.path)) as reader:
        assert reader.labels() == {} and reader.mutes() == []


def test_a_bucket_answers_for_its_folder_on_a_port_of_its_own(tmp_path: Path) -> None:
    Leases(tmp_path / "leases.db", 2, 10.0)
    for bucket in range(2):
        Store(folder_of(tmp_path, bucket), alone=False).close()
    page = Page("127.0.0.1", 0, TOKEN, tasks_of(folder_of(tmp_path, 1) / "state.db"))
    ask(page.port, "POST", "/mutes", {"sensor": "plant/*"})
    page.close()
    for bucket in range(2):
        with closing(Reader(folder_of(tmp_path, bucket) / "state.db")) as reader:
            assert [one.sensor for one in reader.mutes()] == ["plant/*"]
    ports = [of_bucket(given, 3)["port"] for given in ("prometheus", {"name": "prometheus", "port": 9000})]
    assert ports == [9467, 9003] and of_bucket({"name": "prometheus", "port": 0}, 3)["port"] == 0

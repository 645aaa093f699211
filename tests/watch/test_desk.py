"""States of sensors, labels, mutes and the budget, by command, beside a watch that runs or not."""

import csv
import json
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.watch import desk, status
from forecast.watch.alerts import iso
from forecast.watch.build import build
from forecast.watch.events import Mute
from forecast.watch.live import Live
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.status import Gauge, Sensor
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import Plan
from tests.watch.test_warmup import live

T, ROWS = 1_700_000_000, 130


def scorer() -> Live:
    return live(Plan(rows=60, season=1))


def loop(folder: Path, mutes: tuple[Mute, ...] = ()) -> Loop:
    source = build("source", {"name": "file", "path": str(folder / "rows.csv"), "follow": False})
    telling = Telling(mutes=mutes, per_day=0.1)
    return Loop(source, Parser(), scorer(), Store(folder / "state"), [], Options(), telling)


def write(folder: Path, low: int, high: int, mode: str = "a") -> None:
    """Rows of four sensors: one falls silent, one is new halfway, one has two spikes."""
    random = np.random.default_rng(3).normal(size=(300, 4))
    with open(folder / "rows.csv", mode, encoding="utf-8") as file:
        file.write("time,sensor,value\n" if mode == "w" else "")
        for t in range(low, high):
            for s, name in enumerate(("good", "gone", "late", "odd")):
                if (name == "gone" and t >= 90) or (name == "late" and t < 100):
                    continue
                file.write(f"{T + 600 * t},{name},{random[t, s] + 50 * (name == 'odd' and t in (80, 100, 150))}\n")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("desk")
    write(made, 0, ROWS, "w")
    loop(made).run()
    return made


@pytest.fixture
def path(folder: Path) -> Iterator[Path]:
    yield folder / "state" / "state.db"
    for one in alerts(folder / "state" / "state.db"):
        desk.label([folder / "state" / "state.db"], one["id"], "none")


def alerts(path: Path) -> list[dict[str, Any]]:
    reader = Reader(path)
    found = [json.loads(body) for _, body in reader.alerts()]
    reader.close()
    return found


def sensors(path: Path) -> dict[str, Sensor]:
    reader = Reader(path)
    found = status.sensors_of(reader)
    reader.close()
    return {sensor.name: sensor for sensor in found}


def test_every_sensor_has_a_state(path: Path) -> None:
    found = sensors(path)
    assert {name: one.state for name, one in found.items()} == {
        "good": "ACTIVE",
        "gone": "SILENT",
        "late": "WARMING",
        "odd": "ACTIVE",
    }
    assert found["late"].eta == (T + 600 * 159) * 1_000_000  # 60 rows from its first, at 100
    assert found["good"].days == pytest.approx((ROWS - 60) / 144)
    assert found["good"].budget == pytest.approx(0.1 * (ROWS - 60) / 144)
    desk.mute([path], [Mute("od*", "spike")])
    assert sensors(path)["odd"].state == "ACTIVE"
    desk.mute([path], [Mute("od*")])
    assert sensors(path)["odd"].state == "MUTED"
    desk.unmute([path], [Mute("od*"), Mute("od*", "spike")])
    assert sensors(path)["odd"].state == "ACTIVE"


def test_labels_move_the_gauge_and_the_preview_and_nothing_else(path: Path, tmp_path: Path) -> None:
    spikes = sorted({one["id"] for one in alerts(path) if one["kind"] != "silent"})
    assert len(spikes) == 2
    before = desk.show([path], tmp_path)
    assert "2 without a label; 1 apart from the budget" in before
    assert "would be left" not in before
    assert desk.label([path], spikes[0][:10], "false").startswith(f"{spikes[0]}: false; odd ")
    desk.label([path], spikes[1], "real")
    after = desk.show([path], tmp_path)
    assert "2 events: 1 false, 1 real, 0 expected, 0 without a label" in after
    assert "1 SILENT" in after
    with open(tmp_path / "sensors.csv", encoding="utf-8") as file:
        assert {row["sensor"]: row["state"] for row in csv.DictReader(file)}["gone"] == "SILENT"
    desk.label([path], spikes[0], "none")
    reader = Reader(path)
    assert reader.labels() == {spikes[1]: "real"}
    reader.close()


def test_the_gauge_is_a_range_as_long_as_labels_are_missing() -> None:
    events = {str(n): {"id": str(n), "kind": "spike", "score": 0.6} for n in range(6)}
    events["f"] = {"id": "f", "kind": "frozen", "score": 1.0}
    found = status.gauge(
        [Sensor("a", "ACTIVE", 0, 9, 9, 20.0, 2.0, None)], events, {"0": "false", "1": "real", "2": "expected"}
    )
    assert found == Gauge(0.1, 20.0, 6, 1, 1, 1, 1)
    assert (found.unlabelled, found.least, found.most) == (3, 1 / 20, 4 / 20)


def test_the_preview_says_which_events_a_stricter_rate_leaves() -> None:
    rate = 1e-3
    nats = {"a": 7.0, "b": 9.0, "c": 14.0}  # −log 1e-3 = 6.9, 1e-4: 9.2, 1e-5: 11.5
    events = {name: {"id": name, "kind": "spike", "score": e / (e - math.log(rate))} for name, e in nats.items()}
    left = {share: dict(found) for share, found in status.preview(rate, events, {"a": "false", "c": "real"})}
    assert left[1.0] == {"false": 1, "unlabelled": 1, "real": 1}
    assert left[0.3] == {"unlabelled": 1, "real": 1}
    assert left[0.1] == left[0.01] == {"real": 1}


def test_what_is_refused_says_what_to_do(path: Path, tmp_path: Path) -> None:
    for task, words in {
        (lambda: desk.label([path], "nothing", "real")): "the id of no alert",
        (lambda: desk.label([path], "", "real")): "needs alert=ID",
        (lambda: desk.label([path], alerts(path)[0]["id"], "flase")): "did you mean 'false'",
        (lambda: desk.mute([path], [])): "a mute needs",
        (lambda: desk.unmute([path], [Mute("x")])): "nothing of that sensor",
        (lambda: desk.show([tmp_path / "none.db"], tmp_path)): "no such store",
    }.items():
        with pytest.raises(InputError, match=words):
            task()


def test_a_running_watch_takes_a_mute_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path, 0, ROWS, "w")
    running = loop(tmp_path)
    first = running.source.poll(0)
    assert first is not None
    running.take(first)
    running.commit()
    path = tmp_path / "state" / "state.db"
    said = desk.mute([path], [Mute("odd")])
    assert said.startswith(f"muted: odd (*) from {iso((T + 600 * (ROWS - 1)) * 1_000_000)}")
    write(tmp_path, ROWS, 160)
    more = running.source.poll(0)
    assert more is not None
    running.commit()
    assert "mutes by command: 1, in all 1" in caplog.text
    running.take(more)
    running.commit()
    running.close()
    odd = [one for one in alerts(path) if one["sensor"] == "odd"]
    assert [one["muted"] for one in odd if one["start"] == iso((T + 600 * 100) * 1_000_000)] == [False, False]
    assert {one["muted"] for one in odd if one["start"] == iso((T + 600 * 150) * 1_000_000)} == {True}
    assert sensors(path)["odd"].state == "MUTED"
    assert desk.unmute([path], [Mute("odd")]).startswith("no longer muted: odd")
    assert Reader(path).mutes() == []


def test_an_alert_is_explained_by_the_scores_that_are_kept(folder: Path) -> None:
    paths = desk.stores(folder / "state")
    with closing(Reader(paths[0])) as reader:
        told = [json.loads(body) for _, body in reader.alerts()]
    one = next(each for each in told if each["sensor"] == "odd")
    said = desk.explain(paths, one["id"][:8])
    assert said == f"{one['id']}: spike of odd since {one['start']}; told as {one['kind']} from {one['start']} on"
    gone = next(each for each in told if each["kind"] == "silent")
    assert desk.explain(paths, gone["id"]).startswith(f"{gone['id']}: silent of gone since {gone['start']};")
    with pytest.raises(InputError, match="no alert that is stored"):
        desk.explain(paths, "nothing")
    with pytest.raises(InputError, match="alert=ID"):
        desk.explain(paths, None)

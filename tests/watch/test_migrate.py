"""Stores of format 1 go on: what they held is kept, their sensors are estimated anew from their own last rows."""

import gzip
import json
import math
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from forecast.errors import InputError
from forecast.watch import desk, history
from forecast.watch.book import apart
from forecast.watch.build import build
from forecast.watch.events import Mute
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.recent import SIZE
from forecast.watch.records import DamagedError, seal, unseal, version_of
from forecast.watch.status import sensors_of
from forecast.watch.store import FIXED, FORMAT, SENSOR, Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.warmup import Plan
from tests.watch.test_warmup import live

STORES = Path(__file__).parent / "stores"
OLD, NEW = 160, 220  # rows of a sensor when the store was written, and after
both = pytest.mark.parametrize("store", ["one_model", "banks"])


def rows(count: int) -> str:
    """The rows of the stores, and those after: a season of 24, two spikes of b, a third sensor from 130 on."""
    chance, lines = random.Random(4), ["time,sensor,value\n"]
    for t in range(count):
        for name in ("plant/a", "plant/b", "plant/late"):
            if name != "plant/late" or t >= 130:
                value = 3 * math.sin(2 * math.pi * t / 24) + chance.gauss(0, 0.3)
                value += 30 * (name == "plant/b" and t in (120, 159, 200))
                lines.append(f"{1700000000 + 3600 * t},{name},{value:.3f}\n")
    return "".join(lines)


def loop(folder: Path) -> Loop:
    source = build("source", {"name": "file", "path": str(folder / "rows.csv"), "follow": False})
    scorer = live(Plan(rows=80, longest=80))
    return Loop(source, Parser(), scorer, Store(folder / "state"), [], Options(), Telling(per_day=0.1))


@pytest.fixture
def folder(store: str, tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "state.db").write_bytes(gzip.decompress((STORES / f"{store}.db.gz").read_bytes()))
    (tmp_path / "rows.csv").write_text(rows(OLD))
    return tmp_path


def held(path: Path) -> tuple[list[bytes], list[bytes], list[Mute], dict[str, str]]:
    with closing(Reader(path)) as reader:
        return [body for _, body in reader.alerts()], reader.blocks(), reader.mutes(), reader.labels()


@both
def test_an_old_store_goes_on_where_it_stood(folder: Path, store: str, caplog: pytest.LogCaptureFixture) -> None:
    path = folder / "state" / "state.db"
    before = held(path)
    with pytest.raises(InputError, match="of format 1; start `forecast watch` on it"):
        desk.show([path], folder)
    loop(folder).run()
    assert (
        "format 1 brought up to date; 2 sensors are estimated anew with their next rows, 1 go on warming up"
        in caplog.text
    )
    assert held(path) == before and [len(before[0]), len(before[1])] == [{"one_model": 12, "banks": 4}[store], 1]
    assert [len(before[2]), len(before[3])] == ([0, 0] if store == "one_model" else [1, 1])
    with closing(Reader(path)) as reader:
        assert [one.state for one in sensors_of(reader)] == ["WARMING"] * 3
        assert reader.position("file:rows.csv")["offset"] == len(rows(OLD))
    (folder / "rows.csv").write_text(rows(NEW))
    loop(folder).run()
    with closing(Reader(path)) as reader:
        after = {one.name: one for one in sensors_of(reader)}
        table = history.together([history.read(block) for block in reader.blocks()])
        told = [json.loads(body) for _, body in reader.alerts()][len(before[0]) :]
        counts = json.loads(reader.fact("watch") or b"")["counts"]
    assert {name: one.state for name, one in after.items()} == {
        "plant/a": "ACTIVE",
        "plant/b": "ACTIVE",
        "plant/late": "WARMING",
    }
    assert counts["readings"] == len(table.who) == 2 * NEW + NEW - 130  # each once
    fresh = (table.time >= (1700000000 + 3600 * OLD) * 1_000_000) & (table.who < 2)
    assert np.isfinite(table.score[fresh]).all()  # scored without a gap
    opened = {(one["sensor"], one["peak_at"]) for one in told if one["state"] == "open"}
    assert opened == {("plant/b", "2023-11-23T06:13:20+00:00")}  # row 200
    assert (folder / "state" / "state.format1.db").exists()


@both
def test_killed_on_the_way_it_begins_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.watch import migrate

    def stop(*_: object) -> bytes:
        raise KeyboardInterrupt

    path = folder / "state" / "state.db"
    whole = held(path)
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "_sensor", stop)
        with pytest.raises(KeyboardInterrupt):
            Store(folder / "state")
    with closing(sqlite3.connect(path)) as base:
        assert {version_of(record) for (record,) in base.execute("SELECT record FROM sensors")} == {1}
    store = Store(folder / "state")
    assert "format 1 brought up to date" in (store.said or "") and held(path) == whole
    store.close()
    again = Store(folder / "state")
    assert again.said is None
    again.close()


@both
def test_a_damaged_old_store_is_refused(folder: Path) -> None:
    path = folder / "state" / "state.db"
    with closing(sqlite3.connect(path)) as base:
        (record,) = base.execute("SELECT record FROM sensors WHERE id = 1").fetchone()
        base.execute("UPDATE sensors SET record = ? WHERE id = 1", (record[:-1] + bytes([record[-1] ^ 1]),))
        base.commit()
    with pytest.raises(DamagedError, match="no good copy is left"):
        Store(folder / "state")


def test_a_store_of_format_2_goes_on_and_learns_what_lies_behind_events(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(rows(OLD))
    loop(tmp_path).run()
    path = tmp_path / "state" / "state.db"
    with closing(sqlite3.connect(path)) as base:
        for table, kind in (("sensors", SENSOR), ("fixed", FIXED)):
            for number, record in base.execute(f"SELECT id, record FROM {table}").fetchall():
                data = unseal(record, kind, (FORMAT,), table)[1]
                old = seal(data[:-SIZE] if kind == SENSOR else data, kind, 2)
                base.execute(f"UPDATE {table} SET record = ? WHERE id = ?", (old, number))
        base.commit()
    for digest in (tmp_path / "state").glob("*.sha256"):
        digest.unlink()
    before = held(path)
    (tmp_path / "rows.csv").write_text(rows(NEW))
    loop(tmp_path).run()
    after = held(path)
    told = [json.loads(body) for body in after[0][len(before[0]) :]]
    last = {one["id"]: one for one in told if one["peak_at"] == "2023-11-23T06:13:20+00:00"}  # row 200
    assert [(one["state"], one["cause"], one["onset"]) for one in last.values()] == [
        ("closed", "spike", "2023-11-23T06:13:20+00:00")
    ]
    with closing(Reader(path)) as reader:
        assert {len(apart(record, name).recent) for _, name, record in reader.sensors()} == {SIZE}

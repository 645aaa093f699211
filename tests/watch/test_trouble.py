"""One sensor in every kind of trouble: the outcome as documented, counters exact, and not a bit of the others' scores moved."""

import json
import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecast.watch import history
from forecast.watch.build import build
from forecast.watch.loop import Loop, Options
from forecast.watch.parse import Parser
from forecast.watch.store import Reader, Store
from forecast.watch.teller import Telling
from forecast.watch.zones import Zones
from tests.watch.simple import Ewma

Row = tuple[str, str, str]  # time, sensor, value
T, ROWS = 1_700_000_000, 300
SENSORS = ("good", "bad", "fine")
LATENESS = 60


class Seen:
    """What became of rows: scores by sensor, counts, alerts."""

    def __init__(self, folder: Path) -> None:
        reader = Reader(folder / "state" / "state.db")
        scores = history.together([history.read(block) for block in reader.blocks()])
        self.scores = {name: scores.take(np.flatnonzero(scores.who == number)) for number, name, _ in reader.sensors()}
        self.counts = json.loads(reader.fact("watch") or b"{}")["counts"]
        self.alerts = [json.loads(body) for _, body in reader.alerts()]
        reader.close()

    def same(self, other: "Seen", names: Sequence[str]) -> bool:
        """Whether the scores of these sensors are the same bytes."""
        pairs = [(self.scores[name][1:], other.scores[name][1:]) for name in names]  # all columns but the number
        return all(a.tobytes() == b.tobytes() for one, two in pairs for a, b in zip(one, two, strict=True))

    def aside(self) -> dict[str, int]:
        return {name.removeprefix("aside: "): n for name, n in self.counts.items() if name.startswith("aside")}


def watch(folder: Path, text: str, lateness: float = 0.0, zones: dict[str, str] | None = None) -> Seen:
    folder.mkdir()
    (folder / "rows.csv").write_text(text)
    source = build("source", {"name": "file", "path": str(folder / "rows.csv"), "follow": False, "block": 4096})
    parser, store = Parser(zones=Zones(zones or {})), Store(folder / "state")
    Loop(source, parser, Ewma(), store, [], Options(lateness=lateness, seconds=0.01), Telling()).run()
    return Seen(folder)


def rows(start: int = T) -> list[Row]:
    values = np.random.default_rng(8).normal(20, 1, (ROWS, 3)).round(4)
    return [(str(start + 60 * t), name, str(values[t, s])) for t in range(ROWS) for s, name in enumerate(SENSORS)]


def long(some: Sequence[Row]) -> str:
    return "time,sensor,value\n" + "".join(",".join(row) + "\n" for row in some)


def mine(some: list[Row], change: Callable[[int, Row], list[Row]]) -> list[Row]:
    """Rows of `bad` replaced; the number of the row is that among its own."""
    out, count = [], 0
    for row in some:
        if row[1] == "bad":
            out += change(count, row)
            count += 1
        else:
            out.append(row)
    return out


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    seen = watch(tmp_path_factory.mktemp("calm") / "it", long(rows()))
    assert (seen.aside(), seen.counts["readings"]) == ({}, 3 * ROWS)
    return seen


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    """The same rows, where late ones are waited for."""
    return watch(tmp_path_factory.mktemp("calm") / "it", long(rows()), LATENESS * 3)


def test_every_row_twice_counts_once(calm: Seen, tmp_path: Path) -> None:
    seen = watch(tmp_path / "it", long([row for row in rows() for _ in (0, 1)]))
    assert seen.aside() == {"repeated": 3 * ROWS}
    assert seen.same(calm, SENSORS)


def test_a_block_that_is_sent_again_counts_once(calm: Seen, tmp_path: Path) -> None:
    some = rows()
    seen = watch(tmp_path / "it", long(some[:600] + some[300:600] + some[600:]))
    assert seen.aside() == {"late": 3 * (100 - 16), "repeated": 3 * 16}  # 16 times of each sensor are remembered
    assert seen.same(calm, SENSORS)


def test_rows_shuffled_within_the_lateness_are_rows_in_order(patient: Seen, tmp_path: Path) -> None:
    chance = random.Random(1)
    some = sorted(rows(), key=lambda row: int(row[0]) + chance.uniform(0, LATENESS * 3))
    seen = watch(tmp_path / "it", long(some), LATENESS * 3)
    assert some != rows()
    assert seen.aside() == {}
    assert seen.same(patient, SENSORS)


def test_one_row_in_a_hundred_ten_minutes_late_is_put_aside(patient: Seen, tmp_path: Path) -> None:
    late = set(range(50, 280, 100))

    def change(n: int, row: Row) -> list[Row]:
        back = [(str(int(row[0]) - 600), "bad", "20.5")] if n - 10 in late else []
        return [*([] if n in late else [row]), *back]

    seen = watch(tmp_path / "it", long(mine(rows(), change)), LATENESS * 3)
    assert seen.aside() == {"late": len(late)}
    assert seen.same(patient, ("good", "fine"))
    assert len(seen.scores["bad"].who) == ROWS - len(late)


def test_a_clock_that_jumps_ahead_and_back(calm: Seen, tmp_path: Path) -> None:
    def change(n: int, row: Row) -> list[Row]:
        return [(str(int(row[0]) + 3600 * (150 <= n < 200)), *row[1:])]

    seen = watch(tmp_path / "it", long(mine(rows(), change)))
    # ahead by 60 rows until row 199; afterwards late until its own clock has passed 199 + 60, and at 210 … 259 it repeats
    # a time: 244 … 259 are among the last sixteen
    assert seen.aside() == {"late": 44, "repeated": 16}
    assert seen.same(calm, ("good", "fine"))


def test_1970_2106_and_the_day_after_tomorrow(calm: Seen, tmp_path: Path) -> None:
    soon = int(datetime.now(UTC).timestamp()) + 2 * 86_400
    odd = {100: "1970-01-01T00:00:00Z", 101: "0", 102: "4294967295", 103: str(soon), 104: "2106-02-07T06:28:15Z"}

    def change(n: int, row: Row) -> list[Row]:
        return [row, *([(odd[n], "bad", "20")] if n in odd else [])]

    seen = watch(tmp_path / "it", long(mine(rows(), change)))
    assert seen.aside() == {"too old": 1, "no readable time": 1, "from the future": 3}
    assert seen.same(calm, SENSORS)


def test_milliseconds_among_seconds_are_the_same_rows(calm: Seen, tmp_path: Path) -> None:
    seen = watch(tmp_path / "it", long(mine(rows(), lambda n, row: [(row[0] + "000" * (n % 2), *row[1:])])))
    assert seen.aside() == {}
    assert seen.same(calm, SENSORS)


@pytest.mark.parametrize(("day", "hours"), [((2025, 10, 25), 25), ((2025, 3, 29), 23)])
def test_the_nights_in_which_clocks_change(tmp_path: Path, day: tuple[int, int, int], hours: int) -> None:
    """A wall clock without an offset, every ten minutes over the change; the others write UTC."""
    zone = ZoneInfo("Europe/Berlin")
    start = int(datetime(*day, 12, tzinfo=zone).timestamp())
    some = [(str(start + 10 * (int(t) - T)), s, v) for t, s, v in rows()]
    plain = watch(tmp_path / "utc", long(some))

    def wall(n: int, row: Row) -> list[Row]:
        return [(datetime.fromtimestamp(int(row[0]), zone).strftime("%Y-%m-%d %H:%M:%S"), *row[1:])]

    seen = watch(tmp_path / "wall", long(mine(some, wall)), zones={"bad": "Europe/Berlin"})
    assert seen.aside() == {}
    assert seen.same(plain, SENSORS)
    midnight = [datetime(*day, tzinfo=zone) + timedelta(days=n) for n in (1, 2)]
    assert midnight[1].timestamp() - midnight[0].timestamp() == hours * 3600
    if hours == 23:  # an hour that does not exist, as a clock shows it that was not told
        text = long(mine(some, lambda n, row: [*wall(n, row), ("2025-03-30 02:30:00", "bad", "1")][: 1 + (n == 100)]))
        odd = watch(tmp_path / "odd", text, zones={"bad": "Europe/Berlin"})
        assert odd.aside() == {"no such hour": 1}
        assert odd.same(plain, SENSORS)


def test_columns_that_are_added_removed_and_renamed(calm: Seen, tmp_path: Path) -> None:
    values = {name: [value for _, sensor, value in rows() if sensor == name] for name in SENSORS}
    headers = {0: SENSORS, 100: ("fine", "extra", "good", "bad"), 150: ("good", "fine"), 200: ("fine", "worse", "good")}
    text, names = "", SENSORS
    for t in range(ROWS):
        if t in headers:
            names = headers[t]  # type: ignore[assignment]
            text += ",".join(("time", *names)) + "\n"
        cells = [values.get(name, values["bad"])[t] for name in names]
        text += ",".join([str(T + 60 * t), *cells]) + "\n"
    text += f"{T + 60 * ROWS},1,2\n"
    seen = watch(tmp_path / "it", text)
    assert {name: len(scores.who) for name, scores in seen.scores.items()} == {
        **{"good": ROWS, "fine": ROWS, "bad": 150},
        **{"extra": 50, "worse": 100},
    }
    assert seen.aside() == {"number of columns": 1}
    assert seen.same(calm, ("good", "fine"))


def test_a_unit_that_changes_is_an_alarm_of_that_sensor(calm: Seen, tmp_path: Path) -> None:
    def change(n: int, row: Row) -> list[Row]:
        return [(*row[:2], str(1000 * float(row[2])) if n >= 200 else row[2])]

    seen = watch(tmp_path / "it", long(mine(rows(), change)))
    assert seen.aside() == {}
    assert seen.same(calm, ("good", "fine"))
    (first,) = {alert["start"] for alert in seen.alerts if alert["sensor"] == "bad" and alert["state"] == "open"}
    assert first == datetime.fromtimestamp(T + 60 * 200, UTC).isoformat()
    assert {alert["sensor"] for alert in seen.alerts} - {alert["sensor"] for alert in calm.alerts} <= {"bad"}


def test_cells_that_are_no_numbers(calm: Seen, tmp_path: Path) -> None:
    odd = {100: "1e400", 110: "-inf", 120: "nan", 130: "n/a", 140: "error 7", 150: "1,5", 160: '"', 170: "\x00"}

    def change(n: int, row: Row) -> list[Row]:
        return [row, (str(int(row[0]) + 30), "bad", odd[n])] if n in odd else [row]

    seen = watch(tmp_path / "it", long(mine(rows(), change)))
    assert seen.aside() == {"not finite": 2, "not a number": 1, "number of columns": 1, "not text": 1}
    assert seen.counts["readings"] == 3 * ROWS + 3  # nan, n/a and nothing between quotes: missing
    assert seen.same(calm, ("good", "fine"))

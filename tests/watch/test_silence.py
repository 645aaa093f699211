"""Silent sensors: noticed in the time of the stream, whatever the batches, and not where nobody is silent."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.watch.alerts import iso
from forecast.watch.arrival import Rows
from forecast.watch.events import Told
from forecast.watch.silence import Silence
from tests.watch import outcome
from tests.watch.process import run
from tests.watch.simple import STEP

SENSORS, LIMIT = 3, 5
T = 1_700_000_000


def noticed(rows: list[tuple[int, int]], cuts: list[int], begun: list[int]) -> tuple[list[Told], list[bool], list[int]]:
    """What is told of rows (sensor, time) that come in pieces; a sensor counts from its row `begun` on."""
    silence, out = Silence(), []
    silence.grow(SENSORS)
    who, time = np.array([w for w, _ in rows]), np.array([t for _, t in rows])
    for low, high in pairwise([0, *sorted(cut % (len(rows) + 1) for cut in cuts), len(rows)]):
        piece = Rows(who[low:high], time[low:high], np.zeros(high - low), np.arange(low, high))
        limit = np.array([LIMIT if high > start else 0 for start in begun])
        out += silence.notice(piece, limit, np.array(begun))
    return sorted(out, key=lambda one: one[:3]), silence.silent.tolist(), silence.mark.tolist()


def naive(rows: list[tuple[int, int]], begun: list[int]) -> list[tuple[int, str, int, int]]:
    """The same, row by row and sensor by sensor."""
    stream, mark, silent, out = -1, {}, set(), []  # type: ignore[var-annotated]
    for order, (who, time) in enumerate(rows):
        stream = max(stream, time)
        if who in silent:
            out.append((order, "closed", who, mark[who]))
            silent.discard(who)
        mark[who] = stream
        for other in range(SENSORS):
            active = other in mark and any(w == other for w, _ in rows[begun[other] : order + 1])
            if active and other not in silent and stream - mark[other] > LIMIT:
                silent.add(other)
                out.append((order, "open", other, mark[other]))
    return sorted(out, key=lambda one: (one[0], one[2]))


@given(
    steps=st.lists(st.tuples(st.integers(0, SENSORS - 1), st.integers(-3, 9)), min_size=1, max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
)
def test_what_is_noticed_is_the_same_row_by_row_and_in_any_batches(
    steps: list[tuple[int, int]], cuts: list[int]
) -> None:
    time, rows = 0, []
    for who, step in steps:
        time += max(step, 0)
        rows.append((who, time + min(step, 0)))
    begun = [
        next((i for i, (w, _) in enumerate(rows) if w == sensor and i >= 4), len(rows)) for sensor in range(SENSORS)
    ]
    told, silent, mark = noticed(rows, cuts, begun)
    whole = noticed(rows, [], begun)
    assert (silent, mark) == whole[1:]
    plain = [(one.order, one.change.state, one.who, one.change.event.start) for one in told]
    assert plain == [(one.order, one.change.state, one.who, one.change.event.start) for one in whole[0]]
    assert sorted(plain) == sorted(naive(rows, begun))


def test_files_sorted_by_sensor_make_nobody_silent() -> None:
    rows = [(sensor, t) for sensor in range(SENSORS) for t in range(100)]
    assert noticed(rows, [50, 120], [0, 0, 0])[0] == []


def test_a_part_that_is_read_ahead_of_another_makes_none_of_its_sensors_silent() -> None:
    silence = Silence()
    silence.grow(4)
    limit, begun, out = np.full(4, LIMIT), np.full(4, -1), []
    for part, gone in ((1, 1), (2, 3)):  # sensors 0 and 1, then 2 and 3; the second of each says nothing from 50 on
        rows = [(sensor, t) for t in range(100) for sensor in (gone - 1, gone) if sensor != gone or t < 50]
        who, time = np.array(rows).T
        out += silence.notice(Rows(who, time, np.zeros(len(who)), np.arange(len(who))), limit, begun, part)
    assert [(one.who, one.change.state, one.change.event.start) for one in out] == [(1, "open", 49), (3, "open", 49)]
    assert silence.streams == {1: 99, 2: 99} and silence.silent.tolist() == [False, True, False, True]


@pytest.mark.parametrize("block", [200, 1_000_000])
def test_a_silent_sensor_is_an_alert_until_it_is_heard_again(tmp_path: Path, block: int) -> None:
    gone = range(100, 160)
    with open(tmp_path / "rows.csv", "w", encoding="utf-8") as file:
        file.write("time,sensor,value\n")
        for t in range(200):
            for sensor in ("a", "b", "c"):
                if not (sensor == "b" and t in gone):
                    file.write(f"{T + 60 * t},{sensor},{np.sin(t) + t % 7}\n")
    code, errors = run(tmp_path, {"name": "file", "path": str(tmp_path / "rows.csv"), "follow": False, "block": block})
    assert code == 0, errors
    alerts = [json.loads(line) for line in outcome.of(tmp_path).file.splitlines()]
    silent = [alert for alert in alerts if alert["kind"] == "silent"]
    assert [alert["state"] for alert in silent] == ["open", "closed"]
    assert {alert["sensor"] for alert in silent} == {"b"}
    assert len({alert["id"] for alert in silent}) == 1
    start = (T + 60 * 99) * 1_000_000
    assert silent[0]["start"] == iso(start)
    assert silent[0]["detected_at"] == iso(start + 20 * STEP)
    assert silent[1]["end"] == iso((T + 60 * 160) * 1_000_000)
    assert (silent[0]["severity"], silent[0]["actual"], silent[0]["score"]) == ("major", None, None)
    assert silent[0]["text"] == f"b since {iso(start)}; silent, major"

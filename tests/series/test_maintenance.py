"""Windows of maintenance: zones, files, unions, and the clock that stands still."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.series.maintenance import HELD, LEARNED, STILL, Maintenance, Spans, Window

HOUR = 3_600_000_000
pairs = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda p: (p[0], p[0] + p[1])), max_size=6)


def stamp(word: str) -> int:
    return int(pd.Timestamp(word).timestamp()) * 1_000_000


@given(pairs)
def test_spans_are_what_counting_says(spans: list[tuple[int, int]]) -> None:
    times = np.arange(0, 90)
    inside = np.array([any(low <= t < high for low, high in spans) for t in times])
    found = Spans.of(spans)
    assert np.array_equal(found.hold(times), inside)
    assert np.array_equal(found.before(times), np.concatenate([[0], np.cumsum(inside)[:-1]]))


@given(pairs, st.integers(0, 60), st.integers(1, 40))
def test_what_is_due_waits_for_as_much_time_outside(spans: list[tuple[int, int]], since: int, limit: int) -> None:
    own = Maintenance([Window("*", low, high) for low, high in spans]).of("a")
    outside = [t for t in range(since, 400) if not any(low <= t < high for low, high in spans)]
    assert own.due(since, limit) == outside[limit - 1] + 1


def test_times_are_of_their_zone_and_an_hour_that_comes_twice_is_inside_as_a_whole() -> None:
    berlin = {"start": "2026-10-25T02:00", "end": "2026-10-25T02:30", "zone": "Europe/Berlin"}
    (window,) = Maintenance.read([berlin]).windows
    assert (window.start, window.end) == (stamp("2026-10-25T00:00Z"), stamp("2026-10-25T01:30Z"))
    (plain,) = Maintenance.read([{"start": "2026-01-31T06:00", "end": "2026-01-31T06:00+00:00"}], "Asia/Tokyo").windows
    assert plain.start == stamp("2026-01-30T21:00Z")


def test_a_file_and_globs_and_three_flags(tmp_path: Path) -> None:
    file = tmp_path / "windows.csv"
    file.write_text(
        "sensor,start,end,zone,alert,learn,shift\n"
        "pump*,2026-01-01T00:00Z,2026-01-01T02:00Z,,,,\n"
        "pump1,2026-01-01T01:00,2026-01-01T05:00,UTC,true,,true\n"
        "valve,2026-01-01T01:00Z,2026-01-01T02:00Z,,false,true,false\n"
    )
    windows = Maintenance.read([str(file)])
    times = stamp("2026-01-01T00:00Z") + HOUR * np.arange(7)
    one, valve = windows.of("pump1"), windows.of("valve")
    assert one.code(times).tolist() == [HELD, STILL, STILL, STILL, STILL, LEARNED, LEARNED]
    assert one.muted.hold(times).tolist() == [True, True, False, False, False, False, False]
    assert ((one.clock(times) - times[0]) // HOUR).tolist() == [0, 1, 1, 1, 1, 1, 2]
    assert valve.code(times).tolist() == [LEARNED] * 7 and valve.muted.hold(times).sum() == 1
    assert not windows.of("fan").muted.hold(times).any()
    names, who = ["pump1", "fan", "pump2"], np.array([0, 1, 2, 0])
    at = times[[1, 1, 1, 5]]
    assert windows.codes(names, who, at).tolist() == [STILL, LEARNED, HELD, LEARNED]
    assert windows.muted(names, who, at).tolist() == [True, False, True, False]
    assert ((windows.clocks(names, who, at) - times[0]) // HOUR).tolist() == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"start": "2026-01-01"}, "expected"),
        ({"start": "2026-01-02", "end": "2026-01-01"}, "is not before"),
        ({"start": "soon", "end": "2026-01-01"}, "write 2026-01-31T06:00"),
        ({"start": "2026-01-01", "end": "2026-01-02", "sensors": "a"}, "did you mean 'sensor'"),
        ({"start": "2026-01-01", "end": "2026-01-02", "zone": "Europe/Berln"}, "Europe/Berlin"),
        ({"start": "2026-01-01", "end": "2026-01-02", "learn": "no"}, "neither true nor false"),
        ({"start": "2026-01-01", "end": "2026-01-02", "learn": True, "shift": True}, "pass learn=false"),
        ({"start": "2026-03-29T02:30", "end": "2026-03-30", "zone": "Europe/Berlin"}, "does not exist"),
        ("nowhere.csv", "cannot be read"),
    ],
)
def test_slips_are_told_in_one_line(row: object, said: str) -> None:
    with pytest.raises(InputError) as error:
        Maintenance.read([row])
    assert said in str(error.value) and "\n" not in str(error.value)


def test_a_file_names_the_line(tmp_path: Path) -> None:
    file = tmp_path / "w.csv"
    file.write_text("sensor,start,end,alert\na,2026-01-01,2026-01-02,false\nb,2026-01-01,2026-01-02,nope\n")
    with pytest.raises(InputError, match=r"w.csv:3: alert='nope'"):
        Maintenance.read([file])

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
        ({"every": "Satur 22:00-04:00"}, "Sat 22:00-Sun 04:00"),
        ({"every": "Mon-Fri 22:00-Sat 04:00"}, "Sat 22:00-Sun 04:00"),
        ({"every": "22:00-25:00"}, "no time of the day"),
        ({"every": "22:00-23:00", "start": "2026-01-02", "end": "2026-01-01"}, "is not before"),
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


@given(
    st.sampled_from(
        ["02:00-03:30", "23:00-01:00", "00:00-24:00", "Sun 02:00-04:00", "Fri-Mon 12:00-13:00", "Sat 22:00-Sun 04:00"]
    ),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
    st.integers(0, 365 * 24 * 4 - 1),
)
def test_windows_that_come_again_are_what_the_clock_on_the_wall_says(word: str, zone: str, quarter: int) -> None:
    inside = {
        "02:00-03:30": lambda day, hour: 2 <= hour < 3.5,
        "23:00-01:00": lambda day, hour: hour >= 23 or hour < 1,
        "00:00-24:00": lambda day, hour: True,
        "Sun 02:00-04:00": lambda day, hour: day == 6 and 2 <= hour < 4,
        "Fri-Mon 12:00-13:00": lambda day, hour: day in (4, 5, 6, 0) and 12 <= hour < 13,
        "Sat 22:00-Sun 04:00": lambda day, hour: (day == 5 and hour >= 22) or (day == 6 and hour < 4),
    }[word]
    windows = Maintenance.read([{"every": word, "sensor": "pump*"}], zone)
    moment = pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(minutes=15 * quarter)
    there = moment.tz_convert(zone)
    times = np.array([int(moment.timestamp()) * 1_000_000])
    wanted = inside(there.weekday(), there.hour + there.minute / 60)
    assert windows.of("pump1").muted.hold(times)[0] == wanted
    assert windows.muted(["pump1", "fan"], np.array([0, 1]), times.repeat(2)).tolist() == [wanted, False]


def test_a_window_that_comes_again_within_bounds_waits_as_long_as_it_lasts() -> None:
    bounded = {"every": "Mon 00:00-12:00", "start": "2026-01-05T06:00Z", "end": "2026-01-13", "shift": True}
    (window,) = Maintenance.read([bounded]).windows
    spans = [("2026-01-05T06Z", "2026-01-05T12Z"), ("2026-01-12T00Z", "2026-01-12T12Z")]
    assert window.spans().tolist() == [[stamp(low), stamp(high)] for low, high in spans]
    own = Maintenance([window]).of("a")
    assert own.due(stamp("2026-01-12T00Z"), HOUR) == stamp("2026-01-12T13Z")
    week = np.array([stamp("2026-01-05T00Z"), stamp("2026-01-14T00Z")])
    assert (np.diff(own.clock(week)) // HOUR).tolist() == [9 * 24 - 18]

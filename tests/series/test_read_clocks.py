"""Clocks: recovered from times with rows taken out, for every calendar, for many series at once; positions and times are inverse."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.series.clock import Clock, stamp_of
from forecast.series.read import read, read_csv, read_frame, understand

STEPS = {
    "s": "2026-01-01 00:00:07",
    "30s": "2026-01-01 00:00:10",
    "100ms": "2026-01-01",
    "5min": "2026-01-01 00:02",
    "15min": "1969-12-31 23:45",
    "h": "2026-01-01 00:30",
    "6h": "2026-01-01 03:00",
    "D": "2026-01-01 07:00",
    "2D": "2026-01-01",
    "W-SUN": "2026-01-04",
    "W-WED": "1950-01-04 08:00",
    "2W-MON": "2026-01-05",
    "B": "2026-01-01",
    "MS": "2026-01-01",
    "ME": "2026-01-31",
    "2MS": "1950-03-01",
    "6MS": "2026-01-01",
    "QS-JAN": "2026-01-01",
    "QS-FEB": "2026-02-01",
    "QE-DEC": "2025-12-31",
    "QE-JAN": "2025-10-31",
    "YS-JAN": "1900-01-01",
    "YE-JUN": "2000-06-30",
    "YE-DEC": "2000-12-31",
}


@pytest.mark.parametrize("step", STEPS)
@given(seed=st.integers(0, 2**16), rows=st.integers(12, 60))
def test_a_clock_is_found_with_rows_taken_out(step: str, seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    times = pd.date_range(STEPS[step], periods=rows, freq=step)
    kept = np.sort(random.choice(rows, size=max(int(rows * 0.85), 10), replace=False))
    panel = read_frame(pd.DataFrame({"ds": times[kept], "y": kept.astype(float)}), season=1)
    assert panel.clock.step == step
    inside = times[kept[0] : kept[-1] + 1]
    assert (panel.times(0) == inside).all()
    there = panel.values[:, 0].isfinite().numpy()
    assert np.array_equal(np.flatnonzero(there) + kept[0], kept)
    assert np.array_equal(panel.values[:, 0].numpy()[there], kept.astype(float))


@pytest.mark.parametrize("step", [*STEPS, "SME", "BME", "3B"])
@given(position=st.integers(-300, 300), after=st.integers(1, 60_000_000))
def test_positions_and_times_are_inverse(step: str, position: int, after: int) -> None:
    begin = {"SME": "2020-01-15", "BME": "2020-01-31", "3B": "2020-01-01"}
    clock = Clock("time", pd.Timestamp(STEPS.get(step, begin.get(step))), step)
    stamp = clock.stamps(np.array([position]))
    found, on = clock.positions(np.array([stamp[0], stamp[0] + min(after, 90_000), stamp[0] - 1]))
    assert found.tolist() == [position, position, position - 1] and on.tolist() == [True, False, False]
    moment = clock.times(np.array([position]))[0]
    assert clock.until(moment) == position and clock.until(moment + pd.Timedelta(1, "us")) == position + 1


@pytest.mark.parametrize("step", STEPS)
def test_times_are_those_of_pandas(step: str) -> None:
    clock = Clock("time", pd.Timestamp(STEPS[step]), step)
    ahead = pd.date_range(STEPS[step], periods=200, freq=step)
    assert (clock.times(np.arange(200)) == ahead).all()
    back = pd.Timestamp(STEPS[step]) - 150 * clock.offset
    assert (clock.times(np.arange(-150, 50)) == pd.date_range(back, periods=200, freq=step)).all()
    moments = np.random.default_rng(0).integers(stamp_of(ahead[0]), stamp_of(ahead[-1]), 500)
    sorted_stamps = ahead.as_unit("us").to_numpy().astype(np.int64)
    assert np.array_equal(clock.positions(moments)[0], np.searchsorted(sorted_stamps, moments, side="right") - 1)


def test_the_smallest_gap_is_not_the_clock() -> None:
    times = [*pd.date_range("2026-01-01", periods=40, freq="h"), pd.Timestamp("2026-01-01 12:17")]
    frame = pd.DataFrame({"ds": times, "y": 1.0})
    with pytest.raises(
        InputError, match=r"the frame: row 41: 1 row off the clock \(h\), the first at 2026-01-01 12:17"
    ):
        read_frame(frame)
    assert len(read_frame(frame, off_clock="drop").values) == 40
    rounded = read_frame(frame, off_clock="round", repeated="mean")
    assert len(rounded.values) == 40 and rounded.clock.step == "h"
    kept = read_frame(frame, clock="irregular")
    assert kept.elapsed(0)[12:15].tolist() == pytest.approx([1.0, 17 / 60, 43 / 60])


def test_an_irregular_series_keeps_its_stamps() -> None:
    random = np.random.default_rng(0)
    seconds = np.cumsum(random.integers(40, 90, 200))
    times = pd.Timestamp("2026-01-01") + pd.to_timedelta(seconds, unit="s")
    panel = read_frame(pd.DataFrame({"ds": times, "y": np.arange(200.0)}))
    assert panel.clock.kind == "irregular" and (panel.times(0) == times).all()
    unit = panel.clock.unit / 1e6
    assert unit == np.median(np.diff(seconds))
    assert np.allclose(panel.elapsed(0)[1:].numpy(), np.diff(seconds) / unit)
    assert panel.seasons == ()
    assert len(panel.until(times[50]).values) == 50


def test_now_and_then_is_on_a_clock_still() -> None:
    days = pd.Timestamp("2026-01-05") + pd.to_timedelta([0, 2, 5, 7, 10, 12, 15, 19, 21, 24], unit="D")
    panel = read_frame(pd.DataFrame({"ds": days, "y": 1.0}))
    assert panel.clock.step == "D" and len(panel.values) == 25
    rare = pd.Timestamp("2026-01-05") + pd.to_timedelta([0, 20, 31, 57, 60, 111, 150, 163], unit="D")
    assert read_frame(pd.DataFrame({"ds": rare, "y": 1.0})).clock.step == "D"


def test_integer_clocks_have_steps_and_phases(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [("a", 5 * i + 2) for i in range(9)] + [("b", 5 * i + 12) for i in range(9)] + [("c", i) for i in range(9)]
    path.write_text("unique_id,ds,y\n" + "".join(f"{n},{t},1\n" for n, t in rows))
    five, one = read(path)
    assert (five.names, five.clock.origin, five.clock.step, five.start.tolist()) == (("a", "b"), 2, 5, [0, 2])
    assert (one.names, one.clock.step) == (("c",), 1)
    assert five.times(1)[0] == 12 and len(five.until(22).series(1)) == 2


def test_short_series_join_the_clock_of_the_others() -> None:
    hourly = pd.date_range("2026-01-01", periods=50, freq="h")
    parts = [
        pd.DataFrame({"unique_id": "long", "ds": hourly, "y": 1.0}),
        pd.DataFrame({"unique_id": "one", "ds": hourly[[7]], "y": 1.0}),
        pd.DataFrame({"unique_id": "two", "ds": hourly[[3, 30]], "y": 1.0}),
        pd.DataFrame({"unique_id": "wide apart", "ds": hourly[[0, 11, 24]], "y": 1.0}),
    ]
    panel = read_frame(pd.concat(parts))
    assert panel.clock.step == "h" and panel.lengths.tolist() == [50, 1, 28, 25]


def test_a_stated_clock_puts_all_on_one_grid() -> None:
    shifted = [
        pd.DataFrame({"unique_id": n, "ds": pd.date_range(f"2026-01-01 00:{m:02d}", periods=9, freq="h"), "y": 1.0})
        for n, m in (("a", 0), ("b", 2), ("c", 0))
    ]
    panel = read_frame(pd.concat(shifted), clock="h", off_clock="round")
    assert panel.names == ("a", "b", "c") and panel.start.tolist() == [0, 0, 0]
    with pytest.raises(InputError, match=r"data.clock is h, but the rows have numbers"):
        read_frame(pd.DataFrame({"ds": [1, 2, 3], "y": 1.0}), clock="h")
    monthly = pd.DataFrame({"ds": pd.to_datetime(["2026-01-15", "2026-02-14", "2026-03-15"]), "y": 1.0})
    assert read_frame(monthly, clock="MS", off_clock="round").lengths.tolist() == [3]


def test_ten_thousand_series_take_no_loop(tmp_path: Path) -> None:
    series, rows = 10_000, 30
    random = np.random.default_rng(0)
    times = np.tile(pd.date_range("2026-01-01", periods=rows, freq="D").astype(str), series)
    frame = pd.DataFrame(
        {
            "unique_id": np.repeat([f"s{k}" for k in range(series)], rows),
            "ds": times,
            "y": random.normal(size=series * rows),
        }
    )
    kept = frame[random.random(len(frame)) > 0.1]
    path = tmp_path / "t.csv"
    kept.to_csv(path, index=False)
    begin = time.process_time()
    panel = read_csv(path)
    spent = time.process_time() - begin
    begin = time.process_time()
    whole = pd.read_csv(path, parse_dates=["ds"])
    whole.sort_values(["unique_id", "ds"], kind="stable")
    assert spent < 6 * (time.process_time() - begin) + 1
    assert len(panel) == series and panel.clock.step == "D"
    assert np.isclose(float(panel.values.nansum()), kept["y"].sum())


def test_one_wrong_year_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("ds,y\n" + "".join(f"2026-01-01 00:00:0{i},1\n" for i in range(9)) + "2926-01-01 00:00:09,1\n")
    with pytest.raises(InputError, match=r"t.csv:11: \d+ missing rows before this one"):
        understand(path)


def test_clocks_are_told_in_words() -> None:
    said = {step: Clock("time", pd.Timestamp(start), step).describe() for step, start in STEPS.items()}
    assert said["MS"] == "every month" and said["QS-JAN"] == said["QS-FEB"] == "every quarter"
    assert Clock("time", pd.Timestamp("2026-01-01"), "15min").describe() == "every 15 minutes"
    assert (
        Clock("time", pd.Timestamp("2026-01-01"), "h", timezone="Europe/Berlin").describe()
        == "every hour (Europe/Berlin)"
    )

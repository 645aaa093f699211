"""Times: every shape against the times it was written from, and zones against pandas."""

from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.series.read import ReadOptions, read_csv, understand


def write(path: Path, times: list[str], head: str = "ds") -> Path:
    """A file of these times and a counter."""
    path.write_text(f'"{head}",y\n' + "".join(f'"{t}",{i}.5\n' for i, t in enumerate(times)))
    return path


MOMENTS = st.lists(
    st.datetimes(datetime(1900, 1, 1), datetime(2199, 12, 31)).map(lambda t: t.replace(microsecond=0)),
    min_size=3,
    max_size=12,
    unique=True,
)
FORMATS = [
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y/%m/%d %H:%M:%S",
    "%Y%m%dT%H%M%S",
    "%d.%m.%Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%d-%B-%Y %H:%M:%S",
    "%b %d, %Y %H:%M:%S",
    "%B %d, %Y %I:%M:%S %p",
    "%a, %d %b %Y %H:%M:%S",
]


@pytest.mark.parametrize("form", FORMATS)
def test_every_shape_gives_back_the_time_it_was_written_from(
    form: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("shape") / "t.csv"

    @given(MOMENTS)
    def holds(moments: list[datetime]) -> None:
        write(path, [m.strftime(form) for m in sorted(moments)])
        assert list(read_csv(path, clock="irregular").times(0)) == sorted(moments)

    holds()


def test_parts_of_a_second_are_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["2026-01-01 00:00:00.25", "2026-01-01T00:00:00,5", "01.01.2026 00:00:00.750001"])
    assert [t.microsecond for t in read_csv(path, clock="irregular").times(0)] == [250000, 500000, 750001]


@pytest.mark.parametrize(
    ("texts", "first", "step"),
    [
        (["2026-01", "2026-02", "2026-03"], "2026-01-01", "MS"),
        (["Jan-26", "Feb-26", "Mar-26"], "2026-01-01", "MS"),
        (["March 2025", "April 2025", "May 2025"], "2025-03-01", "MS"),
        (["2025Q4", "2026Q1", "2026Q2"], "2025-10-01", "QS-JAN"),
        (["Q4 2025", "Q1 2026", "Q2 2026"], "2025-10-01", "QS-JAN"),
        (["2020-W52", "2020-W53", "2021-W01"], "2020-12-21", "W-MON"),
        (["31/12/2025", "01/01/2026", "02/01/2026"], "2025-12-31", "D"),
        (["12/31/25", "1/1/26", "1/2/26"], "2025-12-31", "D"),
        (["2026-01-01 22", "2026-01-01 23", "2026-01-01 24"], "2026-01-01 22:00", "h"),
        (["20251231", "20260101", "20260102"], "2025-12-31", "D"),
        (["202512", "202601", "202602"], "2025-12-01", "MS"),
        (["2026010100", "2026010101", "2026010102"], "2026-01-01", "h"),
    ],
)
def test_shapes_with_a_clock_of_their_own(texts: list[str], first: str, step: str, tmp_path: Path) -> None:
    panel = read_csv(write(tmp_path / "t.csv", texts))
    assert (str(panel.clock.step), panel.times(0)[0]) == (step, pd.Timestamp(first))
    assert len(panel.values) == 3


def test_iso_weeks_are_those_of_the_standard_library(tmp_path: Path) -> None:
    mondays = pd.date_range("1999-12-20", "2031-01-20", freq="W-MON")
    path = write(tmp_path / "t.csv", ["{}-W{:02d}".format(*t.isocalendar()[:2]) for t in mondays])
    assert (read_csv(path).times(0) == mondays).all()


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000), ("us", 10**6), ("ns", 10**9)])
def test_epochs_are_guessed_by_their_size(unit: str, factor: int, tmp_path: Path) -> None:
    times = pd.date_range("2026-01-01", periods=9, freq="15min")
    seconds = times.as_unit("s").to_numpy().astype(np.int64)
    found = understand(write(tmp_path / "t.csv", [str(s * factor) for s in seconds.tolist()]))
    assert (found.only().times(0) == times).all()
    assert any(g.line().startswith(f"data.epoch={unit}") for g in found.guesses)
    plain = read_csv(tmp_path / "t.csv", epoch="none")
    assert plain.clock.kind == "integer" and plain.clock.step == 900 * factor


def test_fractions_of_an_epoch_keep_their_microseconds(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["1472918400.25", "1472918401.000001", "1472918402.5"])
    assert [t.microsecond for t in read_csv(path, clock="irregular").times(0)] == [250000, 1, 500000]


def test_date_and_time_in_two_columns_and_in_four(tmp_path: Path) -> None:
    times = pd.date_range("2026-02-27 22:00", periods=30, freq="h")
    two = tmp_path / "two.csv"
    two.write_text("Date;Time;y\n" + "".join(f"{t:%d/%m/%Y};{t:%H:%M};1\n" for t in times))
    assert (read_csv(two).times(0) == times).all()
    four = tmp_path / "four.csv"
    four.write_text("year,month,day,hour,y\n" + "".join(f"{t.year},{t.month},{t.day},{t.hour},1\n" for t in times))
    assert (read_csv(four).times(0) == times).all()


def test_two_shapes_in_one_file_are_said(tmp_path: Path) -> None:
    found = understand(write(tmp_path / "t.csv", ["2026-01-30", "31.01.2026", "2026-02-01", "02.02.2026"]))
    assert (found.only().times(0) == pd.date_range("2026-01-30", periods=4)).all()
    assert any(r.kind == "shapes" and "2 shapes" in r.line() for r in found.repairs)


def test_offsets_become_utc(tmp_path: Path) -> None:
    texts = ["2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+0200", "2026-03-29 02:00Z", "2026-03-28 22:00:00 -05"]
    panel = read_csv(write(tmp_path / "t.csv", texts))
    assert (panel.times(0) == pd.date_range("2026-03-29 00:00", periods=4, freq="h")).all()
    local = read_csv(tmp_path / "t.csv", timezone="Europe/Berlin")
    assert (local.times(0) == pd.date_range("2026-03-29 01:00", periods=4, freq="h", tz="Europe/Berlin")).all()


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Sydney"])
@pytest.mark.parametrize("step", ["h", "15min"])
@pytest.mark.parametrize("series", [1, 3])
def test_local_times_cross_both_clock_changes(zone: str, step: str, series: int, tmp_path: Path) -> None:
    truth = pd.date_range("2026-01-01", "2027-01-01", freq=step, tz="UTC")[:: 1 if step == "h" else 7]
    truth = truth if step == "h" else pd.date_range("2026-10-20", "2026-11-05", freq=step, tz="UTC")
    wall = truth.tz_convert(zone).tz_localize(None)
    path = tmp_path / "t.csv"
    pd.DataFrame(
        {"ds": np.repeat(wall, series), "unique_id": [f"s{k}" for k in range(series)] * len(wall), "y": 1.0}
    ).to_csv(path, index=False)
    panel = read_csv(path, timezone=zone)
    assert panel.clock.step == step and not panel.values.isnan().any()
    assert all((panel.times(s) == truth).all() for s in range(series))


def test_an_hour_that_came_twice_need_not_repeat_itself(tmp_path: Path) -> None:
    texts = ["01:50", "02:10", "02:40", "02:05", "02:35", "03:00"]
    path = write(tmp_path / "t.csv", [f"2026-10-25 {t}" for t in texts])
    panel = read_csv(path, timezone="Europe/Berlin", clock="irregular")
    minutes = np.diff(panel.times(0)) / np.timedelta64(1, "m")
    assert minutes.tolist() == [20, 30, 25, 30, 25]
    write(path, ["2026-10-25 01:00", "2026-10-25 02:00", "2026-10-25 03:00", "2026-10-25 04:00"])
    once = understand(path, ReadOptions(timezone="Europe/Berlin"))
    assert once.only().values[:, 0].nan_to_num(-1).tolist() == [0.5, 1.5, -1, 2.5, 3.5]
    assert [r.kind for r in once.repairs] == ["clock change"]


@pytest.mark.parametrize("step", ["D", "W-SUN", "MS", "ME"])
def test_calendar_steps_are_read_on_the_wall_clock(step: str, tmp_path: Path) -> None:
    days = pd.date_range("2025-06-01", periods=30, freq=step, tz="Europe/Berlin")
    naive = write(tmp_path / "t.csv", [str(t.tz_localize(None)) for t in days])
    offset = write(tmp_path / "o.csv", [t.isoformat() for t in days])
    for path in (naive, offset):
        panel = read_csv(path, timezone="Europe/Berlin")
        assert panel.clock.step == step and len(panel.values) == 30
        assert (panel.times(0) == days).all()
        assert (panel.times(0, ahead=3) == pd.date_range(days[-1], periods=4, freq=step)[1:]).all()


def test_a_year_may_be_a_plain_number(tmp_path: Path) -> None:
    panel = read_csv(write(tmp_path / "t.csv", [str(y) for y in range(1871, 1971)], head="year"))
    assert (panel.clock.kind, panel.clock.origin) == ("integer", 1871)


def test_a_stated_format_decides(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", ["26|01|30", "26|01|31", "26|02|01"])
    assert (read_csv(path, format="%y|%m|%d", time="ds").times(0) == pd.date_range("2026-01-30", periods=3)).all()
    with pytest.raises(InputError, match="is no time"):
        read_csv(path, time="ds")

"""Calendar inputs against the calendar of the standard library and the `holidays` package."""

import datetime as dt
from dataclasses import replace

import holidays
import numpy as np
import pandas as pd
import pytest
import torch

from forecast.errors import InputError
from forecast.series.calendar import calendar_inputs
from forecast.series.clock import Clock, stamp_of
from forecast.series.panel import Known, Panel, panel_of


def panel(start: str, step: str, rows: int, timezone: str | None = None) -> Panel:
    return panel_of([torch.zeros(rows)], Clock("time", pd.Timestamp(start), step, timezone=timezone))


def columns(made: Known) -> dict[str, list[float]]:
    return dict(zip(made.names, made.shared.T.tolist(), strict=True))


def test_against_the_calendar_of_the_standard_library() -> None:
    made = columns(
        calendar_inputs(
            panel("2024-02-27 05:30", "30min", 200), ("minute", "hour", "weekday", "month", "weekend", "yearday"), 10
        )
    )
    for row in range(210):
        time = dt.datetime(2024, 2, 27, 5, 30) + dt.timedelta(minutes=30 * row)
        angle = 2 * np.pi * (time.hour + time.minute / 60) / 24
        assert made["hour_sin"][row] == pytest.approx(np.sin(angle)) and made["hour_cos"][row] == pytest.approx(
            np.cos(angle)
        )
        assert made["minute_cos"][row] == pytest.approx(-1 if time.minute else 1)
        assert made["yearday_sin"][row] == pytest.approx(np.sin(2 * np.pi * (time.timetuple().tm_yday - 1) / 366))
        days = [made[f"weekday_{name}"][row] for name in ("tue", "wed", "thu", "fri", "sat", "sun")]
        assert days == [float(time.weekday() == i) for i in range(1, 7)]
        assert made["weekend"][row] == float(time.weekday() >= 5)
        assert made["month_feb"][row] == float(time.month == 2) and made["month_mar"][row] == float(time.month == 3)


def test_columns_are_known_for_rows_ahead_and_not_beyond() -> None:
    one = panel("2024-01-01", "h", 48)
    one = replace(one, known=calendar_inputs(one, ("hour",), 24))
    assert one.past([48]).inputs.shape == (1, 48, 2) and one.future([48], 24).inputs.shape == (1, 24, 2)
    with pytest.raises(InputError, match="input 'hour_sin' is not known at row 72"):
        one.future([48], 25)


@pytest.mark.parametrize(("place", "country", "part"), [("DE", "DE", None), ("DE-BY", "DE", "BY"), ("US", "US", None)])
def test_holidays_are_those_of_the_package(place: str, country: str, part: str | None) -> None:
    made = columns(calendar_inputs(panel("2023-12-20", "D", 400), (f"holidays:{place}",), 5))[f"holiday_{place}"]
    oracle = holidays.country_holidays(country, subdiv=part, years=[2023, 2024, 2025])
    assert made == [float(dt.date(2023, 12, 20) + dt.timedelta(days=i) in oracle) for i in range(405)]


def test_times_are_read_in_the_zone_of_the_clock() -> None:
    """23:30 UTC on Christmas Eve is the holiday 25 December in Berlin; hours follow the wall clock over its change."""
    berlin = panel("2024-12-24 20:30", "h", 6, "Europe/Berlin")
    made = columns(calendar_inputs(berlin, ("holidays:DE", "hour"), 0))
    assert made["holiday_DE"] == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    spring = columns(calendar_inputs(panel("2024-03-30 23:00", "h", 4, "Europe/Berlin"), ("hour",), 0))
    hours = np.round(np.arctan2(spring["hour_sin"], spring["hour_cos"]) * 12 / np.pi) % 24
    assert hours.tolist() == [0, 1, 3, 4]


def test_long_rows_count_their_holidays() -> None:
    weekly = columns(calendar_inputs(panel("2024-12-16", "W-MON", 4), ("holidays:DE",), 0))["holiday_DE"]
    assert weekly == [0, 2, 1, 0], "25 and 26 December; 1 January"
    monthly = columns(calendar_inputs(panel("2024-12-01", "MS", 2), ("holidays:DE",), 1))["holiday_DE"]
    assert monthly == [2, 1, 0]


def test_other_inputs_stay_beside_the_calendar() -> None:
    one = panel("2024-01-01", "h", 6)
    plan = Known(
        ("price", "load"),
        torch.arange(8.0, dtype=torch.float64)[:, None],
        torch.tensor([0, 8]),
        torch.ones(4, 1, dtype=torch.float64),
        -1,
    )
    made = replace(one, known=calendar_inputs(replace(one, known=plan), ("hour",), 2))
    assert made.known.names == ("price", "load", "hour_sin", "hour_cos")
    seen = made.known.rows(0, 0, 0, 3)
    assert (
        seen[:, 0].tolist() == [0, 1, 2]
        and seen[:, 1].tolist() == [1, 1, 1]
        and seen[1, 2] == pytest.approx(np.sin(2 * np.pi / 24))
    )
    assert made.known.rows(0, 4, 4, 2)[:, 1].isnan().all(), "the plan ends there and is not made up"


def test_irregular_series_have_columns_of_their_own() -> None:
    stamps = [pd.Timestamp("2024-05-01 00:00"), pd.Timestamp("2024-05-01 06:00"), pd.Timestamp("2024-05-01 07:00")]
    micro = torch.tensor([stamp_of(t) for t in stamps])
    two = panel_of([torch.zeros(2), torch.zeros(1)], Clock("irregular", 0, unit=3_600_000_000))
    two = replace(two, stamps=micro, start=micro[[0, 2]])
    known = calendar_inputs(two, ("hour", "holidays:DE"), 2)
    two = replace(two, known=known)
    hours = [np.arctan2(float(r[0]), float(r[1])) * 12 / np.pi for r in two.past([2], [0]).inputs[0]]
    assert hours == pytest.approx([0, 6])
    ahead = [np.arctan2(float(r[0]), float(r[1])) * 12 / np.pi for r in two.future([1], 2, [1]).inputs[0]]
    assert ahead == pytest.approx([8, 9]) and two.past([1], [1]).inputs[0, 0, 2] == 1


def test_harmonics_of_the_hour() -> None:
    made = columns(calendar_inputs(panel("2024-01-01", "h", 6), ("hour:3",), 0))
    assert list(made) == ["hour_sin", "hour_cos", "hour2_sin", "hour2_cos", "hour3_sin", "hour3_cos"]
    assert made["hour3_cos"] == pytest.approx(np.cos(6 * np.pi * np.arange(6) / 24))
    for key in ("hour:0", "hour:x", "hour:13"):
        with pytest.raises(InputError, match="a number from 1 to 12, as in hour:4"):
            calendar_inputs(panel("2024-01-01", "h", 5), (key,), 1)
    with pytest.raises(InputError, match="calendar input 'weekday:2'"):
        calendar_inputs(panel("2024-01-01", "h", 5), ("weekday:2",), 1)


def test_errors_for_people() -> None:
    with pytest.raises(InputError, match="did you mean 'weekday'"):
        calendar_inputs(panel("2024-01-01", "h", 5), ("weekdays",), 1)
    with pytest.raises(InputError, match="unknown country 'XX'"):
        calendar_inputs(panel("2024-01-01", "h", 5), ("holidays:XX",), 1)
    with pytest.raises(InputError, match="unknown part of DE 'BAY'"):
        calendar_inputs(panel("2024-01-01", "h", 5), ("holidays:DE-BAY",), 1)
    with pytest.raises(InputError, match="need times"):
        calendar_inputs(panel_of([torch.zeros(5)]), ("hour",), 1)
    for key, step in (("hour", "D"), ("minute", "h"), ("weekday", "W-SUN"), ("month", "YS")):
        with pytest.raises(InputError, match="the same in every row"):
            calendar_inputs(panel("2024-01-01", step, 5), (key,), 1)
    calendar_inputs(panel("2024-01-01", "MS", 5), ("month",), 1)
    calendar_inputs(panel("2024-01-01", "D", 5), ("weekday", "month", "yearday"), 1)

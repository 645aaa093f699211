"""Calendar inputs: what the calendar knows of every row in advance, future rows included.

    minute, hour, yearday   two columns sin, cos of 2π · (share of the hour, of the day, of the year gone by);
                            hour:4 those of its first four harmonics, so eight columns
    weekday, month          0/1 columns for Tuesday … Sunday and February … December; Monday and January are rows of
                            zeros, so that the columns beside a level are not collinear
    weekend                 0/1 on Saturday and Sunday
    holidays:DE             0/1 on a public holiday of the country (ISO 3166), `holidays:DE-BY` of one of its parts;
                            where a row is longer than a day, the number of holidays from its time to the next row's

Times are read in the clock's zone. On a regular clock the columns are shared by all series; on an irregular one each
series gets its own, and the rows after its end are taken one unit apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from forecast.errors import InputError, unknown
from forecast.series.panel import Known, Panel

# A key says nothing where a row is as long as what it tells apart: rows a day that it needs at least.
FINEST = {"minute": 24.0, "hour": 1.0, "weekday": 1 / 7, "weekend": 1 / 7, "month": 1 / 365, "yearday": 1 / 365}
WAVES = ("minute", "hour", "yearday")
MOST_HARMONICS = 12
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
AHEAD = 2000  # rows after a series' end for which the calendar is made
Columns = dict[str, NDArray[np.float64]]


def with_calendar(panel: Panel, keys: Sequence[str]) -> Panel:
    """The panel with these inputs, known AHEAD rows beyond every series' end."""
    return replace(panel, known=calendar_inputs(panel, keys, AHEAD)) if keys else panel


def calendar_inputs(panel: Panel, keys: Sequence[str], ahead: int) -> Known:
    """The panel's known inputs and those of the calendar, for its rows and the `ahead` rows after each series' end."""
    _check(panel, keys)
    if panel.clock.kind == "irregular":
        return _own(panel, keys, ahead)
    low = int(panel.start.min())
    high = int((panel.start + panel.lengths).max()) + ahead
    columns = _columns(panel.clock.times(np.arange(low, high + 1)), keys)
    made = torch.from_numpy(np.stack([column[:-1] for column in columns.values()], 1))
    known = panel.known
    shared, start = _beside(known.shared, known.shared_start, made, low) if known.shared.shape[1] else (made, low)
    return replace(known, names=known.names + tuple(columns), shared=shared, shared_start=start)


def _own(panel: Panel, keys: Sequence[str], ahead: int) -> Known:
    """Columns of every series' own; where it has other inputs the calendar stands behind them."""
    known, parts = panel.known, []
    for s in range(len(panel)):
        times = panel.times(s).append(panel.times(s, ahead + 1))
        columns = _columns(times, keys)
        parts.append(torch.from_numpy(np.stack([column[:-1] for column in columns.values()], 1)))
    if known.own_first is not None:
        theirs = torch.split(known.own, (known.own_first[1:] - known.own_first[:-1]).tolist())
        parts = [_beside(one, 0, two, 0)[0] for one, two in zip(theirs, parts, strict=True)]
    first = torch.tensor([0, *np.cumsum([len(part) for part in parts])], dtype=torch.int64)
    own_names, shared_names = _split_names(known)
    return replace(known, names=own_names + tuple(columns) + shared_names, own=torch.cat(parts), own_first=first)


def _split_names(known: Known) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of own and of shared inputs, which stand in this order."""
    count = len(known.names) - known.shared.shape[1]
    return known.names[:count], known.names[count:]


def _beside(one: Tensor, one_start: int, two: Tensor, two_start: int) -> tuple[Tensor, int]:
    """Columns side by side over all rows of either, missing where it has none; and the first of those rows."""
    low = min(one_start, two_start)
    high = max(one_start + len(one), two_start + len(two))
    out = torch.full((high - low, one.shape[1] + two.shape[1]), torch.nan, dtype=torch.float64)
    out[one_start - low : one_start - low + len(one), : one.shape[1]] = one
    out[two_start - low : two_start - low + len(two), one.shape[1] :] = two
    return out, low


def _check(panel: Panel, keys: Sequence[str]) -> None:
    rows_per_day = panel.clock.rows_per_day
    if rows_per_day is None:
        raise InputError(
            f"calendar inputs ({', '.join(keys)}) need times; this panel has none (clock: {panel.clock.describe()})"
        )
    for key in keys:
        word, _, place = key.partition(":")
        if word == "holidays":
            _calendar_of(place, range(2024, 2025))
        elif word not in FINEST or (place and word not in WAVES):
            raise unknown("calendar input", key, [*FINEST, "hour:HARMONICS", "holidays:COUNTRY"])
        elif place and not (place.isdecimal() and 1 <= int(place) <= MOST_HARMONICS):
            raise InputError(
                f"calendar input {key!r}: harmonics are a number from 1 to {MOST_HARMONICS}, as in {word}:4"
            )
        elif rows_per_day <= FINEST[word] * 1.01:
            raise InputError(
                f"calendar input {key!r} is the same in every row of this clock ({panel.clock.describe()}); leave it out"
            )


def _columns(index: pd.Index, keys: Sequence[str]) -> Columns:
    """All columns at these times; the last time only ends the row before it."""
    times = pd.DatetimeIndex(index)
    columns: Columns = {}
    for key in keys:
        word, _, place = key.partition(":")
        columns |= _holidays(times, place) if word == "holidays" else _key(times, word, int(place or 1))
    return columns


def _key(times: pd.DatetimeIndex, key: str, harmonics: int) -> Columns:
    minutes = times.minute.to_numpy() + times.second.to_numpy() / 60
    if key == "minute":
        return _waves(key, minutes / 60, harmonics)
    if key == "hour":
        return _waves(key, (times.hour.to_numpy() + minutes / 60) / 24, harmonics)
    if key == "yearday":
        return _waves(key, (times.day_of_year.to_numpy() - 1) / (365 + times.is_leap_year), harmonics)
    if key == "weekday":
        return {f"weekday_{name}": _flag(times.day_of_week == i) for i, name in enumerate(WEEKDAYS) if i}
    if key == "month":
        return {f"month_{name}": _flag(times.month == i + 1) for i, name in enumerate(MONTHS) if i}
    return {"weekend": _flag(times.day_of_week >= 5)}


def _waves(name: str, share: NDArray[np.float64], harmonics: int) -> Columns:
    columns: Columns = {}
    for k in range(1, harmonics + 1):
        tag = f"{name}{k}" if k > 1 else name
        columns |= {f"{tag}_sin": np.sin(2 * np.pi * k * share), f"{tag}_cos": np.cos(2 * np.pi * k * share)}
    return columns


def _flag(where: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(where, dtype=np.float64)


def _holidays(times: pd.DatetimeIndex, place: str) -> Columns:
    """The local day of a row, or for longer rows the days from its time up to the next row's."""
    days = times.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64)
    first = int(days.min())
    years = range(times[0].year, times[-1].year + 1)
    holiday = np.zeros(int(days.max()) - first + 2)
    for day in _calendar_of(place, years):
        position = int(np.datetime64(day, "D").astype(np.int64)) - first
        if 0 <= position < len(holiday):
            holiday[position] = 1.0
    until = np.append(0.0, np.cumsum(holiday))
    start = days - first
    end = np.maximum(start + 1, np.append(start[1:], start[-1] + 1))
    return {f"holiday_{place}": until[end] - until[start] if _longer_than_a_day(times) else holiday[start]}


def _longer_than_a_day(times: pd.DatetimeIndex) -> bool:
    return len(times) > 1 and bool((times[-1] - times[0]) / (len(times) - 1) > pd.Timedelta(hours=25))


def _calendar_of(place: str, years: range) -> list[date]:
    """Public holidays of a country or a part of it."""
    import holidays  # a slow import, for those who ask for it

    country, _, part = place.partition("-")
    known = holidays.list_supported_countries(include_aliases=False)
    if country not in known:
        raise unknown("country", country, known)
    if part and part not in known[country]:
        raise unknown(f"part of {country}", part, known[country])
    return list(holidays.country_holidays(country, subdiv=part or None, years=list(years)))

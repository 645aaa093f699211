"""Loaders of the forecasting sets.

Every loader takes the checked texts of its set and `raw` (see `forecast.series.catalogue.load`) and returns its
Datasets. Protocols: LTSF after thuml/Time-Series-Library `data_provider/data_loader.py` (ETT: 12, 4 and 4 months of 30
days, the rest of the file unused; the others 70/10/20 % with int()), M4 after Makridakis et al. (2020), M1 and M3
after robjhyndman/Mcomp. The others have no table; their split is ours.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from forecast.errors import InputError
from forecast.series.catalogue import Texts
from forecast.series.clock import Clock
from forecast.series.panel import Known, Panel, panel_of
from forecast.series.protocol import Dataset, LastRows, Protocol, Rows, Shares

Loader: TypeAlias = Callable[[Texts, bool], tuple[Dataset, ...]]
Notes: TypeAlias = tuple[str, ...]

LTSF = Protocol(
    split=Shares(0.7, 0.2),
    horizons=(96, 192, 336, 720),
    metrics=("mse", "mae"),
    pooling="mean over windows, leads and channels of the standardised errors; every window counts",
    standardise=True,
    raw=True,
    source="thuml/Time-Series-Library",
)
ETT_HOURS = replace(LTSF, split=Rows(8640, 11520, 14400), seasons=(24, 168), raw=False)
ETT_QUARTERS = replace(LTSF, split=Rows(4 * 8640, 4 * 11520, 4 * 14400), seasons=(96, 672), raw=False)
M4 = Protocol(
    split=LastRows(0),
    metrics=("smape", "mase", "owa"),
    pooling="mean over series of the means over leads",
    source="Makridakis et al. (2020), The M4 Competition",
)
M3 = replace(
    M4,
    metrics=("smape", "mase"),
    pooling="sMAPE: mean over all points; MASE: mean over series",
    source="robjhyndman/Mcomp",
)
M_FREQUENCIES = {"Yearly": (6, ()), "Quarterly": (8, (4,)), "Monthly": (18, (12,)), "Other": (8, ())}


def tensor_of(table: pd.DataFrame | pd.Series) -> torch.Tensor:
    """A table's numbers, in memory of their own."""
    return torch.from_numpy(table.to_numpy(dtype=np.float64, copy=True))


def own(horizon: int, seasons: tuple[int, ...] = ()) -> Protocol:
    """The protocol of a set without published tables: 70/10/20 %, cutoffs a horizon apart."""
    return Protocol(Shares(), (horizon,), seasons, ("mase", "wql"), "mean over series", step=horizon)


def on_clock(frames: dict[str, pd.DataFrame], clock: Clock, seasons: tuple[int, ...] = ()) -> tuple[Panel, Notes]:
    """One series per frame (index: UTC times) on a regular clock; the last of repeated times, absent rows missing."""
    values, starts, notes = {}, [], []
    for name, frame in frames.items():
        positions, on = clock.positions(frame.index.to_numpy().astype("datetime64[us]").astype(np.int64))
        if not on.all():
            raise InputError(f"series {name!r}: {frame.index[~on][0]} is not on the clock {clock.describe()}")
        first, rows = int(positions.min()), int(positions.max() - positions.min()) + 1
        dense = np.full((rows, frame.shape[1]), np.nan)
        dense[positions - first] = frame.to_numpy(dtype=np.float64)
        repeated = len(frame) - len(np.unique(positions))
        absent = rows - len(frame) + repeated
        notes += [f"{name}: {repeated} repeated times, the last row kept"] * (repeated > 0) + [
            f"{name}: {absent} absent rows set missing"
        ] * (absent > 0)
        values[name] = torch.from_numpy(dense)
        starts.append(first)
    channels = tuple(str(column) for column in next(iter(frames.values())).columns)
    panel = replace(panel_of(values, clock, seasons), start=torch.tensor(starts, dtype=torch.int64), channels=channels)
    return panel, tuple(notes)


def times_of(frame: pd.DataFrame) -> pd.DatetimeIndex:
    """The times of the rows."""
    return pd.DatetimeIndex(frame.index)


def regular(times: pd.DatetimeIndex, step: str) -> Clock:
    """A time clock from the earliest of these times."""
    return Clock("time", times.min(), step)


def dated(
    texts: Texts, raw: bool, path: str, step: str, protocol: Protocol, sentinel: float | None = None
) -> tuple[Dataset, ...]:
    """One series from a table whose first column is the time: every other column a channel."""
    name = texts.entry.name
    frame = pd.read_csv(texts[path], index_col=0, parse_dates=True)
    clock = regular(times_of(frame), step)
    if raw:
        frame.index = clock.times(np.arange(len(frame)))
    absent = 0 if sentinel is None or raw else int((frame == sentinel).to_numpy().sum())
    panel, notes = on_clock({name: frame.mask(frame == sentinel) if absent else frame}, clock, protocol.seasons)
    notes = (f"{absent} readings of {sentinel:g} set missing", *notes) if absent else notes
    return (Dataset(name, panel, protocol, notes=notes),)


def undated(texts: Texts, raw: bool, path: str, protocol: Protocol) -> tuple[Dataset, ...]:
    """One series from a table without times or header, on an integer clock."""
    name = texts.entry.name
    panel = panel_of({name: tensor_of(pd.read_csv(texts[path], header=None))}, seasons=protocol.seasons)
    return (Dataset(name, panel, protocol),)


def los_speed(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """207 series, one per sensor; the file has no times, its authors give 1 March 2012."""
    frame = pd.read_csv(texts["ltsf/los_speed.csv"])
    clock, protocol = Clock("time", pd.Timestamp("2012-03-01"), "5min"), own(12, (288,))
    panel = panel_of({str(name): tensor_of(column) for name, column in frame.items()}, clock, protocol.seasons)
    return (Dataset("los_speed", panel, protocol),)


def pjm_hourly(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """12 series, each over its own years. Times are local ends of hours, so the clock changes at their beginnings."""
    frame = pd.read_csv(texts["ltsf/pjm_hourly.csv"], index_col=0, parse_dates=True)
    hours = times_of(frame) - pd.Timedelta(hours=1)
    summer = ~hours.duplicated()  # an hour twice: the first time in summer time
    utc = hours.tz_localize("America/New_York", ambiguous=summer).tz_convert(None)
    frame.index = (utc + pd.Timedelta(hours=1)).as_unit("us")
    clock, protocol = replace(regular(times_of(frame), "h"), timezone="America/New_York"), own(24, (24, 168))
    regions = {str(name): column.dropna().sort_index().to_frame("load") for name, column in frame.items()}
    panel, notes = on_clock(regions, clock, protocol.seasons)
    return (Dataset("pjm_hourly", panel, protocol, notes=notes),)


def bike_sharing(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """Rentals, with the weather as it was observed (not scored) and the working calendar (known in advance)."""
    frame = pd.read_csv(texts["covariates/bike_sharing.csv"], index_col=0, parse_dates=True)
    observed = frame[["temp", "atemp", "hum", "windspeed"]].join(
        pd.get_dummies(frame["weather"], prefix="weather", dtype=float)
    )
    known = Known(("holiday", "workingday"), tensor_of(frame[["holiday", "workingday"]]), torch.tensor([0, len(frame)]))
    notes = ("month, hour and weekday left out: calendar inputs give them",)
    return (_with_covariates(texts, frame[["users"]].join(observed), own(24, (24, 168)), notes, known),)


def beijing_pm25(texts: Texts, raw: bool) -> tuple[Dataset, ...]:
    """Fine dust, with the weather as it was observed (not scored); the wind direction as 0/1 channels."""
    frame = pd.read_csv(texts["covariates/beijing_pm25.csv"])
    frame.index = pd.to_datetime(frame[["year", "month", "day", "hour"]])
    observed = frame[["DEWP", "TEMP", "PRES", "Iws", "Is", "Ir"]].join(
        pd.get_dummies(frame["cbwd"], prefix="wind", dtype=float)
    )
    return (_with_covariates(texts, frame[["pm2.5"]].join(observed), own(24, (24,)), (), Known()),)


def _with_covariates(texts: Texts, frame: pd.DataFrame, protocol: Protocol, notes: Notes, known: Known) -> Dataset:
    """One series whose first channel is the target."""
    name = texts.entry.name
    panel, repairs = on_clock({name: frame}, regular(times_of(frame), "h"), protocol.seasons)
    target = torch.arange(frame.shape[1]) == 0
    return Dataset(name, replace(panel, target=target, known=known), protocol, notes=notes + repairs)


def m4(texts: Texts, raw: bool, path: str, horizon: int, seasons: tuple[int, ...] = ()) -> tuple[Dataset, ...]:
    """A long table whose `split` column marks the official test rows."""
    frame = pd.read_csv(texts[path])
    return (
        _competition(
            texts.entry.name, frame, replace(M4, split=LastRows(horizon), horizons=(horizon,), seasons=seasons)
        ),
    )


def mcomp(texts: Texts, raw: bool, path: str) -> tuple[Dataset, ...]:
    """One panel per frequency, horizon and season length by frequency."""
    frame = pd.read_csv(texts[f"{path}.csv"])
    period = pd.read_csv(texts[f"{path}_info.csv"], index_col="unique_id")["period"]
    made = []
    for word, (horizon, seasons) in M_FREQUENCIES.items():
        rows = frame[frame["unique_id"].map(period) == word]
        if len(rows):
            protocol = replace(M3, split=LastRows(horizon), horizons=(horizon,), seasons=seasons)
            made.append(_competition(f"{texts.entry.name}/{word.lower()}", rows, protocol))
    return tuple(made)


def _competition(name: str, frame: pd.DataFrame, protocol: Protocol) -> Dataset:
    """Series end to end as they stand; positions count from the first row of the original series."""
    names = frame["unique_id"].to_numpy()
    edges = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    first = np.append(edges, len(frame))
    last = np.arange(len(frame)) >= np.repeat(first[1:] - protocol.horizons[0], np.diff(first))
    if not np.array_equal(last, frame["split"].to_numpy() == "test"):
        raise InputError(
            f"data set {name!r}: the test rows are not the last {protocol.horizons[0]} rows of every series"
        )
    panel = panel_of([tensor_of(frame["y"])], Clock("integer", 0), protocol.seasons)
    start: NDArray[np.int64] = frame["ds"].to_numpy(dtype=np.int64)[edges]
    panel = replace(
        panel, first=torch.from_numpy(first), start=torch.from_numpy(start), names=tuple(str(n) for n in names[edges])
    )
    return Dataset(name, panel, protocol)


def _classic(name: str, step: str, horizon: int, seasons: Sequence[int] = ()) -> Loader:
    return partial(dated, path=f"classic/{name}.csv", step=step, protocol=own(horizon, tuple(seasons)))


def _packaged(name: str, step: str, horizon: int, seasons: Sequence[int] = ()) -> Loader:
    return partial(dated, path=f"{name}.csv", step=step, protocol=own(horizon, tuple(seasons)))


FORECASTING: dict[str, Loader] = {
    "etth1": partial(dated, path="ett/ETTh1.csv", step="h", protocol=ETT_HOURS),
    "etth2": partial(dated, path="ett/ETTh2.csv", step="h", protocol=ETT_HOURS),
    "ettm1": partial(dated, path="ett/ETTm1.csv", step="15min", protocol=ETT_QUARTERS),
    "weather": partial(
        dated, path="ltsf/weather.csv", step="10min", protocol=replace(LTSF, seasons=(144,)), sentinel=-9999.0
    ),
    "exchange_rate": partial(undated, path="ltsf/exchange_rate.csv", protocol=replace(LTSF, raw=False)),
    "ilinet": partial(dated, path="ltsf/ilinet.csv", step="W-SUN", protocol=own(24, (52,))),
    "los_speed": los_speed,
    "pjm_hourly": pjm_hourly,
    "bike_sharing": bike_sharing,
    "beijing_pm25": beijing_pm25,
    "m4_hourly": partial(m4, path="m4/m4_hourly.csv", horizon=48, seasons=(24, 168)),
    "m4_weekly": partial(m4, path="m4/m4_weekly.csv", horizon=13),
    "m4_yearly_sample": partial(m4, path="m4/m4_yearly.csv", horizon=6),
    "m4_daily_tail": partial(m4, path="m4/m4_daily_tail.csv", horizon=14),
    "m4_monthly_tail_industry": partial(m4, path="m4/m4_monthly_tail_industry.csv", horizon=18, seasons=(12,)),
    "m4_monthly_tail_other": partial(m4, path="m4/m4_monthly_tail_other.csv", horizon=18, seasons=(12,)),
    "m1": partial(mcomp, path="mcomp/m1"),
    "m3": partial(mcomp, path="mcomp/m3_half"),
    "air_passengers": _classic("air_passengers", "MS", 12, (12,)),
    "retail_sales": _classic("retail_sales", "MS", 12, (12,)),
    "wp_peyton_manning": _classic("wp_peyton_manning", "D", 30, (7,)),
    "yosemite_temps": _classic("yosemite_temps", "5min", 288, (288,)),
    "co2": _packaged("co2", "W-SAT", 52, (52,)),
    "danish_money": _packaged("danish_money", "QS", 4, (4,)),
    "elec_equip": _packaged("elec_equip", "MS", 12, (12,)),
    "elnino": _packaged("elnino", "MS", 12, (12,)),
    "macrodata": _packaged("macrodata", "QS", 8, (4,)),
    "nile": _packaged("nile", "YS", 10),
    "sunspots": _packaged("sunspots", "YS", 11, (11,)),
}

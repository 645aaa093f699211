"""Can the forecasts be relied on: calibration, error by lead and by hour, what is left in the errors.

Ljung–Box: Q = n (n + 2) Σ rₖ² / (n − k) over k = 1 … K is χ² with K degrees of freedom where errors are independent.
Source: Ljung and Box (1978), On a measure of lack of fit in time series models, eq. 1.4.
"""

from statistics import NormalDist

import numpy as np
import pandas as pd
import torch

from forecast.report import figures
from forecast.report.figures import Values
from forecast.report.numbers import listing, number
from forecast.report.section import HALF, TALL, Section, picture
from forecast.report.tables import Tables

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
LEAST = 8  # errors in a row before anything is said of them
ENOUGH = 3  # errors a cell of weekday and hour, on average


def calibration(tables: Tables) -> Section | None:
    """Do the intervals hold what they promise?"""
    one = tables.calibration[tables.calibration["model"] == tables.best]
    scores = normal_scores(tables.won)
    if not one["count"].sum() or not len(scores):
        return None
    share = dict(zip(one["level"].round(3), one["below"], strict=True))
    covered = share[0.95] - share[0.05]
    chance = 1.96 * float(np.sqrt(0.9 * 0.1 / one["count"].max()))
    narrow = "narrow" if covered < 0.9 else "wide"
    word = "as wide as they should be" if abs(covered - 0.9) <= max(chance, 0.03) else f"too {narrow}"
    finding = f"The 90 % intervals of {tables.best} cover {100 * covered:.0f} % of the outcomes: {word}."
    spread = f"mean {scores.mean():.2f}, standard deviation {scores.std():.2f}; 0 and 1 if calibrated"
    pictures = [
        picture(finding, lambda ax: figures.plot_calibration(ax, tables.calibration, tables.shown), TALL),
        picture(f"Outcomes as normal scores: {spread}.", lambda ax: figures.plot_scores(ax, scores), TALL),
    ]
    table = listing(one, "Share of outcomes below each quantile", "calibration.csv")
    return Section("Do the intervals hold", finding, pictures, [table])


def by_lead(tables: Tables) -> Section | None:
    """How fast does the error grow?"""
    one = tables.by_lead[tables.by_lead["metric"] == tables.metric]
    mine = one[(one["model"] == tables.best) & one["value"].notna()]
    if len(mine) < 2:
        return None
    first, last = (f"{number(mine['value'].iloc[k])} at lead {mine['lead'].iloc[k]}" for k in (0, -1))
    finding = f"{tables.best}: {tables.title} {first}, {last}."
    drawn = picture(finding, lambda ax: figures.plot_by_lead(ax, one, tables.shown, tables.title))
    wide = one.pivot(index="lead", columns="model", values="value").reindex(columns=tables.models).reset_index()
    return Section("Error by lead", finding, [drawn], [listing(wide, "Error by lead of every model", "by_lead.csv")])


def by_time(tables: Tables) -> Section | None:
    """At which hours and weekdays does the winner fail? Absolute errors, 1 = the mean of their series."""
    seen = tables.won.dropna(subset=["y"])
    if seen.empty or not isinstance(seen["ds"].dtype, np.dtype | pd.DatetimeTZDtype) or seen["ds"].dtype.kind != "M":
        return None
    error = (seen["y"] - seen["q0.5"]).abs()
    scaled = error / error.groupby(seen["unique_id"]).transform("mean").replace(0, np.nan)
    found = _parts(seen["ds"])
    if found is None or not scaled.notna().any():
        return None
    rows, columns, row_words, column_words, name = found
    cells = scaled.groupby([rows, columns])
    if scaled.count() < ENOUGH * cells.ngroups:
        return None
    table = cells.mean().unstack().reindex(index=row_words, columns=column_words).dropna(how="all")
    values = table.to_numpy(dtype=float)
    day, column = np.unravel_index(int(np.nanargmax(values)), values.shape)
    where = f"{table.index[int(day)]}, {name} {column_words[column]}"
    finding = f"{tables.best} errs most on {where}: {number(float(np.nanmax(values)))} times its mean error."
    drawn = picture(finding, lambda ax: figures.plot_heat(ax, table, "error ÷ mean error"))
    numbers = listing(table.reset_index(names="weekday"), "The numbers", "forecasts.parquet")
    return Section(f"Error by weekday and {name}", finding, [drawn], [numbers])


def _parts(times: pd.Series) -> tuple[pd.Series, pd.Series, list[str], list[object], str] | None:
    """Weekday and hour of times within the day, weekday and month of daily ones over most of a year, else nothing."""
    days = times.dt.day_of_week.map(dict(enumerate(DAYS)))
    if times.dt.day_of_week.nunique() < 3:
        return None
    if times.dt.hour.nunique() >= 4:
        return days, times.dt.hour, list(DAYS), list(range(24)), "hour"
    if times.dt.month.nunique() >= 6 and times.dt.normalize().nunique() >= 150:
        return days, times.dt.month.map(dict(enumerate(MONTHS, 1))), list(DAYS), list(MONTHS), "month"
    return None


def residuals(tables: Tables) -> Section | None:
    """Is there anything left in the errors?"""
    one = tables.won[tables.won["lead"] == 1].dropna(subset=["y"])
    groups = [group.sort_values("cutoff") for _, group in one.groupby("unique_id") if len(group) >= LEAST]
    if not groups:
        return None
    longest = max(groups, key=len)
    errors = (longest["y"] - longest["q0.5"]).to_numpy(dtype=float)
    lags = min(10, len(errors) // 4)
    statistic, chance = ljung_box(errors, lags)
    seen = "no autocorrelation to be seen" if chance > 0.05 else "autocorrelated: there is something left to model"
    test = f"Ljung–Box Q({lags}) = {number(statistic)}, p = {number(round(chance, 4))}"
    finding = f"Lead-1 errors of {tables.best} on {longest['unique_id'].iloc[0]}: {seen} ({test})."
    scores = normal_scores(longest)
    spread = f"Sorted normal scores: mean {scores.mean():.2f}, standard deviation {scores.std():.2f}"
    pictures = [
        picture(finding, lambda ax: figures.plot_autocorrelation(ax, errors), HALF),
        picture(f"{spread}.", lambda ax: figures.plot_quantiles(ax, scores), HALF),
    ]
    frame = pd.DataFrame({"cutoff": longest["cutoff"], "error": errors, "normal score": scores})
    table = listing(frame, "Lead-1 errors", "forecasts.parquet")
    return Section("What is left in the errors", finding, pictures, [table])


def ljung_box(errors: Values, lags: int) -> tuple[float, float]:
    """Q and the chance of one as large where errors are independent."""
    n, r = len(errors), figures.autocorrelation(errors, lags)
    q = n * (n + 2) * float((r**2 / (n - np.arange(1, lags + 1))).sum())
    half = torch.tensor([lags / 2, q / 2], dtype=torch.float64)
    return q, float(torch.special.gammaincc(half[0], half[1]))


def normal_scores(forecasts: pd.DataFrame) -> Values:
    """Outcomes as normal scores: linear between the forecast's quantiles, and on from the outermost two, to ±4.5."""
    one = forecasts.dropna(subset=["y", "q0.5"])
    names = [name for name in one.columns if name.startswith("q0")]
    grid = np.array([NormalDist().inv_cdf(float(name[1:])) for name in names])
    quantiles, y = one[names].to_numpy(dtype=float), one["y"].to_numpy(dtype=float)
    place = np.clip((quantiles <= y[:, None]).sum(1), 1, len(names) - 1)
    row = np.arange(len(y))
    low, high = quantiles[row, place - 1], quantiles[row, place]
    share = np.where(high > low, (y - low) / np.where(high > low, high - low, 1.0), 0.5)
    return np.asarray(np.clip(grid[place - 1] + share * (grid[place] - grid[place - 1]), -4.5, 4.5), dtype=float)

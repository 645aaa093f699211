"""The pictures of a detection. Every function draws on the Axes it is given and saves nothing.

The tables are those of a run folder: scores and events (columns in `forecast.experiment.detection`).
"""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from forecast.report.figures import HEAT
from forecast.report.theme import BLUE, GREY, INK, VERMILION, few_dates, legend, safe

POINTS = 1200  # columns of a picture; more rows than this are drawn as the range of each column


def thinned(rows: pd.DataFrame) -> pd.DataFrame:
    """At most POINTS rows: of each column of the picture the extremes, the highest score and any alarm."""
    if len(rows) <= POINTS:
        return rows.assign(low=rows["value"], high=rows["value"])
    group = np.arange(len(rows)) * POINTS // len(rows)
    made = rows.groupby(group).agg(
        ds=("ds", "first"),
        low=("value", "min"),
        high=("value", "max"),
        value=("value", "median"),
        expected=("expected", "median"),
        lower=("lower", "min"),
        upper=("upper", "max"),
        score=("score", "max"),
        alarm=("alarm", "any"),
    )
    return made.reset_index(drop=True)


def plot_watched(ax: Axes, rows: pd.DataFrame, spans: pd.DataFrame, channel: str = "value") -> Axes:
    """Readings over what was expected of them, events shaded, and the score of every row in a strip below."""
    seen = thinned(rows)
    ax.fill_between(
        seen["ds"], seen["lower"], seen["upper"], color=BLUE, alpha=0.25, linewidth=0, label="95 % interval"
    )
    if len(seen) < len(rows):
        ax.fill_between(seen["ds"], seen["low"], seen["high"], color=INK, linewidth=0.9, label="readings")
    else:
        ax.plot(seen["ds"], seen["value"], color=INK, linewidth=1.4, label="readings")
    bad = seen[seen["alarm"].astype(bool)]
    ax.plot(bad["ds"], bad["value"], "o", color=VERMILION, markersize=5, label="alarm")
    shade(ax, spans, rows)
    fit_to(ax, seen)
    ax.set_ylabel(safe(channel))
    ax.tick_params(labelbottom=False)
    strip = ax.inset_axes((0, -0.3, 1, 0.22), sharex=ax)
    plot_scores(strip, seen)
    legend(ax, 4)
    return ax


def shade(ax: Axes, spans: pd.DataFrame, rows: pd.DataFrame) -> None:
    """A band behind each event, never thinner than a line."""
    for start, end in zip(spans["start"], spans["end"], strict=True):
        if start <= rows["ds"].iloc[-1] and end >= rows["ds"].iloc[0]:
            ax.axvspan(start, end, color=VERMILION, alpha=0.25, linewidth=1.5)


def fit_to(ax: Axes, seen: pd.DataFrame) -> None:
    """The readings fill the picture, whatever the width of the interval."""
    low, high = float(seen["low"].min()), float(seen["high"].max())
    room = 0.15 * (high - low) or 1.0
    if np.isfinite(low) and np.isfinite(high):
        ax.set_ylim(low - room, high + room)


def plot_scores(ax: Axes, seen: pd.DataFrame) -> Axes:
    """The score of each row, the alarm boundary at 0.5."""
    ax.fill_between(seen["ds"], 0, seen["score"], color=GREY, alpha=0.6, linewidth=0.8)
    ax.fill_between(seen["ds"], 0.5, seen["score"], where=seen["score"] >= 0.5, color=VERMILION, linewidth=1)
    ax.axhline(0.5, color=INK, linestyle="--", linewidth=1)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_ylabel("score")
    ax.grid(visible=False)
    few_dates(ax)
    return ax


def plot_swimlanes(ax: Axes, scores: pd.DataFrame, names: list[str]) -> Axes:
    """The highest score of every series in each stretch of time, darker where it is higher."""
    columns = 200
    first, last = scores["ds"].min(), scores["ds"].max()
    share = (scores["ds"] - first) / (last - first)
    place = np.minimum((share.to_numpy(dtype=float) * columns).astype(int), columns - 1)
    table = scores.assign(place=place).pivot_table(index="unique_id", columns="place", values="score", aggfunc="max")
    table = table.reindex(index=names, columns=range(columns))
    edges = (
        pd.date_range(first, last, columns + 1)
        if isinstance(first, pd.Timestamp)
        else np.linspace(first, last, columns + 1)
    )
    values = np.ma.masked_invalid(table.to_numpy(dtype=float))
    mesh = ax.pcolormesh(edges, np.arange(len(names) + 1), values, cmap=HEAT, norm=Normalize(0, 1), rasterized=False)
    ax.set_yticks(np.arange(len(names)) + 0.5, [safe(name) for name in names])
    ax.invert_yaxis()
    ax.grid(visible=False)
    few_dates(ax)
    if (figure := ax.get_figure()) is not None:
        figure.colorbar(mesh, ax=ax, label="score (alarm from 0.5)")
    return ax


def plot_thresholds(ax: Axes, p_value: np.ndarray, per: float, unit: str, rate: float) -> Axes:
    """Alarmed rows against the rate that is asked for: along the line where every alarm is a false one."""
    p = np.sort(p_value[np.isfinite(p_value) & (p_value > 0)])
    grid = np.geomspace(max(min(p.min(initial=1e-12), rate / 10), 1e-12), 0.3, 60)
    count = np.searchsorted(p, grid, side="right")
    style: dict[str, Any] = dict(color=BLUE, linewidth=2, label="rows with an alarm")
    ax.step(grid, np.maximum(count, 0.3) / per, where="post", **style)
    ax.plot(grid, np.maximum(grid * len(p_value), 0.3) / per, color=INK, linestyle="--", label="if all were false")
    ax.axvline(rate, color=VERMILION, linestyle=":", linewidth=2, label="asked for")
    ax.set(xscale="log", yscale="log", xlabel="false-alarm rate per row", ylabel=f"alarmed rows {unit}")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_formatter(
            lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"
        )  # powers of ten would be mathematics
    legend(ax, 3)
    return ax

"""The pictures of a comparison. Every function draws on the Axes it is given and saves nothing.

The tables are those of a run folder: leaderboard, forecasts, history, by_lead, calibration (columns in `forecast.experiment.tables`).
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forecast.report.theme import BLUE, GREEN, GREY, INK, PURPLE, VERMILION, WORDS, safe

BANDS = ((0.05, 0.95, 0.18), (0.1, 0.9, 0.18), (0.3, 0.7, 0.25))
LINES = (BLUE, VERMILION, GREEN, PURPLE, GREY)


def plot_leaderboard(ax: Axes, board: pd.DataFrame, reference: str, title: str) -> Axes:
    """A dot with its interval for every model, the best on top; colour and shape tell the verdict against the reference."""
    rows = board[board["value"].notna()].reset_index(drop=True)
    for place, row in rows.iterrows():
        colour, shape = WORDS[str(row["versus_seasonal_naive"] if isinstance(row["versus_seasonal_naive"], str) else "")]
        if np.isfinite(row["low"]):
            ax.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=3, alpha=0.5, solid_capstyle="round")
        ax.plot(row["value"], place, shape, color=colour, markersize=9)
    naive = rows.loc[rows["model"] == reference, "value"]
    if len(naive):
        ax.axvline(float(naive.iloc[0]), color=INK, linestyle="--", linewidth=1)
    ax.set_yticks(range(len(rows)), [safe(name) for name in rows["model"]])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(title)
    ax.grid(axis="y", visible=False)
    for word, label in (("better", "better than seasonal naive"), ("worse", "worse"), ("cannot tell", "cannot tell")):
        if (rows["versus_seasonal_naive"] == word).any():
            ax.plot([], [], WORDS[word][1], color=WORDS[word][0], label=label)
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower right")
    return ax


def plot_fan(ax: Axes, history: pd.DataFrame, forecast: pd.DataFrame, rows: int) -> Axes:
    """The past, the median and nested central intervals, darker where narrower, and what then happened."""
    start = forecast["ds"].iloc[0]
    past = history[history["ds"] < start].tail(rows)
    ax.plot(past["ds"], past["y"], color=INK, linewidth=1.6, label="past")
    for low, high, strength in BANDS:
        ax.fill_between(forecast["ds"], forecast[f"q{low}"], forecast[f"q{high}"], color=BLUE, alpha=strength, linewidth=0)
    ax.plot(forecast["ds"], forecast["q0.5"], color=BLUE, linewidth=2.2, label="median, 40 / 80 / 90 % intervals")
    ax.plot(forecast["ds"], forecast["y"], color=VERMILION, linewidth=1.6, marker="o", markersize=3.5, label="what happened")
    ax.axvline(start, color=INK, linestyle=":", linewidth=1)
    ax.legend(loc="upper left", ncols=3)
    return ax


def plot_strip(ax: Axes, history: pd.DataFrame, forecasts: pd.DataFrame, worst: object) -> Axes:
    """Every cutoff's median and 90 % interval over the actual values; the worst one in another colour."""
    first = forecasts["ds"].min()
    seen = history[history["ds"] >= first]
    ax.plot(seen["ds"], seen["y"], color=INK, linewidth=1.3, label="what happened")
    for cutoff, one in forecasts.groupby("cutoff"):
        colour = VERMILION if cutoff == worst else BLUE
        ax.fill_between(one["ds"], one["q0.05"], one["q0.95"], color=colour, alpha=0.25, linewidth=0)
        ax.plot(one["ds"], one["q0.5"], color=colour, linewidth=1.8)
    ax.plot([], [], color=BLUE, label="median and 90 % interval")
    ax.plot([], [], color=VERMILION, label="worst cutoff")
    ax.legend(loc="upper left", ncols=3)
    return ax


def plot_calibration(ax: Axes, calibration: pd.DataFrame, models: list[str]) -> Axes:
    """Share of outcomes below each quantile against its level, with the band that chance allows."""
    level = np.linspace(0.01, 0.99, 99)
    count = max(int(calibration["count"].max()), 1)
    band = 1.96 * np.sqrt(level * (1 - level) / count)
    ax.fill_between(level, level - band, level + band, color=INK, alpha=0.15, linewidth=0, label="chance (95 %)")
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
    for colour, model in zip(LINES, models, strict=False):
        one = calibration[calibration["model"] == model]
        ax.plot(one["level"], one["below"], color=colour, marker="o", markersize=4, linewidth=1.6, label=safe(model))
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="quantile level", ylabel="share of outcomes below")
    ax.set_aspect("equal")
    ax.legend(loc="upper left")
    return ax


def plot_by_lead(ax: Axes, leads: pd.DataFrame, models: list[str], title: str) -> Axes:
    """Error by lead, a line for each of some models."""
    for colour, model in zip(LINES, models, strict=False):
        one = leads[leads["model"] == model]
        ax.plot(one["lead"], one["value"], color=colour, linewidth=2, marker="o" if len(one) <= 24 else None, markersize=4, label=safe(model))
    ax.set(xlabel="lead", ylabel=title)
    ax.set_ylim(bottom=0)
    ax.legend(loc="best")
    return ax


def plot_residuals(ax: Axes, residuals: np.ndarray) -> Axes:
    """Histogram of standardised errors beside the normal density."""
    ax.hist(residuals, bins=min(40, max(8, len(residuals) // 12)), density=True, color=BLUE, alpha=0.45)
    grid = np.linspace(-4, 4, 200)
    ax.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color=INK, linewidth=1.5, label="if calibrated")
    ax.set(xlim=(-4.5, 4.5), xlabel="outcome as a normal score of its forecast", ylabel="density")
    ax.legend(loc="upper left")
    return ax


def plot_autocorrelation(ax: Axes, residuals: np.ndarray, most: int = 24) -> Axes:
    """Autocorrelation of errors with the bounds that chance allows."""
    values = autocorrelation(residuals, min(most, max(len(residuals) // 3, 1)))
    lags = np.arange(1, len(values) + 1)
    bound = 1.96 / np.sqrt(max(len(residuals), 1))
    ax.axhspan(-bound, bound, color=INK, alpha=0.15, linewidth=0)
    ax.vlines(lags, 0, values, color=BLUE, linewidth=3)
    ax.axhline(0, color=INK, linewidth=1)
    ax.set(xlabel="cutoffs apart", ylabel="autocorrelation", ylim=(-1, 1))
    return ax


def autocorrelation(values: np.ndarray, most: int) -> np.ndarray:
    """Sample autocorrelations at lags 1 … most."""
    centred = values - values.mean()
    power = float((centred**2).sum()) or 1.0
    return np.array([float((centred[lag:] * centred[:-lag]).sum()) / power for lag in range(1, most + 1)])

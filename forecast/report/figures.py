"""The pictures of a comparison. Every function draws on the Axes it is given and saves nothing.

The tables are those of a run folder: leaderboard, forecasts, history, by_lead, calibration (columns in
`forecast.experiment.tables`).
"""

from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from forecast.report.theme import BLUE, GREEN, GREY, INK, PURPLE, VERMILION, WORDS, few_dates, legend, safe

Values = NDArray[np.float64]
BANDS = ((0.05, 0.95, 0.18), (0.1, 0.9, 0.18), (0.3, 0.7, 0.25))
LINES = ((BLUE, "o", "-"), (VERMILION, "s", "--"), (GREEN, "^", "-."), (PURPLE, "D", ":"), (GREY, "v", "-"))
HEAT = ListedColormap(colormaps["cividis"](np.linspace(0.95, 0.2, 256)))  # its ends are lost on white and on dark
LETTERS = 60  # of the names below a picture; more than that are turned
TAIL, BETWEEN = 60, 600  # points of a quantile plot: all at both ends, evenly drawn ones of the rest


def plot_leaderboard(ax: Axes, board: pd.DataFrame, reference: str, title: str) -> Axes:
    """A dot with its interval for every model, the best on top; colour and shape tell the verdict."""
    rows = board[board["value"].notna()]
    said = rows["versus_seasonal_naive"].astype(str)
    for place, (value, low, high, word) in enumerate(zip(rows["value"], rows["low"], rows["high"], said, strict=True)):
        colour, shape = WORDS[word]
        if np.isfinite(low):
            ax.plot([low, high], [place, place], color=colour, linewidth=3, alpha=0.5, solid_capstyle="round")
        ax.plot(value, place, shape, color=colour, markersize=9)
    naive = rows.loc[rows["model"] == reference, "value"]
    if len(naive):
        ax.axvline(float(naive.iloc[0]), color=INK, linestyle="--", linewidth=1, label=safe(reference))
    for word in ("better", "worse", "cannot tell"):
        if (said == word).any():
            ax.plot([], [], WORDS[word][1], color=WORDS[word][0], label=word)
    ax.set_yticks(range(len(rows)), [safe(name) for name in rows["model"]])
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(title)
    ax.grid(axis="y", visible=False)
    legend(ax, 2, "right")
    return ax


def plot_ranks(ax: Axes, ranks: pd.DataFrame, groups: list[list[str]]) -> Axes:
    """Mean rank of every model, the best on top; a bar joins models that cannot be told apart."""
    names, values = list(ranks["model"]), list(ranks["rank"])
    for place, value in enumerate(values):
        ax.plot([1, value], [place, place], color=INK, linewidth=0.8, alpha=0.3)
    ax.plot(values, range(len(values)), "o", color=BLUE, markersize=8)
    joined = [sorted(names.index(model) for model in group) for group in groups if len(group) > 1]
    for lane, places in enumerate(joined):
        x = max(values) + 0.25 + 0.2 * lane
        label = "cannot be told apart" if lane == 0 else None
        ax.plot([x, x], [places[0], places[-1]], color=VERMILION, linewidth=4, solid_capstyle="round", label=label)
    ax.set_yticks(range(len(names)), [safe(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel("mean rank; 1 is best")
    ax.grid(axis="y", visible=False)
    legend(ax, 2, "right")
    return ax


def plot_fan(ax: Axes, history: pd.DataFrame, forecast: pd.DataFrame, rows: int) -> Axes:
    """The past, the median and nested central intervals, darker where narrower, and what then happened."""
    start = forecast["ds"].iloc[0]
    past = history[history["ds"] < start].tail(rows)
    ax.plot(past["ds"], past["y"], color=INK, linewidth=1.6, label="past")
    few: dict[str, Any] = dict(marker="o", markersize=5) if len(forecast) == 1 else {}
    for low, high, strength in BANDS:
        lower, upper = forecast[f"q{low}"], forecast[f"q{high}"]
        if few:
            ax.vlines(forecast["ds"], lower, upper, color=BLUE, alpha=strength, linewidth=10)
        else:
            ax.fill_between(forecast["ds"], lower, upper, color=BLUE, alpha=strength, linewidth=0)
    ax.plot(forecast["ds"], forecast["q0.5"], color=BLUE, linewidth=2.2, label="median; 40, 80, 90 %", **few)
    then = pd.concat([past.tail(1)[["ds", "y"]], forecast[["ds", "y"]]])
    marker = "o" if len(then) <= 60 else None
    happened: dict[str, Any] = dict(marker=marker, markersize=3.5, markevery=slice(1, None), label="what happened")
    ax.plot(then["ds"], then["y"], color=VERMILION, linewidth=1.6, **happened)
    ax.axvline(start, color=INK, linestyle=":", linewidth=1)
    few_dates(ax)
    legend(ax, 2)
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
    legend(ax)
    return ax


def plot_calibration(ax: Axes, calibration: pd.DataFrame, models: list[str]) -> Axes:
    """Share of outcomes below each quantile against its level, with the band that chance allows."""
    level = np.linspace(0.01, 0.99, 99)
    count = max(int(calibration["count"].max()), 1)
    band = 1.96 * np.sqrt(level * (1 - level) / count)
    ax.plot([0, 1], [0, 1], color=INK, linewidth=1)
    for (colour, shape, line), model in zip(LINES, models, strict=False):
        one = calibration[(calibration["model"] == model) & calibration["below"].notna()]
        if one.empty:
            continue
        style: dict[str, Any] = dict(color=colour, marker=shape, markersize=4, linestyle=line, linewidth=1.8)
        ax.plot(one["level"], one["below"], label=safe(model, 16), **style)
    ax.fill_between(level, level - band, level + band, color=INK, alpha=0.15, linewidth=0, label="chance (95 %)")
    ax.set(xlim=(0, 1), ylim=(0, 1), xlabel="quantile level", ylabel="share of outcomes below")
    legend(ax, 2)
    return ax


def plot_by_lead(ax: Axes, leads: pd.DataFrame, models: list[str], title: str) -> Axes:
    """Error by lead, a line for each of some models."""
    for (colour, shape, line), model in zip(LINES, models, strict=False):
        one = leads[(leads["model"] == model) & leads["value"].notna()]
        if one.empty:
            continue
        marker = shape if len(one) <= 24 else None
        style: dict[str, Any] = dict(color=colour, linewidth=2, linestyle=line, marker=marker, markersize=5)
        ax.plot(one["lead"], one["value"], label=safe(model), **style)
    ax.set(xlabel="lead", ylabel=title)
    ax.set_ylim(bottom=0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax, 4)
    return ax


def plot_heat(ax: Axes, table: pd.DataFrame, title: str) -> Axes:
    """A value for each row and column by colour, darker where it is larger; nothing where there is none."""
    values = np.ma.masked_invalid(table.to_numpy(dtype=float))
    norm = Normalize(0, float(values.max()))
    mesh = ax.pcolormesh(values, cmap=HEAT, norm=norm, edgecolors="face", linewidth=0.2)
    steps = max(1, len(table.columns) // 12)
    names = [safe(name) for name in table.columns[::steps]]
    ax.set_xticks(np.arange(0, len(table.columns), steps) + 0.5, names)
    if sum(map(len, names)) > LETTERS:
        ax.tick_params(axis="x", labelrotation=30)
        for label in ax.get_xticklabels():
            label.set(horizontalalignment="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(len(table)) + 0.5, [safe(name) for name in table.index])
    ax.invert_yaxis()
    ax.grid(visible=False)
    if (figure := ax.get_figure()) is not None:
        figure.colorbar(mesh, ax=ax, label=title)
    return ax


def plot_scores(ax: Axes, scores: Values) -> Axes:
    """Histogram of outcomes as normal scores of their forecasts, beside the normal density."""
    ax.hist(scores, bins=min(40, max(8, len(scores) // 12)), density=True, color=BLUE, alpha=0.45, label="outcomes")
    grid = np.linspace(-4, 4, 200)
    ax.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), color=INK, linewidth=1.5, label="if calibrated")
    ax.set(xlim=(-4.5, 4.5), xlabel="normal score of the outcome", ylabel="density")
    legend(ax)
    return ax


def plot_quantiles(ax: Axes, scores: Values, what: str = "score of the outcome") -> Axes:
    """Sorted normal scores against those of a normal sample: a straight line where the forecasts are calibrated."""
    count = len(scores)
    at = np.unique(np.r_[: min(TAIL, count), np.linspace(0, count - 1, min(BETWEEN, count)).astype(int), max(count - TAIL, 0) : count])
    normal = [NormalDist().inv_cdf(share) for share in (at + 0.5) / count]
    ax.plot([-3.5, 3.5], [-3.5, 3.5], color=INK, linewidth=1)
    ax.plot(normal, np.sort(scores)[at], ".", color=BLUE, markersize=6)
    ax.set(xlabel="normal quantile", ylabel=what)
    return ax


def plot_autocorrelation(ax: Axes, residuals: Values, most: int = 24) -> Axes:
    """Autocorrelation of errors with the bounds that chance allows."""
    values = autocorrelation(residuals, min(most, max(len(residuals) // 3, 1)))
    lags = np.arange(1, len(values) + 1)
    bound = 1.96 / np.sqrt(max(len(residuals), 1))
    ax.axhspan(-bound, bound, color=INK, alpha=0.15, linewidth=0, label="chance (95 %)")
    ax.vlines(lags, 0, values, color=BLUE, linewidth=4)
    ax.axhline(0, color=INK, linewidth=1)
    ax.set(xlabel="cutoffs apart", ylabel="autocorrelation", ylim=(-1, 1), xlim=(0.5, len(lags) + 0.5))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax)
    return ax


def plot_losses(ax: Axes, losses: pd.DataFrame, kept: bool = True) -> Axes:
    """Training and validation loss by epoch; the epoch of the best validation loss is marked, as kept or as the best one."""
    few = len(losses) <= 40
    for name, (colour, shape, line) in zip(("training_loss", "validation_loss"), LINES, strict=False):
        if losses[name].notna().any():
            marker = shape if few else None
            style: dict[str, Any] = dict(color=colour, marker=marker, markersize=5, linestyle=line, linewidth=2)
            ax.plot(losses["epoch"], losses[name], label=name.replace("_", " "), **style)
    if (best := best_epoch(losses)) is not None:
        ax.axvline(best, color=INK, linestyle=":", linewidth=1.2, label="weights kept" if kept else "best of the training, not kept")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend(ax)
    return ax


def best_epoch(losses: pd.DataFrame) -> int | None:
    """The epoch of the smallest validation loss; None without validation."""
    seen = losses[["epoch", "validation_loss"]].to_numpy(dtype=float)
    valid = seen[np.isfinite(seen[:, 1])]
    return int(valid[valid[:, 1].argmin(), 0]) if len(valid) else None


def autocorrelation(values: Values, most: int) -> Values:
    """Sample autocorrelations at lags 1 … most."""
    centred = values - values.mean()
    power = float((centred**2).sum()) or 1.0
    return np.array([float((centred[lag:] * centred[:-lag]).sum()) / power for lag in range(1, most + 1)])

"""The sections of a comparison's report: each is a question, one sentence of answer, its picture and its data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd

from forecast.report import figures
from forecast.report.numbers import Listing, listing, moment, number
from forecast.report.theme import canvas, svg

REFERENCE = "seasonal_naive"
MOST = 4  # models drawn together


@dataclass(frozen=True)
class Picture:
    """An SVG and what it says to those who cannot see it."""

    svg: str
    alt: str


@dataclass(frozen=True)
class Section:
    """A heading, a finding, pictures and tables."""

    title: str
    finding: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Listing] = ()


@dataclass(frozen=True)
class Tables:
    """What a run folder holds."""

    summary: dict[str, Any]
    leaderboard: pd.DataFrame
    forecasts: pd.DataFrame
    history: pd.DataFrame
    scores: pd.DataFrame
    by_lead: pd.DataFrame
    calibration: pd.DataFrame
    cost: pd.DataFrame
    failures: pd.DataFrame

    @property
    def best(self) -> str:
        """The winner."""
        return str(self.summary["best"])

    @property
    def metric(self) -> str:
        """The metric that ranks."""
        return str(self.summary["metric"])

    @property
    def shown(self) -> list[str]:
        """The models drawn together: the best ones, and seasonal naive."""
        first = list(self.summary["models"][:MOST])
        return first if REFERENCE in first or REFERENCE not in self.summary["models"] else [*first[: MOST - 1], REFERENCE]


def leaderboard(tables: Tables) -> Section:
    """Which model is best, and is it better than seasonal naive?"""
    one = tables.leaderboard[tables.leaderboard["metric"] == tables.metric]
    title = tables.metric.upper()
    with canvas(9, 1.3 + 0.42 * len(one)) as (figure, (ax,)):
        figures.plot_leaderboard(ax, one, REFERENCE, f"{title} (smaller is better), with 95 % intervals")
        drawn = svg(figure)
    better = list(one.loc[one["versus_seasonal_naive"] == "better", "model"])
    finding = f"{len(better)} of {len(one) - (REFERENCE in set(one['model']))} models are better than seasonal naive by {title}" + (f": {', '.join(better)}." if better else ".")
    wide = tables.leaderboard.pivot(index="model", columns="metric", values="value").loc[list(one["model"])]
    wide = wide[list(dict.fromkeys(tables.leaderboard["metric"]))].reset_index()
    verdicts = one[["model", "value", "low", "high", "versus_seasonal_naive", "versus_best"]]
    return Section("Which model", finding, [Picture(drawn, finding)], [listing(wide, "All metrics", folded=False), listing(verdicts, f"{title} with intervals and verdicts", "leaderboard.csv")])


def fan(tables: Tables) -> Section:
    """What does the winner's forecast look like beside what happened?"""
    best = tables.forecasts[tables.forecasts["model"] == tables.best]
    name, cutoff = typical(tables)
    one = best[(best["unique_id"] == name) & (best["cutoff"] == cutoff)]
    history = tables.history[tables.history["unique_id"] == name]
    rows = max(3 * int(tables.summary["season"]), 3 * int(tables.summary["horizon"]), 24)
    with canvas() as (figure, (ax,)):
        figures.plot_fan(ax, history, one, rows)
        drawn = svg(figure)
    inside = int(((one["y"] >= one["q0.05"]) & (one["y"] <= one["q0.95"])).sum())
    finding = f"{tables.best} on {name} from {moment(cutoff)}, the case of median error: {inside} of {int(one['y'].notna().sum())} outcomes lie in the 90 % interval."
    return Section("The forecast beside what happened", finding, [Picture(drawn, finding)], [listing(one.drop(columns=["unique_id", "model"]), "The numbers", "forecasts.parquet")])


def typical(tables: Tables) -> tuple[str, Any]:
    """Series and cutoff whose error by the winner is the median one."""
    one = tables.scores[(tables.scores["model"] == tables.best) & (tables.scores["metric"] == tables.metric)].sort_values("value", kind="stable")
    if one.empty:
        first = tables.forecasts[tables.forecasts["model"] == tables.best].iloc[0]
        return str(first["unique_id"]), first["cutoff"]
    row = one.iloc[len(one) // 2]
    return str(row["unique_id"]), row["cutoff"]


def calibration(tables: Tables) -> Section:
    """Do the intervals hold what they promise?"""
    one = tables.calibration[tables.calibration["model"] == tables.best]
    share = dict(zip(one["level"].round(3), one["below"], strict=True))
    covered = share[0.95] - share[0.05]
    word = "as wide as they should be" if abs(covered - 0.9) <= 0.03 else "too narrow" if covered < 0.9 else "too wide"
    scores = _normal_scores(tables)
    with canvas(5.2, 4.6) as (figure, (ax,)):
        figures.plot_calibration(ax, tables.calibration, tables.shown)
        left = svg(figure)
    with canvas(5.2, 4.6) as (figure, (ax,)):
        figures.plot_residuals(ax, scores)
        right = svg(figure)
    finding = f"The 90 % intervals of {tables.best} cover {100 * covered:.0f} % of the outcomes: {word}."
    alt = f"Outcomes of {tables.best} as normal scores: mean {scores.mean():.2f}, standard deviation {scores.std():.2f}; 0 and 1 if calibrated."
    return Section("Do the intervals hold", finding, [Picture(left, finding), Picture(right, alt)], [listing(one, "Share of outcomes below each quantile", "calibration.csv")])


def by_lead(tables: Tables) -> Section:
    """How fast does the error grow?"""
    one = tables.by_lead[tables.by_lead["metric"] == tables.metric]
    mine = one[one["model"] == tables.best].set_index("lead")["value"]
    with canvas() as (figure, (ax,)):
        figures.plot_by_lead(ax, one, tables.shown, tables.metric.upper())
        drawn = svg(figure)
    finding = f"{tables.best}: {tables.metric.upper()} {number(mine.iloc[0])} at lead 1, {number(mine.iloc[-1])} at lead {len(mine)}."
    wide = one.pivot(index="lead", columns="model", values="value")[tables.summary["models"]].reset_index()
    return Section("Error by lead", finding, [Picture(drawn, finding)], [listing(wide, "Error by lead of every model", "by_lead.csv")])


def cutoffs(tables: Tables) -> Section | None:
    """Where along the series does the winner fail?"""
    name = str(tables.forecasts["unique_id"].iloc[0]) if tables.summary["series"] == 1 else worst_series(tables)[0]
    one = tables.forecasts[(tables.forecasts["model"] == tables.best) & (tables.forecasts["unique_id"] == name)]
    errors = tables.scores[(tables.scores["model"] == tables.best) & (tables.scores["metric"] == tables.metric) & (tables.scores["unique_id"] == name)]
    if one["cutoff"].nunique() < 2 or errors.empty:
        return None
    worst = errors.loc[errors["value"].idxmax()]
    with canvas() as (figure, (ax,)):
        figures.plot_strip(ax, tables.history[tables.history["unique_id"] == name], one, worst["cutoff"])
        drawn = svg(figure)
    finding = f"{tables.best} on {name}, all {len(errors)} cutoffs: worst from {moment(worst['cutoff'])} ({tables.metric.upper()} {number(worst['value'])})."
    return Section("Every cutoff", finding, [Picture(drawn, finding)], [listing(errors.drop(columns=["model", "metric"]), "Error by cutoff", "scores.parquet")])


def worst_series(tables: Tables) -> list[str]:
    """Series by the winner's mean error, the worst first."""
    one = tables.scores[(tables.scores["model"] == tables.best) & (tables.scores["metric"] == tables.metric)]
    return [str(name) for name in one.groupby("unique_id")["value"].mean().sort_values(ascending=False).index]


def series(tables: Tables) -> Section | None:
    """Which series are hard?"""
    if tables.summary["series"] * tables.summary["channels"] == 1:
        return None
    one = tables.scores[tables.scores["metric"] == tables.metric]
    wide = one.pivot_table(index="unique_id", columns="model", values="value", aggfunc="mean")[tables.summary["models"]]
    wide = wide.loc[worst_series(tables)].reset_index()
    best = (wide[tables.summary["models"]].idxmin(axis=1) == tables.best).sum()
    finding = f"{tables.best} has the smallest error on {best} of {len(wide)} series; its worst is {wide['unique_id'].iloc[0]}."
    return Section("Which series are hard", finding, [], [listing(wide.head(10), "The ten worst by the winner's error", folded=False), listing(wide, "All series", "scores.parquet")])


def residuals(tables: Tables) -> Section | None:
    """Is there anything left in the errors?"""
    one = tables.forecasts[(tables.forecasts["model"] == tables.best) & (tables.forecasts["lead"] == 1)].dropna(subset=["y", "q0.5"])
    groups = [group.sort_values("cutoff") for _, group in one.groupby("unique_id") if len(group) >= 8]
    if not groups:
        return None
    longest = max(groups, key=len)
    errors = (longest["y"] - longest["q0.5"]).to_numpy()
    lags = min(8, len(errors) // 3)
    statistic, chance = ljung_box(errors, lags)
    with canvas(9, 3.4) as (figure, (ax,)):
        figures.plot_autocorrelation(ax, errors)
        drawn = svg(figure)
    word = "no autocorrelation to be seen" if chance > 0.05 else "autocorrelated: there is something left to model"
    finding = f"Lead-1 errors of {tables.best} on {longest['unique_id'].iloc[0]}: {word} (Ljung–Box Q({lags}) = {number(statistic)}, p = {number(chance)})."
    frame = pd.DataFrame({"cutoff": longest["cutoff"], "error": errors})
    return Section("What is left in the errors", finding, [Picture(drawn, finding)], [listing(frame, "Lead-1 errors", "forecasts.parquet")])


def ljung_box(errors: np.ndarray, lags: int) -> tuple[float, float]:
    """Q statistic and its p-value, χ² with `lags` degrees by the Wilson–Hilferty approximation (error below 0.002)."""
    n, r = len(errors), figures.autocorrelation(errors, lags)
    q = n * (n + 2) * float((r**2 / (n - np.arange(1, lags + 1))).sum())
    z = ((q / lags) ** (1 / 3) - (1 - 2 / (9 * lags))) / math.sqrt(2 / (9 * lags))
    return q, 1 - NormalDist().cdf(z)


def costs(tables: Tables) -> Section:
    """What did it cost, and what failed?"""
    order = {model: place for place, model in enumerate(tables.summary["models"])}
    frame = tables.cost.sort_values("model", key=lambda column: column.map(order))
    frame = frame.rename(columns={"fit_cpu_s": "fitting, CPU s", "predict_cpu_s": "forecasting, CPU s", "peak_mb": "memory, MB", "parameters": "parameters"})
    failed = {model: count for model, count in tables.summary["failures"].items() if count}
    finding = "No model failed on any series." if not failed else "; ".join(f"{model} failed {count} times" for model, count in failed.items()) + "."
    if failed and tables.summary.get("stand_in"):
        finding += f" {tables.summary['stand_in']} stands in there."
    extra = [listing(tables.failures, "Failures", "failures.csv")] if len(tables.failures) else []
    return Section("Cost and failures", finding, [], [listing(frame, "", folded=False), *extra])


def _normal_scores(tables: Tables) -> np.ndarray:
    """Outcomes of the winner as normal scores: where y falls between the forecast's quantiles, by linear interpolation."""
    one = tables.forecasts[tables.forecasts["model"] == tables.best].dropna(subset=["y", "q0.5"])
    names = [name for name in one.columns if name.startswith("q0")]
    grid = np.array([NormalDist().inv_cdf(float(name[1:])) for name in names])
    quantiles, y = one[names].to_numpy(), one["y"].to_numpy()
    place = np.clip((quantiles <= y[:, None]).sum(1), 1, len(names) - 1)
    row = np.arange(len(y))
    low, high = quantiles[row, place - 1], quantiles[row, place]
    share = np.where(high > low, (y - low) / np.where(high > low, high - low, 1.0), 0.5)
    return np.clip(grid[place - 1] + share * (grid[place] - grid[place - 1]), -4.5, 4.5)


SECTIONS = (leaderboard, fan, calibration, by_lead, cutoffs, series, residuals, costs)

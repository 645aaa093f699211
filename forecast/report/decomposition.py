"""Sections on a fitted structural model: its components with intervals, its innovations and its auxiliary residuals.

Drawn from components.parquet, residuals.parquet and parameters.csv (columns in `forecast.experiment.explained`).
"""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forecast.report import figures
from forecast.report.numbers import Listing, listing, moment, number
from forecast.report.reliability import ljung_box
from forecast.report.section import HALF, Section, picture, stacked
from forecast.report.theme import BLUE, INK, VERMILION, few_dates, legend, safe

FILES = ("components.parquet", "residuals.parquet", "parameters.csv")
LARGE = 3.0  # standard deviations from which an auxiliary residual is named
BEHIND = ("level", "one row ahead")  # components that the observed values are drawn behind
LABELS = {"observation": "observation residual", "level": "level residual"}
DRAWN, SHARED, LEAST_DRAWN = 1500, 2400, 300  # rows of a picture, the last ones, and of all series together
LEAST = 12  # innovations from which they are judged


def sections(folder: Path) -> list[Section]:
    """Those of every series that the run explained; none where it left no such tables."""
    if not all((folder / file).is_file() for file in FILES):
        return []
    components, residuals = (pd.read_parquet(folder / file) for file in FILES[:2])
    facts = pd.read_csv(folder / FILES[2], dtype=str, keep_default_na=False)
    made = []
    shown = min(DRAWN, max(SHARED // max(residuals["unique_id"].nunique(), 1), LEAST_DRAWN))
    for name, rows in residuals.groupby("unique_id", sort=False):
        said = facts[facts["unique_id"] == name]
        made.append(decomposition(str(name), components[components["unique_id"] == name], rows, said, shown))
        made.extend(section for make in (left, shocks) if (section := make(str(name), rows, shown)) is not None)
    return made


def decomposition(name: str, parts: pd.DataFrame, rows: pd.DataFrame, facts: pd.DataFrame, shown: int = DRAWN) -> Section:
    """What the series is the sum of, a picture for each component over the same rows."""
    scale = facts.loc[facts["what"] == "scale", "value"].iloc[0]
    given = " ".join(facts.loc[facts["what"] == "rows", "value"]) or "all"
    draws, said, names = [], [], parts["component"].unique().tolist()
    for word in names:
        one = parts[parts["component"] == word].tail(shown)
        seen = one["value"].dropna()
        said.append(f"{word} from {number(seen.min())} to {number(seen.max())}")
        y = rows["y"].tail(shown) if word in BEHIND and scale == "as observed" else None
        draws.append(partial(plot_component, one=one, y=y, word=str(word)))
    estimated = facts.loc[~facts["what"].isin(["scale", "rows"]), ["what", "value"]].itertuples(index=False, name=None)
    table = Listing("What was estimated", ("", ""), [(str(a), str(b)) for a, b in estimated], folded=False)
    alone = names == [BEHIND[1]]
    finding = "What was expected of each row given the rows before it" if alone else f"Each part given {given} rows"
    title = "What was expected of" if alone else "Components of"
    drawn = stacked(f"{name}: {'; '.join(said)}; 90 % intervals shaded", draws)
    tables = [table, listing(parts, "The numbers", FILES[0])]
    last = f" Drawn: the last {shown:,} of {len(rows):,} rows." if len(rows) > shown else ""
    return Section(f"{title} {name}", f"{finding}, with its 90 % interval; scale: {scale}.{last}", [drawn], tables)


def left(name: str, rows: pd.DataFrame, shown: int = DRAWN) -> Section | None:
    """Are the innovations independent and normal?"""
    z = rows["innovation"].dropna().to_numpy(dtype=float)
    if len(z) < LEAST:
        return None
    lags = min(10, len(z) // 4)
    statistic, chance = ljung_box(z, lags)
    chance_of = f"= {chance:.3f}" if chance >= 0.001 else "< 0.001"
    seen = "no autocorrelation to be seen" if chance > 0.05 else "autocorrelated: there is something left to model"
    finding = (
        f"One-step errors in units of their expected size: {seen} (Ljung–Box Q({lags}) = {number(statistic)}, "
        f"p {chance_of}); standard deviation {z.std():.2f}, largest {np.abs(z).max():.1f}."
    )
    time = stacked(f"Innovations of {name} over time", [partial(plot_shocks, rows=rows.tail(shown), word="innovation")])
    normal = partial(figures.plot_quantiles, scores=z, what="innovation")
    pictures = [
        time,
        picture(finding, partial(plot_correlation, z=z), HALF),
        picture(f"Sorted innovations of {name} against a normal", normal, HALF),
    ]
    return Section(f"Standardised innovations of {name}", finding, pictures, [listing(rows, "The numbers", FILES[1])])


def shocks(name: str, rows: pd.DataFrame, shown: int = DRAWN) -> Section | None:
    """Which rows look like outliers, and where did the level shift?"""
    draws, said = [], []
    for word, meaning in (("observation", "outlier"), ("level", "shift of the level")):
        value = rows[word]
        if not value.notna().any():
            continue
        large = rows[value.abs() > LARGE]
        largest = large.loc[value[large.index].abs().nlargest(5).index, "ds"]
        places = ", ".join(day.removesuffix("-01-01") if yearly(rows) else day for day in map(moment, largest))
        found = f"{len(large)} row{'s' * (len(large) > 1)} beyond {LARGE:g} ({places})" if len(large) else "none"
        said.append(f"{meaning}: {found}")
        draws.append(partial(plot_shocks, rows=rows.tail(shown), word=word))
    if not draws:
        return None
    finding = f"Expected noises given all rows, in units of their standard deviation; {'; '.join(said)}."
    return Section(f"Auxiliary residuals of {name}", finding, [stacked(f"{name}: {'; '.join(said)}", draws)])


def yearly(rows: pd.DataFrame) -> bool:
    """Whether every row is the first of a year."""
    return isinstance(rows["ds"].iloc[0], pd.Timestamp) and bool((rows["ds"].dt.day_of_year == 1).all())


def plot_component(ax: Axes, one: pd.DataFrame, y: pd.Series | None, word: str) -> Axes:
    """One component with its interval; the observed values behind the level."""
    if y is not None:
        ax.plot(one["ds"], y.to_numpy(), ".", color=INK, alpha=0.45, markersize=4, label="observed")
    ax.fill_between(one["ds"], one["low"], one["high"], color=BLUE, alpha=0.25, linewidth=0)
    ax.plot(one["ds"], one["value"], color=BLUE, linewidth=1.6, label=safe(word))
    few_dates(ax)
    legend(ax)
    return ax


def plot_correlation(ax: Axes, z: np.ndarray) -> Axes:
    """Autocorrelation of the innovations."""
    figures.plot_autocorrelation(ax, z)
    ax.set_xlabel("rows apart")
    return ax


def plot_shocks(ax: Axes, rows: pd.DataFrame, word: str) -> Axes:
    """An auxiliary residual over time; the large ones in another colour."""
    value = rows[word].to_numpy(dtype=float)
    large = np.abs(value) > LARGE
    ax.vlines(rows["ds"][~large], 0, value[~large], color=BLUE, linewidth=1.2, label=safe(LABELS.get(word, word)))
    if large.any():
        ax.vlines(rows["ds"][large], 0, value[large], color=VERMILION, linewidth=2.4, label=f"beyond {LARGE:g}")
    ax.axhline(0, color=INK, linewidth=0.8)
    few_dates(ax)
    legend(ax)
    return ax

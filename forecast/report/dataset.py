"""The report of `forecast validate`: what was understood of a data set, with a first look at its series.

No script, no request; the facts stand as text, the pictures inline with a sentence for those who cannot see them.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forecast.report import page
from forecast.report.numbers import Listing, listing
from forecast.report.section import HALF, WIDE, Section, picture
from forecast.report.theme import BLUE, VERMILION, few_dates, safe

POINTS = 1500  # columns of a picture; more rows than this are drawn as the range of each column
SHOWN = 6  # series drawn


class Look(NamedTuple):
    """One series to draw: its name, times and readings (NaN = missing)."""

    name: str
    times: pd.Index
    values: np.ndarray


class Part(NamedTuple):
    """One panel of the data set: its facts as lines, some series, a table with a row for each series."""

    title: str
    lines: Sequence[str]
    looks: Sequence[Look]  # the first of them
    total: int  # series × target channels
    table: pd.DataFrame


def plot_series(ax: Axes, look: Look) -> Axes:
    """The readings over time, or their range where many fall on one column of the picture; missing rows are marked."""
    rows, columns = len(look.values), min(len(look.values), POINTS)
    groups = np.arange(rows) * columns // max(rows, 1)
    seen = pd.Series(look.values).groupby(groups)
    start = look.times[np.searchsorted(groups, np.arange(columns))]
    if rows > POINTS:
        ax.fill_between(start, seen.min(), seen.max(), color=BLUE, linewidth=0.8)
    else:
        ax.plot(start, look.values, color=BLUE, linewidth=1.2, marker="." if rows <= 60 else None)
    missing = pd.Series(np.isnan(look.values)).groupby(groups).any().to_numpy(dtype=bool)
    if missing.any():
        floor = np.full(int(missing.sum()), 0.02)
        ax.plot(start[missing], floor, "|", color=VERMILION, transform=ax.get_xaxis_transform())
        ax.set_title("| missing", loc="right", color=VERMILION)
    ax.set_title(safe(look.name), loc="left")
    few_dates(ax)
    return ax


def sentence(look: Look) -> str:
    """What the picture shows, in words."""
    seen = look.values[np.isfinite(look.values)]
    if not len(seen):
        return f"{look.name}: no readings"
    missing = len(look.values) - len(seen)
    spread = f"between {seen.min():.4g} and {seen.max():.4g}, half of them below {np.median(seen):.4g}"
    return f"{look.name}: {len(seen)} readings {spread}; {missing} missing"


def section(part: Part) -> Section:
    """One panel: its pictures, then its facts and series as tables."""
    width = HALF[0] if len(part.looks) > 1 else WIDE[0]
    pictures = [picture(sentence(look), partial(plot_series, look=look), (width, 2.6)) for look in part.looks]
    words = [(line[:13].strip(), line[13:]) for line in part.lines]
    facts = Listing("What was understood", ("", ""), words, folded=False)
    shown = f"The first {len(pictures)} of {part.total:,}." if part.total > len(pictures) else ""
    return Section(part.title, shown, pictures, [facts, listing(part.table, "Every series", "series.csv")])


def write(folder: Path, name: str, verdict: str, parts: Sequence[Part], **how: object) -> Path:
    """Draw report.html; `how` says how to get it again (command, version, created)."""
    count = sum(len(part.table) for part in parts)
    rows = sum(int(part.table["rows"].sum()) for part in parts)
    facts = [
        ("series", f"{count:,}"),
        ("rows", f"{rows:,}"),
        ("clock" if len(parts) == 1 else "clocks", str(len(parts))),
    ]
    return page.render(
        folder,
        title=f"forecast: {name}",
        overline=f"What was understood of {name}",
        verdict=verdict,
        details=(),
        facts=facts,
        sections=[section(part) for part in parts],
        seed=None,
        **how,
    )

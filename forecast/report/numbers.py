"""Numbers and tables for people: three or four figures that matter, no raw floats."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

ROWS = 200  # of a folded table; all of them stand in the file beside the page
HEADINGS = {
    "unique_id": "series",
    "ds": "time",
    "y": "outcome",
    "versus_seasonal_naive": "against seasonal_naive",
    "versus_best": "against the best",
}


@dataclass(frozen=True)
class Listing:
    """A table as it is read."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    folded: bool = True
    note: str = ""


def number(value: object) -> str:
    """`0.838`, `12,300`, `1.20e+09`; a dash where there is nothing."""
    if not isinstance(value, int | float | np.number):
        return "–" if value is None or value is pd.NaT else str(value)
    if not math.isfinite(value):
        return "–"
    size = abs(float(value))
    if size >= 1e7 or 0 < size < 1e-3:
        return f"{value:.2e}"
    if size >= 1000 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.{3 if size < 10 else 2 if size < 100 else 1}f}"


def seconds(value: float) -> str:
    """Seconds, none finer than a millisecond."""
    return number(value) if value >= 1e-3 or not math.isfinite(value) else "< 0.001"


def moment(value: object) -> str:
    """A time without the parts that are zero."""
    if not isinstance(value, pd.Timestamp):
        return number(value)
    return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"


def listing(frame: pd.DataFrame, title: str, file: str = "", folded: bool = True) -> Listing:
    """The first rows of a table, its numbers rounded; where rows are left out, where they all are."""
    shown = frame.head(ROWS)
    rows = [[moment(value) for value in row] for row in shown.itertuples(index=False)]
    note = f"{ROWS} of {len(frame):,} rows; all of them stand in {file}." if len(frame) > ROWS else ""
    return Listing(title, [HEADINGS.get(str(name), str(name)) for name in frame.columns], rows, folded, note)

"""A picture of which layer solves which made-up task."""

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.theme import GREY, STYLE

BLACK = "#222222"
DARK = 0.5  # from here on the ink on a cell is white


def solved(figures: pd.DataFrame) -> Figure:
    """Share right in the test, a row for each layer and a column for each task and length; the best layers on top."""
    right = figures[figures["unit"] == "right"]
    table = right.pivot_table(index="subject", columns="case", values="value", sort=False)
    table = table.loc[table.mean(axis="columns").sort_values(ascending=False, kind="stable").index]
    steps = figures[figures["unit"] == "steps"].pivot_table(index="subject", columns="case", values="value", sort=False)
    with matplotlib.rc_context(STYLE | {"figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=(4.2 + 1.3 * table.shape[1], 1.9 + 0.5 * len(table)), layout="constrained")
        plot_shares(figure.subplots(), table, steps.reindex_like(table))
        return figure


def plot_shares(ax: Axes, table: pd.DataFrame, steps: pd.DataFrame) -> Axes:
    """Cells from white (nothing right) to dark (all), with the share and, beneath it, after how many steps training ended."""
    shares, counts = table.to_numpy(float), steps.to_numpy(float)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i in range(len(table)):
        for j in range(table.shape[1]):
            share, count = float(shares[i, j]), float(counts[i, j])
            if share != share:
                ax.annotate("not run", (j, i), ha="center", va="center", color=GREY, fontsize=10)
                continue
            text = f"{share:.2f}\n{count:,.0f} steps"
            ax.annotate(text, (j, i), ha="center", va="center", color="white" if share > DARK else BLACK, fontsize=10)
    ax.set_yticks(range(len(table)), [str(layer) for layer in table.index])
    ax.set_xticks(range(table.shape[1]), [str(case).replace("_", " ").replace(" ", "\n") for case in table.columns])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.grid(False)
    return ax

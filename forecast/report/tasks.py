"""A picture of which layer solves which made-up task."""

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.theme import GREY, STYLE

BLACK = "#222222"
DARK = 0.5  # from here on the ink on a cell is white
APART = 0.1  # seeds that differ by more are told beneath the mean


def solved(figures: pd.DataFrame) -> Figure:
    """Share right in the test, a row for each layer, a group of columns for each task, one for each length; the best layers on top."""
    right = figures[figures["unit"] == "right"]
    case = right["case"].astype(str).str.split(" ", expand=True)
    right = right.assign(task=case[0], length=case[1].astype(int))
    tables = [
        right.pivot_table(index="subject", columns=["task", "length"], values="value", aggfunc=how, sort=False)
        for how in ("mean", "min", "max")
    ]
    columns = [pair for task in case[0].unique() for pair in sorted(c for c in tables[0].columns if c[0] == task)]
    order = tables[0].fillna(0).mean(axis="columns").sort_values(ascending=False, kind="stable").index
    mean, low, high = (table.loc[order, columns] for table in tables)
    with matplotlib.rc_context(STYLE | {"figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=(3.2 + 0.95 * mean.shape[1], 1.6 + 0.5 * len(mean)), layout="constrained")
        plot_shares(figure.subplots(), mean, low, high)
        return figure


def plot_shares(ax: Axes, mean: pd.DataFrame, low: pd.DataFrame, high: pd.DataFrame) -> Axes:
    """Cells from white (nothing right) to dark (all), with the share (–: not tried), and beneath it the least and the most where seeds lie apart."""
    shares = mean.to_numpy(float)
    ax.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for i in range(len(mean)):
        for j in range(mean.shape[1]):
            share, least, most = (float(table.to_numpy()[i, j]) for table in (mean, low, high))
            if share != share:
                ax.annotate("–", (j, i), ha="center", va="center", color=GREY, fontsize=14)
                continue
            ink, apart = "white" if share > DARK else BLACK, most - least > APART
            ax.annotate(f"{share:.2f}", (j, i - 0.13 * apart), ha="center", va="center", color=ink, fontsize=14)
            if apart:
                ax.annotate(f"{least:.2f}…{most:.2f}", (j, i + 0.28), ha="center", va="center", color=ink, fontsize=9)
    tasks, lengths = ([str(word) for word in mean.columns.get_level_values(level)] for level in (0, 1))
    for task in dict.fromkeys(tasks):
        places = [j for j, word in enumerate(tasks) if word == task]
        if places[0]:
            ax.axvline(places[0] - 0.5, color="white", linewidth=6)
        ax.annotate(
            task.replace("_", "\n"),
            (sum(places) / len(places), 1),
            (0, 24),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=BLACK,
        )
    ax.set_yticks(range(len(mean)), [str(layer) for layer in mean.index], color=BLACK)
    ax.set_xticks(range(mean.shape[1]), lengths)
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.grid(False)
    return ax

"""Pictures of what layers cost against the length of a sequence."""

import io

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.theme import BLUE, GREEN, GREY, INK, PURPLE, STYLE, VERMILION

COLOURS = (BLUE, VERMILION, GREEN, PURPLE, GREY)
SHAPES = ("o", "s", "^", "D", "v")


def layers(table: pd.DataFrame) -> Figure:
    """Time and memory side by side; the references dashed."""
    with matplotlib.rc_context(STYLE | {"figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=(13, 6), layout="constrained")
        left, right = figure.subplots(1, 2)
        rows = table.assign(ms=table["both_ns"] * table["length"] * table["width"] / 1e6)
        plot_cost(left, rows, "ms", "CPU-ms, forward and backward, one sequence")
        memory = rows.assign(mb=(rows["memory_mb"] / rows["batch"]).clip(lower=0.05))
        plot_cost(right, memory, "mb", "peak memory in MB, one sequence")
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5)
        return figure


def plot_cost(ax: Axes, table: pd.DataFrame, column: str, label: str) -> Axes:
    """One line for each layer on logarithmic axes, and the slopes of linear and quadratic growth."""
    for place, (name, rows) in enumerate(table.groupby("layer", sort=False)):
        style = "--" if "," in str(name) or " " in str(name) else "-"
        colour, shape = COLOURS[place % 5], SHAPES[(place // 5 + place) % 5]
        ax.plot(rows["length"], rows[column], style, color=colour, marker=shape, markersize=6, label=str(name))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    first, last = float(table["length"].min()), float(table["length"].max())
    start, top = 0.5 * float(table[column].min()), 3 * float(table[column].max())
    for power, word in ((1, "n"), (2, "n²")):
        end = min(last, first * (top / start) ** (1 / power))
        height = start * (end / first) ** power
        ax.plot([first, end], [start, height], ":", color=INK, linewidth=1)
        ax.annotate(word, (end, height), (4, 0), textcoords="offset points", color=INK, va="center")
    ax.set_ylim(start, top * 1.5)
    ax.set_xlabel("rows")
    ax.set_ylabel(label)
    return ax


def png(figure: Figure) -> bytes:
    """The figure as a picture of its own."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80, facecolor="white")
    return buffer.getvalue()

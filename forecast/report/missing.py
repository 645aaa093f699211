"""Pictures of what missing rows cost."""

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from forecast.report.theme import BLUE, GREEN, GREY, PURPLE, STYLE, VERMILION

LOOKS = {"native": (BLUE, "o"), "last": (VERMILION, "s"), "linear": (GREEN, "^"), "season": (PURPLE, "D")}
TITLES = {
    "chance": "readings missing by chance",
    "stretches": "stretches of 1½ seasons missing",
    "rows": "rows dropped, time between kept",
}
NAMES = {"native": "native", "last": "last value first", "linear": "straight line first", "season": "a season ago first"}
HIGHEST = 20.0  # per cent; lines that go beyond leave the picture


def shares(figures: pd.DataFrame) -> Figure:
    """Error against the share that is missing: a row of panels for each set and model, a panel for each kind of gap."""
    parts, labels = figures["case"].str.split("/", expand=True), figures["subject"].str.rpartition("/")
    table = figures.assign(set=parts[0], kind=parts[1], share=100 * parts[2].astype(float), model=labels[0], how=labels[2])
    complete = table[table["kind"] == "complete"].set_index(["set", "model"])["value"]
    gaps = table[table["kind"] != "complete"]
    groups, kinds = list(gaps.groupby(["set", "model"], sort=False)), list(gaps["kind"].unique())
    with matplotlib.rc_context(STYLE | {"figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=(4.6 * len(kinds) + 0.6, 3.6 * len(groups) + 1.0), layout=ConstrainedLayoutEngine(h_pad=0.12))
        grid = figure.subplots(len(groups), len(kinds), squeeze=False, sharex=True, sharey=True)
        for axes, ((name, model), rows) in zip(grid, groups, strict=True):
            for ax, kind in zip(axes, kinds, strict=True):
                plot_excess(ax, rows[rows["kind"] == kind], float(complete[str(name), str(model)]))
            axes[0].set_ylabel(f"{model} on {name}:\n% above complete rows")
        for ax, kind in zip(grid[0], kinds, strict=True):
            ax.set_title(TITLES.get(kind, kind), pad=10)
        for ax in grid[-1]:
            ax.set_xlabel("% missing")
        lowest, highest = (100 * (float(part) - 1) for part in _range(gaps, complete))
        grid[0][0].set_ylim(min(lowest, 0) - 1, min(highest + 1, HIGHEST))
        handles, texts = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower center", ncols=5)
        return figure


def _range(gaps: pd.DataFrame, complete: pd.Series) -> tuple[float, float]:
    """Least and largest error as a share of that of complete rows."""
    share = gaps["value"] / complete.reindex(pd.MultiIndex.from_frame(gaps[["set", "model"]])).to_numpy()
    return float(share.min()), float(share.max())


def plot_excess(ax: Axes, table: pd.DataFrame, complete: float) -> Axes:
    """One line for each way, by how much its MSE lies above that of complete rows."""
    for how, line in table.groupby("how", sort=False):
        colour, shape = LOOKS.get(str(how), (GREY, "v"))
        excess = 100 * (line["value"] / complete - 1)
        ax.plot([0, *line["share"]], [0, *excess], color=colour, marker=shape, label=NAMES.get(str(how), str(how)))
    return ax

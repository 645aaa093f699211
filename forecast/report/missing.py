"""Pictures of what missing rows cost."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from forecast.report.theme import BLUE, GREEN, GREY, INK, PURPLE, STYLE, VERMILION

LOOKS = {"native": (BLUE, "o"), "last": (VERMILION, "s"), "linear": (GREEN, "^"), "season": (PURPLE, "D")}
TITLES = {
    "chance": "readings missing by chance",
    "stretches": "stretches of 1½ seasons missing",
    "rows": "rows dropped, time between kept",
}
NAMES = {"native": "native", "last": "last value first", "linear": "straight line first", "season": "value a season ago first"}


def shares(figures: pd.DataFrame) -> Figure:
    """MSE against the share that is missing: a row of panels for each set and model, a panel for each kind of gap."""
    parts = figures["case"].str.split("/", expand=True)
    labels = figures["subject"].str.rpartition("/")
    table = figures.assign(
        set=parts[0], kind=parts[1], share=100 * parts[2].astype(float), model=labels[0], how=labels[2]
    )
    gaps = table[table["kind"] != "complete"]
    groups, kinds = list(gaps.groupby(["set", "model"], sort=False)), list(gaps["kind"].unique())
    with matplotlib.rc_context(STYLE | {"figure.facecolor": "white", "axes.facecolor": "white"}):
        figure = Figure(figsize=(4.6 * len(kinds) + 0.4, 3.9 * len(groups) + 0.6), layout="constrained")
        for axes, ((name, model), rows) in zip(
            figure.subplots(len(groups), len(kinds), squeeze=False, sharey="row"), groups, strict=True
        ):
            complete = table[(table["kind"] == "complete") & (table["set"] == name) & (table["model"] == model)]
            for ax, kind in zip(axes, kinds, strict=True):
                for how, line in rows[rows["kind"] == kind].groupby("how", sort=False):
                    colour, shape = LOOKS.get(str(how), (GREY, "v"))
                    ax.plot(line["share"], line["value"], color=colour, marker=shape, label=NAMES.get(str(how), str(how)))
                for value in complete["value"]:
                    ax.axhline(value, color=INK, linestyle=":", label="nothing missing")
                ax.set_title(TITLES.get(kind, kind))
                ax.set_xlabel("% missing")
            axes[0].set_ylabel(f"MSE, {model} on {name}")
        handles, texts = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, texts, loc="outside lower center", ncols=5)
        return figure

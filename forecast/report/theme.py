"""How pictures look: large type, few lines, colours that colour-blind readers can tell apart, light and dark.

Colours: Okabe & Ito (2008), those with 3:1 contrast or more on white (blue 5.2, vermilion 3.9, green 3.4, purple 3.1).
A figure is drawn once on a transparent ground in ink that reads on both grounds; the page sets the ground.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7f7f7f"
INK = "#767676"  # 4.5:1 on white and on the dark ground
WORDS = {"better": (GREEN, "o"), "worse": (VERMILION, "v"), "cannot tell": (GREY, "s"), "": (BLUE, "D")}
STYLE = {
    "font.size": 13,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 14,
    "axes.labelsize": 13,
    "xtick.labelsize": 12,
    "ytick.labelsize": 12,
    "legend.fontsize": 12,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": INK,
    "grid.alpha": 0.2,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "forecast",
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
}


@contextmanager
def canvas(width: float = 9.0, height: float = 4.2, rows: int = 1, columns: int = 1) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure in our style with its axes in reading order."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, [figure.add_subplot(rows, columns, i + 1) for i in range(rows * columns)]


def svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page."""
    with matplotlib.rc_context(STYLE):
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def safe(name: object) -> str:
    """A name as a label: matplotlib hides labels that begin with an underscore."""
    text = str(name)
    return text if len(text) <= 40 else f"{text[:38]}…"

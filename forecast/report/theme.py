"""How pictures look: large type, few lines, colours that colour-blind readers can tell apart, light and dark.

Colours: Okabe & Ito (2008), those with 3:1 contrast or more on white (blue 5.2, vermilion 3.9, green 3.4, purple 3.1)
and on the dark ground. A figure is drawn once on a transparent ground; its ink is the colour of the page's own text.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import matplotlib
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

BLUE, VERMILION, GREEN, PURPLE, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#7f7f7f"
INK = "#767676"  # stands for the page's text colour
WORDS = {"better": (GREEN, "o"), "worse": (VERMILION, "v"), "cannot tell": (GREY, "s"), "": (BLUE, "D")}
WIDEST = 28  # letters of a label
STYLE: dict[Any, Any] = {
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
    "date.converter": "concise",
    "text.parse_math": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "forecast",
    "axes.formatter.useoffset": False,
    "axes.unicode_minus": True,
}
NOTHING = dict.fromkeys(("Date", "Creator", "Format", "Type"))  # no metadata: it would name addresses


@contextmanager
def tower(count: int, width: float = 9.0, height: float = 1.9) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure in our style with so many axes over each other, the last of which tells the x of all."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height * count + 0.4), layout=ConstrainedLayoutEngine(h_pad=0.1))
        yield figure, list(figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0])


@contextmanager
def canvas(width: float = 9.0, height: float = 4.2) -> Iterator[tuple[Figure, Axes]]:
    """A figure in our style with its axes."""
    with matplotlib.rc_context(STYLE):
        room = ConstrainedLayoutEngine(h_pad=0.1)  # inches: the browser's fonts reach lower than ours
        figure = Figure(figsize=(width, height), layout=room)
        yield figure, figure.add_subplot()


def svg(figure: Figure) -> str:
    """The figure as an SVG element to stand in a page, its ink the text colour of the page."""
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # the browser draws the text, in fonts of its own
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata=NOTHING)
    text = buffer.getvalue()
    return re.sub(f"(fill|stroke): {INK}", r"\1: currentColor", text[text.index("<svg") :])


def legend(ax: Axes, columns: int = 3, side: Literal["left", "right"] = "left") -> None:
    """The legend above the axes, where it hides nothing, from one side on."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        corner: Literal["lower left", "lower right"] = "lower left" if side == "left" else "lower right"
        anchor = (0, 1) if side == "left" else (1, 1)
        ax.legend(handles, labels, loc=corner, bbox_to_anchor=anchor, ncols=columns, borderaxespad=0.2)


def few_dates(ax: Axes, most: int = 7) -> None:
    """At most so many dates on a time axis (matplotlib has no step for 71 hours with fewer); numbers stay."""
    if isinstance(ax.xaxis.get_major_locator(), AutoDateLocator):
        locator = AutoDateLocator(minticks=3, maxticks=most)  # type: ignore[no-untyped-call]
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def safe(name: object, widest: int = WIDEST) -> str:
    """A name as a label: on one line, not too long, and never hidden (matplotlib hides what begins with `_`)."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(name)).split())
    text = text if len(text) <= widest else f"{text[: widest - 1]}…"
    return f"\u200b{text}" if text.startswith("_") else text

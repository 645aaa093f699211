"""What a page is made of: sections with a question for a heading, a sentence of answer, pictures and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from forecast.report.numbers import Listing
from forecast.report.theme import canvas, svg, tower

WIDE, HALF, TALL = (9.0, 4.2), (5.4, 4.2), (5.4, 4.9)  # inches of a picture that stands alone, or beside another


@dataclass(frozen=True)
class Picture:
    """An SVG and what it says to those who cannot see it."""

    svg: str
    alt: str
    wide: bool = False  # takes the whole row where others stand two in one


@dataclass(frozen=True)
class Section:
    """A heading, a finding, pictures and tables; `half` sections stand two in a row."""

    title: str
    finding: str = ""
    pictures: Sequence[Picture] = ()
    tables: Sequence[Listing] = ()
    half: bool = False


def picture(alt: str, draw: Callable[[Axes], Axes], size: tuple[float, float] = WIDE) -> Picture:
    """What a function draws on the axes it is given."""
    with canvas(*size) as (figure, ax):
        draw(ax)
        return Picture(svg(figure), alt)


def stacked(alt: str, draws: Sequence[Callable[[Axes], Axes]]) -> Picture:
    """What functions draw on axes over each other that share their x."""
    with tower(len(draws)) as (figure, axes):
        for ax, draw in zip(axes, draws, strict=True):
            draw(ax)
        return Picture(svg(figure), alt, wide=True)
